"""Draws from a density of few dimensions by adaptive importance sampling: no gradients, no starting point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

# Tails of the proposals: heavier than the posterior's, so that no weight runs away.
TAIL = 10.0
# Part of the prior's spread that every proposal keeps in every direction.
DEFENCE = 0.01


def importance_draws(
    log_likelihood: Callable[[np.ndarray], float], dimensions: int, *, seed: int, size: int = 128, rounds: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Points `(rounds * size, dimensions)` and weights summing to 1, for a standard normal prior.

    The first round is of the prior; each later one of a Student t about the weighted draws so far. All rounds count,
    weighted by the mixture of their proposals (adaptive multiple importance sampling, Cornuet et al. 2012,
    arXiv:0907.1254). Points are quasi-random (Sobol), so that few suffice.
    """
    sobol = stats.qmc.Sobol(dimensions + 1, scramble=True, rng=np.random.default_rng(seed))
    mean, root, tail = np.zeros(dimensions), np.eye(dimensions), np.inf
    points, logs, proposals = np.empty((0, dimensions)), np.empty(0), []
    log_weights = logs
    for _ in range(rounds):
        proposals.append((mean, root, tail))
        fresh = _points(sobol, size, mean, root, tail)
        points = np.concatenate([points, fresh])
        logs = np.concatenate([logs, [log_likelihood(u) - 0.5 * u @ u for u in fresh]])
        mixture = special.logsumexp([_log_density(points, *p) for p in proposals], axis=0)
        log_weights = logs - mixture
        mean, root = _moments(points, _tempered(log_weights, 3.0 * dimensions))
        tail = TAIL
    return points, special.softmax(log_weights)


def thinned(weights: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` places by systematic resampling, and their new weights."""
    at = np.searchsorted(np.cumsum(weights), (np.arange(count) + rng.random()) / count)
    places, copies = np.unique(np.minimum(at, len(weights) - 1), return_counts=True)
    return places, copies / count


def _points(sobol: stats.qmc.Sobol, size: int, mean: np.ndarray, root: np.ndarray, tail: float) -> np.ndarray:
    uniform = np.clip(sobol.random(size), 1e-9, 1 - 1e-9)
    normal = special.ndtri(uniform[:, :-1])
    if np.isfinite(tail):
        normal *= np.sqrt(tail / stats.chi2.ppf(uniform[:, -1], tail))[:, None]
    return mean + normal @ root.T


def _log_density(points: np.ndarray, mean: np.ndarray, root: np.ndarray, tail: float) -> np.ndarray:
    """With its constants: proposals of unlike tails are mixed."""
    d = len(mean)
    squares = (np.linalg.solve(root, (points - mean).T) ** 2).sum(axis=0)
    scale = np.log(np.abs(np.diag(root))).sum()
    if np.isinf(tail):
        return -0.5 * squares - scale - 0.5 * d * np.log(2 * np.pi)
    constant = special.gammaln((tail + d) / 2) - special.gammaln(tail / 2) - 0.5 * d * np.log(tail * np.pi)
    return constant - scale - 0.5 * (tail + d) * np.log1p(squares / tail)


def _tempered(log_weights: np.ndarray, enough: float) -> np.ndarray:
    """Weights raised to the highest power, at most 1, at which they count for `enough` draws."""

    def shortage(power: float) -> float:
        weights = special.softmax(power * log_weights)
        return 1 / (weights**2).sum() - enough

    if shortage(1.0) >= 0:
        return special.softmax(log_weights)
    return special.softmax(optimize.brentq(shortage, 0.0, 1.0, xtol=1e-3) * log_weights)


def _moments(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = weights @ points
    centred = points - mean
    covariance = (weights[:, None] * centred).T @ centred + DEFENCE * np.eye(len(mean))
    return mean, np.linalg.cholesky(covariance)
