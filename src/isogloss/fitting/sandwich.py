"""Curvature of the objective and scatter of its gradient at an optimum: what intervals without refits rest on.

With G the gradient and H its expected derivative, an estimate errs by -H^-1 G, so its covariance is
H^-1 cov(G) H^-1 (Huber 1967). Rows of one run err together: cov(G) is summed over runs, not rows (Liang
and Zeger 1986). With a Huber delta far below the residuals few rows or none lie inside delta, and the
derivative of the cost there says little about H: the cost's slope is differenced over a bandwidth instead,
as for medians (Hall and Sheather 1988, Powell 1991).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from isogloss.fitting.objective import Objective
from isogloss.fitting.problem import Problem, residuals
from isogloss.numerics import Array, jax, jnp

# A coordinate within this fraction of its range from an end is held by it.
AT_BOUND = 1e-6
# A run that alone tells a direction has no residual there to enlarge: 1 - leverage counts as no less than this.
LEAST_LEFT = 0.01


@dataclass(frozen=True)
class Sandwich:
    """At z `(free,)`: `information` and `scores` `(free, free)`; `moving` `(free,)` is false where a bound holds.

    Rows and columns of what does not move are zero.
    """

    z: np.ndarray
    information: np.ndarray
    scores: np.ndarray
    moving: np.ndarray
    residuals: np.ndarray
    derivatives: np.ndarray
    """Of the residuals `(rows, free)`."""
    pull: np.ndarray
    """Slope of the cost at each residual `(rows,)`."""
    curvature: float
    """Mean derivative of that slope over the bandwidth: 1 for squares."""
    run: np.ndarray
    runs: int

    @property
    def dispersion(self) -> float:
        """Variance of the slope over its mean derivative: `information` times this is `scores` if rows err alone."""
        spare = max(len(self.residuals) - int(self.moving.sum()), 1)
        return float((self.pull**2).sum() / spare / self.curvature)

    def covariance(self) -> np.ndarray:
        """Of z `(free, free)`, for many runs: no small-sample correction. Zero where a bound holds."""
        inverse = restricted_inverse(self.information, self.moving)
        return inverse @ self.scores @ inverse


def sandwich(
    problem: Problem,
    z: np.ndarray,
    run: np.ndarray,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> Sandwich:
    """Curvature and scores at the optimum z `(free,)`; `run` `(rows,)` numbers the run of each row."""
    return of_residuals(problem.objective, *residuals(problem, z), z, run, lower, upper)


def of_residuals(
    objective: Objective,
    r: np.ndarray,
    J: np.ndarray,
    z: np.ndarray,
    run: np.ndarray,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> Sandwich:
    """`sandwich` from residuals r `(rows,)` and their derivatives J `(rows, free)`."""
    low = np.full(len(z), -np.inf) if lower is None else lower
    high = np.full(len(z), np.inf) if upper is None else upper
    margin = np.where(np.isfinite(high - low), AT_BOUND * (high - low), 0.0)
    moving = (z > low + margin) & (z < high - margin)
    J = np.where(moving, J, 0.0)
    pull = slope(objective, r)
    curvature = mean_curvature(objective, r, int(moving.sum()))
    number = np.unique(run, return_inverse=True)[1]
    gradients = np.zeros((int(number.max()) + 1, len(z)))
    np.add.at(gradients, number, pull[:, None] * J)
    return Sandwich(
        z=z,
        information=curvature * J.T @ J,
        scores=gradients.T @ gradients,
        moving=moving,
        residuals=r,
        derivatives=J,
        pull=pull,
        curvature=curvature,
        run=number,
        runs=len(gradients),
    )


def slope(objective: Objective, r: np.ndarray) -> np.ndarray:
    """Derivative of the cost at residuals r, of any shape."""
    flat = r.ravel()
    # Few lengths, so that few programs are compiled.
    padded = np.zeros(64 * 2 ** max(int(np.ceil(np.log2(max(len(flat), 1) / 64))), 0))
    padded[: len(flat)] = flat
    return np.asarray(_slopes(objective, padded))[: len(flat)].reshape(r.shape)


@partial(jax.jit, static_argnums=0)
def _slopes(objective: Objective, r: Array) -> Array:
    return jax.vmap(jax.grad(objective.cost))(r)


def mean_curvature(objective: Objective, r: np.ndarray, free: int) -> float:
    """Mean over rows of the cost's second derivative, smoothed over `bandwidth`."""
    width = bandwidth(r, free)
    if width <= 0:
        return float(np.asarray(jax.vmap(jax.hessian(objective.cost))(jnp.asarray(r))).mean())
    return float(((slope(objective, r + width) - slope(objective, r - width)) / (2 * width)).mean())


def relieved(found: Sandwich, values: np.ndarray, *, power: float) -> np.ndarray:
    """`values` `(rows,)` times (I - P)^-power, where P is the block of the hat matrix of each run.

    A fit is drawn towards the runs that it is made of, so that residuals are smaller than errors: power 1/2 makes
    them as wide on average, power 1 makes them those of a fit without the run.
    """
    half = _root_of_inverse(found.derivatives.T @ found.derivatives, found.moving)
    out = values.astype(float)
    for number in range(found.runs):
        rows = found.run == number
        left, size, _ = np.linalg.svd(found.derivatives[rows] @ half, full_matrices=False)
        factor = np.maximum(1 - size**2, LEAST_LEFT) ** -power - 1
        out[rows] += left @ (factor * (left.T @ values[rows]))
    return out


def summed_by_run(pull: np.ndarray, found: Sandwich) -> np.ndarray:
    """Gradient of each run `(runs, free)` where rows pull by `pull` `(rows,)`."""
    gradients = np.zeros((found.runs, len(found.z)))
    np.add.at(gradients, found.run, pull[:, None] * found.derivatives)
    return gradients


def _root_of_inverse(matrix: np.ndarray, moving: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(restricted_inverse(matrix, moving))
    return vectors * np.sqrt(np.maximum(values, 0.0))


def bandwidth(r: np.ndarray, free: int) -> float:
    """Half-width that holds the share of the residuals that Hall and Sheather find best for a median's error."""
    size = np.sort(np.abs(r))
    spare = max(len(r) - free, 1)
    # 0.97 n^(-1/3) is their width in probability, either way of the median, for a 95 % interval.
    share = min(2 * 0.97 * spare ** (-1 / 3), 0.8)
    # A fit of p coefficients passes (nearly) through p rows, which say nothing about the spread.
    within = min(free + share * spare, len(r) - 1)
    return float(np.interp(within, np.arange(len(r)), size))


def restricted_inverse(matrix: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Inverse over what moves, zero elsewhere; directions that no row determines are left out."""
    out = np.zeros_like(matrix)
    index = np.ix_(moving, moving)
    scale = np.sqrt(np.maximum(np.diag(matrix)[moving], 1e-300))
    out[index] = np.linalg.pinv(matrix[index] / np.outer(scale, scale), rcond=1e-12, hermitian=True)
    out[index] /= np.outer(scale, scale)
    return out
