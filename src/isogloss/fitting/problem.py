"""Rows to fit, in the shapes that programs are compiled for, with residuals and their moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import Objective
from isogloss.numerics import Array, jax, jnp

BATCH = 64
# A few languages solved again and again would fill most of a batch with copies.
SMALL_BATCH = 8
ROW_MULTIPLE = 64


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


def padded_sizes(problems: Sequence[Problem]) -> np.ndarray:
    """Several problems are given few sizes, powers of two: what they share in programs outweighs the padding."""
    sizes = np.array([padded_size(p.rows) for p in problems])
    return sizes if len(problems) == 1 else ROW_MULTIPLE * 2 ** np.ceil(np.log2(sizes / ROW_MULTIPLE)).astype(int)


def padded_size(rows: int) -> int:
    """Few sizes, so that few programs are compiled: multiples of ROW_MULTIPLE up to eight, then coarser ones."""
    step = ROW_MULTIPLE
    while rows > 8 * step:
        step *= 2
    return -(-rows // step) * step


def padded(problem: Problem, size: int) -> dict[str, Any]:
    """Columns with the first row repeated up to `size` rows; padding has weight zero."""
    index = np.where(np.arange(size) < problem.rows, np.arange(size), 0)
    return {
        "columns": {k: v[index] for k, v in problem.columns.items()},
        "loss": problem.loss[index],
        "held": np.nan_to_num(problem.held),
        "centres": problem.centres,
    }


def predicted(layout: Layout, z: Any, data: dict[str, Any]) -> Any:
    """Predicted losses `(rows,)` at moved coordinates z `(free,)`."""
    law = layout.to_law(layout.values(z, data["held"], data["centres"]))
    return law.loss(**data["columns"])


@partial(jax.jit, static_argnums=(0, 1))
def _jacobian(layout: Layout, objective: Objective, z: Array, data: dict[str, Any]) -> tuple[Array, Array]:
    def residual(z: Array) -> Array:
        return objective.residual(predicted(layout, z, data), data["loss"])

    return residual(z), jax.jacfwd(residual)(z)


def residuals(problem: Problem, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals `(rows,)` and their derivatives `(rows, free)` at z `(free,)`."""
    r, J = _jacobian(problem.layout, problem.objective, jnp.asarray(z), padded(problem, padded_size(problem.rows)))
    return np.asarray(r)[: problem.rows], np.asarray(J)[: problem.rows]


@partial(jax.jit, static_argnums=(0, 1))
def _moments(layout: Layout, objective: Objective, z: Array, weights: Array, data: dict[str, Any]) -> tuple:
    def one(z: Array, w: Array, data: dict[str, Any]) -> tuple[Array, ...]:
        def residual(z: Array) -> Array:
            return objective.residual(predicted(layout, z, data), data["loss"])

        r, J = residual(z), jax.jacfwd(residual)(z)
        J = jnp.where(w[:, None] > 0, J, 0.0)
        pull = jax.vmap(jax.grad(objective.cost))(jnp.where(jnp.abs(r) < 1e-12, 1e-12, r))
        return J.T @ (w * pull), J.T @ (w[:, None] * J), r

    return jax.vmap(one)(z, weights, data)


def moments(
    problems: Sequence[Problem], which: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Of the residuals r at z `(members, free)`: the gradient of their cost, J'J, and r of each member.

    Shapes `(members, free)`, `(members, free, free)`, and `(rows,)` each.
    """
    members, free = z.shape
    gradients, squares = np.zeros((members, free)), np.zeros((members, free, free))
    r: list[np.ndarray] = [np.zeros(0)] * members
    sizes = padded_sizes(problems)
    for size in np.unique(sizes[which]):
        here = np.flatnonzero(sizes[which] == size)
        present, of_present = np.unique(which[here], return_inverse=True)
        stacked = jax.tree.map(lambda *a: jnp.stack(a), *(padded(problems[i], int(size)) for i in present))
        rows = np.array([problems[i].rows for i in present])[of_present]
        count = SMALL_BATCH if len(here) <= BATCH // 2 else BATCH
        for begin in range(0, len(here), count):
            part = np.minimum(np.arange(begin, begin + count), len(here) - 1)
            weights = (np.arange(size) < rows[part, None]).astype(float)
            data = jax.tree.map(lambda a, i=of_present[part]: a[i], stacked)
            out = _moments(problems[0].layout, problems[0].objective, jnp.asarray(z[here[part]]), weights, data)
            gradients[here[part]], squares[here[part]], of_members = (np.asarray(o) for o in out)
            for member, row, values in zip(here[part], rows[part], of_members, strict=True):
                r[member] = values[:row]
    return gradients, squares, r
