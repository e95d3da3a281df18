"""A plan as cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import altair as alt
import numpy as np
import polars as pl

from isogloss.planning.flat import FLAT, FlatRange
from isogloss.report.card import Card
from isogloss.report.finding import FIRST_ROWS, MOST_ROWS
from isogloss.report.plan_answer import aim_of, changes_card, flat_ends, flat_sizes, words_card
from isogloss.report.plan_charts import epochs_chart, losses_chart, naive_chart, profile_chart, shares_chart
from isogloss.report.plan_choices import choices_cards
from isogloss.report.plan_corpora import corpora_card
from isogloss.report.plan_evidence import evidence_card
from isogloss.report.plan_families import families_cards
from isogloss.report.plan_phases import phases_card
from isogloss.report.plan_regret import regret_card
from isogloss.report.plan_rows import MIXTURES, PLAN, all_rows, at_cap, by_share, central, top_rows
from isogloss.report.plan_start import start_cards
from isogloss.report.words import about, flops, language_names, listed, loss, per_cent, percent, quantity

if TYPE_CHECKING:
    from isogloss.planning import Alternative, Plan


def plan_cards(plan: Plan) -> list[Card]:
    """What to train, on which mixture, what it should reach, how much the size matters, and on what that rests.

    The first is the answer in plain words.
    """
    return [
        words_card(plan),
        numbers_card(plan),
        mixture_card(plan),
        *([phases_card(plan)] if plan.phases else []),
        *([corpora_card(plan)] if plan.corpora else []),
        loss_card(plan),
        *families_cards(plan),
        size_card(plan),
        naive_card(plan),
        *([regret_card(plan)] if plan.uncertainty else []),
        *start_cards(plan.start),
        *choices_cards(plan),
        changes_card(plan),
        evidence_card(plan),
    ]


def picture_of_plan(plan: Plan) -> Any:
    """Shares, epochs and the loss against size in one chart, about 900 x 360, for a README."""
    shown = top_rows(plan, most=11)
    height = max(250, 22 * len(shown))
    # Bars side by side need the names once.
    epochs = epochs_chart(shown, named=False)
    profile = profile_chart(plan, _ends(flat_sizes(plan)), height=height).properties(
        width=270, title=alt.TitleParams("Loss against size", frame="group")
    )
    parts = [
        shares_chart(shown).properties(width=170, height=height),
        epochs.properties(width=110, height=height),
        profile,
    ]
    for part, words in zip(
        parts, ("marks: naive mixtures", "orange: at their cap", "blue: within 0.5 % of the best"), strict=True
    ):
        part.title.subtitle = words
    return alt.hconcat(*parts, spacing=58)


def numbers_card(plan: Plan) -> Card:
    quantities = [
        ("Parameters N", quantity(plan.N), "N"),
        ("Training tokens D", quantity(plan.D), "D"),
        ("Training compute C, FLOPs", flops(plan.C), "C"),
        ("Tokens per parameter", f"{plan.D / plan.N:.3g}", "D"),
        (aim_of(plan), loss(plan.objective), "objective"),
    ]
    table = pl.DataFrame(
        {
            "Quantity": [words for words, _, _ in quantities],
            "Value": [text for _, text, _ in quantities],
            **_intervals(plan),
            "Evidence": [plan.kind_of(key) for _, _, key in quantities],
        }
    )
    return Card(
        id="plan",
        title="The plan in numbers",
        sentence=f"{about(plan.N)} parameters see {plan.D / plan.N:.3g} tokens each; {plan.criterion.name}: "
        f"{loss(plan.objective)}.",
        table=table,
        formats={c: "number" for c in table.columns if c == "Value" or c.endswith("draws")},
        notes=(
            f"Loss is {plan.loss_unit}. {_own_unit(plan)}"
            f"{plan.agree} of {plan.starts} starts of the search found this plan.",
        ),
    )


def _drawn(plan: Plan) -> str:
    unsure = plan.uncertainty
    return "" if unsure is None else f", {len(unsure.N):,} draws of laws and transfer"


def _weakest(plan: Plan, of: str) -> str:
    """The kinds of evidence behind each language's number."""
    kinds = Counter(plan.kind_of(f"{of}.{code}") for code in plan.languages)
    said = [f"{kind} for {number:,}" for kind, number in kinds.most_common()]
    what = {"loss": "Laws and text", "text": "Text available"}[of]
    return f"{what}: {listed(said)}."


def _own_unit(plan: Plan) -> str:
    """Of what the plan makes small, where it is not that of losses."""
    return "" if plan.criterion.unit == plan.loss_unit else f"{aim_of(plan)}: {plan.criterion.unit}. "


def _intervals(plan: Plan) -> dict[str, list[str]]:
    """The column beside the answer's numbers: what would be best in the draws, and the loss of this plan."""
    unsure = plan.uncertainty
    if unsure is None:
        return {}
    N, D, ratio, mean = (unsure.interval(v) for v in (unsure.N, unsure.D, unsure.D / unsure.N, unsure.objective))
    ranges = [
        f"{quantity(N.low)} to {quantity(N.high)}",
        f"{quantity(D.low)} to {quantity(D.high)}",
        "",
        f"{ratio.low:.3g} to {ratio.high:.3g}",
        f"{loss(mean.low)} to {loss(mean.high)}" if loss(mean.low) != loss(mean.high) else "not known",
    ]
    return {f"{central(unsure.level)} of draws": ranges}


def mixture_card(plan: Plan) -> Card:
    shown = top_rows(plan)
    names = language_names(plan.languages)
    order = by_share(plan)
    capped = at_cap(plan)
    first = names[plan.languages[order[0]]]
    held = (
        f"{int(capped.sum())} of {len(capped)} languages are held by their epoch cap"
        if capped.any()
        else ("no language reaches its epoch cap")
    )
    table = pl.DataFrame(
        {
            "Language": [names[plan.languages[i]] for i in order],
            "Code": [plan.languages[i] for i in order],
            "Share, %": plan.shares[order],
            **_bounds(plan, "shares", "Best", percent, order),
            "Tokens seen": np.where(plan.left_out, 0.0, plan.shares * plan.D)[order],
            "Text available, tokens": plan.text[order],
            "Epochs": plan.epochs[order],
            "Epoch cap": plan.epoch_caps[order],
            "Evidence": [plan.kind_of(f"text.{plan.languages[i]}") for i in order],
        }
    )
    notes = (
        "Marks beside the shares are what uniform, proportional, temperature and UniMax sampling would give "
        "(▸ beyond the axis); beside the epochs they are the caps. Orange bars are held by their cap.",
    )
    if plan.uncertainty is not None:
        level = central(plan.uncertainty.level)
        notes += (f"Dark lines hold the share that is best in each draw, in {level} of the draws.",)
    if len(shown) < len(order):
        notes += (f"The charts show the {len(shown) - 1} largest shares and the others together; the table has all.",)
    return Card(
        id="mixture",
        title="Shares and epochs per language",
        sentence=f"{first} gets the largest share, {per_cent(float(plan.shares[order[0]]))}; {held}.",
        chart=alt.hconcat(shares_chart(shown), epochs_chart(shown)),
        table=table,
        notes=notes,
        formats={
            "Share, %": "percent",
            **{c: "number" for c in table.columns if c.endswith("draws")},
            "Tokens seen": "quantity",
            "Text available, tokens": "quantity",
            "Epochs": "epochs",
            "Epoch cap": "epochs",
        },
        evidence=f"{len(order):,} languages{_drawn(plan)}. {_weakest(plan, 'text')}",
    )


def _bounds(
    plan: Plan, of: Literal["shares", "loss"], name: str, write: Callable[[float], str], order: np.ndarray
) -> dict[str, list[str]]:
    """A column of a table: between what the draws are."""
    unsure = plan.uncertainty
    if unsure is None:
        return {}
    low, high = unsure.bounds(getattr(unsure, of))
    spans = [f"{write(a)} to {write(b)}" for a, b in zip(low[order].tolist(), high[order].tolist(), strict=True)]
    return {f"{name} in {central(unsure.level)} of draws": spans}


def loss_card(plan: Plan) -> Card:
    names = language_names(plan.languages)
    order = np.array([i for i in by_share(plan) if not plan.left_out[i]])
    columns = {MIXTURES[a.name]: a.loss[order] for a in plan.alternatives}
    table = pl.DataFrame(
        {
            "Language": [names[plan.languages[i]] for i in order],
            "Weight, %": plan.weights[order],
            PLAN.capitalize(): plan.loss[order],
            **_bounds(plan, "loss", "This plan", loss, order),
            **{name[0].upper() + name[1:]: values for name, values in columns.items()},
            "Evidence": [plan.kind_of(f"loss.{plan.languages[i]}") for i in order],
        }
    )
    losses = [c for c in table.columns if table[c].dtype.is_float() and c != "Weight, %"]
    spans = [c for c in table.columns if c.endswith("draws")]
    return Card(
        id="losses",
        title="Expected loss per language",
        sentence=_loss_sentence(plan, names),
        chart=losses_chart(all_rows(plan, order), plan.loss_unit),
        table=table,
        notes=(
            "Losses of different languages are not on one scale: compare marks within a row, not rows.",
            *_loss_bars(plan),
            *(
                [f"Drawn: the {FIRST_ROWS} largest shares, or the languages whose name you type. The table has all."]
                if len(order) > MOST_ROWS
                else []
            ),
            *_helpers_left_out(plan, names),
        ),
        formats={**dict.fromkeys(losses, "loss"), **dict.fromkeys(spans, "number"), "Weight, %": "percent"},
        evidence=f"{len(order):,} languages{_drawn(plan)}; losses are {plan.loss_unit}. {_weakest(plan, 'loss')}",
    )


def size_card(plan: Plan) -> Card:
    if plan.profile.height < 2:
        return Card(
            "size", "Loss against size at this budget", "The limits leave one size only: there is nothing to compare."
        )
    flat = flat_sizes(plan)
    start, end = flat_ends(plan)
    inside = plan.N_range[0] <= plan.N <= plan.N_range[1]
    reach = f"{about(plan.N_range[0])} to {about(plan.N_range[1])} parameters"
    return Card(
        id="size",
        title="Loss against size at this budget",
        sentence=f"Any size from {start} to {end} has a {plan.criterion.of_draw} within {per_cent(FLAT)} of the least"
        + ("." if inside else f", but {about(plan.N)} is beyond the sizes behind the laws ({reach})."),
        chart=profile_chart(plan, _ends(flat)),
        notes=(
            f"Each size with its own best mixture, at {flops(plan.C)} FLOPs. The laws come from {reach}.",
            *_best_sizes(plan),
        ),
        evidence=f"{plan.profile.height} sizes{_drawn(plan)}; loss is {plan.loss_unit}.",
    )


def naive_card(plan: Plan) -> Card:
    names = language_names(plan.languages)
    ranked = sorted(plan.alternatives, key=lambda a: a.objective)
    aim = f"{plan.criterion.short[0].upper()}{plan.criterion.short[1:]}"
    table = pl.DataFrame(
        {
            "Mixture": [PLAN, *(MIXTURES[a.name] for a in ranked)],
            aim: [plan.objective, *(a.objective for a in ranked)],
            "Against the plan, %": ["", *(percent(_excess(a, plan), signed=True) for a in ranked)],
            "Languages beyond their cap": [0, *(len(a.over_cap) for a in ranked)],
            "Which": ["", *(listed([names[c] for c in a.over_cap]) if a.over_cap else "" for a in ranked)],
        }
    )
    return Card(
        id="alternatives",
        title="Naive mixtures against the plan",
        sentence=_naive_sentence(plan, ranked),
        chart=naive_chart(plan),
        table=table,
        notes=("All at the plan's own size and tokens.", *_naive_bars(plan)),
        evidence=f"{len(plan.alternatives) + 1} mixtures{_drawn(plan)}; loss is {plan.loss_unit}.",
        formats={aim: "loss", "Against the plan, %": "number"},
    )


def _ends(flat: FlatRange) -> tuple[float, float]:
    return flat.low, flat.high


def _best_sizes(plan: Plan) -> list[str]:
    unsure = plan.uncertainty
    if unsure is None:
        return []
    N = unsure.interval(unsure.N)
    return [
        f"The bar at the foot: {central(unsure.level)} of the draws have their best size between {about(N.low)} and "
        f"{about(N.high)}. The range above is of the loss averaged over the draws; the line is the plan's own law."
    ]


def _excess(alternative: Alternative, plan: Plan) -> float:
    return alternative.objective / plan.objective - 1


def _loss_sentence(plan: Plan, names: dict[str, str]) -> str:
    """The plan against the best naive mixture that keeps to the caps, language by language."""
    allowed = [a for a in plan.alternatives if not a.over_cap] or list(plan.alternatives)
    rival = min(allowed, key=lambda a: a.objective)
    change = (plan.loss / rival.loss - 1)[plan.weights > 0]
    codes = [code for code, weight in zip(plan.languages, plan.weights, strict=True) if weight > 0]
    name = MIXTURES[rival.name]
    kept = " that keeps to the epoch caps" if not rival.over_cap else ""
    better, worse = change < -5e-5, change > 5e-5
    parts = []
    if better.any():
        i = int(np.argmin(change))
        parts.append(f"lowers {_whose(better, names[codes[i]], change[i])}")
    if worse.any():
        i = int(np.argmax(change))
        parts.append(f"raises {_whose(worse, names[codes[i]], change[i])}")
    return f"Against {name}, the best naive mixture{kept}, the plan {' and '.join(parts) or 'changes no loss'}."


def _whose(which: np.ndarray, name: str, change: float) -> str:
    if which.sum() == 1:
        return f"the loss of {name} ({per_cent(change, signed=True)})"
    return (
        f"the loss of {int(which.sum())} of {len(which)} languages (most for {name}, {per_cent(change, signed=True)})"
    )


def _helpers_left_out(plan: Plan, names: dict[str, str]) -> list[str]:
    codes = [names[c] for c, out in zip(plan.languages, plan.left_out, strict=True) if out]
    return [f"Of weight 0, given no tokens and not shown: {listed(codes)}."] if codes else []


def _loss_bars(plan: Plan) -> list[str]:
    unsure = plan.uncertainty
    return [] if unsure is None else [f"Bars hold {central(unsure.level)} of the draws of this plan's loss."]


def _naive_bars(plan: Plan) -> list[str]:
    unsure = plan.uncertainty
    if unsure is None:
        return []
    aim = plan.criterion.of_draw
    return [f"Bars hold {central(unsure.level)} of the draws of each mixture's {aim} relative to the plan's."]


def _naive_sentence(plan: Plan, ranked: list[Alternative]) -> str:
    """Which naive mixture comes closest within the caps, and which only look better by breaking them."""
    allowed = [a for a in ranked if not a.over_cap]
    better = [a for a in ranked if a.objective < plan.objective]
    if allowed:
        gap = _excess(allowed[0], plan)
        side = "worse than the plan" if gap >= 0 else "better than the plan, which the question's other limits forbid"
        best = _capitalised(allowed[0])
        text = f"{best} is the best naive mixture that keeps to the epoch caps, {per_cent(abs(gap))} {side}"
    else:
        text = "No naive mixture keeps to the epoch caps"
    cheats = [a for a in better if a.over_cap]
    if not cheats:
        return f"{text}."
    gains = [f"{MIXTURES[a.name]} ({per_cent(_excess(a, plan))})" for a in cheats]
    over = [len(a.over_cap) for a in cheats]
    how_many = f"{over[0]}" if len(set(over)) == 1 else f"{min(over)} to {max(over)}"
    noun = "language" if over == [1] else "languages"
    return (
        f"{text}; {listed(gains)} {'looks' if len(cheats) == 1 else 'look'} better only by repeating "
        f"{how_many} {noun} beyond the caps."
    )


def _capitalised(alternative: Alternative) -> str:
    name = MIXTURES[alternative.name]
    return name[0].upper() + name[1:]
