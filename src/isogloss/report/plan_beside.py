"""The page of two plans side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from isogloss.planning.answer import NO_SHARE
from isogloss.report.card import Card
from isogloss.report.plan_dots import changes_dots, in_words, shares_dots
from isogloss.report.plan_evidence import evidence_card
from isogloss.report.plan_page import warnings_card
from isogloss.report.plan_reproduce import Reproduce, reproduce_card
from isogloss.report.plan_rows import central
from isogloss.report.render import to_html
from isogloss.report.words import flops, language_names, listed, loss, per_cent, quantity, times

if TYPE_CHECKING:
    from isogloss.planning import Plan
    from isogloss.planning.beside import Beside, LanguageBeside
    from isogloss.planning.given_savings import Estimate


def beside_page(answer: Beside, made: Reproduce) -> str:
    first, *others = beside_cards(answer)
    a, b = answer.names
    notes = [*answer.notes, *notes_of_each(answer)]
    cards = [first, warnings_card(notes), *others, reproduce_card(made)]
    titles = [p.title for p in answer.plans if p.title]
    return to_html(f"{a} and {b}", listed(list(dict.fromkeys(titles))) if titles else "Two plans", cards)


def beside_cards(answer: Beside) -> list[Card]:
    return [
        _answer_card(answer),
        _differences_card(answer),
        *([_languages_card(answer), _losses_card(answer)] if answer.languages else []),
        *_evidence_cards(answer),
    ]


def _answer_card(answer: Beside) -> Card:
    first, second = answer.names
    a, b = (_numbers(p) for p in answer.plans)
    names: list[str] = list(_NUMBERS)
    if any(p.criterion.short != PLAIN for p in answer.plans):
        names.append("Makes small")
        for numbers, p in zip((a, b), answer.plans, strict=True):
            numbers.append(f"{p.criterion.short}: {loss(p.objective)}")
    table = pl.DataFrame({"Quantity": names, first: a, second: b})
    return Card(
        id="answer",
        title="The two plans",
        sentence=answer.sentence,
        table=table,
        formats={first: "number", second: "number"},
    )


# What a plan makes small unless its question says otherwise.
PLAIN = "mean loss"
_NUMBERS = (
    "Parameters N",
    "N, where the draws have their best",
    "Training tokens D",
    "Training compute C, FLOPs",
    "Tokens per parameter",
    "Languages",
    "Mean expected loss",
    "Regret",
)


def _numbers(plan: Plan) -> list[str]:
    unsure = plan.uncertainty
    N = regret = ""
    mean = loss(float(plan.weights @ plan.loss))
    if unsure is not None:
        sizes, lost, losses = (unsure.interval(v) for v in (unsure.N, unsure.regret, unsure.loss @ plan.weights))
        N = f"{quantity(sizes.low)} to {quantity(sizes.high)}"
        regret = f"{per_cent(lost.low)} to {per_cent(lost.high)}"
        mean += f" ({loss(losses.low)} to {loss(losses.high)})"
    ratio = f"{plan.D / plan.N:.3g}"
    return [quantity(plan.N), N, quantity(plan.D), flops(plan.C), ratio, str(len(plan.languages)), mean, regret]


def _differences_card(answer: Beside) -> Card:
    title = "What differs in the questions"
    if not answer.differences:
        return Card("differences", title, "Nothing: the questions ask the same.")
    first, second = answer.names
    keys = [d.key for d in answer.differences]
    table = pl.DataFrame(
        {"Key": keys, first: [d.first for d in answer.differences], second: [d.second for d in answer.differences]}
    )
    return Card("differences", title, f"The questions differ in {listed(keys)}.", table=table)


def _languages_card(answer: Beside) -> Card:
    names = language_names(row.code for row in answer.languages)
    first, second = answer.names
    shown = [names[row.code] for row in answer.languages]
    shares = {name: [row.shares[i] for row in answer.languages] for i, name in enumerate(answer.names)}
    table = pl.DataFrame(
        {
            "Language": shown,
            f"Share, {first}, %": shares[first],
            f"Share, {second}, %": shares[second],
            f"Epochs, {first}": [_epochs(row, 0) for row in answer.languages],
            f"Epochs, {second}": [_epochs(row, 1) for row in answer.languages],
        }
    )
    row = max(answer.languages, key=lambda row: abs(row.shares[1] - row.shares[0]))
    return Card(
        id="shares",
        title="Shares of the languages of both",
        sentence=f"The share of {names[row.code]} differs most: {per_cent(row.shares[0])} in {first}, "
        f"{per_cent(row.shares[1])} in {second}.",
        chart=shares_dots(shown, shares),
        table=table,
        formats={c: "percent" if c.endswith("%") else "number" for c in table.columns[1:]},
    )


def _losses_card(answer: Beside) -> Card:
    names = language_names(row.code for row in answer.languages)
    first, second = answer.names
    labels = [names[row.code] for row in answer.languages]
    table = pl.DataFrame(
        {
            "Language": labels,
            f"Loss, {first}": [_loss(row.losses[0]) for row in answer.languages],
            f"Loss, {second}": [_loss(row.losses[1]) for row in answer.languages],
            "Change, %": [in_words(row.change) for row in answer.languages],
            "Better": [row.better or "not told apart" for row in answer.languages],
        }
    )
    unsure = answer.plans[0].uncertainty
    notes = [f"Loss is {answer.plans[0].loss_unit}; losses of different languages are not on one scale."]
    if unsure is not None:
        notes.append(
            f"Brackets and bars hold {central(unsure.level)} of the draws"
            + ("; both plans saw the same draws." if answer.paired else ", the two plans' draws taken as independent.")
        )
    return Card(
        id="losses",
        title="Which plan is better for whom",
        sentence=_who(answer.languages, answer.names, names),
        chart=changes_dots(labels, [row.change for row in answer.languages], f"change from {first} to {second}"),
        table=table,
        notes=tuple(notes),
        formats={c: "number" for c in table.columns if c.startswith(("Loss", "Change"))},
    )


def _epochs(row: LanguageBeside, plan: int) -> str:
    return times(row.epochs[plan]) if row.shares[plan] > NO_SHARE else "0"


def _who(rows: tuple[LanguageBeside, ...], plans: tuple[str, str], names: dict[str, str]) -> str:
    parts = []
    for plan in plans:
        better = [names[row.code] for row in rows if row.better == plan]
        if better:
            parts.append(f"{plan} is better for {listed(better)}")
    neither = sum(row.better is None for row in rows)
    if neither:
        parts.append(f"{neither} of {len(rows)} {'is' if neither == 1 else 'are'} not told apart")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def notes_of_each(answer: Beside) -> list[str]:
    """What both say first, then what only one of them says, under its name."""
    a, b = (p.warnings for p in answer.plans)
    both = [w for w in a if w in b]
    return [
        *both,
        *(f"{answer.names[0]}: {w}" for w in a if w not in both),
        *(f"{answer.names[1]}: {w}" for w in b if w not in both),
    ]


def _evidence_cards(answer: Beside) -> list[Card]:
    a, b = (evidence_card(p) for p in answer.plans)
    return [
        Card("evidence-1", f"What {answer.names[0]} rests on", a.sentence, table=a.table, notes=a.notes),
        Card("evidence-2", f"What {answer.names[1]} rests on", b.sentence, table=b.table, notes=b.notes),
    ]


def _loss(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return loss(value.value)
    return f"{loss(value.value)} ({loss(value.low)} to {loss(value.high)})"
