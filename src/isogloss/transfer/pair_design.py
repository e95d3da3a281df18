"""The columns of the effects model: features of a pair, standardised, a smooth part, and effects of languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np

# Random Fourier features (Rahimi and Recht 2007) of the pair features: the smooth part that no line follows.
WAVES = 32
GROUPS = ("intercept", "features", "smooth", "target", "source")
# Mean and sd of the packaged features over all pairs of the 100 languages with most public text: were they those of the
# pairs at hand, what is predicted of a pair would depend on the company in which it is asked for.
REFERENCE: Mapping[str, tuple[float, float]] = {
    "same_script": (0.281, 0.449),
    "same_family": (0.33, 0.47),
    "shared_depth": (0.0955, 0.162),
    "log_distance": (3.67, 0.766),
    "grammar_distance": (0.317, 0.0785),
    "log_target_tokens": (22.0, 2.3),
    "log_source_tokens": (22.0, 2.3),
    "log_premium_ratio": (0.0, 0.56),
}
# Of these, what the tables lack of many languages: the column that says so is there even where nothing is unknown.
SOMETIMES_UNKNOWN = ("shared_depth", "grammar_distance", "log_premium_ratio")
UNKNOWN = " unknown"
FLAT = 1e-9


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
    """What y is linear in, by cell t K + s for target t and source s; `groups` says which columns are whose.

    The first columns are of the pair: `pair` `(K * K, columns)`. Those of "target" and "source" are the rows t and s
    of `vectors` `(K, K)`, the kinship's eigenvectors, where effects are independent a priori; `kinship` holds their
    eigenvalues.
    """

    size: int
    pair: np.ndarray
    vectors: np.ndarray
    groups: Mapping[str, slice]
    kinship: np.ndarray
    names: tuple[str, ...]
    """Of the columns of "features"."""

    @cached_property
    def columns(self) -> np.ndarray:
        """All of them, `(K * K, columns)`: a gigabyte for 400 languages."""
        return self.rows(np.arange(self.size**2))

    @property
    def width(self) -> int:
        return self.pair.shape[1] + 2 * self.size

    def rows(self, cells: np.ndarray) -> np.ndarray:
        target, source = np.divmod(cells, self.size)
        return np.hstack([self.pair[cells], self.vectors[target], self.vectors[source]])

    def among(self, languages: np.ndarray) -> Design:
        """The same model of these languages (places, sorted): fewer effects, and features standardised as before."""
        kinship = (self.vectors[languages] * self.kinship) @ self.vectors[languages].T
        cells = (languages[:, None] * self.size + languages).ravel()
        return _assembled(self.pair[cells], kinship, self.groups["features"].stop, self.names)

    def times(self, weights: np.ndarray) -> np.ndarray:
        """`(n, K * K)` from column weights `(n, columns)`, without the columns of languages."""
        of_pair, of_target, of_source = self.split(weights.T)
        effects = of_target.T[:, :, None] + of_source.T[:, None, :]
        return of_pair.T @ self.pair.T + effects.reshape(len(weights), -1)

    def split(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column weights `(columns, n)` as those of the pair's columns, and effects of targets and of sources."""
        first = self.pair.shape[1]
        target, source = weights[first : first + self.size], weights[first + self.size :]
        return weights[:first], self.vectors @ target, self.vectors @ source


def design(features: FeatureTable) -> Design:
    size = len(features.languages)
    linear, names = _standardised(features)
    pair = np.hstack([np.ones((size * size, 1)), linear, _waves(linear, names)])
    return _assembled(pair, features.kinship, 1 + linear.shape[1], names)


def _assembled(pair: np.ndarray, kinship: np.ndarray, smooth: int, names: tuple[str, ...]) -> Design:
    """`smooth`: the first column of the smooth part."""
    size, width = len(kinship), pair.shape[1]
    values, vectors = np.linalg.eigh(kinship)
    edges = (0, 1, smooth, width, width + size, width + 2 * size)
    groups = {name: slice(*ends) for name, ends in zip(GROUPS, pairwise(edges), strict=True)}
    return Design(size, pair, vectors, groups, np.maximum(values, 0.0), names)


def _standardised(features: FeatureTable) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is unknown stands at the mean, with a column that says so. Features of the packaged tables have the mean and
    sd of REFERENCE, all others mean 0 and sd 1 over these pairs."""
    size = len(features.languages)
    values = np.array(features.values, float).reshape(size * size, len(features.names))
    pairs = ~np.eye(size, dtype=bool).ravel()
    columns: dict[str, np.ndarray] = {}
    for i, name in enumerate(features.names):
        known = np.isfinite(values[:, i])
        seen = values[known & pairs, i]
        mean, sd = REFERENCE.get(name, (seen.mean(), seen.std()) if len(seen) else (0.0, 0.0))
        if sd > FLAT:
            columns[name] = np.where(known, values[:, i] - mean, 0.0) / sd
        if name in SOMETIMES_UNKNOWN or ((pairs & known).any() and (pairs & ~known).any()):
            columns[name + UNKNOWN] = (~known).astype(float)
    if not columns:
        return np.zeros((size * size, 0)), ()
    table = np.stack(list(columns.values()), axis=1)
    table[~pairs] = 0.0
    return table, tuple(columns)


def _waves(linear: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Columns `(cells, WAVES)` of unit mean square together: a Gaussian kernel as wide as typical pairs lie apart."""
    if not names:
        return np.zeros((len(linear), 0))
    # Part of the model's definition, not of its randomness; by name, so that a pair has the same waves in all company.
    frequencies = np.stack([np.random.default_rng(list(name.encode())).normal(size=WAVES) for name in names])
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, WAVES)
    features = sum(not name.endswith(UNKNOWN) for name in names)
    return np.cos(linear @ frequencies / np.sqrt(2 * max(features, 1)) + phases) * np.sqrt(2 / WAVES)
