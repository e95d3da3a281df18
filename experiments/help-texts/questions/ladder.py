"""How far the smallest models predict the largest."""

from __future__ import annotations

from typing import Any

import numpy as np

from isogloss import fit_languages
from questions.tables import Tables, kept

LAWS = ("chinchilla", "atlas-own", "atlas-other", "atlas", "atlas-capacity", "atlas-equal")


def answer(tables: Tables) -> dict[str, Any]:
    table = tables.main
    sizes = sorted(table.frame["params_non_embedding"].unique())
    small, large = sizes[: max(2, len(sizes) // 3)], sizes[-1]
    below = kept(table, table.frame["params_non_embedding"].is_in(small).to_list())
    above = kept(table, (table.frame["params_non_embedding"] == large).to_list())
    out: dict[str, Any] = {"fitted": small, "predicted": large, "rows": [len(below), len(above)], "laws": {}}
    for law in LAWS:
        fits = fit_languages(law, below, params="non_embedding", across="pooled")
        said = fits.predict_runs(above)
        errors = (said["loss"] / said["observed"] - 1).to_numpy()
        out["laws"][law] = {
            "rows": len(errors),
            "median_error": float(np.median(np.abs(errors))),
            "bias": float(np.median(errors)),
            "inside": float(((said["low"] <= said["observed"]) & (said["observed"] <= said["high"])).mean()),
        }
    return out
