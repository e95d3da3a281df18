"""A comparison of laws as cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.extrapolations import BEYOND, extrapolation_card
from isogloss.report.runs_page import named
from isogloss.report.theme import NUMBER_LABELS, rows
from isogloss.report.words import MINUS, NOTHING, count, listed, per_cent, percent

if TYPE_CHECKING:
    from isogloss.fitting import Comparison

# R² below this is drawn at the edge: a few hopeless scores would press all others together.
LEAST_SHOWN = -1.0
IN_SAMPLE = "in-sample"
# Width of a cell that holds an R², in pixels.
CELL = 46
# Splits that a row of panels shows together: beyond the runs that were fitted, and among runs like them.
ALIKE = ("random", "M", IN_SAMPLE)
TITLES = {
    IN_SAMPLE: "as fitted (nothing held out)",
    "random": "runs at random",
    "N": "the largest models (N)",
    "D": "the most tokens (D)",
    "C": "the most compute (C)",
    "M": "unseen mixtures (M)",
}


def comparison_cards(answer: Comparison) -> list[Card]:
    """Which law to use, how well each predicts what it never saw, on which languages, and what was left out."""
    return [
        scores_card(answer),
        extrapolation_card(answer),
        alike_card(answer),
        errors_card(answer),
        ranking_card(answer),
        languages_card(answer),
        held_out_card(answer),
    ]


def scores_card(answer: Comparison) -> Card:
    return Card(
        id="scores",
        title="Held-out R²",
        sentence=answer.sentence.replace("(-", f"({MINUS}"),
        chart=scores_chart(answer, BEYOND),
        table=_table(answer, "r2", _r2),
        notes=(
            "R² is one less the mean squared error over the variance of the held-out losses, for each language and "
            "then averaged over languages: 1 is perfect, 0 is what the held-out losses' own mean would score.",
            f"Intervals ({answer.level:.0%}) are over draws of held-out runs. Fitting to other runs would move scores "
            "as well, which is not in them.",
            *([f"Scores below {MINUS}{-LEAST_SHOWN:g} are drawn at the edge."] if _beyond(answer) else []),
        ),
    )


def alike_card(answer: Comparison) -> Card:
    """Runs like those fitted, and mixtures of languages that were."""
    title = "Unseen runs and mixtures"
    held = [s.name for s in answer.splits if s.name in ALIKE and s.name != IN_SAMPLE]
    if not held:
        return Card("alike", title, "Neither runs at random nor whole mixtures could be held out.")
    parts = []
    for split in held:
        cells = [c for c in (answer.score(law.name, split) for law in answer.laws) if c["r2"] is not None]
        best = max(cells, key=lambda c: c["r2"])
        parts.append(f"{best['law']} (R² {_r2(best['r2'])}) on {TITLES[split]}")
    return Card("alike", title, f"Scores are highest for {listed(parts)}.", chart=scores_chart(answer, ALIKE))


def scores_chart(answer: Comparison, names: Sequence[str]) -> Any:
    """One panel per split of these: a dot with its interval for each law, on one scale for all."""
    splits = [split for name in names for split in answer.splits if split.name == name]
    if not splits:
        return None
    laws = [law.name for law in answer.laws]
    lowest = min((v for r in answer.scores.to_dicts() for v in (r["r2"], r["r2_low"]) if v is not None), default=0.0)
    domain = [max(LEAST_SHOWN, min(0.0, lowest)) if lowest < 0.5 else lowest - 0.02, 1.0]
    return alt.hconcat(*(_panel(answer, split.name, laws, domain) for split in splits))


def _panel(answer: Comparison, split: str, laws: list[str], domain: list[float]) -> Any:
    values = [_dot(answer, law, split, domain[0]) for law in laws if answer.score(law, split)["r2"] is not None]
    scale = alt.Scale(domain=domain, nice=False, zero=False, clamp=True)
    axis = alt.Axis(title="R²", tickCount=5, labelExpr=NUMBER_LABELS)
    x, low = (alt.X(f"{field}:Q", scale=scale, axis=axis) for field in ("r2", "low"))
    y = alt.Y("law:N", sort=laws, scale=alt.Scale(domain=laws), axis=alt.Axis(title=None, grid=True))
    tip = [
        alt.Tooltip(f"{f}:N", title=t)
        for f, t in (
            ("law", "law"),
            ("said", "R²"),
            ("error", "median relative error"),
            ("coefficients", "coefficients"),
        )
    ]
    chosen = alt.condition("datum.chosen", alt.value(130), alt.value(60))
    shape = alt.condition("datum.chosen", alt.value("diamond"), alt.value("circle"))
    # Data of its own for each layer: a panel that is taken out of a row keeps only that.
    spans = alt.Chart(rows(values)).mark_rule(style="plan", strokeWidth=2, opacity=0.5)
    lines = spans.encode(x=low, x2="high:Q", y=y)
    points = alt.Chart(rows(values)).mark_point(style="plan", opacity=1)
    dots = points.encode(x=x, y=y, size=chosen, shape=shape, tooltip=tip)
    zero = [alt.Chart(rows([{"r2": 0.0}])).mark_rule(style="guide").encode(x=x)] if domain[0] < 0 else []
    title = alt.TitleParams(TITLES.get(split, split), frame="group")
    return alt.layer(*zero, lines, dots).properties(width="container", height=24 * len(laws) + 10, title=title)


def _dot(answer: Comparison, law: str, split: str, least: float) -> dict[str, Any]:
    score = answer.score(law, split)
    r2 = max(score["r2"], least)
    return {
        "law": law,
        "r2": r2,
        "low": r2 if score["r2_low"] is None else max(score["r2_low"], least),
        "high": r2 if score["r2_high"] is None else max(score["r2_high"], least),
        "said": _with_interval(score, "r2", _r2),
        "error": _with_interval(score, "error", per_cent),
        "coefficients": next(f"{one.coefficients:g}" for one in answer.laws if one.name == law),
        "chosen": law == answer.choice,
    }


def errors_card(answer: Comparison) -> Card:
    held = [s.name for s in answer.splits if s.name != IN_SAMPLE]
    cells = [answer.score(law.name, s) for law in answer.laws for s in held]
    cells = [c for c in cells if c["error"] is not None]
    if not cells:
        return Card("errors", "Median relative error", "No law was scored on a held-out split.")
    law = answer.choice or answer.laws[0].name
    own = [c for c in cells if c["law"] == law]
    worst = max(own, key=lambda c: c["error"]) if own else cells[0]
    best = min(own, key=lambda c: c["error"]) if own else cells[0]
    return Card(
        id="errors",
        title="Median relative error",
        sentence=f"Half of the losses that {law} predicts are off by less than {per_cent(best['error'])} on "
        f"{TITLES.get(best['split'], best['split'])}, and by less than {per_cent(worst['error'])} on "
        f"{TITLES.get(worst['split'], worst['split'])}.",
        table=_table(answer, "error", percent),
        notes=("In per cent of the loss, the median of each language's held-out rows, averaged over languages.",),
    )


def ranking_card(answer: Comparison) -> Card:
    title = "Which law to use"
    if not answer.ranking:
        return Card("ranking", title, answer.sentence)
    ranked = answer.ranking
    behind = [r.name for r in ranked[1:] if r.told_apart]
    alike = [r.name for r in ranked[1:] if not r.told_apart]
    best = ranked[0].name
    parts = [f"The held-out runs tell {best} from {listed(behind)}" if behind else f"{best} scores highest"]
    if alike:
        parts.append(f"they do not tell it from {listed(alike)}")
    return Card(
        id="ranking",
        title=title,
        sentence=f"{', but '.join(parts)}.",
        table=pl.DataFrame(
            {
                "Law": [r.name for r in ranked],
                "Coefficients": [r.coefficients for r in ranked],
                "Mean held-out R²": [_r2(r.mean) for r in ranked],
                "interval": [_range(r.low, r.high) for r in ranked],
                f"behind {best} by": [f"{r.ahead:.3f}" for r in ranked],
                "interval of that": [_range(r.ahead_low, r.ahead_high) for r in ranked],
            }
        ),
        notes=(
            f"Means over {listed(answer.ranked_on)}; a language counts no less than −1. The same held-out runs are "
            "drawn for both laws of a difference. The best law is taken unless it leads one with fewer coefficients by "
            "no more than one standard error.",
        ),
        formats={"Coefficients": "value", "Mean held-out R²": "number", f"behind {best} by": "number"},
    )


def languages_card(answer: Comparison) -> Card:
    title = "By language"
    held = [s.name for s in answer.splits if s.name != IN_SAMPLE]
    each = [r for r in answer.by_language.to_dicts() if r["split"] in held]
    if not each:
        return Card("languages", title, "No language was scored on a held-out split.")
    names = named({r["language"] for r in each})
    law = answer.choice or answer.laws[0].name
    own = [r for r in each if r["law"] == law] or each
    worst = min(own, key=lambda r: r["r2"])
    table = pl.DataFrame(
        [
            {"Language": names[language], "Law": one.name}
            | {TITLES.get(s, s): _cell(each, language, one.name, s) for s in held}
            for language in names
            for one in answer.laws
        ]
    )
    return Card(
        id="languages",
        title=title,
        sentence=f"{law} is worst on {names[worst['language']]}, {TITLES.get(worst['split'], worst['split'])}: R² "
        f"{_r2(worst['r2'])} over {count(worst['rows'], 'row')} of {count(worst['runs'], 'run')}.",
        chart=languages_chart(answer, each, names, held),
        table=table,
        notes=("Each cell is R² on a language's held-out rows: the darker, the nearer to 1; below 0 without colour.",),
        formats={TITLES.get(s, s): "number" for s in held},
    )


def languages_chart(answer: Comparison, each: list[dict[str, Any]], names: dict[str, str], held: list[str]) -> Any:
    """One panel per held-out split: languages down, laws across, R² as colour."""
    laws = [law.name for law in answer.laws]
    panels = []
    for split in [s for s in (*BEYOND, "M", "random") if s in held][:4]:
        values = [
            {
                "language": names[r["language"]],
                "law": r["law"],
                "shade": max(0.0, min(1.0, r["r2"])) ** 2,
                "said": _r2(r["r2"]),
                "rows": count(r["rows"], "row"),
            }
            for r in each
            if r["split"] == split
        ]
        x = alt.X(
            "law:N", sort=laws, scale=alt.Scale(domain=laws), axis=alt.Axis(title=None, labelAngle=-50, orient="bottom")
        )
        y = alt.Y("language:N", sort=list(names.values()), axis=alt.Axis(title=None))
        tip = [alt.Tooltip(f"{f}:N") for f in ("language", "law", "said", "rows")]
        cells = (
            alt.Chart(rows(values))
            .mark_rect(style="plan")
            .encode(
                x=x,
                y=y,
                opacity=alt.Opacity("shade:Q", scale=alt.Scale(domain=[0, 1], range=[0.0, 0.75]), legend=None),
                tooltip=tip,
            )
        )
        text = alt.Chart(rows(values)).mark_text(style="ink", fontSize=10.5).encode(x=x, y=y, text="said:N")
        title = alt.TitleParams(TITLES.get(split, split), frame="group")
        panels.append(
            alt.layer(cells, text).properties(width=CELL * len(laws), height=max(60, 20 * len(names)), title=title)
        )
    return alt.hconcat(*panels)


def held_out_card(answer: Comparison) -> Card:
    lines = [f"{TITLES.get(s.name, s.name)} cannot be held out: {s.reason}." for s in answer.not_given]
    reasons: dict[str, list[str]] = {}
    for law, why in answer.laws_left_out.items():
        reasons.setdefault(why, []).append(law)
    lines += [f"Not compared: {listed(laws, most=30)}: {why}." for why, laws in reasons.items()]
    grouped: dict[tuple[str, str], list[str]] = {}
    for split, language, why in answer.languages_left_out:
        grouped.setdefault((split, why), []).append(language)
    lines += [f"Not in the means of {s}: {listed(who, most=12)} ({why})." for (s, why), who in grouped.items()]
    lines += [f"{count(n, 'row')} left out: {why}." for why, n in answer.rows_left_out.items()]
    held = [s for s in answer.splits if s.name != IN_SAMPLE]
    return Card(
        id="held-out",
        title="What was held out",
        sentence=f"{count(len(held), 'split')} of {answer.rows:,} rows; every fit, its transfer languages, bounds and "
        "starts came from the rows that it was shown alone.",
        table=pl.DataFrame(
            {
                "Split": [TITLES.get(s.name, s.name) for s in answer.splits],
                "Held out": [s.describes for s in answer.splits],
                "Rows": [s.rows for s in answer.splits],
                "Runs": [s.runs for s in answer.splits],
                "Languages": [len(s.languages) for s in answer.splits],
            }
        ),
        notes=tuple(lines),
        formats=dict.fromkeys(("Rows", "Runs", "Languages"), "value"),
    )


def _beyond(answer: Comparison) -> bool:
    return any(r is not None and r < LEAST_SHOWN for r in answer.scores["r2"].to_list())


def _table(answer: Comparison, what: str, show: Any) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {"Law": [law.name for law in answer.laws]}
    columns["Coefficients"] = [f"{law.coefficients:g}" for law in answer.laws]
    for split in answer.splits:
        scores = [answer.score(law.name, split.name) for law in answer.laws]
        columns[TITLES.get(split.name, split.name)] = [_with_interval(s, what, show) for s in scores]
    return pl.DataFrame(columns)


def score_words(score: dict[str, Any]) -> str:
    """R² with its interval."""
    return _with_interval(score, "r2", _r2)


def _with_interval(score: dict[str, Any], what: str, show: Any) -> str:
    if score[what] is None:
        return NOTHING
    low, high = score[f"{what}_low"], score[f"{what}_high"]
    return show(score[what]) + ("" if low is None else f" ({show(low)} to {show(high)})")


def _cell(each: list[dict[str, Any]], language: str, law: str, split: str) -> str:
    found = [r["r2"] for r in each if (r["language"], r["law"], r["split"]) == (language, law, split)]
    return _r2(found[0]) if found else NOTHING


def _range(low: float | None, high: float | None, digits: int = 3) -> str:
    return NOTHING if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}".replace("-", MINUS)


def _r2(value: float) -> str:
    return (f"{value:.3f}" if abs(value) < 100 else f"{value:.1e}").replace("-", MINUS)
