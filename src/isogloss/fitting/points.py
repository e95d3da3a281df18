"""The points at which a fitted law is asked for its loss, checked column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from isogloss.errors import InputError
from isogloss.laws.base import Law

# Columns that isogloss makes from a run table. Those of a user's own law may hold any number.
OURS = frozenset(
    (
        *("N", "N_nv", "N_v", "D", "U", "K", "p", "k", "x", "shares", "pretrained"),
        *("D_target", "U_target", "D_sources", "U_sources", "D_other", "U_other", "K_other"),
    )
)
# Tokens of a language, unlike sizes, may be none; text may be without limit.
MAY_BE_ZERO = ("D_target", "D_sources", "D_other", "U_other", "U_sources", "U_target", "shares", "pretrained")
MAY_BE_INFINITE = ("U", "U_target", "U_sources", "U_other")
PER_SOURCE = ("D_sources", "U_sources")
PER_LANGUAGE = ("shares",)
SHARE = "share:"
# Said of no more than one other language.
DEFAULTS = {"K_other": np.ones(1)}


def points_for(
    law: type[Law],
    sources: tuple[str, ...],
    columns: Any,
    named: Mapping[str, Any],
    languages: tuple[str, ...] = (),
) -> dict[str, np.ndarray]:
    """Numeric columns as arrays of one length, `(rows,)`, `(rows, sources)` or `(rows, languages)`.

    `columns` is a mapping or any data frame; `named` goes before it. `shares` may be given by language, as
    share:deu_Latn and so on; a language that is not named has none.
    Raises InputError where a column of the law is missing, is no positive number, or does not fit the others.
    """
    given = {**_as_mapping(columns), **named}
    arrays = {name: array for name, value in given.items() if (array := _numbers(value)) is not None}
    if "shares" in law.columns and "shares" not in arrays:
        arrays |= _shares(arrays, languages)
    if not arrays:
        raise InputError("nothing to predict for", hint="Give the law's columns by name, such as N=1e9, D=2e10.")
    arrays |= {name: value for name, value in DEFAULTS.items() if name in law.columns and name not in arrays}
    missing = [c for c in law.columns if c not in arrays]
    if missing:
        raise InputError(
            f"law {law.name} needs {', '.join(missing)} to predict", hint=f"It takes {', '.join(law.columns)}."
        )
    for name in law.columns:
        _check(name, arrays[name], sources, languages)
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


def _shares(arrays: Mapping[str, np.ndarray], languages: tuple[str, ...]) -> dict[str, np.ndarray]:
    stated = {name.removeprefix(SHARE): array for name, array in arrays.items() if name.startswith(SHARE)}
    unknown = [name for name in stated if name not in languages and (stated[name] > 0).any()]
    if unknown:
        raise InputError(
            f"the fit does not know {', '.join(unknown)}", where="predict", hint=f"It knows {', '.join(languages)}."
        )
    if not stated:
        return {}
    rows = np.broadcast_arrays(*(np.atleast_1d(stated.get(name, np.zeros(1))) for name in languages))
    return {"shares": np.stack(rows, axis=1)}


def _check(name: str, values: np.ndarray, sources: tuple[str, ...], languages: tuple[str, ...]) -> None:
    for kind, columns, names in (("sources", PER_SOURCE, sources), ("languages", PER_LANGUAGE, languages)):
        if name in columns and (values.ndim != 2 or values.shape[1] != len(names)):
            example = "1e9" if kind == "sources" else "0.5"
            raise InputError(
                f"{name} needs one column for each of {len(names)} {kind}, got shape {values.shape}",
                hint=f"Give rows of values for {', '.join(names) or 'no source'}, such as "
                f"{name}=[[{example}, {example}]].",
            )
    low_enough = values < 0 if name in MAY_BE_ZERO else values <= 0
    bad = np.isnan(values) | (np.isinf(values) & (name not in MAY_BE_INFINITE)) | (low_enough & (name in OURS))
    if bad.any():
        wanted = "a positive number" if name in OURS else "a finite number"
        raise InputError(f"{name} must be {wanted}, got {values[bad].flat[0]:g}", where="predict")


def _stretched(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    if values.ndim and len(values) not in (1, rows):
        raise InputError(f"column {name} has {len(values)} values where others have {rows}")
    return np.broadcast_to(values, (rows, *values.shape[1:]))
