"""Where things lie in a study folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from isogloss.errors import InputError
from isogloss.files import finite, write_text
from isogloss.sweeps.study import Evaluation, Machine, Study
from isogloss.training.job import Job
from isogloss.training.rows import FILE as ROWS
from isogloss.training.rows import Rows

T = TypeVar("T")

JOBS = "jobs.json"
PROGRESS, FAILED = "progress.json", "failed.json"


def corpus_folder(study: Path) -> Path:
    return study / "corpus"


def run_folder(study: Path, run_id: str) -> Path:
    return study / "runs" / run_id


def end_folder(study: Path, run_id: str, tokens: int) -> Path:
    """A finished model, as a Hugging Face folder."""
    return run_folder(study, run_id) / "ends" / str(tokens)


def write_jobs(folder: Path, jobs: Sequence[Job], study: Study) -> None:
    """What the workers go by, so that study.toml may be edited while they work."""
    settings = {"evaluation": study.evaluation.model_dump(), "machine": study.machine.model_dump()}
    records = ",\n".join(job.to_json() for job in jobs)
    write_text(
        folder / JOBS, f'{{"settings": {json.dumps(settings, indent=1)},\n"jobs": [\n{records}\n]}}\n', as_is=True
    )


def read_jobs(folder: Path) -> list[Job]:
    return _read(folder, lambda record: [Job.from_json(json.dumps(job)) for job in record["jobs"]])


def read_settings(folder: Path) -> tuple[Evaluation, Machine]:
    return _read(
        folder,
        lambda record: (Evaluation(**record["settings"]["evaluation"]), Machine(**record["settings"]["machine"])),
    )


def _read(folder: Path, take: Callable[[dict[str, Any]], T]) -> T:
    path = folder / JOBS
    try:
        return take(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError("no runs are planned", where=str(folder), hint="isogloss study run starts them.") from None
    except (ValueError, KeyError, TypeError) as error:
        hint = "Delete it: isogloss study run makes it anew from study.toml."
        raise InputError(f"is damaged ({error})", where=str(path), hint=hint) from error


def state_of(study: Path, job: Job) -> str:
    """finished, diverged, failed, partial (begun) or waiting; who is at work is for the claims to say."""
    folder = run_folder(study, job.run_id)
    if (folder / ROWS).exists():
        rows = Rows.read(folder)
        if rows.diverged_at is not None:
            return "diverged"
        if all(rows.has_end(step) for step in job.end_steps):
            return "finished"
    if (folder / FAILED).exists():
        return "failed"
    begun = any(folder.glob("trunk-*")) or any(folder.glob("branch-*")) or (folder / ROWS).exists()
    return "partial" if begun else "waiting"


def is_done(study: Path, job: Job) -> bool:
    return state_of(study, job) in ("finished", "diverged")


def read_json(path: Path) -> dict[str, Any]:
    """{} where there is none, or none yet."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_json(path: Path, record: dict[str, Any]) -> None:
    write_text(path, json.dumps(finite(record), indent=1))
