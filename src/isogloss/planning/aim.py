"""From the question's [objective] and [budget] to what the search makes small, and the FLOPs that it may spend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from isogloss.errors import InputError
from isogloss.planning.allocate import Allocation, Allocator, starting_mixtures
from isogloss.planning.constraints import Box, feasible
from isogloss.planning.draws import Drawn
from isogloss.planning.evidence import Ground
from isogloss.planning.goal import Goal
from isogloss.planning.known_laws import NAMES, known_laws
from isogloss.planning.question import LanguageNeed, Objective, Question
from isogloss.planning.slopes import Laws, Problem
from isogloss.planning.target import Coefficients, compute_for_loss, target_losses

# Tokens at which a language alone is tried: the best of so many has no error that matters.
TRIED_ALONE = 4001
# Above so many languages the budget for a target is sought from fewer starts.
MANY = 50
# A search over draws is that much dearer: above so many languages it begins at the point laws' plan alone.
MANY_AT_RISK = 20


@dataclass(frozen=True, eq=False)
class Spending:
    """FLOPs C for training and serving `served` tokens; `goals` are the losses to reach, if the budget was found."""

    C: float
    served: float
    goals: Mapping[str, float]
    found: bool = False


def spending(asked: Question, basis: Ground, box: Box, seed: int) -> Spending:
    """What the question allows to be spent, or the least that reaches its target. Raises InputError where none does."""
    budget, served = asked.budget, asked.budget.served_tokens or 0.0
    if not budget.is_target:
        return Spending(budget.total, served, {})
    if asked.objective != Objective():
        raise InputError(
            f"budget.{budget.way} is an objective of its own",
            where="objective",
            hint="Leave [objective] out, or give the budget in flops, hours or money.",
        )
    floor = np.broadcast_to(np.asarray(basis.law.E, float), basis.U.shape)
    if budget.loss is not None:
        goals, goal = {"mean": budget.loss}, Goal(basis.weights)
        wanted, floor = budget.loss, float(basis.weights @ floor)
    else:
        _refuse_other_units(asked)
        goals = target_losses(budget.target or {}, lambda code: _law_of(code, asked, basis))
        _refuse_below(goals, basis, floor)
        # The worst part of its target that any language reaches; 1 and less is all of them.
        goal, wanted, floor = _towards(goals, basis), 1.0, None
    found = compute_for_loss(
        lambda C: _best(asked, basis, box, C, served, goal, seed).objective,
        wanted,
        floor=floor,
        names=["the weighted mean loss" if budget.loss is not None else "the worst loss as part of its target"],
    )
    return Spending(found.C, served, goals, found=True)


def goal_of(asked: Question, basis: Ground, box: Box, spend: Spending) -> Goal:
    """Raises InputError where a language alone can train no model to be measured against."""
    if spend.found and asked.budget.target is not None:
        return _towards(spend.goals, basis)
    scale = None
    if asked.objective.measure == "normalised":
        scale = 1 / losses_alone(basis, box, spend, asked.assumptions.guessing(basis.loss_unit))
    return Goal(basis.weights, scale, worst=asked.objective.languages == "worst")


def losses_alone(basis: Ground, box: Box, spend: Spending, ceiling: float) -> np.ndarray:
    """The least loss of every language `(K,)` with all the budget to itself, within its epochs and the range of N."""
    problem = Problem(Laws.of(basis.law, len(basis.U)), basis.text, spend.C, ceiling, spend.served)
    most = np.log(np.minimum(box.tokens_high, problem.tokens(box.N_low)))
    tokens = np.exp(np.linspace(0, 1, TRIED_ALONE)[:, None] * most)
    # Where the text of one language is short, some of the budget may be left.
    N = np.clip(problem.params(tokens), box.N_low, box.N_high)
    seen, _ = basis.text.seen(tokens, problem.laws.values["lambda_"])
    loss = np.asarray(basis.law.loss_at(N, seen, 1.0))
    return np.minimum(loss.min(axis=0), ceiling)


def best_plan(
    asked: Question, basis: Ground, box: Box, spend: Spending, goal: Goal, over: Drawn | None, seed: int
) -> tuple[Allocator, Allocation]:
    """The search itself, and the problem that it solved; `box` as `feasible` leaves it."""
    point = Allocator(
        basis.law, basis.text, basis.weights, spend.C, asked.assumptions.guessing(basis.loss_unit), spend.served, goal
    )
    D = start_tokens(point, box)
    starts = starting_mixtures(basis.U, D, asked.limits.max_epochs, extra=4, seed=seed)
    risk = asked.objective.risk
    if over is None or risk == "point":
        return point, point.best(box, starts, D)
    first = point.best(box, starts, D)
    allocator = replace(point, drawn=over, risk=risk)
    near = 0.98 * first.taken + 0.02 * box.even
    few = len(basis.U) > MANY_AT_RISK
    others = [] if few else [box.spread(p) for p in starts[-3:]]
    return allocator, allocator.best(box, [near, *others], first.D if few else D)


def start_tokens(allocator: Allocator, box: Box) -> float:
    """D at 50 tokens per parameter, inside the box."""
    low, high = (float(allocator.problem.tokens(N)) for N in (box.N_high, box.N_low))
    return float(np.clip(math.sqrt(allocator.C / 6 * 50), max(low, 1.0), high))


def _best(asked: Question, basis: Ground, box: Box, C: float, served: float, goal: Goal, seed: int) -> Allocation:
    inside = feasible(box, C, served)
    allocator = Allocator(
        basis.law, basis.text, basis.weights, C, asked.assumptions.guessing(basis.loss_unit), served, goal
    )
    D = start_tokens(allocator, inside)
    starts = starting_mixtures(basis.U, D, asked.limits.max_epochs, extra=2, seed=seed)
    return allocator.best(inside, starts[-2:] if len(basis.U) > MANY else starts, D)


def _towards(goals: Mapping[str, float], basis: Ground) -> Goal:
    wanted = np.array([goals.get(code, math.inf) for code in basis.languages])
    counted = np.isfinite(wanted)
    return Goal(counted / counted.sum(), 1 / np.where(counted, wanted, 1.0), worst=True)


def _law_of(code: str, asked: Question, basis: Ground) -> Coefficients:
    """Of the plan itself where the language is in it: own runs have moved those laws, and set their unit."""
    if code in basis.languages:
        at = basis.languages.index(code)
        E, A, alpha, B, beta = (float(np.broadcast_to(getattr(basis.law, n), basis.U.shape)[at]) for n in NAMES)
    else:
        known = known_laws(asked.model_copy(update={"languages": {code: LanguageNeed()}}))
        E, A, alpha, B, beta = known.values[0].tolist()
    return E, A, alpha, B, beta


def _refuse_other_units(asked: Question) -> None:
    """InputError for a target like a language whose law is in another unit, as far as that can be told."""
    for code, target in (asked.budget.target or {}).items():
        if target.like is None or target.like == code:
            continue
        like = asked.languages.get(target.like)
        own, theirs = asked.languages[code].fit is not None, like is not None and like.fit is not None
        if asked.runs is not None and like is None:
            why = f"the laws are fitted to your runs, in their unit, and that of {target.like} is published in another"
            hint = f"Add {target.like} to the languages (weight = 0 will do), or give the loss itself."
        elif own != theirs:
            fitted, published = (code, target.like) if own else (target.like, code)
            why = f"the law of {fitted} is your fit's, in its unit, and that of {published} is published in another"
            hint = f"Name a fit of {published} too, or give the loss itself."
        else:
            continue
        raise InputError(why, where=f"budget.target.{code}", hint=hint)


def _refuse_below(goals: Mapping[str, float], basis: Ground, floor: np.ndarray) -> None:
    for code, least in zip(basis.languages, floor, strict=True):
        if goals.get(code, math.inf) <= least:
            raise InputError(
                f"{code} cannot reach {goals[code]:.4g}: its law's irreducible loss is {least:.4g}",
                where="budget.target",
                hint="Ask for a higher loss.",
            )
