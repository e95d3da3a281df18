"""What was left out for lack of compute, and what it would cost at the speed of the runs that were made."""

from __future__ import annotations

from typing import Any

import polars as pl

from questions.cost import DECAY, PARTS, trained
from questions.tables import Tables

SIZES = {"0.33M": 332_448, "1M": 974_208}
# What, at which size, how many runs more, and to which budgets.
CUT = (
    ("ladders alone at 1M of the eight languages that have none", "1M", 8, (0.5e6, 1e6, 2e6, 4e6)),
    ("all 91 pairs at 1M: does transfer grow with size?", "1M", 91, (0.5e6, 1e6, 2e6)),
    ("two more seeds of all 91 pairs at 0.33M", "0.33M", 182, (0.5e6, 1e6, 2e6)),
    ("all 91 pairs with other pages, three seeds", "0.33M", 546, (0.5e6, 1e6, 2e6)),
    ("the other four even mixtures of 4 and 8 at 1M", "1M", 4, (1e6, 2e6, 4e6)),
    ("five languages at 1M to 16M tokens, from scratch and continued, for crossings", "1M", 10, (4e6, 8e6, 16e6)),
    ("scarce targets of the other twelve languages", "0.33M", 156, (1e6, 2e6)),
)


# What more seeds of runs that were made would cost: the parts, and from which size on.
SEEDS = (
    ("two more seeds of all vocabularies", tuple(part for part in PARTS if part.startswith("vocab")), 0.0),
    ("two more seeds of the largest size", ("confirm",), 1.5e6),
)


def answer(tables: Tables) -> dict[str, Any]:
    rows = []
    main = trained(tables, "main")
    for what, size, runs, budgets in CUT:
        alike = main.filter(pl.col("N") == SIZES[size])
        tokens = (1 - DECAY) * max(budgets) + DECAY * sum(budgets)
        flops = runs * tokens * alike["flops_per_token"][0]
        hours = flops * alike["seconds"].sum() / alike["flops"].sum() / 3600
        rows.append({"what": what, "runs": runs, "flops": flops, "hours": hours})
    for what, parts, least in SEEDS:
        made = pl.concat(trained(tables, part) for part in parts if tables.has(part)).filter(pl.col("N") >= least)
        hours = 2 * made["seconds"].sum() / 3600
        rows.append({"what": what, "runs": 2 * made.height, "flops": 2 * made["flops"].sum(), "hours": hours})
    return {"rows": rows}
