"""Compute-optimal size and tokens of a law, for text that is seen once."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from isogloss.fitting.layout import Layout
from isogloss.laws import optimal_allocation
from isogloss.numerics import jax, jnp

# Sizes tried around the closed form's answer: a factor e^6 either way, in steps of 5 %.
SEARCH = np.arange(-6.0, 6.001, 0.05)
# Laws whose parameters saturate too, so that the closed form is only where the search begins.
SATURATING = {"N", "D", "U"}


@partial(jax.jit, static_argnums=0)
def evaluate(layout: Layout, values: Any, columns: dict[str, Any]) -> Any:
    """Losses `(draws, rows)` of laws with raw `values` `(draws, slots)`."""
    return jax.vmap(lambda v: layout.to_law(v).loss(**columns))(values)


def has_frontier(layout: Layout) -> bool:
    return layout.law.frontier and {"A", "alpha", "B", "beta"} <= set(layout.names)


def is_power_law(layout: Layout) -> bool:
    """Whether N* and D* are exactly powers of C."""
    return has_frontier(layout) and set(layout.law.columns) != SATURATING


def frontier(layout: Layout, values: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N* and D* `(draws, budgets)` at C `(budgets,)` FLOPs for raw `values` `(draws, slots)`; 6 N D = C, U = D."""
    A, alpha, B, beta = (values[:, layout.names.index(n), None] for n in ("A", "alpha", "B", "beta"))
    N, _ = optimal_allocation(A, alpha, B, beta, C)
    if not is_power_law(layout):
        N = np.stack([_search(layout, v, n, C) for v, n in zip(values, N, strict=True)])
    return N, C / (6 * N)


def _search(layout: Layout, values: np.ndarray, near: np.ndarray, C: np.ndarray) -> np.ndarray:
    """N of least loss `(budgets,)` on a grid around `near`, between grid points by a parabola."""
    N = near[:, None] * np.exp(SEARCH)
    D = C[:, None] / (6 * N)
    columns = {"N": jnp.asarray(N.ravel()), "D": jnp.asarray(D.ravel()), "U": jnp.asarray(D.ravel())}
    loss = np.asarray(evaluate(layout, jnp.asarray(values)[None], columns))[0].reshape(N.shape)
    best = np.clip(loss.argmin(1), 1, len(SEARCH) - 2)
    rows = np.arange(len(C))
    left, middle, right = (loss[rows, best + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    return N[rows, best] * np.exp(np.clip(shift, -1, 1) * (SEARCH[1] - SEARCH[0]))
