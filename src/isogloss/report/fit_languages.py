"""Fits of several languages as cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.fit_errors import errors_card
from isogloss.report.fits import left_out_card
from isogloss.report.runs_page import named
from isogloss.report.theme import NUMBER_LABELS, rows
from isogloss.report.words import count, listed, per_cent, value

if TYPE_CHECKING:
    from isogloss.fitting import Fit, LanguageFits

# What a panel shows: A and B are in units of N^alpha and D^beta, so that languages' values say nothing by themselves.
NO_PANEL = ("A", "B")
PANELS = 4
WIDEST_SHARE = 6.0
"""An interval this many times the width of all the values is cut at the panel's edge."""


def languages_cards(answer: LanguageFits) -> list[Card]:
    """Coefficients by language, how well each is described, all numbers, and what was left out."""
    used = sum(fit.rows.height for fit in answer.fits.values())
    return [
        coefficients_card(answer),
        errors_card({name: fit.rows for name, fit in answer.fits.items()}, _source(answer)),
        numbers_card(answer),
        left_out_card(answer.left_out, used),
    ]


def coefficients_card(answer: LanguageFits) -> Card:
    names = _panels(answer)
    first = next(iter(answer.fits.values()))
    notes = []
    if answer.across == "pooled":
        notes.append(
            "Fainter dots say little of their own: their rows could not tell, and the other languages speak for them. "
            "The dashed line is the typical language."
        )
    if answer.tied and answer.across != "tied":
        notes.append(f"One for all languages: {listed(answer.tied, most=9)}.")
    if set(NO_PANEL) & {e.name for e in first.coefficients}:
        notes.append("A and B stand in the table: their unit depends on each language's own exponents.")
    return Card(
        id="languages",
        title="Coefficients by language",
        sentence=_sentence(answer),
        chart=alt.hconcat(*(_panel(answer, name) for name in names)) if names else None,
        notes=tuple(notes),
        evidence=_evidence(answer, first),
    )


def _evidence(answer: LanguageFits, first: Fit) -> str:
    used = sum(fit.rows.height for fit in answer.fits.values())
    text = f"{count(used, 'row')} of {count(len(answer), 'language')} from {_source(answer)}."
    return f"{text} Bars hold {first.level:.0%} of {count(len(first.draws), 'draw')}." if len(first.draws) else text


def numbers_card(answer: LanguageFits) -> Card:
    names = list(
        dict.fromkeys(e.name.split("[")[0] for f in answer.fits.values() for e in f.coefficients if not e.held)
    )
    columns: dict[str, list[str]] = {"Language": [], "Rows": [], **{name: [] for name in names}}
    names_of = named(answer.fits)
    everyone = [(names_of[code], fit) for code, fit in answer.fits.items()]
    if answer.typical is not None:
        everyone.append(("a language like these", answer.typical))
    for language, fit in everyone:
        columns["Language"].append(language)
        columns["Rows"].append(f"{fit.rows.height:,}" if fit is not answer.typical else "")
        for name in names:
            columns[name].append("; ".join(_cell(e) for e in fit.coefficients if e.name.split("[")[0] == name))
    first = everyone[0][1]
    level = f"{first.level:.0%}".replace("%", "\u00a0%")
    return Card(
        id="numbers",
        title="All coefficients",
        sentence=f"{count(len(answer), 'language')}, {listed(names, most=12)}, each with its {level} interval."
        if len(first.draws)
        else f"{count(len(answer), 'language')}, {listed(names, most=12)}; the fits were asked for no intervals.",
        table=pl.DataFrame(columns),
        notes=("Weights of transfer are given with the language that each belongs to.",)
        if any("[" in e.name for e in first.coefficients)
        else (),
    )


def _cell(estimate: Any) -> str:
    which = f"{estimate.name.split('[')[1].rstrip(']')} " if "[" in estimate.name else ""
    if estimate.low is None or estimate.high is None:
        return f"{which}{value(estimate.value)}"
    return f"{which}{value(estimate.value)} ({value(estimate.low)} to {value(estimate.high)})"


def _panels(answer: LanguageFits) -> list[str]:
    """The first coefficients that differ between languages."""
    seen: dict[str, set[float]] = {}
    for fit in answer.fits.values():
        for e in fit.coefficients:
            if not e.held and "[" not in e.name and e.name not in NO_PANEL:
                seen.setdefault(e.name, set()).add(e.value)
    return [name for name, values in seen.items() if len(values) > 1 or len(answer) == 1][:PANELS]


def _panel(answer: LanguageFits, name: str) -> Any:
    order = sorted(answer.fits, key=lambda n: -answer.fits[n].rows.height)
    names = named(order)
    points = [p | {"language": names[c]} for c in order if (p := _point(answer, c, name)) is not None]
    low, high = _domain(points)
    for p in points:
        p["from"], p["to"] = max(p["low"], low), min(p["high"], high)
    scale = alt.Scale(domain=[low, high], nice=False)
    x = alt.X("value:Q", scale=scale, axis=alt.Axis(title=None, labelExpr=NUMBER_LABELS, tickCount=4))
    y = alt.Y("language:N", sort=[names[c] for c in order], axis=alt.Axis(title=None, grid=True))
    shade = alt.Opacity("own:Q", scale=alt.Scale(domain=[0, 1], range=[0.25, 1]), legend=None)
    tip = [alt.Tooltip("language:N"), alt.Tooltip("text:N", title=name), alt.Tooltip("rows:Q")]
    if answer.across == "pooled":
        tip.append(alt.Tooltip("part:N", title="its own"))
    bars = alt.Chart(rows(points)).mark_rule(strokeWidth=1.5).encode(x="from:Q", x2="to:Q", y=y, opacity=shade)
    dots = alt.Chart(rows(points)).mark_point(filled=True, size=55).encode(x=x, y=y, opacity=shade, tooltip=tip)
    layers = [bars, dots]
    if answer.typical is not None:
        middle = next(e.value for e in answer.typical.coefficients if e.name == name)
        layers.insert(0, alt.Chart(rows([{"value": middle}])).mark_rule(style="guide").encode(x=x))
    return alt.layer(*layers).properties(
        width="container", height=_height(len(order)), title=alt.TitleParams(name, frame="group")
    )


def _point(answer: LanguageFits, language: str, name: str) -> dict[str, Any] | None:
    fit = answer.fits[language]
    e = next((e for e in fit.coefficients if e.name == name), None)
    if e is None:
        return None
    own = answer.own.get(language, {}).get(name, 1.0)
    return {
        "value": e.value,
        "low": e.value if e.low is None else e.low,
        "high": e.value if e.high is None else e.high,
        "own": own,
        "part": per_cent(own),
        "rows": fit.rows.height,
        "text": _cell(e),
    }


def _domain(points: list[dict[str, Any]]) -> tuple[float, float]:
    values = np.array([p["value"] for p in points])
    reach = WIDEST_SHARE * max(float(np.ptp(values)), 0.02 * float(np.abs(values).max()), 1e-9)
    low = max(min(p["low"] for p in points), values.min() - reach)
    high = min(max(p["high"] for p in points), values.max() + reach)
    room = 0.04 * (high - low) or 0.01
    return low - room, high + room


def _height(languages: int) -> int:
    return max(90, 22 * languages)


def _source(answer: LanguageFits) -> str:
    return next(iter(answer.fits.values())).source


def _sentence(answer: LanguageFits) -> str:
    sizes = [fit.rows.height for fit in answer.fits.values()]
    have = f"{count(len(answer), 'language')} of {min(sizes):,} to {max(sizes):,} rows"
    if answer.across == "tied":
        return f"One law for {have}."
    if answer.across == "separate" or not answer.spread:
        return f"{have}, each with a law of its own."
    name, width = max(
        ((n, w) for n, w in answer.spread.items() if n in ("alpha", "beta")), default=("", 0.0), key=lambda p: p[1]
    )
    parts = {language: float(np.mean(list(own.values()))) for language, own in answer.own.items()}
    poorest = min(parts, key=lambda language: parts[language])
    differ = f" Of the exponents, {name} differs most between them, by about {per_cent(width)}." if name else ""
    borrower = named([poorest])[poorest]
    return f"{have}; {borrower} borrows most, {per_cent(parts[poorest])} of its law being its own.{differ}"
