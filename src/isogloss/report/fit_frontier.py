"""The compute-optimal size and tokens against compute, with the interval of the draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from isogloss.report.theme import COUNT_LABELS, FLOP_LABELS, log_axis, rows
from isogloss.report.words import about, flops

if TYPE_CHECKING:
    from isogloss.fitting import Fit

HEIGHT = 300
STEPS = 41
# An interval wider than this factor beyond the line is cut: it would leave the line itself no room.
WIDEST = 30.0
TITLES = {"N": ("Parameters N*", "best parameters N*"), "D": ("Tokens D*", "best training tokens D*")}


def frontier_chart(fit: Fit) -> Any:
    """N* and D* over the compute of the runs and a hundred times beyond."""
    tokens = fit.rows["D" if "D" in fit.rows.columns else "D_target"].to_numpy()
    C = 6 * fit.rows["N"].to_numpy().astype(float) * tokens
    budgets = fit.default_budgets()
    domain = float(C.min()) / 2, budgets[-1] * 2
    line = fit.optimum(np.geomspace(*domain, STEPS)).to_dicts()
    marked = fit.optimum(budgets).to_dicts()
    runs = float(C.min()), float(C.max())
    return alt.hconcat(*(_panel(name, line, marked, domain, runs) for name in ("N", "D")))


def _panel(
    name: str,
    line: list[dict[str, Any]],
    marked: list[dict[str, Any]],
    domain: tuple[float, float],
    runs: tuple[float, float],
) -> Any:
    title, words = TITLES[name]
    points, best = [_point(r, name) for r in line], [_point(r, name) for r in marked]
    values = [v for p in points for v in (p["low"], p["high"], p["value"])]
    x = log_axis(alt.X, "C", "training compute 6 N D, FLOPs", domain, labels=FLOP_LABELS, most=6, grid=False)
    heights = min(values) / 1.2, max(values) * 1.2
    y, low = (log_axis(alt.Y, field, words, heights, labels=COUNT_LABELS) for field in ("value", "low"))
    tip = [alt.Tooltip("at:N", title="FLOPs"), alt.Tooltip("is:N", title=f"{name}*")]
    curve = alt.Chart(rows(points))
    outside = [(domain[0], runs[0]), (runs[1], domain[1])]
    shade = alt.Chart(rows([{"C": a, "end": b} for a, b in outside])).mark_rect(style="outside")
    word = alt.Chart(rows([{"C": float(np.sqrt(runs[1] * domain[1])), "text": "extrapolation"}]))
    layers = [
        shade.encode(x=x, x2="end:Q"),
        word.mark_text(style="note", baseline="top").encode(x=x, y=alt.value(8), text="text:N"),
        curve.mark_area(style="band", opacity=0.22, clip=True).encode(x=x, y=low, y2="high:Q"),
        curve.mark_line(clip=True).encode(x=x, y=y),
        curve.mark_point(size=90, opacity=0).encode(x=x, y=y, tooltip=tip),
        alt.Chart(rows(best)).mark_point(style="warm", size=70, opacity=1).encode(x=x, y=y, tooltip=tip),
    ]
    return alt.layer(*layers).properties(width="container", height=HEIGHT, title=alt.TitleParams(title, frame="group"))


def _point(row: dict[str, Any], name: str) -> dict[str, Any]:
    value = row[name]
    low, high = row.get(f"{name}_low", value), row.get(f"{name}_high", value)
    said = about(value) + (f" ({about(low)} to {about(high)})" if f"{name}_low" in row else "")
    ends = {"low": max(low, value / WIDEST), "high": min(high, value * WIDEST)}
    return {"C": row["C"], "value": value, "at": flops(row["C"]), "is": said} | ends
