"""The optimum of every draw at once: one descent per draw, all in step.

Projected L-BFGS on the logarithms of tokens (Bertsekas 1982: what stands at its bound and is pushed outwards is held),
with an Armijo search; shares and the range of N are held by an augmented Lagrangian, as in the plan's own search. In
every round each draw that still moves has one trial point, and all are evaluated together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.numerics import jnp
from isogloss.planning.allocate import VIOLATION, limits_of, violations
from isogloss.planning.constraints import Box, into_box
from isogloss.planning.draws import Drawn

MEMORY = 12
ARMIJO = 1e-4
# The longest first step, in log tokens.
FIRST = 0.5
SMALLEST = 1e-7
# A search ends when this many steps in a row lower the loss by less than this part of it.
CALM, GAIN = 3, 1e-8
OUTER = 12


@dataclass(frozen=True, eq=False)
class Optima:
    """The best plan found for every draw: N `(draws,)`, shares and their losses `(draws, K)`; rounds it took."""

    N: np.ndarray
    shares: np.ndarray
    loss: np.ndarray
    settled: np.ndarray
    """Of bool: the descent ended, and inside the limits."""
    rounds: int


def descend(drawn: Drawn, shares: np.ndarray, D: float, box: Box, *, rounds: int = 400) -> Optima:
    """From one mixture `(K,)` and D tokens to each draw's own optimum in the box."""
    count, size = drawn.draws.count, len(shares)
    limits = limits_of(box)
    with np.errstate(divide="ignore"):
        high = np.log(box.tokens_high)
    low = np.minimum(0.0, high - 1)
    start = np.clip(np.log(np.maximum(shares * D, 1.0)), low, high)
    search = _Search(drawn, np.tile(start, (count, 1)), low, high)
    used = 0
    while search.moving.any() and used < rounds:
        search.step(limits)
        used += 1
    N, p = np.empty(count), np.empty((count, size))
    for i, x in enumerate(search.x):
        tokens = np.exp(x)
        N[i] = np.clip(drawn.C / (6 * tokens.sum()), box.N_low, box.N_high)
        p[i] = into_box(tokens / tokens.sum(), drawn.C / (6 * N[i]), box)
    return Optima(N, p, drawn.own_losses(N, p), ~search.moving & search.inside, used)


class _Search:
    """The state of all descents; arrays have a leading axis of draws."""

    def __init__(self, drawn: Drawn, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        count, size = x.shape
        self.drawn, self.x, self.low, self.high = drawn, x, low, high
        self.f, self.g = np.full(count, np.inf), np.zeros_like(x)
        self.length, self.calm, self.outer = np.ones(count), np.zeros(count, int), np.zeros(count, int)
        self.steps, self.changes = np.zeros((count, MEMORY, size)), np.zeros((count, MEMORY, size))
        self.curvature = np.zeros((count, MEMORY))
        self.multipliers, self.rho = np.zeros((count, 2 * size + 2)), np.ones(count)
        self.worst = np.full(count, np.inf)
        self.moving, self.inside = np.ones(count, bool), np.zeros(count, bool)
        self.direction = np.zeros_like(x)
        self.fresh = np.ones(count, bool)
        """No value is known yet at x: the next trial is x itself, and it is taken."""

    def step(self, limits: dict[str, object]) -> None:
        at = np.flatnonzero(self.moving)
        reach = np.where(self.fresh[at], 0.0, self.length[at])[:, None]
        trial = np.clip(self.x[at] + reach * self.direction[at], self.low, self.high)
        f, g = self.drawn.augmented(at, trial, self.multipliers[at], self.rho[at], limits)
        promised = (self.g[at] * (trial - self.x[at])).sum(axis=1)
        taken = self.fresh[at] | (np.isfinite(f) & (f <= self.f[at] + ARMIJO * np.minimum(promised, 0.0)))
        self._shorten(at[~taken], f[~taken], promised[~taken])
        self._take(at[taken], trial[taken], f[taken], g[taken])
        ended = at[(self.calm[at] >= CALM) | (self.length[at] < SMALLEST)]
        self._close(ended, limits)

    def _shorten(self, at: np.ndarray, f: np.ndarray, promised: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            ratio = -promised / (2 * (f - self.f[at] - promised))
        self.length[at] *= np.clip(np.where(np.isfinite(ratio), ratio, 0.1), 0.1, 0.5)

    def _take(self, at: np.ndarray, x: np.ndarray, f: np.ndarray, g: np.ndarray) -> None:
        fresh = self.fresh[at]
        step, change = x - self.x[at], g - self.g[at]
        product = (step * change).sum(axis=1)
        keep = ~fresh & (product > 1e-12 * (change**2).sum(axis=1))
        kept = at[keep]
        for memory, new in ((self.steps, step), (self.changes, change)):
            memory[kept] = np.roll(memory[kept], 1, axis=1)
            memory[kept, 0] = new[keep]
        self.curvature[kept] = np.roll(self.curvature[kept], 1, axis=1)
        self.curvature[kept, 0] = 1 / product[keep]
        small = ~fresh & (self.f[at] - f < GAIN * np.abs(f))
        self.calm[at] = np.where(small, self.calm[at] + 1, 0)
        self.x[at], self.f[at], self.g[at], self.fresh[at] = x, f, g, False
        self._aim(at)

    def _aim(self, at: np.ndarray) -> None:
        x, g = self.x[at], self.g[at]
        held = ((x <= self.low) & (g > 0)) | ((x >= self.high) & (g < 0))
        g = np.where(held, 0.0, g)
        d = -self._inverse_curvature(at, g)
        d[held] = 0.0
        uphill = (d * g).sum(axis=1) > -1e-14 * np.sqrt((d**2).sum(axis=1) * (g**2).sum(axis=1))
        first = uphill | (self.curvature[at] == 0).all(axis=1)
        largest = np.abs(g).max(axis=1)
        d[first] = -g[first] * (FIRST / np.maximum(largest[first], 1e-300))[:, None]
        # Nothing pushes: there is no direction left.
        d[largest < 1e-12] = 0.0
        self.calm[at[largest < 1e-12]] = CALM
        # No language changes a hundredfold in one step: the power laws look different there.
        longest = np.abs(d).max(axis=1)
        self.direction[at] = d * np.minimum(1.0, 4.0 / np.maximum(longest, 1e-300))[:, None]
        self.length[at] = 1.0

    def _inverse_curvature(self, at: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The two loops of L-BFGS (Nocedal and Wright 2006, algorithm 7.4), for all draws."""
        steps, changes, curvature = self.steps[at], self.changes[at], self.curvature[at]
        q, along = g.copy(), np.zeros_like(curvature)
        for j in range(MEMORY):
            along[:, j] = curvature[:, j] * np.einsum("ij,ij->i", steps[:, j], q)
            q -= along[:, j, None] * changes[:, j]
        squares = np.einsum("ij,ij->i", changes[:, 0], changes[:, 0])
        scale = np.where(squares > 0, 1 / np.maximum(curvature[:, 0] * squares, 1e-300), 1.0)
        q *= scale[:, None]
        for j in reversed(range(MEMORY)):
            back = curvature[:, j] * np.einsum("ij,ij->i", changes[:, j], q)
            q += (along[:, j] - back)[:, None] * steps[:, j]
        return q

    def _close(self, at: np.ndarray, limits: dict[str, object]) -> None:
        """Ends descents inside the limits; the others go on with a stronger pull towards them."""
        for i in at:
            broken = np.asarray(violations(jnp.asarray(self.x[i]), self.drawn.C, limits))
            now = float(broken.max(initial=0.0))
            self.inside[i] = now < 1e-4
            self.outer[i] += 1
            if now < VIOLATION or self.outer[i] >= OUTER:
                self.moving[i] = False
                continue
            self.multipliers[i] = np.maximum(0.0, self.multipliers[i] + self.rho[i] * broken)
            if now > 0.25 * self.worst[i]:
                self.rho[i] *= 5
            self.worst[i] = now
            self.curvature[i], self.steps[i], self.changes[i] = 0.0, 0.0, 0.0
            self.calm[i], self.length[i], self.fresh[i] = 0, 1.0, True
