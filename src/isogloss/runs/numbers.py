"""Columns of text and numbers: reading them as numbers, checking them, giving the rest a type."""

from __future__ import annotations

import math

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import Domain
from isogloss.units import parse_quantity

# Codes such as 007 are text; so is nan by itself, which is also the code of a language.
_NUMBER = r"^[+-]?((0|[1-9]\d*|\d*\.\d+|[1-9]\d*\.\d*|0\.\d*)(e[+-]?\d+)?|inf)$"
_EXACT = 2.0**53

WANTED: dict[Domain, str] = {
    "positive": "a positive number",
    "non-negative": "a number that is not negative",
    "count": "a positive whole number",
    "finite": "a finite number",
}


def tidy_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Text without spaces around it, empty text and not-a-number as null, categories as text."""
    return frame.with_columns(_tidied(column) for column in frame.iter_columns())


def _tidied(column: pl.Series) -> pl.Series:
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        column = column.str.replace_all("\r\n", "\n", literal=True).str.strip_chars()
        return column.set(column == "", None)
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    return column


def to_numbers(cells: pl.Series) -> pl.Series:
    """Float64, null where a cell is empty or not a number. Reads "70M" and "1,000" as people mean them."""
    if cells.dtype.is_numeric() or cells.dtype == pl.Boolean:
        return cells.cast(pl.Float64)
    if cells.dtype != pl.String:
        return pl.Series(cells.name, [None] * len(cells), dtype=pl.Float64)
    numbers = cells.cast(pl.Float64, strict=False)
    unread = cells.filter(numbers.is_null() & cells.is_not_null()).unique().to_list()
    quantities = {text: number for text in unread if (number := _quantity(text)) is not None}
    if not quantities:
        return numbers
    return numbers.fill_null(cells.replace_strict(quantities, default=None, return_dtype=pl.Float64))


def _quantity(text: str) -> float | None:
    try:
        return parse_quantity(text)
    except InputError:
        return None


def outside(numbers: pl.Series, domain: Domain) -> pl.Series:
    """Where numbers are not in the domain. Null is judged elsewhere: it is not outside."""
    bad = ~numbers.is_finite()
    if domain in ("positive", "count"):
        bad |= numbers <= 0
    if domain == "non-negative":
        bad |= numbers < 0
    if domain == "count":
        bad |= (numbers != numbers.floor()) | (numbers.abs() >= _EXACT)
    return bad.fill_null(False)


def missing(cells: pl.Series) -> pl.Series:
    """Null, or nan, which is how pandas and trackers write null."""
    if cells.dtype == pl.String:
        return cells.is_null() | (cells.str.to_lowercase() == "nan").fill_null(False)
    return cells.is_null() | cells.is_nan().fill_null(False) if cells.dtype.is_float() else cells.is_null()


def describe(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, float) and math.isnan(value):
        return "not a number (nan)"
    return repr(value)


def typed(column: pl.Series) -> pl.Series:
    """A column without a meaning of its own, in the type that its cells share: so that a CSV, a Parquet
    file and a data frame of the same runs give the same table."""
    if column.dtype == pl.Boolean or column.dtype.is_nested():
        return column
    if column.null_count() == len(column):
        return column.cast(pl.String, strict=False)
    if column.dtype.is_numeric():
        return _whole(column.cast(pl.Float64).fill_nan(None), column)
    if column.dtype != pl.String:
        return column.cast(pl.String, strict=False)
    filled = column.drop_nulls()
    lower = filled.str.to_lowercase()
    if len(filled) and lower.is_in(["true", "false"]).all():
        return column.str.to_lowercase() == "true"
    numeric = lower.str.contains(_NUMBER)
    if numeric.any() and (numeric | (lower == "nan")).all():
        return _whole(column.cast(pl.Float64, strict=False).fill_nan(None), column)
    return column


def _whole(numbers: pl.Series, column: pl.Series) -> pl.Series:
    """Int64 where every number is whole. Integers beyond 2^53 stay as they are rather than be rounded."""
    filled = numbers.drop_nulls()
    if not len(filled) or not filled.is_finite().all() or (filled != filled.floor()).any():
        return numbers
    if (filled.abs() < _EXACT).all():
        return numbers.cast(pl.Int64)
    if column.dtype.is_float():
        return numbers
    exact = column.cast(pl.Int64, strict=False)
    return exact if exact.null_count() == column.null_count() else numbers
