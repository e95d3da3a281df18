"""The suite that every law passes, ours or a user's own: `check_law(law)`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.laws.base import Law
from isogloss.laws.grid import AXIS, Columns, Ranges, inside, names_along, range_of, wide_points
from isogloss.laws.multilingual import Atlas
from isogloss.laws.repetition import saturated
from isogloss.numerics import jax, jnp


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
    ranges = {column: range_of(column, columns or {}) for column in law.columns}
    within, wide = inside(law, ranges), wide_points(law, ranges)
    _check_finite(law, wide)
    _check_limits(law, wide)
    _check_trends(law, within, ranges)
    _check_saving(law, wide)
    if isinstance(law, Atlas):
        _check_monolingual(law, wide)
    _check_batch(law, within)
    _check_gradient(law, within)


def _refuse_batches(law: Law) -> None:
    for c in law.coefficients:
        if np.ndim(getattr(law, c.name)) != int(c.per is not None):
            expected = f"one value per {c.per}" if c.per else "a scalar"
            raise InputError(f"{c.name} must be {expected}: laws are checked one at a time", where=law.name)


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
            names = names_along(law, AXIS[column]) if column in AXIS else 1
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
    alone = replace(law, tau=np.zeros(names_along(law, "source")), tau_other=0.0, phi=0.0)
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
