"""All checks, and lint of a table that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isogloss.runs.lint import comparisons, compute, curves, losses, mixtures, sizes, status
from isogloss.runs.lint.finding import ORDER, Finding
from isogloss.runs.lint.sheet import Sheet, sheet_of
from isogloss.runs.table import RunTable

Check = Callable[[Sheet], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    *status.CHECKS,
    *sizes.CHECKS,
    *compute.CHECKS,
    *mixtures.CHECKS,
    *comparisons.CHECKS,
    *losses.CHECKS,
    *curves.CHECKS,
)


def lint(table: RunTable) -> tuple[Finding, ...]:
    """Findings in a table that was read without error, the gravest first. Of files as they are: `lint_runs`."""
    return check(sheet_of(table))


def check(sheet: Sheet) -> tuple[Finding, ...]:
    findings = [*sheet.found, *(finding for check in CHECKS for finding in check(sheet))]
    return tuple(sorted(findings, key=lambda finding: ORDER[finding.severity]))
