"""What the residuals of several groups together say of the noise, and so of what a row is worth against a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.fitting.groups import Groups
from isogloss.fitting.problem import moments, residuals
from isogloss.fitting.sandwich import mean_curvature, slope

# A group's own noise is believed as far as its rows outnumber these.
NOISE_ROWS = 20.0
# At least this part of a group's rows is taken to speak of the noise.
LEAST_SPARE = 0.25
# Residuals beyond this many times the mean size count as that: one bad run must not widen all.
FARTHEST = 4.0


@dataclass(frozen=True)
class Noise:
    """`sigma` is the standard deviation of a typical group's residuals, `scale` `(groups,)` relative to it. Of the
    cost's slope: `pull` its variance, `curvature` its mean derivative, both `(groups,)`, and `together` its correlation
    within a run."""

    sigma: float
    scale: np.ndarray
    pull: np.ndarray
    curvature: np.ndarray
    together: float


def noise_of(groups: Groups, z: np.ndarray, *, spent: np.ndarray | None = None, sigma: float | None = None) -> Noise:
    """From the residuals of every group at z `(groups, free)`.

    `spent` `(groups,)` is how many rows' worth of freedom the coefficients took from each, all of them if None;
    `sigma` is given where something better than the residuals' own size is known.
    """
    objective = groups.problems[0].objective
    _, _, r = moments(groups.problems, np.arange(len(groups)), z)
    rows = np.array([len(x) for x in r], float)
    taken = groups.seen.sum(1).astype(float) if spent is None else spent
    spare = np.maximum(rows - taken, LEAST_SPARE * rows)
    # What coefficients took makes the residuals of a group of few rows smaller than its noise.
    sizes = np.array([np.abs(x).mean() for x in r]) * np.sqrt(rows / spare)
    overall = max(float((spare * sizes).sum() / spare.sum()), 1e-12)
    scale = (NOISE_ROWS * overall + spare * sizes) / (NOISE_ROWS + spare) / overall
    alike = np.concatenate([_not_interpolated(x, s) / w for x, s, w in zip(r, taken, scale, strict=True)])
    if sigma is None:
        sigma = float(np.sqrt((spare * sizes**2).sum() / spare.sum()) * robust_sd(alike) / np.abs(alike).mean())
    alike = alike * sigma / max(robust_sd(alike), 1e-300)
    pull = np.array([float((slope(objective, alike * s) ** 2).mean()) for s in scale])
    flat = np.array([mean_curvature(objective, alike * s, 0) for s in scale])
    return Noise(sigma, scale, pull, flat, _within_runs(groups, [slope(objective, x) for x in r]))


def robust_sd(r: np.ndarray) -> float:
    """Root mean square with far residuals drawn in."""
    size = np.abs(r)
    return float(np.sqrt((np.minimum(size, FARTHEST * size.mean()) ** 2).mean()))


def drawn_in(r: np.ndarray) -> np.ndarray:
    return np.clip(r, -FARTHEST * np.abs(r).mean(), FARTHEST * np.abs(r).mean())


def _not_interpolated(r: np.ndarray, spent: float) -> np.ndarray:
    """Without the rows through which coefficients pass when costs are nearly absolute values."""
    keep = max(len(r) - round(spent), 1)
    return r[np.argsort(np.abs(r))[-keep:]]


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
