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

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import Objective
from isogloss.numerics import Array, jax, jnp

BATCH = 64
ROW_MULTIPLE = 64
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
class Problem:
    """Rows to fit: `columns` of a law `(rows, ...)`, observed `loss` `(rows,)`, and what is held."""

    layout: Layout
    objective: Objective
    columns: dict[str, np.ndarray]
    loss: np.ndarray
    held: np.ndarray
    centres: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.loss)


@dataclass(frozen=True)
class Solutions:
    """z `(members, free)`, objective `value` `(members,)`, and whether each member `converged`."""

    z: np.ndarray
    value: np.ndarray
    converged: np.ndarray

    def best(self) -> int:
        return int(np.nanargmin(self.value))


def solve(
    problem: Problem,
    starts: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    effort: Effort = THOROUGH,
    progress: Callable[[int], None] | None = None,
) -> Solutions:
    """Minimise from every start `(members, free)`; `lower`, `upper` `(free,)` or `(members, free)`.

    `weights` `(members, rows)` are counts of each row, one if None. `progress` hears how many are done.
    """
    members = len(starts)
    lower = np.broadcast_to(lower, starts.shape)
    upper = np.broadcast_to(upper, starts.shape)
    data = _padded(problem)
    size = len(data["loss"])
    z = np.clip(starts, lower, upper)
    value = np.full(members, np.inf)
    damping = np.full(members, FIRST_DAMPING)
    taken = np.zeros(members, int)
    converged = np.zeros(members, bool)
    waiting = np.arange(members)
    # Slow members share a batch with fresh ones: no batch waits for its slowest member alone.
    while len(waiting):
        index = waiting[np.minimum(np.arange(BATCH), len(waiting) - 1)]
        chunk = np.zeros((BATCH, size))
        chunk[:, : problem.rows] = 1.0 if weights is None else weights[index]
        out = _advance(
            problem.layout,
            problem.objective,
            *(jnp.asarray(a) for a in (z[index], damping[index], chunk, lower[index], upper[index])),
            data,
            jnp.asarray(effort.tolerance),
        )
        z[index], value[index], damping[index], finished = (np.asarray(o) for o in out)
        taken[index] += ITERATIONS_A_ROUND
        over = taken[waiting[:BATCH]] >= effort.iterations
        finished = finished[: len(over)]
        converged[waiting[:BATCH]] = finished & np.isfinite(value[waiting[:BATCH]])
        waiting = np.concatenate([waiting[:BATCH][~(finished | over)], waiting[BATCH:]])
        if progress is not None:
            progress(members - len(waiting))
    return Solutions(z, value, converged)


def _padded(problem: Problem) -> dict[str, Any]:
    """Columns with the first row repeated to a multiple of ROW_MULTIPLE; padding has weight zero."""
    size = -(-problem.rows // ROW_MULTIPLE) * ROW_MULTIPLE
    index = np.where(np.arange(size) < problem.rows, np.arange(size), 0)
    return {
        "columns": {k: jnp.asarray(v[index]) for k, v in problem.columns.items()},
        "loss": jnp.asarray(problem.loss[index]),
        "held": jnp.asarray(np.nan_to_num(problem.held)),
        "centres": jnp.asarray(problem.centres),
    }


def predicted(layout: Layout, z: Any, data: dict[str, Any]) -> Any:
    """Predicted losses `(rows,)` at moved coordinates z `(free,)`."""
    law = layout.to_law(layout.values(z, data["held"], data["centres"]))
    return law.loss(**data["columns"])


@partial(jax.jit, static_argnums=(0, 1))
def _advance(
    layout: Layout,
    objective: Objective,
    z: Array,
    damping: Array,
    weights: Array,
    lower: Array,
    upper: Array,
    data: dict[str, Any],
    tolerance: Array,
) -> tuple[Array, Array, Array, Array]:
    """Up to ITERATIONS_A_ROUND steps of every member: its z, objective, damping, and whether it is done."""

    def residual(z: Array) -> Array:
        return objective.residual(predicted(layout, z, data), data["loss"])

    def value(z: Array, w: Array) -> Array:
        return jnp.where(w > 0, w * objective.cost(residual(z)), 0.0).sum()

    slope = jax.vmap(jax.grad(objective.cost))
    hessian = jax.jacfwd(jax.grad(value))

    def step(z: Array, f: Array, damping: Array, w: Array, lo: Array, hi: Array) -> tuple[Array, ...]:
        r, J = residual(z), jax.jacfwd(residual)(z)
        safe = jnp.where(jnp.abs(r) < 1e-12, 1e-12, r)
        pull = jnp.where(w > 0, w * slope(safe), 0.0)
        g = J.T @ pull
        majorant = J.T @ ((pull / safe)[:, None] * J)
        move = _newton_step(z, g, hessian(z, w), majorant, damping, lo, hi)
        trial = jnp.clip(z + move, lo, hi)
        f_trial = value(trial, w)
        better = jnp.isfinite(f_trial) & (f_trial < f)
        promised = jnp.abs(g @ (trial - z))
        done = (promised <= tolerance * f) | (damping > 1e6) | (f == 0)
        damping = jnp.where(better, jnp.maximum(damping * 0.2, 1e-9), jnp.maximum(damping, 1e-3) * 6)
        return jnp.where(better, trial, z), jnp.where(better, f_trial, f), damping, done

    def body(state: tuple[Array, ...]) -> tuple[Array, ...]:
        z, f, damping, done, iteration = state
        z_new, f_new, damping_new, done_new = jax.vmap(step)(z, f, damping, weights, lower, upper)
        return (
            jnp.where(done[:, None], z, z_new),
            jnp.where(done, f, f_new),
            jnp.where(done, damping, damping_new),
            done | done_new,
            iteration + 1,
        )

    def unfinished(state: tuple[Array, ...]) -> Array:
        return (~state[3].all()) & (state[4] < ITERATIONS_A_ROUND)

    f = jax.vmap(value)(z, weights)
    f = jnp.where(jnp.isnan(f), jnp.inf, f)
    z, f, damping, done, _ = jax.lax.while_loop(unfinished, body, (z, f, damping, jnp.isinf(f), jnp.asarray(0)))
    return z, f, damping, done


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


@partial(jax.jit, static_argnums=(0, 1))
def _jacobian(layout: Layout, objective: Objective, z: Array, data: dict[str, Any]) -> tuple[Array, Array]:
    def residual(z: Array) -> Array:
        return objective.residual(predicted(layout, z, data), data["loss"])

    return residual(z), jax.jacfwd(residual)(z)


def residuals(problem: Problem, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals `(rows,)` and their derivatives `(rows, free)` at z `(free,)`."""
    r, J = _jacobian(problem.layout, problem.objective, jnp.asarray(z), _padded(problem))
    return np.asarray(r)[: problem.rows], np.asarray(J)[: problem.rows]
