"""A report as Markdown, with its figures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from isogloss.report.alternatives import alternative
from isogloss.report.card import Card, Section
from isogloss.report.tables import table_of

# What Markdown or the HTML in it would take for more than letters.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$!#@])")
_LINE_START = re.compile(r"^(\s*)([-+=>]|\d+[.)])(?=\s|$|=)")
# Readers make links of these by themselves.
_SCHEME = re.compile(r"\b(javascript|data|vbscript|file):", re.IGNORECASE)

Pictures = Mapping[tuple[int, int], str]
"""Files of figures, by the places of the section and of the card."""


def to_markdown(title: str, sections: Sequence[Section], pictures: Pictures) -> str:
    """Title, contents, and every card as text, picture, table and notes. What users wrote is plain text in it."""
    several = len(sections) > 1
    lines = [f"# {plain(title)}", ""]
    if several:
        lines += [f"{k}. {plain(': '.join(filter(None, (s.title, s.subtitle))))}" for k, s in _numbered(sections)]
        lines.append("")
    for number, section in _numbered(sections):
        lines += _section(number, section, 3 if several else 2, pictures, titled=several)
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """Text that no Markdown reader takes for markup, a link or HTML, in one line."""
    text = " ".join(text.split("\n"))
    text = _SPECIAL.sub(r"\\\1", text.replace("&", "&amp;"))
    text = _SCHEME.sub(r"\1&#58;", text)
    return _LINE_START.sub(r"\1\\\2", text)


def card_lines(card: Card, level: int, picture: str | None) -> Iterator[str]:
    yield from (f"{'#' * level} {plain(card.title)}", "", f"**{plain(card.sentence)}**", "")
    if picture is not None:
        yield from (f"![{plain(alternative(card))}]({picture})", "")
    if card.evidence:
        yield from (f"*{plain(card.evidence)}*", "")
    yield from _table(card)
    for note in card.notes:
        yield from (plain(note), "")


def _section(number: int, section: Section, level: int, pictures: Pictures, *, titled: bool) -> Iterator[str]:
    if titled:
        yield from (f"## {number}. {plain(section.title)}", "")
    if section.subtitle:
        yield from (plain(section.subtitle), "")
    if section.source:
        yield from (f"Source: {plain(section.source)}", "")
    if section.warnings:
        yield from (f"{'#' * level} Before you rely on this", "")
        yield from (f"* {plain(warning)}" for warning in section.warnings)
        yield ""
    for place, card in enumerate(section.cards):
        yield from card_lines(card, level, pictures.get((number - 1, place)))


def _table(card: Card) -> Iterator[str]:
    table = table_of(card)
    if table is None:
        return
    yield _row([_cell(header) for header in table.headers])
    yield _row(["---:" if right else ":---" for right in table.numeric])
    for row in table.rows:
        yield _row([_cell(content) for content in row])
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return plain(text) or " "


def _numbered(sections: Sequence[Section]) -> Iterator[tuple[int, Section]]:
    return enumerate(sections, 1)
