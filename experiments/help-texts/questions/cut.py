"""What was left out for lack of compute, and what it would cost at the speed of the runs that were made."""

from __future__ import annotations

from typing import Any

import polars as pl

from questions.cost import DECAY
from questions.cost import answer as cost
from questions.tables import Tables

SIZES = {"0.33M": 332_448, "1M": 974_208}
# What, at which size, how many runs more, and to which budgets.
CUT = (
    ("ladders alone at 1M of the eight languages that have none", "1M", 8, (0.5e6, 1e6, 2e6, 4e6)),
    ("all 91 pairs at 1M: does transfer grow with size?", "1M", 91, (0.5e6, 1e6, 2e6)),
    ("two more seeds of all 91 pairs at 0.33M", "0.33M", 182, (0.5e6, 1e6, 2e6)),
    ("all 91 pairs with other pages, three seeds", "0.33M", 546, (0.5e6, 1e6, 2e6)),
    ("the other four even mixtures of 4 and 8 at 1M", "1M", 4, (1e6, 2e6, 4e6)),
    ("scarce targets of the other twelve languages", "0.33M", 156, (1e6, 2e6)),
)


def answer(tables: Tables) -> dict[str, Any]:
    total = cost(tables)["total"]
    speed = total["flops"] / total["hours"]
    per_token = dict(
        pl.read_parquet(tables.place("main") / "runs.parquet").group_by("params_non_embedding")
        .agg(pl.col("flops_per_token").first()).iter_rows()
    )  # fmt: skip
    rows = []
    for what, size, runs, budgets in CUT:
        tokens = (1 - DECAY) * max(budgets) + DECAY * sum(budgets)
        flops = runs * tokens * per_token[SIZES[size]]
        rows.append({"what": what, "runs": runs, "flops": flops, "hours": flops / speed})
    return {"rows": rows, "speed": speed / 3600}
