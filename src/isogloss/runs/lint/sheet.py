"""Sheet: a run table as it stands, right or wrong, in the form that checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from isogloss.runs.columns import SHARE
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.names import NUMBERS, REALISED, find_extra
from isogloss.runs.numbers import to_numbers
from isogloss.runs.read import UNFINISHED
from isogloss.runs.table import RunTable
from isogloss.units import LossUnit

NEVER_RAN = ("ghost",)
# The status in lower case, where reading has it at hand.
STATUS_WORD = "__status"
STOPPED = (*sorted(UNFINISHED - {"ghost", "diverged"}), "planned")


@dataclass(frozen=True)
class Whole:
    """What a sheet of some runs has to know of the table that they are part of: the columns with a value in some row,
    and the targets."""

    filled: frozenset[str]
    targets: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """`frame` has `row`, columns under the names of RunTable, numbers as Float64 and null where a cell cannot be used;
    only `loss` keeps NaN and infinity. `unit` is a column of canonical units. `used` marks the rows that a fit would
    read, `ghost` those of runs that never ran. `found` are the findings of reading itself."""

    frame: pl.DataFrame
    source: str
    unit: LossUnit
    found: tuple[Found, ...] = ()
    unread: Mapping[str, pl.Series] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    """The user's names of columns, where they differ."""
    whole: Whole | None = None
    """Of the table, where these are some of its runs."""
    most_rows: int | None = None
    """So many rows of a finding are named; None: all."""

    def __len__(self) -> int:
        return self.frame.height

    def has(self, *columns: str) -> bool:
        return all(column in self.frame.columns for column in columns)

    def array(self, column: str) -> np.ndarray:
        """A column as `(n,)` floats, NaN where it is empty or not there."""
        if column not in self.frame.columns:
            return np.full(len(self), np.nan)
        return self.frame[column].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()

    def blank(self, column: str) -> bool:
        """Whether a column is empty in all of the table."""
        empty = self.frame[column].null_count() == len(self)
        return empty and (self.whole is None or column not in self.whole.filled)

    def name(self, column: str) -> str:
        """What the user calls a column."""
        return self.own.get(column, column)

    def unreadable(self, column: str) -> np.ndarray:
        """Rows whose cell was found unusable in reading, and is told there."""
        return self.unread[column].to_numpy() if column in self.unread else np.zeros(len(self), bool)

    @cached_property
    def used(self) -> np.ndarray:
        return self.frame["used"].to_numpy()

    @cached_property
    def ghost(self) -> np.ndarray:
        return self.frame["ghost"].to_numpy()

    @cached_property
    def compared(self) -> np.ndarray:
        """Rows whose losses a fit sets side by side: of a study, those of finished models only."""
        if "compared" in self.frame.columns:
            return self.frame["compared"].to_numpy()
        return self.used & ~self.ghost

    @cached_property
    def status(self) -> pl.Series:
        """In lower case."""
        if STATUS_WORD in self.frame.columns:
            return self.frame[STATUS_WORD]
        return self.frame["status"].str.to_lowercase()

    @cached_property
    def languages(self) -> tuple[str, ...]:
        return tuple(c.removeprefix(SHARE) for c in self.frame.columns if c.startswith(SHARE))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Those of the whole table."""
        if self.whole:
            return self.whole.targets
        return tuple(self.frame["target"].drop_nulls().unique(maintain_order=True)) if self.has("target") else ()

    def matrix(self, prefix: str) -> np.ndarray:
        """Shares or realised shares `(n, languages)`."""
        return np.stack([self.array(prefix + name) for name in self.languages], axis=1)

    def groups(self, *columns: str) -> np.ndarray:
        """A number for each combination of the columns that are there, `(n,)`, in order of appearance."""
        have = [c for c in columns if c in self.frame.columns]
        if not have:
            return np.zeros(len(self), np.int64)
        keys = self.frame.select(have)
        distinct = keys.unique(maintain_order=True).with_row_index("__group")
        joined = keys.join(distinct, on=have, how="left", nulls_equal=True, maintain_order="left")
        return joined["__group"].to_numpy().astype(np.int64)

    @cached_property
    def curve(self) -> np.ndarray:
        """A number for each curve `(n,)`: one run, target and evaluation set in one unit. Finished models are none of
        the trunk that they branched off."""
        group = self.groups("run_id", "target", "eval_set", "unit")
        if not self.has("lr_phase"):
            return group
        return 2 * group + (self.frame["lr_phase"] == "final").fill_null(False).to_numpy()

    @cached_property
    def comparison(self) -> np.ndarray:
        """A number for each set of rows that are compared `(n,)`: one target and unit. Those of a fit."""
        return self.groups("target", "unit")


def sheet_of(table: RunTable) -> Sheet:
    """A table that was read without error."""
    frame = table.frame
    known = {c: n for c, n in find_extra(c for c in frame.columns if c not in ("row", "unit")).items() if c != n}
    frame = with_numbers(frame.rename(known))
    frame = frame.with_columns(unit=pl.lit(table.unit), used=pl.lit(True), ghost=pl.lit(False))
    return Sheet(frame, table.source, table.unit, own={n: c for c, n in known.items()})


def with_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """The linter's own columns as numbers; cells that are none become null, for they are no part of a fit."""
    names = [c for c in frame.columns if c in NUMBERS or c.startswith(REALISED)]
    numbers = [to_numbers(frame[c]) for c in names]
    return frame.with_columns(n.set((~n.is_finite()).fill_null(True), None) for n in numbers)
