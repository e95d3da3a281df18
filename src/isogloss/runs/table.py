"""RunTable: what happened, one row per run, point in training and target."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.runs.columns import SHARE, UNIQUE, meaning
from isogloss.runs.names import canonical_name
from isogloss.runs.where import Condition, parse_condition
from isogloss.stores import check_target, mirrored, send
from isogloss.units import LossUnit, training_flops

Which = Literal["total", "non_embedding"]

WRITERS = (".csv", ".parquet")


@dataclass(frozen=True)
class LeftOut:
    """A data row of the user's file that is not in the table, and why. `row` counts from 1."""

    row: int
    run_id: str | None
    reason: str


@dataclass(frozen=True, eq=False)
class RunTable:
    """Measurements in one loss unit, under the column names that `read_runs` documents.

    `frame` holds one row per (run, tokens, target); its `row` is the data row in the user's file, from 1. A
    column that the user does not have is not there. `notes` says, a sentence each, what was assumed or
    normalised.
    """

    frame: pl.DataFrame
    unit: LossUnit
    source: str = "frame"
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        left_out = f", {len(self.left_out)} left out" if self.left_out else ""
        return f"<RunTable {self.source}: {len(self)} rows{left_out}, loss in {self.unit}>"

    def equals(self, other: RunTable) -> bool:
        """The same measurements in the same unit and order, wherever they were read from."""
        return self.unit == other.unit and self._measurements().equals(other._measurements())

    def _measurements(self) -> pl.DataFrame:
        return self.frame.drop("row")

    # --- what is in it --------------------------------------------------------------------------------------

    @property
    def targets(self) -> tuple[str, ...]:
        """What the losses were measured on, in order of appearance; empty if the table does not say."""
        if "target" not in self.frame.columns:
            return ()
        return tuple(self.frame["target"].unique(maintain_order=True).to_list())

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages or domains that the runs were trained on: the names of the share columns."""
        return tuple(name.removeprefix(SHARE) for name in self.frame.columns if name.startswith(SHARE))

    def shares(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Names, and the mixture of each row as (rows, names) fractions; a row of NaN where it is unknown."""
        names = self.languages
        matrix = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            matrix[:, i] = _floats(self.frame[SHARE + name])
        return names, matrix

    def params(self, which: Which | None = None) -> tuple[np.ndarray, Which]:
        """N of each row and which count it is. Without `which`, the total if the table has it."""
        have: list[Which] = [w for w in ("total", "non_embedding") if f"params_{w}" in self.frame.columns]
        if which is not None and which not in ("total", "non_embedding"):
            raise unknown_name("parameter count", which, ["total", "non_embedding"])
        if not have or (which and which not in have):
            wanted = f"params_{which}" if which else "params_total or params_non_embedding"
            hint = f"It has params_{have[0]}." if have else "Name the column: columns={'N': 'your_column'}."
            raise InputError(f"no column {wanted}", where=self.source, hint=hint)
        used = which or have[0]
        return _floats(self.frame[f"params_{used}"]), used

    def compute(self) -> tuple[np.ndarray, str]:
        """C of each row in FLOPs, and how it is known: measured, from flops_per_token, or 6 N D."""
        C = self._optional("flops")
        parts = _label("measured", ~np.isnan(C))
        if np.isnan(C).any():
            from_tokens = self._optional("flops_per_token") * self._optional("tokens")
            parts += _label("flops_per_token x D", np.isnan(C) & ~np.isnan(from_tokens))
            C = np.where(np.isnan(C), from_tokens, C)
        if np.isnan(C).any():
            N, which = self.params()
            parts += _label(f"6 N D with params_{which}", np.isnan(C))
            C = np.where(np.isnan(C), training_flops(N, self._required("tokens")), C)
        if len(parts) == 1:
            return C, parts[0][0]
        return C, ", ".join(f"{label} ({rows} of {len(self)} rows)" for label, rows in parts)

    def _optional(self, name: str) -> np.ndarray:
        return _floats(self.frame[name]) if name in self.frame.columns else np.full(len(self), np.nan)

    def _required(self, name: str) -> np.ndarray:
        if name not in self.frame.columns:
            raise InputError(f"no column {name}", where=self.source, hint="It is needed to know the compute.")
        return _floats(self.frame[name])

    def summary(self) -> pl.DataFrame:
        """One row per target: how many rows and runs, and the ranges of N, D and loss."""
        frame = self.frame
        by = "target" if "target" in frame.columns else pl.lit(None, pl.String).alias("target")
        N = next((c for c in ("params_total", "params_non_embedding") if c in frame.columns), None)
        sizes: list[pl.Expr] = [pl.len().alias("rows")]
        if "run_id" in frame.columns:
            sizes.append(pl.col("run_id").n_unique().alias("runs"))
        for label, column in (("params", N), ("tokens", "tokens"), ("loss", "loss")):
            if column in frame.columns:
                sizes += [
                    pl.col(column).min().alias(f"{label}_min"),
                    pl.col(column).max().alias(f"{label}_max"),
                ]
        return frame.group_by(by, maintain_order=True).agg(sizes).with_columns(unit=pl.lit(self.unit))

    # --- parts of it ----------------------------------------------------------------------------------------

    def where(self, *conditions: str) -> RunTable:
        """The rows that meet every condition, such as "tokens<5e20". The others are listed in `left_out`."""
        frame, left_out = self.frame, list(self.left_out)
        for condition in map(parse_condition, conditions):
            column = find_column(condition.column, frame.columns, source=self.source)
            kept = keep(frame[column], column, condition)
            left_out += leave_out(frame.filter(~kept), condition.reason)
            frame = frame.filter(kept)
            check_rows_left(frame, condition.reason, self.source)
        return replace(self, frame=frame, left_out=tuple(left_out))

    def for_target(self, name: str) -> RunTable:
        """The rows of one target, under any spelling of it."""
        if not self.targets:
            raise InputError("no column target", where=self.source, hint="All its losses are of one thing.")
        target = name if name in self.targets else canonical_name(name)
        if target not in self.targets:
            raise unknown_name("target", name, self.targets, where=self.source)
        return replace(self, frame=self.frame.filter(pl.col("target") == target))

    # --- writing --------------------------------------------------------------------------------------------

    def write(self, path: str | Path) -> Path:
        """Write .csv or .parquet, whole or not at all. `read_runs` gives an equal table back."""
        path = mirrored(path)
        if path.suffix.lower() not in WRITERS:
            raise unknown_name("file suffix", path.suffix, WRITERS, where=str(path))
        check_target(path)
        # Rows are numbered anew when read: in the file that is written now, they are rows 1 to n.
        frame = self._measurements().with_columns(unit=pl.lit(self.unit))
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            if path.suffix.lower() == ".csv":
                _without_nested(frame, path).write_csv(temporary)
            else:
                frame.write_parquet(temporary)
            temporary.replace(path)
            send(path)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
        finally:
            temporary.unlink(missing_ok=True)
        return path


def find_column(name: str, columns: Sequence[str], *, source: str) -> str:
    """The column that a user means: by exact name, by an alias, or but for case, spaces, - and _."""
    if name in columns:
        return name
    candidates = [meaning(name), *(_prefixed(name) or ())]
    for candidate in candidates:
        if candidate in columns:
            return candidate
    folded = [c for c in columns if c.casefold() == name.casefold()]
    if len(folded) == 1:
        return folded[0]
    raise unknown_name("column", name, columns, where=f"{source}, where")


def _prefixed(name: str) -> list[str]:
    """share:de under the name that the table gives it, share:deu_Latn."""
    return [p + canonical_name(name.removeprefix(p)) for p in (SHARE, UNIQUE) if name.startswith(p)]


def keep(cells: pl.Series, column: str, condition: Condition) -> pl.Series:
    """Which rows a condition keeps. A target may be named in any spelling."""
    return condition.holds(cells, also_equal=canonical_name(condition.value) if column == "target" else None)


def leave_out(frame: pl.DataFrame, reason: str) -> list[LeftOut]:
    """Rows of a frame that has `row` and perhaps `run_id`, as left out for one reason."""
    ids = frame["run_id"].cast(pl.String).to_list() if "run_id" in frame.columns else [None] * frame.height
    return [LeftOut(row, run_id, reason) for row, run_id in zip(frame["row"].to_list(), ids, strict=True)]


def check_rows_left(frame: pl.DataFrame, reason: str, source: str) -> None:
    if frame.is_empty():
        raise InputError(f"no row is left after {reason!r}", where=source, hint="Loosen the condition.")


def _floats(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()


def _label(text: str, rows: np.ndarray) -> list[tuple[str, int]]:
    count = int(rows.sum())
    return [(text, count)] if count else []


def _without_nested(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    if nested:
        hint = f"Write .parquet, or drop: {', '.join(nested)}."
        raise InputError("CSV cannot hold lists or structs", where=str(path), hint=hint)
    return frame
