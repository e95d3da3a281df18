"""The page of the user's own plan: what it should reach, what isogloss would change, what that buys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_dots import changes_dots, in_words, shares_dots
from isogloss.report.plan_evidence import evidence_card
from isogloss.report.plan_page import warnings_card
from isogloss.report.plan_reproduce import Reproduce, reproduce_card
from isogloss.report.plan_rows import central
from isogloss.report.plan_start import start_cards
from isogloss.report.render import to_html
from isogloss.report.words import about, flops, language_names, loss, per_cent, quantity, times

if TYPE_CHECKING:
    from isogloss.planning.given import GivenPlan
    from isogloss.planning.given_savings import Estimate
    from isogloss.report.words import Format

FREE = {"mixture": "only the mixture", "size": "only N", "everything": "N and the mixture"}
# The same in a word, for the narrow column of the answer.
SHORT = {"mixture": "Mixture", "size": "Size", "everything": "Both"}


def given_page(answer: GivenPlan, made: Reproduce) -> str:
    cards = given_cards(answer)
    cards = [cards[0], warnings_card([*answer.notes, *answer.best.warnings]), *cards[1:], reproduce_card(made)]
    title = answer.best.title
    subtitle = f"Your plan: {quantity(answer.N)} parameters on {quantity(answer.D)} tokens, {flops(answer.C)} FLOPs"
    return to_html(f"{title}: your plan" if title else "Your plan", subtitle, cards)


def given_cards(answer: GivenPlan) -> list[Card]:
    return [
        _answer_card(answer),
        _changes_card(answer),
        _languages_card(answer),
        *start_cards(answer.start),
        evidence_card(answer.best),
    ]


def _answer_card(answer: GivenPlan) -> Card:
    between = "" if answer.mean_loss.low is None else f" in {central(answer.level)} of the draws"
    rows = {
        "Your plan": f"{about(answer.N)} parameters on {quantity(answer.D)} tokens, {flops(answer.C)} FLOPs.",
        "Reaches": f"A mean expected loss of {loss(answer.mean_loss.value)}{_span(answer)}{between}.",
        "May lose": _regret(answer),
        "Breaks": f"{'; '.join(answer.breaks)}." if answer.breaks else "None of the question's.",
        **({"Start": answer.start.sentence} if answer.start else {}),
        **{SHORT[c.free]: f"{c.words[0].upper()}{c.words[1:]}." for c in answer.changes},
    }
    most = answer.change("everything")
    saved = 0.0 if most is None else most.saves_loss.value
    if saved >= 5e-5:
        verdict = f"The best plan at its compute saves {per_cent(saved)} of its mean loss."
    elif saved > -5e-5:
        verdict = "No plan at its compute is better."
    else:
        verdict = f"It is {per_cent(-saved)} better than any plan within the limits, since it breaks them."
    return Card(
        id="answer",
        title="The answer",
        sentence=f"Your plan should reach a mean loss of {loss(answer.mean_loss.value)}. {verdict}",
        table=pl.DataFrame({"What": list(rows), "Answer": list(rows.values())}),
    )


def _changes_card(answer: GivenPlan) -> Card:
    changes = answer.changes
    names = [FREE[c.free] for c in changes]
    table = pl.DataFrame(
        {
            "Change": names,
            "N": [quantity(c.N) for c in changes],
            "D": [quantity(c.D) for c in changes],
            "Mean loss": [c.mean_loss for c in changes],
            "Saves, % of loss": [in_words(c.saves_loss) for c in changes],
            "Or, % of compute": [in_words(c.saves_compute) for c in changes],
        }
    )
    best = max(changes, key=lambda c: c.saves_loss.value if c.free != "everything" else -np.inf)
    return Card(
        id="changes",
        title="What would be better, and what that buys",
        sentence=f"Changing {FREE[best.free]} saves {per_cent(best.saves_loss.value)} of the mean loss."
        if best.saves_loss.value > 0
        else "No single change within the question's limits is better.",
        chart=changes_dots(names, [c.saves_loss for c in changes], "loss saved at equal compute"),
        table=table,
        notes=(
            "Compute at equal loss: how much less of it reaches your plan's mean loss, this mixture held.",
            f"All at {flops(answer.C)} FLOPs. Below zero where your plan breaks a limit of the question.",
            *((f"Bars hold {central(answer.level)} of the draws.",) if answer.drawn_loss is not None else ()),
        ),
        formats={
            "N": "number",
            "D": "number",
            "Mean loss": "loss",
            "Saves, % of loss": "number",
            "Or, % of compute": "number",
        },
    )


def _languages_card(answer: GivenPlan) -> Card:
    names, best, mixture = language_names(answer.languages), answer.best, answer.change("mixture")
    order = np.argsort(-np.maximum(answer.shares, best.shares), kind="stable")
    shown = [names[answer.languages[i]] for i in order]
    plans = {"yours": answer.shares[order]}
    if mixture is not None:
        plans["best at your N and D"] = mixture.shares[order]
    plans["best of all"] = best.shares[order]
    losses = answer.losses()
    table = pl.DataFrame(
        {
            "Language": shown,
            "Weight, %": best.weights[order],
            **{f"Share, {name}, %": values for name, values in plans.items()},
            "Epochs, yours": [times(float(answer.epochs[i])) for i in order],
            "Loss, yours": answer.loss[order],
            **_spans(answer, [losses[i] for i in order]),
            **({} if mixture is None else {"Loss, best at your N and D": mixture.loss[order]}),
            "Loss, best of all": best.loss[order],
        }
    )
    step = mixture.shares - answer.shares if mixture is not None else best.shares - answer.shares
    i = int(np.argmax(np.abs(step)))
    what = "At your N and D" if mixture is not None else "In the best plan of all"
    return Card(
        id="languages",
        title="Shares and losses per language",
        sentence=f"{what} {names[answer.languages[i]]} would move most, from {per_cent(float(answer.shares[i]))} to "
        f"{per_cent(float(answer.shares[i] + step[i]))}.",
        chart=shares_dots(shown, {name: list(map(float, v)) for name, v in plans.items()}),
        table=table,
        notes=(f"Loss is {best.loss_unit}; losses of different languages are not on one scale.",),
        formats={c: _format(c) for c in table.columns[1:]},
    )


def _format(column: str) -> Format:
    if column.endswith("%"):
        return "percent"
    return "loss" if column.startswith("Loss,") else "number"


def _spans(answer: GivenPlan, losses: Sequence[Estimate]) -> dict[str, list[str]]:
    if answer.drawn_loss is None:
        return {}
    spans = [f"{loss(e.low)} to {loss(e.high)}" for e in losses if e.low is not None and e.high is not None]
    return {f"Your loss in {central(answer.level)} of draws": spans}


def _regret(answer: GivenPlan) -> str:
    if answer.regret is None:
        return "No interval was made."
    low, high = np.quantile(answer.regret, [(1 - answer.level) / 2, (1 + answer.level) / 2])
    return (
        f"{per_cent(float(low))} to {per_cent(float(high))} of its mean loss against each draw's own best plan, in "
        f"{central(answer.level)} of the draws; {per_cent(float(answer.regret.mean()))} on average."
    )


def _span(answer: GivenPlan) -> str:
    mean = answer.mean_loss
    return "" if mean.low is None or mean.high is None else f", {loss(mean.low)} to {loss(mean.high)}"
