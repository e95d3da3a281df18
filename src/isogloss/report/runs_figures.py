"""Figures of `isogloss runs show`: where the runs lie in N, D and mixtures, and their curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from isogloss.report.card import Card
from isogloss.report.runs_charts import (
    MOST_PLACES,
    NUMBERED,
    counts_chart,
    coverage_chart,
    curves_chart,
    pairs_chart,
    places,
    shares_chart,
)
from isogloss.report.words import count, flops

if TYPE_CHECKING:
    from isogloss.runs.overview import Overview
    from isogloss.runs.thin import Thinned

# Panels of curves, lines in each, and points in all of them: about 2 MB of page.
PANELS, LINES, POINTS = 6, 40, 40_000
# Languages in a map of pairs, in a chart of shares.
MAPPED = 40


def coverage_card(found: Overview, numbers: Mapping[str, Any]) -> Card:
    title = "Coverage of size and tokens"
    runs = numbers["runs"]
    if not (runs["N"] and runs["D"]):
        lacking = "parameters" if not runs["N"] else "tokens"
        return Card("coverage", title, f"The runs do not say their {lacking}: there is no place to draw them at.")
    sizes = numbers["sizes"]
    languages = dict(found.shares.group_by("run").len().iter_rows())
    shown = places(found.runs, found.models, languages)
    if not shown:
        return Card("coverage", title, "No run says both its parameters and its tokens.")
    full = [s for s in sizes if s["token_counts"] >= 3]
    have = (
        f"{len(full)} of {count(len(sizes), 'size')} {'has' if len(full) == 1 else 'have'} three or more token counts"
    )
    low, high = min(6 * p["N"] * p["D"] for p in shown), max(6 * p["N"] * p["D"] for p in shown)
    notes = [
        "Dashed lines join equal compute 6 N D. Hollow points are runs that a fit leaves out, at their last point."
    ]
    if len(shown) > MOST_PLACES // 2 and found.models.height > len(shown):
        notes.append("Runs at nearly one place are one point; hovering says how many.")
    spread = f"At {flops(low)}" if flops(low) == flops(high) else f"From {flops(low)} to {flops(high)}"
    return Card(
        id="coverage",
        title=title,
        sentence=f"{spread} FLOPs; {have}.",
        chart=coverage_chart(shown),
        evidence=_placed(found),
        notes=tuple(notes),
    )


def _name(found: Overview) -> str:
    return PurePath(found.source).name or found.source


def _placed(found: Overview) -> str:
    drawn = found.runs.filter(pl.col("N") > 0, pl.col("D") > 0).height
    counted = {"total": "; N counts all parameters", "non_embedding": "; N counts those without embeddings"}
    return f"{count(drawn, 'run')} of {_name(found)}{counted.get(found.params, '')}"


def mixtures_cards(found: Overview, numbers: Mapping[str, Any], names: Mapping[str, str]) -> list[Card]:
    mixtures = numbers["mixtures"]
    by_count = mixtures["by_languages"]
    if not by_count:
        said = "No mixture is known: give share columns, or map them on import, to tell transfer."
        return [Card("mixtures", "Mixtures", said)]
    trained = [r for r in numbers["languages"] if r["runs"]]
    order = sorted((r["language"] for r in trained[:MAPPED]), key=lambda c: names[c])
    mixed = sum(n for k, n in by_count.items() if int(k) > 1)
    possible = len(trained) * (len(trained) - 1) // 2
    pairs = (
        f"; {len(mixtures['pairs']):,} of {possible:,} pairs of languages are together in some run" if possible else ""
    )
    unknown = f" The mixture of {count(mixtures['unknown'], 'run')} is not known." if mixtures["unknown"] else ""
    left = () if len(trained) <= MAPPED else (f"Drawn are the {MAPPED} languages of most runs, of {len(trained)}.",)
    alone = {r["language"]: r["alone"] for r in trained}
    many = max(trained, key=lambda r: r["shares"])
    evidence = f"{count(sum(by_count.values()), 'run')} with a mixture, of {_name(found)}"
    pairs_map = pairs_chart(mixtures, alone, order, names)
    counts = counts_chart(by_count)
    said = f"{count(mixed, 'run')} of {sum(by_count.values()):,} mix languages{pairs}.{unknown}"
    wide = len(order) > NUMBERED
    most_common = max(by_count, key=lambda n: by_count[n])
    per_run = Card(
        id="languages-per-run",
        title="Languages per run",
        sentence=f"Most often {count(int(most_common), 'language')}, in {count(by_count[most_common], 'run')}.",
        chart=counts,
        evidence=evidence,
    )
    return [
        Card(
            id="mixtures",
            title="Mixtures",
            sentence=said,
            chart=pairs_map if wide else alt.hconcat(pairs_map, counts),
            evidence=evidence,
            notes=left,
        ),
        # A map of many languages leaves no room beside it.
        *([per_run] if wide else []),
        Card(
            id="shares",
            title="Shares per language",
            sentence=f"{names[many['language']]} was trained on at the most shares, {many['shares']} of them.",
            chart=shares_chart(found.shares, order, names),
            evidence=evidence,
            notes=("A mark for each share that some run has; shares within 10 % count as one in the sentence.", *left),
        ),
    ]


def curves_card(found: Overview, names: Mapping[str, str]) -> Card:
    from isogloss.runs.thin import sample, thin

    title = "Loss against tokens"
    counted = (
        found.points.group_by("run", "target", "curve")
        .agg(pl.col("tokens").n_unique().alias("n"))
        .filter(pl.col("n") > 1)
    )
    curves = counted.collect(engine="streaming").join(found.runs.select("run", "N", "D"), on="run", how="left")
    if curves.is_empty():
        return Card("curves", title, "Every run has one point: there are no curves to draw.")
    by_target = curves.group_by("target").len().sort(["len", "target"], descending=[True, False])
    targets = by_target["target"].to_list()
    shown = {t: curves.filter(pl.col("target") == t) for t in targets[:PANELS]}
    share = POINTS // len(shown)
    drawn = {t: thin(found.points, sample(own, LINES), of=own.height, most=share) for t, own in shown.items()}
    notes = _not_drawn(list(drawn.values()))
    if len(targets) > PANELS:
        notes.insert(0, f"Drawn are the {PANELS} targets of most curves, of {len(targets)}.")
    sizes = {run: n for run, n in found.runs.select("run", "N").iter_rows() if n}
    most = int(curves["n"].max())  # type: ignore[arg-type]
    # Metrics and unigram-normalised losses may be negative: a logarithmic axis has no place for them.
    low = min(float(d.frame["loss"].min()) for d in drawn.values())  # type: ignore[arg-type]
    if low <= 0:
        return Card(
            "curves", title, f"{curves.height:,} curves in {found.unit}, some below zero: not drawn on this axis."
        )
    several, on = curves["run"].n_unique(), count(len(targets), "target")
    return Card(
        id="curves",
        title=title,
        sentence=f"{several:,} runs have curves, of up to {most:,} points, on {on}.",
        chart=curves_chart(drawn, sizes, names, found.unit),
        evidence=f"{count(sum(d.curves for d in drawn.values()), 'curve')} of {_name(found)}",
        notes=("A line per run (and evaluation set, if several), both axes logarithmic.", *notes),
    )


def _not_drawn(drawn: list[Thinned]) -> list[str]:
    """What the panels leave out, in one sentence."""
    curves, of = sum(d.curves for d in drawn), sum(d.of for d in drawn)
    kept, points = sum(d.frame.height for d in drawn), sum(d.points for d in drawn)
    notes = []
    if curves < of:
        notes.append(
            f"Of {of:,} curves {curves:,} are drawn, at most {LINES} a panel, evenly chosen by size and length."
        )
    if kept < points:
        stretch = "of each stretch the lowest and the highest, and the ends of the curve"
        notes.append(f"Of the {points:,} points of these curves {kept:,} are drawn: {stretch}.")
    return notes
