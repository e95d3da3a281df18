"""Conditions on rows, as a user types them: "use=1", "tokens<5e20", "status!=killed"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.numbers import to_numbers
from isogloss.units import parse_quantity

_CONDITION = re.compile(r"\s*(?P<column>[^=!<>]+?)\s*(?P<op>==|!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_EXAMPLE = "Write a column, one of = != < <= > >=, and a value: use=1, tokens<5e20, status!=killed."

_ORDERINGS: dict[str, Callable[[pl.Series, float], pl.Series]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    column: str
    op: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}{self.op}{self.value}"

    @property
    def reason(self) -> str:
        return f"where {self}"

    def holds(self, cells: pl.Series, *, also_equal: str | None = None) -> pl.Series:
        """Which cells meet the condition. Numbers compare as numbers, everything else as text.

        An empty cell differs from every value and is in no order to one. `also_equal` is a second spelling of
        the value, which counts as the same.
        """
        if self.op in _ORDERINGS:
            number = self._number()
            if number is None:
                what = f"{self.value!r} is not a number, which {self.op} needs"
                raise InputError(what, where=f"where {str(self)!r}", hint=_EXAMPLE)
            return _ORDERINGS[self.op](to_numbers(cells), number).fill_null(False)
        equal = self._equal(cells, self.value)
        if also_equal is not None:
            equal |= self._equal(cells, also_equal)
        return ~equal if self.op == "!=" else equal

    def _equal(self, cells: pl.Series, value: str) -> pl.Series:
        if value == "":
            return cells.is_null()
        text = cells.cast(pl.String, strict=False)
        if cells.dtype == pl.Boolean:
            value = value.casefold()
        equal = (text == value).fill_null(False)
        number = self._number()
        if number is not None:
            equal |= (to_numbers(cells) == number).fill_null(False)
        return equal

    def _number(self) -> float | None:
        try:
            return float(self.value)
        except ValueError:
            pass
        try:
            return parse_quantity(self.value)
        except InputError:
            return None


def parse_condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InputError("not a condition", where=f"where {text!r}", hint=_EXAMPLE)
    op = "=" if match["op"] == "==" else match["op"]
    return Condition(match["column"], op, match["value"])
