"""The loss over N and D as lines: equal loss, equal compute, and the compute-optimal frontier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from isogloss.fitting import Fit

GRID = 100
LEVELS = 8
BEYOND = 100.0
# How far beyond the runs, in factors of N and of D, the picture goes to show an optimum.
REACH = 30.0

Point = dict[str, float]


@dataclass(frozen=True)
class Surface:
    """Points of lines, in raw units. Labels stand where their line leaves the picture."""

    N_range: tuple[float, float]
    D_range: tuple[float, float]
    iso_loss: list[Point]
    loss_labels: list[Point]
    digits: int
    """Decimals that tell the levels of loss apart."""
    iso_flop: list[Point]
    flop_labels: list[Point]
    frontier: list[Point]
    optima: list[Point]


def surface_of(fit: Fit) -> Surface:
    N_range, D_range = _ranges(fit)
    # Lines run on beyond the picture, which cuts them off: ending them inside would look like a limit.
    N, D = np.geomspace(*N_range, GRID), np.geomspace(D_range[0] / BEYOND, D_range[1] * BEYOND, 2 * GRID)
    loss = _grid(fit, N, D)
    inside = loss[:, (D_range[0] <= D) & (D_range[1] >= D)]
    levels, digits = _levels(inside)
    iso_loss = [p for level in levels for p in _iso_loss(loss, N, D, level)]
    budgets = _budgets(N_range, D_range)
    frontier, optima = _frontier(fit, N_range, D_range)
    return Surface(
        N_range=N_range,
        D_range=D_range,
        iso_loss=iso_loss,
        loss_labels=_right_ends(iso_loss, D_range),
        digits=digits,
        iso_flop=[{"C": C, "N": n, "D": C / (6 * n)} for C in budgets for n in N_range],
        flop_labels=[_top_end(C, N_range, D_range) for C in budgets],
        frontier=frontier,
        optima=optima,
    )


def _ranges(fit: Fit) -> tuple[tuple[float, float], tuple[float, float]]:
    """The runs' N and D with some room, and the optimum at ten times their compute where that is near."""
    N, D = fit.rows["N"].to_numpy(), fit.rows["D"].to_numpy()
    optimum = fit.optimum(fit.default_budgets()[:2], intervals=False) if fit.has_frontier else None
    spans = []
    for name, values in (("N", N), ("D", D)):
        low, high = float(values.min()), float(values.max())
        for wanted in optimum[name] if optimum is not None else ():
            low = max(min(low, wanted), low / REACH)
            high = min(max(high, wanted), high * REACH)
        spans.append((low / 1.5, high * 1.6))
    return spans[0], spans[1]


def _grid(fit: Fit, N: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Loss `(N, D)` for text seen once (U = D), for which `Fit.optimum` gives the optimum too."""
    grid_N, grid_D = (a.ravel() for a in np.meshgrid(N, D, indexing="ij"))
    columns = {"N": grid_N, "D": grid_D, "U": grid_D}
    given = {c: columns[c] for c in fit.law.columns}
    return np.asarray(fit.law.loss(**given), float).reshape(len(N), len(D))


def _levels(loss: np.ndarray) -> tuple[np.ndarray, int]:
    """Round losses that spread over the picture, and the decimals that tell them apart."""
    spread = np.quantile(loss, np.linspace(0.06, 0.94, LEVELS))
    closest = float(np.diff(spread).min()) if len(spread) > 1 else 1.0
    digits = int(np.clip(math.ceil(-math.log10(max(closest / 2, 1e-6))), 1, 4))
    return np.unique(np.round(spread, digits)), digits


def _iso_loss(loss: np.ndarray, N: np.ndarray, D: np.ndarray, level: float) -> list[Point]:
    """At each N the D that reaches `level`, which is one at most because loss falls in D."""
    points = []
    for n, falling in zip(N, loss, strict=True):
        if falling[-1] <= level <= falling[0]:
            log_D = np.interp(level, falling[::-1], np.log(D[::-1]))
            points.append({"N": float(n), "D": float(np.exp(log_D)), "loss": float(level)})
    return points


def _right_ends(iso_loss: list[Point], D_range: tuple[float, float]) -> list[Point]:
    """Where each line leaves the picture at its right or lower edge."""
    ends: dict[float, Point] = {}
    for point in iso_loss:
        if D_range[0] * 1.1 <= point["D"] <= D_range[1]:
            ends[point["loss"]] = point  # N rises along a line, so the last one stays
    return list(ends.values())


def _budgets(N_range: tuple[float, float], D_range: tuple[float, float], most: int = 6) -> list[float]:
    """Powers of ten of compute that cross the picture, away from its corners."""
    low, high = 6 * N_range[0] * D_range[0] * 3, 6 * N_range[1] * D_range[1] / 3
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    step = max(1, math.ceil(len(powers) / most))
    return [10.0**k for k in powers if k % step == 0]


def _top_end(C: float, N_range: tuple[float, float], D_range: tuple[float, float]) -> Point:
    """Where the line of C enters the picture, at its left or top edge."""
    D = min(D_range[1], C / (6 * N_range[0]))
    return {"C": C, "N": C / (6 * D), "D": D}


def _frontier(fit: Fit, N_range: tuple[float, float], D_range: tuple[float, float]) -> tuple[list[Point], list[Point]]:
    if not fit.has_frontier:
        return [], []
    C = np.geomspace(6 * N_range[0] * D_range[0], 6 * N_range[1] * D_range[1], GRID)
    inside = [
        [
            {name: float(row[name]) for name in ("C", "N", "D")}
            for row in fit.optimum(budgets, intervals=False).to_dicts()
            if N_range[0] <= row["N"] <= N_range[1] and D_range[0] <= row["D"] <= D_range[1]
        ]
        for budgets in (C, fit.default_budgets())
    ]
    return inside[0], inside[1]
