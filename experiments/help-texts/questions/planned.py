"""Does the planner's mixture win, and by how much against the noise of seeds?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
from train import HERE

from isogloss import read_runs
from questions.tables import Tables, seen, shares_of

TARGETS = ("por_Latn", "ekk_Latn", "khm_Khmr")


def answer(tables: Tables) -> dict[str, Any]:
    if not tables.has("planned"):
        return {}
    table = seen(read_runs(tables.place("planned")))
    said = json.loads((HERE / "planned" / "plan.json").read_text(encoding="utf-8"))
    frame = table.frame.with_columns(mixture=pl.Series([repr(sorted(one.items())) for one in shares_of(table)]))
    frame = frame.filter(pl.col("target").is_in(TARGETS))
    out = []
    for _, one in frame.group_by("mixture", maintain_order=True):
        means = one.group_by("seed").agg(pl.col("loss").mean()).sort("seed")["loss"].to_numpy()
        by_language = {name[0]: float(part["loss"].mean()) for name, part in one.group_by("target")}
        error = float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None
        out.append({"mixture": one["mixture"][0], "mean": float(means.mean()), "error": error, "losses": by_language})
    return {"mixtures": sorted(out, key=lambda m: m["mean"]), "expected": said["mean_loss"]}
