"""Draws of the coefficients of several groups from their sampling distribution at the joint optimum.

The errors of what is shared, of the population's mean and of each group's own rows are drawn one after the other:
a group's own coefficients follow the first two as its optimum would. Where a group is pooled, its error has two
parts, the noise of its rows and how far its language lies from the population, so that intervals hold over the
languages: some are drawn to the mean too far and some not enough (empirical Bayes; Morris 1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.fitting.groups import Groups
from isogloss.fitting.noise import Noise
from isogloss.fitting.population import Population
from isogloss.fitting.problem import residuals
from isogloss.fitting.sandwich import AT_BOUND, slope


@dataclass(frozen=True)
class Optimum:
    """At z `(groups, free)`: the rows' expected Hessian and the covariance of their gradient, as minus log
    likelihoods `(groups, free, free)`, and `dispersion` `(groups,)`, by which the cost was divided."""

    z: np.ndarray
    hessian: np.ndarray
    scores: np.ndarray
    dispersion: np.ndarray
    noise: Noise
    population: Population | None


@dataclass(frozen=True)
class Drawn:
    """Draws in moved coordinates: z `(groups, draws, free)`, and where there is a population, `others`
    `(draws, free)`, languages that are not among these."""

    z: np.ndarray
    others: np.ndarray | None


def draw(groups: Groups, optimum: Optimum, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Moved coordinates `(groups, draws, free)`, within bounds."""
    shared, own = groups.shared, ~groups.shared
    count, free = optimum.z.shape
    out = np.repeat(optimum.z[:, None, :], draws, axis=1)
    prior = np.zeros((free, free)) if optimum.population is None else optimum.population.precision()
    parts = [_eliminate(groups, optimum, group, prior) for group in range(count)]
    if shared.any():
        moved = _draw(_shared_covariance(groups, optimum, parts), draws, rng)
        out[:, :, shared] += moved
        for group, part in enumerate(parts):
            out[group][:, own] -= moved @ part.follow.T
    if optimum.population is not None:
        error = optimum.population.mean_error
        moved = _draw(error, draws, rng)
        for group, part in enumerate(parts):
            followed = _given_still(moved, error, _stuck(groups, optimum, group))
            out[group][:, own] += followed[:, own] @ prior[np.ix_(own, own)] @ part.inverse
    for group, part in enumerate(parts):
        scores = optimum.scores[group][np.ix_(own, own)] + prior[np.ix_(own, own)]
        out[group][:, own] += _draw(part.inverse @ scores @ part.inverse, draws, rng)
    return np.clip(out, groups.lower[:, None, :], groups.upper[:, None, :])


def draw_others(groups: Groups, optimum: Optimum, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other languages of the population `(draws, free)`, with what is shared from draws z `(draws, free)`."""
    population = optimum.population
    assert population is not None
    mean = np.where(groups.shared, optimum.z[0], population.mean)
    wide = population.covariance + population.mean_error
    drawn = rng.multivariate_normal(np.zeros(len(mean)), wide, size=len(z), method="eigh")
    held = np.all([_stuck(groups, optimum, group) for group in range(len(groups))], axis=0)
    drawn = mean + _given_still(drawn, wide, held)
    drawn[:, groups.shared] = z[:, groups.shared]
    return drawn


def own_share(optimum: Optimum) -> np.ndarray:
    """How much of each coefficient `(groups, free)` comes from the group's own rows, 1 being all: one less the
    part of the population's variance that is left when the rows are known."""
    if optimum.population is None:
        return np.ones(optimum.z.shape)
    prior, variance = optimum.population.precision(), np.diag(optimum.population.covariance)
    out = np.ones(optimum.z.shape)
    pooled = variance > 0
    for group, hessian in enumerate(optimum.hessian):
        left = np.diag(np.linalg.pinv(hessian + prior, hermitian=True))
        out[group, pooled] = np.clip(1 - left[pooled] / variance[pooled], 0.0, 1.0)
    return out


@dataclass(frozen=True)
class _Part:
    """A group without its own coordinates: how these `follow` `(own, shared)` what is shared, the `inverse` of
    their curvature, and the `core` `(shared, shared)` that is left."""

    follow: np.ndarray
    inverse: np.ndarray
    core: np.ndarray


def _eliminate(groups: Groups, optimum: Optimum, group: int, prior: np.ndarray) -> _Part:
    shared, own = groups.shared, ~groups.shared
    whole = optimum.hessian[group] + prior
    inner = whole[np.ix_(own, own)].copy()
    # A bound holds its coordinate; what no row tells would have no error at all by a pseudo-inverse.
    fixed = _stuck(groups, optimum, group)[own] | (~groups.seen[group][own] & (np.diag(inner) <= 0))
    inner[fixed, :] = inner[:, fixed] = 0.0
    diagonal = np.diag(inner)
    ridge = np.where(fixed, 1.0, 1e-9 * diagonal + 1e-12 * diagonal.max(initial=1e-12))
    inverse = np.linalg.inv(inner + np.diag(ridge))
    inverse[fixed, :] = inverse[:, fixed] = 0.0
    border = whole[np.ix_(own, shared)]
    return _Part(inverse @ border, inverse, whole[np.ix_(shared, shared)] - border.T @ inverse @ border)


def _stuck(groups: Groups, optimum: Optimum, group: int) -> np.ndarray:
    """Coordinates `(free,)` that a bound holds."""
    low, high, z = groups.lower[group], groups.upper[group], optimum.z[group]
    margin = AT_BOUND * (high - low)
    return (z <= low + margin) | (z >= high - margin)


def _given_still(moved: np.ndarray, covariance: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Draws `moved` `(draws, free)` of this covariance, given that what a bound holds does not move: if A followed an
    alpha that cannot, the loss would be anything."""
    if not still.any():
        return moved
    of_still = np.linalg.pinv(covariance[np.ix_(still, still)], hermitian=True)
    return np.where(still, 0.0, moved - moved[:, still] @ of_still @ covariance[still, :])


def _shared_covariance(groups: Groups, optimum: Optimum, parts: list[_Part]) -> np.ndarray:
    """Of what is shared: its gradient adds up the groups', whose errors go together where a run was measured on
    several targets."""
    shared, own = groups.shared, ~groups.shared
    count = int(max(run.max() for run in groups.run)) + 1
    core = np.sum([part.core for part in parts], axis=0)
    scores = np.zeros_like(core)
    sums, squares = np.zeros((count, shared.sum())), np.zeros((shared.sum(), shared.sum()))
    pulls = []
    for group, (problem, part) in enumerate(zip(groups.problems, parts, strict=True)):
        B = optimum.scores[group]
        cross = B[np.ix_(own, shared)]
        scores += B[np.ix_(shared, shared)] + part.follow.T @ B[np.ix_(own, own)] @ part.follow
        scores -= part.follow.T @ cross + cross.T @ part.follow
        r, J = residuals(problem, optimum.z[group])
        left = (J[:, shared] - J[:, own] @ part.follow) * np.sqrt(optimum.noise.pull[group])
        of_run = np.zeros_like(sums)
        np.add.at(of_run, groups.run[group], left / optimum.dispersion[group])
        sums += of_run
        squares += of_run.T @ of_run
        pulls.append(slope(problem.objective, r))
    scores += _across(groups, pulls) * (sums.T @ sums - squares)
    held = _stuck(groups, optimum, 0)[shared]
    core[held, :] = core[:, held] = 0.0
    inverse = np.linalg.pinv(core, hermitian=True)
    return inverse @ scores @ inverse


def _across(groups: Groups, pulls: list[np.ndarray]) -> float:
    """Correlation of the slopes of rows of one run on different targets; not below zero."""
    count = int(max(run.max() for run in groups.run)) + 1
    total, squares, rows = np.zeros(count), np.zeros(count), np.zeros(count)
    apart = np.zeros(count)
    for run, pull in zip(groups.run, pulls, strict=True):
        of_run, counts = np.bincount(run, pull, count), np.bincount(run, minlength=count)
        total, squares, rows = total + of_run, squares + of_run**2, rows + counts
        apart += counts**2
    pairs = float((rows**2 - apart).sum())
    variance = float(sum((p**2).sum() for p in pulls) / max(sum(len(p) for p in pulls), 1))
    return float(np.clip((total**2 - squares).sum() / pairs / variance, 0.0, 0.99)) if pairs and variance else 0.0


def _draw(covariance: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return rng.standard_normal((draws, len(values))) @ root.T
