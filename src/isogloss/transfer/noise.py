"""How noisy loss curves are: between checkpoints, and between seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.transfer.curves import HUBER_VARIANCE, CurveNoise, LossCurve, basis, in_order

# What the table's curves say together of a checkpoint's noise counts as this many further residuals of each curve.
PRIOR_POINTS = 2.0
# The assumption on seeds counts as this many seeds beyond the first.
PRIOR_SEEDS = 2.0
CORRELATIONS = np.linspace(0.0, 0.9, 19)


@dataclass(frozen=True)
class TableNoise:
    """What all curves say together. `typical` is the median checkpoint's standard deviation, `correlation` that of
    neighbours in a run, `between_seeds` the standard deviation between seeds as measured over `seeds` seeds beyond the
    first of their cell, NaN where there are none."""

    typical: float
    correlation: float
    between_seeds: float
    seeds: int

    def note(self, unit: str) -> str:
        """In a sentence, what is measured and what assumed."""
        checkpoint = (
            f"noise of a checkpoint: {self.typical:.2g} {unit} (median curve), correlated {self.correlation:.2f} with"
            " the next"
        )
        if not self.seeds:
            return (
                f"{checkpoint}. Noise between seeds: no cell has two, so it is assumed, not measured: as large as a"
                " checkpoint's (the curve's own or the median curve's, whichever is larger), shared by a whole curve."
            )
        return (
            f"{checkpoint}. Noise between seeds: {self.between_seeds:.2g} {unit} from {self.seeds} seeds beyond the"
            f" first, averaged with the assumption that it is as large as a checkpoint's, which counts as"
            f" {PRIOR_SEEDS:g} seeds."
        )


def table_noise(curves: Sequence[LossCurve]) -> TableNoise:
    parts = [_Residuals(curve) for curve in curves]
    excess = [sum(part.excess(rho) for part in parts) for rho in CORRELATIONS]
    # Neighbours agree less than the correlation asks from here on.
    below = np.flatnonzero(np.array(excess) <= 0)
    correlation = float(CORRELATIONS[below[0]] if len(below) else CORRELATIONS[-1])
    if len(below) and below[0] > 0:
        i = int(below[0])
        correlation = float(np.interp(0, [-excess[i - 1], -excess[i]], CORRELATIONS[[i - 1, i]]))
    sizes = tuple(np.sqrt(part.variance(correlation)) for part in parts)
    squares, seeds = 0.0, 0
    for curve, size in zip(curves, sizes, strict=True):
        runs = len(curve.offsets)
        if runs > 1:
            # A run's mean distance has the noise of its checkpoints too, fewer where they are correlated.
            own = size**2 * (1 + correlation) / (1 - correlation) / (len(curve.points) / runs)
            squares += float((curve.offsets**2).sum()) - (runs - 1) * own
            seeds += runs - 1
    between = float(np.sqrt(max(squares, 0.0) / seeds)) if seeds else float("nan")
    return TableNoise(float(np.median(sizes)), correlation, between, seeds)


class _Residuals:
    """Second moments of one curve's residuals, and what noise of variance one would leave of them.

    A smooth curve follows its noise, the more so the more neighbours agree: with the projection A that it takes from
    the noise, residuals have mean square tr(A R A)/n and mean product of neighbours tr(A S A R)/n, R the AR(1)
    correlation and S the sum over neighbours. The terms above zero are taken as if they had been chosen beforehand.
    """

    def __init__(self, curve: LossCurve):
        self.orders = [in_order(curve.points, run) for run in np.unique(curve.points.run)]
        root = np.sqrt(curve.weights)
        size = len(curve.points)
        shared = np.array([curve.points.run == run for run in np.unique(curve.points.run)[: len(curve.offsets)]])
        X = basis(curve.points.tokens, curve.center)[:, curve.coefficients > 0]
        taken = np.concatenate([X, shared.T.reshape(size, -1)], axis=1) * root[:, None]
        u, s, _ = np.linalg.svd(taken, full_matrices=False)
        u = u[:, s > 1e-9 * s.max()]
        self.left = np.eye(size) - u @ u.T
        residuals = curve.residuals * root
        self.square = float(residuals @ residuals) / HUBER_VARIANCE
        neighbours = self._correlation(np.nan)
        self.product = float(residuals @ neighbours @ residuals) / HUBER_VARIANCE
        self.crossed = self.left @ neighbours @ self.left

    def variance(self, rho: float) -> float:
        return self.square / max(float(np.trace(self.left @ self._correlation(rho) @ self.left)), 0.5)

    def excess(self, rho: float) -> float:
        """Products of neighbours, in variances, above those that the correlation leaves."""
        size = self.variance(rho)
        found = self.product / size if size > 0 else 0.0
        return found - float(np.trace(self.crossed @ self._correlation(rho)))

    def _correlation(self, rho: float) -> np.ndarray:
        """AR(1) within runs; for NaN one half between neighbours, whose products it sums."""
        out = np.zeros_like(self.left)
        for order in self.orders:
            apart = np.abs(np.subtract.outer(np.arange(len(order)), np.arange(len(order))))
            out[np.ix_(order, order)] = 0.5 * (apart == 1) if np.isnan(rho) else rho**apart
        return out


def noise_of(curve: LossCurve, of_table: TableNoise) -> CurveNoise:
    """The noise of one curve, shrunk to the table's."""
    spare = max(len(curve.points) - curve.spent, 0)
    weights = np.array([spare, PRIOR_POINTS])
    found = _Residuals(curve).variance(of_table.correlation)
    own = float(np.sqrt(np.average([found, of_table.typical**2], weights=weights)))
    assumed = max(own, of_table.typical)
    seed = assumed
    if of_table.seeds:
        blend = [of_table.between_seeds**2, assumed**2]
        seed = float(np.sqrt(np.average(blend, weights=[of_table.seeds, PRIOR_SEEDS])))
    # Where every point is a run of its own, seeds are in the noise of the points already.
    runs = len(curve.offsets)
    rho = of_table.correlation
    # Correlated residuals tell less of their size.
    freedom = PRIOR_POINTS + spare * (1 - rho**2) / (1 + rho**2)
    return CurveNoise(own, rho, seed / np.sqrt(runs) if runs else 0.0, freedom)
