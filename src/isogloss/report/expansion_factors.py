"""What the K law says of more languages, as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from isogloss.report.card import Card
from isogloss.report.expansion_chart import factors_chart
from isogloss.report.words import NOTHING, value

if TYPE_CHECKING:
    from isogloss.planning.expand import Expansion

FACTORS = {
    "N_factor": "Parameters N",
    "D_factor": "Tokens D, all languages",
    "D_per_language_factor": "Tokens per language",
    "C_factor": "Compute C",
    "reducible_loss_factor": "Reducible loss L - E",
}
INTERVALS = {"rounding": "Intervals: what the rounding of the printed digits leaves open.", "none": "No intervals."}


def factors_card(answer: Expansion) -> Card:
    N, D, C = (value(factor) for factor in (answer.N_factor, answer.D_factor, answer.C_factor))
    if answer.at == "loss":
        said = f"{answer.r:g} times as many languages at the same loss take {N} times N, {D} times D, {C} times C."
    else:
        loss = value(answer.reducible_loss_factor)
        said = f"{answer.r:g} times as many languages at the same compute: the reducible loss is {loss} times as high."
    level = "" if answer.level is None else f"Intervals: {answer.level:.0%} of the fit's draws."
    return Card(
        id="factors",
        title="What more languages cost",
        sentence=said,
        chart=factors_chart(answer, FACTORS),
        table=pl.DataFrame(
            {
                "Quantity": list(FACTORS.values()),
                "Factor": [getattr(answer, name) for name in FACTORS],
                "Interval": [_interval(answer, name) for name in FACTORS],
            }
        ),
        notes=(INTERVALS.get(answer.intervals_of, level),),
        formats={"Interval": "number"},
        evidence=f"{answer.kind.capitalize()}: {answer.source}",
    )


def _interval(answer: Expansion, name: str) -> str:
    bounds = answer.intervals.get(name)
    if bounds is None or bounds.low == bounds.high:
        return NOTHING
    return f"{value(bounds.low)} to {value(bounds.high)}"
