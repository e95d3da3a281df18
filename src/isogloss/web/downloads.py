"""What a page gives away: CSV that no spreadsheet runs, pictures, pages."""

from __future__ import annotations

from typing import Any

import polars as pl

from isogloss.report.card import Card
from isogloss.report.javascript import vega_lite_version
from isogloss.report.specs import spec_of, with_widths
from isogloss.report.theme import LIGHT, STATIC_FONT, config

# Spreadsheets take a cell that begins with one of these for a formula, after spaces too.
WIDTH = 720
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would run it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) or text.startswith(FORMULA) else text


def csv_of(frame: pl.DataFrame) -> bytes:
    """Numbers stay numbers; text that begins as a formula does is marked as text."""
    columns = []
    for column in frame:
        if column.dtype.is_nested() or column.dtype == pl.Object:
            column = pl.Series(column.name, [None if v is None else str(v) for v in column], dtype=pl.String)
        if column.dtype in (pl.String, pl.Categorical, pl.Enum):
            texts = [None if v is None else harmless(v) for v in column.cast(pl.String)]
            column = pl.Series(column.name, texts, dtype=pl.String)
        columns.append(column)
    safe = pl.DataFrame(columns)
    return safe.rename({name: harmless(name) for name in safe.columns}).write_csv().encode()


def svg_of(card: Card) -> bytes:
    """The card's chart, for a document: light, with room around it."""
    import vl_convert

    look: dict[str, Any] = {**config(LIGHT, font=STATIC_FONT), "background": "white", "padding": 14}
    spec = {**with_widths(spec_of(card.chart), WIDTH), "config": look}
    return vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version()).encode()


def file_name(text: str, suffix: str) -> str:
    """A name that no system trips over."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower()).strip("-")
    return f"{'-'.join(p for p in kept.split('-') if p)[:60] or 'isogloss'}{suffix}"
