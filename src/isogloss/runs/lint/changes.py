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
            self._note(at, pl.lit(""), pl.lit(""), pl.lit(DROPPED), code)
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
        self._note(self.frame.filter(which), pl.lit(column), shown["was"], shown["now"], code)
        self.frame = self.frame.with_columns(result)

    def _note(self, at: pl.DataFrame, column: pl.Expr, was: pl.Expr | pl.Series, now: pl.Expr | pl.Series, code: Code):
        if at.is_empty():
            return
        run = pl.col(self.run_id).cast(pl.String) if self.run_id else pl.lit(None, pl.String)
        self.log.append(
            at.select(
                pl.lit(self.name).alias("table"),
                pl.col("row").cast(pl.Int64),
                run.alias("run_id"),
                column.alias("column"),
                (was if isinstance(was, pl.Expr) else pl.lit(was)).alias("was"),
                (now if isinstance(now, pl.Expr) else pl.lit(now)).alias("now"),
                pl.lit(code.name).alias("code"),
            )
        )

    def kept(self) -> pl.DataFrame:
        return self.frame.filter(~pl.col("row").is_in(sorted(self.dropped))).drop("row")


def _text(values: pl.Series) -> pl.Series:
    return values.cast(pl.String, strict=False)


@dataclass(frozen=True, eq=False)
class Fixed:
    """`tables` by file name, `changes` a row per cell or dropped row, `columns` the columns that have another name."""

    tables: Mapping[str, pl.DataFrame]
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
    return Fixed({t.name: t.kept() for t in tables}, changes.select(list(SCHEMA)), columns)
