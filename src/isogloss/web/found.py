"""The user's own files in the served folder, by name and kind. Nothing outside of it is ever opened."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isogloss.errors import InputError
from isogloss.runs.source import READERS
from isogloss.runs.study_table import is_study

Kind = Literal["question", "runs", "study", "fit", "transfer", "page"]
KINDS: dict[Kind, str] = {
    "question": "question",
    "runs": "table of runs",
    "study": "study",
    "fit": "fit",
    "transfer": "transfer scores",
    "page": "saved answer",
}
# A folder of thousands of files is a home, not a project.
MOST, DEEPEST = 300, 4
# Verbs write their page beside the numbers under these names.
PAGES = tuple(
    f"{name}.html" for name in ("plan", "given", "plans", "compare", "expand", "crossover", "design", "runs", "report")
)
# What lies beside such a page is a part of the answer.
PARTS = ("predictions.parquet", "draws.parquet", "rows.parquet", "scores.csv", "curves.parquet")
CHANGES = {"row", "column", "was", "now", "code"}
LARGEST_TEXT = 5_000_000


@dataclass(frozen=True)
class Found:
    name: str
    """Relative to the served folder, with slashes: what links and lists say."""
    kind: Kind
    path: Path


def find(root: Path) -> tuple[Found, ...]:
    """What isogloss can show of a file or a folder, by name. Links that lead out of the folder are left out."""
    whole = root.resolve()
    base = whole if whole.is_dir() else whole.parent
    found = []
    for path in _walk(whole, base, 0):
        kind = _kind(path)
        if kind is not None:
            name = path.relative_to(base).as_posix()
            found.append(Found(base.name if name == "." else name, kind, path))
        if len(found) >= MOST:
            break
    return tuple(sorted(found, key=lambda f: (f.kind, f.name)))


def chosen(found: tuple[Found, ...], name: str, *kinds: Kind) -> Found:
    """The one of that name: only what was found is opened, whatever a link says. InputError if there is none."""
    for entry in found:
        if entry.name == name and (not kinds or entry.kind in kinds):
            return entry
    raise InputError(f"there is no {' or '.join(KINDS[k] for k in kinds) or 'file'} {name!r} in the served folder")


def inside(path: Path, root: Path) -> bool:
    """Whether `path`, with every link followed, lies in the served folder (or is the served file)."""
    whole = root.resolve()
    try:
        return path.resolve(strict=True).is_relative_to(whole)
    except (OSError, RuntimeError):
        return False


def check_inside(folder: Path, root: Path) -> None:
    """InputError if a part of a fit or study is a link that leads out of the served folder."""
    parts = [folder, *folder.rglob("*")] if folder.is_dir() else [folder]
    for part in parts:
        if not inside(part, root):
            raise InputError("a part of it lies outside the served folder", where=part.name, hint="Copy it inside.")


def _walk(path: Path, root: Path, depth: int) -> Iterator[Path]:
    """The folder's entries that are ours to show, those of a fit or study as one."""
    if not inside(path, root) or path.name.startswith(".") or depth > DEEPEST:
        return
    # A link to a folder leads round in circles, or shows twice what is shown already.
    if path.is_symlink() and path.is_dir():
        return
    yield path
    if path.is_dir() and _kind(path) is None:
        try:
            entries = sorted(path.iterdir())
        except OSError:
            return
        for entry in entries:
            yield from _walk(entry, root, depth + 1)


def _kind(path: Path) -> Kind | None:
    if path.is_dir():
        if is_study(path):
            return "study"
        if (path / "fit.json").is_file():
            return "fit"
        if (path / "transfer.json").is_file() or (path / "evidence.csv").is_file():
            return "transfer"
        return None
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return "question" if _is_question(path) else None
    if path.name in PAGES:
        return "page"
    if path.name in PARTS:
        return None
    if suffix not in READERS:
        return None
    words = _columns(path)
    # What `runs lint --fix` changed, cell by cell: a part of the table beside it.
    if words >= CHANGES:
        return None
    return "transfer" if {"target", "source"} <= words and words & {"bts", "tau"} else "runs"


def _is_question(path: Path) -> bool:
    try:
        said = tomllib.loads(_start_of(path).decode("utf-8-sig"))
    except (OSError, ValueError):
        return False
    return "budget" in said and "languages" in said


def _columns(path: Path) -> set[str]:
    """Those of a table of text, by its first line; of binary tables that is not looked at."""
    if path.suffix.lower() not in (".csv", ".tsv", ".jsonl"):
        return set()
    try:
        with path.open("rb") as file:
            line = file.readline(10_000).decode("utf-8-sig", "replace")
    except OSError:
        return set()
    if path.suffix.lower() == ".jsonl":
        try:
            return set(json.loads(line))
        except (ValueError, TypeError):
            return set()
    return {w.strip().strip('"').casefold() for w in line.replace("\t", ",").split(",")}


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_TEXT)
