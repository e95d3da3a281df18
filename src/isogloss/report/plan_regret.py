"""What a plan may lose against what would have been best, as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_rows import MIXTURES, PLAN, central
from isogloss.report.theme import NUMBERS, PERCENT_LABELS, log_axis, rows
from isogloss.report.words import about, count, listed, per_cent

if TYPE_CHECKING:
    from isogloss.planning import Plan, Uncertainty

# Regrets nearer to zero than this are drawn on a linear scale.
LINEAR = 0.002
TICKS = (-0.1, -0.03, -0.01, -0.003, 0, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)


def regret_card(plan: Plan) -> Card:
    unsure = plan.uncertainty
    title = "What the plan may lose"
    if unsure is None:
        return Card("regret", title, "The plan was made without draws: it has no regret and no intervals.")
    order = sorted(unsure.alternatives, key=lambda name: float(unsure.regret_of(name).mean()))
    regrets = [unsure.regret, *(unsure.regret_of(name) for name in order)]
    spans = [unsure.interval(r) for r in regrets]
    between = central(unsure.level)
    table = pl.DataFrame(
        {
            "Mixture": [PLAN, *(MIXTURES[name] for name in order)],
            "Mean regret, %": [float(r.mean()) for r in regrets],
            "Median, %": [s.median for s in spans],
            "Low, %": [s.low for s in spans],
            "High, %": [s.high for s in spans],
            "Plan is better, % of draws": [None, *(unsure.plan_better(name) for name in order)],
        }
    )
    above = f"regret of the {plan.criterion.of_draw}"
    notes = [
        f"Regret is the {plan.criterion.of_draw} over that of the best plan for the same draw of laws and transfer, "
        "less 1. "
        "Mixtures that break a limit can have one below zero.",
        f"{count(unsure.count, 'draw')}; bars and bands hold {between} of them. They hold {listed(unsure.varies)}.",
    ]
    if unsure.lacks:
        notes.append(f"Not in them, so that the truth is less sure than this: {'; '.join(unsure.lacks)}.")
    if unsure.settled < unsure.count:
        notes.append(f"The search of {unsure.count - unsure.settled} draws did not settle: their regret may be more.")
    return Card(
        id="regret",
        title=title,
        sentence=_sentence(plan, unsure),
        chart=alt.hconcat(_mixtures(order, regrets, unsure, above), _sizes(plan.N, unsure, above)),
        table=table,
        notes=tuple(notes),
        formats=dict.fromkeys([c for c in table.columns if c.endswith("%") or "% of" in c], "percent"),
    )


def _sentence(plan: Plan, unsure: Uncertainty) -> str:
    own = unsure.interval(unsure.regret)
    text = (
        f"In {central(unsure.level)} of the draws the plan loses {per_cent(own.low)} to {per_cent(own.high)} against "
        "what would have been best"
    )
    allowed = [a.name for a in plan.alternatives if not a.over_cap]
    if not allowed:
        return f"{text}; no naive mixture keeps to the epoch caps."
    rival = min(allowed, key=lambda name: float(unsure.regret_of(name).mean()))
    other = unsure.interval(unsure.regret_of(rival))
    name = MIXTURES[rival]
    return (
        f"{text}; {name}, the best naive mixture within the caps, loses {per_cent(other.low)} to "
        f"{per_cent(other.high)} and is beaten in {central(unsure.plan_better(rival))} of them."
    )


def _mixtures(order: list[str], regrets: list[np.ndarray], unsure: Uncertainty, above: str) -> Any:
    names = [PLAN, *(MIXTURES[name] for name in order)]
    data = []
    for name, values in zip(names, regrets, strict=True):
        span = unsure.interval(values)
        data.append({"mixture": name, "low": span.low, "regret": span.median, "high": span.high})
        data[-1]["text"] = per_cent(span.median, signed=True)
    ends = [min(min(d["low"] for d in data), 0.0), max(d["high"] for d in data)]
    room = 0.05 * (ends[1] - ends[0])
    low, high = (ends[0] * 1.3 if ends[0] < 0 else -min(room, LINEAR / 2)), ends[1] * 1.3
    scale = alt.Scale(type="symlog", constant=LINEAR, domain=[low, high], nice=False)
    ticks = [t for t in TICKS if low <= t <= high]
    axis = alt.Axis(title=above, values=ticks, labelExpr=PERCENT_LABELS, grid=False)
    x = alt.X("regret:Q", scale=scale, axis=axis)
    y = alt.Y("mixture:N", sort=names, axis=alt.Axis(title=None, grid=True))
    base = alt.Chart(rows(data)).encode(y=y)
    return alt.layer(
        alt.Chart(rows([{"regret": 0}])).mark_rule(style="guide").encode(x=x),
        base.mark_rule(style="plan", strokeWidth=5, opacity=0.3).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_point(size=80, opacity=1).encode(x=x),
        base.mark_text(style=NUMBERS, baseline="middle").encode(x=alt.value("width"), text="text:N"),
    ).properties(width="container", height=44 * len(names), title=alt.TitleParams("By mixture", frame="group"))


def _sizes(N: float, unsure: Uncertainty, above: str) -> Any:
    """Regret of every size with its own best mixture: the band of the draws, and their median; a rule at the plan."""
    regret = unsure.size_loss / unsure.best_loss[:, None] - 1
    low, high = unsure.bounds(regret)
    middle = np.median(regret, axis=0)
    top = max(5 * float(middle.min()), 0.03)
    data = [
        {"N": float(n), "low": max(float(a), 0.0), "regret": float(m), "high": float(b), "size": about(float(n))}
        for n, a, m, b in zip(unsure.sizes, low, middle, high, strict=True)
    ]
    domain = (float(unsure.sizes[0]), float(unsure.sizes[-1]))
    x = log_axis(alt.X, "N", "parameters N (logarithmic scale)", domain, grid=False, most=5)
    y_axis = alt.Axis(title=above, labelExpr=PERCENT_LABELS, tickCount=4)
    scale = alt.Scale(domain=[0, top], nice=False)
    base = alt.Chart(rows(data)).encode(x=x)
    return alt.layer(
        alt.Chart(rows([{"N": N}])).mark_rule(style="guide").encode(x=x),
        base.mark_area(style="band", clip=True).encode(y=alt.Y("low:Q", scale=scale, axis=y_axis), y2="high:Q"),
        base.mark_line(clip=True).encode(y=alt.Y("regret:Q", scale=scale, axis=y_axis)),
    ).properties(width="container", height=44 * 5, title=alt.TitleParams("By size", frame="group"))
