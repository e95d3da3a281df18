"""The compute-optimal point of any law at one budget, for one language and text seen once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isogloss.fitting.frontier import evaluate, frontier, has_frontier
from isogloss.fitting.layout import Layout
from isogloss.numerics import jnp

# Sizes searched where a law has no closed form: 1e4 to 1e16 parameters in steps of 0.5 %.
SIZES = np.exp(np.arange(np.log(1e4), np.log(1e16), 0.005))

# What a law may be a function of to have such a point: one language alone, its text seen once.
ALONE = {"N", "D", "U", "K", "p", "D_target", "U_target", "D_sources", "U_sources", "D_other", "U_other", "K_other"}

Count = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Optimum:
    N: float
    D: float
    loss: float
    loss_at: float
    """At the point that was asked for (`at`), or its own."""


def optimum_of(
    layout: Layout, values: np.ndarray, C: float, *, at: Optimum | None = None, count: Count | None = None
) -> Optimum | None:
    """Least loss with 6 N D = C under raw `values` `(slots,)`; None if no size within reason has it.

    `count` turns N into the count of parameters that the law was fitted with: N, D and C stay in the other one.
    """
    if has_frontier(layout) and count is None:
        N, D = (float(a[0, 0]) for a in frontier(layout, values[None], np.array([C])))
    else:
        losses = loss_of(layout, values[None], SIZES, C / (6 * SIZES), count=count)
        best = 0 if losses is None else int(np.nanargmin(losses[0]))
        if losses is None or best in (0, len(SIZES) - 1):
            return None
        N, D = float(SIZES[best]), C / (6 * float(SIZES[best]))
    if not (SIZES[0] < N < SIZES[-1] and np.isfinite(D)):
        return None
    points = np.array([[N, D], [at.N, at.D] if at else [N, D]])
    losses = loss_of(layout, values[None], points[:, 0], points[:, 1], count=count)
    if losses is None or not np.isfinite(losses).all():
        return None
    return Optimum(N, D, float(losses[0, 0]), float(losses[0, 1]))


def loss_of(
    layout: Layout, values: np.ndarray, N: np.ndarray, D: np.ndarray, *, count: Count | None = None
) -> np.ndarray | None:
    """Losses `(laws, points)` of one language alone on text that is never repeated; None if the law needs more."""
    if not set(layout.law.columns) <= ALONE:
        return None
    none, alone = np.zeros_like(D), np.ones_like(D)
    no_source = np.zeros((len(D), len(layout.sources)))
    known = {
        **{"N": N if count is None else count(N), "D": D, "U": D, "K": alone, "p": alone},
        **{"D_target": D, "U_target": D, "D_sources": no_source, "U_sources": no_source + np.inf},
        **{"D_other": none, "U_other": none + np.inf, "K_other": alone},
    }
    columns = {c: jnp.asarray(known[c]) for c in layout.law.columns}
    return np.asarray(evaluate(layout, jnp.asarray(values), columns))
