"""Descent of several groups at once that have some coefficients in common.

Given what is shared, the groups are fits of their own, so the search is over what is shared alone: its gradient
is the sum of the groups' (the envelope theorem), its curvature what is left of theirs when each group's own
coefficients have adapted (the Schur complement). After each step every group is solved again from where the step
takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from isogloss.fitting.groups import Groups
from isogloss.fitting.problem import moments
from isogloss.fitting.sandwich import mean_curvature
from isogloss.fitting.solve import LONGEST_STEP, QUICK, THOROUGH, Effort, Prior, solve

# Rounds of the search over what is shared, and the promised gain, as a fraction, at which it ends.
ROUNDS = 40
TOLERANCE = 1e-7
# Random starts are first taken near their optima on this many rows of each group, to this accuracy.
THIN = 128
ROUGH = Effort(tolerance=1e-3, iterations=60)
# Starts whose shared coordinates (mostly logarithms) and whose groups' objectives (relative) differ by no more than
# this have met: given what is shared, a group has one best optimum, and the exchange has shown it to every start.
MET = 0.01


@dataclass(frozen=True)
class Joint:
    """z `(starts, groups, free)`, in which shared coordinates are equal over groups; `each` `(starts, groups)`
    objective, and whether each start has `converged` `(starts,)`."""

    z: np.ndarray
    each: np.ndarray
    converged: np.ndarray

    @property
    def value(self) -> np.ndarray:
        return self.each.sum(1)

    def best(self) -> int:
        return int(np.nanargmin(self.value))


def descend(
    groups: Groups,
    z: np.ndarray,
    *,
    prior: Prior | None = None,
    effort: Effort = THOROUGH,
    tolerance: float = TOLERANCE,
    progress: Callable[[int], None] | None = None,
) -> Joint:
    """From z `(starts, groups, free)` to an optimum each; `prior` has means and precisions of each group.

    The search over what is shared ends when a step promises less than `tolerance` of the objective. With nothing
    shared, groups are independent and each start is solved once.
    """
    z = z.copy()
    z[:, :, groups.shared] = z[:, :1, groups.shared]
    of = np.arange(len(z))
    if len(z) > 1:
        # Many starts meet before many rows are needed to tell where.
        few = _thinned(groups)
        z, each, _ = _solve_groups(few, z, prior, ROUGH, progress=progress)
        if groups.shared.any():
            found = _search(few, z, each, prior, ROUGH, ROUGH.tolerance)
            first, of = np.unique(found.of, return_inverse=True)
            z = found.z[first]
    if not groups.shared.any():
        z, each, done = _solve_groups(groups, z, prior, effort, progress=progress)
        return Joint(z, each, np.all(done, axis=1))
    z, each, _ = _solve_groups(groups, z, prior, QUICK)
    found = _search(groups, z, each, prior, QUICK, tolerance)
    first, again = np.unique(found.of, return_inverse=True)
    z, each, done = _solve_groups(groups, found.z[first], prior, effort)
    converged = found.converged[first] & np.all(done, axis=1)
    of = again[of]
    return Joint(z[of], each[of], converged[of])


@dataclass(frozen=True)
class _Found:
    """Where a search ended: z `(starts, groups, free)`, whether each start `converged`, and the start that each has
    met and gone on `of` (itself, if none)."""

    z: np.ndarray
    converged: np.ndarray
    of: np.ndarray


def _search(
    groups: Groups, z: np.ndarray, each: np.ndarray, prior: Prior | None, effort: Effort, tolerance: float
) -> _Found:
    """Rounds of steps in what is shared, from groups solved already, until they promise less than `tolerance`."""
    if len(z) > 1:
        z, each = _exchange(groups, z, each, prior, effort)
    each, damping = each.copy(), np.full(len(z), 1e-3)
    of, converged = np.arange(len(z)), np.zeros(len(z), bool)
    waiting = _apart(groups, z, each, of)
    for _ in range(ROUNDS):
        moved, promised = _step(groups, z[waiting], damping[waiting], prior)
        trial, trial_each, _ = _solve_groups(groups, moved, prior, effort)
        before = each[waiting].sum(1)
        better = trial_each.sum(1) < before
        z[waiting[better]], each[waiting[better]] = trial[better], trial_each[better]
        damping[waiting] = np.where(better, damping[waiting] * 0.2, np.maximum(damping[waiting], 1e-3) * 6)
        over = (promised <= tolerance * each[waiting].sum(1)) | (damping[waiting] > 1e6)
        converged[waiting[over]] = True
        still = _apart(groups, z, each, of)
        waiting = still[~converged[still]]
        if not len(waiting):
            break
    return _Found(z, converged[of], of)


def _apart(groups: Groups, z: np.ndarray, each: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The starts that have met no better one; in `of` the others are handed to the one that they met."""
    at, value = z[:, 0, groups.shared], each.sum(1)
    alone = np.unique(of)
    left: list[int] = []
    for i in alone[np.argsort(value[alone])]:
        near = [
            j
            for j in left
            if np.abs(at[i] - at[j]).max() <= MET and np.all(np.abs(each[i] - each[j]) <= MET * np.abs(each[j]))
        ]
        if near:
            of[of == i] = near[0]
        else:
            left.append(int(i))
    return np.sort(np.array(left))


def _solve_groups(
    groups: Groups,
    z: np.ndarray,
    prior: Prior | None,
    effort: Effort,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every group of every start by itself: z, objective `(starts, groups)` and whether it converged."""
    starts, count, free = z.shape
    lower, upper = np.broadcast_to(groups.lower, z.shape).copy(), np.broadcast_to(groups.upper, z.shape).copy()
    shared = groups.shared
    lower[..., shared] = upper[..., shared] = np.clip(z[..., shared], lower[..., shared], upper[..., shared])
    flat = (starts * count, free)
    repeated = None
    if prior is not None:
        repeated = Prior(
            np.broadcast_to(prior.mean, z.shape).reshape(flat),
            np.broadcast_to(prior.precision, (*z.shape, free)).reshape(*flat, free),
        )
    solved = solve(
        groups.problems,
        z.reshape(flat),
        lower.reshape(flat),
        upper.reshape(flat),
        which=np.tile(np.arange(count), starts),
        prior=repeated,
        effort=effort,
        progress=progress,
    )
    return solved.z.reshape(z.shape), solved.value.reshape(starts, count), solved.converged.reshape(starts, count)


def _thinned(groups: Groups) -> Groups:
    """At most THIN rows of each group: enough to take random starts to the neighbourhood of their optima."""
    rng = np.random.default_rng(0)
    problems = []
    for problem in groups.problems:
        kept = np.sort(rng.permutation(problem.rows)[:THIN])
        columns = {name: values[kept] for name, values in problem.columns.items()}
        problems.append(replace(problem, columns=columns, loss=problem.loss[kept]))
    return replace(groups, problems=tuple(problems))


def _exchange(
    groups: Groups, z: np.ndarray, each: np.ndarray, prior: Prior | None, effort: Effort
) -> tuple[np.ndarray, np.ndarray]:
    """Each start tries, for each group, the other starts' best: no start fails for one group's poor optimum."""
    best = z[each.argmin(0), np.arange(len(groups))]
    tried = np.broadcast_to(best, z.shape).copy()
    tried[:, :, groups.shared] = z[:, :, groups.shared]
    tried, values, _ = _solve_groups(groups, tried, prior, effort)
    better = values < each
    return np.where(better[:, :, None], tried, z), np.where(better, values, each)


def _step(groups: Groups, z: np.ndarray, damping: np.ndarray, prior: Prior | None) -> tuple[np.ndarray, np.ndarray]:
    """A damped Newton step in what is shared, the groups' own coordinates following; and the gain it promises."""
    shared, own = groups.shared, ~groups.shared
    gradient, squares = curvatures(groups, z, prior)
    stuck = _at_bound(groups, z, gradient)
    inner = squares[..., own[:, None] & own[None, :]].reshape(*z.shape[:2], own.sum(), own.sum())
    border = squares[..., own, :][..., shared]
    loose = ~stuck[..., own]
    inner = np.where(loose[..., :, None] & loose[..., None, :], inner, 0.0)
    diagonal = np.einsum("...ii->...i", inner)
    ridge = 1e-10 * diagonal + 1e-12 * diagonal.max(-1, keepdims=True, initial=0.0) + 1e-300
    inner = inner + np.eye(own.sum()) * np.where(loose, ridge, 1.0)[..., None]
    follow = np.linalg.solve(inner, np.where(loose[..., None], border, 0.0))
    core = squares[..., shared, :][..., shared] - np.swapaxes(border, -1, -2) @ follow
    S, g = core.sum(1), gradient[..., shared].sum(1)
    S = 0.5 * (S + np.swapaxes(S, -1, -2))
    low, high = groups.lower[0, shared], groups.upper[0, shared]
    at = z[:, 0, shared]
    held = ((at <= low) & (g > 0)) | ((at >= high) & (g < 0))
    g = np.where(held, 0.0, g)
    diagonal = np.maximum(np.einsum("...ii->...i", S), 1e-300)
    scale = np.sqrt(diagonal)
    scaled = S / (scale[..., :, None] * scale[..., None, :])
    eigenvalues, vectors = np.linalg.eigh(
        np.where(held[..., :, None] | held[..., None, :], np.eye(len(scale[0])), scaled)
    )
    target = np.einsum("kij,ki->kj", vectors, g / scale)
    move = -np.einsum("kij,kj->ki", vectors, target / (np.maximum(np.abs(eigenvalues), 1e-8) + damping[:, None]))
    move = np.clip(np.where(held, 0.0, move / scale), -LONGEST_STEP, LONGEST_STEP)
    moved = z.copy()
    moved[..., shared] = np.clip(z[..., shared] + move[:, None, :], low, high)
    moved[..., own] -= np.clip(np.einsum("kgij,kj->kgi", follow, move), -LONGEST_STEP, LONGEST_STEP)
    return np.clip(moved, groups.lower, groups.upper), np.abs((g * move).sum(-1))


def _at_bound(groups: Groups, z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Coordinates `(starts, groups, free)` that a bound holds against the descent."""
    span = groups.upper - groups.lower
    low, high = z <= groups.lower + 1e-9 * span, z >= groups.upper - 1e-9 * span
    return (low & (gradient > 0)) | (high & (gradient < 0)) | (span <= 0)


def curvatures(groups: Groups, z: np.ndarray, prior: Prior | None) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of each group's objective `(starts, groups, free)`, and its expected Hessian `(..., free, free)`.

    The rows' part is J'J times the cost's mean curvature over all groups: with a Huber delta far below the
    residuals it cannot be read off the few rows within delta (`sandwich`).
    """
    starts, count, free = z.shape
    gradient, squares, r = moments(groups.problems, np.tile(np.arange(count), starts), z.reshape(-1, free))
    gradient, squares = gradient.reshape(z.shape), squares.reshape(*z.shape, free)
    objective = groups.problems[0].objective
    for start in range(starts):
        of_start = np.concatenate(r[start * count : (start + 1) * count])
        squares[start] *= mean_curvature(objective, of_start, count * free)
    if prior is not None:
        precision = np.broadcast_to(prior.precision, squares.shape)
        gradient = gradient + np.einsum("...ij,...j->...i", precision, z - prior.mean)
        squares = squares + precision
    return gradient, squares
