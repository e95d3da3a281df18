"""The scores that a page of transfer shows, one row per pair, with names and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from isogloss.report.words import MINUS, language_names
from isogloss.transfer.prediction import NOT_MEASURED

if TYPE_CHECKING:
    from isogloss.transfer import TransferMatrix
    from isogloss.transfer.prediction import Prediction


@dataclass(frozen=True)
class PairRow:
    """One score; `low` and `high` bound its interval, None where there is none."""

    target: str
    source: str
    bts: float
    low: float | None
    high: float | None
    kind: str
    model: tuple[float, float, float] | None = None
    """What our model says of the pair beside a score of another origin: median, low, high."""

    @property
    def measured(self) -> bool:
        return self.kind not in NOT_MEASURED

    @property
    def span(self) -> tuple[float, float] | None:
        """Its own interval, or else that of our model."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        return self.model[1:] if self.model else None

    @property
    def said(self) -> str:
        return with_interval(self.bts, self.low, self.high)


@dataclass(frozen=True)
class Shown:
    """All the scores of a page, and the order and names of its languages."""

    languages: tuple[str, ...]
    names: dict[str, str]
    rows: tuple[PairRow, ...]
    level: float

    @property
    def measured(self) -> list[PairRow]:
        return [row for row in self.rows if row.measured]

    def of_target(self, code: str) -> list[PairRow]:
        """The target's sources, the most helpful first; the model parts scores that are printed alike."""
        return self._ranked.get(code, [])

    @cached_property
    def _ranked(self) -> dict[str, list[PairRow]]:
        mine: dict[str, list[PairRow]] = {}
        for row in self.rows:
            mine.setdefault(row.target, []).append(row)
        for found in mine.values():
            found.sort(key=lambda r: (-r.bts, -r.model[0] if r.model else 0.0))
        return mine

    def targets(self) -> list[str]:
        return [code for code in self.languages if code in self._ranked]

    def sources(self) -> list[str]:
        giving = {r.source for r in self.rows}
        return [code for code in self.languages if code in giving]

    def at(self) -> dict[tuple[str, str], PairRow]:
        return {(r.target, r.source): r for r in self.rows}


def shown_matrix(
    matrix: TransferMatrix, order: Sequence[str], prediction: Prediction | None = None, *, level: float = 0.9
) -> Shown:
    """A matrix's own scores. Intervals are of their standard errors; the model's are beside where it is given."""
    far = float(stats.norm.ppf(0.5 + level / 2))
    rows = []
    for t, s in zip(*np.nonzero(matrix.present()), strict=True):
        target, source, score = matrix.languages[t], matrix.languages[s], float(matrix.bts[t, s])
        sd = float("nan") if matrix.sd is None else float(matrix.sd[t, s])
        span = (score - far * sd, score + far * sd) if np.isfinite(sd) else (None, None)
        rows.append(PairRow(target, source, score, *span, str(matrix.kind[t, s]), _model(prediction, target, source)))
    return Shown(tuple(order), language_names(order), tuple(rows), level)


def shown_prediction(prediction: Prediction, order: Sequence[str]) -> Shown:
    """Every pair as the model has it: the measured ones moved towards the rest by as much as their errors allow."""
    rows = [
        PairRow(target, source, *_values(prediction, t, s), str(prediction.kind[t, s]))
        for t, target in enumerate(prediction.languages)
        for s, source in enumerate(prediction.languages)
        if t != s
    ]
    return Shown(tuple(order), language_names(order), tuple(rows), prediction.level)


def score(value: float) -> str:
    """+0.32, −0.46; of a limit that nothing bounds, "open"."""
    if not np.isfinite(value):
        return "open"
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", MINUS)


def with_interval(value: float, low: float | None, high: float | None) -> str:
    return score(value) + ("" if low is None or high is None else f" ({score(low)} to {score(high)})")


def _values(prediction: Prediction, t: int, s: int) -> tuple[float, float, float]:
    return float(prediction.median[t, s]), float(prediction.low[t, s]), float(prediction.high[t, s])


def _model(prediction: Prediction | None, target: str, source: str) -> tuple[float, float, float] | None:
    if prediction is None or target not in prediction.languages or source not in prediction.languages:
        return None
    return _values(prediction, prediction.languages.index(target), prediction.languages.index(source))
