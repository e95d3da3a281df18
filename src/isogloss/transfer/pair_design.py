"""The columns of the effects model: features of a pair, standardised, a smooth part, and effects of languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Random Fourier features (Rahimi and Recht 2007) of the pair features: the smooth part that no line follows.
WAVES = 32
GROUPS = ("intercept", "features", "smooth", "target", "source")


class FeatureTable(Protocol):
    """What the model reads of `isogloss.transfer.PairFeatures`."""

    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> np.ndarray: ...
    @property
    def kinship(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Design:
    """`columns` `(K * K, columns)`, cell t K + s for target t and source s; `groups` says which columns are whose.

    Effects of languages stand in the basis of the kinship's eigenvectors, where they are independent a priori:
    `kinship` holds the eigenvalue of each of the K columns of "target", and of "source".
    """

    size: int
    columns: np.ndarray
    groups: Mapping[str, slice]
    kinship: np.ndarray
    names: tuple[str, ...]
    """Of the columns of "features"."""


def design(features: FeatureTable) -> Design:
    size = len(features.languages)
    linear, names = _standardised(features)
    values, vectors = np.linalg.eigh(features.kinship)
    each = np.eye(size)
    parts = {
        "intercept": np.ones((size * size, 1)),
        "features": linear,
        "smooth": _waves(linear),
        "target": np.repeat(each, size, axis=0) @ vectors,
        "source": np.tile(each, (size, 1)) @ vectors,
    }
    ends = np.cumsum([part.shape[1] for part in parts.values()])
    groups = {
        name: slice(int(end) - part.shape[1], int(end)) for (name, part), end in zip(parts.items(), ends, strict=True)
    }
    return Design(size, np.hstack(list(parts.values())), groups, np.maximum(values, 0.0), names)


def _standardised(features: FeatureTable) -> tuple[np.ndarray, tuple[str, ...]]:
    """Mean 0 and sd 1 over pairs; what is unknown stands at the mean, with a column that says so."""
    size = len(features.languages)
    values = np.array(features.values, float).reshape(size * size, len(features.names))
    pairs = ~np.eye(size, dtype=bool).ravel()
    columns, names = [], []
    for i, name in enumerate(features.names):
        known = np.isfinite(values[:, i])
        column = np.where(known, values[:, i], values[known & pairs, i].mean() if (known & pairs).any() else 0.0)
        columns.append(column)
        names.append(name)
        if (pairs & ~known).any() and (pairs & known).any():
            columns.append((~known).astype(float))
            names.append(f"{name} unknown")
    table = np.array(columns).reshape(len(columns), size * size)
    spread = table[:, pairs].std(axis=1) if size > 1 else np.zeros(len(columns))
    varying = spread > 1e-9
    # Two features that lack the same languages have one indicator.
    table, kept = np.unique(table[varying].round(12), axis=0, return_index=True)
    chosen = np.flatnonzero(varying)[kept]
    table = (table - table[:, pairs].mean(axis=1, keepdims=True)) / spread[chosen][:, None]
    table[:, ~pairs] = 0.0
    return table.T, tuple(names[i] for i in chosen)


def _waves(linear: np.ndarray) -> np.ndarray:
    """Columns `(cells, WAVES)` of unit mean square together: a Gaussian kernel as wide as typical pairs lie apart."""
    count = linear.shape[1]
    if not count:
        return np.zeros((len(linear), 0))
    rng = np.random.default_rng(0)  # part of the model's definition, not of its randomness
    frequencies = rng.normal(size=(count, WAVES)) / np.sqrt(2 * count)
    return np.cos(linear @ frequencies + rng.uniform(0, 2 * np.pi, WAVES)) * np.sqrt(2 / WAVES)
