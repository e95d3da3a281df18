"""What pictures of a fit are made of: loss at equal compute, and how its draws move together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.fitting.result import Fit

# Runs whose compute is within this factor of a budget count as runs of that budget.
NEAR = 1.2
# Budgets closer than this would draw lines on top of each other.
APART = 2.5
MOST_BUDGETS = 5
# Of fewer sizes, a budget's runs show no curve.
FEWEST_SIZES = 3
POINTS = 61
# How far a curve runs beyond the sizes of the runs, or beyond its minimum, as a factor of N.
MARGIN = 2.0
# Beyond this factor of the runs' sizes no minimum is followed.
REACH = 30.0


def run_compute(fit: Fit) -> np.ndarray:
    """6 N D of each row in FLOPs; NaN where text is repeated, for equal compute is drawn for text seen once."""
    C = 6 * fit.rows["N"].to_numpy().astype(float) * fit.rows["D"].to_numpy()
    if "U" not in fit.rows.columns:
        return C
    U = fit.rows["U"].cast(pl.Float64).fill_null(np.inf).to_numpy()
    return np.where(fit.rows["D"].to_numpy() <= 1.01 * U, C, np.nan)


def over_N_and_D(fit: Fit) -> bool:
    """Whether loss is a function of N and D alone, taking text as seen once."""
    return {"N", "D"} <= set(fit.law.columns) <= {"N", "D", "U"}


def run_budgets(fit: Fit) -> list[float]:
    """Budgets in FLOPs, to two digits, where runs of several sizes lie together; else three over their range."""
    if not over_N_and_D(fit):
        raise InputError(
            f"law {fit.law.name} gives no loss at equal compute: it is no function of N and D alone but of "
            f"{', '.join(fit.law.columns)}"
        )
    C = run_compute(fit)
    known = np.isfinite(C)
    log_C, N = np.log(C[known]), fit.rows["N"].to_numpy()[known]
    if not len(log_C):
        return []
    near = np.abs(log_C[:, None] - log_C) <= np.log(NEAR)
    sizes = np.array([len(np.unique(N[mine])) for mine in near])
    found: list[float] = []
    for i in np.argsort(-sizes, kind="stable"):
        middle = float(np.median(log_C[near[i]]))
        clear = all(abs(middle - other) >= np.log(APART) for other in found)
        if clear and sizes[i] >= FEWEST_SIZES and len(found) < MOST_BUDGETS:
            found.append(middle)
    if not found:
        found = [float(v) for v in np.quantile(log_C, [0.1, 0.5, 0.9])]
    return sorted({float(f"{np.exp(v):.1e}") for v in found})


def iso_flop(fit: Fit, C: Sequence[float] | None = None) -> pl.DataFrame:
    """Loss against size `(budgets x POINTS)`: C, N, D, loss, low, high."""
    budgets = run_budgets(fit) if C is None else C
    sizes = fit.rows["N"].to_numpy()
    ends = float(sizes.min()), float(sizes.max())
    best = fit.optimum(budgets, intervals=False)["N"].to_list() if fit.has_frontier else [ends[0]] * len(budgets)
    frames = []
    for budget, N_star in zip(budgets, best, strict=True):
        wanted = float(np.clip(N_star, ends[0] / REACH, ends[1] * REACH))
        N = np.geomspace(min(ends[0], wanted) / MARGIN, max(ends[1], wanted) * MARGIN, POINTS)
        D = budget / (6 * N)
        given = {"N": N, "D": D, "U": D}
        losses = fit.predict({c: given[c] for c in fit.law.columns}).select("loss", "low", "high")
        frames.append(losses.insert_column(0, pl.lit(float(budget)).alias("C")).with_columns(N=N, D=D))
    columns_out = ["C", "N", "D", "loss", "low", "high"]
    return pl.concat([f.select(columns_out).cast(pl.Float64) for f in frames])


def iso_flop_minima(fit: Fit, C: Sequence[float] | None = None) -> pl.DataFrame:
    """`optimum` at budgets `C`, with the loss at that size and its interval."""
    frame = fit.optimum(run_budgets(fit) if C is None else C)
    D = frame["D"].to_numpy()
    given = {"N": frame["N"].to_numpy(), "D": D, "U": D}
    losses = fit.predict({c: given[c] for c in fit.law.columns})
    return frame.with_columns(losses["loss"], losses["low"].alias("loss_low"), losses["high"].alias("loss_high"))


def correlations(fit: Fit) -> pl.DataFrame:
    slots, free = fit.layout.slots, fit.layout.free
    schema = {"one": pl.String, "other": pl.String, "correlation": pl.Float64}
    if len(fit.draws) < 3:
        return pl.DataFrame(schema=schema)
    moved = {slots[i].name: moved_draws(fit, i) for i in free}
    moved = {name: values for name, values in moved.items() if np.ptp(values) > 0}
    found = [(a, b, float(np.corrcoef(moved[a], moved[b])[0, 1])) for a, b in combinations(moved, 2)]
    return pl.DataFrame(found, schema=schema, orient="row")


def moved_draws(fit: Fit, slot: int) -> np.ndarray:
    """Draws `(draws,)` of one coefficient as the fit moves it: its logarithm where it is positive."""
    values = fit.draws[:, slot]
    return np.log(np.maximum(values, 1e-300)) if fit.layout.slots[slot].log else values
