"""What the linter says: a finding, the codes that findings have, and findings of parts of a table put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from isogloss.runs.lint.sheet import Sheet

Severity = Literal["error", "warning", "info"]
ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """`rows` are data rows of the user's file, as in the table's `row`, and `runs` the run_ids that they belong to;
    both empty when it is the table as a whole. Of a study, rows are those of its evals, and only the first of them:
    `count` says how many there are."""

    code: str
    severity: Severity
    rows: tuple[int, ...]
    message: str
    cure: str
    runs: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Found:
    """A finding in a table or a part of one, before its message is made up. {rows} in `text` stands for the count of
    the rows, {names} for `names`, {extent} for what `show` makes of the least and the greatest of a figure."""

    code: Code
    severity: Severity
    text: str
    cure: str
    rows: tuple[int, ...] = ()
    count: int = 0
    runs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    most_names: int = 6
    extent: tuple[float, float] | None = None
    show: Callable[[float, float], str] | None = None

    def finding(self) -> Finding:
        text = self.text.replace("{rows}", "1 row" if self.count == 1 else f"{self.count} rows", 1)
        if self.extent and self.show:
            text = text.replace("{extent}", self.show(*self.extent), 1)
        if self.names:
            text = text.replace("{names}", ", ".join(self.names[: self.most_names]), 1)
        return Finding(self.code.name, self.severity, self.rows, text, self.cure, self.runs, self.count)

    def with_next(self, other: Found, most_rows: int | None) -> Found:
        """The same finding of this part of the table and the next one."""
        extent = self.extent
        if extent and other.extent:
            extent = min(extent[0], other.extent[0]), max(extent[1], other.extent[1])
        return replace(
            self,
            rows=tuple(sorted({*self.rows, *other.rows}))[:most_rows],
            count=self.count + other.count,
            runs=_union(self.runs, other.runs),
            names=_union(self.names, other.names),
            extent=extent,
        )


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


class Gathered:
    """Findings of the parts of a table, one by one, as findings of the whole."""

    def __init__(self, most_rows: int | None):
        self.most_rows = most_rows
        self._found: dict[tuple[int, str, Severity, str, str], Found] = {}

    def add(self, place: int, found: Iterable[Found]) -> None:
        """`place` orders findings of one severity: that of the check."""
        for new in found:
            key = (place, new.code.name, new.severity, new.text, new.cure)
            old = self._found.get(key)
            self._found[key] = new if old is None else old.with_next(new, self.most_rows)

    def findings(self) -> tuple[Finding, ...]:
        """The gravest first."""
        ordered = sorted(self._found.items(), key=lambda item: (ORDER[item[1].severity], item[0][0]))
        return tuple(found.finding() for _, found in ordered)


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
        text: str,
        cure: str = "",
        *,
        severity: Severity | None = None,
        names: tuple[str, ...] = (),
        most_names: int = 6,
        extent: tuple[float, float] | None = None,
        show: Callable[[float, float], str] | None = None,
    ) -> Iterator[Found]:
        """One finding on the rows of the sheet where `which` `(n,)` holds, or none. For the text, see Found."""
        mask = which if isinstance(which, pl.Series) else pl.Series(which, dtype=pl.Boolean)
        if not mask.any():
            return
        columns = [c for c in ("row", "run_id") if c in sheet.frame.columns]
        at = sheet.frame.select(columns).filter(mask.fill_null(False))
        rows = at["row"].unique().sort()
        rows = tuple((rows if sheet.most_rows is None else rows.head(sheet.most_rows)).to_list())
        runs = tuple(at["run_id"].drop_nulls().unique(maintain_order=True).to_list()) if "run_id" in columns else ()
        severity, cure = severity or self.severity, cure or self.cure
        yield Found(self, severity, text, cure, rows, at.height, runs, names, most_names, extent, show)

    def of_table(self, text: str, cure: str = "", *, names: tuple[str, ...] = ()) -> Found:
        return Found(self, self.severity, text, cure or self.cure, names=names)

    def of_runs(self, runs: tuple[str, ...], text: str, cure: str = "") -> Iterator[Found]:
        if runs:
            yield Found(self, self.severity, text, cure or self.cure, runs=runs)


CODES: dict[str, Code] = {}


def code(name: str, severity: Severity, what: str, cure: str, fixed: str = "") -> Code:
    """Declare a code, once: docs/lint.md lists all that are declared."""
    assert name not in CODES, name
    CODES[name] = Code(name, severity, what, cure, fixed)
    return CODES[name]
