"""Trivial predictions of transfer scores: what a model must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np

from isogloss.transfer.pair_design import Design

# Of scores (K, K), NaN where not known, and the relation of each pair `(K, K)`: a prediction of every cell.
Baseline = Callable[[np.ndarray, np.ndarray], np.ndarray]
# What a row or column mean is moved towards the overall mean by, in cells: 1 of them says little about a language.
SHRINK = 1.0
# ATLAS's forest (arXiv:2510.22037, appendix C).
TREES = 300


def overall_mean(scores: np.ndarray, relation: np.ndarray) -> np.ndarray:
    return np.full(relation.shape, np.nanmean(scores))


def row_mean(scores: np.ndarray, relation: np.ndarray) -> np.ndarray:
    """The target's mean; the overall mean where the target has no score."""
    return np.nanmean(scores) + np.broadcast_to(_effects(scores, 0.0)[:, None], relation.shape)


def column_mean(scores: np.ndarray, relation: np.ndarray) -> np.ndarray:
    return row_mean(scores.T, relation.T).T


def row_and_column(scores: np.ndarray, relation: np.ndarray) -> np.ndarray:
    """Effects of targets and sources, slightly shrunk, fitted to each other's residuals in turn."""
    mean = float(np.nanmean(scores))
    target, source = np.zeros(len(relation)), np.zeros(len(relation))
    for _ in range(50):
        target = _shrunk(scores - mean - source)
        source = _shrunk((scores - mean).T - target)
    return mean + target[:, None] + source


def same_script(scores: np.ndarray, relation: np.ndarray) -> np.ndarray:
    return _group_means(scores, relation // 2)


def same_relation(scores: np.ndarray, relation: np.ndarray) -> np.ndarray:
    """Means by script and family: what `TransferMatrix.weights_for` assumes of absent pairs."""
    return _group_means(scores, relation)


BASELINES: Mapping[str, Baseline] = {
    "overall mean": overall_mean,
    "row mean": row_mean,
    "column mean": column_mean,
    "row + column": row_and_column,
    "same script": same_script,
    "script and family": same_relation,
}


def forest_there() -> bool:
    return find_spec("sklearn") is not None


def forest(scores: np.ndarray, columns: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """ATLAS's recipe, a random forest of 300 trees, on any columns `(K * K, features)`. Needs scikit-learn."""
    from sklearn.ensemble import RandomForestRegressor  # pyright: ignore[reportMissingImports]

    known = np.isfinite(scores).ravel()
    model = RandomForestRegressor(TREES, random_state=seed).fit(columns[known], scores.ravel()[known])
    return model.predict(columns).reshape(scores.shape)


def forest_columns(table: Design) -> np.ndarray:
    """The pair's features, as the effects model has them."""
    return table.pair[:, table.groups["features"]]


def _effects(scores: np.ndarray, shrink: float) -> np.ndarray:
    """Of rows, about the overall mean; zero where a row is empty."""
    known = np.isfinite(scores)
    mean = np.nanmean(scores)
    total = np.where(known, scores - mean, 0.0).sum(axis=1)
    return total / np.maximum(known.sum(axis=1) + shrink, 1.0)


def _shrunk(residuals: np.ndarray) -> np.ndarray:
    known = np.isfinite(residuals)
    return np.where(known, residuals, 0.0).sum(axis=1) / (known.sum(axis=1) + SHRINK)


def _group_means(scores: np.ndarray, group: np.ndarray) -> np.ndarray:
    known = np.isfinite(scores)
    out = np.full(scores.shape, np.nanmean(scores))
    for value in np.unique(group):
        inside = group == value
        if (inside & known).any():
            out[inside] = scores[inside & known].mean()
    return out
