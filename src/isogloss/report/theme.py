"""How every chart looks: one Vega-Lite configuration, light and dark, and axes that people can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from isogloss.report.palettes import DARK as DARK
from isogloss.report.palettes import LIGHT, SCREEN_FONT, Palette
from isogloss.report.palettes import STATIC_FONT as STATIC_FONT


def config(palette: Palette = LIGHT, *, font: str = SCREEN_FONT) -> dict[str, Any]:
    """The Vega-Lite `config`. Marks name a style ("plan", "muted" ...) and never a colour, so one
    specification serves light, dark and paper."""
    accent, warm = palette.categories[:2]
    text = {"font": font, "fontSize": 12}
    return {
        "background": palette.background,
        "params": [{"name": "inverse_from", "value": palette.inverse_from}],
        "font": font,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            "domainColor": palette.rule,
            "tickColor": palette.rule,
            "gridColor": palette.grid,
            "labelColor": palette.muted,
            "titleColor": palette.muted,
            "labelFontSize": 11.5,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelPadding": 5,
            "tickSize": 4,
            "labelLimit": 170,
        },
        "axisBand": {
            "grid": False,
            "ticks": False,
            "domain": False,
            "labelColor": palette.ink,
            "labelPadding": 8,
        },
        "axisPoint": {"ticks": False, "domain": False, "labelColor": palette.ink, "labelPadding": 8},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "title": None,
            "labelColor": palette.ink,
            "titleColor": palette.ink,
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "symbolSize": 70,
            "symbolStrokeWidth": 1.6,
            "columnPadding": 14,
            "padding": 0,
            "offset": 10,
        },
        "title": {
            "anchor": "start",
            "color": palette.ink,
            "fontSize": 13,
            "fontWeight": 600,
            "offset": 10,
            "subtitleColor": palette.muted,
        },
        "range": {
            "category": list(palette.categories),
            "symbol": list(SHAPES),
            "diverging": list(palette.diverging),
            "ramp": list(palette.ramp),
            "ordinal": list(palette.ramp),
        },
        "bar": {"color": accent},
        "line": {"color": accent, "strokeWidth": 2},
        "point": {"color": accent, "filled": True, "size": 45},
        "text": {"color": palette.ink, **text},
        "style": {
            "plan": {"color": accent},
            "warm": {"color": warm},
            "ink": {"color": palette.ink},
            "inverse": {"color": palette.background},
            # Over a bar.
            "edged": {"stroke": palette.background, "strokeWidth": 0.9},
            "muted": {"color": palette.muted},
            "rule": {"color": palette.rule},
            "outline": {"stroke": palette.ink, "strokeWidth": 1.2},
            "guide": {"color": palette.rule, "strokeWidth": 1, "strokeDash": [4, 4]},
            "band": {"color": accent, "opacity": 0.13},
            "outside": {"color": palette.muted, "opacity": 0.11},
            NUMBERS: {"color": palette.ink, "fontSize": 11.5, "align": "left", "dx": 6},
            "note": {"color": palette.muted, "fontSize": 11.5},
            "warm-note": {"color": palette.warm_ink, "fontSize": 12, "fontWeight": 600},
            "plan-note": {"color": accent, "fontSize": 12, "fontWeight": 600},
            # A halo in the page's colour keeps a label readable on top of lines.
            "halo": {"color": palette.background, "stroke": palette.background, "strokeWidth": 4},
        },
    }


# The style of numbers in a column right of the plot; pages and pictures leave room for them.
NUMBERS = "numbers"
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

# d3 writes 1e9 as 1G and 1e3 as 1k.
COUNT_LABELS = "replace(replace(format(datum.value, '~s'), 'G', 'B'), 'k', 'K')"
FLOP_LABELS = "replace(format(datum.value, '~e'), '+', '')"
# An axis's own `format` would round to its ticks' precision, which ticks of our own do not follow.
NUMBER_LABELS = "format(datum.value, ',~g')"
PERCENT_LABELS = "format(100 * datum.value, '~g') + ' %'"


def log_ticks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Round numbers between low and high for a logarithmic axis: 1, 2, 5 or whole powers of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [d * 10.0**k for k in range(first, last + 1) for d in digits]
        ticks = [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
        if len(ticks) <= most:
            return ticks
    step = math.ceil(len(ticks) / most)
    return ticks[::step]


def log_axis(
    channel: type[alt.X] | type[alt.Y],
    field: str,
    title: str,
    domain: tuple[float, float],
    *,
    labels: str = COUNT_LABELS,
    most: int = 7,
    **options: Any,
) -> Any:
    """A logarithmic x or y over `domain` with few, round ticks."""
    return channel(
        f"{field}:Q",
        scale=alt.Scale(type="log", domain=list(domain), nice=False),
        axis=alt.Axis(title=title, values=log_ticks(*domain, most=most), labelExpr=labels, **options),
    )


def even_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round values a constant step apart, for an axis that spans less than a decade or two."""
    if high / low > 8:
        return [v for v in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= v <= high]
    step = 10.0 ** math.floor(math.log10(high - low)) if high > low else 1.0
    steps = [step * m for m in (0.1, 0.2, 0.5, 1, 2, 5)]
    step = next(s for s in steps if (high - low) / s < most)
    return [float(f"{k * step:.6g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def widened(values: Sequence[float], by: float = 1.15) -> tuple[float, float]:
    """The range of `values`, a factor wider at both ends."""
    return min(values) / by, max(values) * by


def rows(values: Sequence[dict[str, Any]]) -> alt.InlineData:
    """Inline data: with explicit types in the encodings, altair needs no data frame library."""
    return alt.InlineData(values=list(values))
