"""What one vocabulary for all languages costs a model of one language."""

from __future__ import annotations

from typing import Any

import numpy as np

from isogloss import read_runs
from questions.tables import Tables, seen, shares_of

LANGUAGES = ("eng_Latn", "por_Latn", "ekk_Latn", "cmn_Hani")


def answer(tables: Tables) -> dict[str, Any]:
    if not tables.has("vocab-multilingual"):
        return {}
    shared = _alone(tables, "vocab-multilingual")
    out: list[dict[str, Any]] = []
    for language in LANGUAGES:
        if not tables.has(f"vocab-{language}"):
            continue
        own = _alone(tables, f"vocab-{language}")
        for N in sorted({n for code, n, _ in own if code == language}):
            mine = {C: loss for (code, n, C), loss in own.items() if (code, n) == (language, N)}
            theirs = {C: loss for (code, n, C), loss in shared.items() if (code, n) == (language, N)}
            out.append({"language": language, "N": N, "own": mine, "shared": theirs, "tax": _tax(mine, theirs)})
    return {"cells": out}


def _alone(tables: Tables, part: str) -> dict[tuple[str, float, float], float]:
    """Losses in bits per byte of models of one language, by language, size and FLOPs."""
    table = seen(read_runs(tables.place(part), unit="bits/byte"))
    rows = table.frame.with_columns(C=table.frame["flops_per_token"] * table.frame["tokens"])
    return {
        (row["target"], row["params_non_embedding"], row["C"]): row["loss"]
        for row, one in zip(rows.iter_rows(named=True), shares_of(table), strict=True)
        if len(one) == 1
    }


def _tax(own: dict[float, float], shared: dict[float, float]) -> float | None:
    """How many times the compute the shared vocabulary needs for the loss that the own one has: the mean over losses
    that both reach, on lines through log C."""
    if len(own) < 2 or len(shared) < 2:
        return None
    losses = [loss for loss in own.values() if min(shared.values()) <= loss <= max(shared.values())]
    if not losses:
        return None
    ratios = [_compute(shared, loss) - _compute(own, loss) for loss in losses]
    return float(np.exp(np.mean(ratios)))


def _compute(losses: dict[float, float], loss: float) -> float:
    pairs = sorted((value, np.log(C)) for C, value in losses.items())
    return float(np.interp(loss, [v for v, _ in pairs], [c for _, c in pairs]))
