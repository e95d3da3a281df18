"""All checks, and lint of a table that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from isogloss.runs.lint import comparisons, compute, curves, losses, mixtures, other_unit, scales, sizes, status
from isogloss.runs.lint.finding import Finding, Found, Gathered
from isogloss.runs.lint.sheet import Sheet, sheet_of
from isogloss.runs.table import RunTable

Check = Callable[[Sheet], Iterator[Found]]

CHECKS: tuple[Check, ...] = (
    *status.CHECKS,
    *sizes.CHECKS,
    *compute.CHECKS,
    *scales.CHECKS,
    *mixtures.CHECKS,
    *comparisons.CHECKS,
    *losses.CHECKS,
    *other_unit.CHECKS,
    *curves.CHECKS,
)

BETWEEN_RUNS: frozenset[Check] = frozenset(
    {*status.BETWEEN_RUNS, *comparisons.BETWEEN_RUNS, *losses.BETWEEN_RUNS, *other_unit.CHECKS}
)
"""Checks that set runs side by side. All others look at one run at a time."""


def lint(table: RunTable) -> tuple[Finding, ...]:
    """Findings in a table that was read without error, the gravest first. Of files as they are: `lint_runs`."""
    return check(sheet_of(table))


def check(sheet: Sheet) -> tuple[Finding, ...]:
    gathered = Gathered(sheet.most_rows)
    gathered.add(-1, sheet.found)
    run_checks(sheet, CHECKS, gathered)
    return gathered.findings()


def run_checks(sheet: Sheet, checks: Sequence[Check], gathered: Gathered) -> None:
    for found_by in checks:
        gathered.add(CHECKS.index(found_by), found_by(sheet))
