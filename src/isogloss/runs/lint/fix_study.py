"""--fix of a study's folder: its three tables without ghosts, diverged runs, copies and NaN, shares as fractions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from isogloss.runs.lint import codes
from isogloss.runs.lint.changes import DROPPED, Edited, Fixed, change, gathered, with_table
from isogloss.runs.lint.finding import Code, Finding
from isogloss.runs.lint.mixtures import EXACT, FIXABLE, judge_sums
from isogloss.runs.lint.study import collect, scan
from isogloss.runs.names import judge_names
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS


def fix_study(folder: Path, findings: Iterable[Finding]) -> Fixed:
    """Evals, which may have many millions of rows, stay in their file: those kept are read as they are written."""
    tables = {
        name: Edited(name, frame.select(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"), pl.all()), "run_id")
        for name, frame in ((name, collect(scan(folder, name), folder / name)) for name in (RUNS, EXPOSURE))
    }
    gone = {
        code: sorted({run for f in findings if f.code == code.name for run in f.runs})
        for code in (codes.GHOST, codes.DIVERGED)
    }
    for code, names in gone.items():
        for table in tables.values():
            table.drop(_rows(table, pl.col("run_id").is_in(names)), code)
    _normalise(tables[EXPOSURE])
    _names(tables[EXPOSURE])
    return with_table(gathered(list(tables.values()), {}), EVALS, *_evals(folder, gone))


def _evals(folder: Path, gone: Mapping[Code, Sequence[str]]) -> tuple[pl.LazyFrame, int, list[pl.DataFrame]]:
    """The rows that are kept, how many they are, and what is changed."""
    path = folder / EVALS
    columns = scan(folder, EVALS).collect_schema().names()
    numbered = pl.scan_parquet(path, glob=False, row_index_name="row", row_index_offset=1)
    loss = pl.col("loss")
    reasons = [(code, pl.col("run_id").is_in(names)) for code, names in gone.items()]
    reasons += [(codes.NAN_LOSS, ~loss.is_finite()), (codes.NO_LOSS, loss.is_null())]
    code = pl.coalesce(pl.when(which.fill_null(False)).then(pl.lit(code.name)) for code, which in reasons)
    marked = numbered.with_columns(code=code)
    bad = collect(marked.filter(pl.col("code").is_not_null()).select("row", "run_id", "code"), path)
    copies = _copies(marked.filter(pl.col("code").is_null()).select("row", *columns), columns, path)
    dropped = pl.concat([bad, copies.select("row", "run_id", code=pl.lit(codes.DUPLICATE.name))])
    kept = numbered.filter(~pl.col("row").is_in(dropped["row"].implode()))
    log = [change(EVALS, dropped, "", pl.lit(""), pl.lit(DROPPED), pl.col("code"))] if dropped.height else []
    names = collect(kept.select(pl.col("language").cast(pl.String).unique()), path)["language"].drop_nulls().to_list()
    renamed = {old: new for old, new in judge_names(names).languages.items() if old != new}
    if renamed:
        old = pl.col("language").cast(pl.String)
        at = collect(kept.filter(old.is_in(list(renamed))).select("row", "run_id", "language"), path)
        log.append(change(EVALS, at, "language", old, old.replace(renamed), pl.lit(codes.LANGUAGE_NAMES.name)))
        kept = kept.with_columns(old.replace(renamed))
    rows = collect(numbered.select(pl.len()), path).item() - dropped.height
    return kept.select(columns), rows, log


def _copies(rows: pl.LazyFrame, columns: Sequence[str], path: Path) -> pl.DataFrame:
    """Rows that are wholly equal to an earlier one. Only those with the hash of another are held."""
    hashed = collect(rows.select("row", hash=pl.struct(columns).hash()), path)
    hashes = hashed["hash"].to_numpy()
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    alike = hashed["row"].filter(pl.Series(np.isin(hashes, twice)))
    some = collect(rows.filter(pl.col("row").is_in(alike.implode())), path)
    return some.filter(~pl.struct(columns).is_first_distinct()) if some.height else some


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
