"""The charts of an overview of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.theme import (
    COUNT_LABELS,
    NUMBER_LABELS,
    PERCENT_LABELS,
    even_ticks,
    log_axis,
    log_ticks,
    rows,
    widened,
)
from isogloss.report.words import count, flops, percent, quantity

if TYPE_CHECKING:
    from isogloss.runs.thin import Thinned

# More places of N and D than this are drawn as cells of a grid.
MOST_PLACES, CELLS = 1500, 90
# More sizes than this have one colour scale and no name each.
NAMED_SIZES = 6
# Pairs of fewer languages have room for their number.
NUMBERED = 14
READ, LEFT = "read in a fit", "left out"
KINDS = ("one language", "two", "three or more", "mixture not known")


def places(runs: pl.DataFrame, models: pl.DataFrame, languages: Mapping[str, int]) -> list[dict[str, Any]]:
    """Where runs lie in N and D: models that a fit reads, and the last points of runs that it leaves out."""
    read = models.select("run", "N", "D").unique(maintain_order=True).with_columns(state=pl.lit(READ))
    others = runs.filter(~pl.col("run").is_in(read["run"].implode())).select("run", "N", "D", state=pl.lit(LEFT))
    both = pl.concat([read, others]).filter((pl.col("N") > 0) & (pl.col("D") > 0))
    kinds = {run: KINDS[min(n, 3) - 1] for run, n in languages.items()}
    both = both.with_columns(kind=pl.col("run").replace_strict(kinds, default=KINDS[3], return_dtype=pl.String))
    by = ["N", "D", "state", "kind"]
    grouped = both.group_by(by, maintain_order=True).agg(pl.col("run").n_unique().alias("runs"), pl.col("run").first())
    if grouped.height > MOST_PLACES:
        grouped = _cells(both)
    out = []
    for row in grouped.iter_rows(named=True):
        name = row["run"] if row["runs"] == 1 else f"{row['run']} and {row['runs'] - 1} more"
        place = {"N": float(f"{row['N']:.4g}"), "D": float(f"{row['D']:.4g}"), "state": row["state"]}
        said = f"{quantity(row['N'])} on {quantity(row['D'])}, {flops(6 * row['N'] * row['D'])} FLOPs"
        out.append({**place, "kind": row["kind"], "run": name, "said": said})
    return out


def _cells(both: pl.DataFrame) -> pl.DataFrame:
    """One point for all in a cell of N and D, at the last of them."""

    def cell(column: str) -> pl.Expr:
        place = pl.col(column).log()
        return ((place - place.min()) / pl.max_horizontal(place.max() - place.min(), 1e-9) * CELLS).round()

    binned = both.with_columns(cell_N=cell("N"), cell_D=cell("D"))
    grouped = binned.group_by("cell_N", "cell_D", "state", "kind", maintain_order=True)
    return grouped.agg(pl.col("N", "D", "run").last(), pl.col("run").n_unique().alias("runs"))


def coverage_chart(found: Sequence[dict[str, Any]]) -> Any:
    """Runs over N and D with lines of equal compute; hollow ones are left out of a fit."""
    N_range, D_range = (_around([p[axis] for p in found]) for axis in ("N", "D"))
    x = log_axis(alt.X, "N", "parameters N", N_range)
    y = log_axis(alt.Y, "D", "training tokens D", D_range)
    budgets = _budgets(N_range, D_range)
    lines = [{"C": C, "N": n, "D": C / (6 * n), "said": flops(C)} for C in budgets for n in N_range]
    tops = [_top_end(C, N_range, D_range) for C in budgets]
    kinds = [k for k in KINDS if any(p["kind"] == k for p in found)]
    colour = alt.Color("kind:N", scale=alt.Scale(domain=kinds))
    tip = [alt.Tooltip(f"{f}:N", title=w) for f, w in (("run", "run"), ("said", "N on D"), ("kind", "mixture"))]
    tip.append(alt.Tooltip("state:N", title="is"))
    layers = [
        alt.Chart(rows(lines))
        .mark_line(style="guide", clip=True)
        .encode(x=x, y=y, detail="C:N", tooltip=alt.Tooltip("said:N", title="FLOPs"))
    ]
    for style in (["note", "halo"], "note"):
        text = alt.Chart(rows(tops)).mark_text(style=style, dx=4, dy=8, align="left")
        layers.append(text.encode(x=x, y=y, text="said:N"))
    size = 60 if len(found) < 150 else 34 if len(found) < 600 else 18
    for state, filled in ((READ, True), (LEFT, False)):
        own = [p for p in found if p["state"] == state]
        if own:
            # A hollow point has its colour as a stroke.
            dots = alt.Chart(rows(own)).mark_point(size=size, opacity=0.75, filled=filled, strokeWidth=1.4)
            layers.append(dots.encode(x=x, y=y, color=colour, tooltip=tip))
    return alt.layer(*layers).properties(width="container", height=420)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """A range with room at its ends, and room for several ticks where the values are nearly one."""
    return widened(values, 1.6 if max(values) > 2 * min(values) else 4)


def _budgets(N_range: tuple[float, float], D_range: tuple[float, float], most: int = 6) -> list[float]:
    """Powers of ten of compute that cross the picture."""
    low, high = 6 * N_range[0] * D_range[0], 6 * N_range[1] * D_range[1]
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    step = max(1, math.ceil(len(powers) / most))
    return [10.0**k for k in powers if k % step == 0]


def _top_end(C: float, N_range: tuple[float, float], D_range: tuple[float, float]) -> dict[str, Any]:
    """Where the line of C enters the picture, at its left or top edge."""
    D = min(D_range[1], C / (6 * N_range[0]))
    return {"N": C / (6 * D), "D": D, "said": flops(C)}


def pairs_chart(
    mixtures: dict[str, Any], alone: Mapping[str, int], order: Sequence[str], names: Mapping[str, str]
) -> Any:
    """Pairs that were trained on together, a map."""
    pairs = [
        {"one": names[a], "other": names[b], "runs": p["runs"], "said": _pair(p, names)}
        for p in mixtures["pairs"]
        for a, b in (p["languages"], p["languages"][::-1])
        if a in order and b in order
    ]
    pairs += [
        {"one": names[c], "other": names[c], "runs": alone[c], "said": f"{names[c]} alone: {count(alone[c], 'run')}"}
        for c in order
        if alone.get(c)
    ]
    most, wide = max(p["runs"] for p in pairs), 34 if len(order) <= NUMBERED else 17
    small = 11 if len(order) <= NUMBERED else 9.5
    sort = [names[c] for c in order]
    x = alt.X("one:N", sort=sort, axis=alt.Axis(title=None, orient="top", labelAngle=-60, labelFontSize=small))
    y = alt.Y("other:N", sort=sort, axis=alt.Axis(title=None, labelFontSize=small))
    base = alt.Chart(rows(pairs)).encode(x=x, y=y, tooltip=alt.Tooltip("said:N", title=" "))
    # Where cells have no room for their number, a scale stands beside them.
    legend = None if len(order) <= NUMBERED else alt.Legend(title="runs", values=_whole_ticks(most), format="d")
    faint = alt.Opacity("runs:Q", scale=alt.Scale(type="sqrt", domain=[0, most], range=[0.1, 0.6]), legend=legend)
    layers = [base.mark_rect(style="plan").encode(opacity=faint)]
    if len(order) <= NUMBERED:
        layers.append(base.mark_text(style="ink", fontSize=11).encode(text="runs:Q"))
    title = alt.TitleParams("Runs that train on both", subtitle="diagonal: on one alone", frame="group")
    return alt.layer(*layers).properties(width=wide * len(order), height=max(60, wide * len(order)), title=title)


def _whole_ticks(most: int) -> list[int]:
    return sorted({max(1, round(most * k / 4)) for k in (1, 2, 3, 4)})


def _pair(pair: dict[str, Any], names: Mapping[str, str]) -> str:
    one, other = (names[c] for c in pair["languages"])
    return f"{one} and {other}: {count(pair['runs'], 'run')}, {pair['only_these']} of them on these two alone"


def counts_chart(by_languages: Mapping[str, int]) -> Any:
    """How many languages the runs have."""
    bars = [{"languages": n, "runs": runs} for n, runs in by_languages.items()]
    x = alt.X("languages:N", sort=list(by_languages), axis=alt.Axis(title="languages in the mixture", labelAngle=0))
    y = alt.Y("runs:Q", axis=alt.Axis(title="runs", tickCount=5, labelExpr=NUMBER_LABELS))
    tip = [alt.Tooltip("languages:N"), alt.Tooltip("runs:Q")]
    chart = alt.Chart(rows(bars)).mark_bar(style="plan", width=alt.RelativeBandSize(0.55)).encode(x=x, y=y, tooltip=tip)
    return chart.properties(width="container", height=240, title=alt.TitleParams("Languages per run", frame="group"))


def shares_chart(shares: pl.DataFrame, order: Sequence[str], names: Mapping[str, str]) -> Any:
    """Which shares each language has had: a tick for each, a bar from the least to the most."""
    own = shares.filter(pl.col("language").is_in(list(order))).with_columns(pl.col("share").round(4))
    counted = own.group_by("language", "share").len().sort("language", "share")
    ticks = [
        {"language": names[c], "share": s, "said": f"{percent(s)} % in {count(n, 'run')}"}
        for c, s, n in counted.iter_rows()
    ]
    spans = own.group_by("language").agg(low=pl.col("share").min(), high=pl.col("share").max()).sort("language")
    bars = [{"language": names[c], "low": low, "high": high} for c, low, high in spans.iter_rows()]
    y = alt.Y("language:N", sort=[names[c] for c in order], axis=alt.Axis(title=None))
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(title="share of the tokens", labelExpr=PERCENT_LABELS, tickCount=5)
    base = alt.Chart(rows(bars)).mark_bar(style="plan", opacity=0.2, height=8)
    span = base.encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y)
    tick = alt.Chart(rows(ticks)).mark_tick(style="plan", thickness=2, height=12, opacity=0.8)
    tip = [alt.Tooltip("language:N"), alt.Tooltip("said:N", title="share")]
    marks = tick.encode(x=alt.X("share:Q", scale=scale, axis=axis), y=y, tooltip=tip)
    return alt.layer(span, marks).properties(width="container", height=24 * len(bars) + 20)


def curves_chart(drawn: Mapping[str, Thinned], sizes: Mapping[str, float], names: Mapping[str, str], unit: str) -> Any:
    """A panel per target: a line per run over the logarithm of tokens, coloured by size."""
    known = sorted({sizes[r] for t in drawn.values() for r in t.frame["run"].unique() if sizes.get(r)})
    spoken = list(dict.fromkeys(quantity(n) for n in known))
    return alt.hconcat(
        *(_curves(t, sizes, spoken, known, names[code], unit) for i, (code, t) in enumerate(drawn.items()))
    )


def _curves(
    drawn: Thinned,
    sizes: Mapping[str, float],
    spoken: list[str],
    known: list[float],
    name: str,
    unit: str,
) -> Any:
    frame = drawn.frame
    curves = {curve: i for i, curve in enumerate(frame["curve"].unique(maintain_order=True))}
    # Short keys: they are written for every point.
    points = [
        {"t": float(f"{t:.4g}"), "l": float(f"{value:.4g}"), "r": curves[curve]}
        for curve, t, value in frame.select("curve", "tokens", "loss").iter_rows()
    ]
    said = [
        {"r": curves[curve], "run": curve, "n": sizes.get(run), "size": quantity(sizes[run]) if sizes.get(run) else "?"}
        for run, curve in frame.select("run", "curve").unique(maintain_order=True).iter_rows()
    ]
    x = log_axis(alt.X, "t", "tokens", _span([p["t"] for p in points]), most=4, grid=False)
    low, high = _span([p["l"] for p in points], 1.02)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    y = alt.Y(
        "l:Q",
        scale=scale,
        axis=alt.Axis(title=f"loss, {unit}", values=even_ticks(low, high, 7), labelExpr=NUMBER_LABELS),
    )
    lookup = alt.LookupData(data=rows(said), key="r", fields=["run", "n", "size"])
    tip = [alt.Tooltip("run:N"), alt.Tooltip("size:N", title="N"), alt.Tooltip("t:Q", title="tokens", format=".3s")]
    tip.append(alt.Tooltip("l:Q", title="loss", format=".4g"))
    chart = alt.Chart(rows(points)).mark_line(strokeWidth=1.1, opacity=0.75, clip=True).transform_lookup("r", lookup)
    encoded: dict[str, Any] = {"x": x, "y": y, "detail": "r:N", "tooltip": tip}
    if len(known) > NAMED_SIZES:
        ends = [known[0], known[-1]]
        ticks = log_ticks(*ends, most=4)
        legend = alt.Legend(title="parameters N", gradientLength=160, labelExpr=COUNT_LABELS, values=ticks)
        encoded["color"] = alt.Color("n:Q", scale=alt.Scale(type="log", domain=ends, range="ramp"), legend=legend)
    elif known:
        legend = alt.Legend(title="parameters N", symbolType="stroke", symbolOpacity=1)
        encoded["color"] = alt.Color("size:O", sort=spoken, scale=alt.Scale(domain=spoken), legend=legend)
    titled = alt.TitleParams(name, frame="group", subtitle=count(drawn.curves, "curve"))
    return chart.encode(**encoded).properties(width="container", height=240, title=titled)


def _span(values: Sequence[float], by: float = 1.0) -> tuple[float, float]:
    low, high = min(values) / by, max(values) * by
    return (low, high) if high > low else (low / 1.1, high * 1.1)
