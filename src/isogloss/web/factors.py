"""The K law's factors against the number of languages, as a card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np

from isogloss.planning import Expansion, expand
from isogloss.planning.expand import MEASURED_K, At
from isogloss.report.card import Card
from isogloss.report.expansion_factors import factors_card
from isogloss.report.theme import NUMBER_LABELS, log_axis, rows, widened
from isogloss.report.words import value

WORDS = {"N_factor": "parameters N", "D_factor": "tokens D", "C_factor": "compute C", "reducible_loss_factor": "L - E"}
POINTS = 33


def curve_card(answer: Expansion, before: int, after: int) -> Card:
    """The report's own card of the factors, with what they are on the way."""
    card = factors_card(answer)
    chart, beyond = _curve(answer.at, before, after)
    note = f"Measured with at most {MEASURED_K[1]} languages: beyond the dotted line the law is extrapolated."
    return replace(card, chart=chart, notes=(*card.notes, *([note] if beyond else [])))


def _curve(at: At, before: int, after: int) -> tuple[Any, bool]:
    high = max(2 * before, after, 2)
    names = ["N_factor", "D_factor", "C_factor"] if at == "loss" else ["N_factor", "D_factor", "reducible_loss_factor"]
    data = []
    for K in np.geomspace(before, high, POINTS):
        found = expand(float(K) / before, at=at)
        for name in names:
            factor = float(getattr(found, name))
            data.append({"K": float(K), "y": factor, "what": WORDS[name], "said": f"× {value(factor)}"})
    domain = widened([d["y"] for d in data], 1.04)
    x = log_axis(alt.X, "K", "languages, evenly sampled (log)", (before, high), labels=NUMBER_LABELS, grid=False)
    y = log_axis(alt.Y, "y", f"factor at equal {at} (log)", domain, labels=NUMBER_LABELS)
    colour = alt.Color(
        "what:N", scale=alt.Scale(domain=[WORDS[n] for n in names]), legend=alt.Legend(symbolType="stroke")
    )
    tips = [
        alt.Tooltip("what:N", title=" "),
        alt.Tooltip("K:Q", title="languages", format=".0f"),
        alt.Tooltip("said:N", title="factor"),
    ]
    base = alt.Chart(rows(data)).encode(x=x, y=y, color=colour, tooltip=tips)
    layers = [base.mark_line()]
    chosen = alt.Chart(rows([{"K": float(after), "words": f"{after} languages"}])).encode(x=x)
    layers.append(chosen.mark_rule(style="guide"))
    beyond = MEASURED_K[1] < high
    if before < MEASURED_K[1] < high:
        layers.append(
            alt.Chart(rows([{"K": float(MEASURED_K[1])}]))
            .mark_rule(style="rule", strokeDash=[2, 2], strokeWidth=1.5)
            .encode(x=x)
        )
    return alt.layer(*layers).properties(width="container", height=280), beyond
