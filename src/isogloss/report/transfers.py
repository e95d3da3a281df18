"""Transfer between languages as cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import stats

from isogloss import languages as _languages
from isogloss.report.card import Card
from isogloss.report.finding import FIRST_ROWS, MOST_ROWS
from isogloss.report.transfer_charts import (
    MOST_DOTS,
    effects_chart,
    helpers_chart,
    relations_chart,
    suggestions_chart,
    symmetry_chart,
)
from isogloss.report.transfer_heatmap import MOST_CELLS, group_heatmap, heatmap
from isogloss.report.transfer_rows import PairRow, Shown, score, with_interval
from isogloss.report.words import NOTHING, count, flops, language_names, listed, percent

if TYPE_CHECKING:
    from isogloss.transfer import TopSources
    from isogloss.transfer.relatedness import Effects
    from isogloss.transfer.validation import Validation

HELPERS = 3
# Of fewer languages or pairs no sentence is made that sums them up.
FEW = 4
TABLE_HELPERS = 5
# Of the least squares for targets and sources: far more than it takes where all pairs have scores.
SWEEPS = 200


def heatmap_card(shown: Shown, *, origin: str, caveats: Sequence[str] = ()) -> Card:
    """The whole matrix; `origin` and `caveats` stand on the picture itself."""
    helped = [r for r in shown.rows if r.bts > 0]
    best = max(shown.rows, key=lambda r: r.bts)
    worst = min(shown.rows, key=lambda r: r.bts)
    measured = len(shown.measured)
    kinds = {r.kind for r in shown.rows}
    many = len(shown.languages) > MOST_CELLS
    outlined = "" if many else " (outlined)"
    how = f"all {kinds.pop()}" if len(kinds) == 1 else f"{measured:,} measured{outlined}"
    title = f"{count(len(shown.rows), 'score')} among {count(len(shown.languages), 'language')}, {how}"
    told = "\n".join([origin, *caveats])
    notes = [
        "BTS is 2 − D_bi/D_mono, with D the tokens to the same loss: 0 where half of the tokens in the other "
        "language neither help nor harm, 1 where they are worth as much as the target's own (arXiv:2510.22037)."
    ]
    if many:
        notes.append(
            f"More than {MOST_CELLS} languages: cells are means over the pairs of two families, or of two scripts, "
            "without those of a language with itself. A name that is typed shows the groups of that language; the "
            "helpers below are of single languages."
        )
    elif any(r.low is not None for r in shown.rows):
        notes.append("Scores of the model have the interval that is shown on hover.")
    return Card(
        id="matrix",
        title="Which language helps which",
        sentence=f"A source helps in {len(helped):,} of {count(len(shown.rows), 'pair')}{_surely(shown)}. The best is "
        f"{_pair(shown, best)}, the worst {_pair(shown, worst)}."
        if len(shown.rows) > 1
        else f"{_pair(shown, best)}.",
        chart=group_heatmap(shown, title=title, subtitle=told) if many else heatmap(shown, title, told),
        notes=tuple(notes),
        evidence=f"{title}. {origin}.",
    )


def _surely(shown: Shown) -> str:
    """Of how many pairs that is more than a guess, where scores have intervals of their own."""
    known = [r for r in shown.rows if r.low is not None and r.high is not None]
    if not known:
        return ""
    helps = sum(r.low is not None and r.low > 0 for r in known)
    harms = sum(r.high is not None and r.high < 0 for r in known)
    if not helps and not harms:
        return f", but no interval ({shown.level:.0%}) leaves out 0: none is sure to help or to harm"
    return f"; {shown.level:.0%} intervals lie above 0 in {helps:,} and below 0 in {harms:,}"


def helpers_card(shown: Shown) -> Card:
    targets = shown.targets()
    firsts = [shown.of_target(code)[0] for code in targets]
    tally = {code: sum(r.source == code for r in firsts) for code in dict.fromkeys(r.source for r in firsts)}
    most = sorted(tally, key=lambda c: -tally[c])[:2]
    said = listed([f"{shown.names[c]} for {tally[c]}" for c in most])
    found = f"Among {count(len(targets), 'target')} the most frequent best source is {said}"
    if len(targets) < FEW:
        each = [f"{shown.names[r.source]} helps {shown.names[r.target]} most" for r in firsts]
        found = listed(each)
    spans = [r.span for r in firsts if r.span]
    sure = sum(low > 0 for low, _ in spans)
    certain = _certain(sure, len(spans), shown.level)
    borrowed = any(r.low is None and r.model for r in firsts)
    rows = []
    for code in targets:
        best = shown.of_target(code)[:TABLE_HELPERS]
        rows.append(
            {"Target": shown.names[code]}
            | {f"Source {i + 1}": f"{shown.names[r.source]} {r.said}" for i, r in enumerate(best)}
        )
    return Card(
        id="helpers",
        title="Top helpers of each target",
        sentence=f"{found}.{certain}",
        chart=helpers_chart(shown, targets, HELPERS),
        table=pl.DataFrame(rows, infer_schema_length=None),
        notes=(
            f"Intervals ({shown.level:.0%}) are those of our own model of the measured scores: these scores come "
            "without any. It also parts scores that are printed alike."
            if borrowed
            else f"The best {TABLE_HELPERS} sources and their scores, with {shown.level:.0%} intervals."
            if spans
            else "These scores have no intervals.",
            *(
                [f"Drawn: the {FIRST_ROWS} targets that are helped most, or those whose name you type."]
                if len(targets) > MOST_ROWS
                else []
            ),
        ),
        evidence=f"{count(len(shown.rows), 'score')}, {len(shown.measured):,} of them measured; the best source "
        "of each target is named.",
    )


def _certain(sure: int, of: int, level: float) -> str:
    if not of:
        return ""
    if not sure:
        return f" In none of these pairs does the {level:.0%} interval lie above 0: none is sure to help."
    return f" In {sure} of these {count(of, 'pair')} the {level:.0%} interval lies above 0."


def _like_for_like(shown: Shown) -> tuple[dict[str, float], dict[str, float]]:
    """What each language would score on average as a target, and as a source, were all others the same.

    Least squares of a part for each target and each source. Plain means would flatter a source that is itself hard to
    help: its own row, which is low, is the one that they leave out.
    """
    codes = list(shown.languages)
    place = {code: i for i, code in enumerate(codes)}
    t, s = (np.array([place[getattr(r, side)] for r in shown.rows]) for side in ("target", "source"))
    y = np.array([r.bts for r in shown.rows])
    parts = [np.zeros(len(codes)), np.zeros(len(codes))]
    number = [np.maximum(np.bincount(side, minlength=len(codes)), 1) for side in (t, s)]
    for _ in range(SWEEPS):
        for own, side, other, far in ((0, t, 1, s), (1, s, 0, t)):
            parts[own] = np.bincount(side, y - y.mean() - parts[other][far], len(codes)) / number[own]
            parts[own] -= parts[own][side].mean()
    targets, sources = ({c: float(y.mean() + part[place[c]]) for c in codes} for part in parts)
    return {c: targets[c] for c in shown.targets()}, {c: sources[c] for c in shown.sources()}


def sources_card(shown: Shown, top: TopSources | None = None) -> Card:
    """How helpful each language is, and how receptive; how often it is among a target's `top` sources."""
    names, codes = shown.names, list(shown.languages)
    given: dict[str, list[float]] = {c: [] for c in codes}
    taken: dict[str, list[float]] = {c: [] for c in codes}
    for r in shown.rows:
        given[r.source].append(r.bts)
        taken[r.target].append(r.bts)
    both = [c for c in codes if given[c] and taken[c]]
    as_target, as_source = _like_for_like(shown)
    ranked = sorted((c for c in codes if given[c]), key=lambda c: -as_source[c])
    spread = [float(np.std([side[c] for c in both])) if len(both) > 1 else 0.0 for side in (as_target, as_source)]
    what = "which language is helped" if spread[0] > spread[1] else "which language helps"
    first = [names[c] for c in ranked[: 1 if len(ranked) < FEW else 3]]
    verb = "helps most" if as_source[ranked[0]] > 0 else "harms least"
    sentence = (
        f"{listed(first)} {verb if len(first) == 1 else verb.replace('s ', ' ', 1)} on average, over the same targets"
    )
    if len(both) >= FEW:
        larger, smaller = ("targets", "sources") if spread[0] > spread[1] else ("sources", "targets")
        sentence += (
            f"; {what} matters more: mean scores vary by {max(spread):.2f} between {larger}, by {min(spread):.2f} "
            f"between {smaller} (standard deviations)"
        )
    sentence += "."
    table = pl.DataFrame(
        {
            "Language": [names[c] for c in ranked],
            "Score as source": [score(as_source[c]) for c in ranked],
            "Targets that it helps": [f"{sum(v > 0 for v in given[c])} of {len(given[c])}" for c in ranked],
            "Score as target": [score(as_target[c]) if taken[c] else NOTHING for c in ranked],
            "Sources that help it": [f"{sum(v > 0 for v in taken[c])} of {len(taken[c])}" for c in ranked],
        }
    )
    if top is not None:
        counts = {r["source"]: r for r in top.counts.to_dicts()}
        often = [
            f"{counts[c]['certain']}"
            + (f" to {counts[c]['possible']}" if counts[c]["possible"] > counts[c]["certain"] else "")
            for c in ranked
        ]
        table = table.with_columns(pl.Series(f"Targets in whose top {top.k} it is", often))
    return Card(
        id="languages",
        title="Helpful and receptive languages",
        sentence=sentence,
        table=table,
        formats=dict.fromkeys(table.columns[1:], "number"),
        notes=(
            "Scores as source are means over the same targets, as target over the same sources: a part for each target "
            "and each source, by least squares. Plain means would flatter a source that is itself hard to help.",
            *(
                [f"Where scores are printed alike, a source may or may not be in a target's top {top.k}."]
                if top is not None
                else []
            ),
        ),
    )


def symmetry_card(shown: Shown) -> Card:
    """Each two languages once: the one with more text first."""
    at = shown.at()
    size = {code: _languages.get(code).utf8_bytes or 0 for code in shown.languages}
    pairs: list[tuple[PairRow, PairRow]] = []
    for i, a in enumerate(shown.languages):
        for b in shown.languages[i + 1 :]:
            larger, smaller = (a, b) if size[a] >= size[b] else (b, a)
            there, back = at.get((smaller, larger)), at.get((larger, smaller))
            if there and back:
                pairs.append((there, back))
    title = "Is help mutual?"
    if len(pairs) < 3:
        return Card("symmetry", title, f"Too few pairs have scores both ways to compare them ({len(pairs)}).")
    x, y = (np.array([pair[k].bts for pair in pairs]) for k in (0, 1))
    rho = float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    gap = float(np.mean(x - y))
    both = int(((x > 0) & (y > 0)).sum())
    one = int(((x > 0) ^ (y > 0)).sum())
    more = "The language with more text helps the other more" if gap > 0 else "The language with less text helps more"
    return Card(
        id="symmetry",
        title=title,
        sentence=f"Of {count(len(pairs), 'pair')}, {both:,} help each other and {one:,} help one way only; the "
        f"rank correlation of the two directions is {score(rho).lstrip('+')}. {more}, by {abs(gap):.2f} on average.",
        chart=symmetry_chart(shown, pairs),
        notes=("One dot per two languages. Dots of scores printed to one decimal are moved apart a little.",),
        evidence=f"{count(len(pairs), 'pair')} with scores both ways"
        + (f"; {MOST_DOTS:,} of them are drawn." if len(pairs) > MOST_DOTS else "."),
    )


def effects_card(shown: Shown, found: Effects | str) -> Card:
    """`found` may be the reason why nothing could be tested."""
    title = "Script and family"
    chart = relations_chart(shown) if len(shown.rows) >= FEW else None
    if isinstance(found, str) or chart is None:
        return Card(
            "effects",
            title,
            f"Effects cannot be tested: {found}" if isinstance(found, str) else "Too few scores.",
            chart=chart,
        )
    clear = [e for e in found.terms if e.p < 0.05]
    rest = [e for e in found.terms if e.p >= 0.05]
    said = [f"{e.term} moves the score by {score(e.value)} (p = {e.p:.2g})" for e in clear]
    verdict = f"{listed(said)[0].upper()}{listed(said)[1:]}" if said else "No effect stands out from chance"
    if clear and rest:
        verdict += f"; {listed([e.term for e in rest])} {'does' if len(rest) == 1 else 'do'} not stand out"
    return Card(
        id="effects",
        title=title,
        sentence=f"{verdict}. Targets differ more: by {found.target_sd:.2f} (standard deviation), sources by "
        f"{found.source_sd:.2f}."
        if found.target_sd > max((abs(e.value) for e in found.terms), default=0)
        else f"{verdict}. Targets differ by {found.target_sd:.2f} besides (standard deviation), sources by "
        f"{found.source_sd:.2f}.",
        chart=chart | effects_chart(found),
        table=pl.DataFrame(
            {
                "Term": [e.term for e in found.terms],
                "Effect on the score": [with_interval(e.value, e.low, e.high) for e in found.terms],
                "p (permutations)": [f"{e.p:.2g}" for e in found.terms],
                "p if pairs were independent": [f"{e.naive_p:.2g}" for e in found.terms],
            }
        ),
        formats={"p (permutations)": "number", "p if pairs were independent": "number"},
        notes=(
            f"A mixed model with effects of targets and of sources over {found.pairs:,} scores of "
            f"{found.languages} languages, by restricted maximum likelihood; p from {found.permutations:,} "
            "permutations of the languages. A test that takes pairs for independent finds far too much.",
            "Ticks are plain means of each relation, with the number of pairs.",
        ),
        evidence=f"{found.pairs:,} scores of {found.languages} languages; bars hold {found.level:.0%} intervals.",
    )


def validation_card(found: Validation) -> Card:
    """How well pairs that were left out are predicted."""
    scores = found.scores
    ways = {"pair": "pairs", "target": "a language as target", "source": "as source", "both": "as both"}
    model = scores.filter(pl.col("coverage").is_not_null())
    whole = model.filter(pl.col("left_out") == "both")
    said = whole if whole.height else model
    r2, coverage = float(said["r2"][-1]), float(said["coverage"][-1])
    frame = scores.with_columns(pl.col("left_out").replace_strict(ways, default=pl.col("left_out")))
    table = pl.DataFrame(
        {
            "Left out": frame["left_out"],
            "Method": frame["method"],
            "R²": [f"{v:.2f}".replace("-", "−") for v in frame["r2"]],
            "Spearman": [
                NOTHING if v is None or not np.isfinite(v) else f"{v:.2f}".replace("-", "−") for v in frame["spearman"]
            ],
            "Error (rms)": [f"{v:.3f}" for v in frame["rmse"]],
            f"in the {found.level:.0%} interval": [
                NOTHING if v is None else f"{100 * v:.0f} %" for v in frame["coverage"]
            ],
        }
    )
    return Card(
        id="validation",
        title="How far predictions can be trusted",
        sentence=f"For languages of which no score was known the model explains {percent(max(r2, 0.0))} % of the "
        f"variance of measured scores, and {percent(coverage)} % of them lie in its {found.level:.0%} intervals.",
        table=table,
        formats=dict.fromkeys(table.columns[2:], "number"),
        notes=found.notes,
    )


def suggestions_card(suggestions: pl.DataFrame, purpose: str) -> Card:
    title = "What to measure next"
    if not suggestions.height:
        return Card("suggestions", title, "Every pair was measured: there is nothing to suggest.")
    names = language_names({*suggestions["target"], *suggestions["source"]})
    pairs = [f"{names[s]} → {names[t]}" for t, s in zip(suggestions["target"], suggestions["source"], strict=True)]
    left = suggestions["left"].to_list()
    cost = float(suggestions["flops"].sum())
    # Without a size of the runs, costs are in runs of two languages.
    priced = cost > 1e6
    in_all = f", {flops(cost)} FLOPs in all" if priced else ""
    pay = "FLOPs still to pay" if priced else "Runs still to pay"
    return Card(
        id="suggestions",
        title=title,
        sentence=f"Measuring {pairs[0]} first takes most off the uncertainty of {purpose}; all {len(pairs)} leave "
        f"{percent(left[-1])} % of its variance{in_all}.",
        chart=suggestions_chart(left, pairs),
        table=pl.DataFrame(
            {
                "Pair": pairs,
                "Score now ±": [f"{v:.2f}" for v in suggestions["sd"]],
                pay: [(flops(v) if priced else f"{v:.2g}") if v > 0 else "0" for v in suggestions["flops"]],
                "Variance left": [f"{100 * v:.1f} %" for v in left],
            }
        ),
        formats=dict.fromkeys(("Score now ±", pay, "Variance left"), "number"),
        notes=(
            "Greedy by expected gain per FLOP, each given the ones before it. A run of two languages serves both "
            "directions, and a target's run alone, of half its FLOPs, is paid once: what they leave free comes next.",
        ),
    )


def _pair(shown: Shown, row: PairRow) -> str:
    return f"{shown.names[row.source]} → {shown.names[row.target]} at {row.said}"
