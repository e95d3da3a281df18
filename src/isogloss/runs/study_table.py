"""A study folder's run table: runs, exposure and evals as Parquet, joined to the one table that fits read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import SHARE, UNIQUE
from isogloss.units import LOSS_UNITS, LossUnit

RUNS, EXPOSURE, EVALS = "runs.parquet", "exposure.parquet", "evals.parquet"
MANIFEST = "manifest.json"
SCHEMA_VERSION = 1

DEFAULT_UNIT: LossUnit = "bits/byte"


def is_study(path: Path) -> bool:
    return path.is_dir() and ((path / MANIFEST).exists() or (path / "study.toml").exists())


def load_study(folder: Path, unit: LossUnit | None, *, every_point: bool = False) -> tuple[pl.DataFrame, list[str]]:
    """One row per run, point in training and target, with share and unique columns, in one loss unit; and notes.

    Without a unit, that in which most runs were evaluated, bits/byte if as many. Of imported runs the final points are
    read, or the last one of every target where learning-rate phases are not known, unless `every_point`.
    Raises InputError where the folder has no table yet, or one of another schema.
    """
    manifest = _manifest(folder)
    runs, exposure = study_table(folder, RUNS), study_table(folder, EXPOSURE)
    evals = _scan(folder, EVALS)
    counts = _runs_by_unit(evals, folder)
    notes: list[str] = []
    if unit is None:
        unit = max(LOSS_UNITS, key=lambda u: (counts.get(u, 0), u == DEFAULT_UNIT))
        others = [f"{u} ({n} runs)" for u, n in counts.items() if u != unit]
        # A study of the lab has every loss in three units: that says nothing of how its runs differ.
        if len({*counts.values()}) > 1:
            notes.append(
                f"losses in {unit}, the unit of most runs ({counts[unit]}); there is also {', '.join(others)}."
            )
    if not counts.get(unit):
        there = ", ".join(u for u in LOSS_UNITS if u in counts) or "none"
        hint = f"Its units: {there}." if counts else "No run has been evaluated yet: isogloss study run."
        raise InputError(f"no losses in {unit}", where=str(folder), hint=hint)
    evals = evals.filter(pl.col("unit") == unit)
    # Only the importer writes parts; a study of the lab is small, and its reader lists every point left out.
    chosen = evals.collect() if every_point or "parts" not in manifest else _curves_ends(evals, folder, notes)
    if unit == "unigram-normalised" and (chosen["loss"] <= 0).any():
        what = f"losses in {unit} are below zero where a model beats the unigram frequencies"
        raise InputError(
            what, where=str(folder), hint=f"Laws are of positive losses: take bits/byte. They are in {EVALS}."
        )
    # What evals and runs both have, evals say of the point.
    runs = runs.select("run_id", *(c for c in runs.columns if c not in chosen.columns))
    frame = chosen.rename({"language": "target"}).join(runs, on="run_id", how="left", maintain_order="left")
    for column, prefix in (("share", SHARE), ("unique_tokens", UNIQUE)):
        wide = _wide(exposure, column, prefix)
        frame = frame.join(wide, on="run_id", how="left", maintain_order="left")
    # A finished model counts, even where its run goes on to a longer budget or was stopped on the way there.
    finished = ((pl.col("lr_phase") == "final") & (pl.col("status") != "diverged")).fill_null(False)
    frame = frame.with_columns(status=pl.when(finished).then(pl.lit("finished")).otherwise(pl.col("status")))
    empty = [c for c in frame.columns if c != "lr_phase" and frame[c].null_count() == frame.height]
    return frame.drop(empty), notes


def _runs_by_unit(evals: pl.LazyFrame, folder: Path) -> dict[str, int]:
    try:
        counts = evals.group_by("unit").agg(pl.col("run_id").n_unique().alias("runs")).sort("unit")
        return dict(counts.collect(engine="streaming").iter_rows())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(folder, EVALS, error) from error


def _curves_ends(evals: pl.LazyFrame, folder: Path, notes: list[str]) -> pl.DataFrame:
    """Of an imported study, final points of runs whose phases are known, and the last one per target of the others:
    curves of millions of points are not held for the one that a fit takes."""
    try:
        # Its place in the table, which group_by does not keep.
        numbered = evals.with_row_index("__row")
        ends = (
            numbered.group_by("run_id", "language")
            .agg(pl.col("__row").sort_by("tokens").last(), pl.col("lr_phase").is_not_null().any().alias("known"))
            .collect(engine="streaming")
        )
        known = ends.group_by("run_id").agg(pl.col("known").any()).filter("known")["run_id"]
        last = ends.filter(~pl.col("run_id").is_in(known.implode()))["__row"]
        wanted = (pl.col("lr_phase") == "final").fill_null(False) | pl.col("__row").is_in(last.implode())
        chosen = numbered.filter(wanted).drop("__row").collect(engine="streaming")
        points = int(evals.select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(folder, EVALS, error) from error
    runs = ends["run_id"].n_unique()
    bare, unfinished = runs - known.len(), runs - chosen["run_id"].n_unique()
    if chosen.is_empty():
        hint = "No run was evaluated once its rate had decayed. Read the curves: --where lr_phase=stable, or =decay."
        raise InputError("no run has a finished model (lr_phase final)", where=str(folder), hint=hint)
    if bare:
        notes.append(f"of {bare} runs without learning-rate phases the last point of every target is read.")
    if unfinished:
        notes.append(f"{unfinished} runs have no finished model (lr_phase final) and are not read.")
    if points > chosen.height:
        rest = f"{points - chosen.height} of {points} points are earlier ones and not read"
        notes.append(f"{rest}; a condition on lr_phase, such as lr_phase!=warmup, reads the curves.")
    return chosen


def _wide(exposure: pl.DataFrame, column: str, prefix: str) -> pl.DataFrame:
    # A run whose mixture is not known has no row, rather than one of zeros.
    known = exposure.filter(pl.col(column).is_not_null())
    wide = known.pivot("language", index="run_id", values=column)
    wide = wide.rename({c: prefix + c for c in wide.columns if c != "run_id"})
    # A language that a run does not name has no share in it.
    return wide.with_columns(pl.exclude("run_id").fill_null(0.0)) if prefix == SHARE else wide


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = f"isogloss study collect {folder} writes it, study run at its end, and runs import of runs elsewhere."
        raise InputError("has no run table yet", where=str(folder), hint=hint) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        hint = "Collect again with this release of isogloss, or install the one that wrote it."
        raise InputError(f"schema version {version!r}, not {SCHEMA_VERSION}", where=str(path), hint=hint)
    return manifest


def study_table(folder: Path, name: str) -> pl.DataFrame:
    """One of the folder's tables as it is. InputError where it cannot be read."""
    try:
        return pl.read_parquet(folder / name)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(folder, name, error) from error


def _scan(folder: Path, name: str) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(folder / name)
        frame.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(folder, name, error) from error
    return frame


def _unreadable(folder: Path, name: str, error: Exception) -> InputError:
    hint = f"isogloss study collect {folder} writes it anew; of imported runs, isogloss runs import."
    return InputError(f"cannot be read: {error}", where=str(folder / name), hint=hint)
