"""How sure a plan is: intervals of its numbers, and what it loses against what would have been best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss.planning.allocate import Allocation
from isogloss.planning.constraints import Box
from isogloss.planning.descent import descend
from isogloss.planning.draws import Drawn
from isogloss.planning.flat import FlatRange, flat_range
from isogloss.planning.goal import Goal

# Part of an even mixture in the one from which each draw's optimum is searched: what has nothing moves nowhere.
EVEN = 0.02


@dataclass(frozen=True)
class Interval:
    """Of one number over the draws: `low` and `high` bound the central part that the level says."""

    low: float
    median: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"low": self.low, "median": self.median, "high": self.high}


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Draws of laws and transfer weights, and what each of them says of the plan.

    N, D, shares and epochs are those that would be best if the draw were the truth: their intervals say how sure the
    decision is. Losses are the plan's own at every draw.
    """

    level: float
    languages: tuple[str, ...]
    N: np.ndarray
    """`(draws,)`, parameters."""
    D: np.ndarray
    shares: np.ndarray
    """`(draws, K)`."""
    epochs: np.ndarray
    best_loss: np.ndarray
    """The objective of each draw's own best plan `(draws,)`: what the plan makes small, under that draw alone."""
    loss: np.ndarray
    """Of the plan, per language `(draws, K)`."""
    objective: np.ndarray
    """Of the plan `(draws,)`."""
    alternatives: Mapping[str, np.ndarray]
    """Objectives of the naive mixtures `(draws,)`."""
    sizes: np.ndarray
    size_loss: np.ndarray
    """Objectives at `sizes` `(draws, sizes)`, each with the plan's best mixture at that size."""
    varies: tuple[str, ...]
    """What the draws hold, a sentence each."""
    lacks: tuple[str, ...]
    """What is uncertain too and has no published interval: the true intervals are wider by it."""
    settled: int
    """Draws whose search ended at an optimum."""
    seed: int

    @property
    def count(self) -> int:
        return len(self.N)

    @property
    def regret(self) -> np.ndarray:
        """Of the plan `(draws,)`: its objective over that of the draw's own best plan, less 1."""
        return self.objective / self.best_loss - 1

    def regret_of(self, alternative: str) -> np.ndarray:
        """Of a naive mixture `(draws,)`; below 0 where it breaks a limit that the best plan keeps."""
        return self.alternatives[alternative] / self.best_loss - 1

    def plan_better(self, alternative: str) -> float:
        """The part of the draws in which the plan's objective is below the alternative's."""
        return float((self.objective < self.alternatives[alternative]).mean())

    def interval(self, values: np.ndarray) -> Interval:
        """Of one number, its draws `(draws,)`."""
        low, median, high = np.quantile(values, [(1 - self.level) / 2, 0.5, (1 + self.level) / 2])
        return Interval(float(low), float(median), float(high))

    def bounds(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of many numbers at once, `values` `(draws, n)`: low and high `(n,)`."""
        low, high = np.quantile(values, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0)
        return low, high

    def flat(self) -> FlatRange:
        """The sizes whose objective, averaged over the draws, is close to the least."""
        return flat_range(self.sizes, self.size_loss.mean(axis=0))

    def to_dict(self) -> dict[str, Any]:
        def per_language(values: np.ndarray) -> dict[str, dict[str, float]]:
            return {
                code: self.interval(column).to_dict() for code, column in zip(self.languages, values.T, strict=True)
            }

        return {
            "level": self.level,
            "draws": self.count,
            "settled": self.settled,
            "seed": self.seed,
            "varies": list(self.varies),
            "lacks": list(self.lacks),
            "N": self.interval(self.N).to_dict(),
            "D": self.interval(self.D).to_dict(),
            "shares": per_language(self.shares),
            "epochs": per_language(self.epochs),
            "loss": per_language(self.loss),
            "objective": self.interval(self.objective).to_dict(),
            "regret": self._regret(self.regret),
            "alternatives": {
                name: {
                    "objective": self.interval(values).to_dict(),
                    "regret": self._regret(self.regret_of(name)),
                    "plan_better": self.plan_better(name),
                }
                for name, values in self.alternatives.items()
            },
            "flat": self.flat().to_dict(),
        }

    def _regret(self, values: np.ndarray) -> dict[str, float]:
        return {"mean": float(values.mean()), **self.interval(values).to_dict()}


def uncertainty(
    drawn: Drawn,
    top: Allocation,
    box: Box,
    *,
    goal: Goal,
    languages: Sequence[str],
    alternatives: Mapping[str, np.ndarray],
    sizes: Sequence[Allocation],
    level: float,
    seed: int,
) -> Uncertainty:
    """The plan, the naive mixtures `(K,)` at its N and the best plans at other sizes, all under every draw."""

    def mean(N: float, shares: np.ndarray) -> np.ndarray:
        return goal.of(drawn.losses(N, shares))

    loss = drawn.losses(top.N, top.taken)
    rivals = {name: mean(top.N, shares) for name, shares in alternatives.items()}
    at_sizes = np.array([mean(a.N, a.taken) for a in sizes]).T
    best = descend(drawn, (1 - EVEN) * top.taken + EVEN * box.even, top.D, box, goal=goal)
    D = drawn.problem.tokens(best.N)
    return Uncertainty(
        level=level,
        languages=tuple(languages),
        N=best.N,
        D=D,
        shares=best.shares,
        epochs=best.shares * D[:, None] / drawn.U,
        best_loss=goal.of(best.loss),
        loss=loss,
        objective=goal.of(loss),
        alternatives=rivals,
        sizes=np.array([a.N for a in sizes]),
        size_loss=at_sizes,
        varies=drawn.draws.varies,
        lacks=drawn.draws.lacks,
        settled=int(best.settled.sum()),
        seed=seed,
    )
