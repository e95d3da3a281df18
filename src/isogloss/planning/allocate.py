"""Size and mixture together: the plan of least weighted loss at a compute budget.

The variables are the logarithms of the tokens d_i of every language; N = C / (6 sum d), less what serving costs,
follows, so that size and all shares move at once along one gradient. Epoch caps are bounds on d_i. Shares and the range
of N are inequalities. `descent` searches from several interior mixtures at once; since the loss is capped and so flat
where a language gets nothing, a language that ends with nothing is given some and the search goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from isogloss.errors import PlanError
from isogloss.laws import Atlas, saturated
from isogloss.numerics import jax, jnp
from isogloss.planning.constraints import Box, into_box
from isogloss.planning.descent import GAIN, PHASED_ROUNDS, VIOLATION, plans_of, search
from isogloss.planning.draws import Drawn
from isogloss.planning.goal import Goal, PointTask, Risk, RiskTask, Task
from isogloss.planning.slopes import CAP_SHARPNESS, Laws, Problem
from isogloss.planning.text import Text
from isogloss.runs.mixtures import naive_mixtures

# Objectives within this fraction of the best are the same optimum.
AGREEMENT = 1e-5
# A language below this share has been given nothing.
NOTHING = 1e-5
# Part of an even mixture in a start: what has nothing moves nowhere.
EVEN = 0.02
# How near a size of the profile comes to the one asked for.
NEAR = 1e-3
# Pairs of languages that change places at a time, fewer the more languages above MANY, how often, and how far beyond.
PAIRS, MANY, EXCHANGES, BEYOND = 24, 60, 4, 1.15
# The last search goes on while it gains, from where it stopped, at most so often.
AGAIN, FINE = 6, 1e-11


@dataclass(frozen=True)
class Allocation:
    """One plan: N parameters, D tokens, `shares` `(K,)`, `loss` per language `(K,)`, their weighted mean."""

    N: float
    D: float
    shares: np.ndarray
    loss: np.ndarray
    objective: float
    starts: int
    agree: int
    phased: np.ndarray | None = None
    """Parts of D by phase and language `(P, K)`, where there are phases."""

    @property
    def taken(self) -> np.ndarray:
        """Parts of D as the search has them: the shares, or those of each phase one after the other `(P K,)`."""
        return self.shares if self.phased is None else self.phased.ravel()


@dataclass(frozen=True, eq=False)
class Allocator:
    """The problem at one budget C (FLOPs). Arrays are `(K,)`."""

    law: Atlas
    text: Text
    weights: np.ndarray
    C: float
    ceiling: float
    """Loss of a uniform guess: no language can do worse."""
    served: float = 0.0
    """Tokens that the budget serves too, at 2 N FLOPs each."""
    aim: Goal | None = None
    """The weighted mean loss if None."""
    drawn: Drawn | None = None
    """Draws of the laws that the goal is taken over; None: at `law` alone."""
    risk: Risk = "mean"
    """What counts of the draws: their mean, the mean of the worst fifth, or the quantile that it begins at."""

    @property
    def U(self) -> np.ndarray:
        """Unique tokens `(K,)`."""
        return self.text.U

    @cached_property
    def problem(self) -> Problem:
        return Problem(Laws.of(self.law, len(self.text)), self.text, self.C, self.ceiling, self.served)

    @cached_property
    def goal(self) -> Goal:
        return self.aim or Goal(np.asarray(self.weights, float))

    def losses(self, N: float, shares: np.ndarray) -> np.ndarray:
        """Expected loss of every language `(K,)` for N parameters and all of C spent on `shares`.

        These are `(K,)`; with phases the same in each, unless they are by phase, `(P K,)`.
        """
        return self._losses(np.array([float(N)]), np.asarray(shares, float)[None])[0]

    def objective(self, N: float, shares: np.ndarray) -> float:
        """What the search makes small, of any plan that spends C."""
        return float(self._objectives(np.array([float(N)]), np.asarray(shares, float)[None])[0])

    def best(self, box: Box, starts: Sequence[np.ndarray], D_start: float) -> Allocation:
        """The least objective in the box from every start mixture; `D_start` tokens to begin with.

        Raises PlanError if no start ends inside the box.
        """
        mixtures = box.spread(np.array(starts))
        if box.phases is not None:
            mixtures = np.concatenate([mixtures, box.phases.tilted(mixtures)])
        begin = into_box(mixtures, np.full(len(mixtures), D_start), box) * D_start
        found = [a for a in self._descend(_logs(begin), box) if a is not None]
        if not found:
            raise PlanError("no start of the search met the constraints. Loosen limits or min_share.")
        top = min(found, key=lambda a: a.objective)
        top = self._lift(self._exchange(self._again(top, box), box), box)
        agree = sum(a.objective <= top.objective * (1 + AGREEMENT) for a in found)
        # None of them, where only an exchange led there.
        return replace(top, starts=len(found), agree=max(1, agree))

    def profile(self, sizes: Sequence[float], box: Box, top: Allocation) -> list[Allocation | None]:
        """The best mixture at each of `sizes`, in parameters (to a part of NEAR); None where the text does not last."""
        N = np.array(sizes, float)
        D = self.problem.tokens(N)
        lasting = D > 0
        if not lasting.any():
            return [None] * len(N)
        N, D = N[lasting], D[lasting]
        start = (1 - EVEN) * top.taken + EVEN * box.even
        begin = into_box(np.tile(start, (len(N), 1)), D, box) * D[:, None]
        found = iter(self._descend(_logs(begin), box, N))
        return [next(found) if lasts else None for lasts in lasting]

    def _again(self, top: Allocation, box: Box) -> Allocation:
        """The search may stop at a kink, where two languages have as many tokens: a fresh one goes on from there."""
        for _ in range(AGAIN):
            tried = self._descend(_logs(top.taken * top.D)[None], box, gain=FINE)[0]
            if tried is None or tried.objective >= top.objective:
                return top
            done = tried.objective > top.objective * (1 - AGREEMENT / 10)
            top = tried
            if done:
                return top
        return top

    def _exchange(self, top: Allocation, box: Box) -> Allocation:
        """Let languages that harm each other change places, and keep the best result, while it is better.

        Interference counts for one dose of the smaller of two: where they have as many tokens there is a ridge, with an
        optimum on either side, and no descent crosses it.
        """
        for _ in range(EXCHANGES):
            pairs = self._neighbours(top)
            if not len(pairs):
                return top
            tokens = np.tile(np.maximum(top.taken * top.D, 1.0), (2 * len(pairs), 1))
            by_phase = tokens.reshape(len(tokens), -1, len(self.U))
            i, j = np.tile(pairs, (2, 1)).T
            rows = np.arange(len(tokens))
            a, b = by_phase[rows, :, i].sum(axis=-1), by_phase[rows, :, j].sum(axis=-1)
            # Both ways: their tokens exchanged, and one a little beyond the other.
            beyond = np.arange(len(tokens)) >= len(pairs)
            by_phase[rows, :, i] *= (np.where(beyond, b * BEYOND, b) / a)[:, None]
            by_phase[rows, :, j] *= np.where(beyond, 1.0, a / b)[:, None]
            D = tokens.sum(axis=1)
            begin = into_box(tokens / D[:, None], np.full(len(D), top.D), box) * top.D
            found = [a for a in self._descend(_logs(begin), box) if a is not None]
            best = min(found, key=lambda a: a.objective, default=top)
            if best.objective >= top.objective * (1 - AGREEMENT / 10):
                return top
            top = self._again(best, box)
        return top

    def _neighbours(self, top: Allocation) -> np.ndarray:
        """Pairs `(n, 2)`, fewer tokens first, of languages next to each other of which one harms the other."""
        laws = self.problem.laws
        if laws.dose == "linear" or len(self.U) < 2:
            return np.empty((0, 2), int)
        order = np.argsort(top.shares)
        low, high = order[:-1], order[1:]
        tau = laws.tau[0]
        harmful = (tau[low, high] < 0) | (tau[high, low] < 0)
        low, high = low[harmful], high[harmful]
        apart = np.log(np.maximum(top.shares[high], 1e-300)) - np.log(np.maximum(top.shares[low], 1e-300))
        nearest = np.argsort(apart)[: PAIRS // max(1, len(self.U) // MANY)]
        return np.stack([low, high], axis=1)[nearest]

    def _lift(self, top: Allocation, box: Box) -> Allocation:
        """Give something to languages that got nothing, and keep the result if it is better."""
        for _ in range(3):
            served = (self.weights > 0) & (box.share_high > NOTHING)
            starved = (top.taken < NOTHING) & np.tile(served, len(top.taken) // len(served))
            if not starved.any():
                return top
            p = np.where(starved, 1 / len(top.taken), top.taken)
            begin = into_box(p / p.sum(), top.D, box) * top.D
            tried = self._descend(_logs(begin)[None], box)[0]
            if tried is None or tried.objective >= top.objective * (1 - AGREEMENT):
                return top
            top = tried
        return top

    def _descend(
        self, x: np.ndarray, box: Box, N: np.ndarray | None = None, gain: float = GAIN
    ) -> list[Allocation | None]:
        """The nearest optima from log tokens x `(n, K)`, at sizes N `(n,)` where given; None if a limit is broken."""
        # A size need not be met exactly: what counts is the best mixture at the size that is reported.
        met = VIOLATION if N is None else NEAR
        # Over draws every draw has kinks of its own, and a search walks along them.
        found = search(
            self._task(len(x)), x, box, N=N, gain=gain, met=met, rounds=None if self.drawn is None else PHASED_ROUNDS
        )
        sizes, shares = plans_of(found.x, self.problem, box)
        loss, objective = self._losses(sizes, shares), self._objectives(sizes, shares)
        phases = box.phases
        totals = shares if phases is None else phases.totals(shares)
        return [
            Allocation(
                float(sizes[i]),
                float(self.problem.tokens(sizes[i])),
                totals[i],
                loss[i],
                float(objective[i]),
                1,
                1,
                None if phases is None else phases.by_phase(shares[i]),
            )
            if found.settled[i]
            else None
            for i in range(len(x))
        ]

    def _task(self, count: int) -> Task:
        if self.drawn is not None:
            return RiskTask(self.drawn.problem, self.goal, self.risk)
        return PointTask(self.problem, self.goal, np.zeros(count, int))

    def _losses(self, N: np.ndarray, shares: np.ndarray) -> np.ndarray:
        shares = self.text.spread(shares)
        with np.errstate(divide="ignore"):
            x = np.log(shares * self.problem.tokens(N)[:, None])
        return self.problem.losses(np.zeros(len(N), int), x, N)

    def _objectives(self, N: np.ndarray, shares: np.ndarray) -> np.ndarray:
        if self.drawn is None:
            return self.goal.of(self._losses(N, shares))
        shares = self.text.spread(shares)
        with np.errstate(divide="ignore"):
            return RiskTask(self.drawn.problem, self.goal, self.risk).of(
                np.log(shares * self.problem.tokens(N)[:, None])
            )


def _logs(tokens: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(tokens, 1.0))


def starting_mixtures(U: np.ndarray, D: float, max_epochs: float, *, extra: int, seed: int) -> list[np.ndarray]:
    """Interior mixtures to search from: the naive ones, and `extra` random ones around the even mixture."""
    named = naive_mixtures(U, D, T=3.33, max_epochs=max_epochs)
    rng = np.random.default_rng(seed)
    random = [rng.dirichlet(np.full(len(U), 2.0)) for _ in range(extra)]
    even = np.full(len(U), 1 / len(U))
    return [0.9 * p + 0.1 * even for p in (*named.values(), *random)]


def capped_losses(law: Atlas, U: Any, ceiling: float, tokens: Any, N: Any) -> Any:
    """Losses `(K,)` for `tokens` `(K,)` of each language: the law's, and no higher than a uniform guess's.

    Of one corpus of quality 1 of each language, U unique tokens.
    """
    return losses_of_seen(law, saturated(tokens, U, law.lambda_), ceiling, tokens, N)


@partial(jax.jit, static_argnums=2)
def losses_of_seen(law: Atlas, seen: Any, ceiling: float, tokens: Any, N: Any) -> Any:
    """As `capped_losses`, from the effective tokens `seen` `(K,)` that `tokens` are worth."""
    D_eff = law.effective_tokens(seen, seen[None, :], 0.0)
    p = tokens / tokens.sum()
    K = jnp.exp(-(p * jnp.log(jnp.maximum(p, 1e-300))).sum())
    loss = law.loss_at(N, jnp.maximum(D_eff, 1e-3), K)
    # A smooth minimum: a hard one has no gradient above the cap, and a search that starts there stays.
    ratio = loss / ceiling
    return loss / (1 + ratio**CAP_SHARPNESS) ** (1 / CAP_SHARPNESS)
