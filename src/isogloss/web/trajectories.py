"""Published laws side by side: compute-optimal size, tokens and loss against compute, as in ATLAS's figure 1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.laws import Entry, entries, optimal_allocation
from isogloss.report.card import Card
from isogloss.report.theme import COUNT_LABELS, FLOP_LABELS, NUMBER_LABELS, log_axis, rows, widened
from isogloss.report.words import NOTHING, about, flops, listed, loss, per_cent, quantity

NAMES = ("E", "A", "alpha", "B", "beta")
POINTS = 61
MOST = 12
HEIGHT = 300
REGIMES = {"mono-vocab-mono-train": "mono", "multi-vocab-mono-train": "multi", "multi-vocab-unimax-train": "UniMax"}
MEANING = (
    "ATLAS's laws are of one language each: mono has a vocabulary of that language, multi one of many languages, and "
    "UniMax was trained on a mixture of them as well."
)
TABLE = "atlas/table-c1"


@cache
def comparable() -> dict[str, Entry]:
    """Laws with a compute-optimal point for text that is seen once: E + A/N^alpha + B/D^beta."""
    fitting = ("chinchilla", "atlas")
    return {e.id: e for e in entries() if e.law in fitting and set(NAMES) <= set(e.coefficients)}


@cache
def label(law: str) -> str:
    """Short, unlike all others."""
    who, how = parts(law)
    return f"{who}, {how}" if how else who


def parts(law: str) -> tuple[str, str]:
    """Of ATLAS's laws the language and the regime; of others the name, and ""."""
    if not law.startswith(TABLE):
        return comparable()[law].name, ""
    _, _, regime, code = law.split("/")
    return _languages.get(code).short_name.removeprefix("Standard ").removeprefix("Mandarin "), REGIMES[regime]


def presets() -> dict[str, tuple[str, ...]]:
    """Comparisons that people ask for, by name."""
    codes = ("eng_Latn", "fra_Latn", "rus_Cyrl", "cmn_Hani", "hin_Deva", "swh_Latn")
    two = ("mono-vocab-mono-train", "multi-vocab-mono-train")
    return {
        "Six languages, own vocabulary each": tuple(f"{TABLE}/{two[0]}/{c}" for c in codes),
        "English and Swahili, three ways": tuple(f"{TABLE}/{r}/{c}" for c in ("eng_Latn", "swh_Latn") for r in REGIMES),
        "Six languages, own and shared vocabulary": tuple(f"{TABLE}/{r}/{c}" for c in codes for r in two),
        "Chinchilla, its refit, and longer runs": tuple(k for k in comparable() if k.startswith("chinchilla/")),
    }


def trajectory(entry: Entry, C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """N*, D* and loss `(budgets,)` at C `(budgets,)` FLOPs = 6 N D."""
    E, A, alpha, B, beta = (entry.coefficients[name] for name in NAMES)
    N, D = optimal_allocation(A, alpha, B, beta, C)
    return N, D, E + A / N**alpha + B / D**beta


def trajectory_cards(laws: Sequence[str], span: tuple[float, float], at: float) -> list[Card]:
    """Size and tokens, loss, and the numbers at one budget."""
    chosen = [comparable()[law] for law in laws]
    C = np.geomspace(*span, POINTS)
    found = {e.id: trajectory(e, C) for e in chosen}
    beyond = [label(e.id) for e in chosen if not _known(e, trajectory(e, np.array([at]))[0])[0]]
    known = [MEANING] if any(e.id.startswith(TABLE) for e in chosen) else []
    note = "Solid lines are within the sizes that each law was fitted to, dashed lines beyond them. Text is seen once."
    return [
        Card(
            id="sizes",
            title="Compute-optimal size and tokens",
            sentence=_sizes_said(chosen, at),
            chart=alt.hconcat(
                _chart(chosen, C, found, 0, "parameters N*"),
                _chart(chosen, C, found, 1, "training tokens D*"),
            ),
            table=_table(chosen, at),
            notes=(note, *known, *([f"Beyond its range at {flops(at)} FLOPs: {listed(beyond)}."] if beyond else [])),
            formats={
                **dict.fromkeys(("N*", "D*"), "quantity"),
                **dict.fromkeys(("E", "A", "alpha", "B", "beta"), "value"),
                "Loss": "loss",
            },
        ),
        _loss_card(chosen, C, found, at),
    ]


def entry_card(entry: Entry) -> Card:
    """One published law in full."""
    facts = {
        "Equation": entry.equation,
        "Source": entry.source,
        "Range": entry.range,
        "Languages": ", ".join(entry.languages or ()) or "not stated",
        "Loss": entry.loss_unit or "unit not stated",
        "N counts": entry.params_counted or "not stated",
        "Not published": ", ".join(entry.missing) or "nothing",
        "Fitted by": f"--law {entry.law}" if entry.law else "no law class in isogloss",
        **{f"{name} =": f"{value:.6g}" for name, value in {**entry.coefficients, **entry.constants}.items()},
        "Notes": entry.notes or NOTHING,
    }
    conflict = "Nothing that isogloss packages contradicts it."
    return Card(
        id="entry",
        title=entry.id,
        sentence=f"{entry.name}. {'' if entry.conflicts else conflict}",
        table=pl.DataFrame({"What": list(facts), "Published": [str(v) for v in facts.values()]}),
        notes=tuple(f"Conflict: {c}" for c in entry.conflicts),
    )


def catalogue_card(query: str) -> Card:
    """All published laws whose id, name or source holds the query."""
    wanted = query.casefold().split()
    kept = [e for e in entries() if all(w in f"{e.id} {e.name} {e.source} {e.law}".casefold() for w in wanted)]
    table = pl.DataFrame(
        {
            "Id": [e.id for e in kept],
            "Law": [e.name for e in kept],
            "Equation": [e.equation for e in kept],
            "Range": [e.range for e in kept],
            "Source": [e.source for e in kept],
        }
    )
    at_odds = sum(bool(e.conflicts) for e in kept)
    return Card(
        id="catalogue",
        title="Catalogue of published laws",
        sentence=f"{len(kept)} of {len(entries())} entries; {at_odds} are at odds with other published numbers."
        if kept
        else "No entry holds these words.",
        table=table if kept else None,
    )


def _known(entry: Entry, N: np.ndarray) -> np.ndarray:
    """Whether sizes `(n,)` are within the law's range; where none is stated they are."""
    low, high = entry.N_range or (0.0, np.inf)
    return (low <= N) & (high >= N)


def _sizes_said(chosen: Sequence[Entry], at: float) -> str:
    best = {label(e.id): float(trajectory(e, np.array([at]))[0][0]) for e in chosen}
    if len(best) == 1:
        name, N = next(iter(best.items()))
        return f"At {flops(at)} FLOPs {name} asks for {about(N)} parameters and {quantity(at / 6 / N)} tokens."
    small, large = min(best, key=best.__getitem__), max(best, key=best.__getitem__)
    return (
        f"At {flops(at)} FLOPs the best size goes from {about(best[small])} parameters ({small}) to "
        f"{about(best[large])} ({large})."
    )


def _chart(chosen: Sequence[Entry], C: np.ndarray, found: dict[str, Any], which: int, title: str) -> Any:
    data = []
    for entry in chosen:
        inside = _known(entry, found[entry.id][0])
        for part, wanted in (("within", True), ("beyond", False)):
            for first, last in _stretches(inside == wanted):
                # A stretch goes on to the next point, so that lines meet.
                for i in range(first, min(last + 2, len(C)) if not wanted else last + 1):
                    data.append(_point(entry, C, found, which, i, part, first))
                if not wanted and first:
                    data.append(_point(entry, C, found, which, first - 1, part, first))
    values = [d["y"] for d in data]
    log = which < 2
    x = log_axis(alt.X, "C", "training compute C, FLOPs (log)", (C[0], C[-1]), labels=FLOP_LABELS, most=5, grid=False)
    if log:
        y = log_axis(alt.Y, "y", f"{title} (log)", widened(values), labels=COUNT_LABELS)
    else:
        room = 0.05 * (max(values) - min(values))
        scale = alt.Scale(domain=[min(values) - room, max(values) + room], nice=False)
        y = alt.Y("y:Q", scale=scale, axis=alt.Axis(title=title, labelExpr=NUMBER_LABELS))
    who, how = (list(dict.fromkeys(p)) for p in zip(*(parts(e.id) for e in chosen), strict=True))
    legend = alt.Legend(columns=1 if max(map(len, who)) > 20 else 3, symbolType="stroke", labelLimit=320)
    widths = alt.Scale(domain=how, range=[2.4, 1.1, 0.6][: len(how)])
    tips = [
        alt.Tooltip("law:N", title="law"),
        alt.Tooltip("C:Q", title="compute, FLOPs", format=".2e"),
        alt.Tooltip("words:N", title=title),
    ]
    return (
        alt.Chart(rows(data))
        .mark_line(clip=True)
        .encode(
            x=x,
            y=y,
            detail="stretch:N",
            color=alt.Color("who:N", scale=alt.Scale(domain=who), legend=legend),
            strokeWidth=alt.StrokeWidth(
                "how:O", sort=how, scale=widths, legend=alt.Legend(symbolType="stroke") if len(how) > 1 else None
            ),
            strokeDash=alt.StrokeDash(
                "part:N", scale=alt.Scale(domain=["within", "beyond"], range=[[1, 0], [4, 3]]), legend=None
            ),
            tooltip=tips,
        )
        .properties(width="container", height=HEIGHT)
    )


def _point(
    entry: Entry, C: np.ndarray, found: dict[str, Any], which: int, i: int, part: str, first: int
) -> dict[str, Any]:
    value = float(found[entry.id][which][i])
    words = loss(value) if which == 2 else quantity(value)
    stretch = f"{entry.id} {part} {first}"
    who, how = parts(entry.id)
    told = {"law": label(entry.id), "who": who, "how": how}
    return {**told, "C": float(C[i]), "y": value, "part": part, "stretch": stretch, "words": words}


def _stretches(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last places of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _loss_card(chosen: Sequence[Entry], C: np.ndarray, found: dict[str, Any], at: float) -> Card:
    units = {e.loss_unit or "unit not stated" for e in chosen}
    # Heights of different languages are on no common scale; how much more compute lowers each is.
    losses = {label(e.id): trajectory(e, np.array([at, 10 * at]))[2] for e in chosen}
    falls = {name: float(1 - after / before) for name, (before, after) in losses.items()}
    low, high = min(falls, key=falls.__getitem__), max(falls, key=falls.__getitem__)
    more = f"Ten times {flops(at)} FLOPs lower the expected loss by"
    said = f"{more} {per_cent(falls[low])} ({low}) to {per_cent(falls[high])} ({high})."
    apart = "Losses of different languages and tokenizers are not on one scale: compare the shapes, not the heights."
    return Card(
        id="loss",
        title="Loss at the best size",
        sentence=said if len(falls) > 1 else f"{more} {per_cent(falls[low])}, from {losses[low][0]:.3f}.",
        chart=_chart(chosen, C, found, 2, f"loss, {next(iter(units))}" if len(units) == 1 else "loss, several units"),
        notes=(apart, *([f"Units: {listed(sorted(units))}."] if len(units) > 1 else [])),
    )


def _table(chosen: Sequence[Entry], at: float) -> pl.DataFrame:
    found = [trajectory(e, np.array([at])) for e in chosen]
    return pl.DataFrame(
        {
            "Law": [label(e.id) for e in chosen],
            **{name: [e.coefficients[name] for e in chosen] for name in NAMES},
            "N*": [float(N[0]) for N, _, _ in found],
            "D*": [float(D[0]) for _, D, _ in found],
            "Loss": [float(L[0]) for _, _, L in found],
            "Loss in": [e.loss_unit or NOTHING for e in chosen],
            "Range": [e.range for e in chosen],
            "Source": [e.source for e in chosen],
        }
    )
