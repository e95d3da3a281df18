"""A design as cards: what it is expected to narrow, and its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.theme import NUMBER_LABELS, log_axis, rows, widened
from isogloss.report.words import about, count, flops, language_names, listed, per_cent, quantity

if TYPE_CHECKING:
    from isogloss.planning.design_answer import Design, DesignRun

KINDS = {
    "monolingual": "one language",
    "repeated": "text repeated",
    "pair": "pair",
    "even": "even",
    "skew": "mostly one language",
    "plan": "the plan's mixture",
}
# Runs of which a bar says what each gives, and the height of a bar's row.
SHOWN, STEP = 15, 22
BEFORE, AFTER = "the plan as it stands", "planned anew after the runs"


def design_cards(design: Design) -> list[Card]:
    return [narrowing_card(design), runs_card(design)]


def narrowing_card(design: Design) -> Card:
    before, after = design.before, design.after
    if design.to_halve is None:
        further = "Halving what is left would cost more than sixteen times as much."
    else:
        further = f"Halving what is left would take a design of about {flops(design.to_halve)} FLOPs."
    return Card(
        id="narrowing",
        title="What the runs are expected to narrow",
        sentence=f"{count(design.count, 'run')} for {flops(design.flops)} FLOPs lower the plan's expected regret from "
        f"{per_cent(before.mean)} to {per_cent(after.mean)}. {further}",
        chart=_narrowing_chart(design),
        evidence=f"The plan of {count(len(design.languages), 'language')} for {flops(design.plan.C)} FLOPs, made anew "
        "for draws of what is known of its laws and transfer; no run has been trained.",
        notes=(
            "Regret is the weighted mean loss of a plan over that of the best plan for the true laws, less 1. Laws and "
            "transfer weights are drawn as the plan's own intervals are; for each, the plan is made as it would be "
            "before and after the runs. Lines hold 80 % of them, marks are means.",
            f"A loss is taken to vary by {per_cent(design.noise)} between seeds, and the law to be off by "
            f"{per_cent(design.drift)} per tenfold of parameters between a run and the plan.",
        ),
    )


def runs_card(design: Design) -> Card:
    first = design.runs[0]
    names = language_names(design.languages)
    largest = max(r.run.N for r in design.runs)
    table = pl.DataFrame(
        [
            {
                "Mixture": _mixture(design, r, names),
                "Seeds": str(len(r.seeds)),
                "Parameters": r.run.N,
                "Tokens of each end": ", ".join(quantity(t) for t in r.run.tokens),
                "FLOPs, all seeds": r.flops,
                "If left out, %": r.gain,
            }
            for r in design.runs
        ]
    )
    return Card(
        id="runs",
        title="The runs",
        sentence=f"The most useful is {_mixture(design, first, names)} at {about(first.run.N)} parameters: without it "
        f"the expected regret would be {per_cent(first.gain)} higher. The largest has {about(largest)} parameters; "
        f"they were chosen from {count(design.considered, 'run')}.",
        chart=alt.hconcat(_gains_chart(design, names), _runs_chart(design, names)),
        evidence=f"{count(design.count, 'run')} with their seeds, of {len(design.runs)} kinds; what each gives is "
        "expected of the draws above, not measured.",
        table=table,
        notes=(
            "Each run is one trunk with branches: a finished model at each of its token counts. Seeds of one run are "
            "counted together. If left out: how much higher the expected regret after the runs would be.",
            *([f"Left: the {SHOWN} most useful of {len(design.runs)} kinds."] if len(design.runs) > SHOWN else []),
            "Right: each kind by its size and its longest end; the larger the mark, the more it gives.",
        ),
        formats={
            "Seeds": "number",
            "Parameters": "quantity",
            "Tokens of each end": "number",
            "FLOPs, all seeds": "flops",
            "If left out, %": "percent",
        },
    )


def _mixture(design: Design, chosen: DesignRun, names: dict[str, str]) -> str:
    kind = chosen.run.mixture.kind
    shares = sorted(design.shares_of(chosen.run).items(), key=lambda item: -item[1])
    if kind in ("skew", "plan"):
        return listed([f"{names[code]} {per_cent(share)}" for code, share in shares], 4)
    said = listed([names[code] for code, _ in shares], 4)
    return f"{said}{', evenly' if kind in ('pair', 'even') else ', text repeated' if kind == 'repeated' else ''}"


def _narrowing_chart(design: Design) -> Any:
    lines = [
        {"when": when, "low": 100 * r.low, "high": 100 * r.high, "mean": 100 * r.mean, "said": per_cent(r.mean)}
        for when, r in ((BEFORE, design.before), (AFTER, design.after))
    ]
    top = max(line["high"] for line in lines)
    y = alt.Y("when:N", sort=[BEFORE, AFTER], axis=alt.Axis(title=None, labelLimit=220))
    scale = alt.Scale(domain=[0, 1.05 * max(top, *(line["mean"] for line in lines))], nice=False)
    x = alt.X("mean:Q", scale=scale, axis=alt.Axis(title="regret, %", tickCount=6, grid=False))
    base = alt.Chart(rows(lines))
    spans = base.mark_rule(style="plan", strokeWidth=3, opacity=0.45).encode(
        x=alt.X("low:Q", scale=scale, axis=alt.Axis(title="regret, %", tickCount=6, grid=False)), x2="high:Q", y=y
    )
    points = base.mark_point(style="plan", size=90).encode(x=x, y=y, tooltip=[alt.Tooltip("said:N", title="mean")])
    return alt.layer(spans, points).properties(width="container", height=90)


def _gains_chart(design: Design, names: dict[str, str]) -> Any:
    """The most useful runs first: how much higher the regret would be without each."""
    found: list[dict[str, Any]] = []
    for r in design.runs[:SHOWN]:
        name = f"{_mixture(design, r, names)}; {about(r.run.N)}"
        # The same mixture and size with other tokens.
        alike = sum(f["mixture"] == name for f in found)
        found.append(
            {
                "mixture": name,
                "run": f"{name} ({alike + 1})" if alike else name,
                "gain": 100 * r.gain,
                "said": f"+{per_cent(r.gain)}",
                "cost": f"{flops(r.flops)} FLOPs, {count(len(r.seeds), 'seed')}, {quantity(r.run.tokens[-1])} tokens",
            }
        )
    y = alt.Y("run:N", sort=[f["run"] for f in found], axis=alt.Axis(title=None, labelLimit=220))
    x = alt.X("gain:Q", axis=alt.Axis(title="regret without it, % higher", tickCount=4, labelExpr=NUMBER_LABELS))
    tip = [alt.Tooltip(f"{f}:N", title=t) for f, t in (("run", "run"), ("said", "without it"), ("cost", "takes"))]
    bars = alt.Chart(rows(found)).mark_bar(style="plan", height={"band": 0.6}).encode(x=x, y=y, tooltip=tip)
    title = alt.TitleParams("What each run gives", frame="group")
    return bars.properties(width="container", height=STEP * len(found), title=title)


def _runs_chart(design: Design, names: dict[str, str]) -> Any:
    dots = [
        {
            "N": r.run.N,
            "tokens": r.run.tokens[-1],
            "kind": KINDS[r.run.mixture.kind],
            "gain": 100 * r.gain,
            "said": f"{_mixture(design, r, names)}: +{per_cent(r.gain)} without it, {flops(r.flops)} FLOPs",
        }
        for r in design.runs
    ]
    kinds = [k for k in KINDS.values() if any(d["kind"] == k for d in dots)]
    x = log_axis(alt.X, "N", "parameters N", widened([d["N"] for d in dots], 1.4))
    y = log_axis(alt.Y, "tokens", "tokens of the longest end", widened([d["tokens"] for d in dots], 1.4))
    size = alt.Size("gain:Q", scale=alt.Scale(range=[30, 500]), legend=None)
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=kinds))
    colour = alt.Color("kind:N", scale=alt.Scale(domain=kinds), legend=alt.Legend(columns=3))
    points = alt.Chart(rows(dots)).mark_point(opacity=0.65)
    points = points.encode(x=x, y=y, color=colour, shape=shape, size=size, tooltip=[alt.Tooltip("said:N", title=" ")])
    title = alt.TitleParams("Where they lie", frame="group")
    return points.properties(width="container", height=300, title=title)
