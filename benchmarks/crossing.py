"""Whether intervals of a crossing hold the truth where few runs continue, in simulated studies.

    python benchmarks/crossing.py [--worlds 60] [--quick]

Five sizes from scratch and two of them continued, four budgets each, under a known law of both; errors on log loss,
half of their variance shared by a run. Quantities: the compute of the crossing at the largest size, and the continued
loss there at the largest budget. Intervals are at 90 %, of each kind of draws.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import polars as pl
from measure import RESULTS, setting

from isogloss.fitting import fit
from isogloss.fitting.frontier import evaluate
from isogloss.numerics import jnp
from isogloss.planning.crossover_law import ScratchOrContinued
from isogloss.runs import read_runs

KINDS = ("wild", "laplace", "pooled")
TRUE = {
    "E": 0.9,
    "A": 4.7,
    "alpha": 0.15,
    "B": 61_000.0,
    "beta": 0.83,
    "B_start": 16.0,
    "beta_start": 0.35,
    "size": 0.0,
}
SIZES = np.geomspace(1.3e5, 1.04e6, 5)
CONTINUED = SIZES[[2, 4]]
BUDGETS = np.array([0.5e6, 1e6, 2e6, 4e6])
NOISE = 0.015
LEVEL, DRAWS = 0.9, 300
GRID = np.geomspace(5e5, 1e9, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="five worlds, and nothing is written")
    asked = parser.parse_args()
    worlds, began = 5 if asked.quick else asked.worlds, time.monotonic()
    truth = of_truth()
    said: dict[str, list[dict[str, tuple[float, float]]]] = {kind: [] for kind in KINDS}
    for world in range(worlds):
        table = read_runs(simulated(np.random.default_rng(world)))
        for kind in KINDS:
            said[kind].append(limits(table, kind))
        print(f"\r{world + 1} of {worlds}, {time.monotonic() - began:.0f} s", end="", flush=True)
    print()
    found = {
        kind: {name: summary([one[name] for one in all_of], truth[name]) for name in truth}
        for kind, all_of in said.items()
    }
    for kind, one in found.items():
        print(kind, {name: f"{100 * v['coverage']:.0f} %, width {v['median_width']:.3g}" for name, v in one.items()})
    if not asked.quick:
        record = {"command": "python benchmarks/crossing.py", "setting": setting(), "worlds": worlds, "level": LEVEL}
        record |= {"draws": DRAWS, "noise": NOISE, "truth": truth, "kinds": found}
        (RESULTS / "crossing.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def simulated(rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for start, sizes in ((None, SIZES), ("all", CONTINUED)):
        for N in sizes:
            shared, own = rng.normal(), rng.normal(size=len(BUDGETS))
            error = NOISE * np.sqrt(0.5) * (shared + own)
            for D, loss in zip(BUDGETS, true_loss(N, BUDGETS, start is not None) * np.exp(error), strict=True):
                rows.append({"run_id": f"{N:.0f} {start}", "params_total": N, "tokens": D, "init": start, "loss": loss})
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(unit=pl.lit("bits/byte"))


def true_loss(N: float, D: np.ndarray, continued: bool) -> np.ndarray:
    t = TRUE
    data = t["B_start"] / (N ** t["size"] * D ** t["beta_start"]) if continued else t["B"] / D ** t["beta"]
    return t["E"] + t["A"] / N ** t["alpha"] + data


def of_truth() -> dict[str, float]:
    N = float(SIZES[-1])
    D = (TRUE["B"] * N ** TRUE["size"] / TRUE["B_start"]) ** (1 / (TRUE["beta"] - TRUE["beta_start"]))
    return {"C of the crossing": 6 * N * D, "continued loss": float(true_loss(N, BUDGETS[-1:], True)[0])}


def limits(table: object, kind: str) -> dict[str, tuple[float, float]]:
    found = fit(ScratchOrContinued, table, intervals=kind, draws=DRAWS, level=LEVEL)
    N = float(SIZES[-1])

    def losses(D: np.ndarray, pretrained: float) -> np.ndarray:
        columns = {"N": jnp.full(len(D), N), "D": jnp.asarray(D), "pretrained": jnp.full(len(D), pretrained)}
        return np.asarray(evaluate(found.layout, jnp.asarray(found.draws), columns))

    ahead = losses(GRID, 0.0) > losses(GRID, 1.0)
    # The last place where continuing is ahead; none, or all the way, where it never turns.
    last = len(GRID) - 1 - np.argmax(ahead[:, ::-1], axis=1)
    crossing = np.where(ahead.any(1), np.where(ahead[:, -1], np.inf, 6 * N * GRID[last]), 0.0)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {
        "C of the crossing": tuple(np.quantile(crossing, ends, method="nearest").tolist()),
        "continued loss": tuple(np.quantile(losses(BUDGETS[-1:], 1.0)[:, 0], ends).tolist()),
    }


def summary(ranges: list[tuple[float, float]], truth: float) -> dict[str, float]:
    low, high = np.array(ranges).T
    with np.errstate(invalid="ignore"):
        width = np.median(np.log(np.maximum(high, 1e-300) / np.maximum(low, 1e-300)))
    return {
        "coverage": float(((low <= truth) & (truth <= high)).mean()),
        # In logs: 0.1 is a tenth of the value, and 99 is without an end.
        "median_width": 99.0 if np.isnan(width) else float(min(width, 99.0)),
    }


if __name__ == "__main__":
    main()
