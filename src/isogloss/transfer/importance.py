"""Draws from a density of few dimensions by adaptive importance sampling: from its values alone, no starting point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

# Tails of the proposals: heavier than the posterior's, so that no weight runs away.
TAIL = 10.0
# Part of the prior's spread that every proposal keeps in every direction.
DEFENCE = 0.01
# Halvings of a power's bracket.
HALVINGS = 12
# Of the climb to the mode: steps at most, the gain (nats) below which it ends, the longest step, and differences.
CLIMB, ENOUGH, LONGEST, DIFFERENCE = 8, 0.02, 2.0, 0.02
# Curvature is of the prior, 1, or above; skewed tails can lower it, but not to nothing.
FLATTEST = 0.4


def importance_draws(
    log_likelihood: Callable[[np.ndarray], float], dimensions: int, *, seed: int, size: int = 128, rounds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Points `(rounds * size, dimensions)` and weights summing to 1, for a standard normal prior.

    The first round is of the prior, the second of a Student t about the mode that is found from the best of the
    first; each later one of a Student t about the weighted draws so far. All rounds count, weighted by the mixture of
    their proposals (adaptive multiple importance sampling, Cornuet et al. 2012, arXiv:0907.1254). Each round's points
    are a Latin hypercube (McKay et al. 1979), so that few suffice.
    """

    def log_posterior(u: np.ndarray) -> float:
        return log_likelihood(u) - 0.5 * float(u @ u)

    rng = np.random.default_rng(seed)
    mean, root, tail = np.zeros(dimensions), np.eye(dimensions), np.inf
    points, logs, proposals = np.empty((0, dimensions)), np.empty(0), []
    log_weights = logs
    for i in range(rounds):
        proposals.append((mean, root, tail))
        fresh = _points(rng, size, mean, root, tail)
        points = np.concatenate([points, fresh])
        logs = np.concatenate([logs, [log_posterior(u) for u in fresh]])
        mixture = special.logsumexp([_log_density(points, *p) for p in proposals], axis=0)
        log_weights = logs - mixture
        if i == 0:
            mean, root = _mode(log_posterior, points[np.argmax(logs)])
        else:
            mean, root = _moments(points, tempered(log_weights, 3.0 * dimensions))
        tail = TAIL
    return points, special.softmax(log_weights)


def _mode(log_posterior: Callable[[np.ndarray], float], start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By Newton's steps on differences, and a root of the covariance that the curvature there implies."""
    at, height = start, log_posterior(start)
    values, vectors = np.ones(len(at)), np.eye(len(at))
    for _ in range(CLIMB):
        slope, curvature = _differences(log_posterior, at, height)
        values, vectors = np.linalg.eigh(-curvature)
        values = np.maximum(values, FLATTEST)
        step = vectors @ ((vectors.T @ slope) / values)
        step *= min(1.0, LONGEST / max(float(np.linalg.norm(step)), 1e-12))
        higher = log_posterior(at + step)
        while higher < height and np.linalg.norm(step) > DIFFERENCE:
            step = step / 3
            higher = log_posterior(at + step)
        gain = higher - height
        if gain > 0:
            at, height = at + step, higher
        if gain < ENOUGH:
            break
    return at, np.linalg.cholesky((vectors / values) @ vectors.T)


def _differences(
    function: Callable[[np.ndarray], float], at: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and second derivatives."""
    steps, count = DIFFERENCE * np.eye(len(at)), len(at)
    up = np.array([function(at + step) for step in steps])
    down = np.array([function(at - step) for step in steps])
    second = np.diag(up + down - 2 * height)
    for i in range(count):
        for j in range(i):
            second[i, j] = second[j, i] = function(at + steps[i] + steps[j]) - up[i] - up[j] + height
    return (up - down) / (2 * DIFFERENCE), second / DIFFERENCE**2


def thinned(weights: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` places by systematic resampling, and their new weights."""
    at = np.searchsorted(np.cumsum(weights), (np.arange(count) + rng.random()) / count)
    places, copies = np.unique(np.minimum(at, len(weights) - 1), return_counts=True)
    return places, copies / count


def _points(rng: np.random.Generator, size: int, mean: np.ndarray, root: np.ndarray, tail: float) -> np.ndarray:
    strata = rng.permuted(np.tile(np.arange(size), (len(mean) + 1, 1)), axis=1).T
    uniform = np.clip((strata + rng.random(strata.shape)) / size, 1e-9, 1 - 1e-9)
    normal = special.ndtri(uniform[:, :-1])
    if np.isfinite(tail):
        # Of a chi-square, by its quantile.
        normal *= np.sqrt(tail / (2 * special.gammaincinv(tail / 2, uniform[:, -1])))[:, None]
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


def tempered(log_weights: np.ndarray, enough: float) -> np.ndarray:
    """Weights raised to the highest power, at most 1, at which they count for `enough` draws."""

    def shortage(power: float) -> float:
        weights = special.softmax(power * log_weights)
        return 1 / (weights**2).sum() - enough

    if shortage(1.0) >= 0:
        return special.softmax(log_weights)
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if shortage(middle) > 0 else (low, middle)
    # A power of 0 would count hopeless draws like all others.
    return special.softmax((low or high) * log_weights)


def _moments(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = weights @ points
    centred = points - mean
    covariance = (weights[:, None] * centred).T @ centred + DEFENCE * np.eye(len(mean))
    return mean, np.linalg.cholesky(covariance)
