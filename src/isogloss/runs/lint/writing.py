"""Writing a fixed table beside the record of what was changed, never over the table it came from."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.files import check_file, new_file, new_folder
from isogloss.runs.lint.changes import Fixed
from isogloss.runs.source import READERS
from isogloss.runs.study_table import EVALS, MANIFEST, RUNS
from isogloss.stores import exists

FIXES_JSON, FIXES_CSV = "fixes.json", "fixes.csv"


def check_output(source: Path, out: Path) -> None:
    """InputError if the fixed table cannot be written at `out`, or would take the place of a file that is there."""
    if out.suffix and not source.is_dir():
        if out.suffix.lower() not in READERS:
            raise unknown_name("file suffix", out.suffix, READERS, where=str(out))
        check_file(out, tuple(READERS))
        for path in (out, record(out)):
            if path.exists() or exists(path):
                raise InputError("is there already", where=str(path), hint="Give a new name with -o.")
        return
    place, origin = out.absolute().resolve(), source.absolute().resolve()
    if place == origin or place in origin.parents:
        raise InputError("holds the table that is to be fixed", where=str(out), hint="Give a new folder with -o.")


def record(out: Path) -> Path:
    """Where the changes are listed, of a fixed table that is one file."""
    return out.with_name(f"{out.stem}.{FIXES_CSV}")


def write_fixed(fixed: Fixed, source: Path, out: Path) -> Path:
    """Write a file and `<name>.fixes.csv`, or a folder with `fixes.csv` and `fixes.json`; gives the table's path."""
    check_output(source, out)
    if out.suffix and not source.is_dir():
        (table,) = fixed.tables.values()
        with new_file(record(out)) as temporary:
            fixed.changes.write_csv(temporary)
        with new_file(out) as temporary:
            _write(table, temporary, out.suffix.lower(), str(out))
        return out
    with new_folder(out, marker=FIXES_JSON) as temporary:
        for name, table in fixed.tables.items():
            _write(table, temporary / Path(name).name, Path(name).suffix.lower(), name)
        if source.is_dir():
            _manifest(fixed, source, temporary)
        fixed.changes.write_csv(temporary / FIXES_CSV)
        text = json.dumps(said(fixed, str(source.name)), indent=1, ensure_ascii=False)
        (temporary / FIXES_JSON).write_text(text + "\n", encoding="utf-8")
    return out if source.is_dir() else out / Path(next(iter(fixed.tables))).name


def said(fixed: Fixed, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "rows": dict(fixed.rows),
        "dropped": fixed.dropped,
        "changes": fixed.counts(),
        "columns": dict(fixed.columns),
    }


def _write(table: pl.DataFrame | pl.LazyFrame, path: Path, suffix: str, name: str) -> None:
    if isinstance(table, pl.LazyFrame):
        table.sink_parquet(path)
    elif suffix in (".csv", ".tsv"):
        nested = [c for c, dtype in table.schema.items() if dtype.is_nested()]
        if nested:
            hint = f"Name a .parquet with -o; nested: {', '.join(nested)}."
            raise InputError("CSV cannot hold lists or structs", where=name, hint=hint)
        table.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    elif suffix == ".jsonl":
        table.write_ndjson(path)
    else:
        table.write_parquet(path)


def _manifest(fixed: Fixed, source: Path, folder: Path) -> None:
    """The study's own, with the counts and hashes of what is written now."""
    try:
        old: Mapping[str, Any] = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(source / MANIFEST)) from error
    states = pl.read_parquet(folder / RUNS)["status"].value_counts(sort=True)
    # An import that finds its parts named would take the fixed tables for its own.
    new = {
        **{k: v for k, v in old.items() if k != "parts"},
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "runs": dict(zip(states["status"].to_list(), states["count"].to_list(), strict=True)),
        "evals": fixed.rows[EVALS],
        "sha256": {name: _sha256(folder / name) for name in fixed.tables},
    }
    (folder / MANIFEST).write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
