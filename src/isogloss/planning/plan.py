"""plan: from a question to size, tokens and mixture, each number with its evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError, located
from isogloss.planning.allocate import Allocation, Allocator, starting_mixtures
from isogloss.planning.answer import Alternative, Plan
from isogloss.planning.constraints import Box, box_of, constraints_of, most_tokens
from isogloss.planning.draws import Drawn, draw_laws
from isogloss.planning.evidence import Ground, ground
from isogloss.planning.explain import binding, derived, given, warnings
from isogloss.planning.question import Question, read_question
from isogloss.planning.uncertainty import Uncertainty, uncertainty
from isogloss.runs.mixtures import naive_mixtures
from isogloss.units import format_quantity

# Tokens below which a run is not a model: with less, the budget is a typing mistake.
FEWEST_TOKENS = 1e6
PROFILE_SIZES = 25
PROFILE_FACTOR = 8.0
DRAWS, LEVEL = 100, 0.8
# Fewer draws have no quantiles worth showing.
FEWEST_DRAWS = 10
STAGES = (
    "gathering evidence",
    "searching for size and mixture",
    "trying other sizes",
    "drawing laws and transfer",
    "finding each draw's own best plan",
)


def plan(
    question: Question | str | Path | Mapping[str, Any],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """Answer a question (a TOML file, or a mapping of the same shape): N, D and the mixture together.

    Minimises the weighted mean of the languages' expected losses under C = 6 N D and the question's limits. `draws`
    laws and transfer weights say how sure that is, in intervals of the central `level`; 0 leaves them out. `progress`
    is told each of STAGES. Raises InputError for a question that cannot be read or met, PlanError where the search
    finds no plan.
    """
    say = progress or (lambda _: None)
    _refuse_options(seed, draws, level)
    asked = read_question(question)
    say(STAGES[0])
    C = asked.budget.C
    with located(str(question) if isinstance(question, str | Path) else "question"):
        basis = ground(asked)
        box = _feasible(box_of(constraints_of(asked, basis.U), len(basis.U)), C)
    allocator = Allocator(basis.law, basis.U, basis.weights, C, math.log(asked.assumptions.vocabulary))
    D_start = float(np.clip(math.sqrt(C / 6 * 50), C / 6 / box.N_high, C / 6 / box.N_low))
    starts = starting_mixtures(basis.U, D_start, asked.limits.max_epochs, extra=4, seed=seed)
    say(STAGES[1])
    top = allocator.best(box, starts, D_start)
    say(STAGES[2])
    sizes = _other_sizes(allocator, top, box)
    alternatives = _alternatives(allocator, top, box, asked)
    unsure = None
    if draws and (basis.laws.varies or basis.transfer.varies):
        say(STAGES[3])
        unsure = _uncertainty(basis, allocator, top, box, alternatives, sizes, draws, level, seed, say)
    epochs = top.shares * top.D / basis.U
    return Plan(
        title=asked.title,
        languages=basis.languages,
        N=top.N,
        D=top.D,
        C=C,
        shares=top.shares,
        epochs=epochs,
        epoch_caps=box.tokens_high / basis.U,
        text=basis.U,
        loss=top.loss,
        weights=basis.weights,
        objective=top.objective,
        binds=tuple(binding(top, box, basis)),
        alternatives=alternatives,
        profile=_profile(sizes),
        evidence=(*given(asked), *basis.evidence, *derived(basis, [a.name for a in alternatives])),
        warnings=tuple(warnings(top, basis, asked, epochs, unsure, draws)),
        loss_unit=basis.loss_unit,
        N_range=basis.N_range,
        starts=top.starts,
        agree=top.agree,
        uncertainty=unsure,
    )


def _refuse_options(seed: int, draws: int, level: float) -> None:
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    if draws != 0 and draws < FEWEST_DRAWS:
        raise InputError(
            f"intervals need at least {FEWEST_DRAWS} draws, got {draws}",
            where="draws",
            hint=f"Say {DRAWS}; 0 leaves the intervals out.",
        )
    if not 0 < level < 1:
        raise InputError(f"the level must be between 0 and 1, got {level:g}", where="level", hint=f"Say {LEVEL:g}.")


def _uncertainty(
    basis: Ground,
    allocator: Allocator,
    top: Allocation,
    box: Box,
    alternatives: tuple[Alternative, ...],
    sizes: list[Allocation],
    draws: int,
    level: float,
    seed: int,
    say: Callable[[str], None],
) -> Uncertainty:
    drawn = Drawn(draw_laws(basis, draws, seed), basis.U, basis.weights, allocator.C, allocator.ceiling)
    naive = {a.name: a.shares for a in alternatives}
    return uncertainty(
        drawn,
        top,
        box,
        languages=basis.languages,
        alternatives=naive,
        sizes=sizes,
        level=level,
        seed=seed,
        progress=say,
    )


def _feasible(box: Box, C: float) -> Box:
    """The box with its sizes narrowed to those for which the text lasts; InputError if there are none."""
    if box.N_low > box.N_high:
        raise InputError(
            f"min_params {format_quantity(box.N_low)} is above max_params {format_quantity(box.N_high)}",
            where="limits",
        )
    most = most_tokens(box)
    if C / (6 * box.N_low) < FEWEST_TOKENS:
        raise InputError(
            f"{C:.3g} FLOPs train no model: the smallest allowed, {format_quantity(box.N_low)} parameters, "
            f"would see {C / (6 * box.N_low):.3g} tokens",
            where="budget",
            hint="Raise the budget, or lower limits.min_params.",
        )
    smallest = C / (6 * most)
    if smallest > box.N_high:
        raise InputError(
            f"no model meets the budget: the text and the limits allow {format_quantity(most)} tokens, and to spend "
            f"{C:.3g} FLOPs on them takes {format_quantity(smallest)} parameters, above max_params "
            f"{format_quantity(box.N_high)}",
            where="limits",
            hint="Raise max_params or max_epochs, lower min_share, add text or languages, or lower the budget.",
        )
    # A hair inside, so that the smallest size is not met by one mixture alone.
    return Box(box.tokens_high, box.share_low, box.share_high, max(box.N_low, smallest * (1 + 1e-6)), box.N_high)


def _other_sizes(allocator: Allocator, top: Allocation, box: Box) -> list[Allocation]:
    sizes = top.N * np.geomspace(1 / PROFILE_FACTOR, PROFILE_FACTOR, PROFILE_SIZES)
    sizes = sorted({*(float(n) for n in sizes if box.N_low <= n <= box.N_high), top.N})
    return [a for a in allocator.profile(sizes, box, top) if a is not None]


def _profile(sizes: list[Allocation]) -> pl.DataFrame:
    rows = [{"N": a.N, "D": a.D, "objective": a.objective} for a in sizes]
    return pl.DataFrame(rows, schema={"N": pl.Float64, "D": pl.Float64, "objective": pl.Float64})


def _alternatives(allocator: Allocator, top: Allocation, box: Box, asked: Question) -> tuple[Alternative, ...]:
    mixtures = naive_mixtures(allocator.U, top.D, T=asked.assumptions.temperature, max_epochs=asked.limits.max_epochs)
    out = []
    for name, shares in mixtures.items():
        loss = allocator.losses(top.N, shares)
        tokens = shares * top.D
        over = tuple(
            code for code, t, cap in zip(asked.languages, tokens, box.tokens_high, strict=True) if t > cap * (1 + 1e-6)
        )
        out.append(Alternative(name, shares, tokens / allocator.U, loss, float(allocator.weights @ loss), over))
    return tuple(out)
