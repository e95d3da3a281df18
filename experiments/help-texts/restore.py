"""Go on from the published run tables on a machine that has none of the runs: what they hold counts as trained."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.sweeps.grid import init_run
from isogloss.sweeps.layout import PROGRESS, end_folder, run_folder, state_of, write_json
from isogloss.sweeps.prepared import prepare
from isogloss.training.job import Job
from isogloss.training.rows import Rows


def restore(study: Path, table: Path) -> int:
    """Write the measurements of finished runs as the study itself would have; returns how many were taken.

    Runs that others start from are left out: their models are not published, so they must be trained again. A run
    is known by a hash of its text, mixture, shape and recipe: one of other text is not mistaken for it.
    """
    runs = {row["run_id"]: row for row in pl.read_parquet(table / "runs.parquet").iter_rows(named=True)}
    evals = pl.read_parquet(table / "evals.parquet").partition_by("run_id", as_dict=True)
    exposure = pl.read_parquet(table / "exposure.parquet").partition_by("run_id", as_dict=True)
    jobs = prepare(study).jobs
    # The model of a start is wanted as well as its losses, unless all that starts from it is published too.
    wanted = {start for job in jobs if (start := init_run(job)) and job.run_id not in runs}
    wanted = {run_id for run_id, end in wanted if not end_folder(study, run_id, end).is_dir()}
    taken = 0
    for job in jobs:
        if job.run_id not in runs or job.run_id in wanted or state_of(study, job) != "waiting":
            continue
        rows = _rows(study, job, evals[job.run_id,], exposure[job.run_id,])
        if rows is None:
            continue
        rows.folder.mkdir(parents=True, exist_ok=True)
        record = {name: runs[job.run_id][name] for name in ("precision", "stack", "seconds")}
        write_json(rows.folder / PROGRESS, {**record, "tokens": job.tokens_trained})
        (rows.folder / "job.json").write_text(job.to_json(), encoding="utf-8")
        rows.write()
        taken += 1
    return taken


def _rows(study: Path, job: Job, evals: pl.DataFrame, exposure: pl.DataFrame) -> Rows | None:
    """None if the table lacks an end that the study now asks for."""
    rows = Rows(run_folder(study, job.run_id))
    for (tokens, phase), part in evals.partition_by("tokens", "lr_phase", as_dict=True).items():
        step = round(tokens / job.recipe.batch_tokens)
        rows.add(step, tokens, phase, list(_measured(part)))
    whole = exposure["tokens"].sum()
    for end, step in zip(sorted(job.ends), job.end_steps, strict=True):
        if f"final-{step:08d}" not in rows.evals:
            return None
        tokens = step * job.recipe.batch_tokens
        # Seen text is published for the longest end; at the others its shares are the same to a document.
        seen = {r["language"]: round(r["tokens"] * tokens / whole) for r in exposure.iter_rows(named=True)}
        rows.end(step, tokens, seen)
        assert abs(tokens - end) < job.recipe.batch_tokens, (tokens, end)
    return rows


def _measured(part: pl.DataFrame) -> Iterable[dict[str, Any]]:
    for (language,), found in part.partition_by("language", as_dict=True).items():
        by_unit = {row["unit"]: row for row in found.iter_rows(named=True)}
        bits = by_unit["bits/byte"]
        nats = by_unit.get("nats/token")
        yield {
            "language": language,
            "bits_per_byte": bits["loss"],
            "stderr": bits["stderr"],
            "nats_per_token": nats["loss"] if nats else bits["loss"] * math.log(2),
            "unigram_normalised": by_unit["unigram-normalised"]["loss"],
            "documents": bits["documents"],
            "bytes": bits["bytes"],
        }
