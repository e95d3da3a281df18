"""A plan as cards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.planning import Plan
from isogloss.report.card import Card
from isogloss.report.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, data, line_axis, log_axis
from isogloss.units import format_quantity

MIXTURE_COLOURS = {"this plan": BLUE, "uniform": ORANGE, "proportional": GREEN, "temperature": PURPLE, "unimax": SKY}
MIXTURE_SHAPES = ["circle", "square", "triangle-up", "cross", "diamond"]
_LEGEND = alt.Legend(orient="top", columns=3)
# Losses this close to the best are the same to anyone who trains models.
FLAT = 0.005


def plan_cards(plan: Plan) -> list[Card]:
    return [_headline(plan), _mixture(plan), _losses(plan), _sizes(plan), _alternatives(plan), _evidence(plan)]


def picture_of_plan(plan: Plan) -> Any:
    """Shares, epochs and loss against size, side by side: the plan in one picture."""
    shares, epochs = _share_chart(plan), _epoch_chart(plan, named=False)
    size = _size_chart(plan).properties(width=330, height=max(170, 26 * len(plan.languages)))
    side_by_side = alt.hconcat(shares.properties(width=250), epochs.properties(width=130), size, spacing=26)
    return side_by_side.resolve_scale(color="independent").properties(
        title=f"{plan.title or 'Plan'}: {format_quantity(plan.N)} parameters, {format_quantity(plan.D)} tokens, "
        f"{plan.C:.3g} FLOPs"
    )


def flat_range(plan: Plan) -> tuple[float, float]:
    """Sizes between which the mean loss stays within FLAT of the best, or the ends of the profile."""
    N = np.log(plan.profile["N"].to_numpy())
    excess = plan.profile["objective"].to_numpy() / plan.objective - 1 - FLAT
    inside = np.flatnonzero(excess <= 0)
    if not len(inside):
        return plan.N, plan.N
    ends = []
    for k, outer in ((inside[0], inside[0] - 1), (inside[-1], inside[-1] + 1)):
        if not 0 <= outer < len(N):
            ends.append(N[k])
        else:
            weight = excess[k] / (excess[k] - excess[outer])
            ends.append(N[k] + weight * (N[outer] - N[k]))
    return float(np.exp(ends[0])), float(np.exp(ends[1]))


def _headline(plan: Plan) -> Card:
    names = _labels(plan)
    repeated = [(c, e) for c, e in zip(plan.languages, plan.epochs, strict=True) if e > 1.05]
    if repeated:
        most = max(e for _, e in repeated)
        seen = [names[c] for c, e in repeated if e > most - 0.05]
        text = f" {_joined(seen)} {'is' if len(seen) == 1 else 'are'} seen {most:.1f} times."
    else:
        text = " No language is seen more than about once."
    frame = plan.summary().rename({"language": "code", "name": "language"})
    return Card(
        id="plan",
        title="What to train",
        sentence=f"Train {format_quantity(plan.N)} parameters on {format_quantity(plan.D)} tokens "
        f"({plan.D / plan.N:.3g} tokens per parameter).{text}",
        table=frame.select("language", "code", "share", "tokens", "text", "epochs", "loss", "evidence"),
        notes=(
            f"What binds: {'; '.join(plan.binds) or 'no limit'}.",
            f"Text is unique tokens available. Loss is {plan.loss_unit}. Mean loss {plan.objective:.4f}. "
            f"{plan.agree} of {plan.starts} starts of the search agree.",
        ),
    )


def _mixture(plan: Plan) -> Card:
    names = _labels(plan)
    largest = int(np.argmax(plan.shares))
    capped = [c for c, e, cap in zip(plan.languages, plan.epochs, plan.epoch_caps, strict=True) if e >= cap * 0.9999]
    held = (
        f" {_joined([names[c] for c in capped])} {'is' if len(capped) == 1 else 'are'} held by the epoch cap."
        if capped
        else ""
    )
    return Card(
        id="mixture",
        title="Shares and epochs per language",
        sentence=f"{names[plan.languages[largest]]} gets the largest share, {plan.shares[largest]:.1%}.{held}",
        charts=(_share_chart(plan), _epoch_chart(plan, named=len(plan.languages) > 12)),
        notes=("Small marks are what naive mixtures would give. Dashes are epoch caps.",),
    )


def _share_chart(plan: Plan) -> Any:
    names = _labels(plan)
    order = _order(plan)
    bars = [{"language": names[c], "share": p} for c, p in zip(plan.languages, plan.shares, strict=True)]
    marks = [
        {"language": names[c], "share": p, "mixture": a.name}
        for a in plan.alternatives
        for c, p in zip(plan.languages, a.shares, strict=True)
    ]
    x = alt.X("share:Q", title="share of training tokens", axis=alt.Axis(format="~%", tickCount=5))
    y = alt.Y("language:N", sort=order, title=None)
    tip = [alt.Tooltip("language:N"), alt.Tooltip("share:Q", format=".2%")]
    bar = alt.Chart(data(bars)).mark_bar(color=BLUE, height={"band": 0.72}).encode(x=x, y=y, tooltip=tip)
    tick = (
        alt.Chart(data(marks))
        .mark_tick(thickness=2, height={"band": 0.72})
        .encode(x=x, y=y, color=_mixture_colour(), tooltip=[*tip, alt.Tooltip("mixture:N")])
    )
    return (bar + tick).properties(width="container", height=_height(plan))


def _epoch_chart(plan: Plan, *, named: bool) -> Any:
    names = _labels(plan)
    rows = [
        {"language": names[c], "epochs": e, "cap": cap, "state": "at its cap" if e >= cap * 0.9999 else "below its cap"}
        for c, e, cap in zip(plan.languages, plan.epochs, plan.epoch_caps, strict=True)
    ]
    y = alt.Y("language:N", sort=_order(plan), title=None, axis=alt.Axis() if named else None)
    x = alt.X("epochs:Q", title="epochs", axis=alt.Axis(tickCount=5))
    tip = [alt.Tooltip("language:N"), alt.Tooltip("epochs:Q", format=".2f"), alt.Tooltip("cap:Q", title="cap")]
    colour = alt.Color(
        "state:N",
        title=None,
        scale=alt.Scale(domain=["below its cap", "at its cap"], range=[SKY, ORANGE]),
        legend=alt.Legend(orient="top"),
    )
    bar = alt.Chart(data(rows)).mark_bar(height={"band": 0.72}).encode(x=x, y=y, color=colour, tooltip=tip)
    cap = (
        alt.Chart(data(rows))
        .mark_tick(color=GREY, thickness=2, height={"band": 0.9})
        .encode(x=alt.X("cap:Q"), y=y, tooltip=tip)
    )
    return (bar + cap).properties(width="container", height=_height(plan))


def _losses(plan: Plan) -> Card:
    names = _labels(plan)
    mixtures = [("this plan", plan.loss), *((a.name, a.loss) for a in plan.alternatives)]
    rows = [
        {"language": names[c], "loss": v, "mixture": name}
        for name, loss in reversed(mixtures)
        for c, v in zip(plan.languages, loss, strict=True)
    ]
    proportional = next(a for a in plan.alternatives if a.name == "proportional")
    worst = int(np.argmax(proportional.loss / plan.loss))
    tip = [alt.Tooltip("language:N"), alt.Tooltip("mixture:N"), alt.Tooltip("loss:Q", format=".4f")]
    chart = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=70, opacity=0.9)
        .encode(
            x=line_axis("loss", f"expected loss ({plan.loss_unit})", channel="x"),
            y=alt.Y("language:N", sort=_order(plan), title=None),
            color=_mixture_colour(with_plan=True),
            shape=alt.Shape(
                "mixture:N",
                title=None,
                scale=alt.Scale(domain=list(MIXTURE_COLOURS), range=MIXTURE_SHAPES),
                legend=_LEGEND,
            ),
            tooltip=tip,
        )
        .properties(width="container", height=_height(plan))
    )
    return Card(
        id="losses",
        title="Expected loss per language",
        sentence=f"Proportional sampling would cost {names[plan.languages[worst]]} most: "
        f"{proportional.loss[worst]:.3f} instead of {plan.loss[worst]:.3f}.",
        charts=(chart,),
        notes=("Losses of different languages are not on one scale: compare marks within a row.",),
    )


def _sizes(plan: Plan) -> Card:
    low, high = flat_range(plan)
    return Card(
        id="sizes",
        title="Loss against size at this budget",
        sentence=f"Any size from {format_quantity(low)} to {format_quantity(high)} parameters is within {FLAT:.1%} of "
        f"the best mean loss, each with its own best mixture.",
        charts=(_size_chart(plan).properties(width="container", height=300),),
        notes=(
            f"The published laws behind this plan cover {format_quantity(plan.N_range[0])} to "
            f"{format_quantity(plan.N_range[1])} parameters; dotted beyond.",
        ),
    )


def _size_chart(plan: Plan) -> Any:
    rows = plan.profile.with_columns(
        where=pl.when(pl.col("N").is_between(*plan.N_range)).then(pl.lit("inside")).otherwise(pl.lit("beyond"))
    )
    inside = rows.filter(pl.col("where") == "inside").to_dicts()
    parts = [
        rows.filter(pl.col("N") <= plan.N_range[0]).to_dicts() + inside[:1],
        inside[-1:] + rows.filter(pl.col("N") >= plan.N_range[1]).to_dicts(),
    ]
    x = log_axis("N", "parameters", plan.profile["N"].to_list(), most=7)
    y = line_axis("objective", "weighted mean loss")
    tip = [alt.Tooltip("N:Q", format=".3s"), alt.Tooltip("D:Q", format=".3s"), alt.Tooltip("objective:Q", format=".4f")]
    low, high = flat_range(plan)
    flat = alt.Chart(data([{"low": low, "high": high}]))
    band = flat.mark_rect(color=BLUE, opacity=0.1).encode(x="low:Q", x2="high:Q")
    layers = [band, alt.Chart(data(inside)).mark_line(color=BLUE, strokeWidth=2.5).encode(x=x, y=y)]
    layers += [
        alt.Chart(data(part)).mark_line(color=BLUE, strokeWidth=2, strokeDash=[2, 4]).encode(x=x, y=y)
        for part in parts
        if len(part) > 1
    ]
    layers.append(alt.Chart(data(rows.to_dicts())).mark_point(opacity=0, size=200).encode(x=x, y=y, tooltip=tip))
    best = [{"N": plan.N, "D": plan.D, "objective": plan.objective, "label": f"{format_quantity(plan.N)}"}]
    layers.append(alt.Chart(data(best)).mark_point(color=RED, filled=True, size=110).encode(x=x, y=y, tooltip=tip))
    layers.append(alt.Chart(data(best)).mark_text(dy=-14, fontSize=12, fontWeight=600).encode(x=x, y=y, text="label:N"))
    return alt.layer(*layers)


def _alternatives(plan: Plan) -> Card:
    names = _labels(plan)
    ranked = sorted(plan.alternatives, key=lambda a: a.objective)
    better = [a for a in ranked if a.objective < plan.objective]
    allowed = [a for a in ranked if not a.over_cap]
    if allowed:
        costs = f"{_excess(allowed[0], plan):.2%}"
        text = f"The best naive mixture within the limits, {allowed[0].name}, costs {costs} more."
    else:
        text = "No naive mixture keeps to the epoch caps at this size."
    if better:
        text += (
            f" {_joined([a.name.capitalize() for a in better])} would score {abs(_excess(better[0], plan)):.2%} better "
            f"only by repeating text beyond the caps."
            if all(a.over_cap for a in better)
            else f" {better[0].name.capitalize()} scores better: the limits of this question cost that much."
        )
    frame = pl.DataFrame(
        {
            "mixture": ["this plan", *(a.name for a in ranked)],
            "mean loss": [plan.objective, *(a.objective for a in ranked)],
            "against the plan": [None, *(_excess(a, plan) for a in ranked)],
            "repeats beyond the epoch cap": ["", *(_joined([names[c] for c in a.over_cap]) for a in ranked)],
        }
    )
    return Card(
        id="alternatives",
        title="Naive mixtures against the plan",
        sentence=text,
        table=frame,
        notes=("All at the plan's own size and tokens.",),
    )


def _excess(alternative: Any, plan: Plan) -> float:
    return alternative.objective / plan.objective - 1


def _evidence(plan: Plan) -> Card:
    names = _labels(plan)
    counts = Counter(e.kind for e in plan.evidence)
    grouped: dict[tuple[str, str], list[str]] = {}
    for item in plan.evidence:
        grouped.setdefault((item.kind, item.source), []).append(item.quantity)
    frame = pl.DataFrame(
        {
            "numbers": [_joined([_in_words(q, names) for q in quantities], most=6) for quantities in grouped.values()],
            "kind": [kind for kind, _ in grouped],
            "source": [source for _, source in grouped],
        }
    )
    parts = [f"{counts[k]} {k}" for k in ("given", "measured", "published", "predicted", "assumed") if counts[k]]
    return Card(
        id="evidence",
        title="What this rests on",
        sentence=f"Of {sum(counts.values())} numbers, {_joined(parts)}. What is computed counts as its weakest input.",
        table=frame,
    )


def _in_words(quantity: str, names: dict[str, str]) -> str:
    part, _, rest = quantity.partition(".")
    if not rest:
        return quantity.replace("_", " ")
    return f"loss of the {rest} mixture" if part == "alternatives" else f"{part} of {names.get(rest, rest)}"


def _mixture_colour(*, with_plan: bool = False) -> Any:
    names = [n for n in MIXTURE_COLOURS if with_plan or n != "this plan"]
    scale = alt.Scale(domain=names, range=[MIXTURE_COLOURS[n] for n in names])
    return alt.Color("mixture:N", title=None, scale=scale, legend=_LEGEND)


def _order(plan: Plan) -> list[str]:
    names = _labels(plan)
    return [names[plan.languages[i]] for i in np.argsort(-plan.shares, kind="stable")]


def _height(plan: Plan) -> Any:
    return {"step": 26 if len(plan.languages) <= 20 else 16}


def _labels(plan: Plan) -> dict[str, str]:
    """Names by code; two languages or scripts of one name are told apart by the code."""
    names = {code: _languages.get(code).short_name for code in plan.languages}
    count = Counter(names.values())
    return {code: name if count[name] == 1 else f"{name} ({code})" for code, name in names.items()}


def _joined(names: list[str], most: int = 8) -> str:
    if len(names) > most:
        return ", ".join(names[:most]) + f" and {len(names) - most} more"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])
