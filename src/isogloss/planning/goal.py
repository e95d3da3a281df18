"""What a plan makes small: a mean or the worst of the languages' losses, at the point laws or over their draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

import numpy as np

from isogloss.planning.slopes import Problem

Risk = Literal["mean", "quantile", "tail"]
# The tail is the worst fifth of the draws, and the quantile is where it begins.
TAIL = 0.2
# Losses this close share the attention as the worst. They are about 1 as ATLAS prints them, and so are losses beside
# what a language reaches alone.
BLUR = 0.003


@dataclass(frozen=True, eq=False)
class Goal:
    """The weighted mean of losses, or the worst of those of positive weight, each times its `scale` `(K,)`."""

    weights: np.ndarray
    scale: np.ndarray | None = None
    worst: bool = False

    def of(self, loss: np.ndarray) -> np.ndarray:
        """`(...)` of losses `(..., K)`."""
        measured = self._measured(loss)
        return measured[..., self.weights > 0].max(axis=-1) if self.worst else measured @ self.weights

    def attention(self) -> np.ndarray:
        """What each language counts for at first `(K,)`, where the worst counts alone in the end."""
        return (self.weights > 0) / (self.weights > 0).sum()

    def smooth(self, loss: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values `(n,)` and slopes `(n, K)` at losses `(n, K)`.

        The worst is taken by the exponential method of multipliers (Bertsekas 1982, section 5.1): a soft maximum under
        an attention that is updated between searches, which is exact in the end without being sharp.
        """
        scale = np.ones_like(self.weights) if self.scale is None else self.scale
        if not self.worst:
            return self._measured(loss) @ self.weights, np.broadcast_to(self.weights * scale, loss.shape)
        measured = loss * scale
        top = np.where(attention > 0, measured, -np.inf).max(axis=-1, keepdims=True)
        parts = attention * np.exp(np.minimum((measured - top) / BLUR, 0.0))
        total = parts.sum(axis=-1, keepdims=True)
        return (top + BLUR * np.log(total))[..., 0], parts / total * scale

    def attended(self, loss: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next attention `(n, K)`, and how far the worst still lies above what it attends to, part `(n,)`."""
        if not self.worst:
            return attention, np.zeros(len(loss))
        scale = np.ones_like(self.weights) if self.scale is None else self.scale
        _, slopes = self.smooth(loss, attention)
        weights = slopes / scale
        worst = self.of(loss)
        return np.maximum(weights, 1e-12 * (self.weights > 0)), 1 - (weights * loss * scale).sum(axis=-1) / worst

    def _measured(self, loss: np.ndarray) -> np.ndarray:
        return loss if self.scale is None else loss * self.scale


class Task(Protocol):
    """What `descent` makes small, for many descents at once."""

    @property
    def problem(self) -> Problem: ...

    def attention(self, count: int) -> np.ndarray: ...

    def value(self, rows: np.ndarray, x: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values `(n,)` and gradients `(n, K)` of the descents `rows` at log tokens x `(n, K)`."""
        ...

    def attended(self, rows: np.ndarray, x: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class PointTask:
    """Descent i under the law `which[i]` of the problem's."""

    problem: Problem
    goal: Goal
    which: np.ndarray

    def attention(self, count: int) -> np.ndarray:
        return np.tile(self.goal.attention(), (count, 1))

    def value(self, rows: np.ndarray, x: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.problem.slopes(
            self.which[rows], x, lambda part, loss: self.goal.smooth(loss, attention[part] if self.goal.worst else loss)
        )

    def attended(self, rows: np.ndarray, x: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.goal.worst:
            return attention, np.zeros(len(x))
        return self.goal.attended(self.problem.losses(self.which[rows], x), attention)


@dataclass(frozen=True, eq=False)
class RiskTask:
    """Every descent under all draws of the laws: the mean of the goal, or of its worst fifth, or its 0.8 quantile."""

    problem: Problem
    goal: Goal
    risk: Risk

    @property
    def draws(self) -> int:
        return self.problem.laws.count

    def attention(self, count: int) -> np.ndarray:
        return np.tile(self.goal.attention(), (count, self.draws, 1))

    def value(self, rows: np.ndarray, x: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del rows  # all descents are under the same draws
        which, everywhere = self._spread(x)
        flat = attention.reshape(-1, attention.shape[-1])

        def aim(part: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.goal.smooth(loss, flat[part])

        values, slopes = self.problem.slopes(which, everywhere, aim)
        values, slopes = values.reshape(len(x), -1), slopes.reshape(len(x), self.draws, -1)
        weights = self._draw_weights(values)
        return (weights * values).sum(axis=1), (weights[..., None] * slopes).sum(axis=1)

    def attended(self, rows: np.ndarray, x: np.ndarray, attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del rows
        if not self.goal.worst:
            return attention, np.zeros(len(x))
        loss = self.problem.losses(*self._spread(x))
        after, gap = self.goal.attended(loss, attention.reshape(-1, attention.shape[-1]))
        return after.reshape(attention.shape), gap.reshape(len(x), -1).max(axis=1)

    def of(self, x: np.ndarray) -> np.ndarray:
        """The exact value `(n,)` at log tokens x `(n, K)`."""
        values = self.goal.of(self.problem.losses(*self._spread(x))).reshape(len(x), -1)
        return (self._draw_weights(values) * values).sum(axis=1)

    def _spread(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(np.arange(self.draws), len(x)), np.repeat(x, self.draws, axis=0)

    def _draw_weights(self, values: np.ndarray) -> np.ndarray:
        """What each draw counts for `(n, draws)`."""
        match self.risk:
            case "mean":
                return np.full(values.shape, 1 / self.draws)
            case "tail":
                return tail_weights(values)
            case "quantile":
                return quantile_weights(values)
            case _:
                assert_never(self.risk)


def tail_weights(values: np.ndarray) -> np.ndarray:
    """1 / k for the k worst of `values` `(..., draws)`, k a fifth of them, at least 1."""
    count = max(1, math.ceil(TAIL * values.shape[-1] - 1e-9))
    worst = np.argpartition(-values, count - 1, axis=-1)[..., :count]
    weights = np.zeros(values.shape)
    np.put_along_axis(weights, worst, 1 / count, axis=-1)
    return weights


def quantile_weights(values: np.ndarray) -> np.ndarray:
    """Weights whose sum of `values` `(..., draws)` is their 1 - TAIL quantile, as `np.quantile` interpolates it."""
    draws = values.shape[-1]
    by_rank = np.maximum(0.0, 1 - np.abs(np.arange(draws) - (1 - TAIL) * (draws - 1)))
    weights = np.empty(values.shape)
    np.put_along_axis(weights, np.argsort(values, axis=-1), np.broadcast_to(by_rank, values.shape), axis=-1)
    return weights
