"""Weights that runs tell, drawn to a prediction: the two densities, their product, and how far they contradict.

What runs say is near normal in tau, since effective tokens are linear in it. What a prediction says is near normal in
u = log(1 + tau), which is y = log(d_mono / d_bi) of `mixture` plus log 2. The product is taken with each in its own
scale, at its mode in u (Laplace), so that no weight comes out at -1 or below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats
from scipy.linalg import cho_factor, cho_solve, solve_triangular

# A draw this near to a bound, as a part of the room between the bounds, was stopped by it.
AT_BOUND = 1e-6
# Of the widest population's variance: correlation matrices by ranks need not be positive.
LEAST_EIGENVALUE = 1e-4
STEPS = 100
# Half-normal priors of the logarithms of the factors by which the covariances of a prediction, often of other runs, and
# of the runs at hand are widened, and what neither exceeds.
WIDENING = np.array([1.5, 0.7])
MOST_WIDENING = 100.0
# Directions about which the runs say less than this part of what the prediction says show no contradiction.
INFORMED = 0.1


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal in tau, of S weights. `sd` is infinite where draws do not tell it."""

    mean: np.ndarray
    sd: np.ndarray
    correlation: np.ndarray

    def covariance(self, which: np.ndarray) -> np.ndarray:
        """Of some of the weights, whose sd is finite."""
        return self.correlation[np.ix_(which, which)] * np.outer(self.sd[which], self.sd[which])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What runs say of P weights: log density -tau' precision tau / 2 + pull' tau; singular where they say nothing."""

    precision: np.ndarray
    pull: np.ndarray

    def slope(self, u: np.ndarray) -> np.ndarray:
        """Of the log density, by u."""
        return np.exp(u) * (self.pull - self.precision @ np.expm1(u))

    def value(self, u: np.ndarray) -> float:
        tau = np.expm1(u)
        return float(self.pull @ tau - 0.5 * tau @ self.precision @ tau)


@dataclass(frozen=True, eq=False)
class Product:
    """Normal in u `(P,)`, by a root of its covariance."""

    mean: np.ndarray
    root: np.ndarray
    of_prediction: float
    """By this factor the prediction's covariance was widened."""
    of_runs: float
    """By this factor that of the runs' evidence was."""

    @property
    def sd(self) -> np.ndarray:
        return np.sqrt((self.root**2).sum(1))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Weights tau `(n, P)`."""
        return np.expm1(self.mean + rng.standard_normal((n, len(self.mean))) @ self.root.T)


def normal_of(mean: np.ndarray, draws: np.ndarray, bounds: tuple[float, float]) -> Normal:
    """Of draws `(n, S)` that may be clipped at bounds and have heavy tails: by quantiles, and ranks' correlations."""
    low, high = bounds
    margin = AT_BOUND * (high - low)
    middle = np.median(draws, axis=0)
    sd = np.empty(len(mean))
    for i, column in enumerate(draws.T):
        below, above = np.quantile(column, [0.16, 0.84])
        # A quantile at the bound is the bound's.
        sides = [abs(q - middle[i]) for q in (below, above) if low + margin < q < high - margin]
        free = low + margin < middle[i] < high - margin and low + margin < mean[i] < high - margin
        sd[i] = float(np.mean(sides)) / -special.ndtri(0.16) if sides and free else np.inf
    sd[sd < 1e-12] = np.inf
    return Normal(mean, sd, _by_ranks(draws))


def evidence_of(found: Normal, population: Normal | None) -> Evidence:
    """Of one target's weights `(S,)`; the population that the fit had as its prior is divided out."""
    size = len(found.mean)
    precision, pull = np.zeros((size, size)), np.zeros(size)
    known = np.flatnonzero(np.isfinite(found.sd) & (True if population is None else np.isfinite(population.sd)))
    if not len(known):
        return Evidence(precision, pull)
    grid = np.ix_(known, known)
    inverse = np.linalg.inv(found.covariance(known))
    if population is None:
        precision[grid], pull[known] = inverse, inverse @ found.mean[known]
        return Evidence(precision, pull)
    root = np.linalg.cholesky(population.covariance(known))
    values, vectors = np.linalg.eigh(root.T @ inverse @ root)
    # In these coordinates the population is standard: what is above 1 comes from the rows.
    away = vectors.T @ solve_triangular(root, found.mean[known] - population.mean[known], lower=True)
    centre = vectors.T @ solve_triangular(root, population.mean[known], lower=True)
    own = np.maximum(values - 1, 0)
    back = solve_triangular(root, vectors, lower=True, trans=1)
    precision[grid] = (back * own) @ back.T
    pull[known] = back @ (own * centre + np.where(own > 0, values * away, 0))
    return Evidence(precision, pull)


def together(parts: list[Evidence]) -> Evidence:
    """Of several targets, whose errors are taken as independent."""
    size = sum(len(part.pull) for part in parts)
    precision, at = np.zeros((size, size)), 0
    for part in parts:
        end = at + len(part.pull)
        precision[at:end, at:end] = part.precision
        at = end
    return Evidence(precision, np.concatenate([part.pull for part in parts]))


def product(evidence: Evidence, mean: np.ndarray, covariance: np.ndarray) -> Product:
    """Of the evidence and a prediction, normal in u with `mean` `(P,)` and `covariance` `(P, P)`.

    Where the two contradict by more than their errors, `widening` widens one or both; neither is ever narrowed.
    """
    of_prediction, of_runs = widening(evidence, mean, covariance)
    evidence = Evidence(evidence.precision / of_runs, evidence.pull / of_runs)
    factor = cho_factor(of_prediction * covariance, lower=True)
    inverse = cho_solve(factor, np.eye(len(mean)))
    mode = _mode(evidence, mean, inverse)
    scale = np.exp(mode)
    hessian = inverse + evidence.precision * np.outer(scale, scale)
    root = _inverse_root(hessian - np.diag(evidence.slope(mode)))
    if root is None:
        # Far from both, the bend of the scale may be stronger than what is known.
        root = _inverse_root(hessian)
    assert root is not None
    return Product(mode, root, of_prediction, of_runs)


def widening(evidence: Evidence, mean: np.ndarray, covariance: np.ndarray) -> tuple[float, float]:
    """Factors, at least 1, on the covariances of the prediction and of the runs: of greatest posterior density.

    At the prediction's mean the slope of the evidence is normal with variance runs l + prediction l^2 along each
    eigenvector of the evidence's precision where the prediction is standard, l its eigenvalue. What the runs tell well
    shows how far the prediction is off, what they tell badly how far they are off themselves.
    """
    root = np.linalg.cholesky(covariance)
    scale = np.exp(mean)
    values, vectors = np.linalg.eigh(root.T @ (evidence.precision * np.outer(scale, scale)) @ root)
    told = values > INFORMED
    if not told.any():
        return 1.0, 1.0
    values, squares = values[told], (vectors.T @ root.T @ evidence.slope(mean))[told] ** 2

    def cost(logs: np.ndarray) -> float:
        variance = np.exp(logs[1]) * values + np.exp(logs[0]) * values**2
        return float((np.log(variance) + squares / variance).sum() + ((logs / WIDENING) ** 2).sum())

    bounds = [(0.0, np.log(MOST_WIDENING))] * 2
    found = [optimize.minimize(cost, np.array(start), bounds=bounds) for start in ((0.0, 0.0), (1.0, 0.1), (0.1, 1.0))]
    of_prediction, of_runs = np.exp(min(found, key=lambda f: f.fun).x).tolist()
    return of_prediction, of_runs


def _mode(evidence: Evidence, mean: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    def height(u: np.ndarray) -> float:
        return evidence.value(u) - 0.5 * float((u - mean) @ inverse @ (u - mean))

    u, best = mean.copy(), height(mean)
    for _ in range(STEPS):
        scale = np.exp(u)
        slope = evidence.slope(u) - inverse @ (u - mean)
        step = np.linalg.solve(inverse + evidence.precision * np.outer(scale, scale), slope)
        while height(u + step) < best and np.abs(step).max() > 1e-12:
            step = step / 2
        u, best = u + step, height(u + step)
        if np.abs(step).max() < 1e-9:
            break
    return u


def _inverse_root(matrix: np.ndarray) -> np.ndarray | None:
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    return solve_triangular(lower, np.eye(len(matrix)), lower=True, trans=1)


def _by_ranks(draws: np.ndarray) -> np.ndarray:
    ranks = stats.rankdata(draws, axis=0)
    centred = ranks - ranks.mean(0)
    size = np.sqrt((centred**2).sum(0))
    spearman = (centred.T @ centred) / np.maximum(np.outer(size, size), 1e-300)
    # A normal's correlation from that of its ranks (Pearson 1907).
    values, vectors = np.linalg.eigh(2 * np.sin(np.pi / 6 * spearman))
    matrix = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    diagonal = np.sqrt(np.diag(matrix))
    return matrix / np.outer(diagonal, diagonal)
