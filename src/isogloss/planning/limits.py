"""Limits of a plan: each a small named object that narrows the box of allowed plans, and says itself in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from isogloss.planning.phases import Phases
from isogloss.units import format_quantity


@dataclass(frozen=True)
class Box:
    """What is allowed: tokens of each language `(K,)`, shares `(K,)`, and parameters."""

    tokens_high: np.ndarray
    share_low: np.ndarray
    share_high: np.ndarray
    N_low: float
    N_high: float
    limits: tuple[Constraint, ...] = ()
    """What made it, to name those that conflict."""
    phases: Phases | None = None

    @property
    def even(self) -> np.ndarray:
        """The even mixture `(K,)`, or `(P K,)` by phase."""
        return self.spread(np.full(len(self.share_low), 1 / len(self.share_low)))

    def spread(self, shares: np.ndarray) -> np.ndarray:
        """Shares `(..., K)` as the search has them: `(..., P K)` where there are phases."""
        return shares if self.phases is None else self.phases.spread(shares, len(self.share_low))


class Constraint(Protocol):
    def narrow(self, box: Box) -> Box: ...

    @property
    def said(self) -> str:
        """In the words of the question: "min_share of Latvian 0.5"."""
        ...


@dataclass(frozen=True)
class EpochCap:
    """Language `index` is seen at most `epochs` times; it has U unique tokens."""

    index: int
    epochs: float
    U: float
    name: str = ""

    @property
    def tokens(self) -> float:
        return self.epochs * self.U

    @property
    def said(self) -> str:
        return f"{self.epochs:g} epochs of {_who(self)} ({format_quantity(self.U)} tokens of text)"

    def narrow(self, box: Box) -> Box:
        high = box.tokens_high.copy()
        high[self.index] = min(high[self.index], self.tokens)
        return replace(box, tokens_high=high)


@dataclass(frozen=True)
class MinShare:
    index: int
    share: float
    name: str = ""

    @property
    def said(self) -> str:
        return f"min_share of {_who(self)} {self.share:g}"

    def narrow(self, box: Box) -> Box:
        low = box.share_low.copy()
        low[self.index] = max(low[self.index], self.share)
        return replace(box, share_low=low)


@dataclass(frozen=True)
class MaxShare:
    index: int
    share: float
    name: str = ""

    @property
    def said(self) -> str:
        return f"max_share of {_who(self)} {self.share:g}"

    def narrow(self, box: Box) -> Box:
        high = box.share_high.copy()
        high[self.index] = min(high[self.index], self.share)
        return replace(box, share_high=high)


@dataclass(frozen=True)
class FixedShare:
    index: int
    share: float
    name: str = ""

    @property
    def said(self) -> str:
        return f"fixed share of {_who(self)} {self.share:g}"

    def narrow(self, box: Box) -> Box:
        return MaxShare(self.index, self.share).narrow(MinShare(self.index, self.share).narrow(box))


@dataclass(frozen=True)
class MinParams:
    params: float

    @property
    def said(self) -> str:
        return f"min_params {format_quantity(self.params)}"

    def narrow(self, box: Box) -> Box:
        return replace(box, N_low=max(box.N_low, self.params))


@dataclass(frozen=True)
class MaxParams:
    params: float

    @property
    def said(self) -> str:
        return f"max_params {format_quantity(self.params)}"

    def narrow(self, box: Box) -> Box:
        return replace(box, N_high=min(box.N_high, self.params))


@dataclass(frozen=True)
class Curriculum:
    """Phases have their parts of D, each with a mixture of its own."""

    phases: Phases

    @property
    def said(self) -> str:
        return "the parts of the phases"

    def narrow(self, box: Box) -> Box:
        return replace(box, phases=self.phases)


@dataclass(frozen=True)
class Memory:
    """At most as many parameters as the accelerators' memory trains."""

    params: float

    @property
    def said(self) -> str:
        return f"memory, which trains at most {format_quantity(self.params)}"

    def narrow(self, box: Box) -> Box:
        return MaxParams(self.params).narrow(box)


# Those that are about one language, by its index and name.
OfLanguage = EpochCap | MinShare | MaxShare | FixedShare


def box_of(constraints: list[Constraint], size: int) -> Box:
    box = Box(np.full(size, np.inf), np.zeros(size), np.ones(size), 0.0, np.inf)
    for constraint in constraints:
        box = constraint.narrow(box)
    return replace(box, limits=tuple(constraints))


def only(box: Box, at: np.ndarray) -> Box:
    """The box of some of the languages, by their places `at` `(k,)`."""
    place = {int(old): new for new, old in enumerate(at)}
    limits = [
        replace(c, index=place[c.index]) if isinstance(c, OfLanguage) else c
        for c in box.limits
        if not isinstance(c, OfLanguage) or c.index in place
    ]
    return Box(box.tokens_high[at], box.share_low[at], box.share_high[at], box.N_low, box.N_high, tuple(limits))


def most_tokens_of(box: Box) -> float:
    """The most tokens D that some mixture in the box allows: sum_i min(share_high_i D, tokens_high_i) >= D. The
    shares must leave a mixture."""
    needed, free = box.share_low > 0, np.isinf(box.tokens_high)
    limits = np.full(len(needed), np.inf)
    limits[needed] = box.tokens_high[needed] / box.share_low[needed]
    # What the languages of unlimited text may not take of D, the text of the others must fill.
    left = 1 - box.share_high[free].sum()
    total = box.tokens_high[~free].sum() / left if left > 1e-9 else np.inf
    low, high = 0.0, float(min(limits.min(), total))
    if high == np.inf or _fits(box, high):
        return high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _fits(box, middle) else (low, middle)
    return low


def _fits(box: Box, D: float) -> bool:
    return bool(np.minimum(box.share_high * D, box.tokens_high).sum() >= D * (1 - 1e-12))


def _who(limit: OfLanguage) -> str:
    return limit.name or f"language {limit.index + 1}"
