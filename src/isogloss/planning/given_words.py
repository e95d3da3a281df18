"""A change of a given plan, and the limits that it breaks, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from isogloss import languages as _languages
from isogloss.planning.constraints import Box
from isogloss.planning.given_savings import LEAST, MOST, Estimate
from isogloss.units import format_quantity

# Savings below this part of the loss are the same to anyone.
NOTHING = 5e-5
MOVES = 3
# Shares that move by less than this are left out of the words.
LEAST_MOVE = 0.002
CLOSE = 1e-4


def name_of(code: str) -> str:
    return _languages.get(code).short_name.removeprefix("Standard ")


def breaks(languages: Sequence[str], N: float, D: float, shares: np.ndarray, U: np.ndarray, box: Box) -> Iterator[str]:
    """The limits that a plan does not keep; U are unique tokens `(K,)`."""
    for i, code in enumerate(languages):
        name, p = name_of(code), float(shares[i])
        if p * D > box.tokens_high[i] * (1 + CLOSE):
            yield f"{name} is seen {_times(p * D / U[i])} times, above its cap of {_times(box.tokens_high[i] / U[i])}"
        if p < box.share_low[i] * (1 - CLOSE):
            yield f"{name} has {_percent(p)}, below its minimum share of {_percent(float(box.share_low[i]))}"
        if p > box.share_high[i] * (1 + CLOSE):
            yield f"{name} has {_percent(p)}, above its maximum share of {_percent(float(box.share_high[i]))}"
    if box.N_low * (1 - CLOSE) > N:
        yield f"N is below min_params, {format_quantity(box.N_low)}"
    if box.N_high * (1 + CLOSE) < N:
        yield f"N is above max_params, {format_quantity(box.N_high)}"


Sized = tuple[float, float, np.ndarray]
"""N, D and shares."""


def said(languages: Sequence[str], given: Sized, better: Sized, loss: Estimate, compute: Estimate) -> str:
    """What changes and what that buys, such as "more Estonian: 75 % -> 81 %; saves 0.4 % of loss"."""
    if abs(loss.value) < NOTHING:
        return "nothing to change: the best is as good as the given plan to 0.005 % of loss"
    changes = []
    if abs(better[0] / given[0] - 1) > 1e-3:
        word = "larger" if better[0] > given[0] else "smaller"
        changes.append(
            f"{word}: {format_quantity(given[0])} -> {format_quantity(better[0])} parameters, "
            f"{format_quantity(given[1])} -> {format_quantity(better[1])} tokens"
        )
    changes += _moves(languages, given[2], better[2])
    what = "; ".join(changes) or "shares change by less than 0.2 points"
    if loss.value < 0:
        return f"{what}; loses {_percent(-loss.value)} of loss: the given plan breaks the question's limits"
    return f"{what}; saves {_percent(loss.value)} of loss{_between(loss)}, or {_compute(compute)} at equal loss"


def _moves(languages: Sequence[str], before: np.ndarray, after: np.ndarray) -> list[str]:
    """The languages whose shares move most, the largest move first."""
    step = after - before
    order = [int(i) for i in np.argsort(-np.abs(step), kind="stable")[:MOVES] if abs(step[i]) >= LEAST_MOVE]
    return [
        f"{'more' if step[i] > 0 else 'less'} {name_of(languages[i])}: "
        f"{_percent(float(before[i]))} -> {_percent(float(after[i]))}"
        for i in order
    ]


def _compute(saved: Estimate) -> str:
    if saved.value >= 1 - LEAST - 1e-6:
        return f"more than {_percent(1 - LEAST)} of compute"
    # Beyond what was tried, a bound is open.
    low = None if saved.low is None or saved.low <= 1 - MOST + 1e-6 else saved.low
    return f"{_percent(saved.value)} of compute{_between(Estimate(saved.value, low, saved.high))}"


def _between(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return ""
    return f" ({_percent(value.low)} to {_percent(value.high)})"


def _times(epochs: float) -> str:
    return f"{epochs:,.0f}" if epochs >= 1000 else f"{epochs:.3g}"


def _percent(part: float) -> str:
    scaled = 100 * part
    digits = f"{scaled:.3g}" if abs(scaled) >= 10 else f"{scaled:.2g}"
    return f"{'0' if abs(scaled) < 0.0005 else digits} %"
