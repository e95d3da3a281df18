"""What the linter says: a finding, and the codes that findings have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from isogloss.runs.lint.sheet import Sheet

Severity = Literal["error", "warning", "info"]
ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """`rows` are data rows of the user's file, as in the table's `row` (of a study: of its evals), and `runs` the
    run_ids that they belong to; both empty when it is the table as a whole."""

    code: str
    severity: Severity
    rows: tuple[int, ...]
    message: str
    cure: str
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Code:
    """A kind of finding. `fixed` says what `--fix` does about it; empty: it is only told."""

    name: str
    severity: Severity
    what: str
    cure: str
    fixed: str = ""

    def finding(
        self,
        sheet: Sheet,
        which: np.ndarray | pl.Series,
        message: str,
        cure: str = "",
        *,
        severity: Severity | None = None,
    ) -> Iterator[Finding]:
        """One finding on the rows of the sheet where `which` `(n,)` holds, or none. {rows} in the message is their
        count."""
        mask = which if isinstance(which, pl.Series) else pl.Series(which, dtype=pl.Boolean)
        if not mask.any():
            return
        at = sheet.frame.filter(mask.fill_null(False))
        rows = tuple(at["row"].unique().sort().to_list())
        runs = tuple(at["run_id"].drop_nulls().unique(maintain_order=True).to_list()) if "run_id" in at.columns else ()
        count = "1 row" if at.height == 1 else f"{at.height} rows"
        text = message.replace("{rows}", count, 1)
        yield Finding(self.name, severity or self.severity, rows, text, cure or self.cure, runs)

    def of_table(self, message: str, cure: str = "") -> Finding:
        return Finding(self.name, self.severity, (), message, cure or self.cure)

    def of_runs(self, runs: tuple[str, ...], message: str, cure: str = "") -> Iterator[Finding]:
        if runs:
            yield Finding(self.name, self.severity, (), message, cure or self.cure, runs)


CODES: dict[str, Code] = {}


def code(name: str, severity: Severity, what: str, cure: str, fixed: str = "") -> Code:
    """Declare a code, once: docs/lint.md lists all that are declared."""
    assert name not in CODES, name
    CODES[name] = Code(name, severity, what, cure, fixed)
    return CODES[name]
