"""What the study cost: runs, finished models, compute and time, by part."""

from __future__ import annotations

from typing import Any

import polars as pl

from isogloss import languages
from questions.tables import Tables, shares_of, unique_of

VOCABULARIES = ("eng_Latn", "por_Latn", "ekk_Latn", "cmn_Hani")
PARTS = {
    "main": "ladders alone, pairs, even and uneven mixtures, little text, seeds, models that go on from one of all",
    "disjoint": "pairs that see the same pages, and others",
    "vocab-multilingual": "2,048 pieces of all languages: alone and all together",
    **{
        f"vocab-{code}": f"2,048 pieces of {languages.get(code).short_name.removeprefix('Standard ')}"
        for code in VOCABULARIES
    },
    "confirm": "the largest size and ten mixtures, predicted before",
    "planned": "the planner's mixture and four naive ones",
}
# The last fifth of the way to each budget is a branch of its own.
DECAY = 0.2


def answer(tables: Tables) -> dict[str, Any]:
    parts = {part: {"what": what, **_cost(tables, part)} for part, what in PARTS.items() if tables.has(part)}
    totals = {key: sum(one[key] for one in parts.values()) for key in ("runs", "models", "flops", "hours")}
    sizes = sorted({size for one in parts.values() for size in one.pop("sizes")})
    return {"parts": parts, "total": totals, "sizes": sizes, "epochs": _epochs(tables)}


def trained(tables: Tables, part: str) -> pl.DataFrame:
    """A row per run: its FLOPs, seconds, parameters and finished models."""
    runs = pl.read_parquet(tables.place(part) / "runs.parquet")
    evals = pl.read_parquet(tables.place(part) / "evals.parquet").filter(pl.col("lr_phase") == "final")
    ends = evals.group_by("run_id").agg(pl.col("tokens").unique())
    tokens = ends.with_columns(
        trained=(1 - DECAY) * pl.col("tokens").list.max() + DECAY * pl.col("tokens").list.sum(),
        models=pl.col("tokens").list.len(),
    )
    return runs.join(tokens, on="run_id").select(
        "run_id",
        "models",
        "seconds",
        "flops_per_token",
        pl.col("params_non_embedding").alias("N"),
        flops=pl.col("flops_per_token") * pl.col("trained"),
    )


def _cost(tables: Tables, part: str) -> dict[str, Any]:
    runs = trained(tables, part)
    return {
        "runs": runs.height,
        "models": int(runs["models"].sum()),
        "flops": float(runs["flops"].sum()),
        "hours": float(runs["seconds"].sum() / 3600),
        "sizes": runs["N"].unique().to_list(),
    }


def _epochs(tables: Tables) -> list[float]:
    """The least and the most that a finished model has seen of its target's text, in epochs."""
    table = tables.main
    rows = zip(shares_of(table), table.frame["target"], table.frame["tokens"], unique_of(table), strict=True)
    epochs = [shares[target] * tokens / unique for shares, target, tokens, unique in rows if unique]
    return [min(epochs), max(epochs)]
