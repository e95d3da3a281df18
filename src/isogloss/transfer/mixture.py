"""Scores of a mixture of normals of y = log(d_mono / d_bi): BTS = 2 - exp(-y) stays below 2 whatever y is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

# Halvings of the bracket of a quantile: to 1e-6 of its width.
HALVINGS = 22


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
        sd = np.sqrt(self.variance)
        reach = special.ndtri(q) * sd
        low, high = (self.mean + reach).min(axis=0), (self.mean + reach).max(axis=0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.weights @ special.ndtr((middle - self.mean) / sd) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return score_of((low + high) / 2)

    def score_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the score `(cells,)`."""
        first = self.weights @ np.exp(-self.mean + self.variance / 2)
        second = self.weights @ np.exp(-2 * self.mean + 2 * self.variance)
        return 2 - first, np.sqrt(np.maximum(second - first**2, 0.0))
