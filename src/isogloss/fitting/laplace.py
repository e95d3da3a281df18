"""Draws without refits: Student's t about the optimum, as wide as the clustered sandwich says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isogloss.fitting.sandwich import Sandwich, relieved, restricted_inverse, summed_by_run
from isogloss.fitting.solved import Solved


def laplace(
    solved: Solved, draws: int, rng: np.random.Generator, report: Callable[[int], None] | None = None
) -> np.ndarray:
    """`(draws, free)`: what a bound holds does not move, and nothing leaves the box."""
    found = solved.sandwich()
    freedom = spare_runs(found)
    steps = rng.normal(size=(draws, len(found.z))) @ root(covariance_of_few(found)).T
    steps *= np.sqrt(freedom / rng.chisquare(freedom, size=draws))[:, None]
    if report is not None:
        report(draws)
    return solved.inside(found.z + steps)


def spare_runs(found: Sandwich) -> int:
    """Degrees of freedom: runs beyond those that the coefficients take up."""
    return max(found.runs - int(found.moving.sum()), 1)


def covariance_of_few(found: Sandwich) -> np.ndarray:
    """Of z `(free, free)`, with each run's pull freed of half its leverage (CR2, Bell and McCaffrey 2002)."""
    gradients = summed_by_run(relieved(found, found.pull, power=0.5), found)
    inverse = restricted_inverse(found.information, found.moving)
    return inverse @ (gradients.T @ gradients) @ inverse


def root(covariance: np.ndarray) -> np.ndarray:
    """R with R R' = covariance, also where it is singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
