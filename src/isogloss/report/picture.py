"""A chart as an SVG or PNG file, for documents that run no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isogloss.errors import InputError, unknown_name
from isogloss.files import new_file
from isogloss.report.card import Card
from isogloss.report.javascript import vega_lite_version
from isogloss.report.specs import spec_of, with_widths
from isogloss.report.theme import LIGHT, STATIC_FONT, config
from isogloss.stores import mirrored

SUFFIXES = (".svg", ".png")
WIDTH = 720
SCALE = 2


def save_picture(card_or_chart: Card | Any, path: str | Path) -> Path:
    """Write a card's chart, or any altair chart, as .svg or .png (two pixels a point), whole or not at all."""
    import vl_convert

    path = mirrored(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise unknown_name("picture format", path.suffix or str(path), SUFFIXES)
    spec = {**with_widths(spec_of(_chart(card_or_chart)), WIDTH), "config": _config()}
    version = vega_lite_version()
    with new_file(path) as temporary:
        if suffix == ".svg":
            temporary.write_text(vl_convert.vegalite_to_svg(spec, vl_version=version), encoding="utf-8")
        else:
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, vl_version=version, scale=SCALE))
    return path


def _chart(card_or_chart: Card | Any) -> Any:
    if not isinstance(card_or_chart, Card):
        return card_or_chart
    if card_or_chart.chart is None:
        raise InputError(f"card {card_or_chart.id!r} has no chart", hint=card_or_chart.sentence)
    return card_or_chart.chart


def _config() -> dict[str, Any]:
    return {**config(LIGHT, font=STATIC_FONT), "background": "white", "padding": 14}
