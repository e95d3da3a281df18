"""Where a plan should start: from scratch, or from the checkpoint that the question names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.errors import InputError, PlanError, located
from isogloss.planning.aim import MANY, Spending, start_tokens
from isogloss.planning.allocate import Allocation, Allocator, starting_mixtures
from isogloss.planning.checkpoints import Checkpoint
from isogloss.planning.constraints import FEWEST_TOKENS, Box, most_tokens
from isogloss.planning.crossover import DRAWS, FIT_DRAWS
from isogloss.planning.crossover_published import LEAST_N, MOST_N, published_crossing
from isogloss.planning.crossover_words import SURE
from isogloss.planning.evidence import Ground
from isogloss.planning.goal import Goal
from isogloss.planning.kinds import Evidence
from isogloss.planning.question import Question
from isogloss.planning.start import Crossing, grow, merge, quantiles
from isogloss.planning.start_question import StartFrom
from isogloss.planning.starting_answer import LanguageStart, OwnSize, Verdict
from isogloss.planning.starting_answer import Start as Start
from isogloss.planning.starting_words import beside_others, left, repeated, said_once, size_words, verdict_words
from isogloss.runs import read_runs
from isogloss.units import format_quantity

# Languages that are judged: those of the largest weight times share.
MOST = 12
# Part of an even mixture in the plan's own, from which the search at the checkpoint's size starts.
EVEN = 0.02


@dataclass(frozen=True, eq=False)
class Beginning:
    """What [start] gives, read and checked before any search."""

    checkpoint: Checkpoint
    asked: StartFrom
    fitted: tuple[str, ...]
    """Languages whose crossing is fitted to the question's runs."""
    trained: int = 0
    """Languages that these runs train on, where they say so."""


def beginning(asked: Question) -> Beginning | None:
    """None without [start]. Raises InputError for runs that cannot be used for any of the weighed languages."""
    if asked.start is None:
        return None
    weighed = [code for code, need in asked.languages.items() if need.weight > 0]
    with located("start"):
        checkpoint = asked.start.resolved(weighed)
        if asked.start.runs is None:
            return Beginning(checkpoint, asked.start, ())
        table = read_runs(asked.start.runs, where=asked.start.where)
        fitted = [code for code in weighed if code in table.targets] if table.targets else weighed
        if not fitted:
            raise InputError(
                f"the runs measure {', '.join(table.targets[:6])}, none of the languages that are weighed",
                where=table.source,
                hint="Leave runs out, or give runs of one of them.",
            )
        if not table.targets and len(weighed) > 1:
            raise InputError(
                "the runs do not say of which language their losses are",
                where=table.source,
                hint="Add a column target with the language of each row.",
            )
        # What fits takes long to load, and most questions have no runs.
        from isogloss.planning.crossover_fitted import both_kinds

        for code in fitted:
            both_kinds(table, code, asked.start.init)
        return Beginning(checkpoint, asked.start, tuple(fitted), len(table.languages))


def start_of(
    begin: Beginning,
    basis: Ground,
    N: float,
    tokens: np.ndarray,
    own_size: OwnSize | str,
    *,
    level: float,
    seed: int,
) -> Start:
    """Judge a plan of N parameters and `tokens` `(K,)`; `own_size` as `at_own_size` finds it, a str says why none.

    Every language is judged by the compute that goes into its own tokens, 6 N d: ATLAS compares models of one language
    (arXiv:2510.22037, section 6). What other languages bring is in `effective` only. Intervals are of the central
    `level` of the crossing's own draws. Raises InputError for runs that cannot be fitted.
    """
    judged, left_out = _judged(basis, tokens)
    effective = _effective(basis, tokens)
    weights = basis.weights[judged] / basis.weights[judged].sum()
    rows, evidence, warnings = [], [], []
    for i, weight in zip(judged, weights, strict=True):
        code = basis.languages[i]
        crossing, rests, more = _crossing(begin, code, N, level, seed)
        spent, counted = 6 * N * float(tokens[i]), 6 * N * float(effective[i])
        ahead, ahead_counted = (crossing.continue_is_better(C) for C in (spent, counted))
        verdict = "undecided" if crossing.status == "undecided" else verdict_of(ahead)
        measured = code in begin.fitted
        rows.append(
            LanguageStart(code, float(weight), crossing, spent, counted, ahead, ahead_counted, verdict, measured)
        )
        evidence += [(code, e) for e in rests]
        warnings += [(code, w) for w in more]
    ahead = float(sum(row.weight * row.ahead for row in rows))
    # What cannot be trained cannot be continued.
    unclear = sum(row.weight for row in rows if row.crossing.status == "undecided") > 1 - SURE
    verdict = "scratch" if isinstance(own_size, str) else "undecided" if unclear else verdict_of(ahead)
    found, why_not = (None, own_size) if isinstance(own_size, str) else (own_size, "")
    epochs = {code: float(t / U) for code, t, U in zip(basis.languages, tokens, basis.U, strict=True)}
    return Start(
        checkpoint=begin.checkpoint,
        N=N,
        languages=tuple(rows),
        left_out=tuple(left_out),
        ahead=ahead,
        verdict=verdict,
        sentence=verdict_words(begin.checkpoint, N, rows, ahead, verdict, why_not),
        own_size=found,
        why_not=why_not,
        size_sentence=size_words(begin.checkpoint, N, found),
        ways=(grow(), merge()),
        evidence=tuple(_evidence(evidence)),
        warnings=(
            *beside_others(rows, len(basis.languages), begin.trained),
            *repeated(rows, epochs),
            *left(left_out),
            *said_once(warnings),
        ),
        plan_languages=basis.languages,
    )


def verdict_of(ahead: float) -> Verdict:
    """By the part of the draws in which continuing is better."""
    return "continue" if ahead >= SURE else "scratch" if ahead <= 1 - SURE else "undecided"


def at_own_size(
    begin: Beginning,
    asked: Question,
    basis: Ground,
    whole: Box,
    spend: Spending,
    goal: Goal,
    top: Allocation,
    seed: int,
) -> OwnSize | str:
    """The best plan from scratch at the checkpoint's size, or why there is none; `top` is the plan itself.

    `whole` is the box of the question's limits, whatever the budget.
    """
    N, name = begin.checkpoint.params, begin.checkpoint.name
    size = format_quantity(N)
    if whole.N_high < N:
        return f"{name} does not fit: {size} parameters are more than the memory trains"
    bought, lasting = (spend.C / N - 2 * spend.served) / 6, most_tokens(whole) * (1 - 1e-6)
    D = min(bought, lasting)
    if bought < FEWEST_TOKENS:
        serving = " once serving is paid" if spend.served else ""
        return f"{name} cannot be trained: the budget buys {size} parameters {max(bought, 0):.3g} tokens{serving}"
    C = 6 * N * D + 2 * N * spend.served
    ceiling = asked.assumptions.guessing(basis.loss_unit)
    allocator = Allocator(basis.law, basis.text, basis.weights, C, ceiling, spend.served, goal)
    box = replace(whole, N_low=N, N_high=N)
    try:
        if len(basis.U) > MANY:
            # A whole search of many languages is dear, and the plan's own mixture is near.
            found = allocator.profile([N], box, top)[0]
        else:
            starts = starting_mixtures(basis.U, D, asked.limits.max_epochs, extra=2, seed=seed)[-3:]
            near = (1 - EVEN) * top.taken + EVEN * box.even
            found = allocator.best(box, [near, *map(box.spread, starts)], start_tokens(allocator, box))
    except PlanError:
        found = None
    if found is None:
        return f"no plan of {size} parameters, the size of {name}, meets the question's limits"
    excess = found.objective / float(goal.of(top.loss)) - 1
    return OwnSize(N, D, 6 * N * D, found.shares, found.loss, found.objective, excess, bought > lasting)


def _judged(basis: Ground, tokens: np.ndarray) -> tuple[list[int], list[str]]:
    """Places of the languages that are judged, and codes of those that are not."""
    weighed = np.flatnonzero(basis.weights > 0)
    order = weighed[np.argsort(-(basis.weights * tokens)[weighed], kind="stable")]
    return order[:MOST].tolist(), [basis.languages[i] for i in order[MOST:]]


def _effective(basis: Ground, tokens: np.ndarray) -> np.ndarray:
    """What each language's text and the others' count as `(K,)`, in tokens of its own."""
    if basis.by_shares:
        return tokens
    lambda_ = np.broadcast_to(np.asarray(basis.law.lambda_, float), tokens.shape)
    seen = basis.text.seen(tokens[None], lambda_[None])[0][0]
    return np.maximum(np.asarray(basis.law.effective_tokens(seen, seen[None, :], 0.0), float), 0.0)


def _crossing(
    begin: Beginning, code: str, N: float, level: float, seed: int
) -> tuple[Crossing, tuple[Evidence, ...], tuple[str, ...]]:
    if code in begin.fitted:
        from isogloss.planning.crossover_fitted import fitted_crossing

        with located("start"):
            runs, init, where = begin.asked.runs, begin.asked.init, begin.asked.where
            own = fitted_crossing(code, runs, N=N, init=init, where=where, level=level, draws=FIT_DRAWS, seed=seed)
        return own.crossing, own.evidence, own.warnings
    # The same seed for all languages: they share the formula, and what is not known of the checkpoint.
    found = published_crossing(code, N, begin.checkpoint, np.random.default_rng(seed), DRAWS)
    low, middle, high = quantiles(found.C, level)
    status = "crosses" if LEAST_N <= N <= MOST_N else "beyond"
    return Crossing(status, middle, low, high, level, found.C), found.evidence, found.warnings


def _evidence(found: Sequence[tuple[str, Evidence]]) -> list[Evidence]:
    """Sources that all languages share once, the others under the name of their language."""
    sources: dict[str, set[tuple[str, str]]] = {}
    for _, e in found:
        sources.setdefault(e.quantity, set()).add((e.kind, e.source))
    out: Mapping[str, Evidence] = {
        (name := e.quantity if len(sources[e.quantity]) == 1 else f"{e.quantity}.{code}"): Evidence(
            name, e.kind, e.source
        )
        for code, e in found
    }
    return list(out.values())
