"""From finished and unfinished runs to the run table: runs, exposure and evals, as `read_runs` reads them."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.files import new_file
from isogloss.runs.study_table import EVALS, EXPOSURE, MANIFEST, RUNS, SCHEMA_VERSION
from isogloss.sweeps.claims import holder
from isogloss.sweeps.layout import PROGRESS, read_jobs, read_json, run_folder, state_of, write_json
from isogloss.training.job import Job
from isogloss.training.rows import Rows

if TYPE_CHECKING:
    import polars as pl

_UNITS = (
    ("bits_per_byte", "bits/byte"),
    ("nats_per_token", "nats/token"),
    ("unigram_normalised", "unigram-normalised"),
)
_STATES = {"finished": "finished", "diverged": "diverged", "failed": "failed"}


def collect(study: Path) -> dict[str, Any]:
    """Write the three tables and manifest.json, each whole or not at all; the manifest's figures are returned.

    Only the runs that study.toml asks for are in them; other runs in the folder are counted as `others`.
    """
    import polars as pl

    jobs = read_jobs(study)
    tables = {
        RUNS: pl.DataFrame([run_row(study, job) for job in jobs], infer_schema_length=None),
        EXPOSURE: pl.DataFrame([row for job in jobs for row in exposure_rows(study, job)], infer_schema_length=None),
        EVALS: pl.DataFrame([row for job in jobs for row in _eval_rows(study, job)], _eval_schema()),
    }
    hashes = {}
    for name, table in tables.items():
        with new_file(study / name) as temporary:
            table.write_parquet(temporary)
            hashes[name] = hashlib.sha256(temporary.read_bytes()).hexdigest()
    states = tables[RUNS]["status"].value_counts(sort=True)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": _versions(("isogloss", "torch", "numpy")),
        "runs": dict(zip(states["status"].to_list(), states["count"].to_list(), strict=True)),
        "others": sorted(_other_runs(study, jobs)),
        "evals": tables[EVALS].height,
        "sha256": hashes,
    }
    write_json(study / MANIFEST, manifest)
    return manifest


def _other_runs(study: Path, jobs: Sequence[Job]) -> Iterable[str]:
    known = {job.run_id for job in jobs}
    folder = study / "runs"
    return (p.name for p in folder.iterdir() if p.is_dir() and p.name not in known) if folder.is_dir() else ()


def run_row(study: Path, job: Job) -> dict[str, Any]:
    folder = run_folder(study, job.run_id)
    spec, state = job.spec, state_of(study, job)
    status = _STATES.get(state) or ("running" if holder(folder) else "killed" if state == "partial" else "planned")
    progress = read_json(folder / PROGRESS)
    return {
        "run_id": job.run_id,
        "params_total": spec.params_total,
        "params_non_embedding": spec.params_non_embedding,
        "flops_per_token": spec.flops_per_token,
        "shape": spec.shape,
        "vocab_size": spec.vocab_size,
        "tokenizer": spec.tokenizer,
        "corpus": spec.corpus,
        "context_length": spec.context_length,
        "batch_tokens": spec.batch_tokens,
        "learning_rate": spec.learning_rate,
        "seed": spec.seed,
        "schedule": spec.schedule,
        "init": spec.init,
        "source": "isogloss study",
        "status": status,
        "precision": progress.get("precision"),
        "stack": progress.get("stack"),
        "seconds": progress.get("seconds"),
        "notes": None,
    }


def exposure_rows(study: Path, job: Job) -> Iterable[dict[str, Any]]:
    """Intended and realised shares; what was seen is what the longest finished end saw."""
    rows = Rows.read(run_folder(study, job.run_id))
    last = max(rows.ends.values(), key=lambda end: end["tokens"], default=None)
    for language, share in job.spec.shares.items():
        seen = last["seen"].get(language) if last else None
        unique = job.spec.unique_tokens.get(language)
        yield {
            "run_id": job.run_id,
            "language": language,
            "share": share,
            "realised_share": seen / last["tokens"] if last and seen is not None else None,
            "tokens": seen,
            "unique_tokens": unique,
            "epochs": seen / unique if seen is not None and unique else None,
        }


def _eval_rows(study: Path, job: Job) -> Iterable[dict[str, Any]]:
    rows = Rows.read(run_folder(study, job.run_id))
    for key in sorted(rows.evals):
        for row in rows.evals[key]:
            for name, unit in _UNITS:
                yield {
                    "run_id": job.run_id,
                    "tokens": row["tokens"],
                    "lr_phase": row["lr_phase"],
                    "language": row["language"],
                    "loss": row[name],
                    "unit": unit,
                    "stderr": row["stderr"] if unit == "bits/byte" else None,
                    "documents": row["documents"],
                    "bytes": row["bytes"],
                }


def _eval_schema() -> dict[str, pl.DataType | type]:
    import polars as pl

    return {
        "run_id": pl.String,
        "tokens": pl.Int64,
        "lr_phase": pl.String,
        "language": pl.String,
        "loss": pl.Float64,
        "unit": pl.String,
        "stderr": pl.Float64,
        "documents": pl.Int64,
        "bytes": pl.Int64,
    }


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
