"""plan: from a question to size, tokens and mixture, each number with its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError, located
from isogloss.planning.aim import best_plan, goal_of, spending
from isogloss.planning.allocate import Allocation, Allocator
from isogloss.planning.answer import Alternative, Plan
from isogloss.planning.assumed import allowing
from isogloss.planning.constraints import Box, box_of, constraints_of, feasible
from isogloss.planning.corpora import corpus_rows
from isogloss.planning.cost import cost_of
from isogloss.planning.criterion import criterion_of
from isogloss.planning.draws import Drawn, draw_laws
from isogloss.planning.explain import binding, derived, given, warnings
from isogloss.planning.family import ground_of
from isogloss.planning.parts import parts_of
from isogloss.planning.phases import phase_rows
from isogloss.planning.plan_choices import plan_choices
from isogloss.planning.question import Question, read_question
from isogloss.planning.starting import Start, at_own_size, beginning, start_of
from isogloss.planning.uncertainty import uncertainty
from isogloss.runs.mixtures import naive_mixtures

PROFILE_SIZES = 25
PROFILE_FACTOR = 8.0
# Above so many languages the profile has half the sizes.
MANY = 150
DRAWS, LEVEL = 100, 0.8
# Fewer draws have no quantiles worth showing.
FEWEST_DRAWS = 10
STAGES = (
    "gathering evidence",
    "seeking the budget that reaches the target",
    "drawing laws and transfer",
    "searching for size and mixture",
    "trying other sizes",
    "finding each draw's own best plan",
)


def plan(
    question: Question | str | Path | Mapping[str, Any],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    allow_assumed: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """Answer a question (a TOML file, or a mapping of the same shape): N, D and the mixture together.

    Minimises the weighted mean of the languages' expected losses, or what [objective] says, under C = 6 N D (and 2 N
    for each token served) and the question's limits; C is the least that reaches a target where that is given. `draws`
    laws and transfer weights say how sure that is, in intervals of the central `level`; 0 leaves them out.
    `allow_assumed` plans languages of which nothing is known, too. `progress` is told each of STAGES. Raises InputError
    for a question that cannot be read or met, PlanError where the search finds no plan.
    """
    say = progress or (lambda _: None)
    _refuse_options(seed, draws, level)
    asked = allowing(read_question(question)) if allow_assumed else read_question(question)
    say(STAGES[0])
    with located(str(question) if isinstance(question, str | Path) else "question"):
        basis = ground_of(asked)
        whole = box_of(constraints_of(asked, basis.U), len(basis.U))
        begin = beginning(asked)
        if asked.budget.is_target:
            say(STAGES[1])
        spend = spending(asked, basis, whole, seed)
        box = feasible(whole, spend.C, spend.served)
        goal = goal_of(asked, basis, whole, spend)
    varies = bool(basis.laws.varies or basis.transfer.varies)
    if asked.objective.risk != "point" and not draws:
        raise InputError(
            f'objective.risk = "{asked.objective.risk}" is taken over draws, and there are none',
            where="draws",
            hint=f'Say {DRAWS}, or risk = "point".',
        )
    drawn = None
    if draws and varies:
        say(STAGES[2])
        laws = draw_laws(basis, draws, seed)
        drawn = Drawn(
            laws, basis.text, basis.weights, spend.C, asked.assumptions.guessing(basis.loss_unit), spend.served
        )
    say(STAGES[3])
    over = None if asked.objective.risk == "point" else drawn
    allocator, top = best_plan(asked, basis, box, spend, goal, over, seed)
    say(STAGES[4])
    sizes = _other_sizes(allocator, top, box)
    alternatives = _alternatives(allocator, top, box, asked)
    unsure = parts = None
    if drawn is not None:
        say(STAGES[5])
        naive = {a.name: a.shares for a in alternatives}
        unsure = uncertainty(
            drawn,
            top,
            box,
            goal=goal,
            languages=basis.languages,
            alternatives=naive,
            sizes=sizes,
            level=level,
            seed=seed,
        )
        parts = parts_of(drawn, top, box, unsure, goal=goal, languages=basis.languages)
    epochs = top.shares * top.D / basis.U
    start: Start | None = None
    if begin is not None:
        own_size = at_own_size(begin, asked, basis, whole, spend, goal, top, seed)
        start = start_of(begin, basis, top.N, top.shares * top.D, own_size, level=level, seed=seed)
    criterion = criterion_of(asked, basis.loss_unit)
    return Plan(
        title=asked.title,
        languages=basis.languages,
        N=top.N,
        D=top.D,
        C=spend.C - 2 * top.N * spend.served,
        shares=top.shares,
        epochs=epochs,
        epoch_caps=box.tokens_high / basis.U,
        text=basis.U,
        loss=top.loss,
        weights=basis.weights,
        objective=top.objective,
        criterion=criterion,
        binds=tuple(binding(top, box, basis, asked)),
        alternatives=alternatives,
        profile=_profile(sizes),
        evidence=(
            *given(asked, spend),
            *basis.evidence,
            *derived(basis, [a.name for a in alternatives], criterion.name),
        ),
        warnings=tuple(warnings(top, basis, asked, epochs, unsure, draws, spend)),
        loss_unit=basis.loss_unit,
        N_range=basis.N_range,
        starts=top.starts,
        agree=top.agree,
        uncertainty=unsure,
        parts=parts,
        cost=cost_of(asked, spend, top.N),
        start=start,
        choices=plan_choices(asked, basis, box, spend, goal, top),
        phases=phase_rows(asked, top.D, top.phased),
        corpora=tuple(corpus_rows(asked, basis, top.shares * top.D)),
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


def _other_sizes(allocator: Allocator, top: Allocation, box: Box) -> list[Allocation]:
    # Curves of many languages at once are dear, and as smooth: every second size will do.
    count = PROFILE_SIZES if len(allocator.U) <= MANY and allocator.drawn is None else PROFILE_SIZES // 2 + 1
    sizes = top.N * np.geomspace(1 / PROFILE_FACTOR, PROFILE_FACTOR, count)
    ends = [n for n in (box.N_low, box.N_high) if sizes[0] <= n <= sizes[-1]]
    sizes = sorted({*(float(n) for n in sizes if box.N_low <= n <= box.N_high), *ends, top.N})
    found = allocator.profile(sizes, box, top)
    kept = [top if N == top.N else a for N, a in zip(sizes, found, strict=True)]
    return [a for a in kept if a is not None]


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
        objective = allocator.objective(top.N, shares)
        out.append(Alternative(name, shares, tokens / allocator.U, loss, objective, over))
    return tuple(out)
