"""What a plan takes of each corpus, as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_rows import CLOSE
from isogloss.report.words import language_names, listed

if TYPE_CHECKING:
    from isogloss.planning import Plan


def corpora_card(plan: Plan) -> Card:
    """For plans whose languages have several corpora, or one of a quality."""
    names = language_names(plan.languages)
    rows = plan.corpora
    table = pl.DataFrame(
        {
            "Language": [names[r.language] for r in rows],
            "Corpus": [r.corpus for r in rows],
            "A token counts": [f"{r.quality:g}" for r in rows],
            "Tokens seen": [r.tokens for r in rows],
            "Text available, tokens": [r.text for r in rows],
            "Epochs": [r.epochs for r in rows],
            "Epoch cap": [r.max_epochs for r in rows],
            "Effective tokens": [r.effective for r in rows],
            "Evidence": [r.evidence for r in rows],
        }
    )
    return Card(
        id="corpora",
        title="Tokens of each corpus",
        sentence=_sentence(plan),
        table=table,
        notes=(
            "A token counts as often as the question says; effective tokens are those, less what repeats lose. "
            "The next token of a language comes from the corpus where it counts most.",
        ),
        formats={
            "A token counts": "number",
            "Tokens seen": "quantity",
            "Text available, tokens": "quantity",
            "Epochs": "epochs",
            "Epoch cap": "epochs",
            "Effective tokens": "quantity",
        },
    )


def _sentence(plan: Plan) -> str:
    names = language_names(plan.languages)
    capped = [f"{r.corpus} of {names[r.language]}" for r in plan.corpora if r.epochs >= r.max_epochs * (1 - CLOSE)]
    if not capped:
        most = max(plan.corpora, key=lambda r: r.epochs / r.max_epochs)
        return f"No corpus is seen as often as allowed; {most.corpus} of {names[most.language]} comes closest."
    return f"Seen as often as allowed: {listed(capped)}."
