"""The user's own plan: what it should reach, its regret, and what changing it would buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.errors import InputError, PlanError
from isogloss.planning.allocate import Allocator
from isogloss.planning.answer import Plan
from isogloss.planning.assumed import allowing
from isogloss.planning.budget import Budget
from isogloss.planning.constraints import Box, box_of, constraints_of, most_tokens
from isogloss.planning.draws import Drawn, draw_laws
from isogloss.planning.evidence import Ground, ground
from isogloss.planning.given_answer import Change, Free
from isogloss.planning.given_answer import GivenPlan as GivenPlan
from isogloss.planning.given_mixture import Mixture, read_mixture
from isogloss.planning.given_savings import FARTHEST, Evaluator, best_size, compute_saved, estimate
from isogloss.planning.given_words import breaks, name_of, said
from isogloss.planning.kinds import Evidence
from isogloss.planning.plan import DRAWS, LEVEL, plan
from isogloss.planning.question import Question, read_question, refuse_objective, refuse_phases
from isogloss.planning.starting import OwnSize, Start, beginning, start_of
from isogloss.units import format_quantity, parse_quantity

STAGES = ("planning", "evaluating the given plan", "what would be better")
# Part of an even mixture in the one that a search starts from: what has nothing moves nowhere.
EVEN = 0.02


def evaluate_given(
    question: Question | str | Path | Mapping[str, Any],
    mixture: str | Path | Mapping[str, float],
    *,
    N: float | str | None = None,
    D: float | str | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    allow_assumed: bool = False,
    progress: Callable[[str], None] | None = None,
) -> GivenPlan:
    """Evaluate `mixture` (a CSV as `read_mixture` reads it, or shares by language) at N parameters and D tokens.

    N and D left out are those of the question's own plan. Compared with the best plans at C = 6 N D of the given one,
    over the same draws as `plan` takes. Raises InputError for a mixture, N or D that cannot be used, an [objective]
    other than the mean loss, and where no plan within the question's limits spends the given compute; else what `plan`
    raises.
    """
    say = progress or (lambda _: None)
    asked = allowing(read_question(question)) if allow_assumed else read_question(question)
    mix = read_mixture(mixture, asked)
    size = None if N is None else parse_quantity(N, "parameters", where="N")
    tokens = None if D is None else parse_quantity(D, "tokens", where="D")
    say(STAGES[0])
    options: dict[str, Any] = {"draws": draws, "level": level, "seed": seed, "allow_assumed": allow_assumed}
    refuse_objective(asked, "a plan of your own is")
    refuse_phases(asked, "the judgement of a plan of your own is")
    # What serves a target, or pays for tokens served, is not the least mean loss of its training compute.
    plain = not asked.budget.is_target and asked.budget.served_tokens is None
    reused = plain and size is None and tokens is None
    own = None
    if size is None or tokens is None:
        own = plan(question, **(options if reused else {**options, "draws": 0}))
        size, tokens = size or own.N, tokens or own.D
    C = 6 * size * tokens
    best = own if reused and own is not None else _best_at(asked, C, options)
    say(STAGES[1])
    basis = ground(asked)
    allocator = Allocator(basis.law, basis.text, basis.weights, C, asked.assumptions.guessing(basis.loss_unit))
    drawn = None
    if best.uncertainty is not None:
        drawn = Drawn(draw_laws(basis, draws, seed), basis.text, basis.weights, C, allocator.ceiling)
    evaluator = Evaluator(allocator, drawn, level)
    box = box_of(constraints_of(asked, basis.U), len(basis.U))
    loss = evaluator.losses(size, tokens, mix.shares)
    drawn_loss = evaluator.drawn_losses(size, tokens, mix.shares)
    drawn_mean = None if drawn_loss is None else drawn_loss @ basis.weights
    given = _Given(asked, size, tokens, mix, float(basis.weights @ loss), drawn_mean, evaluator, box, basis.U)
    say(STAGES[2])
    changes = [*_mixture_change(given, best), _size_change(given), _change(given, "everything", best.N, best.shares)]
    asked_C = _asked_compute(asked)
    return GivenPlan(
        languages=basis.languages,
        N=size,
        D=tokens,
        C=C,
        shares=mix.shares,
        epochs=mix.shares * tokens / basis.U,
        loss=loss,
        drawn_loss=drawn_loss,
        mean_loss=estimate(given.mean_loss, drawn_mean, level),
        regret=None if drawn_mean is None or best.uncertainty is None else drawn_mean / best.uncertainty.best_loss - 1,
        changes=tuple(changes),
        best=best,
        breaks=tuple(breaks(basis.languages, size, tokens, mix.shares, basis.U, box)),
        asked_C=asked_C,
        notes=tuple(_notes(given, best, asked_C, len(changes) < 3)),
        level=level,
        start=_start(given, best, basis, level, seed),
    )


def _start(given: _Given, best: Plan, basis: Ground, level: float, seed: int) -> Start | None:
    """At the given plan's compute a model of the checkpoint's size is the best plan's."""
    begin = beginning(given.asked)
    if begin is None or best.start is None:
        return None
    own_size = best.start.own_size or best.start.why_not
    if isinstance(own_size, OwnSize):
        own_size = replace(own_size, excess=own_size.objective / given.mean_loss - 1)
    return start_of(begin, basis, given.N, given.mixture.shares * given.D, own_size, level=level, seed=seed)


@dataclass(frozen=True, eq=False)
class _Given:
    asked: Question
    N: float
    D: float
    mixture: Mixture
    mean_loss: float
    drawn_mean: np.ndarray | None
    evaluator: Evaluator
    box: Box
    """The question's limits, whatever the budget."""
    U: np.ndarray

    @property
    def C(self) -> float:
        return 6 * self.N * self.D


def _best_at(asked: Question, C: float, options: dict[str, Any]) -> Plan:
    try:
        best = plan(asked.model_copy(update={"budget": _spending(asked, C)}), **options)
    except InputError as error:
        raise InputError(
            f"no plan within the question's limits spends the {C:.3g} FLOPs of the given one: {error.what}",
            where=error.where,
            hint=error.hint,
        ) from None
    source = Evidence("C", "given", "6 N D of the given plan")
    return replace(best, evidence=tuple(source if e.quantity == "C" else e for e in best.evidence))


def _spending(asked: Question, C: float) -> Budget:
    """The question's budget with C training FLOPs instead of what it gives; its accelerators stay."""
    other = ("gpu_hours", "hours", "days", "money", "loss", "target", "served_tokens")
    return asked.budget.model_copy(update={**dict.fromkeys(other), "flops": C})


def _asked_compute(asked: Question) -> float | None:
    try:
        return asked.budget.C
    except InputError:
        return None


def _mixture_change(given: _Given, best: Plan) -> list[Change]:
    """The best mixture at the given N and D; none where the text does not last for D tokens."""
    box = Box(given.box.tokens_high, given.box.share_low, given.box.share_high, given.N, given.N)
    if most_tokens(box) < given.D * (1 - 1e-9):
        return []
    even = np.full(len(given.U), 1 / len(given.U))
    starts = [(1 - EVEN) * p + EVEN * even for p in (best.shares, given.mixture.shares)]
    try:
        found = given.evaluator.allocator.best(box, starts, given.D)
    except PlanError:
        return []
    return [_change(given, "mixture", given.N, found.shares)]


def _size_change(given: _Given) -> Change:
    low, high = _sizes(given, given.mixture.shares, given.C)
    return _change(
        given, "size", best_size(given.evaluator, given.mixture.shares, given.C, low, high), given.mixture.shares
    )


def _sizes(given: _Given, shares: np.ndarray, C: float) -> tuple[float, float]:
    """Sizes at C that keep to the limits, where the given plan does: it is always among those at its own C."""
    most = np.maximum(given.box.tokens_high, given.mixture.shares * given.D)
    with np.errstate(divide="ignore"):
        D = float(np.where(shares > 0, most / shares, np.inf).min())
    low = max(min(given.box.N_low, given.N), C / (6 * D), given.N / FARTHEST)
    return low, max(low, min(max(given.box.N_high, given.N), given.N * FARTHEST))


def _change(given: _Given, free: Free, N: float, shares: np.ndarray) -> Change:
    evaluator, D = given.evaluator, given.C / (6 * N)
    loss = evaluator.losses(N, D, shares)
    mean, drawn = float(evaluator.weights @ loss), evaluator.drawn_mean(N, D, shares)
    saved = None if drawn is None or given.drawn_mean is None else 1 - drawn / given.drawn_mean

    def size_at(C: float) -> float:
        return given.N if free == "mixture" else best_size(evaluator, shares, C, *_sizes(given, shares, C))

    saves_loss = estimate(1 - mean / given.mean_loss, saved, evaluator.level)
    saves_compute = compute_saved(evaluator, given.C, given.mean_loss, given.drawn_mean, size_at, shares)
    words = said(
        tuple(given.asked.languages),
        (given.N, given.D, given.mixture.shares),
        (N, D, shares),
        saves_loss,
        saves_compute,
    )
    return Change(free, N, D, shares, loss, mean, saves_loss, saves_compute, words)


def _notes(given: _Given, best: Plan, asked_C: float | None, without_mixture: bool) -> list[str]:
    out = []
    if asked_C is not None and abs(given.C / asked_C - 1) > 0.01:
        out.append(
            f"the given plan takes {given.C:.3g} FLOPs (6 N D), {given.C / asked_C:.3g} times the question's budget of "
            f"{asked_C:.3g}: everything is compared at the given plan's compute."
        )
    if abs(given.mixture.total - 1) > 1e-6:
        out.append(f"the given shares sum to {given.mixture.total:.6g} and were scaled to 1.")
    if given.asked.budget.is_target or given.asked.budget.served_tokens is not None:
        out.append(
            "everything is compared at the training compute of the given plan, without targets or tokens served."
        )
    if given.evaluator.allocator.text.corpora:
        out.append("a language's tokens are taken as divided over its corpora in the best way, in the given plan too.")
    absent = [code for code, p in zip(given.asked.languages, given.mixture.shares, strict=True) if p == 0]
    if absent:
        names = ", ".join(name_of(code) for code in absent[:6])
        more = f" and {len(absent) - 6} more" if len(absent) > 6 else ""
        out.append(f"the given mixture has nothing of {names}{more}.")
    if without_mixture:
        out.append(
            f"no mixture within the question's limits lasts for {format_quantity(given.D)} tokens: "
            "there is none to compare with at the given N and D."
        )
    low, high = best.N_range
    if not low <= given.N <= high:
        out.append(
            f"the given N = {format_quantity(given.N)} lies outside the sizes behind the laws, "
            f"{format_quantity(low)} to {format_quantity(high)}."
        )
    if given.asked.start is None:
        out.append("both plans start from nothing: a given plan that continued another model reaches other losses.")
    else:
        out.append("all losses here are from scratch; what is said of the start is where continuing is ahead of them.")
    out.append("the warnings below this one are of the best plan at the given compute.")
    return out
