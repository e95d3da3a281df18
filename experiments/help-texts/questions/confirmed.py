"""How well predictions.json foretold the runs of confirm/, which were trained after it was committed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import norm
from train import HERE

from isogloss import RunTable, fit_languages, read_runs
from questions import noise as seeds
from questions.tables import Tables, begun, seen, shares_of

# Fitted again: the best, ATLAS as printed, and ours.
SCATTERED = ("family", "atlas", "atlas-equal")


def answer(tables: Tables) -> dict[str, Any]:
    path = HERE / "predictions.json"
    if not (path.exists() and tables.has("confirm")):
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    observed = seen(read_runs(tables.place("confirm"))).frame
    relative = seeds.answer(tables)["all"]["relative"]
    laws = {}
    for law, said in record["laws"].items():
        both = pl.DataFrame(said).join(observed, ("run_id", "tokens", "target"), suffix="_seen")
        laws[law] = {name: _score(part, record["level"], relative) for name, part in _kinds(both).items()}
    looked_up = _kinds(_looked_up(tables, observed))
    laws["look-up"] = {name: _score(part, None, relative) for name, part in looked_up.items()}
    found = {"fitted_to": record["fitted_to"], "level": record["level"], "ours": record["ours"], "laws": laws}
    return found | {"scatter": {law: _with_scatter(law, tables) for law in SCATTERED}}


def _with_scatter(law: str, tables: Tables) -> dict[str, Any]:
    """The same law as it is now, by `predict`, which says where one run's loss lies: after the fact."""
    fits = fit_languages(law, tables.main, params="non_embedding", across="pooled")
    said = fits.predict_runs(begun(seen(read_runs(tables.place("confirm")))))
    found = {}
    for name, part in _kinds(said).items():
        inside = (part["run_low"] <= part["observed"]) & (part["observed"] <= part["run_high"])
        half = (part["run_high"] / part["run_low"]).log() / 2
        errors = (part["loss"] / part["observed"] - 1).to_numpy()
        found[name] = {
            "median_error": float(np.median(np.abs(errors))),
            "bias": float(np.median(errors)),
            "largest_error": float(np.abs(errors).max()),
            "inside": float(inside.mean()),
            "half_width": float(np.median(half.to_numpy())),
        }
    return found


def _looked_up(tables: Tables, observed: pl.DataFrame) -> pl.DataFrame:
    """Without any law: the mean of the language's three losses in main/, at the nearest size, with the nearest number
    of its own tokens."""
    known = _own_tokens(tables.main)
    rows = _own_tokens(begun(seen(read_runs(observed.drop("row"), unit="bits/byte"))))
    said = []
    for row in rows.iter_rows(named=True):
        mine = known.filter(pl.col("target") == row["target"])
        near = mine.with_columns(away=(pl.col("N") / row["N"]).log().abs())
        near = near.filter(pl.col("away") == pl.col("away").min())
        near = near.sort((pl.col("own") / row["own"]).log().abs(), maintain_order=True).head(3)
        said.append({"loss": near["loss"].mean(), "loss_seen": row["loss"]})
    return pl.concat([rows.drop("loss"), pl.DataFrame(said)], how="horizontal")


def _own_tokens(table: RunTable) -> pl.DataFrame:
    N = pl.col("params_non_embedding")
    own = [one[target] for one, target in zip(shares_of(table), table.frame["target"], strict=True)]
    return table.frame.select("run_id", "target", "loss", N, N=N, own=pl.Series(own) * table.frame["tokens"])


def _kinds(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Of the largest size, and of the ten mixtures."""
    largest = rows["params_non_embedding"] > 1.5e6
    return {"largest": rows.filter(largest), "mixtures": rows.filter(~largest)}


def _score(rows: pl.DataFrame, level: float | None, noise: float) -> dict[str, Any]:
    errors = (rows["loss"] / rows["loss_seen"] - 1).to_numpy()
    residuals = (rows["loss"] - rows["loss_seen"]).to_numpy()
    # Bits per byte differ more between languages than between runs: a law is judged within languages.
    centred = rows.select(pl.col("loss_seen") - pl.col("loss_seen").mean().over("target"))
    spread = centred["loss_seen"].to_numpy()
    scores = {
        "rows": rows.height,
        "runs": rows["run_id"].n_unique(),
        "median_error": float(np.median(np.abs(errors))),
        "largest_error": float(np.abs(errors).max()),
        "bias": float(np.median(errors)),
        "r2": float(1 - (residuals**2).sum() / (spread**2).sum()),
    }
    if level is None:
        return {**scores, "inside": None, "inside_with_noise": None}
    inside = (rows["low"] <= rows["loss_seen"]) & (rows["loss_seen"] <= rows["high"])
    # The intervals are the law's own: a run scatters about it, by what seeds were measured to differ.
    noise = norm.ppf(0.5 + level / 2) * noise * rows["loss"]
    low = rows["loss"] - ((rows["loss"] - rows["low"]) ** 2 + noise**2).sqrt()
    high = rows["loss"] + ((rows["high"] - rows["loss"]) ** 2 + noise**2).sqrt()
    with_noise = (low <= rows["loss_seen"]) & (rows["loss_seen"] <= high)
    return {**scores, "inside": float(inside.mean()), "inside_with_noise": float(with_noise.mean())}
