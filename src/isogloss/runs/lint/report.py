"""lint_runs: findings in a file, a study's folder or a data frame as it stands, even where reading would refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isogloss.runs.lint import codes
from isogloss.runs.lint.cells import finish
from isogloss.runs.lint.checking import check
from isogloss.runs.lint.finding import Finding, Severity
from isogloss.runs.lint.lenient import Reading, read_sheet
from isogloss.runs.lint.sheet import Sheet
from isogloss.runs.lint.study_checks import lint_study
from isogloss.runs.study_table import is_study
from isogloss.runs.table import LeftOut, leave_out
from isogloss.stores import local
from isogloss.units import LossUnit, loss_unit


@dataclass(frozen=True, eq=False)
class LintReport:
    """`rows` that a fit would read, those `left_out` by conditions and status, and what was found in all of them.
    `notes` says, a sentence each, what was assumed. Of a study `sheet` has only the rows that were compared, and
    `left_out` the first of the `dropped`."""

    source: str
    rows: int
    unit: LossUnit
    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    sheet: Sheet
    reading: Reading | None = None
    dropped: int = 0

    def count(self, severity: Severity) -> int:
        return sum(f.severity == severity for f in self.findings)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.count("error")

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "rows_left_out": [asdict(r) for r in self.left_out],
            "unit": self.unit,
            "errors": self.count("error"),
            "findings": [asdict(f) for f in self.findings],
            "warnings": list(self.notes),
        }


def lint_runs(
    source: Any,
    *,
    where: str | Iterable[str] = (),
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> LintReport:
    """Lint what `read_runs` reads, under the same options, without refusing a cell: a mixed unit, shares that sum to
    1.7 or a NaN is a finding. A row of a study is a row of its evals.parquet.

    Raises InputError only for what cannot be read at all, such as a cut file or a table without a loss.
    """
    source = local(source)
    conditions = [where] if isinstance(where, str) else list(where)
    asked = None if unit is None else loss_unit(unit, where="unit")
    if isinstance(source, str | Path) and is_study(Path(source)):
        found = lint_study(Path(source), conditions, columns or {}, asked)
        left_out = tuple(sorted(found.left_out, key=lambda left: left.row))
        return LintReport(
            found.sheet.source,
            found.rows,
            found.sheet.unit,
            found.findings,
            left_out,
            tuple(found.notes),
            found.sheet,
            dropped=found.dropped,
        )
    reading = read_sheet(source, conditions, columns or {}, asked)
    sheet = finish(reading, asked)
    left_out = [*reading.draft.left_out]
    for status in sorted(set(sheet.frame["status"].drop_nulls())) if "status" in sheet.frame.columns else ():
        at = sheet.frame.filter(~sheet.frame["used"] & (sheet.frame["status"] == status))
        left_out += leave_out(at, f"status {status}")
    notes = list(reading.draft.notes)
    if asked and sheet.unit != asked:
        notes.append(f"{asked} was asked for, but the table says {sheet.unit}.")
    return LintReport(
        sheet.source,
        int(sheet.used.sum()),
        sheet.unit,
        (*check(sheet), *_renamed(reading)),
        tuple(sorted(left_out, key=lambda left: left.row)),
        tuple(notes),
        sheet,
        reading,
        dropped=len(left_out),
    )


def _renamed(reading: Reading) -> tuple[Finding, ...]:
    names = {n: c for n, c in reading.names.languages.items() if n != c}
    if not names:
        return ()
    shown = ", ".join(f"{n} = {c}" for n, c in list(names.items())[:6]) + (", ..." if len(names) > 6 else "")
    return (codes.LANGUAGE_NAMES.of_table(f"{len(names)} names are read as codes: {shown}.").finding(),)
