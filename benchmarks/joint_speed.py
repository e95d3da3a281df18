"""How fast many languages are fitted together under ATLAS, and how the time grows.

    python benchmarks/joint_speed.py [--quick]

Simulated studies of 5, 10, 20 and 48 languages, about 417 rows each: five coefficients, four transfer weights, one for
all other languages, and the exponent of the capacity term for each language, and one repetition decay for all; 32
starts. Programs are compiled before the clock starts. Rows x coefficients is the size of the largest matrix of
derivatives if languages were not taken apart.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import polars as pl
from measure import Row, show, timed, write
from worlds import World, alone, make_runs, make_world, measure, pairs, uneven

from isogloss.fitting.groups import group_rows
from isogloss.fitting.joint import descend
from isogloss.fitting.languages import fit_languages
from isogloss.fitting.objective import HuberLogLoss
from isogloss.laws import Atlas
from isogloss.runs import RunTable, read_runs

LANGUAGES = (5, 10, 20, 48)
ROWS_EACH = 417
STARTS = 32


def study(languages: int) -> tuple[RunTable, dict[str, list[str]]]:
    """A table with about ROWS_EACH rows of each language, and four sources of transfer for each."""
    world = make_world(languages, seed=1, text=(2e9, 2e11), phi=0.1)
    mixtures = np.concatenate([alone(world), pairs(world, 3), uneven(world, _sizes(languages), each=2, seed=1)])
    runs = make_runs(sizes=np.geomspace(1e7, 8e9, 11), tokens=np.geomspace(2e9, 3e11, 6), mixtures=mixtures, seed=1)
    frame = measure(world, runs, seed=1)
    rng = np.random.default_rng(0)
    shuffled = frame.with_columns(order=pl.lit(rng.random(frame.height)))
    kept = shuffled.filter(pl.col("order").rank("ordinal").over("target") <= ROWS_EACH).drop("order")
    return read_runs(kept, unit="nats/token"), sources(world)


def sources(world: World) -> dict[str, list[str]]:
    """The languages that each was trained with in pairs."""
    count = len(world.names)
    return {n: [world.names[(i + k) % count] for k in (1, 2, 3, -1)] for i, n in enumerate(world.names)}


def _sizes(languages: int) -> list[int]:
    return sorted({min(k, languages) for k in (4, 6, 8, 12, 16, 24, 32, 50)})


def measured(languages: int, repeats: int) -> list[Row]:
    table, chosen = study(languages)
    groups = group_rows(Atlas, table, HuberLogLoss(), sources=chosen, free=["phi"], tie=["lambda_"])
    rows = sum(p.rows for p in groups.problems)
    coefficients = languages * int((~groups.shared).sum()) + int(groups.shared.sum())
    rng = np.random.default_rng(0)
    starts = np.stack([[p.layout.starts(1, p.loss, rng)[0] for p in groups.problems] for _ in range(STARTS)])
    descend(groups, starts)  # compiles
    row, joint = timed(f"{languages} languages, {STARTS} starts", lambda: descend(groups, starts), repeats=repeats)
    assert row.seconds is not None
    row.objective = float(joint.value.min())
    agree = int((joint.value <= joint.value.min() * (1 + 1e-4)).sum())
    row.details = details(rows, coefficients, row.seconds)
    row.notes = f"{rows:,} rows, {coefficients} coefficients; {agree} of {STARTS} starts agree"
    ask: dict[str, Any] = {"sources": chosen, "free": ["phi"], "tie": ["lambda_"], "starts": 4, "draws": 1000}
    fit_languages("atlas", table, **ask)
    pooled, _ = timed(
        f"{languages} languages, pooled, 4 starts", lambda: fit_languages("atlas", table, **ask), repeats=1
    )
    pooled.notes = "fit_languages(): population, noise and 1,000 draws of each language"
    return [row, pooled]


def details(rows: int, coefficients: int, seconds: float) -> dict[str, float]:
    return {
        "rows": rows,
        "coefficients": coefficients,
        "us_per_row_and_coefficient": 1e6 * seconds / rows / coefficients,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 and 10 languages, once, and nothing is written")
    asked = parser.parse_args()
    found: list[Row] = []
    for n in LANGUAGES[:2] if asked.quick else LANGUAGES:
        found += measured(n, 1 if asked.quick else 3)
        print(f"{n} languages: {found[-2].seconds:.1f} s, pooled {found[-1].seconds:.1f} s", flush=True)
    show("ATLAS fitted to many languages at once", found)
    for row in found:
        if row.details:
            print(f"{row.what}: {row.details['us_per_row_and_coefficient']:.2f} us per row and coefficient")
    if not asked.quick:
        write("joint_speed", found)


if __name__ == "__main__":
    main()
