"""Cards and answers where they stand last in a notebook's cell: HTML with figures as pictures, Markdown, text."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from typing import Any

import altair as alt
from markupsafe import escape

from isogloss.report.alternatives import alternative
from isogloss.report.answers import matrix_section, section
from isogloss.report.card import Card, Section
from isogloss.report.markdown import card_lines, plain
from isogloss.report.picture import drawn
from isogloss.report.specs import spec_of
from isogloss.report.tables import table_of
from isogloss.report.theme import LIGHT, config

VEGA_LITE = f"application/vnd.vegalite.{alt.SCHEMA_VERSION.split('.')[0]}+json"
# Notebooks keep what they show: longer tables are cut, and pictures with too many marks are of pixels.
MOST_ROWS = 25
MOST_SVG = 400_000
WIDTH = 640


def answer_bundle(answer: Any) -> dict[str, Any]:
    """What a notebook shows of an answer: all its cards. A terminal gets its `repr`."""
    if _in_terminal():
        return {"text/plain": repr(answer)}
    quick = type(answer).__name__ == "TransferMatrix"
    return section_bundle(matrix_section(answer, quick=True) if quick else section(answer))


def section_bundle(shown: Section) -> dict[str, Any]:
    if _in_terminal():
        return {"text/plain": _section_text(shown)}
    head = f"<h3>{escape(shown.title)}</h3><p>{escape(shown.subtitle)}</p>"
    warned = "".join(f"<li>{escape(warning)}</li>" for warning in shown.warnings)
    warnings = f"<p><b>Before you rely on this</b></p><ul>{warned}</ul>" if warned else ""
    said = [f"### {plain(shown.title)}", "", plain(shown.subtitle), "", *(f"* {plain(w)}" for w in shown.warnings), ""]
    return {
        "text/html": f"<div>{head}{warnings}{''.join(_html(card) for card in shown.cards)}</div>",
        "text/markdown": "\n".join([*said, *(line for card in shown.cards for line in _lines(card))]),
        "text/plain": _section_text(shown),
    }


def card_bundle(card: Card) -> dict[str, Any]:
    """One card; its chart, with the sentence in it, also as Vega-Lite for notebooks that can draw it."""
    if _in_terminal():
        return {"text/plain": _text(card)}
    bundle = {"text/html": _html(card), "text/markdown": "\n".join(_lines(card)), "text/plain": _text(card)}
    return bundle if card.chart is None else {VEGA_LITE: _spec(card), **bundle}


def _in_terminal() -> bool:
    """Whether IPython shows plain text only: pictures would be drawn for nobody."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    formatter = getattr(shell, "display_formatter", None)
    return getattr(formatter, "active_types", None) == ["text/plain"]


def _spec(card: Card) -> dict[str, Any]:
    spec: dict[str, Any] = {**spec_of(card.chart), "config": config(LIGHT), "description": alternative(card)}
    if "title" not in spec:
        spec["title"] = {"text": card.title, "subtitle": _broken(card.sentence)}
    return spec


def _broken(text: str, length: int = 90) -> list[str]:
    import textwrap

    return textwrap.wrap(text, length)


def _html(card: Card) -> str:
    return "".join(_html_parts(card))


def _html_parts(card: Card) -> Iterator[str]:
    yield f"<h4>{escape(card.title)}</h4><p><b>{escape(card.sentence)}</b></p>"
    if card.chart is not None:
        yield f"<img src='{_picture(card.chart)}' alt='{escape(alternative(card))}' style='max-width:100%'>"
    if card.evidence:
        yield f"<p><small>{escape(card.evidence)}</small></p>"
    table = table_of(card)
    if table is not None:
        sides = ["right" if right else "left" for right in table.numeric]
        heads = zip(table.headers, sides, strict=True)
        yield "<table><thead><tr>"
        yield "".join(f"<th scope='col' style='text-align:{side}'>{escape(words)}</th>" for words, side in heads)
        yield "</tr></thead><tbody>"
        for row in table.rows[:MOST_ROWS]:
            cells = zip(row, sides, strict=True)
            yield f"<tr>{''.join(f'<td style={_quoted(side)}>{escape(words)}</td>' for words, side in cells)}</tr>"
        yield "</tbody></table>"
        if len(table.rows) > MOST_ROWS:
            yield f"<p><small>{len(table.rows) - MOST_ROWS:,} more rows: card.table has all.</small></p>"
    yield from (f"<p><small>{escape(note)}</small></p>" for note in card.notes)


def _quoted(side: str) -> str:
    return f"'text-align:{side}'"


def _picture(chart: Any) -> str:
    svg = drawn(chart, ".svg", width=WIDTH)
    if len(svg) <= MOST_SVG:
        return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f"data:image/png;base64,{base64.b64encode(drawn(chart, '.png', width=WIDTH)).decode()}"


def _lines(card: Card) -> Iterator[str]:
    """Without its picture, which has no file here."""
    yield from card_lines(card, 4, None)


def _section_text(shown: Section) -> str:
    return "\n\n".join(
        [f"{shown.title}: {shown.subtitle}", *(f"! {w}" for w in shown.warnings), *map(_text, shown.cards)]
    )


def _text(card: Card) -> str:
    return f"{card.title}\n{card.sentence}"
