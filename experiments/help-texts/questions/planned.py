"""Does the planner's mixture win, and by how much against the noise of seeds?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from plan_mixtures import WEIGHTS, mixtures
from train import HERE

from isogloss import fit_languages, read_runs
from questions.tables import Tables, shares_of

# What these expect is known after the fact.
AFTER = ("family", "k-law", "atlas", "atlas-equal")
_COUNTS = pl.col("target").replace_strict(WEIGHTS, return_dtype=pl.Float64)
WEIGHTED = (pl.col("loss") * _COUNTS).sum() / _COUNTS.sum()


def answer(tables: Tables) -> dict[str, Any]:
    if not tables.has("planned"):
        return {}
    table = read_runs(tables.place("planned"))
    said = json.loads((HERE / "planned" / "plan.json").read_text(encoding="utf-8"))
    wanted = mixtures(said)
    frame = table.frame.with_columns(mixture=pl.Series([_name(one, wanted) for one in shares_of(table)]))
    frame = frame.filter(pl.col("target").is_in(list(WEIGHTS)))
    expected = {"plan": said["mean_loss"]} | {name: one["mean_loss"] for name, one in said["alternatives"].items()}
    out = []
    for (name,), one in frame.group_by("mixture", maintain_order=True):
        means = one.group_by("seed").agg(WEIGHTED).sort("seed")["loss"].to_numpy()
        out.append(
            {
                "name": name,
                "shares": wanted[name],
                "seeds": means.tolist(),
                "mean": float(means.mean()),
                "expected": expected[name],
                "unweighted": float(one["loss"].mean()),
                "losses": {code: float(part["loss"].mean()) for (code,), part in one.group_by("target")},
            }
        )
    after = {law: _expected(law, tables, frame) for law in AFTER}
    for one in out:
        one["after"] = {law: losses[one["name"]] for law, losses in after.items()}
    return {"mixtures": sorted(out, key=lambda m: m["mean"]), "weights": WEIGHTS, **_against_noise(out)}


def _expected(law: str, tables: Tables, frame: pl.DataFrame) -> dict[str, float]:
    """Weighted mean losses of the mixtures by a law as it is now, fitted to the runs that the plan was made from."""
    fits = fit_languages(law, tables.main, params="non_embedding", across="pooled", intervals="none")
    once = frame.filter(pl.col("seed") == 0)
    said = fits.predict_runs(read_runs(once.drop("row", "mixture"), unit="bits/byte"))
    rows = said.join(once.select("run_id", "target", "mixture"), ("run_id", "target"))
    return dict(rows.group_by("mixture").agg(WEIGHTED).sort("mixture").iter_rows())


def _against_noise(mixtures: list[dict[str, Any]]) -> dict[str, Any]:
    """What each loses against the plan, beside the noise of such a difference by the seeds of all mixtures."""
    plan = next(one for one in mixtures if one["name"] == "plan")
    squares = sum(np.var(one["seeds"], ddof=1) * (len(one["seeds"]) - 1) for one in mixtures)
    sd = float(np.sqrt(squares / sum(len(one["seeds"]) - 1 for one in mixtures)))
    lost = {
        one["name"]: {
            "measured": one["mean"] - plan["mean"],
            "expected": one["expected"] - plan["expected"],
            "error": sd * float(np.sqrt(1 / len(one["seeds"]) + 1 / len(plan["seeds"]))),
        }
        for one in mixtures
        if one is not plan
    }
    return {"seed_sd": sd, "lost": lost}


def _name(shares: Mapping[str, float], wanted: Mapping[str, Mapping[str, float]]) -> str:
    """Of the mixture that these shares are."""
    apart = {
        name: sum(abs(shares.get(code, 0) - one.get(code, 0)) for code in {*shares, *one})
        for name, one in wanted.items()
    }
    nearest = min(apart, key=apart.__getitem__)
    if apart[nearest] > 0.01:
        raise ValueError(f"{shares} is no mixture of plan.json")
    return nearest
