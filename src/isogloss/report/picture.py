"""A chart as an SVG or PNG file, for documents that run no script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isogloss.errors import InputError, unknown_name
from isogloss.files import new_file
from isogloss.report.card import Card, Section
from isogloss.report.javascript import vega_lite_version
from isogloss.report.specs import spec_of, with_widths
from isogloss.report.theme import LIGHT, STATIC_FONT, config
from isogloss.stores import mirrored

SUFFIXES = (".svg", ".png")
WIDTH = 720
SCALE = 2


def save_picture(card_or_chart: Card | Any, path: str | Path) -> Path:
    """Write a card's chart, or any altair chart, as .svg or .png (two pixels a point), whole or not at all."""
    path = mirrored(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise unknown_name("picture format", path.suffix or str(path), SUFFIXES)
    chart = _chart(card_or_chart)
    with new_file(path) as temporary:
        temporary.write_bytes(drawn(chart, suffix))
    return path


def drawn(chart: Any, suffix: str, *, width: float = WIDTH) -> bytes:
    """A chart as the content of an .svg, .png or .pdf file: light, on white, `width` points wide."""
    import vl_convert

    spec = {**with_widths(spec_of(chart), width), "config": _config()}
    # Nothing is ever fetched for a figure: charts of ours hold their data.
    options: dict[str, Any] = {"vl_version": vega_lite_version(), "allowed_base_urls": []}
    if suffix == ".svg":
        return vl_convert.vegalite_to_svg(spec, **options).encode()
    if suffix == ".pdf":
        return vl_convert.vegalite_to_pdf(spec, **options)
    return vl_convert.vegalite_to_png(spec, scale=SCALE, **options)


def save_figures(sections: Sequence[Section], folder: Path, suffix: str) -> dict[tuple[int, int], str]:
    """Every card's figure as a file in `folder`; its name by the places of the section and of the card."""
    names: dict[tuple[int, int], str] = {}
    for number, section in enumerate(sections):
        for place, card in enumerate(section.cards):
            if card.chart is not None:
                prefix = f"{number + 1}-" if len(sections) > 1 else ""
                name = _free(f"{prefix}{_name(card.id)}", set(names.values()), suffix)
                (folder / name).write_bytes(drawn(card.chart, suffix))
                names[number, place] = name
    return names


def _name(identity: str) -> str:
    """A card's id as a file's name: ids of cards that were read from a file could be anything."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in identity)[:60] or "figure"


def _free(stem: str, taken: set[str], suffix: str) -> str:
    name, more = f"{stem}{suffix}", 1
    while name in taken:
        more += 1
        name = f"{stem}-{more}{suffix}"
    return name


def _chart(card_or_chart: Card | Any) -> Any:
    if not isinstance(card_or_chart, Card):
        return card_or_chart
    if card_or_chart.chart is None:
        raise InputError(f"card {card_or_chart.id!r} has no chart", hint=card_or_chart.sentence)
    return card_or_chart.chart


def _config() -> dict[str, Any]:
    return {**config(LIGHT, font=STATIC_FONT), "background": "white", "padding": 14}
