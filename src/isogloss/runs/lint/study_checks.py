"""Linting a study some runs at a time: checks of one run on each part, checks between runs on the models compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.runs.lint.checking import BETWEEN_RUNS, CHECKS, run_checks
from isogloss.runs.lint.finding import Finding, Gathered
from isogloss.runs.lint.sheet import Sheet, Whole
from isogloss.runs.lint.status import copied_key, copied_runs, precise
from isogloss.runs.lint.study import BATCH_ROWS, Study
from isogloss.runs.study_table import EVALS
from isogloss.runs.table import LeftOut, leave_out
from isogloss.units import LossUnit

# Of rows that one finding names, and of those that conditions leave out: nobody reads more of millions.
MOST_ROWS = 1_000
MOST_LEFT_OUT = 10_000

_OF_A_RUN = tuple(check for check in CHECKS if check not in BETWEEN_RUNS)
_COMPARING = tuple(check for check in CHECKS if check in BETWEEN_RUNS and check is not copied_runs)


@dataclass(frozen=True, eq=False)
class StudyLint:
    """`sheet` has the rows that were compared; `rows` is how many a fit could read, `dropped` how many conditions
    leave out, of which `left_out` lists the first."""

    sheet: Sheet
    findings: tuple[Finding, ...]
    rows: int
    left_out: list[LeftOut]
    dropped: int
    notes: list[str]


def lint_study(
    folder: Path,
    where: Sequence[str],
    columns: Mapping[str, str],
    asked: LossUnit | None,
    *,
    batch_rows: int = BATCH_ROWS,
) -> StudyLint:
    if columns:
        raise InputError("a study has its own names of columns", where=str(folder), hint="Leave --column out.")
    study = Study(folder, where, asked)
    whole = Whole(study.filled, study.targets)

    def sheet(frame: pl.DataFrame) -> Sheet:
        return Sheet(frame, str(folder), study.unit, whole=whole, most_rows=MOST_ROWS)

    gathered = Gathered(MOST_ROWS)
    gathered.add(-1, study.found())
    rows, dropped, left_out = 0, 0, list[LeftOut]()
    compared: list[pl.DataFrame] = []
    copies = _Copies()
    for batch in study.batches(batch_rows):
        frame, left = study.kept(batch)
        for condition, out in left:
            left_out += leave_out(out.head(MOST_LEFT_OUT - len(left_out)), condition.reason)
            dropped += out.height
        frame = study.with_use(frame)
        run_checks(sheet(frame), _OF_A_RUN, gathered)
        rows += int(frame["used"].sum())
        compared.append(frame.filter("compared"))
        copies.add(frame)
    side = sheet(pl.concat(compared) if compared else study.with_use(study.rows(pl.Series([], dtype=pl.UInt32))))
    run_checks(side, _COMPARING, gathered)
    for suspects in copies.suspects():
        run_checks(sheet(study.with_use(study.rows(suspects))), (copied_runs,), gathered)
    notes = [f"losses in {study.unit}; rows are those of {EVALS}."]
    if dropped > len(left_out):
        notes.append(f"conditions leave {dropped} rows out; the first {len(left_out)} are listed.")
    return StudyLint(side, gathered.findings(), rows, left_out, dropped, notes)


class _Copies:
    """Rows whose loss, to its last digit, is there twice at one size and length: all that may be copies of others."""

    def __init__(self, most: int = 3 * BATCH_ROWS):
        self.most = most
        self._rows: list[np.ndarray] = []
        self._hashes: list[np.ndarray] = []

    def add(self, frame: pl.DataFrame) -> None:
        usable = frame.filter(pl.col("used") & precise(pl.col("loss")))
        self._rows.append(usable["row"].cast(pl.UInt32).to_numpy())
        self._hashes.append(usable.select("loss", *copied_key(frame.columns)).hash_rows().to_numpy())

    def suspects(self) -> list[pl.Series]:
        """Their rows, in parts such that no two copies of one loss are in two parts."""
        if not self._rows:
            return []
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        self._hashes.clear()
        ordered = np.sort(hashes)
        twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        if not len(twice):
            return []
        at = np.isin(hashes, twice)
        hashes, rows = hashes[at], rows[at]
        parts = -(-len(rows) // self.most)
        return [pl.Series(np.sort(rows[hashes % parts == part])) for part in range(parts)]
