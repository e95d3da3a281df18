"""ATLAS's Table 1 on real runs: held-out R² of laws by size, tokens, compute and mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from isogloss import compare
from isogloss.fitting.comparison import Comparison
from isogloss.fitting.languages import Across
from isogloss.report import save
from questions.tables import Tables

LAWS = (
    "chinchilla",
    "data-constrained",
    "family",
    "atlas-own",
    "atlas-other",
    "atlas",
    "atlas-capacity",
    "atlas-equal",
    "k-law",
    "k-law-count",
)
# Fitted together they take long; these are asked what partial pooling gains.
TOGETHER = ("chinchilla", "family", "atlas-own", "atlas", "atlas-equal", "k-law")
SPLITS = ("in-sample", "random", "N", "D", "C", "M")
# arXiv:2510.22037, Table 1, several languages: R², R²(N), R²(D), R²(C), R²(M).
PAPER = {
    "chinchilla": (0.64, -0.99, 0.72, 0.66, 0.61),
    "family": (0.67, -0.65, 0.73, 0.67, 0.70),
    "atlas-own": (0.70, -0.75, 0.80, 0.72, 0.64),
    "atlas-other": (0.98, 0.89, 0.97, 0.97, 0.66),
    "atlas": (0.98, 0.89, 0.96, 0.98, 0.82),
}


def answer(tables: Tables) -> dict[str, Any]:
    out: dict[str, Any] = {"paper": PAPER}
    asked: tuple[tuple[Across, tuple[str, ...]], ...] = (("separate", LAWS), ("pooled", TOGETHER))
    for across, laws in asked:
        found = compare(tables.main, laws, splits=SPLITS, across=across, params="non_embedding", draws=500)
        save(found, tables.out / f"table1-{across}.html")
        out[across] = _numbers(found)
    return out


def _numbers(found: Comparison) -> dict[str, Any]:
    laws = [law.name for law in found.laws]
    splits = [split.name for split in found.splits]
    cells = found.by_language.to_dicts()

    def median(law: str, split: str) -> float:
        return float(np.median([c["r2"] for c in cells if (c["law"], c["split"]) == (law, split)]))

    return {
        "sentence": found.sentence,
        "choice": found.choice,
        "rows": found.rows,
        "left_out": found.laws_left_out,
        "splits": {s.name: {"describes": s.describes, "rows": s.rows, "runs": s.runs} for s in found.splits},
        "scores": {law: {split: found.score(law, split) for split in splits} for law in laws},
        "median_r2": {law: {split: median(law, split) for split in splits} for law in laws},
        "ranking": [
            {"law": r.name, "mean": r.mean, "ahead": [r.ahead, r.ahead_low, r.ahead_high]} for r in found.ranking
        ],
    }
