"""The factors of an expansion as a chart: how many times the parameters, tokens and compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import altair as alt

from isogloss.report.theme import NUMBERS, rows
from isogloss.report.words import value

if TYPE_CHECKING:
    from isogloss.planning.expand import Expansion

STEP = 32
LABELS = "'× ' + format(datum.value, ',~g')"


def factors_chart(answer: Expansion, titles: Mapping[str, str]) -> Any:
    """A row per factor of `titles` (field: words), on one logarithmic scale with a line at 1, where nothing changes."""
    points = []
    for field, words in titles.items():
        factor, bounds = float(getattr(answer, field)), answer.intervals.get(field)
        said = value(factor)
        ends = (factor, factor)
        if bounds is not None and bounds.low != bounds.high:
            ends = (float(bounds.low), float(bounds.high))
            said += f" ({value(bounds.low)} to {value(bounds.high)})"
        points.append(
            {"name": words, "factor": factor, "low": ends[0], "high": ends[1], "text": value(factor), "is": said}
        )
    values = [1.0, *(p[k] for p in points for k in ("low", "high"))]
    low, high = min(values) / 1.15, max(values) * 1.15
    ticks = [t for t in (0.1, 0.2, 0.5, 0.8, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(
        title=f"factor for {answer.r:g} times the languages (logarithmic scale)", values=ticks, labelExpr=LABELS
    )
    x, start = (alt.X(f"{field}:Q", scale=scale, axis=axis) for field in ("factor", "low"))
    y = alt.Y("name:N", sort=list(titles.values()), axis=alt.Axis(title=None, grid=True, labelLimit=220))
    tip = [alt.Tooltip("name:N", title="quantity"), alt.Tooltip("is:N", title="factor")]
    base = alt.Chart(rows(points)).encode(y=y, tooltip=tip)
    return alt.layer(
        alt.Chart(rows([{"factor": 1.0}])).mark_rule(style="guide").encode(x=x),
        base.mark_rule(style="plan", strokeWidth=5, opacity=0.3).encode(x=start, x2="high:Q"),
        base.mark_point(style="plan", size=80, opacity=1).encode(x=x),
        base.mark_text(style=NUMBERS, baseline="middle").encode(x=alt.value("width"), text="text:N"),
    ).properties(width="container", height=STEP * len(points))
