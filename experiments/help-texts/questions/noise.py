"""How far two runs that differ in nothing but their seed differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from questions.tables import Tables, shares_of


def answer(tables: Tables) -> dict[str, Any]:
    table = tables.main
    unique = [name for name in table.frame.columns if name.startswith("unique:")]
    frame = table.frame.select(
        "run_id",
        "target",
        "tokens",
        "loss",
        "seed",
        pl.col("params_non_embedding").alias("N"),
        pl.Series("mixture", [repr(sorted(one.items())) for one in shares_of(table)]),
        pl.Series("kinds", [len(one) for one in shares_of(table)]),
        # Of all languages: a pair with little text of one is no seed of the pair with all of it.
        *(pl.col(name).fill_null(-1.0) for name in unique),
    )
    cells = (
        frame.group_by("target", "tokens", "N", "mixture", "kinds", *unique, maintain_order=True)
        .agg(pl.col("loss").var().alias("variance"), pl.len().alias("seeds"), pl.col("loss").mean().alias("loss"))
        .filter(pl.col("seeds") > 1)
        .with_columns(relative=pl.col("variance") / pl.col("loss") ** 2)
    )

    def pooled(some: pl.DataFrame) -> dict[str, Any]:
        free = (some["seeds"] - 1).sum()
        if not free:
            return {"cells": 0}

        def sd(variance: str) -> float:
            return float(np.sqrt((some[variance] * (some["seeds"] - 1)).sum() / free))

        counts = {"cells": some.height, "losses": int(some["seeds"].sum())}
        return {**counts, "sd": sd("variance"), "relative": sd("relative")}

    return {
        "all": pooled(cells),
        "alone": pooled(cells.filter(pl.col("kinds") == 1)),
        "pairs": pooled(cells.filter(pl.col("kinds") == 2)),
        "by_tokens": {
            f"{D:.0f}": pooled(cells.filter(pl.col("tokens") == D)) for D in sorted(cells["tokens"].unique())
        },
    }
