"""The same pages, or others: is it relatedness that helps, or that both texts say the same?"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from isogloss import read_runs
from questions.tables import Tables, seen, shares_of

# As the study calls their halves.
PARTNERS = {"eng": "English", "spa": "Spanish", "fin": "Finnish", "jpn": "Japanese"}


def answer(tables: Tables) -> dict[str, Any]:
    if not tables.has("disjoint"):
        return {}
    table = seen(read_runs(tables.place("disjoint")))
    partner = [
        next((name for name in one if name != target), "alone")
        for one, target in zip(shares_of(table), table.frame["target"], strict=True)
    ]
    frame = table.frame.select("target", "tokens", "loss", "seed", pl.Series("partner", partner))
    frame = frame.filter(pl.col("target").is_in(("por_Latn", "ekk_Latn", "cmn_Hani")))
    out: list[dict[str, Any]] = []
    alone = _alone(frame)
    for (target, tokens), cell in sorted(frame.group_by("target", "tokens")):
        losses = {name[0]: one.sort("seed")["loss"].to_numpy() for name, one in cell.group_by("partner")}
        for source in sorted({name.rpartition("_")[0] for name in losses if name != "alone"}):
            same, other = losses.get(f"{source}_a"), losses.get(f"{source}_b")
            if same is None or other is None or len(same) != len(other):
                continue
            # Runs of one seed begin with the same weights.
            gaps = other - same
            out.append(
                {
                    "target": target,
                    "partner": PARTNERS[source],
                    "tokens": tokens,
                    # Half of a pair's tokens are the target's.
                    "as_much": alone.get((target, _halves(tokens) / 2)),
                    "twice": alone.get((target, _halves(tokens))),
                    "same": float(same.mean()),
                    "other": float(other.mean()),
                    "gaps": gaps.tolist(),
                    "gap": float(gaps.mean()),
                    "error": float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else None,
                    "seeds": len(gaps),
                }
            )
    # The budgets of one run are no further runs.
    of_runs: dict[tuple[str, str], list[list[float]]] = {}
    for cell in out:
        of_runs.setdefault((cell["target"], cell["partner"]), []).append(cell.pop("gaps"))
    every = np.concatenate([np.mean(gaps, axis=0) for gaps in of_runs.values()])
    error = float(every.std(ddof=1) / np.sqrt(len(every)))
    return {
        "cells": out,
        "worth": _worth(out),
        "all": {"pairs": len(every), "gap": float(every.mean()), "error": error},
    }


def _worth(cells: list[dict[str, Any]]) -> dict[str, list[float]]:
    """By budget the least and the most that a partner takes off the loss of as much of the target alone."""
    gains: dict[str, list[float]] = {}
    for cell in cells:
        if cell["as_much"] is not None:
            gains.setdefault(f"{cell['tokens']:.0f}", []).append(cell["as_much"] - cell["same"])
    return {tokens: [min(those), max(those)] for tokens, those in gains.items()}


def _alone(frame: pl.DataFrame) -> dict[tuple[str, float], float]:
    """Losses of the language alone by half millions of tokens, means over seeds."""
    means = frame.filter(pl.col("partner") == "alone").group_by("target", "tokens").agg(pl.col("loss").mean())
    return {(target, _halves(tokens)): loss for target, tokens, loss in means.iter_rows()}


def _halves(tokens: float) -> int:
    """Budgets are whole steps: 499,712 tokens are half a million."""
    return round(tokens / 5e5)
