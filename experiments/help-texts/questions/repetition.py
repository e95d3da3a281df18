"""What a token is worth when its text is seen again."""

from __future__ import annotations

from typing import Any

import polars as pl

from isogloss import fit_languages
from isogloss.report import save
from questions.tables import Tables, kept, shares_of, unique_of


def answer(tables: Tables) -> dict[str, Any]:
    alone = kept(tables.main, [len(one) == 1 for one in shares_of(tables.main)])
    repeated = {t for t, u in zip(alone.frame["target"], unique_of(alone), strict=True) if u and u < 500_000}
    table = kept(alone, alone.frame["target"].is_in(sorted(repeated)).to_list())
    out: dict[str, Any] = {"languages": sorted(repeated), "losses": _losses(table)}
    for law in ("data-constrained", "atlas-own"):
        fits = fit_languages(law, table, params="non_embedding", across="pooled")
        save(fits, tables.out / f"repetition-{law}.html")
        out[law] = {
            language: {e.name: [e.value, e.low, e.high] for e in found.coefficients}
            for language, found in fits.fits.items()
        }
    return out


def _losses(table: Any) -> list[dict[str, Any]]:
    frame = table.frame.with_columns(pl.Series("U", unique_of(table)), pl.col("params_non_embedding").alias("N"))
    frame = frame.with_columns(epochs=pl.col("tokens") / pl.col("U"))
    means = frame.group_by("target", "N", "U", "tokens", "epochs").agg(pl.col("loss").mean(), pl.len().alias("seeds"))
    return means.sort("target", "N", "U", "tokens").to_dicts()
