"""The mixture of each run: one JSON column or wide columns, as checked fractions that sum to 1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import SHARE, UNIQUE
from isogloss.runs.numbers import describe, missing, outside, to_numbers

TOLERANCE = 0.01
# Sums this close to 1 are rounding in the last place; to divide by them would change the user's numbers for
# nothing.
_EXACT = 1e-9

_SHARE = re.compile(r"shares?\s*[:/_]\s*(?P<name>.+)", re.IGNORECASE)
_WEIGHT = re.compile(r"w_(?P<name>.+)", re.IGNORECASE)
_UNIQUE = re.compile(r"unique(_tokens)?\s*[:/]\s*(?P<name>.+)", re.IGNORECASE)

_FORM = 'Write one JSON object of fractions, such as {"deu_Latn": 0.7, "eng_Latn": 0.3}.'

Place = Callable[[int, str], str]
"""Names the file, data row and column of a cell, given its index in the frame and the table's column name."""


def find_mixture_columns(columns: Iterable[str], *, stated: bool) -> dict[str, str]:
    """Columns of the file that are shares or unique tokens of one language, and their names in the table.

    `w_x` counts as a share only in company and only where nothing says share more plainly, here or elsewhere
    in the table (`stated`): w_decay is no language.
    """
    columns = list(columns)
    found = {c: UNIQUE + m["name"] for c in columns if (m := _UNIQUE.fullmatch(c))}
    shares = {c: SHARE + m["name"] for c in columns if (m := _SHARE.fullmatch(c))}
    weights = {c: SHARE + m["name"] for c in columns if (m := _WEIGHT.fullmatch(c))}
    if not shares and not stated and len(weights) > 1:
        shares = weights
    return found | shares


@dataclass(frozen=True)
class Mixtures:
    """Share columns, one per name, without the prefix; null where the mixture of the row is unknown."""

    frame: pl.DataFrame
    notes: tuple[str, ...]


def parse_mixture(cells: pl.Series, place: Place) -> pl.DataFrame:
    """One column per name in a column of JSON objects or structs. Absent names are 0, unknown mixtures
    null."""
    if isinstance(cells.dtype, pl.Struct):
        return cells.struct.unnest()
    if cells.dtype != pl.String:
        row = int((cells.is_not_null()).arg_max() or 0)
        raise InputError(f"{describe(cells[row])} is not a mixture", where=place(row, "mixture"), hint=_FORM)
    texts = cells.unique(maintain_order=True).drop_nulls()
    mixtures = {text: _parse_one(text, cells, place) for text in texts}
    names = dict.fromkeys(name for mixture in mixtures.values() for name in mixture)
    columns = {
        name: cells.replace_strict(
            {text: mixture.get(name, 0.0) for text, mixture in mixtures.items()},
            default=None,
            return_dtype=pl.Float64,
        )
        for name in names
    }
    return pl.DataFrame(columns)


def names_in_mixture(cells: pl.Series) -> list[str]:
    """The names that a mixture column uses, as far as it can be read; what cannot is refused later, if it
    stays."""
    if isinstance(cells.dtype, pl.Struct):
        return [f.name for f in cells.dtype.fields]
    if cells.dtype != pl.String:
        return []
    names: dict[str, None] = {}
    for text in cells.unique(maintain_order=True).drop_nulls():
        try:
            mixture = json.loads(text)
        except (ValueError, RecursionError):
            continue
        names |= dict.fromkeys(name.strip() for name in mixture) if isinstance(mixture, dict) else {}
    return list(names)


def _parse_one(text: str, cells: pl.Series, place: Place) -> dict[str, float]:
    def refused(why: str) -> InputError:
        shown = text if len(text) <= 60 else text[:57] + "..."
        return InputError(f"{shown!r} {why}", where=place(int((cells == text).arg_max() or 0), "mixture"), hint=_FORM)

    def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
        mixture = {name.strip(): share for name, share in pairs}
        if len(mixture) < len(pairs):
            raise refused("names a language twice")
        return mixture

    try:
        mixture = json.loads(text, object_pairs_hook=unique_keys)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise refused("is not valid JSON") from error
    if not isinstance(mixture, dict) or not mixture:
        raise refused("is not an object of names and fractions")
    for name, share in mixture.items():
        if isinstance(share, bool) or not isinstance(share, (int, float)):
            raise refused(f"gives {name!r} the share {share!r}, which is not a number")
        if not 0 <= share <= 1:
            raise refused(f"gives {name!r} the share {share!r}, which is not from 0 to 1")
    return {name: float(share) for name, share in mixture.items()}


def check_shares(raw: pl.DataFrame, place: Place) -> Mixtures:
    """Fractions between 0 and 1 that sum to 1 in every row that has a mixture, divided by their sum if it
    is off."""
    frame = pl.DataFrame([_checked(column, place) for column in raw.iter_columns()])
    values = np.column_stack([column.to_numpy() for column in frame.iter_columns()])
    known = ~np.all(np.isnan(values), axis=1)
    values = np.where(known[:, None], np.nan_to_num(values), np.nan)
    sums = np.where(known, values.sum(axis=1), 1.0)
    deviation: np.ndarray = np.abs(sums - 1.0)
    worst = int(deviation.argmax())
    if deviation[worst] > TOLERANCE:
        _refuse_sum(sums, int((deviation > TOLERANCE).argmax()), list(raw.columns), place)
    notes: list[str] = []
    off: np.ndarray = deviation > _EXACT
    if off.any():
        values = np.where(off[:, None], values / sums[:, None], values)
        notes.append(
            f"shares of {off.sum()} rows did not sum to 1 and were divided by their sum, which is at most "
            f"{deviation[worst]:.2g} off."
        )
    if not known.all():
        notes.append(f"{(~known).sum()} rows have no mixture: it is taken as unknown there.")
    columns = [pl.Series(name, values[:, i]).fill_nan(None) for i, name in enumerate(frame.columns)]
    return Mixtures(pl.DataFrame(columns), tuple(notes))


def _checked(cells: pl.Series, place: Place) -> pl.Series:
    numbers = to_numbers(cells).fill_nan(None)
    name = SHARE + cells.name
    bad = (numbers.is_null() & ~missing(cells)) | outside(numbers, "non-negative") | (numbers > 1).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        hint = "Shares are fractions, not percent. Rename the column if it is not a share."
        what = f"must be a fraction from 0 to 1, got {describe(cells[row])}"
        raise InputError(what, where=place(row, name), hint=hint)
    return numbers


def _refuse_sum(sums: np.ndarray, row: int, names: list[str], place: Place) -> None:
    listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    raise InputError(
        f"the shares of {listed} sum to {sums[row]:.6g}, not to 1",
        where=place(row, "shares"),
        hint="Give every part of the mixture, or an extra share:other; rename columns that are not shares.",
    )
