"""The mixture of each phase of a plan, as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_rows import by_share
from isogloss.report.words import language_names, listed, per_cent

if TYPE_CHECKING:
    from isogloss.planning import Plan

# A language has moved to a phase when this part of its tokens is there.
MOVED = 0.9
SMALL = 1e-3


def phases_card(plan: Plan) -> Card:
    """For plans with phases."""
    names = language_names(plan.languages)
    order = by_share(plan)
    table = pl.DataFrame(
        {
            "Language": [names[plan.languages[i]] for i in order],
            **{f"{p.name}, %": p.shares[order] for p in plan.phases},
            "Whole run, %": plan.shares[order],
        }
    )
    parts = [f"{p.name} has {per_cent(p.part)} of the tokens, each counting {p.counts:g}" for p in plan.phases]
    return Card(
        id="phases",
        title="The mixture of each phase",
        sentence=_sentence(plan),
        table=table,
        notes=(
            f"In the order of training: {'; '.join(parts)}. What they count is the question's own measurement; no "
            "law packaged here sees the order of tokens.",
            "Naive mixtures are compared as the same in every phase.",
        ),
        formats={c: "percent" for c in table.columns if c.endswith("%")},
    )


def _sentence(plan: Plan) -> str:
    """Which languages have nearly all their tokens in one phase."""
    names = language_names(plan.languages)
    parts = np.array([p.part * p.shares for p in plan.phases]) / np.maximum(plan.shares, 1e-300)
    said = []
    for p, row in zip(plan.phases, parts, strict=True):
        moved = [
            names[code]
            for code, part, share in zip(plan.languages, row, plan.shares, strict=True)
            if part > MOVED and share > SMALL
        ]
        if moved:
            said.append(f"{listed(moved)} in {p.name}")
    if not said:
        return "Every language of a share that matters is in more than one phase."
    return f"Nearly all tokens of {'; of '.join(said)}."
