"""A study's folder, run by the lab or imported, in the form that checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import SHARE, UNIQUE, meaning
from isogloss.runs.lint import codes
from isogloss.runs.lint.compute import EPOCHS_TOLERANCE
from isogloss.runs.lint.finding import Finding
from isogloss.runs.lint.names import REALISED, find_extra
from isogloss.runs.lint.sheet import NEVER_RAN, STOPPED, Sheet, with_numbers
from isogloss.runs.numbers import to_numbers
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS
from isogloss.runs.table import LeftOut, find_column, keep, leave_out
from isogloss.runs.where import parse_condition
from isogloss.units import LOSS_UNITS, LossUnit

_NEEDED = {RUNS: ("run_id", "status"), EXPOSURE: ("run_id", "language", "share"), EVALS: ("run_id", "language", "loss")}


def study_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """runs, exposure and evals; InputError where one is missing, damaged or without its columns."""
    tables: dict[str, pl.DataFrame] = {}
    for name, needed in _NEEDED.items():
        path = folder / name
        try:
            tables[name] = table = pl.read_parquet(path)
        except FileNotFoundError:
            hint = f"isogloss study collect {folder} writes it; isogloss runs import does too."
            raise InputError(f"has no {name}", where=str(folder), hint=hint) from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path), hint="Write it anew.") from error
        lacking = [c for c in (*needed, *(("tokens", "unit") if name == EVALS else ())) if c not in table.columns]
        if lacking:
            raise InputError(f"has no column {', '.join(lacking)}", where=str(path), hint="Write it anew.")
    return tables


def study_sheet(
    folder: Path, where: Sequence[str], columns: Mapping[str, str], asked: LossUnit | None
) -> tuple[Sheet, list[str], list[LeftOut]]:
    """The evals in one unit, that of most runs unless asked, joined to their runs and mixtures; what was assumed; and
    the rows that conditions leave out."""
    if columns:
        raise InputError("a study has its own names of columns", where=str(folder), hint="Leave --column out.")
    tables = study_tables(folder)
    runs, evals = tables[RUNS], tables[EVALS].with_row_index("row", offset=1)
    unit = asked or _commonest_unit(evals)
    evals = evals.with_columns(pl.col("row").cast(pl.Int64))
    frame = evals.filter(pl.col("unit") == unit).rename({"language": "target"})
    if frame.is_empty() and evals.height:
        there = ", ".join(evals["unit"].drop_nulls().unique(maintain_order=True))
        raise InputError(f"no losses in {unit}", where=str(folder), hint=f"Its units: {there}.")
    # What evals and runs both have, evals say of the point.
    runs_only = runs.select("run_id", *(c for c in runs.columns if c not in frame.columns))
    frame = frame.join(runs_only.unique("run_id", keep="first"), on="run_id", how="left", maintain_order="left")
    for column, prefix in (("share", SHARE), ("realised_share", REALISED), ("unique_tokens", UNIQUE)):
        if column in tables[EXPOSURE].columns:
            frame = frame.join(_wide(tables[EXPOSURE], column, prefix), on="run_id", how="left", maintain_order="left")
    frame = frame.drop([c for c in frame.columns if c != "loss" and frame[c].null_count() == frame.height])
    frame = with_numbers(frame.rename({c: n for c, n in find_extra(frame.columns).items() if c != n}))
    frame = frame.with_columns(to_numbers(frame["loss"]), to_numbers(frame["tokens"]))
    left_out: list[LeftOut] = []
    for condition in map(parse_condition, where):
        column = find_column(condition.column, frame.columns, source=str(folder))
        kept = keep(frame[column], column, condition)
        left_out += leave_out(frame.filter(~kept), condition.reason)
        frame = frame.filter(kept)
    by_phase = any(meaning(parse_condition(w).column) == "lr_phase" for w in where)
    frame = _use(frame, by_phase)
    found = tuple(_of_runs(tables))
    sheet = Sheet(frame, str(folder), unit, found)
    return sheet, [f"losses in {unit}; rows are those of {EVALS}."], left_out


def _commonest_unit(evals: pl.DataFrame) -> LossUnit:
    counts = evals.group_by("unit").agg(pl.col("run_id").n_unique().alias("runs"))
    runs: dict[str, int] = dict(counts.iter_rows())
    return max(LOSS_UNITS, key=lambda unit: (runs.get(unit, 0), unit == "bits/byte"))


def _wide(exposure: pl.DataFrame, column: str, prefix: str) -> pl.DataFrame:
    known = exposure.filter(pl.col(column).is_not_null())
    if known.is_empty():
        return pl.DataFrame(schema={"run_id": exposure["run_id"].dtype})
    wide = known.unique(["run_id", "language"], keep="first").pivot("language", index="run_id", values=column)
    wide = wide.rename({c: prefix + c for c in wide.columns if c != "run_id"})
    # A language that a run does not name has no share in it.
    return wide.with_columns(pl.exclude("run_id").fill_null(0.0)) if prefix != UNIQUE else wide


def _use(frame: pl.DataFrame, by_phase: bool) -> pl.DataFrame:
    """Which points a fit reads: finished models, or the last point of each curve where no phase is known."""
    status = (
        frame["status"].str.to_lowercase().fill_null("") if "status" in frame.columns else pl.Series([""] * len(frame))
    )
    final = frame["lr_phase"] == "final" if "lr_phase" in frame.columns else pl.Series([False] * len(frame))
    final = final.fill_null(False)
    stopped = status.is_in([*NEVER_RAN, *STOPPED, "diverged"])
    # A finished model counts also where its run goes on, or was stopped on the way to a longer one.
    used = (~stopped) | (final & (status != "diverged"))
    compared = used
    if not by_phase and final.any():
        compared = used & final
    elif not by_phase and len(frame):
        last = frame.select(pl.col("tokens") == pl.col("tokens").max().over("run_id", "target")).to_series()
        compared = used & last.fill_null(False)
    return frame.with_columns(used.alias("used"), compared.alias("compared"), ghost=pl.lit(False))


def _of_runs(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """What can be said of runs that have no row in evals, and of what they saw."""
    runs, exposure = tables[RUNS], tables[EXPOSURE]
    silent = runs.filter(~pl.col("run_id").is_in(tables[EVALS]["run_id"].unique().implode()))
    status = silent["status"].cast(pl.String).str.to_lowercase().fill_null("")
    waiting = silent.filter(status.is_in(STOPPED))
    collapsed = silent.filter(status == "diverged")
    ghosts = silent.filter(~status.is_in([*STOPPED, "diverged"]))
    found = [
        *codes.GHOST.of_runs(
            _ids(ghosts), f"{ghosts.height} runs without an evaluation, though none says it has not ended."
        ),
        *codes.UNFINISHED.of_runs(_ids(waiting), f"{waiting.height} runs without an evaluation: {_words(waiting)}."),
        *codes.DIVERGED.of_runs(_ids(collapsed), f"{collapsed.height} diverged runs without an evaluation."),
    ]
    twice = runs.filter(pl.col("run_id").is_duplicated())
    found += codes.RUN_CONFLICT.of_runs(_ids(twice), f"{twice['run_id'].n_unique()} run_ids stand twice in {RUNS}.")
    if {"tokens", "unique_tokens", "epochs"} <= {*exposure.columns}:
        passes = exposure["tokens"].cast(pl.Float64) / exposure["unique_tokens"].cast(pl.Float64)
        off = ((exposure["epochs"] / passes - 1).abs() > EPOCHS_TOLERANCE).fill_null(False)
        text = f"epochs of {int(off.sum())} rows of {EXPOSURE} differ from tokens / unique_tokens."
        found += codes.EPOCHS.of_runs(_ids(exposure.filter(off)), text)
    return found


def _ids(frame: pl.DataFrame) -> tuple[str, ...]:
    return tuple(frame["run_id"].cast(pl.String).drop_nulls().unique(maintain_order=True).to_list())


def _words(frame: pl.DataFrame) -> str:
    counts = frame["status"].value_counts(sort=True)
    return ", ".join(f"{count} {word}" for word, count in counts.iter_rows())
