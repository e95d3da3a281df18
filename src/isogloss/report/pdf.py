"""A report as a PDF document, set by Typst."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.report.alternatives import alternative
from isogloss.report.card import Card, Section
from isogloss.report.picture import save_figures
from isogloss.report.tables import Table, table_of
from isogloss.report.theme import LIGHT

_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
# Letters that stand side by side on a page, by the size of type in points, and whether the page lies on its side.
_FITS = ((92, 9.0, False), (118, 7.5, False), (165, 7.5, True))
# Of a column of text, which can be broken; and of a word, which cannot.
_LINE, _WORD = 34, 24
_BETWEEN = 2
# Longer tables are cut: paper is no place for them, and the page and the JSON have all rows.
MOST_ROWS = 400


def check_pdf() -> None:
    """InputError where the library is missing: ask before long work."""
    if importlib.util.find_spec("typst") is None:
        raise InputError("PDF needs typst", where="report", hint="Install it: pip install 'isogloss[pdf]'.")


def to_pdf(title: str, sections: Sequence[Section]) -> bytes:
    """A document with contents, page numbers and tags for screen readers."""
    check_pdf()
    import typst

    # Typst reads no file outside this folder, and fetches nothing that the template does not name.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copyfile(_TEMPLATE, root / "report.typ")
        figures = save_figures(sections, root, ".pdf")
        held = _document(title, sections, figures)
        (root / "data.json").write_text(json.dumps(held, ensure_ascii=False), encoding="utf-8")
        return typst.compile(str(root / "report.typ"), root=str(root), format="pdf")  # pyright: ignore[reportReturnType]


def _document(title: str, sections: Sequence[Section], figures: dict[tuple[int, int], str]) -> dict[str, Any]:
    return {
        "title": title,
        "accent": LIGHT.categories[0],
        "warm": LIGHT.warm_ink,
        "sections": [
            {
                "title": section.title,
                "subtitle": section.subtitle,
                "source": section.source,
                "warnings": list(section.warnings),
                "cards": [_card(card, figures.get((s, c))) for c, card in enumerate(section.cards)],
            }
            for s, section in enumerate(sections)
        ],
    }


def _card(card: Card, figure: str | None) -> dict[str, Any]:
    table = table_of(card)
    left = 0 if table is None else len(table.rows) - MOST_ROWS
    more = [f"The table goes on: {left:,} more rows stand in the HTML page and in the JSON."] if left > 0 else []
    return {
        "title": card.title,
        "sentence": card.sentence,
        "figure": figure,
        "alt": alternative(card),
        "evidence": card.evidence,
        "tables": [] if table is None else [_laid_out(part) for part in _parts(table)],
        "notes": [*more, *card.notes],
    }


def _widths(table: Table) -> list[int]:
    """Letters that each column needs: its longest number or word, and of text no more than a line."""
    widths = []
    for place, (header, numeric) in enumerate(zip(table.headers, table.numeric, strict=True)):
        cells = [row[place] for row in table.rows[:MOST_ROWS]]
        longest = max(map(len, cells), default=0)
        words = max((len(word) for text in (header, *cells) for word in text.split()), default=0)
        widths.append(max(words if words < _WORD else _WORD, longest if numeric else min(longest, _LINE)) + _BETWEEN)
    return widths


def _parts(table: Table) -> list[Table]:
    """The table, or tables that fit the widest page, each with the first column."""
    widths = _widths(table)
    widest = _FITS[-1][0]
    groups: list[list[int]] = [[]]
    for place in range(1, len(widths)):
        if groups[-1] and widths[0] + sum(widths[k] for k in groups[-1]) + widths[place] > widest:
            groups.append([])
        groups[-1].append(place)
    return [_columns(table, [0, *group]) for group in groups]


def _columns(table: Table, places: list[int]) -> Table:
    def pick(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[k] for k in places)

    return Table(pick(table.headers), pick(table.numeric), tuple(pick(row) for row in table.rows[:MOST_ROWS]))


def _laid_out(table: Table) -> dict[str, Any]:
    needed = sum(_widths(table))
    size, landscape = next(((s, flat) for room, s, flat in _FITS if needed <= room), _FITS[-1][1:])
    return {
        "size": size,
        "landscape": landscape,
        "columns": [
            {"name": _breakable(name), "numeric": numeric}
            for name, numeric in zip(table.headers, table.numeric, strict=True)
        ],
        "rows": [[_breakable(text) for text in row] for row in table.rows],
    }


def _breakable(text: str) -> str:
    """Hashes and paths may break anywhere, which only a space of no width tells."""
    return re.sub(rf"\S{{{_WORD},}}", lambda word: "\u200b".join(word[0]), text)
