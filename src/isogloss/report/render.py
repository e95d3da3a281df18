"""Cards as one HTML page that holds everything it shows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from isogloss.report.card import Card
from isogloss.report.javascript import bundle
from isogloss.report.specs import fluid, panels
from isogloss.report.theme import DARK, LIGHT, config
from isogloss.report.words import Format, cell, format_of

_TEMPLATES = Path(__file__).parent / "templates"
# Longer tables are folded on screen, and unfolded on paper.
OPEN_ROWS = 25


@dataclass(frozen=True)
class _Panel:
    id: str
    spec: Markup
    fluid: bool
    columns: int


@dataclass(frozen=True)
class _Table:
    headers: list[tuple[str, bool]]
    """Words, and whether the column holds numbers."""
    rows: list[list[tuple[str, bool]]]
    folded: bool


def to_html(title: str, subtitle: str, cards: Sequence[Card], warnings: Sequence[str] = ()) -> str:
    """One page with script, style and data inside: it opens from a file and loads nothing from anywhere."""
    drawn = [_panels(number, card) for number, card in enumerate(cards)]
    charts = any(drawn)
    libraries, page_script = (bundle(), _text("page.js")) if charts else ("", "")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            subtitle=subtitle,
            warnings=list(warnings),
            cards=[
                {"card": card, "panels": shown, "table": _table(card)} for card, shown in zip(cards, drawn, strict=True)
            ],
            style=Markup(_text("page.css")),
            scripts=[Markup(s) for s in (libraries, page_script) if s],
            themes=_inert({"light": config(LIGHT), "dark": config(DARK)}),
            policy=_policy([s for s in (libraries, page_script) if s]),
            light=LIGHT,
            dark=DARK,
        )
    )


def _panels(number: int, card: Card) -> list[_Panel]:
    if card.chart is None:
        return []
    specs = panels(card.chart)
    return [_Panel(f"chart-{number}-{part}", _inert(spec), fluid(spec), len(specs)) for part, spec in enumerate(specs)]


def _table(card: Card) -> _Table | None:
    frame = card.table
    if frame is None or not frame.width:
        return None
    formats: list[Format] = [format_of(column, card.formats.get(column.name)) for column in frame]
    numeric = [how != "text" for how in formats]
    rows = [
        [(cell(content, how), right) for content, how, right in zip(row, formats, numeric, strict=True)]
        for row in frame.iter_rows()
    ]
    return _Table(list(zip(frame.columns, numeric, strict=True)), rows, folded=len(rows) > OPEN_ROWS)


def _inert(value: Any) -> Markup:
    """JSON that no HTML parser can take for markup."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: only our own scripts run, and nothing is ever fetched. Vega compiles its
    expressions, hence unsafe-eval; it styles its marks in place, hence unsafe-inline for style."""
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts]
    allowed = " ".join([*hashes, "'unsafe-eval'"]) if hashes else "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
