"""lint: what in a run table would bend a fit, named by row before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from isogloss.runs.table import RunTable
from isogloss.units import training_flops

Severity = Literal["error", "warning", "info"]

FLAGS = ("use", "keep", "include", "in_fit", "in_published_fit")

FLOPS_FACTOR = 1.5
EPOCHS_TOLERANCE = 0.02
OUTLIER_FACTOR = 2.0
OUTLIER_PEERS = 5
# Comparing every row with every larger one takes time with the square of the rows.
OUTLIER_ROWS = 20_000
FEW_ROWS = 8


@dataclass(frozen=True)
class Finding:
    """`rows` are data rows of the user's file, as in the table's `row`; empty when it is the table as a
    whole."""

    code: str
    severity: Severity
    rows: tuple[int, ...]
    message: str
    cure: str


def lint(table: RunTable) -> tuple[Finding, ...]:
    """Findings in a table that was read without error, the gravest first."""
    findings = [finding for check in CHECKS for finding in check(table)]
    order = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(findings, key=lambda finding: order[finding.severity]))


def _rows(table: RunTable, which: np.ndarray | pl.Series) -> tuple[int, ...]:
    return tuple(table.frame["row"].filter(pl.Series(which)).to_list())


def _count(which: np.ndarray | pl.Series) -> str:
    count = int(which.sum())
    return f"{count} row" if count == 1 else f"{count} rows"


def _has(table: RunTable, *columns: str) -> bool:
    return all(column in table.frame.columns for column in columns)


def _array(table: RunTable, column: str) -> np.ndarray:
    return table.frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()


def duplicates(table: RunTable) -> Iterator[Finding]:
    """Rows for one run, target, evaluation set and point in training: the same loss twice, or two losses."""
    if not _has(table, "run_id"):
        return
    key = [c for c in ("run_id", "target", "tokens", "eval_set") if _has(table, c)]
    known = pl.col("run_id").is_not_null()
    repeated = table.frame.select((pl.struct(key).is_duplicated() & known).alias("r"))["r"]
    same = table.frame.select((pl.struct([*key, "loss"]).is_duplicated() & known).alias("r"))["r"]
    if same.any():
        message = f"{_count(same)} with the {', '.join(key)} and loss of another."
        yield Finding("duplicate", "error", _rows(table, same), message, "Remove the copies: they count double.")
    conflicting = repeated & ~same
    if conflicting.any():
        message = f"{_count(conflicting)} with the {', '.join(key)} of another, but another loss."
        cure = "Give reruns a run_id of their own, or keep one row for each."
        yield Finding("conflicting-duplicate", "error", _rows(table, conflicting), message, cure)


def flops(table: RunTable) -> Iterator[Finding]:
    sizes = [c for c in ("params_total", "params_non_embedding") if _has(table, c)]
    if not sizes or not _has(table, "flops", "tokens"):
        return
    measured, D = _array(table, "flops"), _array(table, "tokens")
    # Attention and embeddings move C / 6ND by design: the count that comes closer to 1 is judged.
    ratios = np.array([np.log(measured / training_flops(_array(table, size), D)) for size in sizes])
    off = np.abs(ratios).min(axis=0) > np.log(FLOPS_FACTOR)
    if off.any():
        worst = np.exp(np.nanmax(np.abs(ratios).min(axis=0)))
        extent = f"more than {FLOPS_FACTOR:g} (up to {worst:.3g}) times"
        message = f"flops of {_count(off)} differ from 6 N D by {extent}."
        cure = "Check the units of N, D and C, and which parameters and epochs each counts."
        yield Finding("flops-mismatch", "warning", _rows(table, off), message, cure)


def parameters(table: RunTable) -> Iterator[Finding]:
    if not _has(table, "params_total", "params_non_embedding"):
        return
    more = _array(table, "params_non_embedding") > _array(table, "params_total")
    if more.any():
        message = f"{_count(more)} with more non-embedding parameters than parameters in total."
        yield Finding("params-order", "error", _rows(table, more), message, "Are the two columns swapped?")


def epochs(table: RunTable) -> Iterator[Finding]:
    if not _has(table, "tokens", "unique_tokens"):
        return
    passes = _array(table, "tokens") / _array(table, "unique_tokens")
    partial = passes < 1
    if partial.any():
        message = f"{_count(partial)} with more unique tokens than tokens: less than one epoch."
        cure = "Nothing to do if unique_tokens is what was available rather than what was seen."
        yield Finding("partial-epoch", "info", _rows(table, partial), message, cure)
    if not _has(table, "epochs") or not table.frame["epochs"].dtype.is_numeric():
        return
    off = np.abs(_array(table, "epochs") / passes - 1) > EPOCHS_TOLERANCE
    if off.any():
        extent = f"more than {EPOCHS_TOLERANCE:.0%}"
        message = f"epochs of {_count(off)} differ from tokens / unique_tokens by {extent}."
        cure = "One of the three columns is wrong, or rounded; the laws use tokens and unique_tokens."
        yield Finding("epochs-mismatch", "warning", _rows(table, off), message, cure)


def flags(table: RunTable) -> Iterator[Finding]:
    for column in FLAGS:
        if not _has(table, column):
            continue
        values = table.frame[column]
        if values.dtype != pl.Boolean and not values.dtype.is_numeric():
            continue
        zero = (values.cast(pl.Float64) == 0).fill_null(False)
        if zero.any():
            shown = "false" if values.dtype == pl.Boolean else "0"
            keep = "true" if values.dtype == pl.Boolean else "1"
            message = f"{_count(zero)} with {column}={shown}."
            yield Finding(
                "flagged", "warning", _rows(table, zero), message, f"--where {column}={keep} leaves them out."
            )


_MIXED: tuple[tuple[str, str], ...] = (
    (
        "lr_phase",
        "Compare losses inside one phase: a cooled checkpoint beside one at peak rate fakes an effect.",
    ),
    ("tokenizer", "Tokens of two tokenizers are not one quantity: fit each by itself, or use bits per byte."),
    ("eval_set", "Losses on two texts have two floors: fit each by itself."),
)


def mixed(table: RunTable) -> Iterator[Finding]:
    for column, why in _MIXED:
        if not _has(table, column):
            continue
        counts = table.frame[column].drop_nulls().cast(pl.String).value_counts(sort=True)
        values = counts[column].to_list()
        if len(values) > 1:
            shown = ", ".join(values[:6]) + (", ..." if len(values) > 6 else "")
            message = f"the table mixes {len(values)} values of {column}: {shown}."
            cure = f'{why} For example --where "{column}={values[0]}".'
            yield Finding(f"mixed-{column.replace('_', '-')}", "warning", (), message, cure)


def outliers(table: RunTable) -> Iterator[Finding]:
    """Losses far above those of the runs that are at least as large and saw at least as many tokens."""
    if not _has(table, "tokens") or not (_has(table, "params_total") or _has(table, "params_non_embedding")):
        return
    N, D, loss = table.params()[0], _array(table, "tokens"), _array(table, "loss")
    if (loss <= 0).any():
        return  # Several times the others' loss means nothing below zero.
    group = _groups(table)
    high = np.zeros(len(table), dtype=bool)
    for label in np.unique(group):
        members = np.flatnonzero(group == label)
        if len(members) > OUTLIER_ROWS:
            message = f"losses were not searched for outliers: more than {OUTLIER_ROWS} rows of one target."
            yield Finding("outliers-not-checked", "info", (), message, "Look at the losses of one target at a time.")
            return
        high[members] = _far_above_peers(N[members], D[members], loss[members])
    if high.any():
        message = (
            f"the loss of {_count(high)} is more than {OUTLIER_FACTOR:g} times the median of the runs "
            "that have at least that size and as many tokens."
        )
        cure = "Diverged, overfitted or very early in training? Leave such rows out with --where."
        yield Finding("high-loss", "warning", _rows(table, high), message, cure)


def _groups(table: RunTable) -> np.ndarray:
    """Rows whose losses are on one scale: one target, evaluation set and tokenizer."""
    columns = [c for c in ("target", "eval_set", "tokenizer") if _has(table, c)]
    if not columns:
        return np.zeros(len(table), dtype=int)
    return table.frame.select(pl.struct(columns).rank("dense").alias("g"))["g"].to_numpy()


def _far_above_peers(N: np.ndarray, D: np.ndarray, loss: np.ndarray) -> np.ndarray:
    high = np.zeros(len(loss), dtype=bool)
    # No median is below the smallest loss, so the others need no search.
    for i in np.flatnonzero(loss > OUTLIER_FACTOR * loss.min()):
        peers = (N[i] <= N) & (D[i] <= D)
        peers[i] = False
        if peers.sum() >= OUTLIER_PEERS:
            high[i] = loss[i] > OUTLIER_FACTOR * np.median(loss[peers])
    return high


def spread(table: RunTable) -> Iterator[Finding]:
    """Too few rows, or all of one size or one length: what such a table cannot tell."""
    if len(table) < FEW_ROWS:
        message = f"{len(table)} rows cannot hold a law of five coefficients."
        yield Finding("few-rows", "warning", (), message, "Add runs, or fix some coefficients from published laws.")
    size = next((c for c in ("params_total", "params_non_embedding") if _has(table, c)), None)
    for column, exponent, name in ((size, "alpha", "N"), ("tokens", "beta", "D")):
        if column and _has(table, column) and table.frame[column].n_unique() == 1 and len(table) > 1:
            message = f"all rows have one {name} ({column}): {exponent} cannot be told from E."
            cure = f"Add runs with another {name}, or fix {exponent}."
            yield Finding(f"one-{name}", "warning", (), message, cure)


CHECKS: tuple[Callable[[RunTable], Iterator[Finding]], ...] = (
    duplicates,
    flops,
    parameters,
    epochs,
    flags,
    mixed,
    outliers,
    spread,
)
