"""Runs that went wrong in training, told from their own losses and from what the table says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.runs import RunTable
from isogloss.runs.lint import FLAGS

# A rise above the best loss so far is a collapse beyond both: this part of that loss, and this many times the usual
# distance of the table's checkpoints from the line through their neighbours.
RISE = 0.05
RISE_IN_NOISE = 8.0
# A run that never learned ends this many times above the highest of its peers.
STUCK = 1.25
PEERS = 2


@dataclass(frozen=True, eq=False)
class History:
    """All measured losses of one run on one target and evaluation set, by tokens; both arrays `(points,)`."""

    run: str
    target: str
    evaluation: str
    tokens: np.ndarray
    loss: np.ndarray


def unusable(table: RunTable, evaluation: Sequence[str]) -> Mapping[str, str]:
    """Why, by run; the curve's own reason before a flag's. `evaluation` names the columns of evaluation sets."""
    return flagged(table) | collapsed(histories(table, evaluation))


def histories(table: RunTable, evaluation: Sequence[str]) -> list[History]:
    """Of targets that the run sees: on others its loss is high, and may rise, for no fault of its own."""
    names, shares = table.shares()
    place = {name: i for i, name in enumerate(names)}
    at = [place.get(target, -1) for target in table.frame["target"]]
    seen = [i < 0 or not shares[row, i] <= 0 for row, i in enumerate(at)]
    keys = ["run_id", "target", *evaluation]
    found = []
    for key, rows in table.frame.filter(pl.Series(seen)).sort("tokens").group_by(keys, maintain_order=True):
        label = ", ".join(str(v) for v in key[2:])
        tokens, loss = (rows[c].cast(pl.Float64).to_numpy() for c in ("tokens", "loss"))
        found.append(History(str(key[0]), str(key[1]), label, tokens, loss))
    return found


def collapsed(curves: Sequence[History]) -> dict[str, str]:
    """Why, by run, from the losses alone."""
    noise = _usual_step(curves)
    found: dict[str, str] = {}
    for curve in curves:
        reason = _rise(curve, noise) or _stuck(curve, curves)
        if reason:
            found.setdefault(curve.run, reason)
    return found


def flagged(table: RunTable) -> dict[str, str]:
    """Why, by run: columns such as `use` that say 0."""
    found: dict[str, str] = {}
    for column in (c for c in FLAGS if c in table.frame.columns):
        values = table.frame[column].cast(pl.Float64, strict=False)
        for run in table.frame.filter((values == 0).fill_null(False))["run_id"].unique(maintain_order=True):
            found.setdefault(str(run), f"the table says {column}=0 of it")
    return found


def _usual_step(curves: Sequence[History]) -> float:
    """Median over curves of a checkpoint's distance from the line through its neighbours, in log tokens."""
    steps = []
    for curve in curves:
        x, y = np.log(curve.tokens), curve.loss
        if len(y) < 3 or (np.diff(x) <= 0).any():
            continue
        part = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
        steps.append(float(np.median(np.abs(y[1:-1] - (1 - part) * y[:-2] - part * y[2:]))))
    return float(np.median(steps)) if steps else 0.0


def _rise(curve: History, noise: float) -> str:
    best = np.minimum.accumulate(curve.loss)
    high = curve.loss - best > np.maximum(RISE * np.abs(best), RISE_IN_NOISE * noise)
    # One high checkpoint may be a bad measurement; two in a row, or the last, are the run's.
    lasting = high & np.append(high[1:], True)
    if not lasting.any():
        return ""
    worst = int(np.argmax(curve.loss - best))
    where = f" of {curve.evaluation}" if curve.evaluation else ""
    return (
        f"collapsed: its loss{where} on {curve.target} rises from {best[worst]:.3f} to {curve.loss[worst]:.3f}"
        f" by {curve.tokens[worst]:.3g} tokens"
    )


def _stuck(curve: History, curves: Sequence[History]) -> str:
    """Against the highest loss of the other runs by then: those with a smaller share or model are among them."""
    end, loss = curve.tokens[-1], curve.loss[-1]
    by_then = [
        float(other.loss[other.tokens <= end][-1])
        for other in curves
        if (other.target, other.evaluation) == (curve.target, curve.evaluation)
        and other.run != curve.run
        and other.tokens[0] <= end
    ]
    if len(by_then) < PEERS or loss <= STUCK * max(by_then):
        return ""
    return (
        f"never learned, or diverged: its loss on {curve.target} is {loss:.3f} at {end:.3g} tokens,"
        f" that of {len(by_then)} other runs at most {max(by_then):.3f}"
    )
