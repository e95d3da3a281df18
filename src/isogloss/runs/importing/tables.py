"""The study folder's tables out of its parts, by streaming: no more than a run is ever held."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError
from isogloss.files import new_file, write_text
from isogloss.runs.importing.convert import EVALS_SCHEMA
from isogloss.runs.importing.mapping import COUNTS, NUMBERS, TEXTS
from isogloss.runs.importing.parts import Part, PartStore, part_text
from isogloss.runs.importing.settings import WHOLE
from isogloss.runs.numbers import typed
from isogloss.runs.study_table import EVALS, EXPOSURE, MANIFEST, RUNS, SCHEMA_VERSION

_RUNS: dict[str, Any] = {
    "run_id": pl.String,
    **{name: pl.Int64 if name in WHOLE else pl.Float64 for name in (*NUMBERS, *COUNTS)},
    **dict.fromkeys((*TEXTS, "source", "status"), pl.String),
}
_EXPOSURE: dict[str, Any] = {
    "run_id": pl.String,
    "language": pl.String,
    "share": pl.Float64,
    "realised_share": pl.Float64,
    "tokens": pl.Float64,
    "unique_tokens": pl.Float64,
    "epochs": pl.Float64,
}


def write_tables(folder: Path, store: PartStore, parts: Sequence[Part]) -> bool:
    """Write runs, exposure, evals and manifest.json, each whole or not at all; False where they stand already."""
    digest = hashlib.sha256("".join(map(part_text, parts)).encode()).hexdigest()
    if _stands(folder, digest):
        return False
    hashes: dict[str, str] = {}
    for name, frame in {RUNS: _runs(parts), EXPOSURE: _exposure(parts), EVALS: _evals(store, parts)}.items():
        try:
            with new_file(folder / name) as temporary:
                frame.sink_parquet(temporary)
                hashes[name] = _sha256(temporary)
        except (OSError, pl.exceptions.PolarsError) as error:
            hint = f"Is there space left? Remove {store.folder} if its files are damaged, and import again."
            raise InputError(f"cannot be written: {error}", where=str(folder / name), hint=hint) from error
    states: dict[str, int] = {}
    for part in parts:
        word = (part.run or {}).get("status") or "unknown"
        states[word] = states.get(word, 0) + 1
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {name: importlib.metadata.version(name) for name in ("isogloss", "polars")},
        "runs": states,
        "others": [],
        "evals": sum(part.points for part in parts),
        "sha256": hashes,
        "parts": digest,
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return True


def _stands(folder: Path, digest: str) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest["parts"] == digest and all(
            _sha256(folder / name) == known for name, known in manifest["sha256"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _runs(parts: Sequence[Part]) -> pl.LazyFrame:
    rows = [{"run_id": part.run_id, **(part.run or {})} for part in parts]
    extra = dict.fromkeys(name for row in rows for name in row if name not in _RUNS)
    frame = pl.DataFrame(rows, schema=_RUNS | dict.fromkeys(extra, pl.String))
    return frame.with_columns(typed(frame[name]) for name in ("seed", *extra)).lazy()


def _exposure(parts: Sequence[Part]) -> pl.LazyFrame:
    rows = [{"run_id": part.run_id, **row} for part in parts for row in part.exposure]
    return pl.DataFrame(rows, schema=_EXPOSURE).lazy()


def _evals(store: PartStore, parts: Sequence[Part]) -> pl.LazyFrame:
    files = [store.points(part) for part in parts if part.points]
    return pl.scan_parquet(files) if files else pl.LazyFrame(schema=EVALS_SCHEMA)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
