"""Which runs to do: greedy by expected regret per FLOP, then exchanges of single runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.planning.design_information import Observed
from isogloss.planning.design_runs import SmallRun

# A run counts as at least this part of the budget: many tiny runs are work too, and leave no room for one that tells
# much. Each is tried.
PARTS = (0.02, 0.1, 0.5)
MOST_RUNS = 40
MOST_SEEDS = 3
# Beyond so many coefficients every exchange would take seconds.
EXCHANGED = 300
PASSES = 2
# A run is added while it takes off at least this part of the regret that is left.
WORTH = 3e-3


@dataclass(frozen=True, eq=False)
class Chosen:
    """`picks`: places in the list of candidates, with repeats for further seeds. Regrets are to second order."""

    picks: tuple[int, ...]
    before: float
    after: float
    without: dict[int, float]
    """Expected regret without a pick and its further seeds, all else alike."""
    covs: np.ndarray
    """Of theta after the runs, at each draw `(draws, P, P)`."""
    flops: float


class Search:
    """`sensitivities` `(draws, P, K)` and `observed` at the same draws of theta, of which means are taken."""

    def __init__(
        self,
        cov: np.ndarray,
        sensitivities: np.ndarray,
        observed: Sequence[Observed],
        runs: Sequence[SmallRun],
    ) -> None:
        self.cov, self.L, self.observed = cov, sensitivities, observed
        self.root = np.linalg.cholesky(cov)
        self.flops = np.array([run.flops for run in runs])
        self.place = {int(r): (g, k) for g, group in enumerate(observed) for k, r in enumerate(group.which)}

    def gains(self) -> np.ndarray:
        """Expected regret that each candidate alone would take off."""
        return _State(self, self._covs([])).gains()

    def of(self, picks: Sequence[int]) -> float:
        """Expected regret after runs that were chosen by someone else."""
        return self._regret(self._covs(picks))

    def best(self, budget: float, *, exchange: bool = True) -> Chosen:
        """The runs found for `budget` FLOPs."""
        tried = [(self._greedy([], budget, part), part) for part in PARTS]
        picks, part = min(tried, key=lambda t: self.of(t[0]))
        if exchange and len(self.cov) <= EXCHANGED:
            for _ in range(PASSES):
                picks, changed = self._exchange(picks, budget, part)
                if not changed:
                    break
        covs = self._covs(picks)
        without = {pick: self._regret(self._covs([p for p in picks if p != pick])) for pick in dict.fromkeys(picks)}
        total = float(self.flops[picks].sum()) if picks else 0.0
        return Chosen(tuple(picks), self._regret(self._covs([])), self._regret(covs), without, covs, total)

    def _exchange(self, picks: list[int], budget: float, part: float) -> tuple[list[int], bool]:
        """Each run in turn, the least useful first, is taken out, and what is best put in its place."""
        now, changed = self._regret(self._covs(picks)), False
        use = [self._regret(self._covs([*picks[:k], *picks[k + 1 :]])) for k in range(len(picks))]
        for pick in [picks[k] for k in np.argsort(use)]:
            rest = list(picks)
            rest.remove(pick)
            tried = self._greedy(rest, budget, part)
            then = self._regret(self._covs(tried))
            if then < now * (1 - 1e-4):
                picks, now, changed = tried, then, True
        return picks, changed

    def _greedy(self, picks: list[int], budget: float, part: float) -> list[int]:
        spent = float(self.flops[picks].sum()) if picks else 0.0
        state = _State(self, self._covs(picks))
        cost = np.maximum(self.flops, part * budget)
        while len(picks) < MOST_RUNS:
            allowed = self.flops <= (budget - spent) * (1 + 1e-9)
            for pick in set(picks):
                allowed[pick] &= picks.count(pick) < MOST_SEEDS
            if not allowed.any():
                break
            gain = state.gains()
            score = np.where(allowed, gain / cost, -1.0)
            pick = int(np.argmax(score))
            if gain[pick] <= WORTH * state.regret():
                # What is cheap tells no more: what tells most, if it tells anything.
                pick = int(np.argmax(np.where(allowed, gain, -1.0)))
                if gain[pick] <= WORTH * state.regret():
                    break
            picks.append(pick)
            spent += float(self.flops[pick])
            state.take(*self.place[pick])
        return picks

    def _covs(self, picks: Sequence[int]) -> np.ndarray:
        size = self.cov.shape[0]
        if not picks:
            return np.broadcast_to(self.cov, (len(self.L), size, size))
        rows = [self.observed[g].rows[:, k] for g, k in (self.place[p] for p in picks)]
        # In units of the prior: its inverse is the identity, and the sum is well conditioned.
        told = np.concatenate(rows, axis=1) @ self.root
        inner = np.linalg.inv(np.eye(size) + told.swapaxes(-1, -2) @ told)
        return self.root @ inner @ self.root.T

    def _regret(self, covs: np.ndarray) -> float:
        return float((self.L * (covs @ self.L)).sum((-1, -2)).mean() / 2)


class _State:
    """J cov J' and J cov L of all candidates, kept up to date as runs are taken: each costs little."""

    def __init__(self, search: Search, covs: np.ndarray) -> None:
        self.search, self.covs = search, covs
        self.inner, self.reach = [], []
        for group in search.observed:
            JS = group.rows @ self.covs[:, None]
            self.inner.append(JS @ group.rows.swapaxes(-1, -2))
            self.reach.append(JS @ search.L[:, None])

    def regret(self) -> float:
        return self.search._regret(self.covs)

    def gains(self) -> np.ndarray:
        """Expected regret that each candidate would take off, the mean over the draws."""
        out = np.zeros(len(self.search.flops))
        for group, inner, reach in zip(self.search.observed, self.inner, self.reach, strict=True):
            solved = np.linalg.solve(inner + np.eye(inner.shape[-1]), reach)
            out[group.which] = (reach * solved).sum((-1, -2)).mean(0) / 2
        return out

    def take(self, g: int, k: int) -> None:
        chosen = self.search.observed[g].rows[:, k]
        SJ = self.covs @ chosen.swapaxes(-1, -2)
        lower = np.linalg.cholesky(np.eye(SJ.shape[-1]) + chosen @ SJ)
        B = np.linalg.solve(lower, SJ.swapaxes(-1, -2)).swapaxes(-1, -2)
        self.covs = self.covs - B @ B.swapaxes(-1, -2)
        BL = B.swapaxes(-1, -2) @ self.search.L
        for group, inner, reach in zip(self.search.observed, self.inner, self.reach, strict=True):
            JB = group.rows @ B[:, None]
            inner -= JB @ JB.swapaxes(-1, -2)
            reach -= JB @ BL[:, None]
