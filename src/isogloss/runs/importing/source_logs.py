"""Plain logs: JSONL or CSV, a file per run, or one file with a column that names the run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.runs.importing.log_rows import logged
from isogloss.runs.importing.logged import LoggedRun, Trouble, flat

_JSON, _CSV = (".jsonl", ".ndjson"), (".csv", ".tsv")
SUFFIXES = (*_JSON, *_CSV)
RUN = ("run_id", "run", "run_name")
# Files that are named after what they hold; their folder is named after the run.
_GENERIC = frozenset({"metrics", "log", "logs", "history", "train_log", "progress", "results", "train", "output"})
_CONFIGS = ("config.json", "args.json", "hparams.json")


def holds(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES if path.is_file() else any(_files(path))


def _files(folder: Path) -> Iterator[Path]:
    yield from (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file())


@dataclass(frozen=True)
class Line:
    """A row of a log. `number` is the line in the file; `text` is kept to tell whether a run has changed."""

    number: int
    text: str
    cells: Mapping[str, Any]


@dataclass
class Logs:
    """Every .jsonl and .csv file under a path is a run, unless its rows name their runs."""

    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"logs: {self.path}"

    def entries(self) -> Iterator[LogFile | LogRows]:
        self.troubles.clear()
        files = [self.path] if self.path.is_file() else list(_files(self.path))
        if not files:
            raise InputError("holds no .jsonl or .csv", where=str(self.path))
        for file in files:
            key = file.name if file == self.path else file.relative_to(self.path).as_posix()
            yield from self._of(file, key)

    def _of(self, file: Path, key: str) -> Iterator[LogFile | LogRows]:
        try:
            column = _run_column(file)
        except InputError as error:
            self.troubles.append(Trouble(str(file), error.what, error.hint or ""))
            return
        if column is None:
            yield LogFile(file, key)
            return
        lines, troubles = read_lines(file)
        self.troubles += troubles
        runs: dict[str, list[Line]] = {}
        for line in lines:
            runs.setdefault(str(line.cells.get(column)), []).append(line)
        for name, rows in runs.items():
            yield LogRows(f"{key}#{name}", name, column, rows)


@dataclass(frozen=True)
class LogFile:
    """A file of one run."""

    file: Path
    key: str

    @property
    def version(self) -> str:
        parts = (self.file, *(p for p in _configs(self.file) if p.exists()))
        try:
            return " ".join(f"{(s := p.stat()).st_size}:{s.st_mtime_ns}" for p in parts)
        except OSError:
            # Gone since it was listed: reading it says so.
            return ""

    @property
    def name(self) -> str:
        parts = self.key.split("/")
        stem = self.file.stem
        if stem.casefold() in _GENERIC and len(parts) > 1:
            return "/".join(parts[:-1])
        return "/".join((*parts[:-1], stem))

    def read(self) -> LoggedRun:
        lines, troubles = read_lines(self.file)
        config: dict[str, Any] = {}
        for path in _configs(self.file):
            if path.exists():
                found, trouble = _config(path)
                config = {**found, **config}
                troubles += trouble
        return logged(self.key, self.name, [line.cells for line in lines], config, troubles)


@dataclass(frozen=True)
class LogRows:
    """The rows of one run in a file of several."""

    key: str
    name: str
    column: str
    lines: list[Line]

    @property
    def version(self) -> str:
        digest = hashlib.sha256()
        for line in self.lines:
            digest.update(line.text.encode())
        return digest.hexdigest()[:24]

    def read(self) -> LoggedRun:
        rows = [{k: v for k, v in line.cells.items() if k != self.column} for line in self.lines]
        return logged(self.key, self.name, rows, {}, [])


def _configs(file: Path) -> list[Path]:
    """Settings beside a log: those named after it, and a config.json where the folder is the run's."""
    own = [file.with_suffix(".config.json")]
    return own + [file.parent / name for name in _CONFIGS if file.stem.casefold() in _GENERIC]


def _config(path: Path) -> tuple[dict[str, Any], list[Trouble]]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [Trouble(str(path), f"settings cannot be read: {error}", "Import again once it is whole.")]
    return (flat(raw), []) if isinstance(raw, dict) else ({}, [Trouble(str(path), "is no JSON object")])


def _run_column(file: Path) -> str | None:
    """The column that names the run, by the first row."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1 << 16)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(file)) from error
    lines = head.decode("utf-8", errors="replace").splitlines()
    first = next((line for line in lines if line.strip()), "")
    if file.suffix.lower() in _CSV:
        names = next(csv.reader([first], delimiter=_delimiter(file, first)), [])
    else:
        try:
            record = json.loads(first)
        except ValueError:
            return None
        names = list(record) if isinstance(record, dict) else []
    return next((name for name in RUN if name in names), None)


def _delimiter(file: Path, header: str) -> str:
    if file.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=header.count)


def read_lines(file: Path) -> tuple[list[Line], list[Trouble]]:
    """The rows that can be read, and what cannot: a last line that is being written, lines that are no rows."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(file)) from error
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    cut = bool(text) and not text.endswith(("\n", "\r"))
    last = text.count("\n") + cut
    lines, bad = _csv(file, text) if file.suffix.lower() in _CSV else _jsonl(text)
    if cut and file.suffix.lower() in _CSV and lines and lines[-1].number >= last:
        # Its last number may be the beginning of another.
        lines.pop()
        bad.append(last)
    troubles: list[Trouble] = []
    if cut and last in bad:
        bad.remove(last)
        what = f"line {last}, the last, is half-written: everything before it is read"
        hint = "Import again once the run has gone on. If the line is whole, end it with a newline."
        troubles.append(Trouble(str(file), what, hint, 1))
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (" ..." if len(bad) > 5 else "")
        hint = "Each line must be one JSON object." if file.suffix.lower() in _JSON else "Has it the header's cells?"
        troubles.append(Trouble(str(file), f"{len(bad)} lines cannot be read: {shown}", hint, len(bad)))
    return lines, troubles


def _jsonl(text: str) -> tuple[list[Line], list[int]]:
    lines: list[Line] = []
    bad: list[int] = []
    # Not splitlines: JSON text may hold other line separators.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            bad.append(number)
            continue
        if isinstance(record, dict):
            lines.append(Line(number, line, flat(record)))
        else:
            bad.append(number)
    return lines, bad


def _csv(file: Path, text: str) -> tuple[list[Line], list[int]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(file, text.partition("\n")[0]))
    lines: list[Line] = []
    bad: list[int] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) != len(header):
                bad.append(reader.line_num)
            # A logger that is started again writes its header again.
            elif [cell.strip() for cell in cells] != header:
                record = {name: _cell(cell) for name, cell in zip(header, cells, strict=True) if cell.strip()}
                lines.append(Line(reader.line_num, "\t".join(cells), record))
    except csv.Error:
        bad.append(reader.line_num)
    return lines, bad


def _cell(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text.strip()
