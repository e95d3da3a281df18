"""Constraints on a plan: each a small named object that narrows the box of allowed plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from isogloss.errors import InputError
from isogloss.planning.question import Question


@dataclass(frozen=True)
class Box:
    """What is allowed: tokens of each language `(K,)`, shares `(K,)`, and parameters."""

    tokens_high: np.ndarray
    share_low: np.ndarray
    share_high: np.ndarray
    N_low: float
    N_high: float


class Constraint(Protocol):
    def narrow(self, box: Box) -> Box: ...


@dataclass(frozen=True)
class EpochCap:
    """Language `index` is seen at most `epochs` times; it has U unique tokens."""

    index: int
    epochs: float
    U: float

    def narrow(self, box: Box) -> Box:
        high = box.tokens_high.copy()
        high[self.index] = min(high[self.index], self.epochs * self.U)
        return replace(box, tokens_high=high)


@dataclass(frozen=True)
class MinShare:
    index: int
    share: float

    def narrow(self, box: Box) -> Box:
        low = box.share_low.copy()
        low[self.index] = max(low[self.index], self.share)
        return replace(box, share_low=low)


@dataclass(frozen=True)
class MaxShare:
    index: int
    share: float

    def narrow(self, box: Box) -> Box:
        high = box.share_high.copy()
        high[self.index] = min(high[self.index], self.share)
        return replace(box, share_high=high)


@dataclass(frozen=True)
class FixedShare:
    index: int
    share: float

    def narrow(self, box: Box) -> Box:
        return MaxShare(self.index, self.share).narrow(MinShare(self.index, self.share).narrow(box))


@dataclass(frozen=True)
class ParamRange:
    low: float
    high: float

    def narrow(self, box: Box) -> Box:
        return replace(box, N_low=max(box.N_low, self.low), N_high=min(box.N_high, self.high))


def constraints_of(question: Question, U: np.ndarray) -> list[Constraint]:
    limits = question.limits
    found: list[Constraint] = [ParamRange(limits.min_params, limits.max_params)]
    for index, (code, need) in enumerate(question.languages.items()):
        found.append(EpochCap(index, need.max_epochs or limits.max_epochs, float(U[index])))
        if need.share is not None:
            found.append(FixedShare(index, need.share))
            continue
        low = need.min_share if need.min_share is not None else limits.min_share
        if low is not None:
            found.append(MinShare(index, low))
        if low is not None and need.max_share is not None and low > need.max_share:
            raise InputError(
                f"the minimum share {low:g} is above the maximum {need.max_share:g}",
                where=f"languages.{code}",
                hint="Give this language a min_share of its own, or raise its max_share.",
            )
        if need.max_share is not None:
            found.append(MaxShare(index, need.max_share))
    return found


def box_of(constraints: list[Constraint], size: int) -> Box:
    box = Box(np.full(size, np.inf), np.zeros(size), np.ones(size), 0.0, np.inf)
    for constraint in constraints:
        box = constraint.narrow(box)
    return box


def most_tokens(box: Box) -> float:
    """The most tokens D that some mixture in the box allows: sum_i min(share_high_i D, tokens_high_i) >= D.

    Raises InputError where the shares contradict each other.
    """
    if box.share_low.sum() > 1 + 1e-9:
        raise InputError(
            f"the minimum and fixed shares sum to {box.share_low.sum():.4g}, above 1",
            hint="Lower some of them.",
        )
    if box.share_high.sum() < 1 - 1e-9:
        raise InputError(
            f"the maximum and fixed shares sum to {box.share_high.sum():.4g}, below 1",
            hint="Raise some of them.",
        )
    needed = box.share_low > 0
    limits = np.full(len(needed), np.inf)
    limits[needed] = box.tokens_high[needed] / box.share_low[needed]
    high = float(min(limits.min(), box.tokens_high.sum()))
    low = 0.0
    if _fits(box, high):
        return high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _fits(box, middle) else (low, middle)
    return low


def _fits(box: Box, D: float) -> bool:
    return bool(np.minimum(box.share_high * D, box.tokens_high).sum() >= D * (1 - 1e-12))


def into_box(shares: np.ndarray, D: float, box: Box) -> np.ndarray:
    """The mixture in the box nearest to `shares` in relative entropy: scaled by one factor, then clipped."""
    low, high = box.share_low, np.minimum(box.share_high, box.tokens_high / D)
    shares = np.maximum(shares, 1e-300)
    a, b = -700.0, 700.0
    for _ in range(200):
        middle = (a + b) / 2
        total = np.clip(shares * np.exp(np.clip(middle, -690, 690)), low, high).sum()
        a, b = (middle, b) if total < 1 else (a, middle)
    p = np.clip(shares * np.exp((a + b) / 2), low, high)
    return p / p.sum()
