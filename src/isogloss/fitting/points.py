"""The points at which a fitted law is asked for its loss, checked column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from isogloss.errors import InputError
from isogloss.laws.base import Law

# Tokens of a language, unlike sizes, may be none; text may be without limit.
MAY_BE_ZERO = ("D_target", "D_sources", "D_other", "U_other", "U_sources", "U_target")
MAY_BE_INFINITE = ("U", "U_target", "U_sources", "U_other")
PER_SOURCE = ("D_sources", "U_sources")


def points_for(
    law: type[Law], sources: tuple[str, ...], columns: Any, named: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Numeric columns as arrays of one length, `(rows,)`, or `(rows, sources)` for those per source.

    `columns` is a mapping or any data frame; `named` goes before it.
    Raises InputError where a column of the law is missing, is no positive number, or does not fit the others.
    """
    given = {**_as_mapping(columns), **named}
    arrays = {name: array for name, value in given.items() if (array := _numbers(value)) is not None}
    if not arrays:
        raise InputError("nothing to predict for", hint="Give the law's columns by name, such as N=1e9, D=2e10.")
    missing = [c for c in law.columns if c not in arrays]
    if missing:
        raise InputError(
            f"law {law.name} needs {', '.join(missing)} to predict", hint=f"It takes {', '.join(law.columns)}."
        )
    for name in law.columns:
        _check(name, arrays[name], sources)
    rows = max((a.shape[0] for a in arrays.values() if a.ndim), default=1)
    return {name: _stretched(name, array, rows) for name, array in arrays.items()}


def _as_mapping(columns: Any) -> dict[str, Any]:
    if columns is None or isinstance(columns, Mapping):
        return dict(columns or {})
    try:
        return nw.from_native(columns, eager_only=True).to_dict(as_series=False)
    except TypeError:
        raise InputError(f"a {type(columns).__name__} has no columns", hint="Give a mapping or a data frame.") from None


def _numbers(value: Any) -> np.ndarray | None:
    """None for a column that is not numeric: frames hold others beside the law's own."""
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError):
        return None


def _check(name: str, values: np.ndarray, sources: tuple[str, ...]) -> None:
    if name in PER_SOURCE and (values.ndim != 2 or values.shape[1] != len(sources)):
        raise InputError(
            f"{name} needs one column for each of {len(sources)} sources, got shape {values.shape}",
            hint=f"Give rows of values for {', '.join(sources) or 'no source'}, such as {name}=[[1e9, 2e9]].",
        )
    low_enough = values < 0 if name in MAY_BE_ZERO else values <= 0
    bad = np.isnan(values) | low_enough | (np.isinf(values) & (name not in MAY_BE_INFINITE))
    if bad.any():
        raise InputError(f"{name} must be a positive number, got {values[bad].flat[0]:g}", where="predict")


def _stretched(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    if values.ndim and len(values) not in (1, rows):
        raise InputError(f"column {name} has {len(values)} values where others have {rows}")
    return np.broadcast_to(values, (rows, *values.shape[1:]))
