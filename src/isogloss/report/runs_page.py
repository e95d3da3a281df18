"""The page of `isogloss runs show`: what runs there are, and what they can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.report.card import Card
from isogloss.report.render import to_html
from isogloss.report.runs_charts import MOST_PLACES, coverage_chart, curves_chart, mixtures_chart, places, shares_chart
from isogloss.report.words import about, count, flops, language_names, listed, percent

if TYPE_CHECKING:
    from isogloss.runs.overview import Overview
    from isogloss.runs.thin import Thinned

# Panels of curves, lines in each, and points in all of them: about 2 MB of page.
PANELS, LINES, POINTS = 6, 40, 40_000
# Languages in a map of pairs, in a chart of shares.
MAPPED = 40
ROWS_OF_SIZES = 12
UNNAMED = "all"


def runs_page(found: Overview, title: str, numbers: Mapping[str, Any] | None = None) -> str:
    """One page that holds all; below 6 MB whatever the number of points. `numbers` is what `found.to_dict()` gives."""
    numbers = numbers or found.to_dict()
    subtitle = f"{found.source}: {count(numbers['runs']['count'], 'run')}, loss in {found.unit}"
    return to_html(title, subtitle, runs_cards(found, numbers), found.notes)


def runs_cards(found: Overview, numbers: Mapping[str, Any] | None = None) -> list[Card]:
    """`numbers` is what `found.to_dict()` gives."""
    numbers = numbers or found.to_dict()
    names = named([row["language"] for row in numbers["languages"]])
    return [
        runs_card(numbers),
        languages_card(numbers, names),
        coverage_card(found, numbers),
        *mixtures_cards(found, numbers, names),
        curves_card(found, names),
        laws_card(numbers, names),
        lint_card(found),
    ]


def named(codes: Iterable[str]) -> dict[str, str]:
    """Names of languages; what is none keeps its own name."""
    codes, known = list(codes), []
    for code in codes:
        try:
            if code:
                _languages.get(code)
                known.append(code)
        except InputError:
            continue
    return {code: code or UNNAMED for code in codes} | language_names(known)


def runs_card(numbers: Mapping[str, Any]) -> Card:
    runs = numbers["runs"]
    statuses = runs["by_status"]
    table = pl.DataFrame(
        {
            "Parameters N": [s["N"] for s in numbers["sizes"]],
            "Runs": [s["runs"] for s in numbers["sizes"]],
            "Token counts": [s["token_counts"] for s in numbers["sizes"]],
            "Tokens from": [s["D"][0] if s["D"] else None for s in numbers["sizes"]],
            "to": [s["D"][1] if s["D"] else None for s in numbers["sizes"]],
        },
        schema_overrides={"Tokens from": pl.Float64, "to": pl.Float64},
    )
    ready = [law["law"] for law in numbers["laws"] if law["ready"]]
    verdict = f"they tell {listed(ready, most=9)}" if ready else "they tell no law of isogloss well yet"
    left = runs["count"] - runs["read"]
    said = ", ".join(f"{n:,} {status or 'without a status'}" for status, n in statuses.items())
    notes = [f"By status: {said}. {count(left, 'run')} would not be read by a fit."]
    notes.append(
        f"{runs['rows']:,} rows, {runs['points']:,} usable points. Sizes within 10 % count as one, token counts too."
    )
    if runs["unusable_points"]:
        notes.append(f"{count(runs['unusable_points'], 'point')} without tokens or a finite loss: not drawn.")
    size = f" of {count(len(numbers['sizes']), 'size')} from {_ends(runs['N'])} parameters" if runs["N"] else ""
    tokens = f" on {_ends(runs['D'])} tokens" if runs["D"] else ""
    return Card(
        id="runs",
        title="Runs",
        sentence=f"{count(runs['count'], 'run')}{size}{tokens}; {verdict}.",
        table=table if table.height else None,
        notes=tuple(notes),
        formats={
            "Parameters N": "quantity",
            "Tokens from": "quantity",
            "to": "quantity",
            "Token counts": "value",
            "Runs": "value",
        },
    )


def languages_card(numbers: Mapping[str, Any], names: Mapping[str, str]) -> Card:
    found = numbers["languages"]
    trained = [r for r in found if r["runs"]]
    silent = [names[r["language"]] for r in trained if not r["evaluated_runs"]]
    if not trained:
        said = (
            f"Losses of {count(len(found), 'target')}; the table says no mixture, so what was trained on is not known."
        )
    elif silent:
        said = f"{len(trained)} are trained on; {listed(silent)} {'is' if len(silent) == 1 else 'are'} never evaluated."
    else:
        most = trained[0]
        said = (
            f"{len(trained)} are trained and evaluated on, {names[most['language']]} in most runs ({most['runs']:,})."
        )
    table = pl.DataFrame(
        {
            "Language": [names[r["language"]] for r in found],
            "Runs on it": [r["runs"] for r in found],
            "On it alone": [r["alone"] for r in found],
            "Shares, %": [_percents(r["share"]) for r in found],
            "Tokens of it": [_ends(r["tokens"]) for r in found],
            "Epochs": [_epochs(r["epochs"]) for r in found],
            "Runs evaluated": [r["evaluated_runs"] for r in found],
            "Points": [r["points"] for r in found],
            f"Loss, {numbers['unit']}": [_losses(r["loss"]) for r in found],
        }
    )
    numeric = ("Shares, %", "Tokens of it", "Epochs", f"Loss, {numbers['unit']}")
    whole = ("Runs on it", "On it alone", "Runs evaluated", "Points")
    return Card(
        id="languages",
        title="Languages and domains",
        sentence=said,
        table=table,
        notes=("Loss and epochs are those of models that a fit reads. Tokens are shares of each run's D.",),
        formats={**dict.fromkeys(numeric, "number"), **dict.fromkeys(whole, "value")},
    )


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
        notes=tuple(notes),
    )


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
    return [
        Card(
            id="mixtures",
            title="Mixtures",
            sentence=f"{count(mixed, 'run')} of {sum(by_count.values()):,} mix languages{pairs}.{unknown}",
            chart=mixtures_chart(mixtures, alone, order, names),
            notes=left,
        ),
        Card(
            id="shares",
            title="Shares per language",
            sentence=f"{names[many['language']]} was trained on at the most shares, {many['shares']} of them.",
            chart=shares_chart(found.shares, order, names),
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


def laws_card(numbers: Mapping[str, Any], names: Mapping[str, str]) -> Card:
    laws = numbers["laws"]
    ready = [law["law"] for law in laws if law["ready"]]
    targets = len({t for law in laws for t in (*law["ready"], *law["thin"], *law["missing"])})
    if not targets:
        return Card("laws", "What the runs can tell", "No model that a fit reads has tokens and a loss.")
    rows = [row for law in laws for row in _verdicts(law, targets, names)]
    table = pl.DataFrame(rows, schema=["Law", "Verdict", "Languages", "Why"], orient="row")
    said = f"Ready for {listed(ready, most=9)}" if ready else "No law has all that it needs"
    first = next((r for law in laws for r in law["missing"].values()), None)
    more = f"; most often missing: {_commonest(laws)}" if first else ""
    return Card(
        id="laws",
        title="What the runs can tell",
        sentence=f"{said}{more}.",
        table=table,
        notes=(
            "Read off N, D and mixtures of the models that a fit reads, before any fit: the fit itself says which "
            "coefficients are told. Laws that are not listed need columns of their own.",
        ),
    )


def lint_card(found: Overview) -> Card:
    if not found.findings:
        return Card("lint", "Lint", "Nothing found.")
    errors = sum(f.severity == "error" for f in found.findings)
    warnings = sum(f.severity == "warning" for f in found.findings)
    rank = {"error": 0, "warning": 1, "info": 2}
    ordered = sorted(found.findings, key=lambda f: rank[f.severity])
    table = pl.DataFrame(
        {
            "Severity": [f.severity for f in ordered],
            "Code": [f.code for f in ordered],
            "Rows": [max(f.count, len(f.rows)) or None for f in ordered],
            "What, and what to do": [f"{f.message} {f.cure}" for f in ordered],
        },
        schema_overrides={"Rows": pl.Int64},
    )
    verdict = "put these right first" if errors else "nothing that stops a fit"
    return Card(
        id="lint",
        title="Lint",
        sentence=f"{count(errors, 'error')} and {count(warnings, 'warning')}: {verdict}.",
        table=table,
        notes=("isogloss runs lint names the rows; with --fix it writes a copy without what can be put right.",),
        formats={"Rows": "value"},
    )


def _commonest(laws: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for law in laws:
        for reasons in law["missing"].values():
            for reason in reasons:
                counts[reason] = counts.get(reason, 0) + 1
    return max(counts, key=lambda reason: counts[reason])


def _of(targets: list[str], of: int, names: Mapping[str, str]) -> str:
    if not targets:
        return ""
    return f"all {of}" if len(targets) == of > 3 else listed([names.get(t, t or UNNAMED) for t in targets], most=5)


def _verdicts(law: Mapping[str, Any], of: int, names: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Law, verdict, targets and why, a row for each verdict that some target has."""
    if law["ready"]:
        yield law["law"], "ready", _of(law["ready"], of, names), ""
    for state, words in (("thin", "fits, but thin"), ("missing", "cannot be fitted")):
        if law[state]:
            yield law["law"], words, _of(list(law[state]), of, names), _reasons(law[state], names)


def _reasons(by_target: Mapping[str, list[str]], names: Mapping[str, str]) -> str:
    """Reasons with the targets that they hold for, if not all; those of most targets first."""
    targets: dict[str, list[str]] = {}
    for target, reasons in by_target.items():
        for reason in reasons:
            targets.setdefault(reason, []).append(target)
    ranked = sorted(targets.items(), key=lambda item: -len(item[1]))
    whole = len(by_target)
    parts = [r if len(own) == whole else f"{r} ({_of(own, 0, names)})" for r, own in ranked[:4]]
    more = f"; {len(ranked) - 4} more reasons" if len(ranked) > 4 else ""
    return "; ".join(parts) + more


def _ends(span: list[float] | None) -> str:
    if span is None:
        return "–"
    low, high = about(span[0]), about(span[1])
    return low if low == high else f"{low} to {high}"


def _percents(span: list[float] | None) -> str:
    if span is None:
        return "–"
    low, high = percent(span[0]), percent(span[1])
    return low if low == high else f"{low} to {high}"


def _epochs(span: list[float] | None) -> str:
    return "–" if span is None else f"{span[0]:.2g} to {span[1]:.2g}"


def _losses(span: list[float] | None) -> str:
    return "–" if span is None else f"{span[0]:.3f} to {span[1]:.3f}"
