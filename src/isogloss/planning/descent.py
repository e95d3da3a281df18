"""Many plans at once: one descent for each start, size or draw, all in step.

Projected L-BFGS on the logarithms of tokens (Bertsekas 1982: what stands at its bound and is pushed outwards is held),
with an Armijo search; shares and the range of N are held by an augmented Lagrangian (Nocedal and Wright 2006, chapter
17). In every round each descent that still moves has one trial point, and all are evaluated together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.planning.constraints import Box, into_box
from isogloss.planning.draws import Drawn
from isogloss.planning.goal import Goal, PointTask, Task
from isogloss.planning.phases import PhaseLimits
from isogloss.planning.slopes import Problem

MEMORY = 12
ARMIJO = 1e-4
# The longest first step, in log tokens.
FIRST = 0.5
SMALLEST = 1e-7
# A search ends when this many steps in a row lower the loss by less than this part of it.
CALM, GAIN = 3, 1e-8
OUTER = 12
# Rounds of a search at most; phases are limits that pull on every language.
ROUNDS, PHASED_ROUNDS = 400, 1500
# Limits are met to this part; a search that ends within the looser one still counts.
VIOLATION, TOLERATED = 1e-7, 1e-4


@dataclass(frozen=True, eq=False)
class Optima:
    """The best plan found for every draw: N `(draws,)`, shares and their losses `(draws, K)`; rounds it took."""

    N: np.ndarray
    shares: np.ndarray
    """Of D in all phases."""
    loss: np.ndarray
    settled: np.ndarray
    """Of bool: the descent ended, and inside the limits."""
    rounds: int


def descend(
    drawn: Drawn, shares: np.ndarray, D: float, box: Box, *, goal: Goal | None = None, rounds: int | None = None
) -> Optima:
    """From one mixture `(K,)`, or `(P K,)` by phase, and D tokens to each draw's own optimum in the box."""
    count, problem = drawn.draws.count, drawn.problem
    task = PointTask(problem, goal or Goal(drawn.weights), np.arange(count))
    begin = np.log(np.maximum(box.spread(shares) * D, 1.0))
    found = search(task, np.tile(begin, (count, 1)), box, rounds=rounds)
    N, p = plans_of(found.x, problem, box)
    shares = p if box.phases is None else box.phases.totals(p)
    return Optima(N, shares, drawn.own_losses(N, p), found.settled, found.rounds)


def plans_of(x: np.ndarray, problem: Problem, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """N `(n,)` and shares `(n, K)` inside the box at log tokens x `(n, K)`; with phases `(n, P K)`."""
    tokens = np.exp(x)
    D = tokens.sum(axis=1)
    N = np.clip(problem.params(D), box.N_low, box.N_high)
    return N, into_box(tokens / D[:, None], problem.tokens(N), box)


@dataclass(frozen=True, eq=False)
class Found:
    """Log tokens x `(n, K)` where each descent ended, and whether that is an optimum inside the limits `(n,)`."""

    x: np.ndarray
    settled: np.ndarray
    rounds: int


def search(
    task: Task,
    x: np.ndarray,
    box: Box,
    *,
    N: np.ndarray | None = None,
    rounds: int | None = None,
    gain: float = GAIN,
    met: float = VIOLATION,
) -> Found:
    """Descents from log tokens x `(n, K)`, each at its own size where N `(n,)` is given, to `met` of the limits."""
    limits: Limits | PhaseLimits = Limits.of(box, N)
    with np.errstate(divide="ignore"):
        high = np.log(box.tokens_high)
    if box.phases is not None:
        limits, high = PhaseLimits(limits, high, box.phases), np.tile(high, len(box.phases.parts))
    # One token of a language is as little as matters.
    low = np.minimum(0.0, high - 1)
    moves = _Search(task, np.clip(x, low, high), low, high, limits, gain, met)
    used, most = 0, rounds or (ROUNDS if box.phases is None else PHASED_ROUNDS)
    while moves.moving.any() and used < most:
        moves.step()
        used += 1
    return Found(moves.x, ~moves.moving & moves.inside, used)


@dataclass(frozen=True, eq=False)
class Limits:
    """What is held by the augmented Lagrangian, in logarithms: shares `(K,)`, infinite where there is no limit, and the
    range of N `(1 or n, 2)`."""

    share_low: np.ndarray
    share_high: np.ndarray
    N: np.ndarray

    @classmethod
    def of(cls, box: Box, N: np.ndarray | None = None) -> Limits:
        with np.errstate(divide="ignore"):
            high = np.log(box.share_high)
            sizes = np.array([[max(box.N_low, 1e-300), box.N_high]]) if N is None else np.stack([N, N], axis=-1)
            return cls(np.log(box.share_low), np.where(high < 0, high, np.inf), np.log(sizes))

    @property
    def count(self) -> int:
        return 2 * len(self.share_low) + 2

    def broken(self, rows: np.ndarray, x: np.ndarray, problem: Problem) -> np.ndarray:
        """How far each is broken `(n, 2 K + 2)`; at most zero where it holds."""
        log_D = np.log(np.exp(x).sum(axis=1, keepdims=True))
        log_p = x - log_D
        log_N = np.log(problem.params(np.exp(log_D)))
        N = self.N if len(self.N) == 1 else self.N[rows]
        below = np.where(np.isfinite(self.share_low), self.share_low - log_p, -1e3)
        above = np.where(np.isfinite(self.share_high), log_p - self.share_high, -1e3)
        return np.concatenate([below, above, N[:, :1] - log_N, log_N - N[:, 1:]], axis=1)

    def pull(self, pushed: np.ndarray, x: np.ndarray, problem: Problem) -> np.ndarray:
        """The gradient by x of the sum of `pushed` times what is broken, `pushed` held."""
        size = x.shape[1]
        tokens = np.exp(x)
        D = tokens.sum(axis=1, keepdims=True)
        net = pushed[:, size : 2 * size] - pushed[:, :size]
        per_log_D = -6 * D / (6 * D + 2 * problem.served)
        by_N = (pushed[:, 2 * size + 1 :] - pushed[:, 2 * size : 2 * size + 1]) * per_log_D
        return net + tokens / D * (by_N - net.sum(axis=1, keepdims=True))


class _Search:
    """The state of all descents; arrays have a leading axis of descents."""

    def __init__(
        self,
        task: Task,
        x: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        limits: Limits | PhaseLimits,
        gain: float,
        met: float,
    ) -> None:
        count, size = x.shape
        self.task, self.x, self.low, self.high = task, x, low, high
        self.limits, self.gain, self.met = limits, gain, met
        self.attention = task.attention(count)
        self.f, self.g = np.full(count, np.inf), np.zeros_like(x)
        self.length, self.calm, self.outer = np.ones(count), np.zeros(count, int), np.zeros(count, int)
        self.steps, self.changes = np.zeros((count, MEMORY, size)), np.zeros((count, MEMORY, size))
        self.curvature = np.zeros((count, MEMORY))
        self.multipliers, self.rho = np.zeros((count, limits.count)), np.ones(count)
        self.worst = np.full(count, np.inf)
        self.moving, self.inside = np.ones(count, bool), np.zeros(count, bool)
        self.direction = np.zeros_like(x)
        self.fresh = np.ones(count, bool)
        """No value is known yet at x: the next trial is x itself, and it is taken."""

    def step(self) -> None:
        at = np.flatnonzero(self.moving)
        reach = np.where(self.fresh[at], 0.0, self.length[at])[:, None]
        trial = np.clip(self.x[at] + reach * self.direction[at], self.low, self.high)
        f, g = self._augmented(at, trial)
        promised = (self.g[at] * (trial - self.x[at])).sum(axis=1)
        taken = self.fresh[at] | (np.isfinite(f) & (f <= self.f[at] + ARMIJO * np.minimum(promised, 0.0)))
        self._shorten(at[~taken], f[~taken], promised[~taken])
        self._take(at[taken], trial[taken], f[taken], g[taken])
        ended = at[(self.calm[at] >= CALM) | (self.length[at] < SMALLEST)]
        self._close(ended)

    def _augmented(self, at: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        problem = self.task.problem
        f, g = self.task.value(at, x, self.attention[at])
        multipliers, rho = self.multipliers[at], self.rho[at, None]
        pushed = np.maximum(0.0, multipliers + rho * self.limits.broken(at, x, problem))
        penalty = ((pushed**2 - multipliers**2) / (2 * rho)).sum(axis=1)
        return f + penalty, g + self.limits.pull(pushed, x, problem)

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
        small = ~fresh & (self.f[at] - f < self.gain * np.abs(f))
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

    def _close(self, at: np.ndarray) -> None:
        """Ends descents inside the limits; the others go on with a stronger pull towards them."""
        if not len(at):
            return
        broken = self.limits.broken(at, self.x[at], self.task.problem)
        attention, gap = self.task.attended(at, self.x[at], self.attention[at])
        now = np.maximum(broken.max(axis=1), gap)
        self.inside[at] = now < max(self.met, TOLERATED)
        self.outer[at] += 1
        ended = (now < self.met) | (self.outer[at] >= OUTER)
        self.moving[at[ended]] = False
        rest = at[~ended]
        self.attention[rest] = attention[~ended]
        pull = self.multipliers[rest] + self.rho[rest, None] * broken[~ended]
        self.multipliers[rest] = np.maximum(0.0, pull)
        self.rho[rest] *= np.where(broken[~ended].max(axis=1) > 0.25 * self.worst[rest], 5.0, 1.0)
        self.worst[rest] = np.maximum(broken[~ended].max(axis=1), 0.0)
        self.curvature[rest], self.steps[rest], self.changes[rest] = 0.0, 0.0, 0.0
        self.calm[rest], self.length[rest], self.fresh[rest] = 0, 1.0, True
