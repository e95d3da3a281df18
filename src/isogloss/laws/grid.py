"""Where laws are checked: points and corners of wide ranges of their columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np

from isogloss.errors import InputError
from isogloss.laws.base import Law
from isogloss.numerics import Array, jnp

Columns = dict[str, Array]
Ranges = Mapping[str, tuple[float, float]]

# N to 10T parameters, data to 100T tokens: beyond what anyone trains, so nothing overflows within it.
_RANGES: Ranges = {
    **{"N": (1e6, 1e13), "D": (1e6, 1e14), "U": (1e6, 1e14), "K": (1.0, 400.0), "p": (1e-4, 1.0)},
    **{"k": (1.0, 100.0), "x": (1.0, 1e6), "shares": (1e-3, 1.0), "pretrained": (1e-2, 1.0)},
}
_POINTS = 256
# Of coefficients and columns that have one value per name, the dimension along which the names stand.
AXIS = {"D_sources": "source", "U_sources": "source", "shares": "language"}


def range_of(column: str, given: Ranges) -> tuple[float, float]:
    for name in (column, column.split("_")[0]):
        if name in given or name in _RANGES:
            return given.get(name) or _RANGES[name]
    raise InputError(f"no range known for column {column!r}", hint=f"Give columns={{{column!r}: (low, high)}}.")


def names_along(law: Law, axis: str) -> int:
    """How many sources or languages the law has; of languages, two where no coefficient says."""
    sizes = {c.per: np.size(getattr(law, c.name)) for c in law.coefficients if c.per}
    if axis == "language" and "pair" in sizes:
        sizes.setdefault(axis, round((1 + math.sqrt(1 + 8 * sizes["pair"])) / 2))
    return sizes.get(axis, 2 if axis == "language" else 0)


def _shape(law: Law, column: str, points: int) -> tuple[int, ...]:
    return (points, names_along(law, AXIS[column])) if column in AXIS else (points,)


def inside(law: Law, ranges: Ranges) -> Columns:
    """Points log-uniform over the ranges, always the same ones."""
    rng = np.random.default_rng(0)
    found = {}
    for c in law.columns:
        values = np.exp(rng.uniform(math.log(ranges[c][0]), math.log(ranges[c][1]), _shape(law, c, _POINTS)))
        found[c] = jnp.asarray(_as_shares(values) if c == "shares" else values)
    return found


def _as_shares(values: np.ndarray) -> np.ndarray:
    """Rows that add up to one."""
    return values / values.sum(-1, keepdims=True)


def wide_points(law: Law, ranges: Ranges) -> Columns:
    """The inside points, all corners of the ranges, and runs that lack other languages' text."""
    points = inside(law, ranges)
    corners = np.array(list(product(*(ranges[c] for c in law.columns))))
    rng = np.random.default_rng(1)
    found = {}
    for i, column in enumerate(law.columns):
        corner = corners[:, i]
        if column in AXIS:
            corner = np.repeat(corner[:, None], names_along(law, AXIS[column]), axis=1)
        lacking = np.array(points[column])
        if column.endswith(("_sources", "_other")) and column != "K_other":
            lacking[rng.random(lacking.shape) < 0.5] = 0.0
        if column == "shares":
            # Corners alternate between even mixtures and one language alone.
            corner = np.where(corner == ranges[column][1], 1.0, np.arange(corner.shape[1]) == 0)
            corner = _as_shares(np.asarray(corner, float))
            lacking[:, 1:][rng.random(lacking[:, 1:].shape) < 0.5] = 0.0
            lacking = _as_shares(lacking)
        found[column] = jnp.concatenate([points[column], jnp.asarray(corner), jnp.asarray(lacking)])
    return found
