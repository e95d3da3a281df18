"""TensorBoard: event files in a tree, a run per folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.runs.importing.event_file import Events, read_events
from isogloss.runs.importing.logged import LoggedRun, Series, Trouble, flat
from isogloss.runs.importing.mlflow_folder import read_yaml
from isogloss.runs.importing.source_parts import NotScalars, library, stamp

_MARK = "tfevents"
_TIME = re.compile(r"tfevents\.(\d+)")
# Beside event files of PyTorch Lightning.
_SETTINGS = "hparams.yaml"
_HPARAMS = "_hparams_/"
_SESSION, _SMALL = b"_hparams_/session_start_info", 1 << 16
_DONE = {1: "finished", 2: "failed", 3: "running"}
_SESSION_START = 1
# DataType of tensorflow's types.proto, for scalars kept as tensors.
_FLOATS = {1: ("<f4", "float_val"), 2: ("<f8", "double_val"), 3: ("<i4", "int_val"), 9: ("<i8", "int64_val")}


def holds(path: Path) -> bool:
    return next(_files(path), None) is not None


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield from [path] if _MARK in path.name else []
    else:
        yield from (p for p in path.rglob(f"*{_MARK}*") if p.is_file())


@dataclass
class TensorBoard:
    """Event files under a path. Those of one folder are pieces of a run, in order of time; so are the settings that
    SummaryWriter's `add_hparams` writes into a folder within."""

    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"tensorboard: {self.path}"

    def entries(self) -> Iterator[EventFolder]:
        self.troubles.clear()
        folders: dict[Path, list[Path]] = {}
        for file in _files(self.path):
            folders.setdefault(file.parent, []).append(file)
        if not folders:
            raise InputError("holds no event files (*tfevents*)", where=str(self.path))
        for folder in [f for f in sorted(folders) if f.parent in folders and _is_session(folders[f])]:
            folders[folder.parent] += folders.pop(folder)
        for folder, files in sorted(folders.items()):
            inside = folder.relative_to(self.path).as_posix() if self.path.is_dir() else "."
            key = folder.resolve().name if inside == "." else inside
            yield EventFolder(key, folder, tuple(sorted(files, key=_when)))


def _is_session(files: Sequence[Path]) -> bool:
    """Whether files hold a run's settings and little else."""
    return all(f.stat().st_size < _SMALL and _SESSION in f.read_bytes() for f in files)


def _when(file: Path) -> tuple[int, str]:
    found = _TIME.search(file.name)
    return (int(found[1]) if found else 0, file.name)


@dataclass(frozen=True)
class EventFolder:
    """A restart that says from which step it goes on (SummaryWriter's `purge_step`) replaces what was logged from
    that step on, as TensorBoard shows it; a Trouble says how many points."""

    key: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def version(self) -> str:
        settings = self.folder / _SETTINGS
        return stamp((*self.files, *([settings] if settings.exists() else [])))

    def read(self) -> LoggedRun:
        troubles: list[Trouble] = []
        gathered = _Gathered()
        for file in self.files:
            gathered.take(read_events(file, troubles))
        metrics, purged = gathered.series()
        if purged:
            what = f"{purged} points were logged before a restart that went on from an earlier step: replaced by it"
            troubles.append(Trouble(str(self.folder), what, "", purged))
        troubles += gathered.not_scalars.troubles(str(self.folder))
        config = {**self._settings(troubles), **gathered.config}
        return LoggedRun(self.key, self.key, gathered.status, config, metrics, troubles)

    def _settings(self, troubles: list[Trouble]) -> dict[str, Any]:
        path = self.folder / _SETTINGS
        # An empty one is what Lightning writes of a model without settings.
        if not path.exists() or path.read_bytes().strip() in (b"", b"{}"):
            return {}
        try:
            return flat(read_yaml(path))
        except InputError as error:
            troubles.append(Trouble(error.where or "", error.what, error.hint or ""))
            return {}


@dataclass
class _Gathered:
    """Points of several files, with the restarts between them."""

    points: dict[str, list[tuple[np.ndarray, ...]]] = field(default_factory=dict)
    restarts: list[tuple[int, int]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    not_scalars: NotScalars = field(default_factory=NotScalars)
    status: str = ""
    # Records of the files before: places go on from file to file.
    records: int = 0

    def take(self, events: Events) -> None:
        last = 0
        for tag, parts in events.scalars.items():
            for place, *rest in parts:
                self._put(tag, place, *rest)
                last = max(last, int(place[-1]) + 1)
        for place, event in events.others:
            last = max(last, place + 1)
            if event.HasField("session_log") and event.session_log.status == _SESSION_START:
                self.restarts.append((self.records + place, event.step))
            for value in event.summary.value:
                number = self._value(value)
                if number is not None:
                    one = (np.asarray([x]) for x in (place, event.step, event.wall_time, number))
                    self._put(value.tag, *one)
        self.records += last

    def _put(self, tag: str, place: np.ndarray, *rest: np.ndarray) -> None:
        self.points.setdefault(tag, []).append((place + self.records, *rest))

    def _value(self, value: Any) -> float | None:
        """A scalar, or None of what is none; settings are taken up."""
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            return value.simple_value
        plugin = value.metadata.plugin_data
        if plugin.plugin_name == "hparams" or value.tag.startswith(_HPARAMS):
            self._hparams(plugin.content)
            return None
        if kind == "tensor":
            number = _number(value.tensor)
            if number is not None:
                return number
            if self._text(value):
                return None
        if kind is not None:
            self.not_scalars.add(value.tag)
        return None

    def _text(self, value: Any) -> bool:
        """Settings that were logged as the JSON of a table, as Hugging Face's Trainer does it."""
        texts = value.tensor.string_val
        if len(texts) != 1 or not texts[0].lstrip().startswith(b"{"):
            return False
        try:
            found = json.loads(texts[0])
        except ValueError:
            return False
        self.config |= flat(found, f"{value.tag.removesuffix('/text_summary')}.")
        return True

    def _hparams(self, content: bytes) -> None:
        plugin = library("tensorboard.plugins.hparams.plugin_data_pb2", "TensorBoard's settings")
        found = plugin.HParamsPluginData.FromString(content)
        for name, value in found.session_start_info.hparams.items():
            kind = value.WhichOneof("kind")
            if kind in ("number_value", "string_value", "bool_value"):
                self.config[name] = getattr(value, kind)
        if found.HasField("session_end_info"):
            self.status = _DONE.get(found.session_end_info.status, "")

    def series(self) -> tuple[dict[str, Series], int]:
        """The metrics in the order of their records, and how many points restarts replaced."""
        metrics: dict[str, Series] = {}
        first: dict[str, int] = {}
        purged = 0
        for tag, parts in self.points.items():
            place, step, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
            order = np.argsort(place, kind="stable")
            place, step = place[order], step[order].astype(np.int64)
            kept = np.ones(len(place), bool)
            for restart, begin in self.restarts:
                kept &= ~((place < restart) & (step >= begin))
            purged += int((~kept).sum())
            metrics[tag] = Series(step[kept], value[order].astype(float)[kept], time[order][kept])
            first[tag] = int(place[0])
        return {tag: metrics[tag] for tag in sorted(metrics, key=first.__getitem__)}, purged


def _number(tensor: Any) -> float | None:
    """The value of a tensor of one number."""
    if tensor.dtype not in _FLOATS or any(dim.size != 1 for dim in tensor.tensor_shape.dim):
        return None
    form, name = _FLOATS[tensor.dtype]
    listed: Sequence[float] = getattr(tensor, name)
    if len(listed) == 1:
        return float(listed[0])
    raw = tensor.tensor_content
    return float(np.frombuffer(raw, form)[0]) if len(raw) == np.dtype(form).itemsize else None
