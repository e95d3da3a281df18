"""What one vocabulary for all languages costs a model, of one language or of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isogloss import RunTable, read_runs
from isogloss.laws import entries, optimal_allocation
from questions import noise
from questions.tables import Tables, plenty, seen, shares_of

LANGUAGES = ("eng_Latn", "por_Latn", "ekk_Latn", "cmn_Hani")
# Where ATLAS's printed laws are compared: well inside of what they were fitted to.
BUDGET = 1e20

Curve = Mapping[float, float]
"""Losses by FLOPs."""
Key = tuple[str, float, int]
"""Target language, parameters, and how many languages were trained on."""


def answer(tables: Tables) -> dict[str, Any]:
    if not all(tables.has(f"vocab-{part}") for part in ("multilingual", *LANGUAGES)):
        return {}
    bytewise = _curves(plenty(tables.main))
    for_all = _table(tables, "multilingual")
    shared, pieces = _curves(for_all), _pieces(for_all)
    cells: list[dict[str, Any]] = []
    for language in LANGUAGES:
        table = _table(tables, language)
        for (_, N, _), own in sorted(_curves(table).items()):
            cells.append(
                {
                    "language": language,
                    "N": N,
                    "pieces": pieces[language] / _pieces(table)[language],
                    "alone": tax(own, shared[language, N, 1]),
                    "together": tax(own, shared[language, N, 14]),
                    "bytes": tax(own, bytewise[language, N, 1]),
                }
            )
    # A curve is one run, whose points are off together.
    sd = noise.answer(tables)["alone"]["sd"]
    uncertain = [sd * one["per_bit"] for cell in cells for one in (cell["alone"], cell["bytes"]) if one["per_bit"]]
    return {
        "cells": cells,
        "by_size": {f"{N:.0f}": _over(cells, N) for N in sorted({cell["N"] for cell in cells})},
        "of_all": _of_all(shared, bytewise),
        "error": float(np.median(uncertain)),
        "published": {"C": BUDGET, "taxes": _published()},
    }


def _of_all(shared: Mapping[Key, Curve], bytewise: Mapping[Key, Curve]) -> dict[str, Any]:
    """What bytes cost models of all languages, of the largest size, against the shared pieces."""
    largest = max(size for _, size, _ in shared)
    pieces = {code: curve for (code, size, K), curve in shared.items() if size == largest and K == 14}
    taxes = {code: tax(curve, bytewise[code, largest, 14])["times"] for code, curve in pieces.items()}
    ranked = sorted((times, code) for code, times in taxes.items() if times)
    median = float(np.median([times for times, _ in ranked]))
    return {"N": largest, "languages": len(ranked), "median": median, "ranked": ranked}


def _over(cells: list[dict[str, Any]], N: float) -> dict[str, float]:
    """Medians over languages at one size."""
    these = [cell for cell in cells if cell["N"] == N and cell["alone"]["times"]]
    return {
        "alone": float(np.median([cell["alone"]["times"] for cell in these])),
        "pieces": float(np.median([cell["pieces"] for cell in these])),
    }


def _table(tables: Tables, part: str) -> RunTable:
    return seen(read_runs(tables.place(f"vocab-{part}"), unit="bits/byte"))


def _curves(table: RunTable) -> dict[Key, Curve]:
    """Losses in bits per byte, the mean of seeds."""
    found: dict[Key, dict[float, list[float]]] = {}
    for row, shares in zip(table.frame.iter_rows(named=True), shares_of(table), strict=True):
        curve = found.setdefault((row["target"], row["params_non_embedding"], len(shares)), {})
        curve.setdefault(row["flops_per_token"] * row["tokens"], []).append(row["loss"])
    return {key: {C: float(np.mean(seeds)) for C, seeds in curve.items()} for key, curve in found.items()}


def _pieces(table: RunTable) -> dict[str, float]:
    """Of how many pieces each language's text is."""
    return {row["target"]: row[f"unique:{row['target']}"] for row in table.frame.iter_rows(named=True)}


def tax(own: Curve, other: Curve) -> dict[str, float | None]:
    """How many times the compute `other` needs for the losses of `own`: the mean over the losses of either that both
    reach, on lines through log C; or `least`, where it never came as far as the worst of `own`. `per_bit` is the error
    of its logarithm where both are off by independent errors of 1 bit per byte."""
    first, last = max(min(own.values()), min(other.values())), min(max(own.values()), max(other.values()))
    if first > last:
        return {"times": None, "least": max(other) / min(own), "per_bit": None}
    losses = np.array([loss for loss in (*own.values(), *other.values()) if first <= loss <= last])
    times = float(np.exp(np.mean(_compute(other, losses) - _compute(own, losses))))
    return {"times": times, "least": None, "per_bit": float(np.hypot(1 / _slope(own), 1 / _slope(other)))}


def _slope(curve: Curve) -> float:
    """Bits per byte that a unit of log C takes off, over the whole curve."""
    return (max(curve.values()) - min(curve.values())) / float(np.log(max(curve) / min(curve)))


def _compute(curve: Curve, losses: np.ndarray) -> np.ndarray:
    """log C `(n,)` at which a falling curve has each of `losses` `(n,)`."""
    by_loss = sorted((loss, np.log(C)) for C, loss in curve.items())
    return np.interp(losses, *zip(*by_loss, strict=True))


def _published() -> dict[str, dict[str, float]]:
    """The same of ATLAS's printed laws, each at its own compute-optimal sizes, by language and regime."""
    table: dict[str, dict[str, Mapping[str, float]]] = {}
    for entry in entries():
        if entry.id.startswith("atlas/table-c1/"):
            _, _, regime, language = entry.id.split("/")
            table.setdefault(language, {})[regime] = entry.coefficients
    C = np.geomspace(BUDGET / 100, BUDGET * 10_000, 6001)
    taxes: dict[str, dict[str, float]] = {}
    for language, laws in table.items():
        losses = {regime: _optimal(law, C) for regime, law in laws.items()}
        goal = float(np.interp(np.log(BUDGET), np.log(C), losses["mono-vocab-mono-train"]))
        taxes[language] = {
            regime: float(C[np.argmax(loss <= goal)] / BUDGET)
            for regime, loss in losses.items()
            if regime != "mono-vocab-mono-train" and loss[0] > goal >= loss[-1]
        }
    return taxes


def _optimal(law: Mapping[str, float], C: np.ndarray) -> np.ndarray:
    N, D = optimal_allocation(law["A"], law["alpha"], law["B"], law["beta"], C)
    return law["E"] + law["A"] / N ** law["alpha"] + law["B"] / D ** law["beta"]
