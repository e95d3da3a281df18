"""The page of `isogloss runs show`: what runs there are, and what they can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.report.card import Card
from isogloss.report.render import to_html
from isogloss.report.runs_figures import coverage_card, curves_card, mixtures_cards
from isogloss.report.runs_laws import UNNAMED, laws_card
from isogloss.report.words import about, count, language_names, listed, percent

if TYPE_CHECKING:
    from isogloss.runs.overview import Overview


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
    tell = "it tells" if runs["count"] == 1 else "they tell"
    verdict = f"{tell} {listed(ready, most=9)}" if ready else f"{tell} no law of isogloss well yet"
    left = runs["count"] - runs["read"]
    said = ", ".join(f"{n:,} {status or 'without a status'}" for status, n in statuses.items())
    notes = [f"By status: {said}. {count(left, 'run')} would not be read by a fit."]
    notes.append(
        f"{runs['rows']:,} rows, {runs['points']:,} usable points. Sizes within 10 % count as one, token counts too."
    )
    if runs["unusable_points"]:
        notes.append(f"{count(runs['unusable_points'], 'point')} without tokens or a finite loss: not drawn.")
    several = f"{len(numbers['sizes'])} sizes from " if len(numbers["sizes"]) > 1 else ""
    size = f" of {several}{_ends(runs['N'])} parameters" if runs["N"] else ""
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
