"""What a change of a given plan saves: of the loss at equal compute, and of the compute at equal loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from isogloss.planning.allocate import Allocator
from isogloss.planning.draws import Drawn

# Compute at equal loss is looked for between these factors of the given plan's compute.
LEAST, MOST = 1 / 100, 4.0
POINTS = 17
# Sizes are searched up to this factor from the given one.
FARTHEST = 64.0


@dataclass(frozen=True)
class Estimate:
    """A number, and the bounds of the central part of its draws; None without draws."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


def estimate(value: float, drawn: np.ndarray | None, level: float) -> Estimate:
    if drawn is None:
        return Estimate(value)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Expected losses of any plan, N parameters on D tokens, by the point law and by every draw."""

    allocator: Allocator
    drawn: Drawn | None
    level: float

    @property
    def weights(self) -> np.ndarray:
        return self.allocator.weights

    def losses(self, N: float, D: float, shares: np.ndarray) -> np.ndarray:
        """Of every language `(K,)`."""
        return replace(self.allocator, C=6 * N * D).losses(N, shares)

    def mean(self, N: float, D: float, shares: np.ndarray) -> float:
        return float(self.weights @ self.losses(N, D, shares))

    def drawn_losses(self, N: float, D: float, shares: np.ndarray) -> np.ndarray | None:
        """`(draws, K)`, None without draws."""
        return None if self.drawn is None else replace(self.drawn, C=6 * N * D).losses(N, shares)

    def drawn_mean(self, N: float, D: float, shares: np.ndarray) -> np.ndarray | None:
        losses = self.drawn_losses(N, D, shares)
        return None if losses is None else losses @ self.weights


def best_size(evaluator: Evaluator, shares: np.ndarray, C: float, low: float, high: float) -> float:
    """The N of least mean loss at C = 6 N D FLOPs with the mixture held, between `low` and `high` parameters."""
    if high <= low * (1 + 1e-9):
        return low

    def mean(log_N: float) -> float:
        N = math.exp(log_N)
        return evaluator.mean(N, C / (6 * N), shares)

    # The cap on the loss makes it flat far away: the bracket comes from a coarse grid.
    grid = np.linspace(math.log(low), math.log(high), 17)
    values = [mean(x) for x in grid]
    i = int(np.argmin(values))
    bounds = (grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)])
    found = minimize_scalar(mean, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return math.exp(float(found.x)) if found.fun < values[i] else math.exp(float(grid[i]))


def compute_saved(
    evaluator: Evaluator,
    C: float,
    wanted: float,
    wanted_drawn: np.ndarray | None,
    size_at: Callable[[float], float],
    shares: np.ndarray,
) -> Estimate:
    """The part of C that `shares` save when they only have to reach the mean loss `wanted`, at N = `size_at(C)`.

    The mixture is held while C falls, so that a saving is, if anything, too small. Between 1 - MOST and 1 - LEAST.
    """
    x = np.linspace(math.log(LEAST), math.log(MOST), POINTS)
    sizes = [size_at(C * math.exp(v)) for v in x]
    plans = [(N, C * math.exp(v) / (6 * N), shares) for N, v in zip(sizes, x, strict=True)]
    own = _crossing(x, np.array([[evaluator.mean(*p) for p in plans]]), np.array([wanted]))[0]
    if evaluator.drawn is None or wanted_drawn is None:
        return Estimate(1 - math.exp(own))
    rows = [evaluator.drawn_mean(*p) for p in plans]
    drawn = _crossing(x, np.array(rows).T, wanted_drawn)
    return estimate(1 - math.exp(own), 1 - np.exp(drawn), evaluator.level)


def _crossing(x: np.ndarray, losses: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each row of `losses` `(n, points)`, which fall in x, equals its `wanted` `(n,)`; at an end if beyond it."""
    # SciPy's interpolation takes long to load, and few plans need it.
    from scipy.interpolate import PchipInterpolator

    out = np.empty(len(wanted))
    for i, (row, target) in enumerate(zip(losses, wanted, strict=True)):
        # Where the cap holds a loss, it does not fall: such points tell nothing of where it does.
        keep = np.append(np.diff(row) < 0, True)
        rising, at = np.log(row[keep])[::-1], x[keep][::-1]
        if len(rising) < 2:
            out[i] = at[0]
            continue
        out[i] = PchipInterpolator(rising, at)(np.clip(math.log(target), rising[0], rising[-1]))
    return out
