"""Partial pooling: the coefficients of languages as draws from a population that the languages themselves show.

Empirical Bayes. Given the population every group is solved with it as its prior; given every group's mode the
population is estimated anew, with the noise; in turns until both stand still. A group with hundreds of rows keeps its
own law; one with four is drawn to where its rows and its neighbours agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isogloss.fitting.groups import Groups
from isogloss.fitting.joint import Joint, descend
from isogloss.fitting.noise import Noise, curvature, dispersions, noise_of
from isogloss.fitting.population import Population, before, estimate, settled
from isogloss.fitting.solve import QUICK, THOROUGH, Prior

ROUNDS = 12
# To what fraction of the objective an optimum is needed while the population is still moving.
MEANWHILE = 1e-4


@dataclass(frozen=True)
class Pooled:
    """z `(groups, free)`; `hessian` and `scores` `(groups, free, free)` are of the rows alone, over `dispersion`
    and its square: in units in which the prior is `population`'s."""

    z: np.ndarray
    population: Population
    hessian: np.ndarray
    scores: np.ndarray
    dispersion: np.ndarray
    joint: Joint
    noise: Noise


def pool(
    groups: Groups, starts: np.ndarray, common: np.ndarray, *, progress: Callable[[int], None] | None = None
) -> Pooled:
    """From `starts` `(starts, groups, free)` and the law that all have in `common` `(free,)`."""
    movable = groups.seen.any(0) & ~groups.shared
    population = before(groups, common, movable)
    at = np.broadcast_to(common, starts.shape[1:])
    dispersion = dispersions(*curvature(groups, at, noise_of(groups, at)))
    every = np.concatenate([starts, at[None]])
    z, sigma, spent = every, None, None
    for turn in range(ROUNDS):
        prior = _prior(population, dispersion, len(groups), movable)
        joint = descend(
            groups, _held(groups, z, population.mean, movable), prior=prior, effort=QUICK, tolerance=MEANWHILE
        )
        z = joint.z[[joint.best()]]
        noise = noise_of(groups, z[0], spent=spent, sigma=sigma)
        hessian, scores = curvature(groups, z[0], noise)
        spent = _spent(hessian / dispersions(hessian, scores)[:, None, None], population)
        dispersion = dispersions(hessian, scores)
        old = population
        clustering = dispersion * noise.curvature / noise.pull
        population, sigma = estimate(groups, z[0], noise, clustering, old, movable)
        if progress is not None:
            progress(turn + 1)
        if turn and settled(old, population, movable):
            break
    prior = _prior(population, dispersion, len(groups), movable)
    # The starts once more, under the prior as it is now: do they agree?
    again = _held(groups, np.concatenate([z, every]), population.mean, movable)
    joint = descend(groups, again, prior=prior, effort=THOROUGH)
    best = joint.z[joint.best()]
    noise = noise_of(groups, best, spent=spent, sigma=sigma)
    hessian, scores = curvature(groups, best, noise)
    scaled = hessian / dispersion[:, None, None], scores / dispersion[:, None, None] ** 2
    return Pooled(best, population, *scaled, dispersion, joint, noise)


def _prior(population: Population, dispersion: np.ndarray, groups: int, movable: np.ndarray) -> Prior:
    """In units of the rows' cost: a group whose rows are noisy is held the more."""
    precision = np.where(movable[:, None] & movable[None, :], population.precision(), 0.0)
    mean = np.broadcast_to(population.mean, (groups, len(movable)))
    return Prior(mean, dispersion[:, None, None] * precision)


def _held(groups: Groups, z: np.ndarray, mean: np.ndarray, movable: np.ndarray) -> np.ndarray:
    """What no row of any group depends on stays where the population has it."""
    return np.clip(np.where(movable | groups.shared, z, mean), groups.lower, groups.upper)


def _spent(hessian: np.ndarray, population: Population) -> np.ndarray:
    """Effective number of coefficients `(groups,)` that each group's own rows determine against the prior."""
    total = np.linalg.pinv(hessian + population.precision(), hermitian=True)
    return np.clip(np.einsum("gij,gji->g", total, hessian), 0.0, None)
