"""The charts of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import altair as alt
import numpy as np

from isogloss.report.finding import MOST_ROWS, finder, first_or_found
from isogloss.report.plan_rows import CAPPED, FREE, MIXTURES, PLAN, Row, central
from isogloss.report.theme import NUMBER_LABELS, NUMBERS, PERCENT_LABELS, even_ticks, log_axis, rows
from isogloss.report.words import about, loss, per_cent, quantity, short_unit, times

if TYPE_CHECKING:
    from isogloss.planning import Plan

# Room at the end of an axis for the pointers to what lies beyond it.
SHARE_ROOM = 1.2


def row_height(count: int) -> int:
    return 22 if count <= 30 else 16


def shares_chart(shown: list[Row]) -> Any:
    """Bars for the shares, lines for their intervals, a mark for each naive mixture, the numbers at the right."""
    limit = _share_limit(shown)
    bars = [{"language": r.name, "share": r.share, "text": per_cent(r.share)} for r in shown]
    marks = [
        {"language": r.name, "share": min(p, limit), "mixture": name, "is": per_cent(p), "beyond": p > limit}
        for r in shown
        for name, p in r.naive_shares.items()
    ]
    # A bar beyond the axis would look as long as the axis: it is a pointer too.
    marks += [
        {"language": r.name, "share": limit, "mixture": PLAN, "is": per_cent(r.share), "beyond": True}
        for r in shown
        if r.share > limit
    ]
    y = _languages(shown)
    x = alt.X(
        "share:Q",
        scale=alt.Scale(domain=[0, limit], nice=False),
        axis=alt.Axis(title="share of the training tokens", labelExpr=PERCENT_LABELS, tickCount=4),
    )
    tip = [_tip("language", "N"), _tip("mixture", "N"), _tip("is", "N", "share")]
    base = alt.Chart(rows(marks)).encode(y=y, x=x, tooltip=tip)
    # The plan is first in the scale, as in the figure of losses, so that each mixture has one colour and shape.
    scale = alt.Scale(domain=[PLAN, *MIXTURES.values()])
    legend = alt.Legend(values=[n for n in MIXTURES.values() if any(m["mixture"] == n for m in marks)])
    inside = base.transform_filter("!datum.beyond").encode(
        # Not `color`: in a document the panels are one figure, and the epochs beside have colours of their own.
        fill=alt.Fill("mixture:N", scale=scale, legend=legend),
        shape=alt.Shape("mixture:N", scale=scale, legend=legend),
    )
    spans = [
        {"language": r.name, "share": low, "end": min(high, limit), "is": f"{per_cent(low)} to {per_cent(high)}"}
        for r in shown
        for low, high in [r.share_bounds or (limit, limit)]
        if low < limit
    ]
    return _panel(
        alt.layer(
            alt.Chart(rows([b for b in bars if b["share"] <= limit]))
            .mark_bar(style="plan", height={"band": 0.62})
            .encode(y=y, x=x, tooltip=[_tip("language", "N"), _tip("text", "N", "share")]),
            *([_lines(spans, y, x)] if spans else []),
            # The figure of losses has the same marks; of many languages they are smaller than their row.
            inside.mark_point(style="edged", filled=True, opacity=1, size=52 if len(shown) <= 15 else 30),
            base.transform_filter("datum.beyond").mark_text(style="muted", text="▸", align="right", fontSize=13),
            _numbers(bars, y),
        ),
        shown,
        "Share",
    )


def _lines(spans: list[dict[str, Any]], y: Any, x: Any) -> Any:
    """From share to end."""
    tip = [_tip("language", "N"), _tip("is", "N", "best in the draws")]
    return (
        alt.Chart(rows(spans))
        .mark_rule(style="ink", strokeWidth=1.6, opacity=0.8)
        .encode(y=y, x=x, x2="end:Q", tooltip=tip)
    )


def epochs_chart(shown: list[Row], *, named: bool = True) -> Any:
    """Bars for how often each text is seen, and a mark at its cap."""
    limit = 1.08 * max([r.epochs for r in shown] + [r.cap for r in shown if np.isfinite(r.cap)])
    bars = [
        {
            "language": r.name,
            "epochs": r.epochs,
            "state": CAPPED if r.capped else FREE,
            "text": f"{times(r.epochs)}{', cap' if r.capped else ''}",
            "cap": times(r.cap) if np.isfinite(r.cap) else "none",
        }
        for r in shown
    ]
    caps = [{"language": r.name, "epochs": r.cap} for r in shown if np.isfinite(r.cap)]
    y = _languages(shown, named=named)
    x = alt.X(
        "epochs:Q",
        scale=alt.Scale(domain=[0, limit], nice=False),
        axis=alt.Axis(title="times that the text is seen", tickCount=5, labelExpr=NUMBER_LABELS),
    )
    colour = alt.Color("state:N", scale=alt.Scale(domain=[FREE, CAPPED]), legend=None)
    tip = [_tip("language", "N"), _tip("text", "N", "epochs"), _tip("cap", "N")]
    return _panel(
        alt.layer(
            alt.Chart(rows(bars)).mark_bar(height={"band": 0.62}).encode(y=y, x=x, color=colour, tooltip=tip),
            alt.Chart(rows(caps)).mark_tick(style="muted", thickness=1.5, height={"band": 0.85}).encode(y=y, x=x),
            _numbers(bars, y),
        ),
        shown,
        "Epochs",
    )


def losses_chart(shown: list[Row], unit: str = "") -> Any:
    """One row per language: the plan's expected loss among those of the naive mixtures.

    Of many languages the first are drawn, and those that the reader asks for.
    """
    many = len(shown) > MOST_ROWS
    dots = [
        {"language": r.name, "loss": value, "mixture": name, "is": loss(value), "place": place}
        for place, r in enumerate(shown)
        for name, value in [(PLAN, r.loss), *r.naive_losses.items()]
    ]
    spans = [
        {
            "language": r.name,
            "loss": r.loss_bounds[0],
            "end": r.loss_bounds[1],
            "is": _span(r.loss_bounds),
            "place": place,
        }
        for place, r in enumerate(shown)
        if r.loss_bounds
    ]
    values = [d["loss"] for d in dots] + [v for span in spans for v in (span["loss"], span["end"])]
    names = [PLAN, *(n for n in MIXTURES.values() if n in {d["mixture"] for d in dots})]
    points = (
        alt.Chart(rows(dots))
        .mark_point(filled=True, opacity=0.9)
        .encode(
            y=_languages(shown, grid=True),
            x=alt.X(
                "loss:Q",
                scale=alt.Scale(type="log", domain=[min(values) / 1.02, max(values) * 1.02], nice=False),
                axis=alt.Axis(
                    # Two lines, for a telephone; the caption has the unit in full.
                    title=[f"expected loss{', ' + short_unit(unit) if unit else ''}", "(logarithmic scale)"],
                    values=even_ticks(min(values), max(values)),
                    labelExpr=NUMBER_LABELS,
                    orient="top" if 30 < len(shown) <= MOST_ROWS else "bottom",
                ),
            ),
            color=alt.Color("mixture:N", scale=alt.Scale(domain=names)),
            shape=alt.Shape("mixture:N", scale=alt.Scale(domain=names)),
            size=alt.condition(
                f"datum.mixture == '{PLAN}'",
                alt.value(150 if len(shown) <= 30 or many else 105),
                alt.value(40 if len(shown) <= 30 or many else 30),
            ),
            tooltip=[_tip("language", "N"), _tip("mixture", "N"), _tip("is", "N", "loss")],
        )
    )
    bars = (
        alt.Chart(rows(spans))
        .mark_rule(style="plan", strokeWidth=5, opacity=0.25)
        .encode(
            y=_languages(shown, grid=True),
            x="loss:Q",
            x2="end:Q",
            tooltip=[_tip("language", "N"), _tip("is", "N", "interval")],
        )
    )
    layers = [*([bars] if spans else []), points]
    if many:
        layers = [first_or_found(layer, "language") for layer in layers]
        return alt.layer(*layers).add_params(finder()).properties(width="container", height=alt.Step(22))
    return alt.layer(*layers).properties(width="container", height=row_height(len(shown)) * len(shown))


def profile_chart(plan: Plan, flat: tuple[float, float], *, height: int = 300) -> Any:
    """The objective against size at this budget; sizes beyond the evidence are shaded."""
    profile = plan.profile
    domain = (float(profile["N"][0]), float(profile["N"][-1]))
    low, high = float(profile["objective"].min()), float(profile["objective"].max())  # type: ignore[arg-type]
    room = (low - 0.06 * (high - low), high + 0.02 * (high - low))
    x = log_axis(alt.X, "N", "parameters N (logarithmic scale)", domain, grid=False)
    y = alt.Y(
        "objective:Q",
        scale=alt.Scale(domain=list(room), nice=False),
        axis=alt.Axis(
            title=f"{plan.criterion.short}, {short_unit(plan.criterion.unit)}", tickCount=5, labelExpr=NUMBER_LABELS
        ),
    )
    line = [{"N": r["N"], "objective": r["objective"], "D": r["D"]} for r in profile.to_dicts()]
    for point in line:
        point |= {"size": quantity(point["N"]), "tokens": quantity(point["D"]), "loss": f"{point['objective']:.4f}"}
    best = [{"N": plan.N, "objective": plan.objective, "label": f"plan {about(plan.N)}"}]
    tip = [_tip("size", "N", "parameters"), _tip("tokens", "N"), _tip("loss", "N", plan.criterion.short)]
    curve = alt.Chart(rows(line)).encode(x=x, y=y, tooltip=tip)
    dot = alt.Chart(rows(best)).encode(x=x, y=y)
    return alt.layer(
        *_outside(plan, domain, x),
        _band(flat, "band", x),
        *_best_sizes(plan, domain, x, height),
        curve.mark_line(clip=True),
        curve.mark_point(size=220, opacity=0),
        dot.mark_point(size=90, opacity=1),
        dot.mark_text(style="plan-note", dy=-16).encode(text="label:N"),
    ).properties(width="container", height=height)


def _best_sizes(plan: Plan, domain: tuple[float, float], x: Any, height: int) -> list[Any]:
    """A bar along the foot: where the draws have their best size."""
    unsure = plan.uncertainty
    if unsure is None:
        return []
    N = unsure.interval(unsure.N)
    if N.high <= domain[0] or N.low >= domain[1]:
        return []
    words = f"{central(unsure.level)} of the best sizes: {_span((N.low, N.high), about)}"
    span = [{"N": max(N.low, domain[0]), "end": min(N.high, domain[1]), "is": words}]
    foot = alt.Chart(rows(span)).encode(x=x, y=alt.value(height - 5), tooltip=[_tip("is", "N", "draws")])
    return [foot.mark_rule(style="plan", strokeWidth=6, opacity=0.7).encode(x2="end:Q")]


def naive_chart(plan: Plan) -> Any:
    """The objective of each mixture, hollow where it repeats text beyond a cap; bars hold it relative to the plan's."""
    kept, broken = "within the caps", "beyond the caps"
    order = sorted(
        [(MIXTURES[a.name], a.objective, a.over_cap) for a in plan.alternatives] + [(PLAN, plan.objective, ())],
        key=lambda item: item[1],
    )
    dots = [
        {
            "mixture": name,
            "loss": value,
            "is": kept if not over else broken,
            "text": loss(value) if name == PLAN else f"{per_cent(value / plan.objective - 1, signed=True)}",
        }
        for name, value, over in order
    ]
    y = alt.Y("mixture:N", sort=[d["mixture"] for d in dots], axis=alt.Axis(title=None, grid=True))
    spans = _against_plan(plan)
    values = [d["loss"] for d in dots] + [v for span in spans for v in (span["loss"], span["end"])]
    x = alt.X(
        "loss:Q",
        scale=alt.Scale(type="log", domain=[min(values) / 1.02, max(values) * 1.02], nice=False),
        axis=alt.Axis(
            title=f"{plan.criterion.short} (logarithmic scale)",
            values=even_ticks(min(values), max(values)),
            labelExpr=NUMBER_LABELS,
            grid=False,
        ),
    )
    colour = alt.Color("is:N", scale=alt.Scale(domain=[kept, broken]))
    shape = alt.Shape("is:N", scale=alt.Scale(domain=[kept, broken]))
    rule = alt.Chart(rows([{"loss": plan.objective}])).mark_rule(style="guide").encode(x=x)
    points = (
        alt.Chart(rows(dots))
        .mark_point(size=95, opacity=1)
        .encode(y=y, x=x, color=colour, shape=shape, tooltip=[_tip("mixture", "N"), _tip("loss", "Q"), _tip("is", "N")])
    )
    bars = alt.Chart(rows(spans)).mark_rule(style="plan", strokeWidth=5, opacity=0.25).encode(y=y, x=x, x2="end:Q")
    layers = [rule, *([bars] if spans else []), points, _numbers(dots, y)]
    return alt.layer(*layers).properties(width="container", height=30 * len(dots))


def _against_plan(plan: Plan) -> list[dict[str, Any]]:
    """Draws of a mixture's loss over the plan's, on the plan's scale: what both have in common tells nothing here."""
    unsure = plan.uncertainty
    if unsure is None:
        return []
    ratios = {name: unsure.interval(value / unsure.objective) for name, value in unsure.alternatives.items()}
    return [
        {"mixture": MIXTURES[name], "loss": plan.objective * r.low, "end": plan.objective * r.high}
        for name, r in ratios.items()
    ]


def _span(bounds: tuple[float, float], write: Callable[[float], str] = loss) -> str:
    return f"{write(bounds[0])} to {write(bounds[1])}"


def _languages(shown: list[Row], *, grid: bool = False, named: bool = True) -> Any:
    order = [r.name for r in shown]
    if not named:
        return alt.Y("language:N", sort=order, axis=None)
    return alt.Y("language:N", sort=order, axis=alt.Axis(title=None, grid=grid))


def _numbers(values: list[dict[str, Any]], y: Any) -> Any:
    """Each row's number in a column right of the plot, where no mark can cover it."""
    return (
        alt.Chart(rows(values))
        .mark_text(style=NUMBERS, baseline="middle")
        .encode(y=y, x=alt.value("width"), text="text:N")
    )


def _panel(chart: Any, shown: list[Row], title: str) -> Any:
    return chart.properties(
        width="container",
        height=row_height(len(shown)) * len(shown),
        title=alt.TitleParams(title, frame="group"),
    )


def _share_limit(shown: list[Row]) -> float:
    """The end of the axis of shares: what is more than twice the largest share of one language is beyond it."""
    largest = max(r.share for r in shown if r.languages == 1)
    values = [p for r in shown for p in (r.share, *r.naive_shares.values())]
    usable = max(p for p in values if p <= 2 * largest)
    return usable * (1.05 if usable == max(values) else SHARE_ROOM)


def _outside(plan: Plan, domain: tuple[float, float], x: Any) -> list[Any]:
    """Shades the sizes that no published run has, with a word in each."""
    low, high = plan.N_range
    spans = [(domain[0], min(low, domain[1])), (max(high, domain[0]), domain[1])]
    layers = []
    for start, end in spans:
        if start >= end:
            continue
        layers.append(_band((start, end), "outside", x))
        if np.log(end / start) > 0.25 * np.log(domain[1] / domain[0]):
            word = [{"N": float(np.sqrt(start * end)), "text": "extrapolation"}]
            layers.append(
                alt.Chart(rows(word)).mark_text(style="note", baseline="top").encode(x=x, y=alt.value(8), text="text:N")
            )
    return layers


def _band(span: tuple[float, float], style: str, x: Any) -> Any:
    return alt.Chart(rows([{"N": span[0], "end": span[1]}])).mark_rect(style=style, clip=True).encode(x=x, x2="end:Q")


def _tip(field: str, kind: Literal["N", "Q"], title: str | None = None) -> Any:
    tip = alt.Tooltip(f"{field}:{kind}").title(title or field)
    return tip.format(".4f") if kind == "Q" else tip
