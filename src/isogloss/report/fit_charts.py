"""The charts of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from isogloss.report.fit_surface import Surface
from isogloss.report.theme import (
    COUNT_LABELS,
    FLOP_LABELS,
    NUMBER_LABELS,
    PERCENT_LABELS,
    even_ticks,
    log_axis,
    rows,
    widened,
)
from isogloss.report.words import about, count, flops, loss, per_cent, quantity

if TYPE_CHECKING:
    from isogloss.fitting import Fit

BINS = 25
# Above this many runs, points are smaller and more transparent.
MANY = 400


def fit_points(fit: Fit) -> list[dict[str, Any]]:
    """One row per run used, with C = 6 N D where the law knows N and D, and what hovering shows."""
    tokens = tokens_column(fit)
    out = []
    for row in fit.rows.to_dicts():
        point = {
            k: v for k, v in row.items() if isinstance(v, str | int | float) and (isinstance(v, str) or np.isfinite(v))
        }
        if tokens and "N" in row:
            point["C"] = 6 * row["N"] * row[tokens]
        if tokens and np.isfinite(row.get("U") or np.inf):
            point["epochs"] = row[tokens] / row["U"]
        point["run"] = str(row.get("run_id") or f"row {row['row']}")
        point["size"] = " on ".join(quantity(row[c]) for c in ("N", tokens) if c and c in row)
        point["error"] = per_cent(row["relative_error"], signed=True)
        point["losses"] = f"{loss(row['predicted'])} / {loss(row['loss'])}"
        out.append(point)
    return out


def fit_source(fit: Fit) -> str:
    """How many rows and runs, and of which table."""
    ids = fit.rows["run_id"].n_unique() if "run_id" in fit.rows.columns else fit.rows.height
    runs = "" if ids == fit.rows.height else f" of {count(ids, 'run')}"
    return f"{count(fit.rows.height, 'row')}{runs} from {fit.source}."


def tokens_column(fit: Fit) -> str | None:
    return next((c for c in ("D", "D_target") if c in fit.rows.columns), None)


def observed_chart(fit: Fit, points: list[dict[str, Any]]) -> Any:
    """Predicted against observed with the line of equality, and how the errors are spread."""
    values = [p[k] for p in points for k in ("loss", "predicted")]
    low, high = min(values), max(values)
    room = 0.03 * (high - low) or 0.01
    domain = [low - room, high + room]
    scale = alt.Scale(domain=domain, nice=False)
    axis: dict[str, Any] = {"values": even_ticks(*domain), "labelExpr": NUMBER_LABELS}
    x = alt.X("loss:Q", scale=scale, axis=alt.Axis(title=f"observed loss ({fit.unit})", **axis))
    y = alt.Y("predicted:Q", scale=scale, axis=alt.Axis(title="predicted loss", **axis))
    line = alt.Chart(rows([{"loss": v, "predicted": v} for v in domain])).mark_line(style="guide").encode(x=x, y=y)
    dots = alt.Chart(rows(points)).mark_point(**_dot(points)).encode(x=x, y=y, tooltip=fit_hover())
    scatter = alt.layer(line, dots).properties(
        width="container", height=320, title=alt.TitleParams("Predicted against observed", frame="group")
    )
    return alt.hconcat(scatter, _histogram(points))


def _histogram(points: list[dict[str, Any]]) -> Any:
    errors = np.array([p["relative_error"] for p in points])
    reach = float(max(np.abs(errors).max(), 1e-6)) * 1.02
    counts, edges = np.histogram(errors, bins=BINS, range=(-reach, reach))
    bars = [
        {
            "from": float(a),
            "to": float(b),
            "none": 0,
            "rows": int(n),
            "errors": f"{per_cent(a, signed=True)} to {per_cent(b, signed=True)}",
        }
        for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
        if n
    ]
    x = alt.X(
        "from:Q",
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(title="predicted / observed − 1", labelExpr=PERCENT_LABELS, tickCount=6, grid=False),
    )
    return (
        alt.Chart(rows(bars))
        .mark_bar(style="plan", binSpacing=1)
        .encode(
            x=x,
            x2="to:Q",
            y2="none:Q",
            y=alt.Y("rows:Q", axis=alt.Axis(title="rows", tickCount=5, labelExpr=NUMBER_LABELS)),
            tooltip=[alt.Tooltip("errors:N"), alt.Tooltip("rows:Q")],
        )
        .properties(width="container", height=320, title=alt.TitleParams("Relative error", frame="group"))
    )


def residuals_chart(points: list[dict[str, Any]], columns: dict[str, str]) -> Any:
    """Relative error against each of `columns` (name: title), side by side on one scale."""
    reach = 1.08 * max(max(abs(p["relative_error"]) for p in points), 1e-6)
    return alt.hconcat(*(_residual_panel(points, name, title, reach) for name, title in columns.items()))


def _residual_panel(points: list[dict[str, Any]], name: str, title: str, reach: float) -> Any:
    domain = widened([p[name] for p in points if p.get(name, 0) > 0])
    labels = {"C": FLOP_LABELS, "epochs": NUMBER_LABELS}.get(name, COUNT_LABELS)
    x = log_axis(alt.X, name, title, domain, labels=labels, most=4, grid=False)
    y = alt.Y(
        "relative_error:Q",
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(title="predicted / observed − 1", labelExpr=PERCENT_LABELS, tickCount=5),
    )
    zero = alt.Chart(rows([{"relative_error": 0}])).mark_rule(style="rule").encode(y=y)
    shown = [p for p in points if p.get(name, 0) > 0]
    dots = alt.Chart(rows(shown)).mark_point(**_dot(points)).encode(x=x, y=y, tooltip=fit_hover())
    return alt.layer(zero, dots).properties(width="container", height=210)


def surface_chart(surface: Surface, points: list[dict[str, Any]]) -> Any:
    """Iso-loss lines over N and D, iso-FLOP lines, the runs, and the compute-optimal frontier."""
    x = log_axis(alt.X, "N", "parameters N", surface.N_range)
    y = log_axis(alt.Y, "D", "training tokens D", surface.D_range)
    names = ["iso-loss", "compute-optimal"]
    colour = alt.Color("line:N", scale=alt.Scale(domain=names))
    loss_lines = [p | {"line": names[0], "text": loss(p["loss"])} for p in surface.iso_loss]
    frontier = [p | {"line": names[1], "text": _optimum_text(p)} for p in surface.frontier]
    marked = [p | {"line": names[1], "text": _optimum_text(p), "label": f"{flops(p['C'])}"} for p in surface.optima]
    flop_lines = [p | {"text": flops(p["C"])} for p in surface.iso_flop]
    ends = [p | {"label": f"{p['loss']:.{surface.digits}f}"} for p in surface.loss_labels]
    tops = [p | {"label": flops(p["C"])} for p in surface.flop_labels]
    runs = alt.Chart(rows(points)).mark_point(style="muted", size=14, opacity=0.55, clip=True)
    lines = alt.Chart(rows(loss_lines)).mark_line(strokeWidth=1.4, clip=True)
    best = alt.Chart(rows(frontier)).mark_line(strokeWidth=2.6, clip=True)
    layers = [
        alt.Chart(rows(flop_lines))
        .mark_line(style="guide", clip=True)
        .encode(x=x, y=y, detail="C:N", tooltip=alt.Tooltip("text:N", title="FLOPs")),
        runs.encode(x=x, y=y, tooltip=fit_hover()),
        lines.encode(x=x, y=y, color=colour, detail="loss:N", tooltip=alt.Tooltip("text:N", title="loss")),
        *_labels(tops, x, y, "note", dx=4, dy=8, align="left"),
        *_labels(ends, x, y, "plan-note", dx=-4, dy=-6, align="right"),
    ]
    if frontier:
        layers.append(best.encode(x=x, y=y, color=colour, tooltip=alt.Tooltip("text:N", title="optimum")))
    if marked:
        layers.append(
            alt.Chart(rows(marked))
            .mark_point(size=80, opacity=1)
            .encode(x=x, y=y, color=colour, tooltip=alt.Tooltip("text:N", title="optimum"))
        )
        layers += _labels(marked, x, y, "warm-note", dx=-9, dy=-7, align="right")
    return alt.layer(*layers).properties(width="container", height=460)


def _labels(values: list[dict[str, Any]], x: Any, y: Any, style: str, **place: Any) -> list[Any]:
    """Text with a halo of the page's colour, so that it reads on top of lines."""
    base = alt.Chart(rows(values)).encode(x=x, y=y, text="label:N")
    return [base.mark_text(style=[style, "halo"], **place), base.mark_text(style=style, **place)] if values else []


def _optimum_text(point: dict[str, Any]) -> str:
    return f"{about(point['N'])} on {about(point['D'])} at {flops(point['C'])} FLOPs"


def _dot(points: list[dict[str, Any]]) -> dict[str, Any]:
    return {"size": 14, "opacity": 0.35} if len(points) > MANY else {"size": 26, "opacity": 0.6}


def fit_hover() -> list[Any]:
    return [
        alt.Tooltip("run:N"),
        alt.Tooltip("row:Q", title="row"),
        alt.Tooltip("size:N", title="N on D"),
        alt.Tooltip("losses:N", title="predicted / observed"),
        alt.Tooltip("error:N"),
    ]
