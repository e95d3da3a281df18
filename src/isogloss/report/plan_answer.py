"""The answer of a plan in plain words, and what would change it, as cards."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isogloss.planning.flat import FLAT, FlatRange, flat_range
from isogloss.planning.plan import PROFILE_FACTOR
from isogloss.report.card import Card
from isogloss.report.plan_cost import costs
from isogloss.report.plan_parts import NOTE as PARTS_NOTE
from isogloss.report.plan_parts import parts_words
from isogloss.report.plan_rows import MIXTURES, at_cap, by_share, central
from isogloss.report.words import about, count, flops, language_names, listed, loss, per_cent, percent, quantity, times

if TYPE_CHECKING:
    from isogloss.planning import Plan, Uncertainty

# Languages of the mixture that are named; contributors that are shown.
NAMED, SHOWN = 6, 12
CODE = re.compile(r"\b[a-z]{3}_[A-Z][a-z]{3}\b")
# Mean losses this close, relative, are the same to anyone.
SAME = 5e-5
# Shares below this are nothing that one would say.
LEAST_SHARE = 1e-5


def words_card(plan: Plan) -> Card:
    """One page for who decides: what to train, what it should reach, how sure that is, what would change it."""
    names = language_names(plan.languages)
    rows = {
        "Train": f"{about(plan.N)} parameters on {quantity(plan.D)} tokens, {flops(plan.C)} FLOPs, "
        f"{_ratio(plan.D / plan.N)} tokens per parameter.",
        "Costs": " ".join(costs(plan)),
        "Mixture": _mixture(plan, names) + (" The phases differ: see below." if plan.phases else ""),
        "Reaches": _reach(plan),
        "How sure": _how_sure(plan),
        **({"Start": plan.start.sentence} if plan.start else {}),
        "Matters": " ".join(_changes(plan, names)),
        "Rests on": f"The weakest number behind it is {plan.kind_of('N')}; the table of evidence has the "
        "source of each.",
    }
    return Card(
        id="answer",
        title="The answer",
        sentence=f"{_start(plan)} {about(plan.N)} parameters on {quantity(plan.D)} tokens; {repetition(plan, names)}.",
        table=pl.DataFrame({"What": list(rows), "Answer": list(rows.values())}),
    )


def changes_card(plan: Plan) -> Card:
    """The sizes that do as well, the limits that hold, and whose loss makes the interval wide."""
    names = language_names(plan.languages)
    unsure = plan.uncertainty
    title = "What would change the answer"
    if unsure is None:
        return Card("changes", title, " ".join(_changes(plan, names)))
    parts = contributions(unsure, plan.weights)
    order = np.argsort(-np.abs(parts), kind="stable")[:SHOWN]
    low, high = unsure.bounds(unsure.shares)
    between = f"{central(unsure.level)} of draws"
    table = pl.DataFrame(
        {
            "Language": [names[plan.languages[i]] for i in order],
            "Part of the mean loss's variance, %": parts[order],
            "Weight, %": plan.weights[order],
            "Share here, %": plan.shares[order],
            f"Best share in {between}, %": [f"{percent(float(low[i]))} to {percent(float(high[i]))}" for i in order],
        }
    )
    first = names[plan.languages[order[0]]]
    note = (
        "Part of the variance: covariance of the language's weighted loss with the mean loss over the draws, by the "
        "variance of the mean. All parts sum to 100 %; one is below 0 if it moves against the rest."
    )
    more = (f"The {SHOWN} largest of {len(parts)} are shown.",) if len(parts) > SHOWN else ()
    return Card(
        id="changes",
        title=title,
        sentence=f"{' '.join(_changes(plan, names))} The mean loss is least sure for {first}: its loss makes "
        f"{per_cent(float(parts[order[0]]))} of the variance.",
        table=table,
        notes=(*([parts_words(plan), PARTS_NOTE] if parts_words(plan) else []), note, *more),
        formats={
            **{c: "percent" for c in table.columns if c.endswith("%") and "draws" not in c},
            f"Best share in {between}, %": "number",
        },
    )


def contributions(unsure: Uncertainty, weights: np.ndarray) -> np.ndarray:
    """Each language's part of the variance of the plan's mean loss `(K,)`, which sum to 1: cov(w L, mean) / var."""
    mean = unsure.loss @ weights
    centred = mean - mean.mean()
    variance = float(centred @ centred)
    if variance == 0:
        return np.zeros(len(weights))
    return weights * (centred @ (unsure.loss - unsure.loss.mean(axis=0))) / variance


def flat_sizes(plan: Plan) -> FlatRange:
    """Sizes as good as the best, averaged over the draws where there are draws."""
    if plan.uncertainty is not None:
        return plan.uncertainty.flat()
    return flat_range(plan.profile["N"].to_numpy(), plan.profile["objective"].to_numpy())


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def flat_ends(plan: Plan, said: Callable[[float], str] = about) -> tuple[str, str]:
    """Both ends of `flat_sizes` in words: where it ends by what was tried, and where the limits end it."""
    flat = flat_sizes(plan)
    # Sizes are tried as far as this factor unless the limits come before.
    tried = PROFILE_FACTOR * 0.999
    low, high = said(flat.low), said(flat.high)
    if flat.open_low:
        low += " or less" if plan.N / flat.low >= tried else " (the smallest within the limits)"
    if flat.open_high:
        high += " or more" if flat.high / plan.N >= tried else " (the largest within the limits)"
    return low, high


def repetition(plan: Plan, names: dict[str, str]) -> str:
    """How often text is repeated, in words: what is held by its cap, else what is repeated most."""
    repeated = at_cap(plan) & (plan.epochs > 1.001)
    if repeated.any():
        caps = {times(e) for e in plan.epochs[repeated]}
        held = [names[plan.languages[i]] for i in by_share(plan) if repeated[i]]
        who = listed(held) if len(held) <= 6 else f"{len(held)} of {len(names)} languages"
        often = f"seen {caps.pop().removesuffix('.0')} times, " if len(caps) == 1 else "seen "
        return f"{who} {'is' if len(held) == 1 else 'are'} {often}as often as allowed"
    most = int(np.argmax(plan.epochs))
    if plan.epochs[most] <= 1.001:
        return "no text is seen twice"
    return f"no text is seen more than {times(float(plan.epochs[most]))} times ({names[plan.languages[most]]})"


def bind_in_words(bind: str, names: dict[str, str]) -> str:
    """A limit with its languages by name, such as "epoch cap 4: Estonian, Latvian and 3 more"."""
    return CODE.sub(lambda code: names.get(code[0], code[0]), bind)


def aim_of(plan: Plan) -> str:
    """What the plan makes small, at the start of a sentence."""
    name = plan.criterion.name
    return f"{name[0].upper()}{name[1:]}"


def _start(plan: Plan) -> str:
    """What stands before the size: where continuing the question's checkpoint is better, that."""
    if plan.start is None or plan.start.verdict != "continue":
        return "Train"
    return f"Continue from {plan.start.checkpoint.name} rather than train from scratch. The best from scratch:"


def _mixture(plan: Plan, names: dict[str, str]) -> str:
    order = [i for i in by_share(plan) if plan.shares[i] >= LEAST_SHARE]
    none = [names[code] for code, share in zip(plan.languages, plan.shares, strict=True) if share < LEAST_SHARE]
    shown = [f"{names[plan.languages[i]]} {per_cent(float(plan.shares[i]))}" for i in order[:NAMED]]
    rest = float(plan.shares[order[NAMED:]].sum())
    more = f", and {per_cent(rest)} for {count(len(order) - NAMED, 'other')}" if len(order) > NAMED else ""
    nothing = f" Next to nothing for {listed(none)}." if none else ""
    text = repetition(plan, names)
    return f"{', '.join(shown)}{more}.{nothing} {text[0].upper()}{text[1:]}."


def _reach(plan: Plan) -> str:
    unsure = plan.uncertainty
    text = f"{aim_of(plan)}: {loss(plan.objective)}"
    if unsure is not None:
        mean = unsure.interval(unsure.objective)
        text += f" ({loss(mean.low)} to {loss(mean.high)} in {central(unsure.level)} of the draws)"
        if loss(mean.low) == loss(mean.high):
            # A law without an interval is the same in all draws: that is no certainty.
            text = f"{aim_of(plan)}: {loss(plan.objective)} (no interval: its laws were published without one)"
    allowed = [a for a in plan.alternatives if not a.over_cap]
    if not allowed:
        return f"{text}."
    rival = min(allowed, key=lambda a: a.objective)
    gain = rival.objective / plan.objective - 1
    side = "as good as" if abs(gain) < SAME else f"{per_cent(abs(gain))} {'below' if gain > 0 else 'above'}"
    return f"{text}, {side} {MIXTURES[rival.name]}, the best naive mixture within the epoch caps."


def _how_sure(plan: Plan) -> str:
    unsure = plan.uncertainty
    if unsure is None:
        return "No interval was made: see what to read before use."
    N, regret = unsure.interval(unsure.N), unsure.interval(unsure.regret)
    return (
        f"{central(unsure.level)} of {unsure.count} draws of laws and transfer have their best size between "
        f"{about(N.low)} and {about(N.high)} parameters; against each draw's own best the plan loses "
        f"{per_cent(regret.low)} to {per_cent(regret.high)} of its {plan.criterion.of_draw}."
    )


def _changes(plan: Plan, names: dict[str, str]) -> list[str]:
    out = []
    if plan.profile.height >= 2:
        low, high = flat_ends(plan)
        out.append(
            f"The size matters little from {low} to {high}: any has a {plan.criterion.of_draw} within "
            f"{per_cent(FLAT)} of the least."
        )
    if plan.binds:
        out.append(f"Limits that hold it: {'; '.join(bind_in_words(b, names) for b in plan.binds)}.")
    else:
        out.append("No limit holds it, only the budget.")
    return out
