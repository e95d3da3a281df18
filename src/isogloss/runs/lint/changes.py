"""The record of a fix: every cell that changed and every row that was dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from isogloss.runs.lint.finding import Code

SCHEMA: dict[str, type[pl.DataType]] = {
    **{"table": pl.String, "row": pl.Int64, "run_id": pl.String, "column": pl.String},
    **{"was": pl.String, "now": pl.String, "code": pl.String},
}
DROPPED = "row dropped"


@dataclass
class Edited:
    """A table on its way to being fixed: `frame` has `row`, and keeps its rows until `kept` is asked for."""

    name: str
    frame: pl.DataFrame
    run_id: str | None
    log: list[pl.DataFrame] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)

    def drop(self, rows: set[int], code: Code) -> None:
        new = rows - self.dropped
        if new:
            at = self.frame.filter(pl.col("row").is_in(sorted(new)))
            self._note(at, "", pl.lit(""), pl.lit(DROPPED), code)
            self.dropped |= new

    def set(self, column: str, which: pl.Series, values: pl.Series, code: Code) -> None:
        """Put `values` `(n,)` into the rows where `which` holds and that are not dropped."""
        which = which.fill_null(False) & ~self.frame["row"].is_in(sorted(self.dropped))
        if not which.any():
            return
        if column not in self.frame.columns:
            self.frame = self.frame.with_columns(pl.lit(None, values.dtype).alias(column))
        old = self.frame[column]
        if old.dtype == pl.String:
            new = _text(values)
        elif old.dtype.is_numeric():
            new, old = values.cast(pl.Float64), old.cast(pl.Float64)
        else:
            new, old = _text(values), old.cast(pl.String, strict=False)
        result = pl.select(pl.when(which).then(new).otherwise(old).alias(column)).to_series()
        which &= result.ne_missing(old)
        shown = pl.DataFrame({"was": _text(old), "now": _text(result)}).filter(which)
        self._note(self.frame.filter(which), column, shown["was"], shown["now"], code)
        self.frame = self.frame.with_columns(result)

    def _note(self, at: pl.DataFrame, column: str, was: pl.Expr | pl.Series, now: pl.Expr | pl.Series, code: Code):
        if at.is_empty():
            return
        at = at.with_columns(run_id=pl.col(self.run_id) if self.run_id else pl.lit(None, pl.String))
        self.log.append(change(self.name, at, column, _shown(was), _shown(now), pl.lit(code.name)))

    def kept(self) -> pl.DataFrame:
        return self.frame.filter(~pl.col("row").is_in(sorted(self.dropped))).drop("row")


def change(table: str, at: pl.DataFrame, column: str, was: pl.Expr, now: pl.Expr, code: pl.Expr) -> pl.DataFrame:
    """Lines of the record, one for each row of `at`, which has `row` and `run_id`."""
    return at.select(
        pl.lit(table).alias("table"),
        pl.col("row").cast(pl.Int64),
        pl.col("run_id").cast(pl.String),
        pl.lit(column).alias("column"),
        was.alias("was"),
        now.alias("now"),
        code.alias("code"),
    )


def _shown(values: pl.Expr | pl.Series) -> pl.Expr:
    return values if isinstance(values, pl.Expr) else pl.lit(values)


def _text(values: pl.Series) -> pl.Series:
    return values.cast(pl.String, strict=False)


@dataclass(frozen=True, eq=False)
class Fixed:
    """`tables` by file name, those of many rows still in their file; `rows` of each; `changes` a row per cell or
    dropped row; `columns` the columns that have another name."""

    tables: Mapping[str, pl.DataFrame | pl.LazyFrame]
    rows: Mapping[str, int]
    changes: pl.DataFrame
    columns: Mapping[str, str]

    def counts(self) -> dict[str, int]:
        """How many changes there are of each code."""
        counted = self.changes["code"].value_counts(sort=True)
        return dict(zip(counted["code"].to_list(), counted["count"].to_list(), strict=True))

    @property
    def dropped(self) -> int:
        return self.changes.filter(pl.col("now") == DROPPED, pl.col("column") == "").height


def gathered(tables: list[Edited], columns: Mapping[str, str]) -> Fixed:
    logs = [log for table in tables for log in table.log]
    changes = pl.concat(logs) if logs else pl.DataFrame(schema=SCHEMA)
    kept = {t.name: t.kept() for t in tables}
    rows = {name: table.height for name, table in kept.items()}
    return Fixed(kept, rows, changes.select(list(SCHEMA)), columns)


def with_table(fixed: Fixed, name: str, table: pl.LazyFrame, rows: int, log: list[pl.DataFrame]) -> Fixed:
    """The same with one table more."""
    changes = pl.concat([fixed.changes, *(lines.select(list(SCHEMA)) for lines in log)])
    return Fixed({**fixed.tables, name: table}, {**fixed.rows, name: rows}, changes, fixed.columns)
