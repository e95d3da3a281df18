"""The page of a plan: something to hand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_reproduce import Reproduce, reproduce_card
from isogloss.report.plans import plan_cards
from isogloss.report.render import to_html
from isogloss.report.words import NOTHING, flops, with_names

if TYPE_CHECKING:
    from isogloss.planning import Plan, Question

MEANING = {
    "assumptions.laws": "ATLAS's regime, for languages without a fit",
    "assumptions.transfer": "where transfer weights come from",
    "assumptions.dose": "how tokens of other languages count",
    "assumptions.repetition_decay": "what repeats are worth; none: as published",
    "assumptions.capacity": "what many languages cost",
    "assumptions.allow_assumed": "whether languages of which nothing is known are planned",
    "assumptions.temperature": "of the naive temperature mixture",
    "assumptions.vocabulary": "entries; its logarithm is the loss of a guess",
    "limits.max_epochs": "how often a text may be seen",
    "limits.min_share": "least share of every language",
    "limits.min_params": "smallest size",
    "limits.max_params": "largest size",
}


def plan_page(plan: Plan, question: Question, made: Reproduce) -> str:
    """The answer in words, what to read before use, figures, evidence, assumptions, how to reproduce it."""
    first, *others = plan_cards(plan)
    cards = [first, warnings_card(plan.warnings), *others, assumptions_card(question), reproduce_card(made)]
    subtitle = f"{len(plan.languages)} languages, {flops(plan.C)} training FLOPs"
    return to_html(plan.title or "Plan", subtitle, cards)


def warnings_card(warnings: Sequence[str]) -> Card:
    """Directly after the answer, and before any figure."""
    return Card(
        id="before-use",
        title="Before you rely on this",
        sentence="What the answer does not know, and where it reaches beyond its evidence.",
        notes=tuple(f"{w[0].upper()}{w[1:]}" for w in map(with_names, warnings)) or ("Nothing.",),
    )


def assumptions_card(question: Question) -> Card:
    """Every assumption and limit, whether the question says so or nobody does."""
    rows = list(_rows(question))
    chosen = sum(own for _, _, own in rows)
    return Card(
        id="assumptions",
        title="What was assumed",
        sentence=f"{chosen} of {len(rows)} assumptions and limits are the question's own; the others are defaults.",
        table=pl.DataFrame(
            {
                "Assumption": [key for key, _, _ in rows],
                "Value": [_shown(value) for _, value, _ in rows],
                "From": ["question" if own else "default" for _, _, own in rows],
                "Meaning": [MEANING.get(key, "") for key, _, _ in rows],
            }
        ),
    )


def _rows(question: Question) -> Iterator[tuple[str, Any, bool]]:
    for part in ("assumptions", "limits"):
        values = getattr(question, part)
        for name, value in values.model_dump(mode="json").items():
            yield f"{part}.{name}", value, name in values.model_fields_set


def _shown(value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:g}" if isinstance(value, float) else str(value)
