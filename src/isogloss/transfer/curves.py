"""A run's loss against tokens as a monotone smooth curve, with the noise of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

_GAMMAS, _ONSETS = np.geomspace(0.05, 4.0, 24), np.array([0.0, 0.25, 1.0, 4.0])
EXPONENTS, ONSETS = (grid.ravel() for grid in np.meshgrid(_GAMMAS, _ONSETS, indexing="ij"))
"""Terms whose sum a curve is, `(terms,)`: exponents gamma, steep ones for the first checkpoints after warm-up; and
onsets, in units of D0, before which a term is nearly flat: a model's first tokens teach it little that shows in the
loss. Pure power laws take that for noise, five times the seeds' (experiments/LOG.md, 2026-11-22)."""

# Residuals beyond this many robust standard deviations are drawn in, as Huber's estimate does.
HUBER = 1.5
# Mean of weight times squared residual for normal noise of variance one.
HUBER_VARIANCE = 0.866
# Runs of fewer points are no curves: what they share cannot be told from the noise of a checkpoint.
CURVE_POINTS = 3


@dataclass(frozen=True, eq=False)
class Points:
    """Losses of the runs of one cell: tokens in all, loss, and a number for the run, each `(points,)`."""

    tokens: np.ndarray
    loss: np.ndarray
    run: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, eq=False)
class LossCurve:
    """L(D) = E + sum_k b_k ((D/D0 + s_k) / (1 + s_k))^-gamma_k with E, b_k >= 0, gamma_k and s_k on a fixed grid.

    Falling, and convex in log D once past its beginning, as a single power law is, but with no exponent to guess. The
    coefficients solve a convex problem (nonnegative least squares): there is one optimum, and a refit takes a
    fraction of a millisecond.
    """

    points: Points
    coefficients: np.ndarray
    """`(1 + terms,)`: E and b."""
    center: float
    """D0, in tokens: the points' geometric mean."""
    weights: np.ndarray
    """`(points,)`, at most 1: below for points far from the curve."""
    residuals: np.ndarray
    """`(points,)`: loss minus curve, without the offset of the run."""
    offsets: np.ndarray
    """Mean distance from the curve of each run that is a curve itself, `(runs,)`; they add to zero. Empty where no
    run is."""

    @property
    def low(self) -> float:
        return float(self.points.tokens.min())

    @property
    def high(self) -> float:
        return float(self.points.tokens.max())

    @property
    def spent(self) -> int:
        """Degrees of freedom that the curve took: its terms above zero, and the runs' offsets."""
        return int((self.coefficients > 0).sum()) + max(len(self.offsets) - 1, 0)

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        return basis(tokens, self.center) @ self.coefficients

    def slope(self, tokens: np.ndarray) -> np.ndarray:
        """dL/d(log D), not above zero."""
        relative = np.asarray(tokens, float)[:, None] / self.center
        return (basis(tokens, self.center)[:, 1:] * -EXPONENTS * relative / (relative + ONSETS)) @ self.coefficients[1:]

    def tokens_at(self, loss: float) -> float:
        """Tokens at which the curve has this loss; NaN where it does not have it within its points' range."""
        first, last = (float(v) for v in self(np.array([self.low, self.high])))
        # Rounding must not lose the ends themselves.
        slack = 1e-9 * abs(first)
        if not last - slack <= loss <= first + slack:
            return float("nan")
        if loss >= first:
            return self.low
        if loss <= last:
            return self.high

        from scipy.optimize import brentq

        def gap(log_tokens: float) -> float:
            return float(self(np.exp([log_tokens]))[0]) - loss

        low, high = np.log(self.low), np.log(self.high)
        if gap(low) <= 0 or gap(high) >= 0:  # to rounding, the loss is that of an end
            return self.low if abs(gap(low)) < abs(gap(high)) else self.high
        found: Any = brentq(gap, low, high, xtol=1e-10)
        return float(np.exp(found))


def basis(tokens: np.ndarray, center: float) -> np.ndarray:
    """`(points, 1 + terms)`: one, and ((D/D0 + s) / (1 + s))^-gamma of every term."""
    relative = np.asarray(tokens, float)[:, None] / center
    terms = ((relative + ONSETS) / (1 + ONSETS)) ** -EXPONENTS
    return np.concatenate([np.ones((len(relative), 1)), terms], axis=1)


def fit_curve(points: Points, *, rounds: int = 5) -> LossCurve:
    """Robust nonnegative least squares (Huber by reweighting), with an offset of each run that is a curve itself."""
    center = float(np.exp(np.log(points.tokens).mean()))
    X, y = basis(points.tokens, center), points.loss
    weights, offset, offsets = np.ones(len(y)), np.zeros(len(y)), np.zeros(0)
    for _ in range(rounds):
        solved = _solve(X, y - offset, weights)
        offset, offsets = _run_offsets(points, y - X @ solved, weights)
        weights = _huber_weights(y - X @ solved - offset, int((solved > 0).sum()))
    solved = _solve(X, y - offset, weights)
    return LossCurve(points, solved, center, weights, y - X @ solved - offset, offsets)


def _solve(X: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    root = np.sqrt(weights)
    return _nonnegative(X * root[:, None], y * root)


def _nonnegative(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    # Imported here: it takes most of a second, which importing isogloss must not.
    from scipy.optimize import nnls

    return nnls(X, y)[0]


def _huber_weights(residuals: np.ndarray, spent: int) -> np.ndarray:
    size = len(residuals)
    scale = 1.4826 * float(np.median(np.abs(residuals))) * np.sqrt(size / max(size - spent, 1))
    if scale == 0:
        return np.ones(size)
    return np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residuals), 1e-300))


def _run_offsets(points: Points, residuals: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the points of each run share: `(points,)`, and by run. One run alone shares it with the curve."""
    runs = [r for r in np.unique(points.run) if (points.run == r).sum() >= CURVE_POINTS]
    offset = np.zeros(len(points))
    if not runs:
        return offset, np.zeros(0)
    means = np.array([np.average(residuals[points.run == r], weights=weights[points.run == r]) for r in runs])
    means -= means.mean()
    for run, mean in zip(runs, means, strict=True):
        offset[points.run == run] = mean
    return offset, means


# --- noise ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveNoise:
    """Standard deviations in the loss's unit: `checkpoint` of one point, correlated with the next one of its run by
    `correlation`; `shared` of the whole curve, between seeds. `freedom` is how many degrees of freedom they are known
    with."""

    checkpoint: float
    correlation: float
    shared: float
    freedom: float

    @property
    def total(self) -> float:
        return float(np.hypot(self.checkpoint, self.shared))


def resample(curve: LossCurve, noise: CurveNoise, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Coefficients `(draws, 1 + terms)` of curves refitted to the curve with new noise around it.

    What a whole curve shares moves its E, below zero if need be. Each draw has a size of noise of its own, as it is
    known only from the residuals.
    """
    X = basis(curve.points.tokens, curve.center)
    smooth, root = X @ curve.coefficients, np.sqrt(curve.weights)
    size = np.sqrt(noise.freedom / rng.chisquare(noise.freedom, draws))
    kicks = _correlated(curve.points, noise.correlation, draws, rng) * size[:, None] * noise.checkpoint / root
    weighted = X * root[:, None]
    found = np.array([_nonnegative(weighted, (smooth + kick) * root) for kick in kicks])
    found[:, 0] += noise.shared * size * rng.standard_normal(draws)
    return found


def _correlated(points: Points, correlation: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """AR(1) noise of variance one, along the tokens of each run: `(draws, points)`."""
    noise = rng.standard_normal((draws, len(points)))
    for run in np.unique(points.run):
        mine = in_order(points, run)
        for before, after in pairwise(mine):
            noise[:, after] = correlation * noise[:, before] + np.sqrt(1 - correlation**2) * noise[:, after]
    return noise


def in_order(points: Points, run: int) -> np.ndarray:
    mine = np.flatnonzero(points.run == run)
    return mine[np.argsort(points.tokens[mine], kind="stable")]
