"""Charts that set plans side by side: a row per language with a dot for each plan, and a row per change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from isogloss.report.plan_charts import row_height
from isogloss.report.theme import NUMBERS, PERCENT_LABELS, rows
from isogloss.report.words import per_cent, percent

if TYPE_CHECKING:
    from isogloss.planning.given_savings import Estimate

# More languages than these are in the table only.
MOST = 40
SIGNED_LABELS = "(datum.value > 0 ? '+' : '') + format(100 * datum.value, '~g') + ' %'"


def shares_dots(names: Sequence[str], shares: Mapping[str, Sequence[float]]) -> Any:
    """One row per language of `names`, and in it a dot for its share in each of the plans."""
    data = [
        {"language": name, "share": float(p), "plan": plan, "is": per_cent(float(p))}
        for plan, values in shares.items()
        for name, p in zip(names[:MOST], values, strict=False)
    ]
    plans = list(shares)
    top = 1.05 * max(d["share"] for d in data)
    x = alt.X(
        "share:Q",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(title="share of the training tokens", labelExpr=PERCENT_LABELS, tickCount=5),
    )
    tip = [alt.Tooltip("language:N"), alt.Tooltip("plan:N"), alt.Tooltip("is:N").title("share")]
    return (
        alt.Chart(rows(data))
        .mark_point(filled=True, opacity=0.85, size=80)
        .encode(
            y=_by_name(names[:MOST]),
            x=x,
            color=alt.Color("plan:N", scale=alt.Scale(domain=plans)),
            shape=alt.Shape("plan:N", scale=alt.Scale(domain=plans)),
            tooltip=tip,
        )
        .properties(width="container", height=max(60, row_height(len(names)) * min(len(names), MOST)))
    )


def changes_dots(names: Sequence[str], values: Sequence[Estimate], title: str) -> Any:
    """One row per name: a dot, its interval as a bar behind it, the number at the side; parts as per cent."""
    data = []
    for name, e in list(zip(names, values, strict=True))[:MOST]:
        low, high = (e.value, e.value) if e.low is None or e.high is None else (e.low, e.high)
        row = {"name": name, "low": low, "value": e.value, "high": high}
        data.append({**row, "text": per_cent(e.value, signed=abs(e.value) >= 1e-5)})
    ends = [min(0.0, *(d["low"] for d in data)), max(0.0, *(d["high"] for d in data))]
    room = 0.06 * (ends[1] - ends[0]) or 0.001
    scale = alt.Scale(domain=[ends[0] - room, ends[1] + room], nice=False)
    axis = alt.Axis(title=title, labelExpr=SIGNED_LABELS, tickCount=4, grid=True)
    x = alt.X("value:Q", scale=scale, axis=axis)
    base = alt.Chart(rows(data)).encode(y=_by_name([d["name"] for d in data], field="name"))
    return alt.layer(
        alt.Chart(rows([{"value": 0}])).mark_rule(style="guide").encode(x=x),
        base.mark_rule(style="plan", strokeWidth=5, opacity=0.3).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_point(size=70, opacity=1).encode(x=x),
        base.mark_text(style=NUMBERS, baseline="middle").encode(x=alt.value("width"), text="text:N"),
    ).properties(width="container", height=max(60, row_height(len(names)) * len(data)))


def in_words(e: Estimate) -> str:
    """As +1.2 (0.8 to 1.6), in per cent, for a column that says so."""
    value = percent(e.value, signed=True)
    if e.low is None or e.high is None:
        return value
    return f"{value} ({percent(e.low, signed=True)} to {percent(e.high, signed=True)})"


def _by_name(names: Sequence[str], field: str = "language") -> Any:
    return alt.Y(f"{field}:N", sort=list(names), axis=alt.Axis(title=None, grid=True))
