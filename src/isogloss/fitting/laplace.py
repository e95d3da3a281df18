"""Draws without refits: normal about the optimum, as wide as the clustered sandwich says."""

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
    steps = rng.normal(size=(draws, len(found.z))) @ root(covariance_of_few(found)).T
    if report is not None:
        report(draws)
    return solved.inside(found.z + steps)


def covariance_of_few(found: Sandwich) -> np.ndarray:
    """Of z `(free, free)`, with each run's pull freed of its leverage: the jackknife over runs, one step each.

    Half the leverage with Student's t (CR2, Bell and McCaffrey 2002) was found too narrow: docs/intervals.md.
    """
    gradients = summed_by_run(relieved(found, found.pull, power=1.0), found)
    inverse = restricted_inverse(found.information, found.moving)
    return (found.runs - 1) / found.runs * inverse @ (gradients.T @ gradients) @ inverse


def root(covariance: np.ndarray) -> np.ndarray:
    """R with R R' = covariance, also where it is singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
