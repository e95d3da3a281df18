"""How charts look: a colour-blind-safe palette, a configuration for light and dark, axes with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

# Okabe and Ito's palette, its blue a little lighter so that it shows on a dark page too.
BLUE, SKY, GREEN = "#1F82C4", "#56B4E9", "#009E73"
ORANGE, RED, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
GREY = "#8A919A"

# d3 writes 1e9 as 1G and 1e3 as 1k.
COUNT_LABELS = "replace(replace(format(datum.value, '~s'), 'G', 'B'), 'k', 'K')"
FLOP_LABELS = "replace(format(datum.value, '~e'), '+', '')"


def config(*, dark: bool) -> dict[str, Any]:
    ink, soft, line = ("#e6e9ee", "#9aa2ad", "#333942") if dark else ("#1d2127", "#5b626c", "#e3e6ea")
    axis = {"labelColor": soft, "titleColor": soft, "gridColor": line, "domainColor": line, "tickColor": line}
    return {
        "background": "transparent",
        "font": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
        "view": {"stroke": None},
        "axis": {**axis, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"},
        "axisBand": {"grid": False, "ticks": False, "domain": False, "labelColor": ink},
        "legend": {"labelColor": ink, "titleColor": soft},
        "title": {"color": ink, "anchor": "start", "fontSize": 14},
        "text": {"color": ink},
    }


def data(values: Sequence[dict[str, Any]]) -> alt.InlineData:
    """Inline rows: with types in the encodings, altair needs no data frame library. JSON has no infinity."""
    return alt.InlineData(values=[{k: _plain(v) for k, v in row.items()} for row in values])


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def line_axis(field: str, title: str, *, channel: str = "y", format: str = "~g") -> Any:
    axis = alt.Axis(title=title, format=format, tickCount=6)
    return _channel(channel)(f"{field}:Q", scale=alt.Scale(zero=False), axis=axis)


def log_axis(
    field: str, title: str, values: Sequence[float], *, channel: str = "x", counts: bool = True, most: int = 7
) -> Any:
    """A logarithmic axis over `values`, labelled 10M, 1B, 100B or, for FLOPs, 1e22."""
    low, high = min(values), max(values)
    axis = alt.Axis(title=title, values=_ticks(low, high, most), labelExpr=COUNT_LABELS if counts else FLOP_LABELS)
    return _channel(channel)(f"{field}:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False), axis=axis)


def _channel(name: str) -> type[alt.X] | type[alt.Y]:
    return alt.X if name == "x" else alt.Y


def _ticks(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [t for t in (float(f"{d}e{k}") for k in powers for d in digits) if low <= t <= high]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]
