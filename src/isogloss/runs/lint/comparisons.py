"""What must be one thing wherever losses are compared: unit, learning-rate phase, tokenizer, evaluation set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.columns import unit_in_name
from isogloss.runs.lint import codes
from isogloss.runs.lint.finding import Code, Found
from isogloss.runs.lint.sheet import Sheet

FEW_ROWS = 8
# So many points of one run are a curve, of which not all have decayed.
CURVE = 3
_MIXED: tuple[tuple[Code, tuple[str, ...]], ...] = (
    (codes.MIXED_LR_PHASE, ("lr_phase",)),
    (codes.MIXED_TOKENIZER, ("tokenizer", "vocab_size")),
    (codes.MIXED_EVAL_SET, ("eval_set", "eval_documents", "eval_bytes")),
)


def units(sheet: Sheet) -> Iterator[Found]:
    counts = sheet.frame.filter(pl.Series(sheet.used))["unit"].drop_nulls().value_counts(sort=True)
    if counts.height > 1:
        named = ", ".join(f"{unit} ({count} rows)" for unit, count in counts.iter_rows())
        others = (sheet.frame["unit"] != sheet.unit).fill_null(False).to_numpy() & sheet.used
        cure = f'Read one at a time: --where "unit={sheet.unit}".'
        yield from codes.MIXED_UNITS.finding(sheet, others, f"the losses are in {named}.", cure)
    said = unit_in_name(sheet.name("loss"))
    if said and counts.height == 1 and counts["unit"][0] != said:
        text = f"the name of column {sheet.name('loss')!r} says {said}, its unit column {counts['unit'][0]}."
        yield codes.UNIT_IN_NAME.of_table(text)


def mixed(sheet: Sheet) -> Iterator[Found]:
    """Values that differ inside a target: the rows are those that do not have its most common one."""
    for code, columns in _MIXED:
        for column in (c for c in columns if sheet.has(c)):
            found = list(_mixed(sheet, code, column))
            yield from found
            if found:
                break


def _mixed(sheet: Sheet, code: Code, column: str) -> Iterator[Found]:
    cells = sheet.frame[column]
    if cells.dtype.is_float():
        cells = cells.cast(pl.Int64, strict=False)
    cells = cells.cast(pl.String)
    usable = pl.Series(sheet.compared) & cells.is_not_null()
    frame = pl.DataFrame({"g": sheet.comparison, "value": cells}).with_row_index("i").filter(usable)
    counts = frame.group_by("g", "value", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    common = counts.group_by("g", maintain_order=True).agg(
        pl.col("value").first().alias("common"), pl.len().alias("values")
    )
    rest = frame.join(common.filter(pl.col("values") > 1), on="g").filter(pl.col("value") != pl.col("common"))
    if rest.is_empty():
        return
    mask = np.zeros(len(sheet), bool)
    mask[rest["i"].to_numpy()] = True
    values = frame["value"].value_counts(sort=True)["value"].to_list()
    shown = ", ".join(values[:6]) + (", ..." if len(values) > 6 else "")
    text = f"the table mixes {len(values)} values of {sheet.name(column)}: {shown}."
    yield from code.finding(sheet, mask, text, f'{code.cure} For example --where "{sheet.name(column)}={values[0]}".')


def starts(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has("init"):
        return
    scratch = sheet.frame["init"].is_null() | sheet.frame["init"].str.to_lowercase().is_in(["scratch", "none"])
    usable = pl.Series(sheet.compared)
    if (scratch & usable).any() and (~scratch & usable).any():
        text = "{rows} of runs that start from a checkpoint, beside runs from scratch."
        yield from codes.MIXED_INIT.finding(sheet, (~scratch).fill_null(False) & usable, text)


def phases(sheet: Sheet) -> Iterator[Found]:
    usable = sheet.compared
    if sheet.has("lr_phase"):
        empty = sheet.frame["lr_phase"].is_null().to_numpy()
        if not sheet.blank("lr_phase"):
            yield from codes.LR_PHASE_UNKNOWN.finding(sheet, empty & usable, "{rows} without a learning-rate phase.")
            return
    if sheet.has("run_id", "tokens") and usable.any():
        several = sheet.frame.select(n=pl.col("tokens").n_unique().over("run_id") >= CURVE)["n"].to_numpy()
        text = "{rows} of runs with several points, and no column lr_phase: which have decayed?"
        yield from codes.LR_PHASE_UNKNOWN.finding(sheet, several & usable, text)


def spread(sheet: Sheet) -> Iterator[Found]:
    """Too few rows, or all of one size or one length: what such a table cannot tell."""
    frame = sheet.frame.filter(pl.Series(sheet.compared))
    if frame.height < FEW_ROWS:
        rows = "1 row" if frame.height == 1 else f"{frame.height} rows"
        yield codes.FEW_ROWS.of_table(f"{rows} cannot hold a law of five coefficients.")
    size = next((c for c in ("params_total", "params_non_embedding") if sheet.has(c)), None)
    for column, code, name, exponent in ((size, codes.ONE_N, "N", "alpha"), ("tokens", codes.ONE_D, "D", "beta")):
        if column and sheet.has(column) and frame[column].n_unique() == 1 and frame.height > 1:
            yield code.of_table(f"all rows have one {name} ({column}): {exponent} cannot be told from E.")


CHECKS = (units, mixed, starts, phases, spread)
# Phases are told by the points of one run.
BETWEEN_RUNS = (units, mixed, starts, spread)
