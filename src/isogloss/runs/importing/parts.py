"""What was imported of each run: a Parquet file of its points, and a JSON file that says they are complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import polars as pl

from isogloss.errors import InputError
from isogloss.files import finite, new_file, write_text
from isogloss.runs.importing.accounts import MetricAccount, RunAccount

PARTS = "parts"
# Raised whenever the same points of a source would give another part.
FORMAT = 2


@dataclass(frozen=True)
class Part:
    """One run as imported, without its points. `skipped` runs are remembered so as not to be read again."""

    key: str
    version: str
    mapping: str
    """Fingerprint of the mapping that it was read by."""
    run_id: str
    name: str
    skipped: bool = False
    run: Mapping[str, Any] | None = None
    exposure: Sequence[Mapping[str, Any]] = ()
    metrics: Sequence[MetricAccount] = ()
    notes: Sequence[str] = ()
    troubles: Sequence[Mapping[str, Any]] = ()
    languages: Mapping[str, str] | None = None
    kept_names: Sequence[str] = ()
    phases: Mapping[str, int] = field(default_factory=dict)
    """Points of losses by phase of the learning rate, where it is known."""
    clues: Mapping[str, Any] = field(default_factory=dict)
    """Settings in which what the run lacks may stand."""
    points: int = 0
    sha256: str = ""
    gone: bool = False

    @property
    def account(self) -> RunAccount:
        status = self.run["status"] if self.run else None
        lost = sum(trouble["lost"] or 0 for trouble in self.troubles)
        return RunAccount(
            self.run_id, self.key, self.name, status, self.metrics, lost, tuple(self.notes), gone=self.gone
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        metrics = tuple(MetricAccount(**metric) for metric in raw["metrics"])
        return cls(**{**raw, "metrics": metrics})


class PartStore:
    """The parts of a study folder, by the key of their run. Each is whole or not there."""

    def __init__(self, folder: Path):
        self.folder = folder / PARTS
        self.parts: dict[str, Part] = {part.key: part for part in self._read()}
        self._ids = {part.run_id: part.key for part in self.parts.values() if part.run_id}

    def _read(self) -> Iterator[Part]:
        for path in sorted(self.folder.glob("*.json")):
            try:
                raw = json.loads(path.read_text(encoding="utf-8"))
                if raw.pop("format") == FORMAT:
                    yield Part.from_json(raw)
            except (ValueError, KeyError, TypeError, AssertionError):
                # Written by another release, or damaged: the run is read again.
                continue
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error

    def current(self, key: str, version: str, mapping: str) -> Part | None:
        """The part of a run that need not be read again."""
        part = self.parts.get(key)
        if part is None or not version or (part.version, part.mapping) != (version, mapping):
            return None
        if not part.skipped and not self.points(part).exists():
            return None
        return part

    def run_id(self, key: str, name: str) -> str:
        """The tracker's name of the run, made unique; once given it stays."""
        part = self.parts.get(key)
        if part is not None and part.run_id:
            return part.run_id
        base = " ".join(name.split()) or key
        tail = key.rstrip("/").rsplit("/", 1)[-1]
        tried = (base, f"{base}-{tail}" if len(tail) <= 16 and tail != base else "", f"{base}-{_digest(key)[:8]}")
        return next(name for name in tried if name and self._ids.get(name, key) == key)

    def points(self, part: Part) -> Path:
        return self.folder / f"{_digest(part.key)[:24]}.parquet"

    def add(self, part: Part, evals: pl.DataFrame | None = None) -> Part:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.points(part)
        if evals is not None:
            with new_file(path) as temporary:
                evals.write_parquet(temporary)
                sha256 = hashlib.sha256(temporary.read_bytes()).hexdigest()
            part = replace(part, points=evals.height, sha256=sha256)
        self._write(part)
        return part

    def mark_gone(self, part: Part, gone: bool) -> Part:
        if part.gone != gone:
            part = replace(part, gone=gone)
            self._write(part)
        return part

    def _write(self, part: Part) -> None:
        write_text(self.points(part).with_suffix(".json"), part_text(part))
        self.parts[part.key] = part
        if part.run_id:
            self._ids[part.run_id] = part.key


def part_text(part: Part) -> str:
    return json.dumps(finite({"format": FORMAT, **asdict(part)}), ensure_ascii=False, default=str) + "\n"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
