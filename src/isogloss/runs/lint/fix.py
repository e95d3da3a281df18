"""--fix: what can be put right without a guess, in a copy of the table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from isogloss.runs.columns import SHARE
from isogloss.runs.lint import codes
from isogloss.runs.lint.cells import parsed_mixture
from isogloss.runs.lint.changes import Edited, Fixed, gathered
from isogloss.runs.lint.finding import Code, Finding
from isogloss.runs.lint.fix_study import fix_study
from isogloss.runs.lint.lenient import Reading
from isogloss.runs.lint.mixtures import EXACT, FIXABLE, judge_sums
from isogloss.runs.lint.names import EXTRA
from isogloss.runs.lint.report import LintReport
from isogloss.runs.lint.sheet import Sheet
from isogloss.units import LN2

# Factors into nats of the same denominator.
_IN_NATS = {"nats/token": 1.0, "bits/token": LN2, "nats/byte": 1.0, "bits/byte": LN2}


def fixed(report: LintReport) -> Fixed:
    """The table with its safe faults put right, under canonical names; nothing is written."""
    if report.reading is None:
        return fix_study(Path(report.source), report.findings)
    reading, sheet = report.reading, report.sheet
    table = Edited(report.source, reading.raw, _own(reading, "run_id"))
    rows = _rows_by_code(report.findings)
    _drop(table, reading, rows)
    _fill(table, reading, sheet, rows)
    _shares(table, reading, sheet)
    _units(table, reading, sheet, rows)
    _names(table, reading)
    renames = _renames(reading)
    table.frame = table.frame.rename(renames)
    return gathered([table], renames)


def _rows_by_code(findings: Iterable[Finding]) -> dict[str, set[int]]:
    rows: dict[str, set[int]] = {}
    for finding in findings:
        rows.setdefault(finding.code, set()).update(finding.rows)
    return rows


def _own(reading: Reading, column: str) -> str | None:
    """The file's column behind a column of the sheet, if it has one."""
    own = reading.draft.own(column)
    return own if own in reading.raw.columns else None


def _drop(table: Edited, reading: Reading, rows: dict[str, set[int]]) -> None:
    def of(code: Code) -> set[int]:
        return rows.get(code.name, set())

    table.drop(of(codes.GHOST), codes.GHOST)
    table.drop(of(codes.DIVERGED), codes.DIVERGED)
    table.drop(of(codes.ZERO_TOKENS), codes.ZERO_TOKENS)
    if reading.wide.columns:
        for column in reading.wide.columns:
            cells = table.frame[column].cast(pl.Float64, strict=False)
            which = table.frame["row"].is_in(sorted(of(codes.NAN_LOSS))) & (cells.is_nan() | cells.is_infinite())
            table.set(column, which, pl.Series([None] * len(cells), dtype=pl.Float64), codes.NAN_LOSS)
    else:
        table.drop(of(codes.NAN_LOSS), codes.NAN_LOSS)
        table.drop(of(codes.NO_LOSS), codes.NO_LOSS)
    twice = table.frame.filter(pl.col("row").is_in(sorted(of(codes.DUPLICATE))))
    cells = [c for c in twice.columns if c != "row"]
    copies = twice.filter(~pl.struct(cells).is_first_distinct()) if twice.height else twice
    table.drop(set(copies["row"].to_list()), codes.DUPLICATE)


def _at(sheet: Sheet, n: int, values: np.ndarray) -> pl.Series:
    """Values of the sheet's rows `(m,)` at the rows of the file `(n,)`; null where the sheet has none."""
    out = np.full(n, np.nan)
    out[sheet.frame["row"].to_numpy() - 1] = values
    return pl.Series(out).fill_nan(None)


def _fill(table: Edited, reading: Reading, sheet: Sheet, rows: dict[str, set[int]]) -> None:
    """D from steps x batch_tokens, C from flops_per_token x D or 6 N D."""
    n = table.frame.height
    D = sheet.array("tokens")
    if sheet.has("steps", "batch_tokens"):
        made = sheet.array("steps") * sheet.array("batch_tokens")
        if codes.NO_TOKENS.name in rows:
            values = _at(sheet, n, made)
            table.set("tokens", values.is_not_null(), values, codes.NO_TOKENS)
        elif own := _own(reading, "tokens"):
            values = _at(sheet, n, np.where(np.isnan(D), made, np.nan))
            which = values.is_not_null() & table.frame["row"].is_in(sorted(rows.get(codes.MISSING_VALUE.name, ())))
            table.set(own, which, values, codes.MISSING_VALUE)
        D = np.where(np.isnan(D) & ~sheet.unreadable("tokens"), made, D)
    if own := _own(reading, "flops"):
        N = sheet.array("params_total" if sheet.has("params_total") else "params_non_embedding")
        C = sheet.array("flops_per_token") * D
        values = _at(sheet, n, np.where(np.isnan(C), 6.0 * N * D, C))
        which = values.is_not_null() & table.frame["row"].is_in(sorted(rows.get(codes.MISSING_FLOPS.name, ())))
        table.set(own, which, values, codes.MISSING_FLOPS)


def _shares(table: Edited, reading: Reading, sheet: Sheet) -> None:
    """Divide by the sum where it is near 1 or near 100."""
    if not sheet.languages or _own(reading, "mixture") in table.frame.columns:
        return
    shares = sheet.matrix(SHARE)
    known, sums, percent, beyond = judge_sums(shares)
    near = known & ~beyond & ~percent & (np.abs(sums - 1) > EXACT) & (np.abs(sums - 1) <= FIXABLE)
    for which, code in ((percent, codes.SHARES_PERCENT), (near, codes.SHARES_SUM)):
        for i, name in enumerate(sheet.languages):
            if own := _own(reading, SHARE + name):
                values = _at(
                    sheet, table.frame.height, np.where(which, shares[:, i] / np.where(which, sums, 1.0), np.nan)
                )
                table.set(own, values.is_not_null(), values, code)


def _units(table: Edited, reading: Reading, sheet: Sheet, rows: dict[str, set[int]]) -> None:
    """Bits into nats, or the reverse, where only that differs from the table's commonest unit."""
    others = rows.get(codes.MIXED_UNITS.name, set())
    own, loss = _own(reading, "unit"), _own(reading, "loss")
    if not others or own is None or loss is None:
        return
    n = table.frame.height
    factors = {
        unit: _IN_NATS[unit] / _IN_NATS[sheet.unit]
        for unit in _IN_NATS
        if sheet.unit in _IN_NATS and unit.split("/")[1] == sheet.unit.split("/")[1]
    }
    factor = sheet.frame["unit"].replace_strict(factors, default=None, return_dtype=pl.Float64).fill_null(np.nan)
    factor = factor.to_numpy()
    for column in ("loss", "stderr"):
        if place := _own(reading, column):
            values = _at(sheet, n, sheet.array(column) * factor)
            which = values.is_not_null() & table.frame["row"].is_in(sorted(others))
            table.set(place, which, values, codes.MIXED_UNITS)
    which = _at(sheet, n, factor).is_not_null() & table.frame["row"].is_in(sorted(others))
    table.set(own, which, pl.Series([sheet.unit] * n), codes.MIXED_UNITS)


def _names(table: Edited, reading: Reading) -> None:
    if (own := _own(reading, "target")) and not reading.wide.columns:
        cells = table.frame[own].cast(pl.String, strict=False).str.strip_chars()
        codes_of = cells.replace(reading.names.languages)
        table.set(own, codes_of.ne_missing(cells) & cells.is_not_null(), codes_of, codes.LANGUAGE_NAMES)
    own = _own(reading, "mixture")
    if own is None or table.frame[own].dtype != pl.String:
        return
    texts = table.frame[own].drop_nulls().unique(maintain_order=True).to_list()
    for code in (codes.SHARES_PERCENT, codes.SHARES_SUM, codes.LANGUAGE_NAMES):
        made = {text: new for text in texts if (new := _mixture(text, reading, code)) is not None}
        if made:
            values = table.frame[own].replace(made)
            table.set(own, table.frame[own].is_in(list(made)), values, code)


def _mixture(text: str, reading: Reading, code: Code) -> str | None:
    """The mixture as canonical fractions, where `code` is what has to be done about it; None otherwise."""
    mixture = parsed_mixture(text, reading.names)
    if mixture is None:
        return None
    shares = np.array(list(mixture.values()))
    _, sums, percent, beyond = judge_sums(shares[None])
    near = not percent[0] and not beyond[0] and EXACT < abs(sums[0] - 1) <= FIXABLE
    due = codes.SHARES_PERCENT if percent[0] else codes.SHARES_SUM if near else codes.LANGUAGE_NAMES
    if due is not code:
        return None
    if due is codes.LANGUAGE_NAMES:
        return None if list(mixture) == [k.strip() for k in json.loads(text)] else json.dumps(mixture)
    return json.dumps({name: float(share) for name, share in zip(mixture, shares / sums[0], strict=True)})


def _renames(reading: Reading) -> dict[str, str]:
    """The file's columns under their canonical names; those that only the linter knows keep their own."""
    names: dict[str, str] = {}
    for own, name in reading.draft.naming.names.items():
        if name not in EXTRA and own not in (name, "row") and own in reading.raw.columns:
            names[own] = name
    for own, target in reading.wide.columns.items():
        canonical = reading.names[target]
        if canonical != target:
            names[own] = own.replace(target, canonical, 1)
    # A name that another column keeps is not taken from it.
    kept = {c for c in reading.raw.columns if c not in names}
    return {own: name for own, name in names.items() if name not in kept}
