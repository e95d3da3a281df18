"""Fitted transfer as cards: what the runs say, what the prediction says, and both; and what was measured beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.theme import NUMBER_LABELS, rows
from isogloss.report.transfer_charts import BTS
from isogloss.report.transfer_rows import score, with_interval
from isogloss.report.words import NOTHING, count, language_names, percent
from isogloss.transfer.agreement import agreement

if TYPE_CHECKING:
    from isogloss.transfer.joint import FittedTransfer

WAYS = ("the runs alone", "predicted", "both")
# Beyond, a pair's three intervals are lines of a hair: the table has them.
DRAWN = 45
TAKEN = (
    "In both, the prediction takes the place of what pooled languages have in common: a weight may lie outside the two."
)


def fitted_card(found: FittedTransfer) -> Card:
    frame = found.frame().sort("tau", descending=True, nulls_last=True)
    names = _names(frame)
    lost = int(found.undetermined.sum())
    with_prediction = bool(np.isfinite(found.predicted).any())
    clear = int(((found.low > 0) | (found.high < 0)).sum())
    said = f"{clear} of {count(len(found), 'weight')} {'is' if clear == 1 else 'are'} clearly not 0"
    if lost:
        said += f"; the runs by themselves do not determine {lost}"
    own = (
        f" On average {percent(float(found.own.mean()))} % of a weight comes from the runs." if with_prediction else ""
    )
    columns: dict[str, list[str]] = {
        "Pair": [_pair(r, names) for r in frame.to_dicts()],
        "tau, both" if with_prediction else "tau": [
            with_interval(r["tau"], r["low"], r["high"]) for r in frame.to_dicts()
        ],
    }
    if with_prediction:
        columns["the runs alone"] = [_or_nothing(r, "fit") for r in frame.to_dicts()]
        columns["predicted"] = [_or_nothing(r, "predicted") for r in frame.to_dicts()]
        columns["from the runs"] = [f"{percent(r['own'])} %" for r in frame.to_dicts()]
    return Card(
        id="fitted",
        title="Weights fitted together",
        sentence=f"{said}.{own}",
        chart=weights_chart(frame.head(DRAWN), names),
        table=pl.DataFrame(columns),
        formats=dict.fromkeys(list(columns)[1:], "number"),
        notes=(
            f"tau is what a token of the source is worth to the target: 0 is neutral, 1 as much as its own. Bars are "
            f"{found.level:.0%} intervals.",
            *([f"The best {DRAWN} of {frame.height} weights are drawn."] if frame.height > DRAWN else []),
            *((TAKEN,) if with_prediction else ()),
        ),
    )


def weights_chart(frame: pl.DataFrame, names: dict[str, str]) -> Any:
    """Per pair up to three dots with intervals: the runs' alone, the prediction's, and both together."""
    fields = {"the runs alone": "fit", "predicted": "predicted", "both": None}
    dots = []
    for r in frame.to_dicts():
        for way, field in fields.items():
            value, low, high = (r[k] for k in _three(field))
            if value is None or (way == "the runs alone" and r["undetermined"]):
                continue
            low, high = (value if v is None else v for v in (low, high))
            dots.append(
                {
                    "pair": _pair(r, names),
                    "way": way,
                    "tau": float(np.clip(value, -1, 1)),
                    "low": float(np.clip(low, -1, 1)),
                    "high": float(np.clip(high, -1, 1)),
                    "said": with_interval(value, low, high),
                }
            )
    ways = [way for way in WAYS if any(d["way"] == way for d in dots)]
    if all(r["predicted"] is None for r in frame.to_dicts()):
        dots, ways = [d for d in dots if d["way"] == "both"], ["both"]
    order = [_pair(r, names) for r in frame.to_dicts()]
    values = [v for d in dots for v in (d["low"], d["high"], 0.0)]
    scale = alt.Scale(domain=[min(values) - 0.03, max(values) + 0.03], nice=False)
    axis = alt.Axis(title="weight tau", tickCount=6, labelExpr=NUMBER_LABELS, grid=False)
    y = alt.Y("pair:N", sort=order, axis=alt.Axis(title=None, grid=True, labelLimit=230))
    offset = alt.YOffset("way:N", scale=alt.Scale(domain=ways))
    legend = alt.Legend() if len(ways) > 1 else None
    colour = alt.Color("way:N", scale=alt.Scale(domain=ways), legend=legend)
    tip = [alt.Tooltip(f"{f}:N", title=w) for f, w in (("pair", "pair"), ("way", "by"), ("said", "tau"))]
    data = alt.Chart(rows(dots))
    zero = alt.Chart(rows([{"tau": 0.0}])).mark_rule(style="guide").encode(x=alt.X("tau:Q", scale=scale, axis=axis))
    spans = data.mark_rule(strokeWidth=1.8, opacity=0.55).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y, yOffset=offset, color=colour
    )
    points = data.mark_point(size=38, opacity=1).encode(
        x=alt.X("tau:Q", scale=scale, axis=axis), y=y, yOffset=offset, color=colour, tooltip=tip
    )
    return alt.layer(zero, spans, points).properties(width="container", height=(10 * len(ways) + 8) * len(order))


def agreement_card(compared: pl.DataFrame) -> Card:
    """Fitted against measured scores of the same pairs."""
    told = agreement(compared)
    names = _names(compared)
    ranks = f"; rank correlation {score(told.spearman).lstrip('+')}" if told.spearman is not None else ""
    within = f", {percent(told.within)} % within their errors" if told.within is not None else ""
    return Card(
        id="agreement",
        title="Fitted and measured",
        sentence=f"Over {count(told.pairs, 'pair')} fitted scores differ from measured ones by "
        f"{score(told.mean_difference)} on average and {told.rms_difference:.2f} in size (root mean square)"
        f"{ranks}{within}.",
        chart=_agreement_chart(compared, names),
        table=pl.DataFrame(
            {
                "Pair": [_pair(r, names) for r in compared.to_dicts()],
                "Measured (BTS)": [_scores(r, "measured") for r in compared.to_dicts()],
                "Fitted (BTS)": [_scores(r, "fitted") for r in compared.to_dicts()],
                "Difference in errors": [
                    NOTHING if r["errors"] is None else score(r["errors"]) for r in compared.to_dicts()
                ],
            }
        ),
        formats=dict.fromkeys(("Measured (BTS)", "Fitted (BTS)", "Difference in errors"), "number"),
        notes=("Measured scores drift with the anchor; one fitted tau cannot.",),
    )


def _agreement_chart(compared: pl.DataFrame, names: dict[str, str]) -> Any:
    finite = compared.filter(pl.col("measured").is_finite() & pl.col("fitted").is_finite())
    dots: list[dict[str, Any]] = [
        {"measured": r["measured"], "fitted": r["fitted"], "pair": _pair(r, names)}
        | {"m": _scores(r, "measured"), "f": _scores(r, "fitted")}
        for r in finite.to_dicts()
    ]
    if not dots:
        return None
    values = [v for d in dots for v in (d["measured"], d["fitted"])]
    ends = [max(min(values), -2.5) - 0.1, max(values) + 0.1]
    scale = alt.Scale(domain=ends, nice=False, clamp=True)
    axis = {"tickCount": 6, "labelExpr": NUMBER_LABELS}
    x = alt.X("measured:Q", scale=scale, axis=alt.Axis(title=f"measured {BTS}", **axis))
    y = alt.Y("fitted:Q", scale=scale, axis=alt.Axis(title=f"fitted {BTS}", **axis))
    tip = [alt.Tooltip("pair:N"), alt.Tooltip("m:N", title="measured"), alt.Tooltip("f:N", title="fitted")]
    corner = [{"measured": v, "fitted": v} for v in ends]
    line = alt.Chart(rows(corner)).mark_line(style="guide").encode(x=x, y=y)
    points = alt.Chart(rows(dots)).mark_point(style="plan", size=60, opacity=0.9).encode(x=x, y=y, tooltip=tip)
    return alt.layer(line, points).properties(width="container", height=360)


def _three(field: str | None) -> tuple[str, str, str]:
    return ("tau", "low", "high") if field is None else (field, f"{field}_low", f"{field}_high")


def _or_nothing(row: dict[str, Any], field: str) -> str:
    value, low, high = (row[k] for k in _three(field))
    if value is None:
        return NOTHING
    return "not determined" if field == "fit" and row["undetermined"] else with_interval(value, low, high)


def _scores(row: dict[str, Any], field: str) -> str:
    value, low, high = (row[k] for k in _three(field))
    return NOTHING if value is None else with_interval(value, low, high)


def _pair(row: dict[str, Any], names: dict[str, str]) -> str:
    return f"{names[row['source']]} → {names[row['target']]}"


def _names(frame: pl.DataFrame) -> dict[str, str]:
    from isogloss.runs.names import canonical_name

    codes = {*frame["target"], *frame["source"]}
    return {c: c for c in codes} | language_names({c for c in codes if "_" in c and canonical_name(c) == c})
