"""The text of the study's languages: sizes, scripts, families, licences, and what cleaning took away."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
from train import HERE

from questions.tables import Tables

RESULTS = HERE / "results" / "texts.json"


def answer(tables: Tables) -> dict[str, Any]:
    """Of prepare.py's table.json; where the text is not on this machine, what was committed stays."""
    path = HERE / "texts" / "table.json"
    if not path.exists():
        return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    exposure = pl.read_parquet(tables.place("main") / "exposure.parquet")
    used = sorted(exposure["language"].unique())
    help_texts = {row["code"]: row for row in rows if row["source"] == "help"}
    # The two scripts of Chinese and the two Portuguese have a row each: the study takes the one without a region, or CN.
    help_texts |= {
        row["code"]: row for row in rows if row["source"] == "help" and row["language"] in ("pt", "zh-CN", "en")
    }
    trained = exposure.group_by("language").agg(pl.col("unique_tokens").max())
    unique = dict(zip(trained["language"], trained["unique_tokens"], strict=True))
    return {
        "languages": [{**help_texts[code], "training_bytes": unique[code]} for code in used],
        "sources": _by_source(rows),
    }


def _by_source(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    sums = frame.group_by("source", maintain_order=True).agg(
        pl.len().alias("languages"), pl.col("bytes").sum(), pl.col("licence").first(), pl.col("use").first()
    )
    return sums.to_dicts()
