"""A fit's choices as a card: what N* would be had the analyst chosen otherwise, against its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.theme import NUMBERS, log_axis, rows, widened
from isogloss.report.words import about, count, flops, loss, quantity

if TYPE_CHECKING:
    from isogloss.fitting import Choice, Choices

TITLES = {
    "main": "as fitted",
    "objective": "objective",
    "rows": "outliers",
    "range": "range of runs",
    "exponents": "exponents",
    "parameters": "what N counts",
    "law": "law",
}


def choices_card(choices: Choices) -> Card:
    notes = ["Each dot changes one choice of the fit as made; the band is that fit's own interval."]
    if choices.combined_N is not None:
        low, high = map(about, choices.combined_N)
        notes.append(
            f"Objective, rows and range changed together, in {choices.combined:,} ways, give {low} to {high}. MAD is "
            "the median distance of a row from the fit, scaled to a standard deviation."
        )
    refused = [f"{c.name}: {c.why_not}" for c in choices.tried if c.N is None]
    if refused:
        notes.append(f"No answer from {'; '.join(refused)}.")
    return Card(
        id="choices",
        title="What other choices would give",
        sentence=choices.sentence,
        chart=choices_chart(choices),
        table=_table(choices),
        notes=(*notes, *(f"{n[0].upper()}{n[1:]}" for n in choices.notes)),
        formats={
            "Rows": "value",
            "Parameters N*": "quantity",
            "Tokens D*": "quantity",
            "Loss there": "loss",
            _at(choices): "loss",
        },
    )


def choices_chart(choices: Choices) -> Any:
    """One dot per choice, grouped by kind, over the interval of the fit as made."""
    values = [_dot(c) for c in choices.answered]
    lines = _grouped(values)
    ends = choices.intervals.get("N", ())
    x = log_axis(
        alt.X,
        "N",
        f"compute-optimal parameters N* at {flops(choices.C)} FLOPs (logarithmic scale)",
        widened([*(v["N"] for v in values), *ends]),
        grid=False,
    )
    axis = alt.Axis(
        title=None,
        grid=True,
        labelLimit=240,
        # A row that names a kind has no choice beside it.
        labelFontWeight=alt.condition(_is_title(lines), alt.value(600), alt.value("normal")),
    )
    y = alt.Y("line:N", sort=lines, scale=alt.Scale(domain=lines), axis=axis)
    tip = [alt.Tooltip(f"{f}:N", title=t) for f, t in (("name", "choice"), ("used", "rows"), ("text", "N*"))]
    tip += [alt.Tooltip("tokens:N", title="D*"), alt.Tooltip("loss:N", title="loss there")]
    kind = alt.condition("datum.kind == 'main'", alt.value(130), alt.value(60))
    shape = alt.condition("datum.kind == 'main'", alt.value("diamond"), alt.value("circle"))
    dots = alt.Chart(rows(values)).mark_point(opacity=1).encode(x=x, y=y, size=kind, shape=shape, tooltip=tip)
    main = alt.Chart(rows([{"N": choices.main.N}])).mark_rule(style="guide").encode(x=x)
    numbers = (
        alt.Chart(rows(values))
        .mark_text(style=NUMBERS, baseline="middle")
        .encode(y=y, x=alt.value("width"), text="text:N")
    )
    band = (
        [alt.Chart(rows([{"N": ends[0], "end": ends[1]}])).mark_rect(style="band").encode(x=x, x2="end:Q")]
        if ends
        else []
    )
    return alt.layer(*band, main, dots, numbers).properties(width="container", height=21 * len(lines))


def _dot(choice: Choice) -> dict[str, Any]:
    N, D, at = choice.N or 0.0, choice.D or 0.0, choice.loss or 0.0
    return {
        "line": choice.name if choice.kind == "main" else f"\u2003{choice.name}",
        "kind": choice.kind,
        "name": choice.name,
        "N": N,
        "text": quantity(N),
        "tokens": quantity(D),
        "loss": loss(at),
        "used": count(choice.rows, "row"),
    }


def _grouped(values: list[dict[str, Any]]) -> list[str]:
    """The lines of the chart: the fit as made, then each kind's title above its choices."""
    lines: list[str] = []
    for value in values:
        title = TITLES[value["kind"]]
        if title not in lines:
            lines.append(title)
        if value["line"] not in lines:
            lines.append(value["line"])
    return lines


def _is_title(lines: list[str]) -> str:
    titles = [line for line in lines if not line.startswith("\u2003")]
    return f"indexof({titles}, datum.value) >= 0"


def _table(choices: Choices) -> pl.DataFrame:
    listed = list(choices.rows())
    return pl.DataFrame(
        {
            "Choice": [TITLES[c.kind] for c in listed],
            "Which": [c.name if c.kind != "main" else "" for c in listed],
            "Rows": [c.rows for c in listed],
            "Parameters N*": [c.N for c in listed],
            "Tokens D*": [c.D for c in listed],
            "Loss there": [c.loss for c in listed],
            _at(choices): [c.loss_at_main for c in listed],
        },
        schema_overrides=dict.fromkeys(("Parameters N*", "Tokens D*", "Loss there", _at(choices)), pl.Float64),
    )


def _at(choices: Choices) -> str:
    return f"Loss at {quantity(choices.main.N or 0.0)}"
