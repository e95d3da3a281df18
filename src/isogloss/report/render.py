"""Cards as one HTML page that holds everything it shows, and itself as data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from isogloss.errors import InputError
from isogloss.report.alternatives import alternative, described
from isogloss.report.card import Card, Section
from isogloss.report.javascript import bundle
from isogloss.report.specs import fluid, panels
from isogloss.report.stored import inert, report_dict, sections_of
from isogloss.report.tables import Table, table_of, unbroken
from isogloss.report.theme import DARK, LIGHT, config

_TEMPLATES = Path(__file__).parent / "templates"
# Longer tables are folded on screen, and unfolded on paper.
OPEN_ROWS = 25
# Figures of a fixed size that are wider, in pixels, do not fit beside another.
MOST_BESIDE = 300
# The page as data, as the template writes it: `inert` JSON holds no "<".
_CARDS = re.compile(r'<script type="application/json" id="cards">([^<]*)</script>')
_FIGURES = re.compile(r'<script type="application/json" data-chart="([^"<]*)"[^<>]*>([^<]*)</script>')


@dataclass(frozen=True)
class _Panel:
    id: str
    spec: Markup
    kind: str
    """Classes of its box: whether it follows the page's width, or needs a row of its own."""
    alt: str


@dataclass(frozen=True)
class _Shown:
    """A card as the template takes it."""

    card: Card
    anchor: str
    panels: list[_Panel]
    alt: str
    table: Table | None
    folded: bool


def to_html(title: str, subtitle: str, cards: Sequence[Card], warnings: Sequence[str] = ()) -> str:
    """One page with script, style and data inside: it opens from a file and loads nothing from anywhere."""
    return page(title, [Section(title, subtitle, cards, warnings)])


def page(title: str, sections: Sequence[Section]) -> str:
    """`to_html` of several answers, with a table of contents."""
    shown = [[_shown(s, c, card, len(sections)) for c, card in enumerate(x.cards)] for s, x in enumerate(sections)]
    charts = any(item.panels for items in shown for item in items)
    libraries, page_script = (bundle(), _text("page.js")) if charts else ("", "")
    data = report_dict(title, sections, lambda s, c: [panel.id for panel in shown[s][c].panels])
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            sections=list(zip(sections, shown, strict=True)),
            style=Markup(_text("page.css")),
            scripts=[Markup(s) for s in (libraries, page_script) if s],
            themes=Markup(inert({"light": config(LIGHT), "dark": config(DARK)})),
            data=Markup(inert(data)),
            policy=_policy([s for s in (libraries, page_script) if s]),
            light=LIGHT,
            dark=DARK,
        )
    )


def read_page(path: Path) -> tuple[str, list[Section]] | None:
    """Title and sections of a page that isogloss wrote; None where the file is none, or of before cards were kept."""
    text = path.read_text(encoding="utf-8", errors="replace")
    found = _CARDS.search(text)
    if found is None:
        return None
    try:
        figures = {name: json.loads(spec) for name, spec in _FIGURES.findall(text)}
        data = json.loads(found[1])
        for section in data["sections"]:
            for card in section["cards"]:
                card["figures"] = [figures[name] for name in card["figures"]]
    except (ValueError, KeyError, TypeError, RecursionError) as broken:
        raise InputError(f"the page is damaged: {broken!r}", where=str(path), hint="Write it again.") from None
    return sections_of(data, str(path))


def _shown(section: int, number: int, card: Card, sections: int) -> _Shown:
    """Sections of one page may have cards of the same id."""
    several = sections > 1
    specs = [] if card.chart is None else panels(card.chart)
    alt = alternative(card)
    drawn = [
        _Panel(
            f"chart-{section}-{number}-{part}" if several else f"chart-{number}-{part}",
            Markup(inert(spec)),
            _kind(spec),
            alt if len(specs) == 1 else f"{card.title}, {part + 1} of {len(specs)}: {described(spec)}",
        )
        for part, spec in enumerate(specs)
    ]
    table = table_of(card)
    anchor = f"{section + 1}-{card.id}" if several else card.id
    return _Shown(card, anchor, drawn, alt, table, table is not None and len(table.rows) > OPEN_ROWS)


def _kind(spec: dict[str, Any]) -> str:
    if fluid(spec):
        return "panel"
    width = spec.get("width")
    return "panel fixed wide" if isinstance(width, int | float) and width > MOST_BESIDE else "panel fixed"


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: only our own scripts run, and nothing is ever fetched. Vega compiles its
    expressions, hence unsafe-eval; it styles its marks in place, hence unsafe-inline for style."""
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts]
    allowed = " ".join([*hashes, "'unsafe-eval'"]) if hashes else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["unbroken"] = unbroken
    return made


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
