"""One target's helpers, and one pair in full, as cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.theme import NUMBER_LABELS, NUMBERS, rows
from isogloss.report.transfer_rows import PairRow, Shown, score, with_interval
from isogloss.report.words import NOTHING, count, listed
from isogloss.transfer import ratio_from_score, weight_from_score
from isogloss.transfer.matrix import RELATIONS, relations
from isogloss.transfer.prediction import Prediction

# What the parts of a prediction are called; "intercept" is common to all pairs.
PARTS = {
    "features": "script, kinship, place, grammar and amounts of text",
    "target": "the target: how much anything helps it",
    "source": "the source: how much it helps anyone",
    "pair": "the pair's own measurements",
}


def target_card(shown: Shown, target: str, most: int = 12) -> Card:
    """A target's best sources with their intervals."""
    best = shown.of_target(target)
    name = shown.names[target]
    if not best:
        return Card("target", f"Who helps {name}", f"No score of {name} is known.")
    first, helping = best[0], sum(r.bts > 0 for r in best)
    sure = [r for r in best if r.span and r.span[0] > 0]
    certain = ""
    if any(r.span for r in best):
        certain = f" Of {len(sure)} the interval lies above 0." if sure else " No interval lies above 0."
    said = (
        f"{shown.names[first.source]} helps {name} most ({first.said}); {helping} of {count(len(best), 'source')} "
        f"{'help' if helping != 1 else 'helps'}.{certain}"
        if helping
        else f"No source helps {name}; {shown.names[first.source]} harms least ({first.said}).{certain}"
    )
    kinds = sorted({r.kind for r in best})
    table = pl.DataFrame(
        {
            "Source": [shown.names[r.source] for r in best],
            "Code": [r.source for r in best],
            "Score (BTS)": [score(r.bts) for r in best],
            "From": [score(r.span[0]) if r.span else NOTHING for r in best],
            "To": [score(r.span[1]) if r.span else NOTHING for r in best],
            "Weight of its tokens": [score(weight_from_score(r.bts)) for r in best],
            "Evidence": [r.kind for r in best],
        }
    )
    borrowed = any(r.low is None and r.model for r in best)
    how = "of our own model of the measured scores, as these come without any" if borrowed else "of the scores"
    return Card(
        id="target",
        title=f"Who helps {name}",
        sentence=said,
        chart=_dots(shown, best[:most]),
        table=table,
        notes=(
            f"Intervals ({shown.level:.0%}) are {how}. Evidence: {listed(kinds)}.",
            "Weight: how many tokens of the target one token of the source is worth; 0 is neutral.",
        ),
        formats=dict.fromkeys(("Score (BTS)", "From", "To", "Weight of its tokens"), "number"),
    )


def pair_card(shown: Shown, target: str, source: str, prediction: Prediction | None) -> Card:
    """One pair, both ways, and what its prediction is made of."""
    names, at = shown.names, shown.at()
    there, back = at.get((target, source)), at.get((source, target))
    title = f"{names[source]} → {names[target]}"
    if there is None:
        return Card("pair", title, "No score of this pair is known. Choose predicted scores to have one.")
    relation = RELATIONS[int(relations([target, source])[0, 1])]
    lines = [
        ("Score (BTS)", _with_span(there)),
        ("Tokens alone over tokens of the pair, for equal loss", f"{ratio_from_score(there.bts):.2f} (neutral: 0.50)"),
        ("Weight of a token of the source", score(weight_from_score(there.bts))),
        ("Evidence", there.kind),
        ("The other direction", _with_span(back) if back else NOTHING),
        ("Relation", relation),
        *_parts(prediction, target, source),
    ]
    verb = "helps" if there.bts > 0 else "harms" if there.bts < 0 else "neither helps nor harms"
    said = f"{names[source]} {verb} {names[target]}: {_with_span(there)}."
    if there.span and there.span[0] < 0 < there.span[1]:
        said += " The interval holds both help and harm."
    return Card(
        id="pair",
        title=title,
        sentence=said,
        table=pl.DataFrame({"What": [a for a, _ in lines], "Value": [b for _, b in lines]}),
        notes=(
            "Parts of a prediction are in log(d_mono/d_bi), and sum to it with the mean of all pairs.",
            *(prediction.notes if prediction else ()),
        )
        if prediction
        else (),
    )


def _with_span(row: PairRow) -> str:
    if row.low is not None or row.model is None:
        return row.said
    return f"{row.said}; our model: {with_interval(*row.model)}"


def _parts(prediction: Prediction | None, target: str, source: str) -> list[tuple[str, str]]:
    if prediction is None or not {target, source} <= set(prediction.languages):
        return []
    t, s = (prediction.languages.index(c) for c in (target, source))
    return [(f"Part of {words}", score(float(prediction.contributions[name][t, s]))) for name, words in PARTS.items()]


def _dots(shown: Shown, best: Sequence[PairRow]) -> Any:
    data = []
    for r in best:
        low, high = r.span or (r.bts, r.bts)
        name = shown.names[r.source]
        data.append({"source": name, "bts": r.bts, "low": low, "high": high, "said": score(r.bts), "kind": r.kind})
    ends = [min(0.0, *(d["low"] for d in data)), max(0.0, *(d["high"] for d in data))]
    room = 0.05 * (ends[1] - ends[0]) or 0.1
    scale = alt.Scale(domain=[ends[0] - room, ends[1] + room], nice=False)
    title = "score (BTS): 0 neutral, above it the source helps"
    x = alt.X("bts:Q", scale=scale, axis=alt.Axis(title=title, tickCount=6, labelExpr=NUMBER_LABELS))
    y = alt.Y("source:N", sort=[d["source"] for d in data], axis=alt.Axis(title=None, grid=False))
    tips = [alt.Tooltip(f"{f}:N", title=w) for f, w in (("source", "source"), ("said", "score"), ("kind", "evidence"))]
    base = alt.Chart(rows(data)).encode(y=y, tooltip=tips)
    return alt.layer(
        alt.Chart(rows([{"bts": 0.0}])).mark_rule(style="guide").encode(x=x),
        base.mark_rule(style="plan", strokeWidth=5, opacity=0.3).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_point(size=70, opacity=1).encode(x=x),
        base.mark_text(style=NUMBERS, baseline="middle").encode(x=alt.value("width"), text="said:N"),
    ).properties(width="container", height=max(70, 24 * len(data)))
