"""What a fit makes small: the sum over rows of a cost of the residual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.numerics import jnp


class Objective(Protocol):
    """Final classes below are frozen and hashable: solvers compile one program per objective."""

    name: ClassVar[str]

    def residual(self, predicted: Any, observed: Any) -> Any: ...
    def cost(self, residual: Any) -> Any: ...
    def observed(self, predicted: Any, residual: Any) -> Any:
        """The observation that has this residual: the inverse of `residual`."""
        ...

    def deviance(self, value: Any, best: float, rows: int) -> Any:
        """Twice the fall in log likelihood from `best` to `value`, the error scale being profiled out."""
        ...


@dataclass(frozen=True)
class HuberLogLoss:
    """Huber of the difference of log losses: the field's choice, summed and not averaged.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, equation 3 (delta = 1e-3).
    """

    delta: float = 1e-3
    name: ClassVar[str] = "huber-log"

    def residual(self, predicted: Any, observed: Any) -> Any:
        return jnp.log(predicted) - jnp.log(observed)

    def observed(self, predicted: Any, residual: Any) -> Any:
        return _off(predicted, residual)

    def cost(self, residual: Any) -> Any:
        size = jnp.abs(residual)
        return jnp.where(size <= self.delta, 0.5 * residual**2, self.delta * (size - 0.5 * self.delta))

    def deviance(self, value: Any, best: float, rows: int) -> Any:
        # With delta far below the residuals the cost is their absolute value: errors are Laplace.
        return 2 * rows * np.log(np.maximum(value, best) / best)


@dataclass(frozen=True)
class SquaredLogLoss:
    """Half the squared difference of log losses: least squares of relative errors."""

    name: ClassVar[str] = "squared-log"

    def residual(self, predicted: Any, observed: Any) -> Any:
        return jnp.log(predicted) - jnp.log(observed)

    def observed(self, predicted: Any, residual: Any) -> Any:
        return _off(predicted, residual)

    def cost(self, residual: Any) -> Any:
        return 0.5 * residual**2

    def deviance(self, value: Any, best: float, rows: int) -> Any:
        return rows * np.log(np.maximum(value, best) / best)


@dataclass(frozen=True)
class SquaredLoss:
    """Half the squared difference of losses: ordinary least squares."""

    name: ClassVar[str] = "squared"

    def residual(self, predicted: Any, observed: Any) -> Any:
        return predicted - observed

    def observed(self, predicted: Any, residual: Any) -> Any:
        return predicted - residual

    def cost(self, residual: Any) -> Any:
        return 0.5 * residual**2

    def deviance(self, value: Any, best: float, rows: int) -> Any:
        return rows * np.log(np.maximum(value, best) / best)


def _off(predicted: Any, residual: Any) -> Any:
    # An interval of a useless law has no end, and that is its answer.
    with np.errstate(over="ignore"):
        return predicted * np.exp(-residual)


OBJECTIVES = {o.name: o for o in (HuberLogLoss, SquaredLogLoss, SquaredLoss)}


def get_objective(name: str, *, delta: float | None = None) -> Objective:
    """The objective called `name`; InputError with near misses if there is none."""
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    if delta is None:
        return OBJECTIVES[name]()
    if name != HuberLogLoss.name:
        raise InputError(f"objective {name} has no delta", hint=f"Only {HuberLogLoss.name} has.")
    if not (math.isfinite(delta) and delta > 0):
        raise InputError(f"delta must be positive, got {delta:g}", hint="The field uses 1e-3.")
    return HuberLogLoss(delta)
