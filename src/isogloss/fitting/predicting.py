"""What a fit expects of runs in a table, trained or planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss.errors import InputError
from isogloss.fitting.rows import Rows, rows_for
from isogloss.runs import RunTable, read_runs
from isogloss.runs.columns import meaning
from isogloss.runs.source import load
from isogloss.runs.study_table import is_study
from isogloss.runs.wide import find_wide_losses
from isogloss.stores import local

if TYPE_CHECKING:
    from isogloss.fitting.result import Fit

# What is kept of a row beside its prediction.
_SAID = ("row", "run_id", "target", "params_total", "params_non_embedding", "tokens", "seed", "loss")


def rows_to_predict(fit: Fit, runs: RunTable | Any, columns: Mapping[str, str] | None = None) -> tuple[Rows, RunTable]:
    """The fit's columns of the rows of a table that have them all, and the table."""
    own = {k: v for k, v in (columns or {}).items() if k in fit.law.columns and meaning(k) is None}
    named = {k: v for k, v in (columns or {}).items() if k not in own}
    # Where losses may be below zero, that must be known before they are read.
    signed = fit.law.signed or fit.unit == "metric"
    table = runs if isinstance(runs, RunTable) else _read(runs, named, fit.unit if signed else None)
    table = _with_sources(table, fit.layout.sources)
    rows = rows_for(
        fit.layout.law,
        table,
        params=fit.params,  # type: ignore[arg-type]
        sources=fit.layout.sources,
        switches=dict(fit.layout.switches),
        columns={**dict(fit.named), **own},
        languages=fit.layout.languages,
    )
    return rows, table


def predict_runs(fit: Fit, runs: RunTable | Any, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    rows, table = rows_to_predict(fit, runs, columns)
    said = table.frame.select(c for c in _SAID if c in table.frame.columns).rename({"loss": "observed"}, strict=False)
    kept = pl.DataFrame({"row": rows.number}).join(said, on="row", how="left", maintain_order="left")
    found = fit.predict(rows.columns)
    return pl.concat([kept, found.select("loss", "low", "high", "run_low", "run_high")], how="horizontal")


def predict_languages(fits: Mapping[str, Fit], runs: RunTable | Any, columns: Mapping[str, str] | None) -> pl.DataFrame:
    table = runs if isinstance(runs, RunTable) else _read(runs, dict(columns or {}), None)
    found = [predict_runs(fits[t], table.where(f"target={t}"), columns) for t in table.targets if t in fits]
    if not found:
        there = ", ".join(table.targets) or "none"
        raise InputError(f"has no row of a language of these fits, only {there}", where=table.source)
    return pl.concat(found)


def _read(source: Any, columns: Mapping[str, str], unit: str | None) -> RunTable:
    """A table that need not have losses: planned runs have none."""
    source = local(source)
    if isinstance(source, str | Path) and is_study(Path(source)):
        return read_runs(source, columns=dict(columns) or None, unit=unit)
    raw, name = load(source)
    has = "loss" in columns or any(meaning(c) == "loss" for c in raw.columns)
    if not has and not find_wide_losses(raw.columns, None, source=name).columns:
        blank = read_runs(raw.with_columns(loss=pl.lit(1.0)), columns=dict(columns) or None, unit=unit)
        return replace(blank, source=name)
    return read_runs(source, columns=dict(columns) or None, unit=unit)


def _with_sources(table: RunTable, sources: tuple[str, ...]) -> RunTable:
    """A language that no run of the table was trained on has the share 0 there."""
    if not table.languages:
        return table
    lacking = [pl.lit(0.0).alias(f"share:{s}") for s in sources if s not in table.languages]
    return replace(table, frame=table.frame.with_columns(lacking))
