"""Measured transfer as cards: scores with their curves, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from isogloss.report.card import Card
from isogloss.report.transfer_charts import curves_chart
from isogloss.report.transfer_rows import with_interval
from isogloss.report.words import count, language_names, listed, quantity
from isogloss.runs.names import canonical_name

if TYPE_CHECKING:
    from isogloss.transfer.measured import MeasuredTransfer
    from isogloss.transfer.pair import Per, Score

PANELS = 6


def measured_cards(measured: MeasuredTransfer, per: Per = "token") -> list[Card]:
    cards = [curves_card(measured, per)] if measured.pairs else []
    return [*cards, refused_card(measured)]


def curves_card(measured: MeasuredTransfer, per: Per = "token") -> Card:
    scores = [p.at(per=per) for p in measured.pairs]
    names = _names(measured)
    clear = [s for s in scores if s.bts_low > 0 or s.bts_high < 0]
    flat = [s for s in scores if s.flat]
    said = [f"{names[s.source]} → {names[s.target]} {with_interval(s.bts, s.bts_low, s.bts_high)}" for s in clear[:3]]
    verdict = f"{len(clear)} of {count(len(scores), 'score')} {'is' if len(clear) == 1 else 'are'} clearly not neutral"
    shown = dict.fromkeys((p.target, p.source) for p in measured.pairs)
    return Card(
        id="curves",
        title="Scores over anchors",
        sentence=f"{verdict}{': ' + listed(said) if said else ''}."
        + (f" {count(len(flat), 'score')} {'is' if len(flat) == 1 else 'are'} ill-conditioned." if flat else ""),
        chart=curves_chart(measured, names, per, PANELS),
        table=pl.DataFrame([_row(s, names) for s in scores], infer_schema_length=None),
        formats=dict.fromkeys(("Anchor", "BTS", "D_mono/D_bi", "tau", "0.01 of loss moves BTS by"), "number"),
        notes=(
            f"Scores are at the log-midpoint of the tokens that both curves cover, per {per}; bands and brackets are "
            f"{measured.level:.0%} intervals. Neutral is 0 for BTS and tau, 0.5 for D_mono/D_bi.",
            *([f"Curves of the first {PANELS} of {len(shown)} pairs are drawn."] if len(shown) > PANELS else []),
            *_pair_notes(measured, names),
        ),
    )


def refused_card(measured: MeasuredTransfer) -> Card:
    names = _names(measured)
    title = "What was refused"
    if not measured.refused and not measured.problems:
        return Card("refused", title, "Nothing: every pair of runs could be compared.")
    runs = [
        *(
            {
                "Source": " + ".join(names.get(n, n) for n in r.source.split("+")),
                "Target": names.get(r.target, r.target),
                "Cell": ", ".join(f"{k}={v}" for k, v in r.cell),
                "Reason": r.reason,
            }
            for r in measured.refused
        ),
        *({"Source": "", "Target": "", "Cell": run, "Reason": why} for run, why in measured.problems.items()),
    ]
    reasons = list(dict.fromkeys(r["Reason"] for r in runs))
    return Card(
        id="refused",
        title=title,
        sentence=f"{count(len(measured.refused), 'candidate')} and {count(len(measured.problems), 'run')} cannot be "
        f"used, for {count(len(reasons), 'reason')}.",
        table=pl.DataFrame(runs),
    )


def _row(s: Score, names: dict[str, str]) -> dict[str, str]:
    return {
        "Source": names[s.source],
        "Target": names[s.target],
        "Cell": ", ".join(f"{k}={v}" for k, v in s.cell if k != "lr_phase"),
        "Anchor": quantity(s.anchor),
        "BTS": with_interval(s.bts, s.bts_low, s.bts_high),
        "D_mono/D_bi": f"{s.ratio:.2f} ({s.ratio_low:.2f} to {s.ratio_high:.2f})",
        "tau": with_interval(s.tau, s.tau_low, s.tau_high),
        "0.01 of loss moves BTS by": f"{s.bts_per_hundredth:.2f}",
        "Conditioning": "ill-conditioned" if s.flat else "",
    }


def _pair_notes(measured: MeasuredTransfer, names: dict[str, str]) -> list[str]:
    by_note: dict[str, list[str]] = {}
    for p in measured.pairs:
        for note in p.notes:
            by_note.setdefault(note, []).append(f"{names[p.source]} → {names[p.target]}")
    return [f"{listed(list(dict.fromkeys(pairs)), most=4)}: {note}" for note, pairs in by_note.items()]


def _names(measured: MeasuredTransfer) -> dict[str, str]:
    codes = {c for p in measured.pairs for c in (p.target, p.source)}
    codes |= {c for r in measured.refused for c in (r.target, *r.source.split("+"))}
    known = {c for c in codes if "_" in c and canonical_name(c) == c}
    return {c: c for c in codes} | language_names(known)
