"""What more languages cost, as cards: some added together, and candidates one at a time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.plan_rows import central
from isogloss.report.theme import NUMBERS, rows
from isogloss.report.words import NOTHING, count, language_names, listed, per_cent, percent, quantity

if TYPE_CHECKING:
    from isogloss.planning.expand_full import FullExpansion, View
    from isogloss.planning.expand_path import EqualLoss
    from isogloss.planning.expand_problem import Span
    from isogloss.planning.marginal import Candidate, Marginal

# Axis labels of numbers that are per cent already.
LABELS = "(datum.value > 0 ? '+' : '') + format(datum.value, '~g') + ' %'"
SHOWN = 25


def expansion_cards(answer: FullExpansion) -> list[Card]:
    """The cost of all new languages together, and the plan without and with them."""
    return [_cost_card(answer), _languages_card(answer)]


def marginal_cards(answer: Marginal) -> list[Card]:
    """Value and cost of each candidate alone."""
    return [_candidates_card(answer)]


def _cost_card(answer: FullExpansion) -> Card:
    names = language_names(answer.languages)
    view = answer.main
    table = pl.DataFrame(
        {
            "Capacity tax": [v.capacity for v in answer.views],
            "Others' mean loss, %": [_span(v.cost) for v in answer.views],
            "Or compute, %": [_compute(v.at_equal_loss) for v in answer.views],
            "Value, %": [_span(v.taught) for v in answer.views],
            "N, without and with": [f"{quantity(v.before.N)}, {quantity(v.after.N)}" for v in answer.views],
            "D, without and with": [f"{quantity(v.before.D)}, {quantity(v.after.D)}" for v in answer.views],
        }
    )
    new = listed([names[code] for code in answer.new])
    return Card(
        id="cost",
        title="What the new languages cost the others",
        sentence=_sentence(new, view.cost, view.at_equal_loss),
        chart=_dots(
            [(names[code], s, "") for code, s in zip(answer.old, view.change, strict=True)],
            "change of the loss at equal compute",
        ),
        table=table,
        notes=(
            "Each plan is the best for all its languages. Value: how much higher the others' mean loss "
            "would be if the new text taught them nothing.",
            *_draws(answer.draws, answer.level),
        ),
        formats=_formats(table),
        evidence=f"{count(len(answer.old), 'language')} planned without and with {len(answer.new)} more"
        f"{_sample(answer.draws)}; losses are {answer.loss_unit}.",
    )


def _sentence(who: str, cost: Span, found: EqualLoss) -> str:
    gains = cost.value < 0
    first = f"Adding {who} {'gains' if gains else 'costs'} the others {per_cent(abs(cost.value))} of their mean loss"
    if cost.low is not None and cost.high is not None:
        first += f" (change {_percent(cost.low)} to {_percent(cost.high)})"
    if found.factor is None:
        return f"{first}; {found.why}."
    extra = found.factor.value - 1
    word = "more" if extra >= 0 else "less"
    return f"{first} at equal compute, or takes {per_cent(abs(extra))} {word} compute at equal loss."


def _languages_card(answer: FullExpansion) -> Card:
    names, view = language_names(answer.languages), answer.main
    olds = len(answer.old)
    blank = [None] * len(answer.new)
    table = pl.DataFrame(
        {
            "Language": [names[c] for c in answer.languages],
            "Code": list(answer.languages),
            "Weight, %": answer.weights,
            "Text, tokens": answer.text,
            "Share before, %": [*view.before.shares.tolist(), *blank],
            "Share after, %": view.after.shares,
            "Loss before": [*view.before.loss.tolist(), *blank],
            "Loss after": view.after.loss,
            "Change, %": [*(_span(s) for s in view.change), *("new" for _ in answer.new)],
        }
    )
    worst = max(range(olds), key=lambda i: view.change[i].value)
    best = min(range(olds), key=lambda i: view.change[i].value)
    return Card(
        id="languages",
        title="Shares and losses, without and with them",
        sentence=f"The loss of {names[answer.old[worst]]} changes by {_percent(view.change[worst].value)}, that of "
        f"{names[answer.old[best]]} by {_percent(view.change[best].value)}.",
        table=table,
        notes=(_new_losses(answer, view, names), f"Loss is {answer.loss_unit}; it is not on one scale for all."),
        formats={
            "Weight, %": "percent",
            "Text, tokens": "quantity",
            "Share before, %": "percent",
            "Share after, %": "percent",
            "Loss before": "loss",
            "Loss after": "loss",
            "Change, %": "number",
        },
    )


def _new_losses(answer: FullExpansion, view: View, names: dict[str, str]) -> str:
    told = []
    for code, s in zip(answer.new, view.new_loss, strict=True):
        within = f" ({s.low:.2f} to {s.high:.2f})" if s.low is not None and s.high is not None else ""
        told.append(f"{names[code]} {s.value:.2f}{within}")
    return f"Expected losses of the new languages: {listed(told, most=12)}."


def _candidates_card(answer: Marginal) -> Card:
    codes = [c.language for c in answer.candidates]
    names = language_names(codes)
    shown = answer.candidates[:SHOWN]
    others = [effect.capacity for effect in answer.candidates[0].effects[1:]]
    table = pl.DataFrame(
        {
            "Candidate": [names[code] for code in codes],
            "Code": codes,
            "Text, tokens": [c.text for c in answer.candidates],
            "Share, %": [c.main.share for c in answer.candidates],
            "Value, %": [_span(c.main.taught) for c in answer.candidates],
            "Cost elsewhere, %": [_span(c.main.cost) for c in answer.candidates],
            "Or compute, %": [_compute(c.main.at_equal_loss) for c in answer.candidates],
            **{
                f"Cost, {name}, %": [_span(c.effects[1 + i].cost) for c in answer.candidates]
                for i, name in enumerate(others)
            },
            "Evidence": [c.evidence.kind for c in answer.candidates],
        }
    )
    notes = [
        "Each candidate alone, with its own weight. Value: how much higher the others' mean loss would be, in the plan "
        "with it, if its text taught them nothing. Cost: of the others' mean loss, value counted.",
        *_draws(answer.draws, answer.level),
    ]
    if len(shown) < len(codes):
        notes.append(f"The charts show the {len(shown)} most valuable of {count(len(codes), 'candidate')}.")
    return Card(
        id="candidates",
        title="Value and cost of each candidate language",
        sentence=_best(answer.candidates, names),
        chart=alt.hconcat(
            _dots([(names[c.language], c.main.taught, "") for c in shown], "value to the others", title="Value"),
            _dots([(names[c.language], c.main.cost, "") for c in shown], "cost elsewhere, equal compute", title="Cost"),
        ),
        table=table,
        notes=tuple(notes),
        formats=_formats(table),
        evidence=f"{count(len(codes), 'candidate')}, each planned alone{_sample(answer.draws)}: "
        f"{listed([f'{n} {kind}' for kind, n in Counter(c.evidence.kind for c in answer.candidates).items()])}.",
    )


def _best(candidates: tuple[Candidate, ...], names: dict[str, str]) -> str:
    first = candidates[0]
    cheapest = min(candidates, key=lambda c: c.main.cost.value)
    text = _sentence(names[cheapest.language], cheapest.main.cost, cheapest.main.at_equal_loss)
    value = first.main.taught.value
    if value <= 0:
        return f"No candidate's text lowers the others' loss. {text}"
    return f"The text of {names[first.language]} is worth most to the others, {per_cent(value)} of their loss. {text}"


def _dots(points: list[tuple[str, Span, str]], axis: str, *, title: str | None = None) -> Any:
    """One row per name: a dot, the interval as a bar behind it, the number at the side; per cent."""
    data = []
    for name, s, _ in points:
        low, high = (s.value, s.value) if s.low is None or s.high is None else (s.low, s.high)
        row = {"name": name, "low": 100 * low, "value": 100 * s.value, "high": 100 * high}
        data.append({**row, "text": _percent(s.value), "is": f"{_span(s)}\u00a0%"})
    ends = [min(0.0, *(d["low"] for d in data)), max(0.0, *(d["high"] for d in data))]
    room = 0.06 * (ends[1] - ends[0]) or 0.01
    scale = alt.Scale(domain=[ends[0] - room, ends[1] + room], nice=False)
    x = alt.X("value:Q", scale=scale, axis=alt.Axis(title=axis, labelExpr=LABELS, tickCount=4, grid=True))
    y = alt.Y("name:N", sort=[d["name"] for d in data], axis=alt.Axis(title=None, grid=False))
    tip = [alt.Tooltip("name:N", title="language"), alt.Tooltip("is:N", title=axis)]
    base = alt.Chart(rows(data)).encode(y=y, tooltip=tip)
    chart = alt.layer(
        alt.Chart(rows([{"value": 0}])).mark_rule(style="guide").encode(x=x),
        base.mark_rule(style="plan", strokeWidth=5, opacity=0.3).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_point(size=70, opacity=1).encode(x=x),
        base.mark_text(style=NUMBERS, baseline="middle").encode(x=alt.value("width"), text="text:N"),
    ).properties(width="container", height=max(60, 26 * len(data)))
    return chart if title is None else chart.properties(title=alt.TitleParams(title, frame="group"))


def _signed(fraction: float) -> str:
    return percent(fraction, signed=abs(fraction) >= 1e-5)


def _percent(fraction: float) -> str:
    return f"{_signed(fraction)}\u00a0%"


def _span(s: Span) -> str:
    if s.low is None or s.high is None:
        return _signed(s.value)
    return f"{_signed(s.value)} ({_signed(s.low)} to {_signed(s.high)})"


def _compute(found: EqualLoss) -> str:
    f = found.factor
    if f is None:
        return NOTHING
    value = percent(f.value - 1, signed=True)
    if f.low is None or f.high is None:
        return value
    return f"{value} ({percent(f.low - 1, signed=True)} to {percent(f.high - 1, signed=True)})"


def _sample(draws: int) -> str:
    return f", {count(draws, 'draw')} of laws and transfer" if draws else ""


def _draws(draws: int, level: float) -> tuple[str, ...]:
    if not draws:
        return ("Without draws: no number here has an interval.",)
    return (
        f"Bars, and brackets in the table, hold {central(level)} of {count(draws, 'draw')} under the plans as made.",
    )


def _formats(table: pl.DataFrame) -> dict[str, Any]:
    formats: dict[str, Any] = {c: "number" for c in table.columns if c.endswith("%")}
    formats |= {"Share, %": "percent"} if "Share, %" in table.columns else {}
    return (
        formats
        | {c: "quantity" for c in table.columns if c == "Text, tokens"}
        | {c: "number" for c in table.columns if c[:2] in ("N,", "D,")}
    )
