"""Errors of a fit by language: which languages a law describes, and which it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.finding import FIRST_ROWS, MOST_ROWS, finder, first_or_found
from isogloss.report.runs_page import named
from isogloss.report.theme import PERCENT_LABELS, rows
from isogloss.report.words import count, per_cent

STEP = 22


def errors_card(frames: Mapping[str, pl.DataFrame], source: str) -> Card:
    """`frames`: the rows of each language, with their relative error (predicted / observed - 1)."""
    names = named(frames)
    errors = {names[code]: frame["relative_error"].to_numpy() for code, frame in frames.items()}
    typical = {name: float(np.median(np.abs(e))) for name, e in errors.items()}
    order = sorted(typical, key=lambda name: -typical[name])
    used = sum(len(e) for e in errors.values())
    notes = [
        "The languages with the largest errors first; ticks are a language's median error.",
        "These rows are the ones that the laws were fitted to: on others they err more.",
    ]
    if len(order) > MOST_ROWS:
        notes.append(f"Drawn: the first {FIRST_ROWS}, or the languages whose name you type.")
    return Card(
        id="errors",
        title="Errors by language",
        sentence=f"Half of a language's rows are predicted to within {per_cent(np.median(list(typical.values())))} in "
        f"the middle language, and to within {per_cent(typical[order[0]])} in the worst, {order[0]}.",
        chart=_chart({names[code]: frame for code, frame in frames.items()}, order),
        notes=tuple(notes),
        evidence=f"{count(used, 'row')} of {count(len(order), 'language')} from {source}.",
    )


def _chart(frames: Mapping[str, pl.DataFrame], order: list[str]) -> Any:
    place = {name: i for i, name in enumerate(order)}
    points = [
        {"language": name, "error": float(e), "text": per_cent(e, signed=True), "run": run, "place": place[name]}
        for name, frame in frames.items()
        for e, run in zip(frame["relative_error"], _runs(frame), strict=True)
    ]
    middles = [
        {"language": name, "error": (m := float(np.median(frame["relative_error"].to_numpy()))), "place": place[name],
         "text": per_cent(m, signed=True), "rows": frame.height}
        for name, frame in frames.items()
    ]  # fmt: skip
    axis = alt.Axis(title="predicted / observed − 1", labelExpr=PERCENT_LABELS, tickCount=6)
    x = alt.X("error:Q", axis=axis)
    y = alt.Y("language:N", sort=order, axis=alt.Axis(title=None))
    tip = [alt.Tooltip("language:N"), alt.Tooltip("run:N"), alt.Tooltip("text:N", title="error")]
    told = [alt.Tooltip("language:N"), alt.Tooltip("text:N", title="median error"), alt.Tooltip("rows:Q")]
    dots = alt.Chart(rows(points)).mark_point(opacity=0.4, size=22).encode(x=x, y=y, tooltip=tip)
    ticks = alt.Chart(rows(middles)).mark_tick(style="warm", thickness=2.5).encode(x=x, y=y, tooltip=told)
    zero = alt.Chart(rows([{"error": 0.0}])).mark_rule(style="guide").encode(x=x)
    if len(order) <= MOST_ROWS:
        return alt.layer(zero, dots, ticks).properties(width="container", height=max(90, STEP * len(order)))
    found = [first_or_found(layer, "language") for layer in (dots, ticks)]
    return alt.layer(zero, *found).add_params(finder()).properties(width="container", height=alt.Step(STEP))


def _runs(frame: pl.DataFrame) -> list[str]:
    if "run_id" in frame.columns:
        return frame["run_id"].cast(pl.String).fill_null("").to_list()
    return [f"row {n}" for n in frame["row"]]
