"""Draws whose ranges are those of the profiles: skewed where the objective is.

The profile of a coordinate is the least objective with that coordinate held. Twice its rise is a deviance only if
the objective is a log likelihood of independent rows, so it is scaled until its curvature is that of the clustered
sandwich (Chandler and Bate 2007). Its signed root is then normal, and each coordinate of a normal draw about the
optimum is replaced by the value whose root it is. Ranges of single coordinates are exact up to sampling; how
coordinates hang together is taken from the sandwich, so a quantity of several is as good as that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isogloss.fitting.laplace import covariance_of_few, root
from isogloss.fitting.sandwich import Sandwich, restricted_inverse
from isogloss.fitting.solve import solve
from isogloss.fitting.solved import Solved

# Where profiles are taken, in standard errors either way of the optimum.
STEPS = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0])


def profile(
    solved: Solved, draws: int, rng: np.random.Generator, report: Callable[[int], None] | None = None
) -> np.ndarray:
    """`(draws, free)`."""
    found = solved.sandwich()
    covariance = covariance_of_few(found)
    errors = np.sqrt(np.diag(covariance))
    steps = rng.normal(size=(draws, len(found.z))) @ root(covariance).T
    z = np.repeat(found.z[None], draws, axis=0)
    roots = _signed_roots(solved, found, errors)
    for j, (values, at) in roots.items():
        z[:, j] = _interpolated(steps[:, j] / errors[j], at, values)
    if report is not None:
        report(draws)
    return solved.inside(z)


def _signed_roots(solved: Solved, found: Sandwich, errors: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """For each coordinate that moves: values `(points,)` in order, and the signed root of the deviance at each."""
    inverse = restricted_inverse(found.information, found.moving)
    offsets = np.concatenate([-STEPS[::-1], STEPS])
    points = [(j, value) for j in np.flatnonzero(errors > 0) for value in found.z[j] + offsets * errors[j]]
    points = [(j, v) for j, v in points if solved.lower[j] <= v <= solved.upper[j]]
    if not points:
        return {}
    starts = np.repeat(found.z[None], len(points) + 1, axis=0)
    lower, upper = (np.repeat(end[None], len(points) + 1, axis=0) for end in (solved.lower, solved.upper))
    for row, (j, value) in enumerate(points):
        # Where the others would go if the objective were a parabola.
        starts[row] += inverse[:, j] / inverse[j, j] * (value - found.z[j])
        starts[row, j] = lower[row, j] = upper[row, j] = value
    values = solve(solved.problem, starts, lower, upper).value
    best = min(float(values.min()), float(values[-1]))
    out = {}
    for j in np.flatnonzero(errors > 0):
        at = np.array([v for k, v in points if k == j])
        rise = np.array([values[row] - best for row, (k, _) in enumerate(points) if k == j])
        scale = 2 * inverse[j, j] / errors[j] ** 2
        side = np.sign(at - found.z[j])
        signed = side * np.sqrt(np.maximum(rise, 0.0) * scale)
        order = np.argsort(np.append(at, found.z[j]))
        values_of, roots_of = np.append(at, found.z[j])[order], np.append(signed, 0.0)[order]
        out[int(j)] = (values_of, _rising(roots_of))
    return out


def _rising(roots: np.ndarray) -> np.ndarray:
    """Roots that never fall away from the optimum, where a search has stopped short."""
    up = np.maximum.accumulate(np.where(roots > 0, roots, 0.0))
    down = np.minimum.accumulate(np.where(roots < 0, roots, 0.0)[::-1])[::-1]
    return up + down


def _interpolated(at: np.ndarray, roots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values whose signed roots are `at`; beyond the last point, on along the last segment."""
    keep = np.append(True, np.diff(roots) > 1e-9)
    roots, values = roots[keep], values[keep]
    if len(roots) < 2:
        return np.full(len(at), values[0])
    out = np.interp(at, roots, values)
    for end, inner, beyond in ((0, 1, at < roots[0]), (-1, -2, at > roots[-1])):
        slope = (values[end] - values[inner]) / (roots[end] - roots[inner])
        out[beyond] = values[end] + slope * (at[beyond] - roots[end])
    return out
