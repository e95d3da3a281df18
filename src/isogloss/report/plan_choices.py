"""What a plan would be under other choices of its fits, as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.fit_choices import TITLES
from isogloss.report.plan_charts import row_height
from isogloss.report.plan_rows import central
from isogloss.report.theme import NUMBERS, log_axis, rows, widened
from isogloss.report.words import about, language_names, listed, percent, quantity

if TYPE_CHECKING:
    from isogloss.planning import Plan
    from isogloss.planning.plan_choices import ChoicePlan, PlanChoices


def choices_cards(plan: Plan) -> list[Card]:
    """None where no language names a fit."""
    return [] if plan.choices is None else [_card(plan, plan.choices)]


def _card(plan: Plan, choices: PlanChoices) -> Card:
    title = "What other choices of the fits would give"
    names = language_names(plan.languages)
    notes = [f"Left out, {name}: {why}." for name, why in choices.left_out]
    reasons = dict.fromkeys(why for _, why in choices.without)
    notes += [f"{listed([names[c] for c, w in choices.without if w == why])}: {why}." for why in reasons]
    if not choices.tried:
        return Card("choices", title, choices.sentence, notes=tuple(notes))
    order = [choices.main, *sorted(choices.tried, key=lambda c: c.N)]
    changed = [listed([names[code] for code in c.languages]) if c.languages else "" for c in order]
    table = pl.DataFrame(
        {
            "Choice": ["" if c is choices.main else TITLES.get(c.kind, c.kind) for c in order],
            "Which": [c.name for c in order],
            **({"Laws changed": changed} if len({c.languages for c in choices.tried}) > 1 else {}),
            "Parameters N": [c.N for c in order],
            "Tokens D": [c.D for c in order],
            "Largest change of a share, points": [_moved(c, choices, names) for c in order],
            "Its own best": [f"{c.objective:.4g}" for c in order],
            "This plan would lose, %": ["" if c is choices.main else percent(c.regret, signed=True) for c in order],
        }
    )
    return Card(
        id="choices",
        title=title,
        sentence=choices.sentence,
        chart=_chart(plan, choices, order),
        table=table,
        notes=(
            "Each row plans again at the same compute with the coefficients of one choice of `isogloss fit --choices`; "
            "intervals of the plan hold none of them.",
            *notes,
        ),
        formats={
            "Parameters N": "quantity",
            "Tokens D": "quantity",
            "Its own best": "number",
            "This plan would lose, %": "number",
        },
    )


def _chart(plan: Plan, choices: PlanChoices, order: list[ChoicePlan]) -> Any:
    """A dot per choice over the interval of the best size."""
    values = [{"choice": c.name, "N": c.N, "text": quantity(c.N), "main": c is choices.main} for c in order]
    unsure = plan.uncertainty
    ends = [] if unsure is None else [unsure.interval(unsure.N).low, unsure.interval(unsure.N).high]
    domain = widened([*(c.N for c in order), *ends], 1.5)
    x = log_axis(alt.X, "N", "parameters N (logarithmic scale)", domain, grid=False)
    axis = alt.Axis(title=None, grid=True, labelLimit=240)
    y = alt.Y("choice:N", sort=[c.name for c in order], axis=axis)
    band = []
    if unsure is not None:
        words = f"{central(unsure.level)} of the draws: {about(ends[0])} to {about(ends[1])}"
        span = alt.Chart(rows([{"N": ends[0], "end": ends[1], "is": words}])).mark_rect(style="band", clip=True)
        band = [span.encode(x=x, x2="end:Q", tooltip=[alt.Tooltip("is:N", title="best sizes")])]
    guide = alt.Chart(rows([{"N": plan.N}])).mark_rule(style="guide").encode(x=x)
    size = alt.condition("datum.main", alt.value(130), alt.value(60))
    tip = [alt.Tooltip("choice:N"), alt.Tooltip("text:N", title="N")]
    dots = alt.Chart(rows(values)).mark_point(opacity=1).encode(x=x, y=y, size=size, tooltip=tip)
    numbers = alt.Chart(rows(values)).mark_text(style=NUMBERS, baseline="middle")
    return alt.layer(*band, guide, dots, numbers.encode(y=y, x=alt.value("width"), text="text:N")).properties(
        width="container", height=row_height(len(order)) * len(order)
    )


def _moved(choice: ChoicePlan, choices: PlanChoices, names: dict[str, str]) -> str:
    if choice is choices.main:
        return ""
    step = choice.shares - choices.main.shares
    i = int(abs(step).argmax())
    return f"{names[choices.plan_languages[i]]} {percent(float(step[i]), signed=True)}"
