"""Cards as one self-contained HTML page, and charts as pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from isogloss.cache import cache_dir
from isogloss.errors import InputError, unknown_name
from isogloss.files import new_file
from isogloss.report.card import Card
from isogloss.report.theme import config
from isogloss.units import format_quantity

# Table columns by what their numbers mean: anything else is shown with four digits.
COUNTS = {"N", "D", "tokens", "text", "N_low", "N_high", "D_low", "D_high", "low N", "high N", "low D", "high D"}
PERCENT = {"share", "excess", "against the plan"}
ROUND = {"C", "FLOPs"}
# Cells of more text than this get room of their own on a narrow screen.
LONG = 40
TWO_PLACES = {"epochs"}


def to_html(title: str, subtitle: str, cards: Sequence[Card], warnings: Sequence[str] = ()) -> str:
    """One page that opens offline: script and data are inside it, nothing is loaded from anywhere."""
    specs = {f"{card.id}-{i}": _spec(chart) for card in cards for i, chart in enumerate(card.charts)}
    return _template().render(
        title=title,
        subtitle=subtitle,
        cards=[{"card": card, "table": _table(card.table)} for card in cards],
        warnings=warnings,
        javascript=Markup(_javascript()) if specs else "",
        specs=_inert(specs),
        themes=_inert({"light": config(dark=False), "dark": config(dark=True)}),
    )


def save_picture(chart: Any, path: str | Path) -> Path:
    """Write one Altair chart as .png (twice the size) or .svg, on white, whole or not at all."""
    import vl_convert

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg"):
        raise unknown_name("picture format", path.suffix or str(path), [".png", ".svg"])
    settings = {**config(dark=False), "background": "white", "font": "DejaVu Sans, sans-serif", "padding": 16}
    spec = {**_spec(chart), "config": settings}
    with new_file(path) as temporary:
        if suffix == ".png":
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
        else:
            temporary.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    return path


def _spec(chart: Any) -> dict[str, Any]:
    # Validation takes a second a page and guards against our own mistakes only, which the tests catch.
    spec = chart.to_dict(validate=False)
    spec.pop("config", None)
    return spec


@cache
def _template() -> Any:
    environment = Environment(loader=PackageLoader("isogloss.report"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2")


def _inert(value: Any) -> Markup:
    """JSON that no HTML parser can mistake for markup."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


@cache
def _javascript() -> str:
    """Vega, Vega-Lite and vega-embed as one script. Making it takes a second, so it is kept between processes."""
    folder = cache_dir("javascript")
    kept = folder / f"vega-{version('vl-convert-python')}.js" if folder else None
    if kept is not None and kept.exists():
        return kept.read_text(encoding="utf-8")
    import vl_convert

    script = vl_convert.javascript_bundle()  # pyright: ignore[reportCallIssue]  # its stub forgets the default
    script = script.replace("</script", "<\\/script")
    if kept is not None:
        with new_file(kept) as temporary:
            temporary.write_text(script, encoding="utf-8")
    return script


def _table(frame: pl.DataFrame | None) -> dict[str, Any] | None:
    if frame is None:
        return None
    numeric = [dtype.is_numeric() for dtype in frame.dtypes]
    rows = [[_cell(value, name) for name, value in zip(frame.columns, row, strict=True)] for row in frame.rows()]
    return {
        "headers": [
            {"text": name.replace("_", " "), "numeric": n} for name, n in zip(frame.columns, numeric, strict=True)
        ],
        "rows": [
            [
                {"text": text, "kind": "n" if n else "long" if len(text) > LONG else ""}
                for text, n in zip(row, numeric, strict=True)
            ]
            for row in rows
        ],
    }


def share(value: float) -> str:
    """A share in percent, small ones to two digits: 39.3%, 0.048%."""
    return f"{value:.1%}" if value >= 0.001 or value == 0 else f"{100 * value:.2g}%"


def _cell(value: Any, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else ""
    if column in COUNTS:
        return format_quantity(value) if value >= 1 else "0"
    if column in PERCENT:
        return f"{value:+.2%}" if column != "share" else share(value)
    if column in ROUND:
        return f"{value:.3g}"
    if column in TWO_PLACES:
        return f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    raise InputError(f"a {type(value).__name__} cannot be shown in a table", where=column)
