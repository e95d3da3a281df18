"""Scores of a mixture of normals of y = log(d_mono / d_bi): BTS = 2 - exp(-y) stays below 2 whatever y is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

# Steps to a quantile, at most, and how near to it (in sd) they stop.
STEPS, NEAR = 40, 1e-6
# Draws times cells that one step holds in memory.
AT_ONCE = 200_000


def score_of(y: np.ndarray) -> np.ndarray:
    return 2 - np.exp(-y)


def y_of(bts: np.ndarray) -> np.ndarray:
    return -np.log(2 - bts)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Of every cell: means and variances of y `(draws, cells)`, and the draws' weights, summing to 1."""

    weights: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    def quantile(self, q: float) -> np.ndarray:
        """Of the score `(cells,)`."""
        count = max(AT_ONCE // len(self.weights), 1)
        starts = range(0, self.mean.shape[1], count)
        parts = [self._quantile(q, slice(start, start + count)) for start in starts]
        return score_of(np.concatenate(parts)) if parts else np.empty(0)

    def _quantile(self, q: float, cells: slice) -> np.ndarray:
        """Of y: Newton's steps, and a halved bracket where they leave it."""
        mean, sd = self.mean[:, cells], np.sqrt(self.variance[:, cells])
        reach = mean + special.ndtri(q) * sd
        low, high = reach.min(axis=0), reach.max(axis=0)
        at, precision, width = self.weights @ reach, 1 / sd, sd.min(axis=0)
        for _ in range(STEPS):
            z = (at - mean) * precision
            excess = self.weights @ special.ndtr(z) - q
            density = self.weights @ (np.exp(-0.5 * z * z) * precision) / np.sqrt(2 * np.pi)
            low, high = np.where(excess < 0, at, low), np.where(excess < 0, high, at)
            step = excess / np.maximum(density, 1e-300)
            at = np.where((low <= at - step) & (at - step <= high), at - step, (low + high) / 2)
            if (np.abs(step) < NEAR * width).all():
                break
        return at

    def score_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the score `(cells,)`."""
        first = self.weights @ np.exp(-self.mean + self.variance / 2)
        second = self.weights @ np.exp(-2 * self.mean + 2 * self.variance)
        return 2 - first, np.sqrt(np.maximum(second - first**2, 0.0))
