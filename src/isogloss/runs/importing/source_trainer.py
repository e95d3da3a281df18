"""Hugging Face's Trainer: `trainer_state.json` in a tree of run folders with checkpoints."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Columns, LoggedRun, Trouble, flat
from isogloss.runs.importing.source_parts import NotScalars, stamp

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_CONFIG, _WEIGHTS = "config.json", "*.safetensors"
# A header of tensors' names is far smaller; a length beyond it is no safetensors file.
_MOST_HEADER = 100_000_000


def holds(path: Path) -> bool:
    return path.name == _STATE if path.is_file() else next(path.rglob(_STATE), None) is not None


@dataclass
class TrainerState:
    """A folder with `trainer_state.json` in its `checkpoint-*`, or in itself, is a run; the newest state counts,
    which has the history of all before it."""

    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"trainer: {self.path}"

    def entries(self) -> Iterator[TrainerRun]:
        self.troubles.clear()
        found = [self.path] if self.path.is_file() else self.path.rglob(_STATE)
        runs: dict[Path, list[Path]] = {}
        for file in found:
            folder = file.parent
            runs.setdefault(folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder, []).append(file)
        if not runs:
            raise InputError(f"holds no {_STATE}", where=str(self.path))
        root = self.path if self.path.is_dir() else self.path.parent
        for folder, files in sorted(runs.items()):
            inside = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
            yield TrainerRun(folder.resolve().name if inside == "." else inside, folder, tuple(files))


@dataclass(frozen=True)
class TrainerRun:
    key: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def version(self) -> str:
        return stamp(sorted(self.files))

    def read(self) -> LoggedRun:
        troubles: list[Trouble] = []
        states = [(file, state) for file in self.files if (state := _state(file, troubles)) is not None]
        if not states:
            where = str(self.files[0] if len(self.files) == 1 else self.folder)
            what = troubles[0].what if troubles else f"has no {_STATE} that can be read"
            raise InputError(what, where=where, hint="Import again once it is whole.")
        file, state = max(states, key=lambda item: (item[1].get("global_step") or 0, item[0].parent == self.folder))
        columns, other = Columns(), NotScalars()
        _history(state.get("log_history"), file, columns, other, troubles)
        troubles += other.troubles(str(file))
        config = {**_config((file.parent, self.folder), troubles), **_facts(state)}
        return LoggedRun(self.key, self.key, _status(state), config, columns.series(), troubles)


def _state(file: Path, troubles: list[Trouble]) -> dict[str, Any] | None:
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"cannot be read, it may be half-written: {error}"
        troubles.append(Trouble(str(file), what, "Import again once it is whole."))
        return None
    if isinstance(state, dict) and isinstance(state.get("log_history", []), list):
        return state
    troubles.append(Trouble(str(file), "is no state of the Trainer: it has no log_history"))
    return None


def _history(raw: Any, file: Path, columns: Columns, other: NotScalars, troubles: list[Trouble]) -> None:
    bad = 0
    for row in raw or ():
        if not isinstance(row, dict) or not isinstance(row.get("step"), int | float):
            bad += 1
            continue
        for name, value in flat(row).items():
            if name == "step" or value is None:
                continue
            if isinstance(value, int | float) and not isinstance(value, bool):
                columns.add(name, int(row["step"]), float(value))
            else:
                other.add(name)
    if bad:
        troubles.append(Trouble(str(file), f"{bad} rows of its log_history have no step", "", bad))


def _status(state: Mapping[str, Any]) -> str:
    """Only the end is certain: a run that stopped before it may go on."""
    steps = state.get("max_steps") or 0
    return "finished" if 0 < steps <= (state.get("global_step") or 0) else ""


def _facts(state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the state keeps: batch size on a device, steps planned, tokens seen."""
    return {k: v for k, v in state.items() if isinstance(v, int | float | str) and not isinstance(v, bool)}


def _config(folders: Sequence[Path], troubles: list[Trouble]) -> dict[str, Any]:
    """The model's config.json, and N as its weights' shapes have it: shared ones are stored once."""
    for folder in dict.fromkeys(folders):
        path = folder / _CONFIG
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            troubles.append(Trouble(str(path), f"cannot be read: {error}", "Import again once it is whole."))
            continue
        if isinstance(found, dict):
            return flat(found) | _sizes(folder, troubles)
    return {}


def _sizes(folder: Path, troubles: list[Trouble]) -> dict[str, int]:
    total = embedding = 0
    files = sorted(folder.glob(_WEIGHTS))
    for path in files:
        try:
            shapes = _shapes(path)
        except (OSError, ValueError) as error:
            troubles.append(Trouble(str(path), f"its shapes cannot be read: {error}", "N is not known from it."))
            return {}
        for name, shape in shapes.items():
            count = math.prod(shape)
            total += count
            # Of the input and, where it is not shared, of the output.
            if re.search(r"(^|\.)(embed_tokens|wte|wpe|word_embeddings|embed_in|embed_out|lm_head)\.weight$", name):
                embedding += count
    if not total:
        return {}
    return {"params_total": total, "params_non_embedding": total - embedding}


def _shapes(path: Path) -> dict[str, list[int]]:
    """The header of a safetensors file: 8 bytes of length, then JSON."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length < _MOST_HEADER:
            raise ValueError("no safetensors header")
        header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("no safetensors header")
    return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
