"""How to get an answer again: the command, the hashes of what was read, and the versions."""

from __future__ import annotations

import hashlib
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.planning.question import TRANSFER, Question, read_question
from isogloss.report.card import Card
from isogloss.stores import local

# What the package itself was, and what computed the numbers.
PACKAGES = ("isogloss", "jax", "numpy")
DEFAULTS = {"draws": 100, "level": 0.8, "seed": 0}


@dataclass(frozen=True)
class Input:
    """A file that was read, under the name that the user gave it."""

    what: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Reproduce:
    command: str
    inputs: tuple[Input, ...]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "inputs": [{"what": i.what, "path": i.path, "sha256": i.sha256} for i in self.inputs],
            "versions": dict(self.versions),
        }


def reproduce(
    questions: Sequence[Path],
    *,
    given: Path | None = None,
    N: str | None = None,
    D: str | None = None,
    draws: int = 100,
    level: float = 0.8,
    seed: int = 0,
    allow_assumed: bool = False,
) -> Reproduce:
    """For `isogloss plan` with these arguments; hashes the questions, and each fit and matrix that they name.

    Raises InputError for a question that cannot be read.
    """
    words = ["isogloss", "plan", *(str(q) for q in questions)]
    for name, value in (("--given", given), ("--N", N), ("--D", D)):
        words += [name, str(value)] if value is not None else []
    for name, value in (("draws", draws), ("level", level), ("seed", seed)):
        words += [f"--{name}", f"{value:g}"] if value != DEFAULTS[name] else []
    words += ["--allow-assumed"] * allow_assumed
    inputs: list[Input] = []
    for question in questions:
        asked = read_question(question := Path(local(question)))
        inputs += [Input("question", str(question), _sha256(question)), *_named(asked)]
    if given is not None and (given := Path(local(given))).is_file():
        inputs.append(Input("mixture", str(given), _sha256(given)))
    versions = {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
    return Reproduce(shlex.join(words), tuple(dict.fromkeys(inputs)), versions)


def reproduce_card(made: Reproduce) -> Card:
    return Card(
        id="reproduce",
        title="How to reproduce this",
        sentence=made.command,
        table=pl.DataFrame(
            {
                "Input": [i.what for i in made.inputs],
                "File": [i.path for i in made.inputs],
                "SHA-256": [i.sha256 for i in made.inputs],
            }
        ),
        notes=(f"Versions: {', '.join(f'{name} {number}' for name, number in made.versions.items())}.",),
    )


def _named(asked: Question) -> Iterator[Input]:
    """Fits, runs and the matrix of transfer that a question names."""
    for need in asked.languages.values():
        if need.fit is not None:
            yield from _files("fit", Path(need.fit))
    if asked.runs is not None:
        yield from _files("runs", Path(asked.runs))
    if asked.start is not None and asked.start.runs is not None:
        yield from _files("runs", Path(asked.start.runs))
    if asked.assumptions.transfer not in TRANSFER:
        yield from _files("transfer", Path(asked.assumptions.transfer))


def _files(what: str, path: Path) -> Iterator[Input]:
    """The file, or the files of the folder; pages for people are not read."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file() and p.suffix != ".html")
    for file in files:
        yield Input(what, str(file), _sha256(file))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
