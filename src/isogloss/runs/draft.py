"""Draft: a table while it is read, which knows the user's name for every cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import BY_NAME, SHARE, Naming, meaning
from isogloss.runs.numbers import describe
from isogloss.runs.table import LeftOut, check_rows_left, find_column, keep, leave_out
from isogloss.runs.where import Condition
from isogloss.runs.wide import ORIGIN


class Draft:
    """`frame` always has `row`. Steps replace `frame`, and `notes` and `left_out` grow on the way."""

    def __init__(self, frame: pl.DataFrame, naming: Naming, source: str):
        row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row")
        self.frame = frame.select(row, pl.all())
        self.naming = naming
        self.source = source
        self.notes: list[str] = list(naming.notes)
        self.left_out: list[LeftOut] = []

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    def __getitem__(self, column: str) -> pl.Series:
        return self.frame[column]

    def own(self, column: str) -> str:
        """The user's name of a column."""
        return self.naming.in_file(column)

    def place(self, index: int, column: str) -> str:
        """File, data row and column of a cell. "shares" stands for all share columns together."""
        where = f"{self.source}, row {self.frame['row'][index]}"
        if column == "shares":
            return where
        own = self.frame[ORIGIN][index] if column == "loss" and ORIGIN in self else self.own(column)
        return f"{where}, column {own!r}"

    def set(self, *columns: pl.Series) -> None:
        self.frame = self.frame.with_columns(columns)

    def take(self, column: str) -> pl.Series:
        cells = self.frame[column]
        self.frame = self.frame.drop(column)
        return cells

    def rename(self, renames: Mapping[str, str]) -> None:
        """Refuses to give two columns one name: share:de and share:deu say the same language twice."""
        after: dict[str, str] = {}
        for column in self.frame.columns:
            other = after.setdefault(renames.get(column, column), column)
            if other != column:
                both = f"columns {self.own(other)!r} and {self.own(column)!r}"
                what = f"{both} both mean {renames.get(column, column)}"
                raise InputError(what, where=self.source, hint="Keep one, or rename one of them.")
        self.frame = self.frame.rename(dict(renames))
        self.naming = self.naming.renamed(renames)

    def drop(self, rows: pl.Series, reason: str) -> None:
        if rows.any():
            self.left_out += leave_out(self.frame.filter(rows), reason)
            self.frame = self.frame.filter(~rows)
            check_rows_left(self.frame, reason, self.source)

    def keep_where(self, conditions: Iterable[Condition]) -> list[Condition]:
        """Filter rows. Conditions on columns that only the finished table has are given back for later."""
        late: list[Condition] = []
        for condition in conditions:
            name = self.naming.names.get(condition.column, condition.column)
            derived = (name.startswith(SHARE) and "mixture" in self) or (meaning(name) == "tokens" and "flops" in self)
            try:
                column = find_column(name, self.frame.columns, source=self.source)
            except InputError:
                if not derived:
                    raise
                late.append(condition)
                continue
            self.drop(~keep(self[column], column, condition), condition.reason)
        return late

    def refuse(self, bad: pl.Series, column: str, wanted: str) -> None:
        """Raise for the first bad cell of a column, if there is one."""
        if not bad.any():
            return
        index, others = int(bad.arg_max() or 0), int(bad.sum()) - 1
        more = f" (and {others} more row{'s' if others > 1 else ''})" if others else ""
        raise InputError(
            f"must be {wanted}, got {describe(self.frame[column][index])}{more}",
            where=self.place(index, column),
            hint=_cure(column, self.own(column)),
        )


def _cure(column: str, own: str) -> str:
    if column in BY_NAME and BY_NAME[column].domain == "text":
        return f'Fill the cell, or leave such rows out: --where "{own}!=".'
    cure = f'Correct the cell, or leave such rows out: --where "{own}>0".'
    return f"{cure} Rows of diverged runs are left out by status=diverged." if column == "loss" else cure
