"""From a question's limits to the box of allowed plans, and to the sizes in it that a budget trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.planning.conflicts import FEWEST_TOKENS as FEWEST_TOKENS
from isogloss.planning.conflicts import conflict_error, contradiction
from isogloss.planning.corpora import most_epochs
from isogloss.planning.hardware import max_trainable_params
from isogloss.planning.limits import Box as Box
from isogloss.planning.limits import (
    Constraint,
    Curriculum,
    EpochCap,
    FixedShare,
    MaxParams,
    MaxShare,
    Memory,
    MinParams,
    MinShare,
    OfLanguage,
    most_tokens_of,
)
from isogloss.planning.limits import box_of as box_of
from isogloss.planning.phases import phases_of
from isogloss.planning.question import Question


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
    found: list[Constraint] = [MinParams(limits.min_params), MaxParams(limits.max_params)]
    names: list[str] = []
    memory = memory_of(question)
    if memory is not None:
        found.append(memory)
    phases = phases_of(question)
    if phases is not None:
        found.append(Curriculum(phases))
    for index, (code, need) in enumerate(question.languages.items()):
        names.append(_languages.get(code).short_name.removeprefix("Standard "))
        found.append(EpochCap(index, most_epochs(code, need, limits), float(U[index])))
        if need.share is not None:
            found.append(FixedShare(index, need.share))
            continue
        low = need.min_share if need.min_share is not None else limits.min_share
        if low is not None:
            found.append(MinShare(index, low))
        if need.max_share is not None:
            found.append(MaxShare(index, need.max_share))
    return [replace(c, name=names[c.index]) if isinstance(c, OfLanguage) else c for c in found]


def most_tokens(box: Box) -> float:
    """The most tokens D that some mixture in the box allows. Raises InputError where the shares contradict each other.

    Where max_share leaves a mixture at all, that is sum_i min(share_high_i D, tokens_high_i) >= D.
    """
    if contradiction(box):
        raise conflict_error(box)
    return most_tokens_of(box)


def feasible(box: Box, C: float, served: float = 0.0) -> Box:
    """The box with its sizes narrowed to those for which the text lasts and C, FLOPs, pays for serving too.

    Raises InputError that names the limits which conflict, if there are none.
    """
    if contradiction(box, C, served):
        raise conflict_error(box, C, served)
    smallest = C / (6 * most_tokens_of(box) + 2 * served)
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
