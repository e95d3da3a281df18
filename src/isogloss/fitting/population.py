"""The population from which languages' coefficients are drawn, and its estimate from what each language's rows say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.fitting.groups import Groups
from isogloss.fitting.noise import Noise, drawn_in
from isogloss.fitting.problem import residuals
from isogloss.fitting.sandwich import AT_BOUND

STEPS = 1000
# How far languages differ before anything is known, as a standard deviation: of logarithms, of losses as a fraction
# of the median, of other coefficients. It counts as much as PRIOR_GROUPS languages in what is estimated.
BEFORE_LOG, BEFORE_LOSS, BEFORE_OTHER = 0.3, 0.1, 0.15
PRIOR_GROUPS = 2.0
# Precision of what a bound holds, over that of what is assumed before anything is known.
FIRM = 1e6


@dataclass(frozen=True)
class Population:
    """Where the languages' coordinates lie: `mean` `(free,)`, `covariance` `(free, free)`, zero where not pooled."""

    mean: np.ndarray
    covariance: np.ndarray
    mean_error: np.ndarray
    """Covariance of `mean` `(free, free)`."""

    def precision(self) -> np.ndarray:
        return np.linalg.pinv(self.covariance, hermitian=True)


def before(groups: Groups, common: np.ndarray, movable: np.ndarray) -> Population:
    """Wide, around the law that all have in `common` `(free,)`."""
    wide = np.where(movable, (3 * assumed_widths(groups)) ** 2, 0.0)
    return Population(common, np.diag(wide), np.diag(wide))


def estimate(
    groups: Groups,
    z: np.ndarray,
    noise: Noise,
    clustering: np.ndarray,
    population: Population,
    movable: np.ndarray,
) -> tuple[Population, float]:
    """The population and the noise's sigma of greatest likelihood, by expectation and maximisation (Laird and Ware
    1982), in the linear model that the rows are around every group's mode z `(groups, free)`.

    Both must be found together: a group of as many rows as coefficients passes through its rows, and whether that
    is because languages differ much or because its rows are exact only all groups together can tell. `clustering`
    `(groups,)` divides the rows' information for runs that err together.
    """
    index = np.flatnonzero(movable)
    squares, towards, left = _linear(groups, z, index)
    held, at_bound = _held_by_bounds(groups, z, index)
    worth = 1 / (noise.scale**2 * clustering)
    mean, covariance = population.mean[index], population.covariance[np.ix_(index, index)]
    widths, seen = assumed_widths(groups)[index], groups.seen[:, index].astype(float)
    alike = [block[index] for block in same_coefficient(groups)]
    rows = sum(p.rows for p in groups.problems)
    sigma = noise.sigma
    for _ in range(STEPS):
        precision = np.linalg.inv(covariance)
        information = squares * (worth / sigma**2)[:, None, None]
        errors = np.linalg.inv(information + held + precision)
        says = towards * (worth / sigma**2)[:, None] + at_bound + precision @ mean
        modes = np.einsum("gij,gj->gi", errors, says)
        new_mean = _mean(modes, seen, alike)
        new = _covariance(modes - new_mean, errors, seen, alike, widths)
        new_sigma = _sigma(modes, z[:, index], squares, left, errors, noise.scale, rows)
        width, old = np.sqrt(np.diag(new)), np.sqrt(np.diag(covariance))
        moved = max(np.abs(new_mean - mean).max(), np.abs(width - old).max(), abs(new_sigma / sigma - 1))
        mean, covariance, sigma = new_mean, new, new_sigma
        if moved < 1e-6:
            break
    information = squares * (worth / sigma**2)[:, None, None] + held
    full, error, at = np.zeros_like(population.covariance), np.zeros_like(population.covariance), population.mean.copy()
    full[np.ix_(index, index)], at[index] = covariance, mean
    error[np.ix_(index, index)] = np.linalg.inv(np.linalg.inv(covariance + _inverse_each(information)).sum(0))
    return Population(at, full, error), sigma


def settled(old: Population, new: Population, movable: np.ndarray) -> bool:
    width = np.sqrt(np.maximum(np.diag(new.covariance)[movable], 1e-12))
    before = np.sqrt(np.maximum(np.diag(old.covariance)[movable], 1e-12))
    moved = np.abs(new.mean - old.mean)[movable] / width
    return bool(moved.max(initial=0.0) < 0.02 and np.abs(np.log(width / before)).max(initial=0.0) < 0.02)


def _linear(groups: Groups, z: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each group's rows, r + J (z' - z): J'J, J'(J z - r), and r with far ones drawn in, as its sum of squares and
    J'r: `(groups, moved, moved)`, `(groups, moved)`, `(groups, 1 + moved)`."""
    squares, towards, left = [], [], []
    for group, problem in enumerate(groups.problems):
        r, J = residuals(problem, z[group])
        J, r = J[:, index], drawn_in(r)
        squares.append(J.T @ J)
        towards.append(J.T @ (J @ z[group, index] - r))
        left.append(np.concatenate([[r @ r], J.T @ r]))
    return np.array(squares), np.array(towards), np.array(left)


def _held_by_bounds(groups: Groups, z: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision `(groups, moved, moved)` that keeps what a bound holds where it is, and that times z `(groups, moved)`.
    Linear rows know no bounds: with an E below 0 they would find a beta that no language has."""
    low, high = groups.lower[:, index], groups.upper[:, index]
    margin = AT_BOUND * (high - low)
    stuck = (z[:, index] <= low + margin) | (z[:, index] >= high - margin)
    firm = np.where(stuck, FIRM / assumed_widths(groups)[index] ** 2, 0.0)
    return firm[:, :, None] * np.eye(len(index)), firm * z[:, index]


def _sigma(
    modes: np.ndarray,
    z: np.ndarray,
    squares: np.ndarray,
    left: np.ndarray,
    errors: np.ndarray,
    scale: np.ndarray,
    rows: int,
) -> float:
    """Root of the expected mean square of the rows' noise, each over its group's scale."""
    away = modes - z
    sums = left[:, 0] + 2 * (left[:, 1:] * away).sum(1) + np.einsum("gi,gij,gj->g", away, squares, away)
    unknown = np.einsum("gij,gji->g", squares, errors)
    return float(np.sqrt(max(((sums + unknown) / scale**2).sum() / rows, 1e-14)))


def _mean(modes: np.ndarray, seen: np.ndarray, alike: list[np.ndarray]) -> np.ndarray:
    mean = modes.mean(0)
    for block in alike:
        weight = seen[:, block]
        mean[block] = (modes[:, block] * weight).sum() / max(weight.sum(), 1.0)
    return mean


def _covariance(
    away: np.ndarray, errors: np.ndarray, seen: np.ndarray, alike: list[np.ndarray], widths: np.ndarray
) -> np.ndarray:
    """Elements of one coefficient have one variance, and vary by themselves."""
    moments_ = np.einsum("gi,gj->gij", away, away) + errors
    covariance = (moments_.sum(0) + np.diag(widths**2) * PRIOR_GROUPS) / (max(len(away) - 1, 1) + PRIOR_GROUPS)
    for block in alike:
        weight = seen[:, block]
        squares = (np.einsum("gii->gi", moments_)[:, block] * weight).sum() + PRIOR_GROUPS * (widths[block] ** 2).mean()
        covariance[block, :] = covariance[:, block] = 0.0
        covariance[block, block] = squares / (max(weight.sum() - 1, 1.0) + PRIOR_GROUPS)
    return covariance


def same_coefficient(groups: Groups) -> list[np.ndarray]:
    """Coordinates that are elements of one coefficient, such as the weights of the first, second and third source:
    a language's sources are drawn from one population."""
    slots = [groups.layout.slots[i] for i in groups.layout.free]
    names = dict.fromkeys(s.coefficient for s in slots if s.name != s.coefficient)
    return [np.array([s.coefficient == name for s in slots]) for name in names]


def assumed_widths(groups: Groups) -> np.ndarray:
    """How far languages are taken to differ before anything is known `(free,)`, as a standard deviation."""
    typical = float(np.median(np.abs(np.concatenate([p.loss for p in groups.problems]))))
    slots = [groups.layout.slots[i] for i in groups.layout.free]
    return np.array(
        [BEFORE_LOG if s.log else BEFORE_LOSS * typical if s.of_loss else BEFORE_OTHER for s in slots], float
    )


def _inverse_each(information: np.ndarray) -> np.ndarray:
    """Directions that no row of the group tells have a variance beyond all others, not none."""
    diagonal = np.einsum("gii->gi", information)
    ridge = 1e-9 * diagonal.max(1, keepdims=True) + 1e-12
    return np.linalg.inv(information + np.eye(information.shape[1]) * ridge[:, :, None])
