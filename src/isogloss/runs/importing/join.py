"""Points joined by step: how many tokens had been seen at an evaluation, and where the learning rate stood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.runs.importing.resumes import Counter

NO_TOKENS = "no token count in this run"
BEFORE = "before the first token count"
AFTER = "after the last token count"
AT_ZERO = "at zero tokens"
TOO_MANY = "more than 1e18 tokens: check the scale"

# How near to its peak a rate is at it, and below what part of it a rate has decayed.
_AT_PEAK = 1e-3
_DECAYED = 0.1
_MOST = 1e18


@dataclass(frozen=True, eq=False)
class Joined:
    """Tokens at each of n steps, NaN where they cannot be told, and how many cannot for each reason."""

    tokens: np.ndarray
    why_not: dict[str, int]


def tokens_at(step: np.ndarray, counter: Counter) -> Joined:
    """Linear between the points of a counter; from zero at step 0 if it is proportional; nothing beyond its end."""
    x, y = counter.step, counter.tokens
    if counter.proportional:
        x, y = np.concatenate([[0], x]), np.concatenate([[0.0], y])
    tokens = np.interp(step, x, y)
    before, after = step < x[0], step > x[-1]
    return _joined(tokens, {BEFORE: before, AFTER: after})


def tokens_by_steps(step: np.ndarray, per_step: float) -> Joined:
    """D = steps x tokens of a step."""
    return _joined(step * per_step, {})


def tokens_at_end(step: np.ndarray, total: float) -> Joined:
    """D of the last step, and of no other."""
    return _joined(np.full(len(step), total), {NO_TOKENS: step < step.max()})


def no_tokens(step: np.ndarray) -> Joined:
    return _joined(np.full(len(step), np.nan), {NO_TOKENS: np.ones(len(step), bool)})


def _joined(tokens: np.ndarray, unknown: dict[str, np.ndarray]) -> Joined:
    out = np.asarray(tokens, float).copy()
    for rows in unknown.values():
        out[rows] = np.nan
    unknown = {**unknown, AT_ZERO: np.rint(out) < 1, TOO_MANY: out > _MOST}
    out[unknown[AT_ZERO] | unknown[TOO_MANY]] = np.nan
    return Joined(out, {why: int(rows.sum()) for why, rows in unknown.items() if rows.any()})


@dataclass(frozen=True, eq=False)
class Rates:
    """A learning rate by rising step."""

    step: np.ndarray
    rate: np.ndarray

    def phases(self, step: np.ndarray, *, finished: bool) -> np.ndarray:
        """warmup while the rate first rises to its peak, stable at it, decay after it, as text; final for the last
        step of a finished run whose rate has fallen below a tenth of its peak by then."""
        peak = self.rate.max(initial=0.0)
        out = np.full(len(step), "", dtype=object)
        if not peak > 0 or not len(step):
            return out
        at_peak = np.flatnonzero(self.rate >= peak * (1 - _AT_PEAK))
        first, last = self.step[at_peak[0]], self.step[at_peak[-1]]
        out[:] = "stable"
        out[step < first] = "warmup"
        out[step > last] = "decay"
        end = int(np.argmax(step))
        rate = np.interp(step[end], self.step, self.rate)
        if finished and step[end] > last and rate < _DECAYED * peak:
            out[end] = "final"
        return out
