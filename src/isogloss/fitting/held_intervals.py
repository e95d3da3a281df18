"""How far a law that was fitted to some rows may err on others: its coefficients' uncertainty, and the rows' scatter.

No refits: the coefficients vary about the optimum as the clustered sandwich says (`laplace`), and losses scatter about
the law as those that it was fitted to. What this leaves out is that the law itself may be wrong beyond its rows: how
many held-out losses lie inside tells that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from isogloss.fitting.laplace import covariance_of_few
from isogloss.fitting.problem import Problem
from isogloss.fitting.sandwich import of_residuals

# Step of the differences in z, whose coordinates are of order one.
STEP = 1e-4

Losses = Callable[[np.ndarray], np.ndarray]
"""Losses `(rows,)` at z `(free,)`."""


@dataclass(frozen=True)
class Spread:
    """Of a law at its optimum z `(free,)`: `covariance` `(free, free)`, and `misses` `(rows,)`, the sizes of the
    residuals of the rows that it was fitted to, each made as much larger as the fit made it smaller.
    """

    problem: Problem
    z: np.ndarray
    covariance: np.ndarray
    misses: np.ndarray

    def bounds(self, losses: Losses, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Low and high `(rows,)` of the losses that rows would have, of which the part `level` should lie between."""
        objective, best = self.problem.objective, losses(self.z)
        slopes = _slopes(lambda z: np.asarray(objective.residual(losses(z), best)), self.z)
        own = stats.norm.ppf(0.5 + level / 2) * np.sqrt(np.einsum("ri,ij,rj->r", slopes, self.covariance, slopes))
        far = np.hypot(own, np.quantile(self.misses, level))
        low, high = (np.asarray(objective.observed(best, side * far)) for side in (1, -1))
        return low, high


def spread_of(
    problem: Problem, losses: Losses, z: np.ndarray, run: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> Spread | None:
    """None where the rows leave nothing to tell a scatter from. `losses` are of the problem's own rows, `run` `(rows,)`
    numbers their runs."""
    residual = np.asarray(problem.objective.residual(losses(z), problem.loss))
    slopes = _slopes(lambda at: np.asarray(problem.objective.residual(losses(at), problem.loss)), z)
    if not (np.isfinite(residual).all() and np.isfinite(slopes).all()):
        return None
    found = of_residuals(problem.objective, residual, slopes, z, run, lower, upper)
    spare = len(residual) - int(found.moving.sum())
    if spare < 1 or found.curvature <= 0 or found.runs < 2:
        return None
    return Spread(problem, z, covariance_of_few(found), np.abs(residual) * np.sqrt(len(residual) / spare))


def _slopes(residual: Losses, z: np.ndarray) -> np.ndarray:
    """Derivatives `(rows, free)` by central differences: a compiled program for every shape would take longer."""
    steps = STEP * np.eye(len(z))
    return np.stack([(residual(z + s) - residual(z - s)) / (2 * STEP) for s in steps], axis=1)
