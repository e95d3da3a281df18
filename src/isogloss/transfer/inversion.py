"""Two curves to transfer: the tokens that a pair needs for the loss of the target alone, with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.transfer.curves import CurveNoise, LossCurve, basis, resample

# Limits of an interval, never the estimate, may lie this many times beyond the pair's measured tokens.
REACH = 2.0
GRID = 161
# A common range narrower than this, high over low, holds no curve.
LEAST_RANGE = 1.2
# Where one standard deviation of the loss moves the score by more than this, the curve is called flat.
FLAT = 0.25


@dataclass(frozen=True, eq=False)
class Inversion:
    """What the pair needs, at every anchor d; all arrays `(anchors,)`, in tokens unless said otherwise."""

    anchors: np.ndarray
    sigma: np.ndarray
    """Total tokens of the pair at the loss that the target alone has at d."""
    sigma_low: np.ndarray
    """Zero where the interval reaches farther than REACH below the pair's first point."""
    sigma_high: np.ndarray
    """Infinite where the interval reaches farther than REACH beyond the pair's last point."""
    sigma_sd: np.ndarray
    """Standard error, by the curve's slope."""
    tokens_per_loss: np.ndarray
    """d sigma / d loss, as a positive number: tokens of the pair per unit of loss."""
    default: float
    """The anchor to quote where none is asked for."""


def common_range(mono: LossCurve, pair: LossCurve) -> tuple[float, float] | None:
    """Tokens d of the target alone whose loss the pair reaches within its own points; None if there is none."""
    first, last = (float(v) for v in pair(np.array([pair.low, pair.high])))
    ends = mono(np.array([mono.low, mono.high]))
    low = mono.low if ends[0] <= first else mono.tokens_at(first)
    high = mono.high if ends[1] >= last else mono.tokens_at(last)
    # A pair that is better at its first point than the target ever is has no range in common with it.
    if not (np.isfinite(low) and np.isfinite(high)) or high < LEAST_RANGE * low:
        return None
    return low, high


def default_anchor(mono: LossCurve, pair: LossCurve, low: float, high: float) -> float:
    """The log-midpoint of the tokens that both curves cover, or the nearest anchor that has a score."""
    both = np.sqrt(max(mono.low, pair.low) * min(mono.high, pair.high))
    return float(np.clip(both, low, high))


def invert(
    mono: LossCurve,
    pair: LossCurve,
    noises: tuple[CurveNoise, CurveNoise],
    *,
    span: tuple[float, float],
    anchors: int,
    draws: int,
    level: float,
    rng: np.random.Generator,
) -> Inversion:
    """Sigma over a log grid of anchors in `span`, which holds the default anchor too.

    An interval holds the tokens at which the loss of the pair cannot be told from that of the target alone, as
    Fieller's does for a ratio: it stays right where the pair's curve is flat, and is open where the data leave it
    so. Differences of loss come from a bootstrap of both curves, reflected around the fit, which takes out the
    bias of the smoothing.
    """
    default = default_anchor(mono, pair, *span)
    grid = np.unique(np.append(np.geomspace(*span, anchors), default))
    target = mono(grid)
    sigma = np.array([_within(pair, float(loss)) for loss in target])
    low, high = np.log(pair.low / REACH), np.log(pair.high * REACH)
    tokens = np.exp(np.linspace(low, high, GRID))
    alone = _reflected(mono, noises[0], grid, draws, rng)
    beside_at = np.concatenate([tokens, sigma])
    beside = _reflected(pair, noises[1], beside_at, draws, rng)
    limits = [_limits(tokens, alone[:, i, None] - beside[:, :GRID], level, float(sigma[i])) for i in range(len(grid))]
    spread = (alone - beside[:, GRID:]).std(axis=0, ddof=1)
    slope = -pair.slope(sigma)
    with np.errstate(divide="ignore"):
        per_loss = sigma / slope
    return Inversion(
        anchors=grid,
        sigma=sigma,
        sigma_low=np.minimum([limit[0] for limit in limits], sigma),
        sigma_high=np.maximum([limit[1] for limit in limits], sigma),
        sigma_sd=spread * per_loss,
        tokens_per_loss=per_loss,
        default=default,
    )


def _within(pair: LossCurve, loss: float) -> float:
    """The ends of a common range may miss the pair's own ends by rounding."""
    first, last = (float(v) for v in pair(np.array([pair.low, pair.high])))
    return pair.tokens_at(float(np.clip(loss, last, first)))


def _reflected(
    curve: LossCurve, noise: CurveNoise, tokens: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Losses `(draws, tokens)` that the curve may truly have: twice the fit minus refits to it."""
    refits = resample(curve, noise, draws, rng)
    return 2 * curve(tokens) - refits @ basis(tokens, curve.center).T


def _limits(tokens: np.ndarray, difference: np.ndarray, level: float, sigma: float) -> tuple[float, float]:
    """How far around sigma a difference of zero stays inside its interval; the difference grows with tokens."""
    below, above = np.quantile(difference, [(1 - level) / 2, (1 + level) / 2], axis=0)
    left = np.flatnonzero((tokens < sigma) & (above < 0))
    right = np.flatnonzero((tokens > sigma) & (below > 0))
    low = _crossing(tokens, above, int(left[-1])) if len(left) else 0.0
    high = _crossing(tokens, below, int(right[0]) - 1) if len(right) else np.inf
    return low, high


def _crossing(tokens: np.ndarray, values: np.ndarray, before: int) -> float:
    """Where values pass zero between two neighbours, log-linearly."""
    a, b = float(values[before]), float(values[before + 1])
    part = 0.0 if a == b else float(np.clip(-a / (b - a), 0, 1))
    return float(np.exp((1 - part) * np.log(tokens[before]) + part * np.log(tokens[before + 1])))
