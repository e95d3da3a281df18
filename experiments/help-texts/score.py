"""How well predictions.json foretold the runs of confirm/.

python experiments/help-texts/score.py
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import polars as pl
from questions.tables import seen
from train import HERE

from isogloss import read_runs
from isogloss.files import write_text


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    record = json.loads((HERE / "predictions.json").read_text(encoding="utf-8"))
    observed = seen(read_runs(HERE / "confirm")).frame
    scores = {law: score(pl.DataFrame(said), observed) for law, said in record["laws"].items()}
    write_text(HERE / "scores.json", json.dumps(scores, indent=1) + "\n")
    for law, parts in scores.items():
        print(law, *(f"{name}: {one['median_error']:.2%}, inside {one['inside']:.0%}" for name, one in parts.items()))


def score(said: pl.DataFrame, observed: pl.DataFrame) -> dict[str, Any]:
    """By what was held out: the largest size, and the ten mixtures."""
    both = said.join(observed, on=("run_id", "tokens", "target"), suffix="_seen")
    largest = both["params_non_embedding"] > 1e6
    return {
        name: _score(both.filter(part)) for name, part in (("largest", largest), ("mixtures", ~largest)) if part.any()
    }


def _score(rows: pl.DataFrame) -> dict[str, Any]:
    errors = (rows["loss"] / rows["loss_seen"] - 1).to_numpy()
    residuals = (rows["loss"] - rows["loss_seen"]).to_numpy()
    spread = rows["loss_seen"].to_numpy() - rows["loss_seen"].mean()
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


if __name__ == "__main__":
    main()
