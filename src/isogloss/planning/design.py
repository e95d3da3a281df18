"""design: which small runs, done first, narrow a plan most for their FLOPs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.errors import InputError, located
from isogloss.planning.answer import Plan
from isogloss.planning.constraints import Box, box_of, constraints_of, most_tokens
from isogloss.planning.design_answer import Design, DesignRun, Regret
from isogloss.planning.design_belief import Belief, belief_of
from isogloss.planning.design_decision import Decision, trial_of
from isogloss.planning.design_information import DRIFT, SEED, Noise, observe
from isogloss.planning.design_notes import notes
from isogloss.planning.design_runs import (
    Setting,
    SmallRun,
    candidates,
    cheapest,
    mixtures_for,
    setting_for,
    sizes,
)
from isogloss.planning.design_search import WORTH, Chosen, Search
from isogloss.planning.evidence import ground
from isogloss.planning.plan import plan
from isogloss.planning.question import Question, read_question, refuse_corpora, refuse_objective, refuse_phases
from isogloss.units import format_quantity, parse_quantity

# Draws at which runs and the decision are linearised: enough to hold laws under which small models learn nothing. Of
# many coefficients fewer, for time.
LINEARISED, FEWER, MANY = 32, 4, 100
# Truths that the regret is averaged over, and most of them where coefficients are many.
TRUTHS, FEWER_TRUTHS = 200, 50
# Languages beyond which transfer weights are too many to choose runs for.
MOST_LANGUAGES = 30
# Budgets tried, as multiples, for halving the regret once more.
FURTHER = (2, 4, 8, 16)
STAGES = ("planning", "what decides the plan", "what each run would tell", "choosing runs", "trying the design")


@dataclass(frozen=True, eq=False)
class Grounds:
    """All that runs are chosen by; `thetas` `(draws, P)` and `sensitivities` `(draws, P, K)`."""

    decision: Decision
    thetas: np.ndarray
    sensitivities: np.ndarray

    @property
    def belief(self) -> Belief:
        return self.decision.belief


def design(
    question: Question | str | Path | Mapping[str, Any],
    budget: float | str,
    *,
    noise: float = SEED,
    drift: float = DRIFT,
    largest: float | str | None = None,
    truths: int = TRUTHS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Design:
    """The small runs for `budget` FLOPs in all that lower the expected regret of the question's plan most.

    Regret is the plan's weighted mean loss over that of the best plan for the true laws, less 1. What is known of the
    laws is a Gaussian fitted to the plan's own draws; a run adds the information of its losses, of which seeds move
    the logarithm by `noise` (a standard deviation) and the law itself is off by `drift` per tenfold of parameters
    that it lies below the plan. `largest` bounds the runs' parameters. `truths` laws are drawn to say the regret
    before and after. `progress` is told each of STAGES.

    Raises InputError for a question that cannot be read or met or leaves nothing to decide, and for a budget that
    pays no useful run, naming the least that does; PlanError where the search finds no plan.
    """
    say = progress or (lambda _: None)
    total = _options(budget, noise, drift, truths, seed)
    asked = read_question(question)
    refuse_objective(asked, "designs are")
    refuse_corpora(asked, "designs are")
    refuse_phases(asked, "designs are")
    if len(asked.languages) > MOST_LANGUAGES:
        raise InputError(
            f"{len(asked.languages)} languages are too many to choose runs for, {MOST_LANGUAGES} are not",
            where="languages",
            hint="Ask for those of most weight, or one for each group of related languages.",
        )
    setting = setting_for(total)
    if total < cheapest(setting):
        raise _too_small(total, cheapest(setting), "cheapest")
    say(STAGES[0])
    stands = plan(asked if isinstance(question, Mapping) else question, draws=0, seed=seed)
    say(STAGES[1])
    with located(str(question) if isinstance(question, str | Path) else "question"):
        grounds = grounds_of(asked, stands, seed)
    say(STAGES[2])
    N_most = min(stands.N, parse_quantity(largest, "parameters") if largest is not None else np.inf)
    runs = runs_for(grounds, setting, total * FURTHER[-1], N_most, stands.epochs)
    if not runs or min(run.flops for run in runs) > total:
        hint = f"The smallest model of the ladder has {format_quantity(_smallest(setting))} parameters."
        raise InputError("no run is below both limits", where="budget, largest", hint=hint)
    search = search_among(grounds, runs, Noise(stands.N, noise, drift))
    say(STAGES[3])
    chosen = search.best(total)
    if not chosen.picks:
        raise _nothing_found(search, chosen, runs, total)
    say(STAGES[4])
    before, after = _tried(grounds, chosen, truths, seed)
    picked = _design_runs(chosen, runs)
    return Design(
        title=asked.title,
        languages=stands.languages,
        plan=stands,
        budget=total,
        setting=setting,
        runs=picked,
        flops=chosen.flops,
        expected_before=chosen.before,
        expected_after=chosen.after,
        before=before,
        after=after,
        to_halve=_to_halve(search, chosen, total),
        noise=noise,
        drift=drift,
        considered=len({id(r) for r in runs if r.flops <= total}),
        assumed=grounds.belief.assumed,
        warnings=notes(stands, picked, setting, total, chosen, before, grounds.belief, drift),
        seed=seed,
    )


def grounds_of(asked: Question, stands: Plan, seed: int) -> Grounds:
    """The belief, the decision, and how the one moves the other at some draws."""
    basis = ground(asked)
    box = box_of(constraints_of(asked, basis.U), len(basis.U))
    # However the plan counts FLOPs, near it N D is all but constant.
    C = 6 * stands.N * stands.D
    smallest = C / (6 * most_tokens(box)) * (1 + 1e-6)
    box = Box(box.tokens_high, box.share_low, box.share_high, max(box.N_low, smallest), box.N_high)
    belief = belief_of(basis, asked, seed)
    decision = Decision(
        belief, basis.U, basis.weights, C, asked.assumptions.guessing(basis.loss_unit), box, stands.N, stands.shares
    )
    rng = np.random.default_rng([seed, 3])
    count = LINEARISED if len(belief.mean) <= MANY else FEWER
    thetas = np.concatenate([belief.mean[None], belief.sample(count - 1, rng)])
    L = decision.sensitivities(thetas, decision.optima(thetas))
    if not np.abs(L).max() > 1e-9:
        raise InputError(
            "the limits leave nothing to decide: N, tokens and shares are what they must be, whatever runs say",
            where="limits",
            hint="Loosen share, min_share, max_epochs or the range of parameters.",
        )
    return Grounds(decision, thetas, L)


def runs_for(grounds: Grounds, setting: Setting, dearest: float, N_most: float, epochs: np.ndarray) -> list[SmallRun]:
    """Candidate runs; `epochs` `(K,)` are the plan's."""
    decision = grounds.decision
    codes = tuple(str(i) for i in range(len(decision.U)))
    mixtures = mixtures_for(codes, decision.shares, decision.weights, epochs)
    return list(candidates(mixtures, setting, dearest, N_most))


def search_among(grounds: Grounds, runs: list[SmallRun], noise: Noise) -> Search:
    decision = grounds.decision
    seen = observe(grounds.belief, grounds.thetas, runs, decision.U, decision.ceiling, noise)
    return Search(grounds.belief.cov, grounds.sensitivities, seen, runs)


def _options(budget: float | str, noise: float, drift: float, truths: int, seed: int) -> float:
    total = parse_quantity(budget, "flops")
    if not (math.isfinite(noise) and noise > 0):
        raise InputError(f"must be above 0, got {noise:g}", where="noise", hint=f"Say {SEED}.")
    if not (math.isfinite(drift) and drift >= 0):
        raise InputError(f"must be 0 or more, got {drift:g}", where="drift", hint=f"Say {DRIFT}.")
    if truths < 20:
        raise InputError(f"at least 20 truths are needed, got {truths}", where="truths", hint=f"Say {TRUTHS}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    return total


def _too_small(total: float, least: float, which: str) -> InputError:
    power = math.floor(math.log10(least))
    return InputError(
        f"{total:.3g} FLOPs pay no run that tells anything of this plan; the {which} run costs {least:.2g}",
        where="budget",
        hint=f"Give at least {math.ceil(least / 10**power)}e{power}.",
    )


def _nothing_found(search: Search, chosen: Chosen, runs: list[SmallRun], total: float) -> InputError:
    useful = [r.flops for r, gain in zip(runs, search.gains(), strict=True) if gain > WORTH * chosen.before]
    return _too_small(total, min(useful, default=total * FURTHER[-1]), "smallest useful")


def _smallest(setting: Setting) -> float:
    return sizes(setting)[0][1]


def _tried(grounds: Grounds, chosen: Chosen, truths: int, seed: int) -> tuple[Regret, Regret]:
    many = len(grounds.belief.mean) > MANY
    trial = trial_of(grounds.decision, min(truths, FEWER_TRUTHS) if many else truths, seed)
    return Regret.of(trial.regrets(grounds.belief.cov[None])), Regret.of(trial.regrets(chosen.covs))


def _design_runs(chosen: Chosen, runs: list[SmallRun]) -> tuple[DesignRun, ...]:
    """The most useful first. Runs that differ in length alone get seeds of their own: else they were one trunk."""
    used: Counter[tuple[str, int]] = Counter()
    out = []
    for pick in sorted(chosen.without, key=lambda p: -chosen.without[p]):
        run, count = runs[pick], chosen.picks.count(pick)
        trunk = (run.rung, id(run.mixture))
        seeds = tuple(range(used[trunk], used[trunk] + count))
        used[trunk] += count
        out.append(DesignRun(run, seeds, chosen.without[pick] / chosen.after - 1))
    return tuple(out)


def _to_halve(search: Search, chosen: Chosen, total: float) -> float | None:
    """FLOPs of a design with half of the regret that is left: between the budgets tried, straight in logarithms."""
    x, y = math.log(total), math.log(chosen.after)
    wanted = y - math.log(2)
    for factor in FURTHER:
        u, v = math.log(total * factor), math.log(search.best(total * factor, exchange=False).after)
        if v <= wanted:
            return math.exp(x + (u - x) * (y - wanted) / (y - v))
        x, y = (u, v) if v < y else (x, y)
    return None
