"""Partial pooling: the coefficients of languages as draws from a population that the languages themselves show.

Empirical Bayes. Each group's moved coordinates z are normal around the population's mean; given mean and
covariance every group is solved with that as its prior, and given every group's mode and curvature the population
is estimated by expectation and maximisation (Dempster, Laird and Rubin 1977; Laird and Ware 1982), in turns. A
group with hundreds of rows keeps its own law; one with four is drawn to where its rows and its neighbours agree.

What a row is worth against the prior follows from the residuals of all groups together: the variance of the cost's
slope over its mean derivative, with the correlation that rows of one run have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isogloss.fitting.groups import Groups
from isogloss.fitting.joint import Joint, descend
from isogloss.fitting.sandwich import mean_curvature, slope
from isogloss.fitting.solve import QUICK, THOROUGH, Prior, moments, residuals

ROUNDS = 12
EM_STEPS = 300
# How far languages differ before anything is known, as a standard deviation: of logarithms, of losses as a fraction
# of the median, of other coefficients. It counts as much as PRIOR_GROUPS languages in what is estimated.
BEFORE_LOG, BEFORE_LOSS, BEFORE_OTHER = 0.3, 0.1, 0.15
PRIOR_GROUPS = 2.0
# A group's own noise is believed as far as its rows outnumber these.
NOISE_ROWS = 20.0


@dataclass(frozen=True)
class Noise:
    """What the residuals say of the noise. `scale` `(groups,)` is relative, `pull` the variance of the cost's slope,
    `curvature` its mean derivative, both `(groups,)`; `together` the correlation of slopes within a run."""

    scale: np.ndarray
    pull: np.ndarray
    curvature: np.ndarray
    together: float


@dataclass(frozen=True)
class Population:
    """Where the languages' coordinates lie: `mean` `(free,)`, `covariance` `(free, free)`, zero where not pooled."""

    mean: np.ndarray
    covariance: np.ndarray
    mean_error: np.ndarray
    """Covariance of `mean` `(free, free)`."""

    def precision(self) -> np.ndarray:
        return _inverse(self.covariance)


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
    sources = _same_coefficient(groups)
    population = _before(groups, common, movable)
    z = np.concatenate([starts, np.broadcast_to(common, starts[:1].shape)])
    dispersion = _dispersion_of(groups, np.broadcast_to(common, starts.shape[1:]))
    joint = None
    for turn in range(ROUNDS):
        prior = _prior(groups, population, dispersion, movable)
        joint = descend(groups, _held(groups, z, population.mean, movable), prior=prior, effort=QUICK)
        best = joint.z[joint.best()]
        noise = noise_of(groups, best)
        hessian, scores = curvature(groups, best, noise)
        dispersion = dispersions(hessian, scores)
        before = population
        population = _expect(groups, best, hessian / dispersion[:, None, None], population, movable, sources)
        z = best[None]
        if progress is not None:
            progress(turn + 1)
        if turn and _settled(before, population, movable):
            break
    assert joint is not None
    prior = _prior(groups, population, dispersion, movable)
    joint = descend(groups, z, prior=prior, effort=THOROUGH)
    best = joint.z[0]
    noise = noise_of(groups, best)
    hessian, scores = curvature(groups, best, noise)
    scaled = hessian / dispersion[:, None, None], scores / dispersion[:, None, None] ** 2
    return Pooled(best, population, *scaled, dispersion, joint, noise)


# --- the population ---------------------------------------------------------------------------------


def _same_coefficient(groups: Groups) -> list[np.ndarray]:
    """Coordinates that are elements of one coefficient, such as the weights of the first, second and third source:
    a language's sources are drawn from one population."""
    slots = [groups.layout.slots[i] for i in groups.layout.free]
    names = dict.fromkeys(s.coefficient for s in slots if s.name != s.coefficient)
    return [np.array([s.coefficient == name for s in slots]) for name in names]


def _widths(groups: Groups) -> np.ndarray:
    typical = float(np.median(np.concatenate([p.loss for p in groups.problems])))
    slots = [groups.layout.slots[i] for i in groups.layout.free]
    return np.array(
        [BEFORE_LOG if s.log else BEFORE_LOSS * typical if s.of_loss else BEFORE_OTHER for s in slots], float
    )


def _before(groups: Groups, common: np.ndarray, movable: np.ndarray) -> Population:
    wide = np.where(movable, (3 * _widths(groups)) ** 2, 0.0)
    return Population(common, np.diag(wide), np.diag(wide))


def _prior(groups: Groups, population: Population, dispersion: np.ndarray, movable: np.ndarray) -> Prior:
    """In units of the rows' cost: a group whose rows are noisy is held the more."""
    precision = np.where(movable[:, None] & movable[None, :], population.precision(), 0.0)
    mean = np.broadcast_to(population.mean, (len(groups), len(movable)))
    return Prior(mean, dispersion[:, None, None] * precision)


def _held(groups: Groups, z: np.ndarray, mean: np.ndarray, movable: np.ndarray) -> np.ndarray:
    """What no row of any group depends on stays where the population has it."""
    return np.clip(np.where(movable | groups.shared, z, mean), groups.lower, groups.upper)


def _expect(
    groups: Groups,
    z: np.ndarray,
    information: np.ndarray,
    population: Population,
    movable: np.ndarray,
    sources: list[np.ndarray],
) -> Population:
    """The population of greatest likelihood given each group's mode z and `information`, its rows' curvature there.

    The mode balances rows against the prior that it was found under, which gives back what the rows alone say:
    information x their optimum = information x z + precision (z - mean).
    """
    index = np.flatnonzero(movable)
    cut = np.ix_(index, index)
    information = information[:, index[:, None], index]
    mean, covariance = population.mean[index], population.covariance[cut]
    precision = np.linalg.inv(covariance)
    says = np.einsum("gij,gj->gi", information, z[:, index]) + (z[:, index] - mean) @ precision
    widths = _widths(groups)[index]
    floor = np.diag(widths**2) * PRIOR_GROUPS
    alike = [block[index] for block in sources]
    seen = groups.seen[:, index].astype(float)
    for _ in range(EM_STEPS):
        precision = np.linalg.inv(covariance)
        spread = np.linalg.inv(information + precision)
        modes = np.einsum("gij,gj->gi", spread, says + precision @ mean)
        mean_new = _alike_mean(modes, seen, alike)
        away = modes - mean_new
        moments_ = np.einsum("gi,gj->gij", away, away) + spread
        new = (moments_.sum(0) + floor) / (max(len(groups) - 1, 1) + PRIOR_GROUPS)
        new = _alike_covariance(new, moments_, seen, alike, widths)
        moved = np.abs(mean_new - mean).max() + np.abs(np.sqrt(np.diag(new)) - np.sqrt(np.diag(covariance))).max()
        mean, covariance = mean_new, new
        if moved < 1e-6:
            break
    total = np.linalg.inv(covariance + _inverse_each(information)).sum(0)
    full, error = population.covariance * 0, population.covariance * 0
    full[cut], error[cut] = covariance, np.linalg.inv(total)
    at = population.mean.copy()
    at[index] = mean
    return Population(at, full, error)


def _alike_mean(modes: np.ndarray, seen: np.ndarray, alike: list[np.ndarray]) -> np.ndarray:
    mean = modes.mean(0)
    for block in alike:
        weight = seen[:, block]
        mean[block] = (modes[:, block] * weight).sum() / max(weight.sum(), 1.0)
    return mean


def _alike_covariance(
    covariance: np.ndarray, moments_: np.ndarray, seen: np.ndarray, alike: list[np.ndarray], widths: np.ndarray
) -> np.ndarray:
    """Elements of one coefficient have one variance, and vary by themselves."""
    for block in alike:
        diagonal = np.einsum("gii->gi", moments_)[:, block]
        weight = seen[:, block]
        variance = ((diagonal * weight).sum() + PRIOR_GROUPS * (widths[block] ** 2).mean()) / (
            max(weight.sum() - 1, 1.0) + PRIOR_GROUPS
        )
        covariance = covariance.copy()
        covariance[block, :] = covariance[:, block] = 0.0
        covariance[block, block] = variance
    return covariance


def _settled(before: Population, after: Population, movable: np.ndarray) -> bool:
    width = np.sqrt(np.maximum(np.diag(after.covariance)[movable], 1e-12))
    old = np.sqrt(np.maximum(np.diag(before.covariance)[movable], 1e-12))
    moved = np.abs(after.mean - before.mean)[movable] / width
    return bool(moved.max(initial=0.0) < 0.02 and np.abs(np.log(width / old)).max(initial=0.0) < 0.02)


# --- the noise --------------------------------------------------------------------------------------


def noise_of(groups: Groups, z: np.ndarray) -> Noise:
    """From the residuals of every group at z `(groups, free)`."""
    objective = groups.problems[0].objective
    _, _, r = moments(groups.problems, np.arange(len(groups)), z)
    rows = np.array([len(x) for x in r], float)
    sizes = np.array([np.abs(x).mean() for x in r])
    overall = max(float((rows * sizes).sum() / rows.sum()), 1e-12)
    # A group of few rows has coefficients that follow its noise: it says less of the noise than its rows.
    scale = (NOISE_ROWS * overall + rows * sizes) / (NOISE_ROWS + rows) / overall
    spare = max(rows.sum() - _coefficients_spent(groups, rows), 0.3 * rows.sum())
    alike = np.concatenate([x / s for x, s in zip(r, scale, strict=True)]) * np.sqrt(rows.sum() / spare)
    pulls, curvatures = [], []
    for s in scale:
        pulls.append(float((slope(objective, alike * s) ** 2).mean()))
        curvatures.append(mean_curvature(objective, alike * s, 0))
    together = _within_runs(groups, [slope(objective, x) for x in r])
    return Noise(scale, np.array(pulls), np.array(curvatures), together)


def _coefficients_spent(groups: Groups, rows: np.ndarray) -> float:
    """At most a third of a group's rows: the prior holds what they do not determine."""
    return float(np.minimum(groups.seen.sum(1), rows / 3).sum())


def _within_runs(groups: Groups, pulls: list[np.ndarray]) -> float:
    """Correlation of the slopes of two rows of one run and target, over all groups; not below zero."""
    products = squares = pairs = rows = 0.0
    for run, pull in zip(groups.run, pulls, strict=True):
        number = np.unique(run, return_inverse=True)[1]
        sums, counts = np.bincount(number, pull), np.bincount(number)
        products += float((sums**2).sum() - (pull**2).sum())
        pairs += float((counts * (counts - 1)).sum())
        squares += float((pull**2).sum())
        rows += len(pull)
    return float(np.clip(products / pairs / (squares / rows), 0.0, 0.99)) if pairs and squares else 0.0


def curvature(groups: Groups, z: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    """Expected Hessian of the rows' cost, and covariance of its gradient, each `(groups, free, free)`."""
    hessian, scores = [], []
    for group, problem in enumerate(groups.problems):
        _, J = residuals(problem, z[group])
        number = np.unique(groups.run[group], return_inverse=True)[1]
        sums = np.zeros((int(number.max()) + 1, J.shape[1]))
        np.add.at(sums, number, J)
        apart, together = J.T @ J, sums.T @ sums
        hessian.append(noise.curvature[group] * apart)
        scores.append(noise.pull[group] * ((1 - noise.together) * apart + noise.together * together))
    return np.array(hessian), np.array(scores)


def dispersions(hessian: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What divides each group's cost to make it minus a log likelihood, near enough: mean of scores over Hessian."""
    out = []
    for H, B in zip(hessian, scores, strict=True):
        scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
        values, vectors = np.linalg.eigh(H / np.outer(scale, scale))
        told = values > 1e-6 * values.max()
        within = vectors.T @ (B / np.outer(scale, scale)) @ vectors
        out.append(float((np.diag(within)[told] / values[told]).mean()))
    return np.array(out)


def _dispersion_of(groups: Groups, z: np.ndarray) -> np.ndarray:
    return dispersions(*curvature(groups, z, noise_of(groups, z)))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.pinv(matrix, hermitian=True)


def _inverse_each(information: np.ndarray) -> np.ndarray:
    """Directions that no row of the group tells have a variance beyond all others, not none."""
    diagonal = np.einsum("gii->gi", information)
    ridge = 1e-9 * diagonal.max(1, keepdims=True) + 1e-12
    return np.linalg.inv(information + np.eye(information.shape[1]) * ridge[:, :, None])
