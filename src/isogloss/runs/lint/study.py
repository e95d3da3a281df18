"""A study's folder, run by the lab or imported, in the form that checks look at: some runs at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import SHARE, UNIQUE, meaning
from isogloss.runs.lint import codes
from isogloss.runs.lint.compute import EPOCHS_TOLERANCE
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.names import REALISED, find_extra
from isogloss.runs.lint.sheet import NEVER_RAN, STATUS_WORD, STOPPED, with_numbers
from isogloss.runs.numbers import to_numbers
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS
from isogloss.runs.table import find_column, keep
from isogloss.runs.where import Condition, parse_condition
from isogloss.units import LOSS_UNITS, LossUnit

_NEEDED = {
    RUNS: ("run_id", "status"),
    EXPOSURE: ("run_id", "language", "share"),
    EVALS: ("run_id", "language", "loss", "tokens", "unit"),
}
_ALWAYS = frozenset({"row", "run_id", "target", "tokens", "loss", "unit"})
# Texts that no check looks at.
_UNREAD = frozenset({"metric", "notes", "source", "corpus"})
# Memory grows with this, a hundred bytes to a thousand a row; much less takes longer, and so does more.
BATCH_ROWS = 150_000


def scan(folder: Path, name: str) -> pl.LazyFrame:
    path = folder / name
    try:
        # The file is named by its bytes: polars would take [ and * in a path for a pattern.
        table = pl.scan_parquet(path, glob=False)
        columns = table.collect_schema().names()
    except FileNotFoundError:
        hint = f"isogloss study collect {folder} writes it; isogloss runs import does too."
        raise InputError(f"has no {name}", where=str(folder), hint=hint) from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error
    if lacking := [c for c in _NEEDED[name] if c not in columns]:
        raise InputError(f"has no column {', '.join(lacking)}", where=str(path), hint="Write it anew.")
    return table


def collect(table: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return table.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"cannot be read: {error}", where=str(path), hint="Write it anew.")


class Study:
    """The three tables under one unit, that of most runs unless asked, and rows of evals with their run's columns.

    Evals may have many millions of rows: they stay in their file, and `batches` reads whole runs, some at a time.
    Raises InputError where a table is missing, damaged or lacks its columns, or there is no loss in the unit.
    """

    def __init__(self, folder: Path, where: Sequence[str], asked: LossUnit | None):
        self.folder = folder
        self.runs, self.exposure = (collect(scan(folder, name), folder / name) for name in (RUNS, EXPOSURE))
        self.conditions = [parse_condition(text) for text in where]
        columns = scan(folder, EVALS).collect_schema().names()
        columns = [c for c in columns if c != "row" and (self.conditions or c not in _UNREAD)]
        # Numbered by the scan itself: a slice then reads its own rows only.
        numbered = pl.scan_parquet(folder / EVALS, glob=False, row_index_name="row", row_index_offset=1)
        self._evals = numbered.select("row", *columns)
        self._spans = self._read_spans(columns)
        self.unit: LossUnit = asked or self._commonest_unit()
        # In the order of the file, which a group_by does not keep.
        self._units_spans = self._spans.filter(pl.col("unit") == self.unit).sort("first")
        if self._units_spans.is_empty() and self._spans.height:
            there = ", ".join(self._spans.sort("first")["unit"].drop_nulls().unique(maintain_order=True))
            raise InputError(f"no losses in {self.unit}", where=str(folder), hint=f"Its units: {there}.")

    def _read_spans(self, columns: Sequence[str]) -> pl.DataFrame:
        """Of each unit and run, the first and last row, how many there are, and how many values of each column."""
        row = pl.col("row")
        filled = (pl.col(c).count().alias(f"filled:{c}") for c in columns if c not in ("run_id", "unit"))
        spans = self._evals.group_by("unit", "run_id").agg(
            row.min().alias("first"), row.max().alias("last"), pl.len().alias("rows"), *filled
        )
        return collect(spans, self.folder / EVALS)

    def _commonest_unit(self) -> LossUnit:
        runs: dict[str, int] = dict(self._spans.group_by("unit").len().iter_rows())
        return max(LOSS_UNITS, key=lambda unit: (runs.get(unit, 0), unit == "bits/byte"))

    @cached_property
    def run_columns(self) -> pl.DataFrame:
        """A row per run of the unit: its columns and its mixture, without those that are empty in all of them."""
        taken = {"language", "row", *self._evals.collect_schema().names()}
        # What evals and runs both have, evals say of the point.
        own = [c for c in self.runs.columns if c not in taken and (self.conditions or c not in _UNREAD)]
        frame = self.runs.select("run_id", *own).unique("run_id", keep="first", maintain_order=True)
        for column, prefix in (("share", SHARE), ("realised_share", REALISED), ("unique_tokens", UNIQUE)):
            if column in self.exposure.columns:
                wide = _wide(self.exposure, column, prefix)
                frame = frame.join(wide, on="run_id", how="full", coalesce=True, maintain_order="left")
        frame = frame.filter(pl.col("run_id").is_in(self._units_spans["run_id"].implode()))
        return frame.drop(c for c in frame.columns if c != "run_id" and frame[c].null_count() == frame.height)

    @cached_property
    def _empty_evals(self) -> list[str]:
        counts = self._units_spans.select(pl.col("^filled:.*$").sum())
        return [
            c.removeprefix("filled:")
            for c in counts.columns
            if not counts[c][0] and c.removeprefix("filled:") != "loss"
        ]

    @cached_property
    def filled(self) -> frozenset[str]:
        """Columns that have a value in some row."""
        frame = self._joined(collect(self._evals.head(0).drop("unit"), self.folder / EVALS))
        return frozenset(frame.columns) - {_in_sheet(c) for c in self._empty_evals}

    @cached_property
    def targets(self) -> tuple[str, ...]:
        rows = self._evals.filter(pl.col("unit") == self.unit).select(pl.col("language").cast(pl.String).unique())
        return tuple(collect(rows, self.folder / EVALS)["language"].drop_nulls().to_list())

    def batches(self, most: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
        """Rows of whole runs, about `most` at a time, before conditions."""
        spans, start = self._units_spans, 0
        # Other units' rows between a run's own are read and dropped: they count.
        extent = (spans["last"].cast(pl.Int64) - spans["first"].cast(pl.Int64) + 1).to_list()
        held = 0
        for i, rows in enumerate(extent):
            if i > start and held + rows > most:
                yield self._batch(spans[start:i])
                start, held = i, 0
            held += rows
        if start < spans.height:
            yield self._batch(spans[start:])

    def _batch(self, spans: pl.DataFrame) -> pl.DataFrame:
        first, last = int(spans["first"].min()), int(spans["last"].max())  # type: ignore[arg-type]
        mine = pl.col("run_id").is_in(spans["run_id"].drop_nulls().implode())
        if spans["run_id"].null_count():
            mine |= pl.col("run_id").is_null()
        rows = self._evals.slice(first - 1, last - first + 1)
        if spans["rows"].sum() != last - first + 1:
            rows = rows.filter((pl.col("unit") == self.unit) & mine)
        return self._joined(collect(rows.drop("unit"), self.folder / EVALS))

    def rows(self, rows: pl.Series) -> pl.DataFrame:
        """These rows of evals."""
        some = self._evals.filter(pl.col("row").is_in(rows.cast(pl.UInt32).implode()))
        return self._joined(collect(some.drop("unit"), self.folder / EVALS))

    def _joined(self, evals: pl.DataFrame) -> pl.DataFrame:
        """Points with their run's columns, under the names of a sheet."""
        evals = evals.with_columns(pl.col("row").cast(pl.Int64)).rename({"language": "target"})
        evals = evals.drop(c for c in map(_in_sheet, self._empty_evals) if c not in _ALWAYS)
        frame = evals.join(self.run_columns, on="run_id", how="left", maintain_order="left")
        frame = with_numbers(frame.rename({c: n for c, n in find_extra(frame.columns).items() if c != n}))
        return frame.with_columns(to_numbers(frame["loss"]), to_numbers(frame["tokens"]), unit=pl.lit(self.unit))

    def kept(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[Condition, pl.DataFrame]]]:
        """The rows that all conditions keep, and those that each leaves out."""
        out: list[tuple[Condition, pl.DataFrame]] = []
        for condition in self.conditions:
            column = find_column(condition.column, frame.columns, source=str(self.folder))
            holds = keep(frame[column], column, condition)
            out.append((condition, frame.filter(~holds)))
            frame = frame.filter(holds)
        return frame, out

    @cached_property
    def finished(self) -> bool:
        """Whether some row that conditions keep is of a finished model."""
        if "lr_phase" not in self.filled:
            return False
        return any((self.kept(frame)[0]["lr_phase"] == "final").any() for frame in self.batches())

    @cached_property
    def by_phase(self) -> bool:
        return any(meaning(condition.column) == "lr_phase" for condition in self.conditions)

    def with_use(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Which points a fit reads: finished models, or the last point of each curve where no phase is known."""
        if "status" in frame.columns:
            frame = frame.with_columns(pl.col("status").str.to_lowercase().alias(STATUS_WORD))
        status = pl.col(STATUS_WORD).fill_null("") if "status" in frame.columns else pl.lit("")
        final = (pl.col("lr_phase") == "final").fill_null(False) if "lr_phase" in frame.columns else pl.lit(False)
        stopped = status.is_in([*NEVER_RAN, *STOPPED, "diverged"])
        # A finished model counts also where its run goes on, or was stopped on the way to a longer one.
        used = ~stopped | (final & (status != "diverged"))
        compared = used
        if not self.by_phase and self.finished:
            compared = used & final
        elif not self.by_phase:
            last = pl.col("tokens") == pl.col("tokens").max().over("run_id", "target")
            compared = used & last.fill_null(False)
        return frame.with_columns(used.alias("used"), compared.alias("compared"), ghost=pl.lit(False))

    def found(self) -> list[Found]:
        """What can be said of runs that have no row in evals, and of what they saw."""
        runs, exposure = self.runs, self.exposure
        silent = runs.filter(~pl.col("run_id").is_in(self._spans["run_id"].unique().implode()))
        status = silent["status"].cast(pl.String).str.to_lowercase().fill_null("")
        waiting = silent.filter(status.is_in(STOPPED))
        collapsed = silent.filter(status == "diverged")
        ghosts = silent.filter(~status.is_in([*STOPPED, "diverged"]))
        found = [
            *codes.GHOST.of_runs(
                _ids(ghosts), f"{ghosts.height} runs without an evaluation, though none says it has not ended."
            ),
            *codes.UNFINISHED.of_runs(
                _ids(waiting), f"{waiting.height} runs without an evaluation: {_words(waiting)}."
            ),
            *codes.DIVERGED.of_runs(_ids(collapsed), f"{collapsed.height} diverged runs without an evaluation."),
        ]
        twice = runs.filter(pl.col("run_id").is_duplicated())
        text = f"{twice['run_id'].n_unique()} run_ids stand twice in {RUNS}."
        found += codes.RUN_CONFLICT.of_runs(_ids(twice), text)
        if {"tokens", "unique_tokens", "epochs"} <= {*exposure.columns}:
            passes = exposure["tokens"].cast(pl.Float64) / exposure["unique_tokens"].cast(pl.Float64)
            off = ((exposure["epochs"] / passes - 1).abs() > EPOCHS_TOLERANCE).fill_null(False)
            text = f"epochs of {int(off.sum())} rows of {EXPOSURE} differ from tokens / unique_tokens."
            found += codes.EPOCHS.of_runs(_ids(exposure.filter(off)), text)
        return found


def _in_sheet(column: str) -> str:
    return "target" if column == "language" else column


def _wide(exposure: pl.DataFrame, column: str, prefix: str) -> pl.DataFrame:
    known = exposure.filter(pl.col(column).is_not_null())
    if known.is_empty():
        return pl.DataFrame(schema={"run_id": exposure["run_id"].dtype})
    wide = known.unique(["run_id", "language"], keep="first").pivot("language", index="run_id", values=column)
    wide = wide.rename({c: prefix + c for c in wide.columns if c != "run_id"})
    # A language that a run does not name has no share in it.
    return wide.with_columns(pl.exclude("run_id").fill_null(0.0)) if prefix != UNIQUE else wide


def _ids(frame: pl.DataFrame) -> tuple[str, ...]:
    return tuple(frame["run_id"].cast(pl.String).drop_nulls().unique(maintain_order=True).to_list())


def _words(frame: pl.DataFrame) -> str:
    counts: Mapping[str, int] = dict(frame["status"].value_counts(sort=True).iter_rows())
    return ", ".join(f"{count} {word}" for word, count in counts.items())
