"""A card's table as the words that people read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from isogloss.report.card import Card
from isogloss.report.words import Format, cell, format_of

# An interval in brackets, as "(0.27 to 0.55)".
_INTERVAL = re.compile(r"\([^() ]{1,16} to [^() ]{1,16}\)")


@dataclass(frozen=True)
class Table:
    headers: tuple[str, ...]
    numeric: tuple[bool, ...]
    """Whether a column holds numbers, which are set to the right."""
    rows: tuple[tuple[str, ...], ...]

    @property
    def named(self) -> bool:
        """Whether the first column says what each row is of."""
        return bool(self.headers) and not self.numeric[0]


def table_of(card: Card) -> Table | None:
    frame = card.table
    if frame is None or not frame.width:
        return None
    formats: list[Format] = [format_of(column, card.formats.get(column.name)) for column in frame]
    rows = tuple(
        tuple(cell(content, how) for content, how in zip(row, formats, strict=True)) for row in frame.iter_rows()
    )
    return Table(tuple(frame.columns), tuple(how != "text" for how in formats), rows)


def unbroken(text: str) -> str:
    """With no-break spaces inside intervals: a narrow column breaks before the bracket."""
    return _INTERVAL.sub(lambda found: found[0].replace(" ", "\u00a0"), text)
