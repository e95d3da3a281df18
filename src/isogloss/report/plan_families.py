"""A plan of very many languages by family: who gets how much, and what each is expected to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.finding import MANY, OTHERS, by_family, group_order
from isogloss.report.plan_rows import Row, all_rows
from isogloss.report.theme import NUMBER_LABELS, NUMBERS, PERCENT_LABELS, even_ticks, rows
from isogloss.report.words import count, listed, loss, per_cent, times

if TYPE_CHECKING:
    from isogloss.planning import Plan

STEP = 26


@dataclass(frozen=True)
class _Family:
    name: str
    rows: tuple[Row, ...]

    @property
    def share(self) -> float:
        return sum(r.share for r in self.rows)

    @property
    def capped(self) -> int:
        return sum(r.capped for r in self.rows)

    @property
    def losses(self) -> np.ndarray:
        return np.array([r.loss for r in self.rows])


def families_cards(plan: Plan) -> list[Card]:
    """One card; none where a row for each language says enough."""
    return [families_card(plan)] if len(plan.languages) > MANY else []


def families_card(plan: Plan) -> Card:
    family = by_family(plan.languages)
    each = dict(zip(plan.languages, all_rows(plan, range(len(plan.languages))), strict=True))
    kept = {c for c, out in zip(plan.languages, plan.left_out, strict=True) if not out}
    mine = {n: tuple(each[c] for c in each if family[c] == n and c in kept) for n in group_order(family.values())}
    found = [_Family(name, members) for name, members in mine.items() if members]
    found.sort(key=lambda f: (f.name == OTHERS, -f.share))
    most = [f"{f.name} {per_cent(f.share)}" for f in found[:3]]
    held = max(found, key=lambda f: f.capped)
    rest = f"; {held.capped} of {len(held.rows)} languages of {held.name} are held by their epoch cap"
    return Card(
        id="families",
        title="Shares and losses by family",
        sentence=f"Most of the tokens go to {listed(most)}{rest if held.capped else ''}.",
        chart=alt.hconcat(_shares(found), _losses(found)),
        table=pl.DataFrame(
            {
                "Family": [f.name for f in found],
                "Languages": [len(f.rows) for f in found],
                "At their cap": [f.capped for f in found],
                "Share, %": [f.share for f in found],
                "Least loss": [float(f.losses.min()) for f in found],
                "Median loss": [float(np.median(f.losses)) for f in found],
                "Largest loss": [float(f.losses.max()) for f in found],
            }
        ),
        formats={
            "Languages": "value",
            "At their cap": "value",
            "Share, %": "percent",
            **dict.fromkeys(("Least loss", "Median loss", "Largest loss"), "loss"),
        },
        notes=(
            "One dot per language; ticks are the median of a family. Orange: held by its epoch cap.",
            "Losses of different languages are not on one scale: read these as where each language lies, not as ranks.",
        ),
        evidence=f"{count(len(kept), 'language')} of this plan; losses are {plan.loss_unit}, from the laws named under "
        "“What this rests on”.",
    )


def _shares(found: list[_Family]) -> Any:
    bars = [
        {"family": f.name, "share": f.share, "text": per_cent(f.share), "languages": count(len(f.rows), "language")}
        for f in found
    ]
    top = 1.05 * max(b["share"] for b in bars)
    axis = alt.Axis(title="share of the training tokens", labelExpr=PERCENT_LABELS, tickCount=4)
    x = alt.X("share:Q", scale=alt.Scale(domain=[0, top], nice=False), axis=axis)
    tip = [alt.Tooltip("family:N"), alt.Tooltip("text:N", title="share"), alt.Tooltip("languages:N", title="of")]
    base = alt.Chart(rows(bars)).encode(y=_families(found))
    return alt.layer(
        base.mark_bar(style="plan", height={"band": 0.62}).encode(x=x, tooltip=tip),
        base.mark_text(style=NUMBERS, baseline="middle").encode(x=alt.value("width"), text="text:N"),
    ).properties(width="container", height=STEP * len(found), title=alt.TitleParams("Share", frame="group"))


def _losses(found: list[_Family]) -> Any:
    rng = np.random.default_rng(0)
    dots = [
        {
            "family": f.name,
            "language": r.name,
            "loss": round(r.loss, 4),
            "is": loss(r.loss) + (f" ({loss(r.loss_bounds[0])} to {loss(r.loss_bounds[1])})" if r.loss_bounds else ""),
            "share": per_cent(r.share),
            "epochs": times(r.epochs),
            "capped": "at its cap" if r.capped else "below its cap",
            "jitter": round(float(rng.uniform(-1, 1)), 2),
        }
        for f in found
        for r in f.rows
    ]
    medians = {f.name: float(np.median(f.losses)) for f in found}
    middles = [{"family": name, "loss": value, "is": loss(value)} for name, value in medians.items()]
    low, high = min(d["loss"] for d in dots), max(d["loss"] for d in dots)
    scale = alt.Scale(type="log", domain=[low / 1.03, high * 1.03], nice=False)
    axis = alt.Axis(
        title="expected loss (logarithmic scale)", values=even_ticks(low, high), labelExpr=NUMBER_LABELS, grid=False
    )
    x = alt.X("loss:Q", scale=scale, axis=axis)
    fields = [("language", "language"), ("is", "loss"), ("share", "share"), ("epochs", "epochs")]
    tip = [alt.Tooltip(f"{f}:N", title=t) for f, t in fields]
    y = _families(found, grid=True)
    colour = alt.Color("capped:N", scale=alt.Scale(domain=["below its cap", "at its cap"]), legend=None)
    cloud = alt.Chart(rows(dots)).mark_point(size=22, opacity=0.55)
    cloud = cloud.encode(
        x=x, y=y, color=colour, yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-2, 2])), tooltip=tip
    )
    ticks = alt.Chart(rows(middles)).mark_tick(style="ink", thickness=2, height={"band": 0.7})
    ticks = ticks.encode(x=x, y=y, tooltip=[alt.Tooltip("family:N"), alt.Tooltip("is:N", title="median loss")])
    return alt.layer(cloud, ticks).properties(
        width="container", height=STEP * len(found), title=alt.TitleParams("Expected loss", frame="group")
    )


def _families(found: list[_Family], *, grid: bool = False) -> Any:
    return alt.Y("family:N", sort=[f.name for f in found], axis=alt.Axis(title=None, grid=grid))
