"""How transfer is shown on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isogloss.cli.output import console, print_table, print_warnings

if TYPE_CHECKING:
    import polars as pl

    from isogloss.report import Card
    from isogloss.transfer.joint import FittedTransfer
    from isogloss.transfer.measured import MeasuredTransfer
    from isogloss.transfer.pair import PairTransfer, Per
    from isogloss.transfer.prediction import Prediction
    from isogloss.transfer.validation import Validation

# Longer tables are for the page and for --json.
MOST_TARGETS = 40
HELPERS = 3


def print_measured(found: MeasuredTransfer, anchor: float | None, per: Per) -> None:
    _bold(
        f"{len(found.pairs)} scores measured from {found.source} (loss in {found.unit}; {found.level:.0%} intervals; "
        f"per {per}). Neutral: BTS 0, tau 0, D_mono/D_bi 0.5"
    )
    cells: dict[str, list[list[str]]] = {}
    for p in found.pairs:
        cell = ", ".join(value for _, value in p.cell)
        cells.setdefault(cell, []).append(_row(p, anchor, per))
    headers = ["target", "source", "anchor d", "BTS", "from", "to", "ratio", "tau", "per 0.01"]
    for cell, rows in cells.items():
        print_table(f"\n{cell}", headers, rows, left=2)
    if found.pairs:
        _plain("ratio: D_mono/D_bi. per 0.01: how far 0.01 of loss moves BTS.")
    if any(row[-1].endswith("!") for rows in cells.values() for row in rows):
        _plain("! ill-conditioned: the pair's curve is flat there, and the noise of its losses moves the score far.")
    if found.refused:
        print_table("\nRefused", ["source -> target", "cell", "reason"], _refused(found), left=3)
    if found.problems:
        rows = [[run, why] for run, why in found.problems.items()]
        print_table("\nRuns that cannot be used", ["run", "why"], rows, left=2)
    print_warnings(found.notes)


def print_fitted(answer: FittedTransfer, compared: pl.DataFrame | None) -> None:
    from isogloss.report.transfer_fitted import agreement_card
    from isogloss.report.transfer_rows import score

    frame = answer.frame().sort("tau", descending=True, nulls_last=True)
    _bold(f"{frame.height} weights (tau), {answer.level:.0%} intervals; 0 is neutral")
    rows = [
        [
            *(r["target"], r["source"]),
            *("" if r[k] is None else score(r[k]) for k in ("tau", "low", "high")),
            "not determined" if r["undetermined"] else score(r["fit"]),
            "" if r["predicted"] is None else score(r["predicted"]),
            f"{r['own']:.0%}",
        ]
        for r in frame.to_dicts()
    ]
    headers = ["target", "source", "tau", "from", "to", "the runs alone", "predicted", "from the runs"]
    print_table("", headers, rows, left=2)
    if compared is not None:
        _plain(f"\nBeside what was measured: {agreement_card(compared).sentence}")
    print_warnings(answer.notes)


def print_helpers(found: Prediction) -> None:
    """The best sources of every target."""
    from isogloss.report.transfer_rows import shown_prediction

    shown = shown_prediction(found, found.languages)
    _bold(f"{len(shown.rows):,} scores (BTS) among {len(found.languages)} languages, {found.level:.0%} intervals")
    rows = []
    for code in shown.targets()[:MOST_TARGETS]:
        best = shown.of_target(code)[:HELPERS]
        rows.append([shown.names[code], *(f"{shown.names[r.source]} {r.said}{'*' * r.measured}" for r in best)])
    width = max(len(row) for row in rows) - 1
    print_table("", ["target", *("best source", "second", "third")[:width]], rows, left=4)
    if any(r.measured for r in shown.rows):
        _plain("* measured, and moved towards the model by as much as its error allows")
    if len(shown.targets()) > MOST_TARGETS:
        _plain(f"{len(shown.targets()) - MOST_TARGETS} more targets: -o writes them all, --json prints them.")
    print_warnings(found.notes)


def print_validation(judged: Validation) -> None:
    rows = [
        [
            r["left_out"],
            r["method"],
            _number(r["r2"]),
            _number(r["spearman"]),
            _number(r["rmse"], 3),
            _share(r["coverage"]),
        ]
        for r in judged.scores.to_dicts()
    ]
    headers = ["left out", "method", "R²", "Spearman", "rmse", f"in {judged.level:.0%} interval"]
    print_table("\nLeft out and predicted", headers, rows, left=2)
    print_warnings(judged.notes)


def print_suggestions(rows: pl.DataFrame, purpose: str, flops: float) -> None:
    from isogloss.report.words import language_names
    from isogloss.units import format_quantity

    if not rows.height:
        _bold("Every pair was measured: there is nothing to suggest.")
        return
    names = language_names({*rows["target"], *rows["source"]})
    _bold(f"What to measure next for {purpose}, at {format_quantity(flops, 'flops')} a run of two languages")
    table = [
        [
            f"{i}",
            f"{names[r['source']]} -> {names[r['target']]}",
            f"{r['sd']:.2f}",
            format_quantity(r["flops"], "flops") if r["flops"] > 0 else "free",
            f"{100 * r['left']:.1f} %",
        ]
        for i, r in enumerate(rows.to_dicts(), start=1)
    ]
    headers = ["", "pair", "score now ±", "still to pay", "variance left"]
    print_table("", headers, table, left=2)
    _plain("Each given the ones before it. A run of two languages serves both directions: the second is free.")


def print_shown(cards: Sequence[Card]) -> None:
    for card in cards:
        _bold(card.title)
        _plain(card.sentence)


def _row(p: PairTransfer, anchor: float | None, per: Per) -> list[str]:
    from isogloss.report.transfer_rows import score
    from isogloss.report.words import quantity

    if anchor is not None and not p.anchors[0] <= anchor <= p.anchors[-1]:
        return [p.target, p.source, f"only {quantity(p.anchors[0])} to {quantity(p.anchors[-1])}", *[""] * 6]
    s = p.at(anchor, per=per)
    low, high = ("open" if abs(v) == float("inf") else score(v) for v in (s.bts_low, s.bts_high))
    sensitivity = f"{s.bts_per_hundredth:.2f}{' !' if s.flat else ''}"
    return [
        p.target,
        p.source,
        quantity(s.anchor),
        score(s.bts),
        low,
        high,
        f"{s.ratio:.2f}",
        score(s.tau),
        sensitivity,
    ]


def _refused(found: MeasuredTransfer) -> list[list[str]]:
    """Refusals alike in pair and reason are one row."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for r in found.refused:
        cell = ", ".join(value for _, value in r.cell)
        grouped.setdefault((f"{r.source} -> {r.target}", r.reason), []).append(cell)
    return [[pair, "; ".join(Counter(cells)), why] for (pair, why), cells in grouped.items()]


def _bold(text: str) -> None:
    console().print(text, style="bold", markup=False, soft_wrap=True)


def _plain(text: str) -> None:
    console().print(text, markup=False, soft_wrap=True)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
