"""The charts of transfer between languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from isogloss.report.finding import MOST_ROWS, finder, first_or_found
from isogloss.report.theme import NUMBER_LABELS, NUMBERS, log_axis, rows
from isogloss.report.transfer_heatmap import BTS
from isogloss.report.transfer_rows import PairRow, Shown, score, with_interval
from isogloss.report.words import quantity
from isogloss.transfer.matrix import RELATIONS, relations

if TYPE_CHECKING:
    from isogloss.transfer.measured import MeasuredTransfer
    from isogloss.transfer.pair import Per, Scores
    from isogloss.transfer.relatedness import Effects

# More dots would cover each other and make the page heavy.
MOST_DOTS = 1500
HELPER_STEP = 27
# Scores beyond are drawn at the edge: one hopeless pair would press all others together.
SHOWN = (-2.0, 1.5)


def symmetry_chart(shown: Shown, pairs: Sequence[tuple[PairRow, PairRow]]) -> Any:
    """One dot per two languages: how the one with more text helps the other, and how it is helped."""
    # Scores to one decimal lie on top of each other.
    rng, printed = np.random.default_rng(0), all(round(r.bts, 1) == r.bts for pair in pairs for r in pair)

    def beside(value: float) -> float:
        return value + float(rng.uniform(-0.04, 0.04)) if printed else value

    dots = [
        {
            "one": shown.names[a.source],
            "other": shown.names[a.target],
            "there": _clip(beside(a.bts)),
            "back": _clip(beside(b.bts)),
            "to": f"{shown.names[a.source]} → {shown.names[a.target]}: {a.said}",
            "fro": f"{shown.names[b.source]} → {shown.names[b.target]}: {b.said}",
            "is": "measured both ways" if a.measured and b.measured else "predicted",
        }
        for a, b in _thinned(pairs)
    ]
    values = [v for d in dots for v in (d["there"], d["back"])]
    domain = [min(values) - 0.05, max(0.0, *values) + 0.05]
    scale = alt.Scale(domain=domain, nice=False)
    axis = {"tickCount": 6, "labelExpr": NUMBER_LABELS}
    x = alt.X("there:Q", scale=scale, axis=alt.Axis(title="score: more text helps less text", **axis))
    y = alt.Y("back:Q", scale=scale, axis=alt.Axis(title="score: less text helps more text", **axis))
    kinds = sorted({d["is"] for d in dots})
    colour = alt.Color("is:N", scale=alt.Scale(domain=kinds), legend=alt.Legend() if len(kinds) > 1 else None)
    corner = [{"there": v, "back": v} for v in domain]
    diagonal = alt.Chart(rows(corner)).mark_line(style="guide").encode(x=x, y=y)
    zeros = alt.Chart(rows([{"there": 0.0, "back": 0.0}]))
    tip = [alt.Tooltip(f"{f}:N", title=f" {i}") for i, f in enumerate(("to", "fro", "is"), start=1)]
    points = alt.Chart(rows(dots)).mark_point(size=38, opacity=0.65).encode(x=x, y=y, color=colour, tooltip=tip)
    guides = (zeros.mark_rule(style="guide").encode(x=x), zeros.mark_rule(style="guide").encode(y=y))
    return alt.layer(diagonal, *guides, points).properties(width="container", height=400)


def helpers_chart(shown: Shown, targets: Sequence[str], most: int) -> Any:
    """For every target its best sources: dots with intervals, the best one named.

    Of many targets those that are helped most are drawn, and those that the reader asks for.
    """
    dots, many = [], len(targets) > MOST_ROWS
    if many:
        targets = sorted(targets, key=lambda code: -shown.of_target(code)[0].bts)
    for place, code in enumerate(targets):
        for rank, r in enumerate(shown.of_target(code)[:most]):
            low, high = r.span or (r.bts, r.bts)
            dots.append(
                {
                    "target": shown.names[code],
                    "source": shown.names[r.source],
                    "bts": _clip(r.bts),
                    "low": _clip(low),
                    "high": _clip(high),
                    "said": r.said,
                    "model": with_interval(*r.model) if r.model else "",
                    "kind": r.kind,
                    "rank": "best" if rank == 0 else "next best",
                    "place": place,
                }
            )
    values = [v for d in dots for v in (d["low"], d["high"], d["bts"])]
    domain = [min(0.0, *values) - 0.02, max(0.0, *values) + 0.02]
    y = alt.Y("target:N", sort=[shown.names[c] for c in targets], axis=alt.Axis(title=None, grid=True))
    scale = alt.Scale(domain=domain, nice=False)
    axis = alt.Axis(title=f"{BTS} of the source", tickCount=6, labelExpr=NUMBER_LABELS, grid=False)
    x = alt.X("bts:Q", scale=scale, axis=axis)
    fields = [("target", "target"), ("source", "source"), ("said", BTS), ("kind", "kind")]
    if any(d["model"] for d in dots):
        fields.append(("model", "our model"))
    tip = [alt.Tooltip(f"{f}:N", title=w) for f, w in fields]
    best = [d for d in dots if d["rank"] == "best"]
    ranks = ["best", "next best"]
    colour = alt.Color("rank:N", scale=alt.Scale(domain=ranks))
    zero = alt.Chart(rows([{"bts": 0.0}])).mark_rule(style="guide").encode(x=x)
    spans = alt.Chart(rows(best)).mark_rule(style="plan", strokeWidth=2, opacity=0.45)
    spans = spans.encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y)
    # The best last, on top: a mixture of both colours would look like a third.
    others = alt.Chart(rows([d for d in dots if d["rank"] != "best"])).mark_point(size=26, opacity=1)
    others = others.encode(x=x, y=y, color=colour, tooltip=tip)
    points = alt.Chart(rows(best)).mark_point(size=70, opacity=1).encode(x=x, y=y, color=colour, tooltip=tip)
    # Above the dot and not in a column of their own, which would leave a phone no room for the dots.
    middle = (domain[0] + domain[1]) / 2
    sides: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"align": "left", "dx": -5}, [d for d in best if d["bts"] < middle]),
        ({"align": "right", "dx": 5}, [d for d in best if d["bts"] >= middle]),
    ]
    named = [
        alt.Chart(rows(mine))
        .mark_text(style="ink", fontSize=10.5, dy=-9, **side)
        .encode(x=x, y=y, text="source:N", tooltip=tip)
        for side, mine in sides
        if mine
    ]
    layers = [spans, others, points, *named]
    if many:
        layers = [first_or_found(layer, "target") for layer in layers]
        return alt.layer(zero, *layers).add_params(finder()).properties(width="container", height=alt.Step(HELPER_STEP))
    return alt.layer(zero, *layers).properties(width="container", height=HELPER_STEP * len(targets))


def relations_chart(shown: Shown) -> Any:
    """Every score by the relation of its languages, and the mean of each relation."""
    place = {code: i for i, code in enumerate(shown.languages)}
    relation = relations(shown.languages)
    rng = np.random.default_rng(0)
    mine: dict[str, list[PairRow]] = {}
    for r in shown.rows:
        mine.setdefault(RELATIONS[relation[place[r.target], place[r.source]]], []).append(r)
    names = [name for name in reversed(RELATIONS) if name in mine]
    dots = [
        {
            "relation": name,
            "bts": _clip(r.bts),
            "said": f"{shown.names[r.source]} → {shown.names[r.target]}: {r.said}",
            "jitter": float(rng.uniform(-1, 1)),
        }
        for name in names
        for r in _thinned(mine[name])
    ]
    means = []
    for name in names:
        mean = float(np.mean([_clip(r.bts) for r in mine[name]]))
        means.append({"relation": name, "bts": mean, "text": f"{score(mean)} ({len(mine[name]):,})"})
    values = [d["bts"] for d in dots]
    y = alt.Y("relation:N", sort=names, axis=alt.Axis(title=None, labelLimit=210))
    scale = alt.Scale(domain=[min(values) - 0.05, max(values) + 0.05], nice=False)
    x = alt.X("bts:Q", scale=scale, axis=alt.Axis(title=BTS, tickCount=6, labelExpr=NUMBER_LABELS, grid=False))
    offset = alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-2, 2]))
    tip = [alt.Tooltip("said:N", title=" ")]
    zero = alt.Chart(rows([{"bts": 0.0}])).mark_rule(style="guide").encode(x=x)
    cloud = alt.Chart(rows(dots)).mark_point(style="plan", size=14, opacity=0.28)
    cloud = cloud.encode(x=x, y=y, yOffset=offset, tooltip=tip)
    mean = alt.Chart(rows(means)).mark_tick(style="warm", thickness=3, height={"band": 0.7}).encode(x=x, y=y)
    text = alt.Chart(rows(means)).mark_text(style=NUMBERS, baseline="middle")
    text = text.encode(y=y, x=alt.value("width"), text="text:N")
    return alt.layer(zero, cloud, mean, text).properties(width="container", height=52 * len(names))


def effects_chart(found: Effects) -> Any:
    """What script, family and both move a score by, with intervals."""
    spans = [
        {"term": e.term, "value": e.value, "low": e.low, "high": e.high, "said": with_interval(e.value, e.low, e.high)}
        for e in found.terms
    ]
    values = [v for s in spans for v in (s["low"], s["high"], 0.0)]
    scale = alt.Scale(domain=[min(values) - 0.03, max(values) + 0.03], nice=False)
    axis = alt.Axis(title="moves the score by", tickCount=6, labelExpr=NUMBER_LABELS, grid=False)
    y = alt.Y("term:N", sort=[e.term for e in found.terms], axis=alt.Axis(title=None, grid=True, labelLimit=210))
    x, low = (alt.X(f"{field}:Q", scale=scale, axis=axis) for field in ("value", "low"))
    tip = [alt.Tooltip("term:N"), alt.Tooltip("said:N", title="effect")]
    zero = alt.Chart(rows([{"value": 0.0}])).mark_rule(style="guide").encode(x=x)
    rule = alt.Chart(rows(spans)).mark_rule(style="plan", strokeWidth=2, opacity=0.5).encode(x=low, x2="high:Q", y=y)
    dots = alt.Chart(rows(spans)).mark_point(style="plan", size=80, opacity=1).encode(x=x, y=y, tooltip=tip)
    return alt.layer(zero, rule, dots).properties(width="container", height=34 * len(spans))


def curves_chart(measured: MeasuredTransfer, names: dict[str, str], per: Per, most: int = 6) -> Any:
    """The score over anchors, a panel per pair and a line per cell of it."""
    pairs = list(dict.fromkeys((p.target, p.source) for p in measured.pairs))[:most]
    return alt.hconcat(*(_curve_panel(measured, names, per, *pair) for pair in pairs))


def _curve_panel(measured: MeasuredTransfer, names: dict[str, str], per: Per, target: str, source: str) -> Any:
    mine = [p for p in measured.pairs if (p.target, p.source) == (target, source)]
    points: list[dict[str, Any]] = []
    for p in mine:
        scores: Scores = p.scores(per)
        cell = ", ".join(v for k, v in p.cell if k != "lr_phase") or "all"
        for i, d in enumerate(p.anchors):
            values = (float(scores.bts[i]), float(scores.bts_low[i]), float(scores.bts_high[i]))
            said = with_interval(*values)
            points.append(
                {"d": float(d), "tokens": quantity(float(d)), "cell": cell, "said": said}
                | dict(zip(("bts", "low", "high"), map(_clip, values), strict=True))
            )
    low, high = min(p["d"] for p in points), max(p["d"] for p in points)
    x = log_axis(alt.X, "d", "anchor: tokens d of the target alone", (low, high), most=4, grid=False)
    bounds = [min(-0.2, *(p["low"] for p in points)), max(0.2, *(p["high"] for p in points))]
    scale = alt.Scale(domain=bounds, nice=False)
    y = alt.Y("bts:Q", scale=scale, axis=alt.Axis(title=BTS, tickCount=5, labelExpr=NUMBER_LABELS))
    kinds = sorted({p["cell"] for p in points})
    legend = alt.Legend(title=None, labelLimit=260, symbolOpacity=1) if len(kinds) > 1 else None
    colour = alt.Color("cell:N", scale=alt.Scale(domain=kinds), legend=legend)
    data = alt.Chart(rows(points))
    tip = [alt.Tooltip(f"{f}:N", title=w) for f, w in (("tokens", "anchor"), ("said", BTS), ("cell", "cell"))]
    band = data.mark_area(opacity=0.14).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=colour)
    line = data.mark_line().encode(x=x, y=y, color=colour)
    grab = data.mark_point(size=120, opacity=0).encode(x=x, y=y, color=colour, tooltip=tip)
    null = alt.Chart(rows([{"bts": 0.0}])).mark_rule(style="guide").encode(y=y)
    title = alt.TitleParams(f"{names[source]} → {names[target]}", frame="group")
    return alt.layer(null, band, line, grab).properties(width="container", height=210, title=title)


def suggestions_chart(left: Sequence[float], names: Sequence[str]) -> Any:
    """What stays of the variance after each suggested run, in their order."""
    steps = [{"pair": "now", "left": 1.0}, *({"pair": n, "left": v} for n, v in zip(names, left, strict=True))]
    for step in steps:
        step["said"] = f"{100 * step['left']:.1f} %"
    y = alt.Y("pair:N", sort=[s["pair"] for s in steps], axis=alt.Axis(title=None, labelLimit=260))
    axis = alt.Axis(title="variance of the scores that is left", labelExpr="format(100 * datum.value, '~g') + ' %'")
    x = alt.X("left:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)
    bars = alt.Chart(rows(steps)).mark_bar(style="plan", height={"band": 0.6}).encode(x=x, y=y)
    text = alt.Chart(rows(steps)).mark_text(style=NUMBERS, baseline="middle")
    text = text.encode(y=y, x=alt.value("width"), text="said:N")
    return alt.layer(bars, text).properties(width="container", height=24 * len(steps))


def _thinned(items: Sequence[Any], most: int = MOST_DOTS) -> list[Any]:
    """Evenly chosen items, where there are too many to draw."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, most).astype(int))]


def _clip(value: float) -> float:
    return float(np.clip(value, *SHOWN))
