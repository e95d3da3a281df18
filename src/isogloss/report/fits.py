"""A fit as cards."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.fitting import Fit
from isogloss.report.card import Card
from isogloss.report.theme import BLUE, GREEN, GREY, RED, data, line_axis, log_axis
from isogloss.units import format_quantity

GRID = 60
AXIS_TITLES = {
    "N": "parameters N",
    "D": "tokens D",
    "D_target": "tokens of the target",
    "U": "unique tokens U",
    "C": "compute 6 N D (FLOPs)",
}


def fit_cards(fit: Fit) -> list[Card]:
    return [_coefficients(fit), _observed(fit), _residuals(fit), _surface(fit), _optimum(fit), _left_out(fit)]


def _coefficients(fit: Fit) -> Card:
    health = fit.health
    frame = fit.summary().select(
        pl.col("name").alias("coefficient"),
        "meaning",
        "value",
        "low",
        "high",
        pl.when(pl.col("held")).then(pl.lit("held")).otherwise(pl.lit("fitted")).alias("how"),
    )
    return Card(
        id="coefficients",
        title="Coefficients",
        sentence=f"{fit.status.value[0].upper()}{fit.status.value[1:]}.",
        table=frame,
        notes=(
            f"{health.agree} of {health.starts} starts reach the best objective ({fit.objective_name}, "
            f"{fit.objective:.6g}). Condition {health.condition:.2g}. "
            f"Bounds hit: {', '.join(health.bounds_hit) or 'none'}.",
            f"Intervals: {fit.level:.0%}, {len(fit.draws):,} bootstrap resamples of whole runs. N and D are counts, "
            f"N is params_{fit.params}, loss in {fit.unit}. Source of the law: {fit.law.source}.",
            *_profile_notes(fit),
        ),
    )


def _profile_notes(fit: Fit) -> list[str]:
    parts = [
        f"{p.name} {'below ' if p.open_low else ''}{p.low:.3g} to {'above ' if p.open_high else ''}{p.high:.3g}"
        for p in fit.health.profiles
    ]
    return [f"Values that fit as well, all else refitted (95 %): {'; '.join(parts)}."] if parts else []


def _observed(fit: Fit) -> Card:
    rows = _points(fit)
    low = min(min(r["loss"], r["predicted"]) for r in rows)
    high = max(max(r["loss"], r["predicted"]) for r in rows)
    scale = alt.Scale(domain=[low * 0.98, high * 1.02], type="log", nice=False)
    ticks = _linear_ticks(low, high)
    x = alt.X("predicted:Q", title=f"predicted loss ({fit.unit})", scale=scale, axis=alt.Axis(values=ticks))
    y = alt.Y("loss:Q", title=f"observed loss ({fit.unit})", scale=scale, axis=alt.Axis(values=ticks))
    line = alt.Chart(data([{"predicted": v, "loss": v} for v in (low * 0.98, high * 1.02)])).mark_line(
        color=GREY, strokeDash=[4, 4]
    )
    dots = alt.Chart(data(rows)).mark_point(color=BLUE, size=28, opacity=0.75).encode(x=x, y=y, tooltip=_tips(fit))
    chart = (line.encode(x=x, y=y) + dots).properties(width="container", height=340)
    half, most = np.quantile(np.abs(fit.rows["relative_error"].to_numpy()), [0.5, 0.9])
    return Card(
        id="observed",
        title="Predicted against observed",
        sentence=f"Half of the {fit.rows.height} rows are predicted to within {half:.2%}, "
        f"nine in ten to within {most:.2%}.",
        charts=(chart,),
        notes=("These are the rows that the law was fitted to: held-out error is larger.",),
    )


def _residuals(fit: Fit) -> Card:
    columns = [c for c in AXIS_TITLES if c in fit.rows.columns or c == "C"]
    rows = _points(fit)
    charts = []
    for column in columns:
        values = [r[column] for r in rows if r.get(column) and np.isfinite(r[column]) and r[column] > 0]
        if len(set(values)) < 2:
            continue
        title = AXIS_TITLES[column]
        x = log_axis(column, title, values, counts=column != "C", most=6)
        y = line_axis("relative_error", "predicted / observed - 1", format="+.1%")
        zero = alt.Chart(data([{"relative_error": 0}])).mark_rule(color=GREY, strokeDash=[4, 4]).encode(y=y)
        dots = alt.Chart(data(rows)).mark_point(color=BLUE, size=20, opacity=0.7).encode(x=x, y=y, tooltip=_tips(fit))
        charts.append((zero + dots).properties(width="container", height=220))
    worst = fit.rows.sort(pl.col("relative_error").abs(), descending=True).row(0, named=True)
    return Card(
        id="residuals",
        title="Residuals",
        sentence=f"The worst row, {worst.get('run_id') or worst['row']}, is off by {worst['relative_error']:+.1%}. "
        "A trend along an axis would mean that the law bends where the runs do not.",
        charts=tuple(charts),
    )


def _surface(fit: Fit) -> Card:
    """Loss over N and D: iso-loss and iso-FLOP lines, the frontier, and the runs."""
    title = "Loss over size and tokens"
    if not (fit.has_frontier and {"N", "D"} <= set(fit.law.columns) <= {"N", "D", "U"}):
        why = f"law {fit.law.name} depends on more than N and D" if fit.has_frontier else fit.why_no_frontier()
        return Card("surface", title, f"There is no one surface: {why}.")
    N_range, D_range = _span(fit.rows["N"]), _span(fit.rows["D"])
    x = log_axis("N", "parameters N", list(N_range), most=7)
    y = log_axis("D", "tokens D", list(D_range), channel="y", most=8)
    layers = [
        alt.Chart(data(_iso_flop(N_range, D_range)))
        .mark_line(color=GREY, opacity=0.55, strokeDash=[2, 4], clip=True)
        .encode(x=x, y=y, detail="C:N", tooltip=[alt.Tooltip("C:Q", format=".0e", title="FLOPs")])
    ]
    lines = _iso_loss(fit, N_range, D_range)
    layers.append(
        alt.Chart(data(lines))
        .mark_line(color=BLUE, strokeWidth=1.6, clip=True)
        .encode(x=x, y=y, detail="loss:N", order="N:Q", tooltip=[alt.Tooltip("loss:Q", format=".3f")])
    )
    ends = [max((r for r in lines if r["loss"] == loss), key=lambda r: r["N"]) for loss in {r["loss"] for r in lines}]
    layers.append(
        alt.Chart(data([{**r, "label": f"{r['loss']:.2f}"} for r in ends]))
        .mark_text(align="right", dy=-7, dx=-2, fontSize=11, color=BLUE, clip=True)
        .encode(x=x, y=y, text="label:N")
    )
    budgets = np.geomspace(6 * N_range[0] * D_range[0], 6 * N_range[1] * D_range[1], GRID)
    frontier = fit.optimum(budgets, intervals=False)
    inside = frontier.filter(pl.col("N").is_between(*N_range) & pl.col("D").is_between(*D_range)).to_dicts()
    layers.append(
        alt.Chart(data(inside))
        .mark_line(color=RED, strokeWidth=3, clip=True)
        .encode(x=x, y=y, order="N:Q", tooltip=[alt.Tooltip(f"{c}:Q", format=".3g") for c in ("C", "N", "D")])
    )
    layers.append(
        alt.Chart(data(_points(fit))).mark_point(color=GREEN, size=16, opacity=0.6).encode(x=x, y=y, tooltip=_tips(fit))
    )
    grows = " and ".join(
        f"{symbol}* = C^{e.value:.3f}{_interval(e)}" for symbol, e in zip("ND", fit.exponents(), strict=False)
    )
    return Card(
        id="surface",
        title=title,
        sentence=f"The frontier grows as {grows or 'no power law'}, for text seen once.",
        charts=(alt.layer(*layers).properties(width="container", height=460),),
        notes=("Blue: equal loss. Dotted: equal compute, a decade apart. Red: compute-optimal frontier. Green: runs.",),
    )


def _optimum(fit: Fit) -> Card:
    title = "Compute-optimal size and tokens"
    if not fit.has_frontier:
        return Card("optimum", title, f"There is {fit.why_no_frontier()}.")
    frame = fit.optimum(fit.default_budgets())
    last = frame.row(-1, named=True)
    interval = (
        f" ({format_quantity(last['N_low'])} to {format_quantity(last['N_high'])})" if "N_low" in frame.columns else ""
    )
    largest = float(fit.rows["N"].to_numpy().max())
    order = ("C", "N", "N_low", "N_high", "D", "D_low", "D_high", "tokens_per_parameter")
    return Card(
        id="optimum",
        title=title,
        sentence=f"At {last['C']:.1e} FLOPs the best size is {format_quantity(last['N'])} parameters{interval}.",
        table=frame.select(c for c in order if c in frame.columns),
        notes=(
            f"The first budget is the largest among the runs, the others ten and a hundred times that. "
            f"The largest run has {format_quantity(largest)} parameters: beyond it the law extrapolates.",
        ),
    )


def _left_out(fit: Fit) -> Card:
    if not fit.left_out:
        return Card("left-out", "Rows left out", f"None: all {fit.rows.height} rows were used.")
    reasons: dict[str, list[int]] = {}
    for item in fit.left_out:
        reasons.setdefault(item.reason, []).append(item.row)
    frame = pl.DataFrame(
        {
            "reason": list(reasons),
            "rows": [len(rows) for rows in reasons.values()],
            "which": [", ".join(map(str, rows[:12])) + (" ..." if len(rows) > 12 else "") for rows in reasons.values()],
        }
    )
    return Card(
        "left-out",
        "Rows left out",
        f"{len(fit.left_out)} rows of {fit.source} were left out; {fit.rows.height} were used.",
        table=frame,
    )


def _points(fit: Fit) -> list[dict[str, Any]]:
    tokens = "D" if "D" in fit.rows.columns else "D_target"
    frame = fit.rows
    if {"N", tokens} <= set(frame.columns):
        frame = frame.with_columns(C=6 * pl.col("N") * pl.col(tokens))
    return frame.to_dicts()


def _tips(fit: Fit) -> list[Any]:
    named = [alt.Tooltip(f"{c}:N") for c in ("run_id", "target", "row") if c in fit.rows.columns]
    numbers = [alt.Tooltip(f"{c}:Q", format=".3s") for c in ("N", "D", "D_target", "U") if c in fit.rows.columns]
    losses = [alt.Tooltip("loss:Q", format=".4f"), alt.Tooltip("predicted:Q", format=".4f")]
    return [*named, *numbers, *losses, alt.Tooltip("relative_error:Q", format="+.2%", title="error")]


def _iso_loss(fit: Fit, N_range: tuple[float, float], D_range: tuple[float, float]) -> list[dict[str, Any]]:
    """Points of lines of equal loss: at each N, the D that reaches it (loss falls in D)."""
    N, D = np.geomspace(*N_range, GRID), np.geomspace(*D_range, 2 * GRID)
    grid_N, grid_D = (a.ravel() for a in np.meshgrid(N, D, indexing="ij"))
    given = {"N": grid_N, "D": grid_D} | ({"U": grid_D} if "U" in fit.law.columns else {})
    loss = fit.point(**given).reshape(len(N), len(D))
    levels = _levels(fit.rows["loss"].to_numpy(), loss)
    rows = []
    for level in levels:
        for i, n in enumerate(N):
            falling = loss[i][::-1]
            if falling[0] <= level <= falling[-1]:
                log_D = np.interp(level, falling, np.log(D[::-1]))
                rows.append({"N": float(n), "D": float(np.exp(log_D)), "loss": float(level)})
    return rows


def _levels(observed: np.ndarray, surface: np.ndarray) -> np.ndarray:
    low, high = max(surface.min(), observed.min() * 0.98), min(surface.max(), np.quantile(observed, 0.98))
    return np.round(np.geomspace(low, high, 9)[1:-1], 2)


def _iso_flop(N_range: tuple[float, float], D_range: tuple[float, float]) -> list[dict[str, Any]]:
    low, high = 6 * N_range[0] * D_range[0], 6 * N_range[1] * D_range[1]
    decades = 10.0 ** np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    return [{"C": float(C), "N": float(n), "D": float(C / (6 * n))} for C in decades for n in N_range]


def _span(column: pl.Series) -> tuple[float, float]:
    values = column.to_numpy()
    return float(values.min()) / 1.4, float(values.max()) * 1.4


def _linear_ticks(low: float, high: float) -> list[float]:
    step = 10 ** np.floor(np.log10(max(high - low, 1e-9) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 7)
    return [float(f"{v:.6g}") for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def _interval(estimate: Any) -> str:
    return "" if estimate.low is None else f" ({estimate.low:.3f} to {estimate.high:.3f})"
