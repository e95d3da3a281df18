"""How far the smallest models predict the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from isogloss import RunTable, fit_languages
from questions.tables import Tables, kept, plenty, shares_of

LAWS = ("chinchilla", "family", "k-law", "atlas-own", "atlas", "atlas-capacity", "atlas-equal")


def answer(tables: Tables) -> dict[str, Any]:
    table = plenty(tables.main)
    sizes = sorted(table.frame["params_non_embedding"].unique())
    above = kept(table, (table.frame["params_non_embedding"] == sizes[-1]).to_list())
    out: dict[str, Any] = {"predicted": sizes[-1], "rows": len(above), "level": 0.9, "rungs": []}
    for small in (sizes[: max(2, len(sizes) // 3)], sizes[:-1]):
        below = kept(table, table.frame["params_non_embedding"].is_in(small).to_list())
        laws = {law: _scores(law, below, above) for law in LAWS}
        out["rungs"].append({"fitted": small, "rows": len(below), "laws": laws})
    return out


def _scores(law: str, below: RunTable, above: RunTable) -> dict[str, Any]:
    """Errors on the largest models, of one language and of more."""
    fits = fit_languages(law, below, params="non_embedding", across="pooled")
    count = [len(one) for one in shares_of(above)]
    kinds = {"one": [k == 1 for k in count], "more": [k > 1 for k in count]}
    return {name: _score(fits.predict_runs(kept(above, rows))) for name, rows in kinds.items()}


def _score(said: pl.DataFrame) -> dict[str, Any]:
    errors = (said["loss"] / said["observed"] - 1).to_numpy()
    return {
        "rows": said.height,
        "median_error": float(np.median(np.abs(errors))),
        "bias": float(np.median(errors)),
        "inside": float(((said["low"] <= said["observed"]) & (said["observed"] <= said["high"])).mean()),
    }
