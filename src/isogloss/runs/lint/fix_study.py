"""--fix of a study's folder: its three tables without ghosts, diverged runs, copies and NaN, shares as fractions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from isogloss.runs.lint import codes
from isogloss.runs.lint.changes import Edited, Fixed, gathered
from isogloss.runs.lint.finding import Finding
from isogloss.runs.lint.mixtures import EXACT, FIXABLE, judge_sums
from isogloss.runs.lint.study import study_tables
from isogloss.runs.names import judge_names
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS


def fix_study(folder: Path, findings: Iterable[Finding]) -> Fixed:
    tables = {
        name: Edited(name, frame.select(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"), pl.all()), "run_id")
        for name, frame in study_tables(folder).items()
    }
    gone = {
        code.name: {run for f in findings if f.code == code.name for run in f.runs}
        for code in (codes.GHOST, codes.DIVERGED)
    }
    for code in (codes.GHOST, codes.DIVERGED):
        for table in tables.values():
            table.drop(_rows(table, pl.col("run_id").is_in(sorted(gone[code.name]))), code)
    evals = tables[EVALS]
    evals.drop(_rows(evals, pl.col("loss").is_nan() | pl.col("loss").is_infinite()), codes.NAN_LOSS)
    evals.drop(_rows(evals, pl.col("loss").is_null()), codes.NO_LOSS)
    cells = [c for c in evals.frame.columns if c != "row"]
    evals.drop(_rows(evals, ~pl.struct(cells).is_first_distinct()), codes.DUPLICATE)
    _normalise(tables[EXPOSURE])
    for name in (EXPOSURE, EVALS):
        _names(tables[name])
    assert list(tables) == [RUNS, EXPOSURE, EVALS]
    return gathered(list(tables.values()), {})


def _rows(table: Edited, which: pl.Expr) -> set[int]:
    return set(table.frame.filter(which.fill_null(False))["row"].to_list())


def _normalise(exposure: Edited) -> None:
    frame = exposure.frame.with_columns(pl.col("share").cast(pl.Float64, strict=False))
    total = frame.select(pl.col("share").sum().over("run_id"))["share"].to_numpy()
    share = frame["share"].fill_null(np.nan).to_numpy()
    _, _, _, beyond = judge_sums(np.where(np.isnan(share), 0.0, share)[:, None])
    worst = frame.select(pl.lit(pl.Series(beyond)).any().over("run_id")).to_series().to_numpy()
    hundred = np.abs(total - 100) <= 2.0
    near = ~worst & ~hundred & (np.abs(total - 1) > EXACT) & (np.abs(total - 1) <= FIXABLE)
    made = pl.Series(share / np.where(total == 0, np.nan, total)).fill_nan(None)
    exposure.set("share", pl.Series(hundred) & made.is_not_null(), made, codes.SHARES_PERCENT)
    exposure.set("share", pl.Series(near) & made.is_not_null(), made, codes.SHARES_SUM)


def _names(table: Edited) -> None:
    cells = table.frame["language"].cast(pl.String)
    names = judge_names(cells.drop_nulls().unique(maintain_order=True).to_list()).languages
    made = cells.replace(names)
    table.set("language", made.ne_missing(cells), made, codes.LANGUAGE_NAMES)
