"""import_runs: from what a tracker logged to a study folder, run by run, with an account of every point."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError
from isogloss.files import finite, write_text
from isogloss.runs.importing.accounts import ImportReport
from isogloss.runs.importing.convert import convert
from isogloss.runs.importing.guess import guess_mapping
from isogloss.runs.importing.lacking import clues
from isogloss.runs.importing.lock import LOCK, locked
from isogloss.runs.importing.logged import Entry, Source, Trouble
from isogloss.runs.importing.mapping import Mapping, mapping_from_text, read_mapping
from isogloss.runs.importing.parts import PARTS, Part, PartStore
from isogloss.runs.importing.remember import Remembered
from isogloss.runs.importing.reporting import build_report, nothing_kept
from isogloss.runs.importing.sources import faster_way, open_source, other_kinds
from isogloss.runs.importing.survey import Progress, quiet
from isogloss.runs.importing.tables import write_tables
from isogloss.runs.importing.toml import to_toml
from isogloss.stores import shown, working

REPORT, MAP = "import.json", "map.toml"


def import_runs(
    source: Source | str | Path,
    out: str | Path,
    mapping: Mapping | AnyMapping[str, Any] | str | Path | None = None,
    *,
    progress: Progress = quiet,
) -> ImportReport:
    """Import every run of a source into a study folder, which `read_runs`, `fit` and `runs lint` read.

    `source` is a Source or a text as `open_source` takes it. `mapping` is a TOML file, a mapping of its shape or a
    Mapping; without it that of an earlier import into `out` is used, else a guess where nothing is left open. Runs
    that have not changed since an earlier import are not read again, and an interrupted import goes on where it was.

    Source and folder may be URLs of a store (isogloss.stores.working).

    Raises InputError where the source or the mapping cannot be used, or nothing fits the mapping. What cannot be
    read of single runs is told in the report, and the rest is imported.
    """
    said: list[str] = []
    with working(out) as folder:
        check_out(folder)
        if isinstance(source, str | Path):
            opened = open_source(source)
            said = [text for text in (other_kinds(source), faster_way(source)) if text]
            source = opened
        with locked(folder):
            return _import(source, folder, mapping, progress, said)


def _import(
    source: Source,
    out: Path,
    mapping: Mapping | AnyMapping[str, Any] | str | Path | None,
    progress: Progress,
    said: Sequence[str],
) -> ImportReport:
    used = _given(mapping, out, source)
    guessed = used is None
    if used is None:
        source = Remembered(source)
        used = _guessed(source, progress)
    entries = list(source.entries())
    if not entries:
        hint = "; ".join(t.what for t in source.troubles) or "Check the name; runs import takes what a tracker wrote."
        raise InputError("holds no runs", where=source.said, hint=hint)
    store = PartStore(out)
    _refuse_another(source, entries, store, out)
    work = _Work(source, store, used, progress)
    parts = work.run(entries)
    if not any(part.points for part in parts):
        raise nothing_kept(source.said, used, parts, work.skipped, work.troubles)
    write_tables(out, store, parts)
    counts = (work.new, work.changed, work.known, work.skipped)
    report = build_report(shown(source.said), out, parts, used, work.troubles, counts, guessed, said)
    _write_if_new(out / MAP, to_toml(used))
    text = json.dumps(finite(report.to_dict()), indent=1, ensure_ascii=False, default=str)
    _write_if_new(out / REPORT, text + "\n")
    return report


def check_out(out: Path) -> None:
    """InputError where `out` is no folder that an import may write: ask before long work, not after it."""
    if out.exists() and not out.is_dir():
        raise InputError("is a file", where=str(out), hint="Choose a folder with -o.")
    if (out / "study.toml").exists():
        what = "is the study of isogloss study run: an import would write over its tables"
        raise InputError(what, where=str(out), hint="Choose another folder with -o.")
    if (
        out.is_dir()
        and any(p.name != LOCK for p in out.iterdir())
        and not ((out / PARTS).is_dir() or (out / REPORT).exists())
    ):
        raise InputError(f"holds other files (no {REPORT})", where=str(out), hint="Choose an empty or new folder.")


def _given(mapping: Mapping | AnyMapping[str, Any] | str | Path | None, out: Path, source: Source) -> Mapping | None:
    """The user's mapping, that of an earlier import, or the source's own; None where it must be guessed."""
    if mapping is not None:
        return read_mapping(mapping)
    if (out / MAP).exists():
        return read_mapping(out / MAP)
    return getattr(source, "mapping", None)


def _guessed(source: Source, progress: Progress) -> Mapping:
    guess = guess_mapping(source, progress=progress)
    if guess.missing:
        lines = "".join(f"\n  - {what}" for what in guess.missing)
        hint = f"To be said:{lines}\n  Write the rest with --guess > map.toml, fill it in, and import with --map."
        raise InputError("the mapping cannot be guessed in full", where=source.said, hint=hint)
    return mapping_from_text(guess.toml, "guess")


def fingerprint(mapping: Mapping) -> str:
    return hashlib.sha256(mapping.model_dump_json().encode()).hexdigest()[:16]


class _Work:
    """The pass over all runs. `new`, `changed`, `known` and `skipped` count them."""

    def __init__(self, source: Source, store: PartStore, mapping: Mapping, progress: Progress):
        self.source, self.store, self.mapping, self.progress = source, store, mapping, progress
        self.print = fingerprint(mapping)
        self.new = self.changed = self.known = self.skipped = 0
        self.troubles: list[dict[str, Any]] = []

    def run(self, entries: Sequence[Entry]) -> list[Part]:
        """The parts of all runs: in the order of the source, then those that it no longer has."""
        parts: list[Part] = []
        self.progress("runs", 0, len(entries))
        for i, entry in enumerate(entries):
            part = self.store.current(entry.key, entry.version, self.print)
            if part is None:
                part = self._read(entry)
            else:
                self.known += not part.skipped
            if part is not None:
                self.skipped += part.skipped
                parts.append(self.store.mark_gone(part, False))
            self.progress("runs", i + 1, len(entries))
        there = {entry.key for entry in entries}
        gone = sorted((p for p in self.store.parts.values() if p.key not in there), key=lambda p: p.run_id)
        parts += [self.store.mark_gone(part, True) for part in gone if not part.skipped]
        self.troubles += [_told(trouble, "") for trouble in self.source.troubles]
        return [part for part in parts if not part.skipped]

    def _read(self, entry: Entry) -> Part | None:
        version, before = entry.version, self.store.parts.get(entry.key)
        try:
            run = entry.read()
        except (InputError, OSError) as error:
            kept = "; what was imported earlier stays" if before else ""
            why = error.what if isinstance(error, InputError) else error.strerror or str(error)
            where, hint = (error.where, error.hint) if isinstance(error, InputError) else (None, None)
            what = why if why.startswith("cannot be read") else f"cannot be read: {why}"
            trouble = Trouble(where or entry.key, f"{what}{kept}", hint or "Import again later.")
            self.troubles.append(_told(trouble, ""))
            return before
        if not self.mapping.runs.takes(run.name):
            return self.store.add(Part(run.key, version, self.print, "", run.name, skipped=True))
        converted = convert(run, self.mapping, shown(self.source.said))
        run_id = self.store.run_id(run.key, run.name)
        part = Part(
            run.key,
            version,
            self.print,
            run_id,
            run.name,
            run=dict(converted.run),
            exposure=tuple(converted.exposure),
            metrics=converted.metrics,
            notes=converted.notes,
            troubles=[_told(trouble, run_id) for trouble in run.troubles],
            languages=converted.names,
            kept_names=converted.kept_names,
            phases=converted.phases,
            clues=clues(converted.run, converted.exposure, converted.metrics, run.config),
        )
        self.new += before is None or before.skipped
        self.changed += before is not None and not before.skipped
        evals = converted.evals.select(pl.lit(run_id).alias("run_id"), pl.all())
        return self.store.add(part, evals)


def _told(trouble: Trouble, run_id: str) -> dict[str, Any]:
    return {"run_id": run_id, **asdict(trouble)}


def _refuse_another(source: Source, entries: Sequence[Entry], store: PartStore, out: Path) -> None:
    """A folder is the import of one source: another's runs would make all of the first look gone."""
    there = {key for key, part in store.parts.items() if not part.skipped}
    if there and not there & {entry.key for entry in entries}:
        old = next((p.run["source"] for p in store.parts.values() if p.run), "another source")
        what = f"holds the import of {old}, and {source.said} has none of its runs"
        raise InputError(what, where=str(out), hint="Choose another folder with -o.")


def _write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
