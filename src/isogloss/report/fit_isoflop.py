"""Loss against size at equal compute as a card: curves with their bands, their minima, and the runs near them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.fitting.drawn import NEAR, run_budgets, run_compute
from isogloss.report.card import Card
from isogloss.report.fit_charts import fit_hover, fit_source
from isogloss.report.theme import NUMBER_LABELS, even_ticks, log_axis, rows
from isogloss.report.words import about, count, flops, loss, quantity

if TYPE_CHECKING:
    from isogloss.fitting import Fit

HEIGHT = 420
# How far above the highest minimum the picture goes, in units of the spread of the minima.
ABOVE = 0.75
TITLE = "Loss against size at equal compute"
Points = list[dict[str, Any]]


def isoflop_card(fit: Fit, points: Points) -> Card:
    """For a law over N and D. Without a frontier there are curves but no minima."""
    budgets = run_budgets(fit)
    if not budgets:
        return Card("isoflop", TITLE, "No run saw its text once only: there is nothing to draw at equal compute.")
    curves = fit.iso_flop(budgets).to_dicts()
    minima = fit.iso_flop_minima(budgets).to_dicts() if fit.has_frontier else []
    near = _near(fit, points, budgets)
    notes = [
        f"Points are runs whose 6 N D is within {100 * (NEAR - 1):.0f}\u00a0% of a curve's compute"
        f"{', of text seen once' if 'U' in fit.law.columns else ''}."
    ]
    top = _loss_range(curves, near)[1]
    if beyond := sum(p["loss"] > top for p in near):
        notes.append(f"Triangles at the upper edge: {count(beyond, 'run')} of higher loss.")
    if minima:
        notes.append("Diamonds are the minima, joined by the dashed line; bars through them hold N*.")
    return Card(
        id="isoflop",
        title=TITLE,
        sentence=_sentence(fit, minima),
        chart=isoflop_chart(fit, curves, minima, near),
        table=_table(minima) if minima else None,
        notes=tuple(notes),
        formats={
            "Compute, FLOPs": "flops",
            "Parameters N*": "quantity",
            "N* from": "quantity",
            "to": "quantity",
            "Tokens D*": "quantity",
            "Least loss": "loss",
            "from": "loss",
            "up to": "loss",
        }
        if minima
        else {},
        evidence=f"{fit_source(fit)} {len(near):,} of its rows lie near a curve{_bands(fit)}.",
    )


def _bands(fit: Fit) -> str:
    if not len(fit.draws):
        return "; the fit has no draws, so no bands"
    return f"; bands and bars hold {fit.level:.0%} of {len(fit.draws):,} draws"


def _sentence(fit: Fit, minima: list[dict[str, Any]]) -> str:
    if not minima:
        return f"There is {fit.why_no_frontier()}: the curves have no minima to trust."
    first, last = minima[0], minima[-1]
    if len(minima) == 1:
        return f"At {flops(first['C'])} FLOPs the loss is least at {_size(first)} parameters."
    return (
        f"The best size rises from {_size(first)} parameters at {flops(first['C'])} FLOPs to {_size(last)} at "
        f"{flops(last['C'])}."
    )


def _size(row: dict[str, Any]) -> str:
    if "N_low" not in row:
        return about(row["N"])
    return f"{about(row['N'])} ({about(row['N_low'])} to {about(row['N_high'])})"


def _table(minima: list[dict[str, Any]]) -> pl.DataFrame:
    words = {
        "C": "Compute, FLOPs",
        "N": "Parameters N*",
        "N_low": "N* from",
        "N_high": "to",
        "D": "Tokens D*",
        "loss": "Least loss",
        "loss_low": "from",
        "loss_high": "up to",
    }
    frame = pl.DataFrame(minima)
    # Without draws a column of the loss's ends is there, and empty.
    kept = {name: header for name, header in words.items() if name in frame.columns and not frame[name].is_null().all()}
    return frame.select(list(kept)).rename(kept)


def _near(fit: Fit, points: Points, budgets: list[float]) -> Points:
    """The runs of each budget; `points` are in the order of the fit's rows."""
    out = []
    for point, C in zip(points, run_compute(fit), strict=True):
        if not np.isfinite(C):
            continue
        budget = min(budgets, key=lambda b: abs(np.log(C / b)))
        # Budgets are rounded to two digits, which moves them by up to 5 %.
        if abs(np.log(C / budget)) <= np.log(NEAR):
            out.append(point | {"budget": budget, "at": flops(C)})
    return out


def isoflop_chart(fit: Fit, curves: Points, minima: Points, near: Points) -> Any:
    low, high = _loss_range(curves, near)
    sizes = [p["N"] for p in near] + [m["N"] for m in minima] or [c["N"] for c in curves]
    N_range = max(min(sizes) / 1.6, curves[0]["N"]), min(max(sizes) * 1.6, max(c["N"] for c in curves))
    x = log_axis(alt.X, "N", "parameters N (logarithmic scale)", N_range, grid=False)
    scale = alt.Scale(domain=[low, high], nice=False)
    axis = alt.Axis(title=f"loss ({fit.unit})", values=even_ticks(low, high), labelExpr=NUMBER_LABELS)
    y = alt.Y("loss:Q", scale=scale, axis=axis)
    budgets = sorted({c["C"] for c in curves})
    ends = [budgets[0] / 1.01, budgets[-1] * 1.01]
    colour = alt.Color("C:Q", scale=alt.Scale(type="log", domain=ends, range="ramp"), legend=None)
    lines = alt.Chart(rows([_said(c) for c in curves]))
    tip = [alt.Tooltip(f"{f}:N", title=t) for f, t in (("at", "FLOPs"), ("size", "N on D"), ("is", "loss"))]
    layers: list[Any] = []
    if len(fit.draws):
        band = lines.mark_area(opacity=0.2, clip=True)
        layers.append(band.encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=colour, detail="C:N"))
    layers.append(lines.mark_line(strokeWidth=1.8, clip=True).encode(x=x, y=y, color=colour, detail="C:N"))
    layers.append(lines.mark_point(size=90, opacity=0, clip=True).encode(x=x, y=y, tooltip=tip))
    if near:
        shown = [p | {"C": p["budget"], "at_edge": p["loss"] > high, "loss": min(p["loss"], high)} for p in near]
        shape = alt.condition("datum.at_edge", alt.value("triangle-up"), alt.value("circle"))
        dots = alt.Chart(rows(shown)).mark_point(size=30, opacity=0.65)
        tips = [*fit_hover(), alt.Tooltip("at:N", title="6 N D")]
        layers.append(dots.encode(x=x, y=y, color=colour, shape=shape, tooltip=tips))
    if minima:
        layers += _minima(minima, x, y, colour)
    return alt.layer(*layers).properties(width="container", height=HEIGHT)


def _minima(minima: Points, x: Any, y: Any, colour: Any) -> list[Any]:
    marked = [m | {"label": flops(m["C"]), "at": flops(m["C"]), "best": _size(m), "is": _loss(m)} for m in minima]
    data = alt.Chart(rows(marked))
    tip = [alt.Tooltip(f"{f}:N", title=t) for f, t in (("at", "FLOPs"), ("best", "best size N*"), ("is", "least loss"))]
    layers = [data.mark_line(style="guide", clip=True).encode(x=x, y=y)]
    if "N_low" in marked[0]:
        bars = data.mark_rule(strokeWidth=5, opacity=0.55, clip=True)
        layers.append(bars.encode(x=alt.X("N_low:Q"), x2="N_high:Q", y=y, color=colour))
    diamonds = data.mark_point(shape="diamond", size=110, opacity=1, clip=True)
    layers.append(diamonds.encode(x=x, y=y, color=colour, tooltip=tip))
    for style in (["note", "halo"], "note"):
        layers.append(data.mark_text(style=style, dy=17, clip=True).encode(x=x, y=y, text="label:N"))
    return layers


def _said(curve: dict[str, Any]) -> dict[str, Any]:
    point = {k: curve[k] for k in ("C", "N", "loss", "low", "high") if curve[k] is not None}
    size = f"{quantity(curve['N'])} on {quantity(curve['D'])}"
    return point | {"at": flops(curve["C"]), "size": size, "is": _loss(curve, "")}


def _loss(row: dict[str, Any], prefix: str = "loss_") -> str:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return loss(row["loss"]) + ("" if low is None else f" ({loss(low)} to {loss(high)})")


def _loss_range(curves: Points, near: Points) -> tuple[float, float]:
    """The lowest curve's foot to well above the highest's: far runs would press all minima together."""
    feet: dict[float, float] = {}
    for c in curves:
        feet[c["C"]] = min(feet.get(c["C"], np.inf), c["loss"])
    least = min([*(c["loss"] if c["low"] is None else c["low"] for c in curves), *(p["loss"] for p in near)])
    highest = max(feet.values())
    spread = max(highest - least, 0.04 * highest)
    top = min(highest + ABOVE * spread, max([1.03 * highest, *(p["loss"] for p in near)]) + 0.03 * spread)
    return least - 0.12 * spread, top
