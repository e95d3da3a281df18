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
    # Of codes with several texts (pt and pt-BR, en and en-GB) the study takes the one without a region; of Chinese, CN.
    rows.sort(key=lambda row: "-" not in row["language"] or row["language"] == "zh-CN")
    help_texts = {row["code"]: row for row in rows if row["source"] == "help"}
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
