"""Cards as JSON: what a page holds beside what it shows, and what is read back from it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import polars as pl

from isogloss.errors import InputError
from isogloss.report.card import Card, Section
from isogloss.report.specs import joined, panels
from isogloss.report.words import Format, format_of

SCHEMA = 1
_TYPES = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "boolean": pl.Boolean}
# Vega-Lite would fetch or open these; a figure of ours holds all that it draws.
_OUTSIDE = ("url", "href")


def report_dict(title: str, sections: Sequence[Section], figures: Any = None) -> dict[str, Any]:
    """The whole report. `figures(section, card)` stands in for the specifications of a card's panels."""
    return {
        "schema": SCHEMA,
        "title": title,
        "sections": [
            {
                "title": section.title,
                "subtitle": section.subtitle,
                "source": section.source,
                "warnings": list(section.warnings),
                "cards": [
                    card_dict(card) | ({"figures": figures(s, c)} if figures else {})
                    for c, card in enumerate(section.cards)
                ],
            }
            for s, section in enumerate(sections)
        ],
    }


def card_dict(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "title": card.title,
        "sentence": card.sentence,
        "alt": card.alt,
        "evidence": card.evidence,
        "notes": list(card.notes),
        "figures": [] if card.chart is None else panels(card.chart),
        "table": None if card.table is None else _table(card.table, card),
    }


def sections_of(found: Any, where: str) -> tuple[str, list[Section]]:
    """Title and sections of what `report_dict` wrote. InputError where it is damaged, or would load anything."""
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise InputError(
            f"schema {schema} of these cards is not {SCHEMA}", where=where, hint="Write it again with this isogloss."
        )
    try:
        return str(found["title"]), [_section(section, where) for section in found["sections"]]
    except (KeyError, TypeError, ValueError, RecursionError, pl.exceptions.PolarsError) as broken:
        if isinstance(broken, InputError):
            raise
        raise InputError(f"the cards are damaged: {broken!r}", where=where, hint="Write the file again.") from None


def inert(value: Any) -> str:
    """JSON that no HTML parser can take for markup."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _section(found: dict[str, Any], where: str) -> Section:
    return Section(
        str(found["title"]),
        str(found["subtitle"]),
        [_card(card, where) for card in found["cards"]],
        tuple(map(str, found["warnings"])),
        str(found["source"]),
    )


def _card(found: dict[str, Any], where: str) -> Card:
    figures = [dict(figure) for figure in found["figures"]]
    for figure in figures:
        if outside := next(_loads(figure), None):
            raise InputError(
                f"the figure of card {found['id']!r} would load {outside!r}", where=where, hint="isogloss writes none."
            )
    table, formats = (None, {}) if found["table"] is None else _frame(found["table"])
    return Card(
        id=str(found["id"]),
        title=str(found["title"]),
        sentence=str(found["sentence"]),
        chart=joined(figures) if figures else None,
        table=table,
        notes=tuple(map(str, found["notes"])),
        formats=formats,
        alt=str(found["alt"]),
        evidence=str(found["evidence"]),
    )


def _loads(part: Any) -> Iterator[str]:
    """What a specification would take from outside: data by URL, images, links."""
    if isinstance(part, dict):
        yield from (str(part[key]) for key in _OUTSIDE if key in part)
        if part.get("mark") == "image" or part.get("type") == "image":
            yield "an image"
        for key, value in part.items():
            # Rows of data are only drawn, whatever their columns are called.
            if key not in ("values", "datasets"):
                yield from _loads(value)
    elif isinstance(part, list):
        for value in part:
            yield from _loads(value)


def _table(frame: pl.DataFrame, card: Card) -> dict[str, Any]:
    columns = [
        {"name": column.name, "type": _type(column), "format": format_of(column, card.formats.get(column.name))}
        for column in frame
    ]
    return {"columns": columns, "rows": [[_written(value) for value in row] for row in frame.iter_rows()]}


def _frame(found: dict[str, Any]) -> tuple[pl.DataFrame, dict[str, Format]]:
    columns, rows = found["columns"], found["rows"]
    for column in columns:
        if column["format"] not in get_args(Format):
            raise ValueError(f"no format {column['format']!r}")
    frame = pl.DataFrame(
        {c["name"]: [_read(row[i], c["type"]) for row in rows] for i, c in enumerate(columns)},
        schema={c["name"]: _TYPES[c["type"]] for c in columns},
    )
    return frame, {c["name"]: c["format"] for c in columns}


def _type(column: pl.Series) -> str:
    if column.dtype.is_integer():
        return "integer"
    if column.dtype.is_numeric():
        return "number"
    return "boolean" if column.dtype == pl.Boolean else "text"


def _written(value: Any) -> Any:
    """JSON knows no infinity: it is a word, and what is not a number is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _read(value: Any, kind: str) -> Any:
    if value is None or kind == "boolean":
        return value
    return str(value) if kind == "text" else float(value) if kind == "number" else int(value)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
