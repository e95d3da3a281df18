"""How well predictions.json foretold the runs of confirm/, which were trained after it was committed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
from train import HERE

from isogloss import read_runs
from questions.tables import Tables, seen


def answer(tables: Tables) -> dict[str, Any]:
    path = HERE / "predictions.json"
    if not (path.exists() and tables.has("confirm")):
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    observed = seen(read_runs(tables.place("confirm"))).frame
    laws = {
        law: _by_kind(pl.DataFrame(said).join(observed, ("run_id", "tokens", "target"), suffix="_seen"))
        for law, said in record["laws"].items()
    }
    return {"fitted_to": record["fitted_to"], "level": record["level"], "ours": record["ours"], "laws": laws}


def _by_kind(rows: pl.DataFrame) -> dict[str, Any]:
    """Of the largest size, and of the ten mixtures."""
    largest = rows["params_non_embedding"] > 1.5e6
    return {
        name: _score(rows.filter(part)) for name, part in (("largest", largest), ("mixtures", ~largest)) if part.any()
    }


def _score(rows: pl.DataFrame) -> dict[str, Any]:
    errors = (rows["loss"] / rows["loss_seen"] - 1).to_numpy()
    residuals = (rows["loss"] - rows["loss_seen"]).to_numpy()
    # Bits per byte differ more between languages than between runs: a law is judged within languages.
    centred = rows.select(pl.col("loss_seen") - pl.col("loss_seen").mean().over("target"))
    spread = centred["loss_seen"].to_numpy()
    inside = (rows["low"] <= rows["loss_seen"]) & (rows["loss_seen"] <= rows["high"])
    return {
        "rows": rows.height,
        "runs": rows["run_id"].n_unique(),
        "median_error": float(np.median(np.abs(errors))),
        "largest_error": float(np.abs(errors).max()),
        "bias": float(np.median(errors)),
        "r2": float(1 - (residuals**2).sum() / (spread**2).sum()),
        "inside": float(inside.mean()),
    }
