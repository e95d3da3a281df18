"""Where a plan should start, as cards: scratch or the question's checkpoint, and what continuing implies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_charts import row_height
from isogloss.report.plan_rows import central
from isogloss.report.theme import FLOP_LABELS, NUMBERS, log_axis, rows, widened
from isogloss.report.words import about, flops, language_names, loss, per_cent, percent, quantity

if TYPE_CHECKING:
    from isogloss.planning.start import Crossing
    from isogloss.planning.starting_answer import LanguageStart, Start

# Marks of the chart, as the legend has room for them on a narrow screen.
SPENT, CROSSING = "this plan", "crossing"
# Where an end of an interval is not known, the bar goes on to the end of the axis.
OPEN = "beyond all that was studied"


def start_cards(start: Start | None) -> list[Card]:
    """None without [start] in the question."""
    if start is None:
        return []
    return [_languages_card(start), *([_size_card(start)] if start.own_size else []), _evidence_card(start)]


def _languages_card(start: Start) -> Card:
    names = language_names(row.code for row in start.languages)
    level = central(start.languages[0].crossing.level)
    ahead, others = "Continuing ahead, %", "With others' tokens, %"
    fitted = ["fitted to runs" if row.measured else "published, scaled" for row in start.languages]
    table = pl.DataFrame(
        {
            "Language": [names[row.code] for row in start.languages],
            "So": [row.verdict for row in start.languages],
            "Weight, %": [row.weight for row in start.languages],
            "Spent here, FLOPs": [row.spent for row in start.languages],
            "Crossing": [_middle(row.crossing) for row in start.languages],
            f"{level} of its draws": [_ends(row.crossing) for row in start.languages],
            ahead: [row.ahead for row in start.languages],
            others: [row.ahead_effective for row in start.languages],
            **({"Crossing is": fitted} if len(set(fitted)) > 1 else {}),
        }
    )
    notes = (
        f"Below the crossing continuing from {start.checkpoint.name} has the lower loss, above it scratch. Bars: "
        f"{level} of its draws, for {about(start.N)} parameters, squares: the median, dots: what this plan spends on "
        "the language's own tokens, numbers: the part of the draws in which continuing is ahead. The column with "
        "others' tokens counts them as the plan's transfer does.",
        *(w if w.startswith(start.checkpoint.name) else f"{w[0].upper()}{w[1:]}" for w in start.warnings),
    )
    return Card(
        id="start",
        title="Where to start",
        sentence=start.sentence,
        chart=start_chart(start),
        table=table,
        notes=notes,
        formats={
            "Weight, %": "percent",
            "Spent here, FLOPs": "flops",
            "Crossing": "number",
            f"{level} of its draws": "number",
            ahead: "percent",
            others: "percent",
        },
    )


def start_chart(start: Start) -> Any:
    """A row per language: a bar for the crossing's interval, a tick at its median, a dot where this plan spends."""
    names = language_names(row.code for row in start.languages)
    known = [v for row in start.languages for v in _known(row)]
    domain = widened(known, 1.6)
    bars, dots = [], []
    for row in start.languages:
        line = {"language": names[row.code], "crossing": _ends(row.crossing), "spent": flops(row.spent)}
        low, high = (min(max(v, domain[0]), domain[1]) for v in _reach(row.crossing, domain))
        middle = row.crossing.C if row.crossing.C is not None else math.nan
        bars.append({**line, "C": low, "end": high, "text": per_cent(row.ahead)})
        if math.isfinite(middle):
            dots.append({**line, "C": middle, "mark": CROSSING})
        if row.spent > 0:
            dots.append({**line, "C": max(row.spent, domain[0]), "mark": SPENT})
    y = alt.Y("language:N", sort=[b["language"] for b in bars], axis=alt.Axis(title=None, grid=True))
    x = log_axis(alt.X, "C", "training FLOPs (logarithmic scale)", domain, labels=FLOP_LABELS, most=6)
    tip = [alt.Tooltip("language:N"), alt.Tooltip("crossing:N"), alt.Tooltip("spent:N", title="spent here")]
    marks = [SPENT, CROSSING]
    points = alt.Chart(rows(dots)).mark_point(size=85, opacity=1)
    return alt.layer(
        alt.Chart(rows(bars))
        .mark_rule(style="plan", strokeWidth=7, opacity=0.28)
        .encode(y=y, x=x, x2="end:Q", tooltip=tip),
        points.encode(
            y=y,
            x=x,
            color=alt.Color("mark:N", scale=alt.Scale(domain=marks)),
            shape=alt.Shape("mark:N", scale=alt.Scale(domain=marks)),
            tooltip=tip,
        ),
        alt.Chart(rows(bars))
        .mark_text(style=NUMBERS, baseline="middle")
        .encode(y=y, x=alt.value("width"), text="text:N"),
    ).properties(width="container", height=max(60, row_height(len(bars)) * len(bars)))


def _size_card(start: Start) -> Card:
    own = start.own_size
    assert own is not None
    table = pl.DataFrame(
        {
            "From scratch at the checkpoint's size": [
                "Parameters",
                "Tokens",
                "FLOPs",
                "What the plan makes small",
                "Against this plan, %",
            ],
            "Value": [
                quantity(own.N),
                quantity(own.D),
                flops(own.C),
                loss(own.objective),
                percent(own.excess, signed=True),
            ],
        }
    )
    return Card(
        id="start-size",
        title="What continuing implies",
        sentence=start.size_sentence,
        table=table,
        formats={"Value": "number"},
    )


def _evidence_card(start: Start) -> Card:
    listed = [*start.evidence, *(e for way in start.ways for e in way.evidence)]
    names = language_names(row.code for row in start.languages)
    kinds = [e.kind for e in start.evidence]
    counted = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    return Card(
        id="start-evidence",
        title="What the start rests on",
        sentence=f"The crossings have {len(kinds)} inputs: {counted}. Growing a smaller model and merging "
        "single-language ones have no law: what is published of them is below, and nothing is computed.",
        table=pl.DataFrame(
            {
                "What": [_what(e.quantity, names) for e in listed],
                "Kind": [e.kind for e in listed],
                "Source": [e.source for e in listed],
            }
        ),
        notes=tuple(f"{way.name.capitalize()}: {way.reason}." for way in start.ways),
    )


def _what(quantity_: str, names: dict[str, str]) -> str:
    head, _, code = quantity_.rpartition(".")
    return f"{head}: {names[code]}" if code in names else quantity_


def _known(row: LanguageStart) -> list[float]:
    values = (row.spent, row.crossing.low, row.crossing.C, row.crossing.high)
    # What is next to nothing would take the axis for itself.
    return [v for v in values if v is not None and v > 1e12] or [1e18, 1e24]


def _reach(crossing: Crossing, domain: tuple[float, float]) -> tuple[float, float]:
    return crossing.low or domain[0], crossing.high or domain[1]


def _middle(crossing: Crossing) -> str:
    return "none" if crossing.C is None else flops(float(f"{crossing.C:.2g}"))


def _ends(crossing: Crossing) -> str:
    low = "below all that was studied" if crossing.low is None else flops(float(f"{crossing.low:.2g}"))
    high = OPEN if crossing.high is None else flops(float(f"{crossing.high:.2g}"))
    return f"{low} to {high}"
