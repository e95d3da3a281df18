"""How far two runs that differ in nothing but their seed differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from questions.tables import Tables, shares_of, unique_of


def answer(tables: Tables) -> dict[str, Any]:
    table = tables.main
    frame = table.frame.select(
        "run_id",
        "target",
        "tokens",
        "loss",
        "seed",
        pl.col("params_non_embedding").alias("N"),
        pl.Series("mixture", [repr(sorted(one.items())) for one in shares_of(table)]),
        pl.Series("kinds", [len(one) for one in shares_of(table)]),
        pl.Series("unique", unique_of(table)),
    )
    cells = (
        frame.group_by("target", "tokens", "N", "mixture", "kinds", "unique", maintain_order=True)
        .agg(pl.col("loss").var().alias("variance"), pl.len().alias("seeds"), pl.col("loss").mean().alias("loss"))
        .filter(pl.col("seeds") > 1)
    )

    def pooled(some: pl.DataFrame) -> dict[str, Any]:
        free = (some["seeds"] - 1).sum()
        if not free:
            return {"cells": 0}
        variance = float((some["variance"] * (some["seeds"] - 1)).sum() / free)
        return {"cells": some.height, "seeds": int(some["seeds"].sum()), "sd": float(np.sqrt(variance))}

    return {
        "all": pooled(cells),
        "alone": pooled(cells.filter(pl.col("kinds") == 1)),
        "pairs": pooled(cells.filter(pl.col("kinds") == 2)),
        "by_tokens": {
            f"{D:.0f}": pooled(cells.filter(pl.col("tokens") == D)) for D in sorted(cells["tokens"].unique())
        },
        "relative": float((cells["variance"].sqrt() / cells["loss"]).mean() or 0.0) if cells.height else None,
    }
