"""Constraints on a plan: each a small named object that narrows the box of allowed plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from isogloss.errors import InputError
from isogloss.planning.corpora import most_epochs
from isogloss.planning.hardware import max_trainable_params
from isogloss.planning.phases import Phases, phases_of
from isogloss.planning.question import Question
from isogloss.units import format_quantity

# Tokens below which a run is not a model: with less, the budget is a typing mistake.
FEWEST_TOKENS = 1e6


@dataclass(frozen=True)
class Box:
    """What is allowed: tokens of each language `(K,)`, shares `(K,)`, and parameters."""

    tokens_high: np.ndarray
    share_low: np.ndarray
    share_high: np.ndarray
    N_low: float
    N_high: float
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


@dataclass(frozen=True)
class Curriculum:
    """Phases have their parts of D, each with a mixture of its own."""

    phases: Phases

    def narrow(self, box: Box) -> Box:
        return replace(box, phases=self.phases)


@dataclass(frozen=True)
class Memory:
    """At most as many parameters as the accelerators' memory trains."""

    params: float

    def narrow(self, box: Box) -> Box:
        return ParamRange(0.0, self.params).narrow(box)


def memory_of(question: Question) -> Memory | None:
    """What `limits.memory` allows; None without it. Raises InputError where it holds no model, or is not known."""
    wanted, budget = question.limits.memory, question.budget
    if wanted is None:
        return None
    if budget.gpus is None:
        raise InputError(
            "memory without the number of accelerators",
            where="limits.memory",
            hint="Give budget.gpu and budget.gpus: the model is spread over all of them.",
        )
    memory = budget.memory if wanted == "gpu" else wanted
    if memory is None:
        raise InputError(
            f"the memory of {budget.gpu} is not known",
            where="limits.memory",
            hint='Give it, such as memory = "80 GB", or under [accelerators.<name>].',
        )
    vocabulary, context = question.assumptions.vocabulary, question.assumptions.context_length
    return Memory(
        max_trainable_params(
            float(memory), budget.gpus, vocab_size=vocabulary, context_length=context, where="limits.memory"
        )
    )


def constraints_of(question: Question, U: np.ndarray) -> list[Constraint]:
    limits = question.limits
    found: list[Constraint] = [ParamRange(limits.min_params, limits.max_params)]
    memory = memory_of(question)
    if memory is not None:
        found.append(memory)
    phases = phases_of(question)
    if phases is not None:
        found.append(Curriculum(phases))
    for index, (code, need) in enumerate(question.languages.items()):
        found.append(EpochCap(index, most_epochs(code, need, limits), float(U[index])))
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


def feasible(box: Box, C: float, served: float = 0.0) -> Box:
    """The box with its sizes narrowed to those for which the text lasts and C, FLOPs, pays for serving too.

    Raises InputError if there are none.
    """
    if box.N_low > box.N_high:
        raise InputError(
            f"min_params {format_quantity(box.N_low)} is above max_params {format_quantity(box.N_high)}",
            where="limits",
        )
    most, left = most_tokens(box), C - 2 * box.N_low * served
    if left / (6 * box.N_low) < FEWEST_TOKENS:
        serving = f" once {format_quantity(served, 'tokens')} are served" if served else ""
        raise InputError(
            f"{C:.3g} FLOPs train no model: the smallest allowed, {format_quantity(box.N_low)} parameters, "
            f"would see {max(left, 0.0) / (6 * box.N_low):.3g} tokens{serving}",
            where="budget",
            hint="Raise the budget, or lower limits.min_params" + (" or budget.served_tokens." if served else "."),
        )
    smallest = C / (6 * most + 2 * served)
    if smallest > box.N_high:
        raise InputError(
            f"no model meets the budget: the text and the limits allow {format_quantity(most)} tokens, and to spend "
            f"{C:.3g} FLOPs on them takes {format_quantity(smallest)} parameters, above max_params "
            f"{format_quantity(box.N_high)}",
            where="limits",
            hint="Raise max_params or max_epochs, lower min_share, add text or languages, or lower the budget.",
        )
    # A hair inside, so that the smallest size is not met by one mixture alone.
    low, high = max(box.N_low, smallest * (1 + 1e-6)), box.N_high
    if served:
        high = min(high, C / (6 * FEWEST_TOKENS + 2 * served))
    return replace(box, N_low=low, N_high=high)


def into_box(shares: np.ndarray, D: float | np.ndarray, box: Box) -> np.ndarray:
    """The mixtures `(..., K)` in the box nearest to `shares` in relative entropy, each for its D `(...)`: scaled by one
    factor, then clipped. With phases `(..., P K)`, then scaled to the parts of these."""
    if box.phases is not None:
        return box.phases.into(shares, lambda totals: into_box(totals, D, replace(box, phases=None)))
    low, high = box.share_low, np.minimum(box.share_high, box.tokens_high / np.asarray(D)[..., None])
    logs = np.log(np.maximum(shares, 1e-300))
    a, b = np.full(logs.shape[:-1], -700.0)[..., None], np.full(logs.shape[:-1], 700.0)[..., None]
    # 64 halvings of the range leave no more than rounding.
    for _ in range(64):
        middle = (a + b) / 2
        short = np.clip(np.exp(np.minimum(logs + middle, 690.0)), low, high).sum(axis=-1, keepdims=True) < 1
        a, b = np.where(short, middle, a), np.where(short, b, middle)
    p = np.clip(np.exp(np.minimum(logs + (a + b) / 2, 690.0)), low, high)
    return p / p.sum(axis=-1, keepdims=True)
