"""At which compute the question's languages keep their loss when others are served too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isogloss.planning.allocate import Allocation
from isogloss.planning.expand_problem import Problem, Span, solved, span

# Factors on compute are looked for between 1 / FARTHEST and FARTHEST.
FARTHEST = 16.0
FIRST_STEP = 0.05
# Of the factor's logarithm.
TOLERANCE = 3e-4
# Part of the draws whose factor may lie beyond the plans that were made.
BEYOND = 0.02
GRID = 400


@dataclass(frozen=True, eq=False)
class Path:
    """Plans of one problem at several budgets: log factors on compute `(n,)`, rising, and the old mean losses."""

    problem: Problem
    C: float
    found: dict[float, Allocation]

    def loss(self, x: float) -> float | None:
        """The question's languages' mean loss at C exp(x), by a plan made from the nearest one; None: no plan."""
        if x not in self.found:
            nearest = min(self.found, key=lambda other: abs(other - x))
            plan = solved(self.problem, self.C * math.exp(x), self.found[nearest])
            if plan is None:
                return None
            self.found[x] = plan
        return self.problem.old_loss(self.found[x])


@dataclass(frozen=True)
class EqualLoss:
    """The factor on compute at which the question's languages keep their mean loss; None, and why, if none does."""

    factor: Span | None
    why: str = ""

    def to_dict(self) -> dict[str, object]:
        return {"factor": self.factor.to_dict() if self.factor else None, "why": self.why}


def equal_loss(
    problem: Problem, C: float, after: Allocation, wanted: float, drawn: np.ndarray | None, level: float
) -> EqualLoss:
    """By bracketing and bisection over log C; `after` is the plan at C, `drawn` `(draws,)` the draws of `wanted`.

    Every draw keeps the mixtures and sizes of the plans so made, and has its own factor among them.
    """
    path = Path(problem, C, {0.0: after})
    x = _root(path, wanted)
    if x is None:
        where = "larger" if problem.old_loss(after) > wanted else "smaller"
        return EqualLoss(
            None, f"no {where} budget up to a factor of {FARTHEST:g} that the text allows keeps their loss"
        )
    if drawn is None:
        return EqualLoss(Span(math.exp(x)))
    return EqualLoss(span(math.exp(x), _drawn_factors(path, drawn), level))


def _root(path: Path, wanted: float) -> float | None:
    """Where the loss is `wanted`, in log compute; the loss falls with compute."""
    x0, f0 = 0.0, _known(path.loss(0.0)) - wanted
    step = FIRST_STEP if f0 > 0 else -FIRST_STEP
    while True:
        x1 = float(np.clip(x0 + step, -math.log(FARTHEST), math.log(FARTHEST)))
        loss = path.loss(x1) if x1 != x0 else None
        if loss is None:
            return None
        f1 = loss - wanted
        if (f0 > 0) != (f1 > 0):
            return _between(path, wanted, (x0, f0), (x1, f1))
        x0, f0, step = x1, f1, 2 * step


def _between(path: Path, wanted: float, a: tuple[float, float], b: tuple[float, float]) -> float:
    """The Illinois form of false position: the bracket always shrinks, and a straight line is found at once."""
    (x0, f0), (x1, f1) = a, b
    for _ in range(40):
        x = x1 - f1 * (x1 - x0) / (f1 - f0)
        loss = path.loss(x)
        if loss is None:
            return x
        f = loss - wanted
        if (f > 0) != (f1 > 0):
            x0, f0 = x1, f1
        else:
            f0 /= 2
        moved = abs(x - x1)
        x1, f1 = x, f
        if moved < TOLERANCE or f == 0:
            break
    return x1


def _known(loss: float | None) -> float:
    assert loss is not None
    return loss


def _drawn_factors(path: Path, wanted: np.ndarray) -> np.ndarray:
    """Of every draw `(draws,)`: longer paths are made until almost all draws' factors lie on them."""
    rows = {x: _old_draws(path, x) for x in list(path.found)}
    for side in (1, -1):
        step = 4 * FIRST_STEP
        while True:
            end = max(rows) if side > 0 else min(rows)
            missing = rows[end] > wanted if side > 0 else rows[end] < wanted
            further = float(np.clip(end + side * step, -math.log(FARTHEST), math.log(FARTHEST)))
            if missing.mean() <= BEYOND or further == end or path.loss(further) is None:
                break
            rows[further] = _old_draws(path, further)
            step *= 2
    return np.exp(_crossings(rows, wanted))


def _old_draws(path: Path, x: float) -> np.ndarray:
    losses = path.problem.drawn(path.C * math.exp(x), path.found[x])
    assert losses is not None
    return losses @ path.problem.old_weights


def _crossings(rows: dict[float, np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """Where each draw's loss falls to what is wanted; at the path's end where it does not."""
    # SciPy's interpolation takes long to load, and few plans need it.
    from scipy.interpolate import PchipInterpolator

    # Points closer than the noise of the search would make the curve wiggle.
    xs: list[float] = []
    for x in sorted(rows):
        if not xs or x - xs[-1] > FIRST_STEP / 5:
            xs.append(x)
    if len(xs) < 2:
        xs = [min(rows), max(rows)]
    grid = np.linspace(xs[0], xs[-1], GRID)
    curves = PchipInterpolator(xs, np.array([rows[x] for x in xs]), axis=0)(grid)
    above = curves > wanted
    first = np.clip(above.sum(axis=0), 1, GRID - 1)
    draws = np.arange(len(wanted))
    high, low = curves[first - 1, draws], curves[first, draws]
    part = np.clip((high - wanted) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    return grid[first - 1] + part * (grid[first] - grid[first - 1])
