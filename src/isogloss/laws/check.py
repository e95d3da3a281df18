"""The suite that every law passes, ours or a user's own: `check_law(law)`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, product
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.laws.base import Law
from isogloss.laws.multilingual import Atlas
from isogloss.laws.repetition import saturated
from isogloss.numerics import Array, jax, jnp

Columns = dict[str, Array]
Ranges = Mapping[str, tuple[float, float]]

# N to 10T parameters, data to 100T tokens: beyond what anyone trains, so nothing overflows within it.
_RANGES: Ranges = {
    **{"N": (1e6, 1e13), "D": (1e6, 1e14), "U": (1e6, 1e14), "K": (1.0, 400.0), "p": (1e-4, 1.0)},
    **{"k": (1.0, 100.0), "x": (1.0, 1e6), "shares": (1e-3, 1.0), "pretrained": (1e-2, 1.0)},
}
_POINTS = 256
# Of coefficients and columns that have one value per name, the dimension along which the names stand.
_AXIS = {"D_sources": "source", "U_sources": "source", "shares": "language"}


class LawCheckError(AssertionError):
    """A law lacks a property that fitting and planning rely on. `failed` is its name."""

    def __init__(self, law: Law, failed: str, detail: str):
        self.failed = failed
        super().__init__(f"{type(law).__name__} ({law.name}) fails the check {failed!r}: {detail}")


def check_law(law: Law, *, columns: Ranges | None = None) -> None:
    """Raise LawCheckError, naming the property and a point, unless the law has every property below.

    finite: the loss, on a wide grid; floor and ceiling: where the law has one, E unless it says otherwise;
    falls, rises: weakly, in the columns in which it promises so; saving: the same loss after JSON; monolingual:
    ATLAS without transfer is its one-language form; batch: vmap over laws equals a loop over them; gradient:
    automatic against central differences.

    `columns` gives (low, high), both positive, for columns of your own or to narrow a range.
    One law at a time: coefficients are scalars, weights per source `(sources,)`, per language `(languages,)`,
    per pair of languages `(pairs,)`.
    """
    _refuse_batches(law)
    ranges = {column: _range(column, columns or {}) for column in law.columns}
    inside, wide = _inside(law, ranges), _wide(law, ranges)
    _check_finite(law, wide)
    _check_limits(law, wide)
    _check_trends(law, inside, ranges)
    _check_saving(law, wide)
    if isinstance(law, Atlas):
        _check_monolingual(law, wide)
    _check_batch(law, inside)
    _check_gradient(law, inside)


# --- where laws are checked -------------------------------------------------------------------------


def _refuse_batches(law: Law) -> None:
    for c in law.coefficients:
        if np.ndim(getattr(law, c.name)) != int(c.per is not None):
            expected = f"one value per {c.per}" if c.per else "a scalar"
            raise InputError(f"{c.name} must be {expected}: laws are checked one at a time", where=law.name)


def _range(column: str, given: Ranges) -> tuple[float, float]:
    for name in (column, column.split("_")[0]):
        if name in given or name in _RANGES:
            return given.get(name) or _RANGES[name]
    raise InputError(f"no range known for column {column!r}", hint=f"Give columns={{{column!r}: (low, high)}}.")


def _names(law: Law, axis: str) -> int:
    """How many sources or languages the law has; of languages, two where no coefficient says."""
    sizes = {c.per: np.size(getattr(law, c.name)) for c in law.coefficients if c.per}
    if axis == "language" and "pair" in sizes:
        sizes.setdefault(axis, round((1 + math.sqrt(1 + 8 * sizes["pair"])) / 2))
    return sizes.get(axis, 2 if axis == "language" else 0)


def _shape(law: Law, column: str, points: int) -> tuple[int, ...]:
    return (points, _names(law, _AXIS[column])) if column in _AXIS else (points,)


def _inside(law: Law, ranges: Ranges) -> Columns:
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


def _wide(law: Law, ranges: Ranges) -> Columns:
    """The inside points, all corners of the ranges, and runs that lack other languages' text."""
    inside = _inside(law, ranges)
    corners = np.array(list(product(*(ranges[c] for c in law.columns))))
    rng = np.random.default_rng(1)
    found = {}
    for i, column in enumerate(law.columns):
        corner = corners[:, i]
        if column in _AXIS:
            corner = np.repeat(corner[:, None], _names(law, _AXIS[column]), axis=1)
        lacking = np.array(inside[column])
        if column.endswith(("_sources", "_other")):
            lacking[rng.random(lacking.shape) < 0.5] = 0.0
        if column == "shares":
            # Corners alternate between even mixtures and one language alone.
            corner = np.where(corner == ranges[column][1], 1.0, np.arange(corner.shape[1]) == 0)
            corner = _as_shares(np.asarray(corner, float))
            lacking[:, 1:][rng.random(lacking[:, 1:].shape) < 0.5] = 0.0
            lacking = _as_shares(lacking)
        found[column] = jnp.concatenate([inside[column], jnp.asarray(corner), jnp.asarray(lacking)])
    return found


def _loss(law: Law, columns: Columns) -> np.ndarray:
    return np.asarray(law.loss(**columns), float)


def _at(columns: Columns, point: int) -> str:
    return ", ".join(f"{c} = {np.array2string(np.asarray(v)[point], precision=4)}" for c, v in columns.items())


def _require(law: Law, failed: str, holds: np.ndarray | np.bool, columns: Columns, detail: str) -> None:
    if not holds.all():
        raise LawCheckError(law, failed, f"{detail} at {_at(columns, int(np.argmin(holds)))}")


# --- what is checked --------------------------------------------------------------------------------


def _check_finite(law: Law, columns: Columns) -> None:
    loss = _loss(law, columns)
    points = len(next(iter(columns.values())))
    if loss.shape != (points,):
        raise LawCheckError(law, "finite", f"{points} points give losses of shape {loss.shape}")
    _require(law, "finite", np.isfinite(loss), columns, "the loss is not finite")


def _check_limits(law: Law, columns: Columns) -> None:
    loss = _loss(law, columns)
    for failed, limit, sign, where in (
        ("floor", law.least(**columns), 1.0, "the loss is below E"),
        ("ceiling", law.most(**columns), -1.0, "it is above the ceiling"),
    ):
        if limit is not None:
            limit = np.asarray(limit, float)
            holds = np.broadcast_to(sign * (loss - limit) >= -1e-12 * np.abs(limit), loss.shape)
            _require(law, failed, holds, columns, where)


def _check_trends(law: Law, columns: Columns, ranges: Ranges) -> None:
    for promised, sign in ((law.falls, -1.0), (law.rises, 1.0)):
        for column in promised:
            names = _names(law, _AXIS[column]) if column in _AXIS else 1
            for name in range(names):
                if _helps(law, column, name):
                    _check_trend(law, columns, column, name, np.geomspace(*ranges[column], 33), sign)


def _helps(law: Law, column: str, source: int) -> bool:
    """Whether more of this column is promised to help: a language with a negative weight interferes."""
    if column.endswith("_sources"):
        return bool(np.asarray(getattr(law, "tau", np.zeros(source + 1)))[source] >= 0)
    return not column.endswith("_other") or bool(getattr(law, "tau_other", 0.0) >= 0)


def _check_trend(law: Law, columns: Columns, column: str, name: int, values: np.ndarray, sign: float) -> None:
    points = len(columns[column])
    repeated = {c: jnp.repeat(v, len(values), axis=0) for c, v in columns.items()}
    swept = np.array(repeated[column])
    swept[(..., name) if swept.ndim == 2 else ...] = np.tile(values, points)
    loss = _loss(law, {**repeated, column: jnp.asarray(swept)}).reshape(points, len(values))
    # Only rounding may turn it round.
    holds = (sign * np.diff(loss, axis=1) >= -1e-11 * np.abs(loss[:, 1:])).all(axis=1)
    which = f"{column}[{name}]" if swept.ndim == 2 else column
    failed, does = ("rises", "falls") if sign > 0 else ("falls", "rises")
    _require(law, failed, holds, columns, f"the loss {does} with {which} somewhere")


def _check_saving(law: Law, columns: Columns) -> None:
    try:
        restored = type(law).from_dict(json.loads(json.dumps(law.to_dict())))
    except (TypeError, ValueError) as error:
        raise LawCheckError(law, "saving", f"it does not survive JSON: {error}") from error
    same = np.equal(_loss(restored, columns), _loss(law, columns))
    _require(law, "saving", same, columns, "the loss changes when the law is saved and read back")


def _check_monolingual(law: Atlas, columns: Columns) -> None:
    alone = replace(law, tau=np.zeros(_names(law, "source")), tau_other=0.0, phi=0.0)
    own = np.asarray(saturated(columns["D_target"], columns["U_target"], law.lambda_))
    expected = law.E + law.A / np.asarray(columns["N"]) ** law.alpha + law.B / own**law.beta
    close = np.isclose(_loss(alone, columns), expected, rtol=1e-12, atol=0.0)
    _require(law, "monolingual", close, columns, "without transfer it is not E + A/N^alpha + B/S(D)^beta")


def _check_batch(law: Law, columns: Columns) -> None:
    rng = np.random.default_rng(2)
    laws = [jax.tree.map(lambda x: jnp.asarray(x * (1 + 0.01 * rng.random())), law) for _ in range(4)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *laws)
    try:
        batched = np.asarray(jax.vmap(lambda one: one.loss(**columns))(stacked))
    except Exception as error:
        raise LawCheckError(law, "batch", f"jax.vmap over laws fails: {error}") from error
    looped = np.stack([_loss(one, columns) for one in laws])
    close = (np.abs(batched - looped) <= 1e-10 * np.abs(looped)).all(axis=0)
    _require(law, "batch", close, columns, "jax.vmap over laws differs from a loop over them")


def _check_gradient(law: Law, columns: Columns) -> None:
    """Derivatives in log units, x dL/dx, so that one step size serves counts of 1e12 and exponents of 0.3.

    Central differences with relative step h err by about h^2/6 (curvature) and eps/h (rounding of the loss):
    h near eps^(1/3), 1e-5, balances them at 1e-10 of the loss. Where the loss bends more sharply, as near
    D_eff = 0, the difference between steps h and 2h measures the error, and that much is allowed.
    """
    try:
        of_law, of_columns = _gradient(jax.tree.map(lambda x: jnp.asarray(x, float), law), columns)
    except Exception as error:
        raise LawCheckError(law, "gradient", f"jax.grad fails: {error}") from error
    loss, h = _loss(law, columns), 1e-5
    directions = chain(_coefficient_directions(law, columns, of_law), _column_directions(law, columns, of_columns))
    for name, gradient, moved in directions:
        one, two = ((moved(s * h) - moved(-s * h)) / (2 * s * h) for s in (1, 2))
        allowed = 1e-6 * np.abs(one) + 1e-8 * np.abs(loss) + 4 * np.abs(one - two)
        close = np.abs(gradient - one) <= allowed
        _require(law, "gradient", close, columns, f"dL/d{name} differs from central differences")


@jax.jit
def _gradient(law: Law, columns: Columns) -> tuple[Law, Columns]:
    """dL/d(coefficients) and dL/d(columns) of each point, each `(points, ...)`."""
    each = jax.grad(lambda one, point: one.loss(**point), argnums=(0, 1))
    return jax.vmap(each, in_axes=(None, 0))(law, columns)


Direction = tuple[str, np.ndarray, Callable[[float], np.ndarray]]
"""One number x that the loss depends on: its name, x dL/dx `(points,)`, and h -> the loss at x (1 + h)."""


def _coefficient_directions(law: Any, columns: Columns, slopes: Law) -> Iterator[Direction]:
    """A coefficient that is zero has no logarithm: there it is dL/dx, and the loss at h."""
    for c in law.coefficients:
        value = np.asarray(getattr(law, c.name), float)
        slope = np.asarray(getattr(slopes, c.name))
        for i in np.ndindex(value.shape):
            step = np.zeros(value.shape)
            step[i] = abs(value[i]) or 1.0

            def moved(h: float, name: str = c.name, value: Any = value, step: Any = step) -> np.ndarray:
                return _loss(replace(law, **{name: value + h * step}), columns)

            yield c.name, slope[(slice(None), *i)] * step[i], moved


def _column_directions(law: Law, columns: Columns, slopes: Columns) -> Iterator[Direction]:
    for column, values in columns.items():
        slope = np.asarray(slopes[column] * values)
        for i in np.ndindex(values.shape[1:]):
            step = values * jnp.zeros(values.shape[1:]).at[i].set(1.0)

            def moved(h: float, column: str = column, values: Any = values, step: Any = step) -> np.ndarray:
                return _loss(law, {**columns, column: values + h * step})

            yield column, slope[(slice(None), *i)], moved
