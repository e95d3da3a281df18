"""Many small fits at once: damped Newton in a box, batched over starts or resamples, compiled once.

Each member of the batch minimises sum_i w_i cost(residual_i) over its own box. Steps use the exact Hessian
with its eigenvalues made positive, so that saddle points repel, damped by the majorant of iteratively
reweighted least squares, J' diag(w cost'(r)/r) J: the Huber Hessian alone counts only the few rows inside
delta, and its steps overshoot, while the majorant's always descend but crawl. A member's damping grows when
a step fails and shrinks when it succeeds; coordinates held by the box leave the system (projected Newton,
Bertsekas 1982). A batch has a fixed size and rows are padded, so that one compiled program serves every
start, resample and profile point of every table of about that length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import Objective
from isogloss.fitting.problem import BATCH, SMALL_BATCH, Problem, padded, padded_sizes, predicted
from isogloss.numerics import Array, jax, jnp

ITERATIONS_A_ROUND = 10
FIRST_DAMPING = 1e-2

# Longest step in one coordinate (most are logarithms: a factor e^3).
LONGEST_STEP = 3.0


@dataclass(frozen=True)
class Effort:
    """When a member's search ends: a step promises less than `tolerance` of the objective, or `iterations`."""

    tolerance: float = 1e-10
    iterations: int = 400


THOROUGH = Effort()
# A resample's optimum is needed to a fraction of its sampling error only.
QUICK = Effort(tolerance=1e-6, iterations=100)


@dataclass(frozen=True)
class Solutions:
    """z `(members, free)`, objective `value` `(members,)`, and whether each member `converged`."""

    z: np.ndarray
    value: np.ndarray
    converged: np.ndarray

    def best(self) -> int:
        return int(np.nanargmin(self.value))


@dataclass(frozen=True)
class Prior:
    """Half of (z - mean)' precision (z - mean), added to each member's objective.

    Shapes `(members, free)` and `(members, free, free)`, or without members for the same one for all.
    """

    mean: np.ndarray
    precision: np.ndarray


def solve(
    problem: Problem | Sequence[Problem],
    starts: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    which: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    prior: Prior | None = None,
    effort: Effort = THOROUGH,
    progress: Callable[[int], None] | None = None,
) -> Solutions:
    """Minimise from every start `(members, free)`; `lower`, `upper` `(free,)` or `(members, free)`.

    Of several problems, which must share layout and objective, `which` `(members,)` says each member's.
    `weights` `(members, rows)` are counts of each row (of the longest problem), one if None. `progress`
    hears how many are done.
    """
    problems = (problem,) if isinstance(problem, Problem) else tuple(problem)
    which = np.zeros(len(starts), int) if which is None else which
    free = starts.shape[1]
    own = (
        np.broadcast_to(lower, starts.shape),
        np.broadcast_to(upper, starts.shape),
        np.broadcast_to(0.0 if prior is None else prior.mean, starts.shape),
        np.broadcast_to(0.0 if prior is None else prior.precision, (len(starts), free, free)),
    )
    found = Solutions(np.array(starts, float), np.full(len(starts), np.inf), np.zeros(len(starts), bool))
    sizes = padded_sizes(problems)
    done = 0
    for size in np.unique(sizes[which]):
        members = np.flatnonzero(sizes[which] == size)
        for done_here in _solve_alike(problems, which[members], members, weights, own, int(size), effort, found):
            if progress is not None:
                progress(done + done_here)
        done += len(members)
    return found


def _solve_alike(
    problems: tuple[Problem, ...],
    which: np.ndarray,
    members: np.ndarray,
    weights: np.ndarray | None,
    own: tuple[np.ndarray, ...],
    size: int,
    effort: Effort,
    found: Solutions,
) -> Iterator[int]:
    """Minimise `members`, whose problems all have `size` padded rows, into `found`; yields how many are done."""
    present, of_present = np.unique(which, return_inverse=True)
    rows_of = [padded(problems[i], size) for i in present]
    # One problem's rows are one array for all members; several problems' are gathered for each batch.
    stacked = None if len(rows_of) == 1 else jax.tree.map(lambda *a: np.stack(a), *rows_of)
    alone = jax.tree.map(jnp.asarray, rows_of[0])
    rows = np.array([problems[i].rows for i in present])[of_present]
    lower, upper, means, precisions = (a[members] for a in own)
    z = np.clip(found.z[members], lower, upper)
    value, damping = np.full(len(members), np.inf), np.full(len(members), FIRST_DAMPING)
    taken, converged = np.zeros(len(members), int), np.zeros(len(members), bool)
    waiting = np.arange(len(members))
    # Slow members share a batch with fresh ones: no batch waits for its slowest members alone.
    while len(waiting):
        count = SMALL_BATCH if stacked is not None and len(waiting) <= BATCH // 4 else BATCH
        index = waiting[np.minimum(np.arange(count), len(waiting) - 1)]
        here = len(waiting[:count])
        chunk = (np.arange(size) < rows[index, None]).astype(float)
        if weights is not None:
            chunk[:, : weights.shape[1]] *= weights[members[index], :size]
        batch = (z[index], damping[index], chunk, lower[index], upper[index], means[index], precisions[index])
        out = _advance(
            problems[0].layout,
            problems[0].objective,
            stacked is not None,
            *(jnp.asarray(a) for a in batch),
            alone if stacked is None else jax.tree.map(lambda a, i=of_present[index]: jnp.asarray(a[i]), stacked),
            jnp.asarray(np.arange(count) < here),
            jnp.asarray(0 if len(waiting) <= count else count // 2),
            jnp.asarray(effort.tolerance),
        )
        *state, finished, steps = (np.asarray(o)[:here] if o.ndim else np.asarray(o) for o in out)
        index = index[:here]
        z[index], value[index], damping[index] = state
        taken[index] += steps
        over = taken[index] >= effort.iterations
        converged[index] = finished & np.isfinite(value[index])
        waiting = np.concatenate([index[~(finished | over)], waiting[count:]])
        found.z[members], found.value[members], found.converged[members] = z, value, converged
        yield len(members) - len(waiting)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _advance(
    layout: Layout,
    objective: Objective,
    own_rows: bool,
    z: Array,
    damping: Array,
    weights: Array,
    lower: Array,
    upper: Array,
    means: Array,
    precisions: Array,
    data: dict[str, Any],
    wanted: Array,
    enough: Array,
    tolerance: Array,
) -> tuple[Array, ...]:
    """Up to ITERATIONS_A_ROUND steps of every `wanted` member, until no more than `enough` of them are left.

    Returns each member's z, objective, damping and whether it is done, and the number of steps. `own_rows`: `data`
    has a leading axis of members.
    """
    axis = 0 if own_rows else None

    def residual(z: Array, data: dict[str, Any]) -> Array:
        return objective.residual(predicted(layout, z, data), data["loss"])

    def value(z: Array, w: Array, mean: Array, precision: Array, data: dict[str, Any]) -> Array:
        away = z - mean
        rows = jnp.where(w > 0, w * objective.cost(residual(z, data)), 0.0).sum()
        return rows + 0.5 * away @ precision @ away

    slope = jax.vmap(jax.grad(objective.cost))
    hessian = jax.jacfwd(jax.grad(value))

    def step(
        z: Array,
        f: Array,
        damping: Array,
        w: Array,
        lo: Array,
        hi: Array,
        mean: Array,
        precision: Array,
        data: dict[str, Any],
    ) -> tuple[Array, ...]:
        r, J = residual(z, data), jax.jacfwd(residual)(z, data)
        safe = jnp.where(jnp.abs(r) < 1e-12, 1e-12, r)
        pull = jnp.where(w > 0, w * slope(safe), 0.0)
        g = J.T @ pull + precision @ (z - mean)
        majorant = J.T @ ((pull / safe)[:, None] * J) + precision
        move = _newton_step(z, g, hessian(z, w, mean, precision, data), majorant, damping, lo, hi)
        trial = jnp.clip(z + move, lo, hi)
        f_trial = value(trial, w, mean, precision, data)
        better = jnp.isfinite(f_trial) & (f_trial < f)
        promised = jnp.abs(g @ (trial - z))
        done = (promised <= tolerance * f) | (damping > 1e6) | (f == 0)
        damping = jnp.where(better, jnp.maximum(damping * 0.2, 1e-9), jnp.maximum(damping, 1e-3) * 6)
        return jnp.where(better, trial, z), jnp.where(better, f_trial, f), damping, done

    steps = jax.vmap(step, in_axes=(0,) * 8 + (axis,))

    def body(state: tuple[Array, ...]) -> tuple[Array, ...]:
        z, f, damping, done, iteration = state
        z_new, f_new, damping_new, done_new = steps(z, f, damping, weights, lower, upper, means, precisions, data)
        return (
            jnp.where(done[:, None], z, z_new),
            jnp.where(done, f, f_new),
            jnp.where(done, damping, damping_new),
            done | done_new,
            iteration + 1,
        )

    def unfinished(state: tuple[Array, ...]) -> Array:
        return ((~state[3]).sum() > enough) & (state[4] < ITERATIONS_A_ROUND)

    f = jax.vmap(value, in_axes=(0, 0, 0, 0, axis))(z, weights, means, precisions, data)
    f = jnp.where(jnp.isnan(f), jnp.inf, f)
    return jax.lax.while_loop(unfinished, body, (z, f, damping, jnp.isinf(f) | ~wanted, jnp.asarray(0)))


def _newton_step(z: Array, g: Array, H: Array, majorant: Array, damping: Array, lo: Array, hi: Array) -> Array:
    """A damped descent step within the box from gradient g `(free,)`, Hessian H and its majorant `(free, free)`."""
    held = ((z <= lo) & (g > 0)) | ((z >= hi) & (g < 0)) | (lo >= hi)
    g = jnp.where(held, 0.0, g)
    both = ~held[:, None] & ~held[None, :]
    diagonal = jnp.diag(majorant)
    # A direction that moves no prediction would make the metric singular.
    ridge = 1e-10 * diagonal + 1e-12 * diagonal.max() + 1e-300
    metric = jnp.where(both, majorant, 0.0) + jnp.diag(jnp.where(held, diagonal.max() + 1.0, ridge))
    L = jnp.linalg.cholesky(metric)
    half = jax.scipy.linalg.solve_triangular(L, jnp.where(both, H, 0.0), lower=True)
    whitened = jax.scipy.linalg.solve_triangular(L, half.T, lower=True)
    # A non-finite matrix would poison the whole step: fall back on the majorant alone.
    whitened = jnp.where(jnp.isfinite(whitened).all(), whitened, jnp.eye(len(z)))
    eigenvalues, vectors = jnp.linalg.eigh(whitened)
    curvature = jnp.maximum(jnp.abs(eigenvalues), 1e-8) + damping
    target = jax.scipy.linalg.solve_triangular(L, g, lower=True)
    move = -jax.scipy.linalg.solve_triangular(L.T, vectors @ ((vectors.T @ target) / curvature), lower=False)
    move = jnp.where(jnp.isfinite(move).all(), move, -g / (jnp.linalg.norm(g) + 1e-300))
    return jnp.clip(jnp.where(held, 0.0, move), -LONGEST_STEP, LONGEST_STEP)
