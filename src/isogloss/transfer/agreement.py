"""Measured and fitted transfer side by side, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special, stats

from isogloss.errors import InputError
from isogloss.transfer.matrix import TransferMatrix
from isogloss.transfer.measured import MeasuredTransfer
from isogloss.transfer.pair import PairTransfer
from isogloss.transfer.prediction import score_variance, usable

# From fewer pairs no rank correlation is told.
FEWEST_PAIRS = 4
SCORES = (
    *("measured", "measured_low", "measured_high", "fitted", "fitted_low", "fitted_high"),
    *("difference", "errors", "equal_at"),
)


@dataclass(frozen=True)
class Agreement:
    pairs: int
    spearman: float | None
    """None for fewer than 4 pairs."""
    mean_difference: float
    """Fitted less measured, of BTS."""
    rms_difference: float
    within: float | None
    """Share of pairs whose difference lies within its 90 % errors; of those of which errors are known."""


def agreement(frame: pl.DataFrame) -> Agreement:
    """Of the rows that `FittedTransfer.compare` gives."""
    finite = frame.filter(pl.col("measured").is_finite() & pl.col("fitted").is_finite())
    measured, found = finite["measured"].to_numpy(), finite["fitted"].to_numpy()
    errors = frame["errors"].drop_nulls().to_numpy()
    ranks = [stats.rankdata(measured), stats.rankdata(found)]
    enough = len(measured) >= FEWEST_PAIRS and all(np.ptp(r) > 0 for r in ranks)
    return Agreement(
        pairs=frame.height,
        spearman=float(np.corrcoef(ranks)[0, 1]) if enough else None,
        mean_difference=float((found - measured).mean()) if len(found) else float("nan"),
        rms_difference=float(np.sqrt(((found - measured) ** 2).mean())) if len(found) else float("nan"),
        within=float((np.abs(errors) <= special.ndtri(0.95)).mean()) if len(errors) else None,
    )


def joined(
    pairs: Sequence[tuple[str, str]],
    tau: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    sd: np.ndarray,
    measured: MeasuredTransfer | TransferMatrix,
    cell: Mapping[str, str] | None,
    anchor: float | None,
    level: float,
) -> pl.DataFrame:
    """One row per pair that is in both; `sd` is of log(1 + tau)."""
    of_runs = isinstance(measured, MeasuredTransfer)
    matrix = measured.matrix(anchor, cell=cell) if of_runs else measured
    place, known = {code: i for i, code in enumerate(matrix.languages)}, usable(matrix, 0.0)
    rows = []
    for i, (target, source) in enumerate(pairs):
        if target not in place or source not in place or not known[place[target], place[source]]:
            continue
        at = np.array([place[target]]), np.array([place[source]])
        score = float(matrix.bts[at][0])
        variance, unsure = score_variance(matrix, *at)
        error = np.nan if unsure[0] else float(np.sqrt(variance[0]))
        # Of log(1 + tau), which is log 2 - log(2 - BTS).
        both = np.hypot(error / (2 - score), sd[i])
        away = np.log1p(max(tau[i], -1)) - np.log(2 / (2 - score)) if tau[i] > -1 else -np.inf
        if of_runs:
            one = measured.at(target, source, anchor, cell=cell)
            limits = one.bts_low, one.bts_high
            equal_at = _crossing(measured.pair(target, source, cell=cell), float(tau[i]))
        else:
            reach = special.ndtri((1 + level) / 2) * error
            limits, equal_at = (score - reach, score + reach), np.nan
        found = [_score(t) for t in (tau[i], low[i], high[i])]
        rows.append((target, source, score, *limits, *found, found[0] - score, away / both, equal_at))
    if not rows:
        hint = "Measured: " + ", ".join(sorted(place)[:8]) + "."
        raise InputError("no pair was both fitted and measured", where="measured", hint=hint)
    schema = {"target": pl.String, "source": pl.String, **dict.fromkeys(SCORES, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


def _crossing(pair: PairTransfer, tau: float) -> float:
    """The anchor at which the measured curve has this weight; the first of several, NaN for none."""
    above = pair.scores().tau - tau
    for i in np.flatnonzero(above[:-1] * above[1:] <= 0):
        part = above[i] / (above[i] - above[i + 1]) if above[i] != above[i + 1] else 0.0
        low, high = np.log(pair.anchors[i : i + 2])
        return float(np.exp(low + part * (high - low)))
    return float("nan")


def _score(tau: float) -> float:
    """Minus infinity at -1 and below, where no 50/50 pair ever reaches the loss."""
    return 2 - 2 / (1 + tau) if tau > -1 else -np.inf
