"""Where a plan's uncertainty comes from: the part of laws, and the part of transfer weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isogloss.planning.allocate import Allocation
from isogloss.planning.constraints import Box
from isogloss.planning.descent import descend
from isogloss.planning.draws import Drawn, LawDraws
from isogloss.planning.goal import Goal
from isogloss.planning.uncertainty import EVEN, Uncertainty

# Draws for which both parts are searched for on their own, and languages above which that takes too long.
SEARCHED, MOST_LANGUAGES = 50, 100
# A standard deviation of ln N or of a share below this is no uncertainty.
NONE = 1e-4


@dataclass(frozen=True)
class Part:
    """Of the variance of one number over the draws: what laws alone make of it, transfer held at its point values, and
    what transfer alone makes. They need not sum to 1: the rest, above or below, is of both together."""

    laws: float
    transfer: float

    @property
    def together(self) -> float:
        return 1 - self.laws - self.transfer

    def to_dict(self) -> dict[str, float]:
        return {"laws": self.laws, "transfer": self.transfer, "together": self.together}


@dataclass(frozen=True)
class Parts:
    """Each None where that number does not vary, or was left out (`why_not`)."""

    objective: Part | None
    """Of the plan's objective."""
    N: Part | None
    """Of ln N of each draw's own best plan."""
    share: Part | None
    """Of the share of `language` in each draw's own best plan."""
    language: str
    """The largest share of the plan."""
    draws: int
    """That N and the share were searched for with; the objective is over all draws."""
    why_not: str | None = None
    """Why N and the share are left out."""

    def to_dict(self) -> dict[str, Any]:
        return {
            **{name: None if (part := getattr(self, name)) is None else part.to_dict() for name in _NAMES},
            "language": self.language,
            "draws": self.draws,
            "why_not": self.why_not,
        }


_NAMES = ("objective", "N", "share")


def parts_of(
    drawn: Drawn, top: Allocation, box: Box, unsure: Uncertainty, *, goal: Goal, languages: Sequence[str]
) -> Parts | None:
    """None where only laws or only transfer vary: all is theirs.

    As in a first-order analysis of variance, but with the other at its point values instead of averaged over: of the
    loss that costs next to nothing, and of N and the share one more search each.
    """
    values = drawn.draws.values
    if "tau" not in values or len(values) == 1:
        return None
    laws = _only(drawn, [name for name in values if name != "tau"])
    transfer = _only(drawn, ["tau"])
    largest = int(np.argmax(top.shares))
    objective = _part(unsure.objective, *(goal.of(d.losses(top.N, top.taken)) for d in (laws, transfer)))
    if len(languages) > MOST_LANGUAGES:
        why = f"not searched for above {MOST_LANGUAGES} languages"
        return Parts(objective, None, None, languages[largest], 0, why)
    count = min(SEARCHED, unsure.count)
    start = (1 - EVEN) * top.taken + EVEN * box.even
    found = [descend(_first(d, count), start, top.D, box, goal=goal) for d in (laws, transfer)]
    here = found[0].settled & found[1].settled
    if here.sum() < 2:
        return Parts(objective, None, None, languages[largest], 0, "the searches did not settle")
    sizes = [np.log(N[:count][here]) for N in (unsure.N, found[0].N, found[1].N)]
    shares = [p[:count, largest][here] for p in (unsure.shares, found[0].shares, found[1].shares)]
    return Parts(objective, _part(*sizes), _part(*shares), languages[largest], int(here.sum()))


def _only(drawn: Drawn, names: Sequence[str]) -> Drawn:
    """The same draws with all but these coefficients at their point values."""
    draws = drawn.draws
    return replace(drawn, draws=replace(draws, values={name: draws.values[name] for name in names}))


def _first(drawn: Drawn, count: int) -> Drawn:
    draws = drawn.draws
    values = {name: v[:count] for name, v in draws.values.items()}
    return replace(drawn, draws=LawDraws(draws.law, count, values, draws.varies, draws.lacks))


def _part(full: np.ndarray, laws: np.ndarray, transfer: np.ndarray) -> Part | None:
    variance = float(full.var())
    if variance < NONE**2:
        return None
    return Part(float(laws.var()) / variance, float(transfer.var()) / variance)
