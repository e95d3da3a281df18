"""overview: what runs there are, before anything is fitted: sizes, tokens, mixtures, curves, and what lint finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.display import Shown
from isogloss.runs.columns import SHARE, UNIQUE
from isogloss.runs.enough import Design, Need, needs
from isogloss.runs.lint import Finding, LintReport, lint, lint_runs
from isogloss.runs.read import read_runs
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS, is_study, study_table
from isogloss.stores import local
from isogloss.units import LossUnit

# Of a study with more rows than this only the points that a fit reads are linted, which takes seconds and not minutes.
LARGE = 3_000_000
# A share below this is none: mixtures that are written out for hundreds of languages hold such.
TRACE = 1e-9


@dataclass(frozen=True, eq=False)
class Overview(Shown):
    """Frames of one loss unit.

    `runs`: a row per run: run, status, read (a fit reads something of it), N, D (its last point, tokens), points.
    `shares`: run, language, share (above zero); no row for a run whose mixture is not known.
    `models`: what a fit reads: run, target ("" where the table names none), N, D, loss, p (the target's share),
    languages (how many the run trains on), epochs, mixture.
    `points`: run, target, curve (the run, with its evaluation set if there are several), tokens, loss of every usable
    point. `unusable` counts points without tokens or a finite loss.
    """

    source: str
    unit: LossUnit
    rows: int
    runs: pl.DataFrame
    shares: pl.DataFrame
    models: pl.DataFrame
    points: pl.LazyFrame
    unusable: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    params: str = ""
    """Which count N is: total or non_embedding."""

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """What losses were measured on, most points first."""
        counted = self.points.group_by("target").agg(pl.len().alias("n")).collect(engine="streaming")
        return tuple(counted.sort(["n", "target"], descending=[True, False])["target"].to_list())

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """By law and target: what is there and what is missing."""
        frames = self.models.partition_by("target", maintain_order=True)
        return tuple(n for frame in frames for n in needs(_design(frame)))

    def to_dict(self) -> dict[str, Any]:
        from isogloss.runs.overview_answer import answer

        return answer(self)


def overview(
    source: Any,
    *,
    where: str | Iterable[str] = (),
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Overview:
    """What runs a table, a study's folder or a data frame holds, read under the options of `read_runs` and without
    refusing a cell. Runs that a fit leaves out are there too, marked.

    Raises InputError only for what cannot be read at all.
    """
    source = local(source)
    conditions = [where] if isinstance(where, str) else list(where)
    if isinstance(source, str | Path) and is_study(Path(source)):
        return _of_study(Path(source), conditions, columns, unit)
    report = lint_runs(source, where=conditions, columns=columns, unit=unit)
    frame, params = _named(_with_compared(report))
    usable = frame.select(_is_usable()).to_series()
    return Overview(
        report.source,
        report.unit,
        frame.height,
        _runs(frame),
        _shares(frame),
        _models(frame),
        frame.filter(usable).select("run", "target", "curve", "tokens", "loss").lazy(),
        int((~usable).sum()),
        report.findings,
        report.notes,
        params,
    )


def _of_study(folder: Path, conditions: list[str], columns: Mapping[str, str] | None, unit: str | None) -> Overview:
    """Evals may have many millions of rows: they stay in their file until a few are drawn."""
    rows = _rows(folder)
    if rows > LARGE:
        table = read_runs(folder, where=conditions, columns=columns, unit=unit)
        frame = table.frame.with_columns(used=pl.lit(True), ghost=pl.lit(False), compared=pl.lit(True))
        found, findings = table.unit, lint(table)
        said = f"{rows:,} points: only those that a fit reads are linted here; isogloss runs lint reads the curves too."
        notes = (*table.notes, said)
    else:
        report = lint_runs(folder, where=conditions, columns=columns, unit=unit)
        frame, found, findings, notes = _with_compared(report), report.unit, report.findings, report.notes
    frame, params = _named(frame)
    evals = pl.scan_parquet(folder / EVALS, glob=False).filter(pl.col("unit") == found)
    listed, exposure = study_table(folder, RUNS), study_table(folder, EXPOSURE)
    if conditions:
        kept = frame["run"].unique().implode()
        chosen = pl.col("run_id").is_in(kept)
        evals, exposure, listed = evals.filter(chosen), exposure.filter(chosen), listed.filter(chosen)
        notes = (*notes, "conditions choose runs here; the curves are whole.")
    points = evals.select(
        run="run_id", target="language", curve="run_id", tokens=pl.col("tokens").cast(pl.Float64), loss="loss"
    )
    usable = _is_usable()
    counted = points.group_by("run").agg(usable.sum().alias("points"), pl.len().alias("all"), D=pl.col("tokens").max())
    counts = counted.collect(engine="streaming")
    return Overview(
        str(folder),
        found,
        rows,
        _listed_runs(listed, frame, params, counts),
        exposure.select(run="run_id", language="language", share=pl.col("share").cast(pl.Float64))
        .filter(pl.col("share") > TRACE)
        .sort("run", "language"),
        _models(frame),
        points.filter(usable),
        int(counts["all"].sum()) - int(counts["points"].sum()),
        findings,
        notes,
        params,
    )


def _with_compared(report: LintReport) -> pl.DataFrame:
    sheet = report.sheet
    compared = pl.Series(sheet.compared, dtype=pl.Boolean) & pl.Series(sheet.used, dtype=pl.Boolean)
    return sheet.frame.with_columns(compared=compared)


def _rows(folder: Path) -> int:
    try:
        return int(pl.scan_parquet(folder / EVALS).select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError):
        # Reading says what is wrong with it, in words.
        return 0


def _named(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """With run, target, N, status and tokens, whatever the table lacks, and which count N is."""
    size = next((w for w in ("total", "non_embedding") if _filled(frame, f"params_{w}")), "")
    by_row = pl.format("row {}", "row")
    text = pl.String
    added = {
        "run": pl.coalesce(pl.col("run_id").cast(text), by_row) if "run_id" in frame.columns else by_row,
        "target": pl.col("target").cast(text).fill_null("") if "target" in frame.columns else pl.lit(""),
        "N": pl.col(f"params_{size}").cast(pl.Float64) if size else pl.lit(None, pl.Float64),
        "status": pl.col("status").cast(text).str.to_lowercase().fill_null("")
        if "status" in frame.columns
        else pl.lit(""),
        "tokens": pl.col("tokens").cast(pl.Float64) if "tokens" in frame.columns else pl.lit(None, pl.Float64),
    }
    frame = frame.with_columns(**added)
    several = "eval_set" in frame.columns and frame["eval_set"].n_unique() > 1
    curve = pl.concat_str("run", pl.col("eval_set").cast(text).fill_null(""), separator=", ") if several else "run"
    return frame.with_columns(curve=curve), size


def _filled(frame: pl.DataFrame, column: str) -> bool:
    return column in frame.columns and frame[column].null_count() < frame.height


def _is_usable() -> pl.Expr:
    return ((pl.col("tokens") > 0) & pl.col("loss").is_finite()).fill_null(False)


def _runs(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by("run", maintain_order=True).agg(
        pl.col("status").last(),
        (pl.col("used") & ~pl.col("ghost")).any().alias("read"),
        pl.col("N").drop_nulls().first(),
        pl.col("tokens").max().alias("D"),
        _is_usable().sum().alias("points"),
    )


def _listed_runs(listed: pl.DataFrame, frame: pl.DataFrame, params: str, counts: pl.DataFrame) -> pl.DataFrame:
    """The runs of a study, with those that have no points: planned ones and ghosts."""
    size = params or "total"
    N = pl.col(f"params_{size}").cast(pl.Float64) if f"params_{size}" in listed.columns else pl.lit(None, pl.Float64)
    read = frame.filter(pl.col("compared"))["run"].unique().implode()
    runs = listed.select(
        run="run_id",
        status=pl.col("status").cast(pl.String).str.to_lowercase().fill_null(""),
        read=pl.col("run_id").is_in(read),
        N=N,
    )
    runs = runs.join(counts.select("run", "D", "points"), on="run", how="left", maintain_order="left")
    return runs.with_columns(pl.col("points").fill_null(0))


def _shares(frame: pl.DataFrame) -> pl.DataFrame:
    names = [c for c in frame.columns if c.startswith(SHARE)]
    if not names:
        return pl.DataFrame(schema={"run": pl.String, "language": pl.String, "share": pl.Float64})
    first = frame.group_by("run", maintain_order=True).agg(pl.col(names).drop_nulls().first())
    long = first.unpivot(names, index="run", variable_name="language", value_name="share")
    long = long.with_columns(pl.col("language").str.strip_prefix(SHARE), pl.col("share").cast(pl.Float64))
    return long.filter(pl.col("share") > TRACE).sort("run", "language")


def _models(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.filter(pl.col("compared") & _is_usable())
    names = [c.removeprefix(SHARE) for c in frame.columns if c.startswith(SHARE)]
    none = pl.lit(None, pl.Float64)
    share = pl.coalesce(*(pl.when(target=n).then(pl.col(SHARE + n).cast(pl.Float64)) for n in names), none)
    if names:
        # A target that no mixture names is no part of any.
        known = pl.any_horizontal(pl.col(SHARE + n).is_not_null() for n in names)
        share = pl.when(known).then(share.fill_null(0.0))
    own = [n for n in names if UNIQUE + n in frame.columns]
    unique = pl.coalesce(*(pl.when(target=n).then(pl.col(UNIQUE + n).cast(pl.Float64)) for n in own), none)
    epochs = pl.col("p") * pl.col("tokens") / unique
    if "unique_tokens" in frame.columns:
        epochs = pl.coalesce(pl.col("tokens") / pl.col("unique_tokens").cast(pl.Float64), epochs)
    count = pl.sum_horizontal(pl.col(SHARE + n) > TRACE for n in names) if names else pl.lit(None, pl.Int64)
    mixture = pl.concat_str([pl.col(SHARE + n).round(4) for n in names], separator=",") if names else pl.lit(None)
    frame = frame.with_columns(
        p=share, languages=pl.when(count > 0).then(count).cast(pl.Float64), mixture=mixture.cast(pl.String)
    )
    return frame.with_columns(epochs=epochs).select(
        "run", "target", "N", D="tokens", loss="loss", p="p", languages="languages", epochs="epochs", mixture="mixture"
    )


def _design(frame: pl.DataFrame) -> Design:
    def floats(column: str) -> np.ndarray:
        return frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()

    mixtures = frame["mixture"].fill_null("").to_numpy()
    numbers = {c: floats(c) for c in ("N", "D", "p", "languages", "epochs")}
    return Design(str(frame["target"][0]), mixture=mixtures, **numbers)
