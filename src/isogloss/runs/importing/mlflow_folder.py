"""MLflow's store of files: a folder per experiment, in it one per run, a file per metric, param and tag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.runs.importing.logged import LoggedRun, Series, Trouble
from isogloss.runs.importing.mlflow_texts import NAME_TAG, STATUS, deleted, settings
from isogloss.runs.importing.source_parts import library, stamp

# Numbers of the enum RunStatus in MLflow's service.proto.
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


def is_store(path: Path) -> bool:
    """Whether a folder holds experiments, or is an experiment or a run."""
    if not path.is_dir():
        return False
    return _is_run(path) or any(_is_run(p) for p in path.glob("*/")) or any(path.glob("[!.]*/meta.yaml"))


def _is_run(folder: Path) -> bool:
    return (folder / "meta.yaml").is_file() and (folder / "metrics").is_dir()


@dataclass
class MlflowFolder:
    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"mlflow: {self.path}"

    def entries(self) -> Iterator[FolderRun]:
        self.troubles.clear()
        gone: list[str] = []
        for folder in self._without_meta():
            hint = "MLflow writes it when a run begins: restore it, or remove the folder."
            self.troubles.append(Trouble(str(folder), "is a run without meta.yaml, and is not read", hint))
        for folder in self._folders():
            meta = self._meta(folder)
            if meta is None:
                continue
            name = str(meta.get("run_name") or "") or _text(folder / "tags" / NAME_TAG) or folder.name
            if meta.get("lifecycle_stage") == "deleted":
                gone.append(name)
                continue
            status = meta.get("status")
            word = STATUS.get(_STATUS.get(status, "") if isinstance(status, int) else str(status), "")
            yield FolderRun(folder, folder.name, name, word, self._experiment(folder.parent))
        gone += [p.name for p in sorted(self.path.glob(".trash/*/*/")) if _is_run(p)]
        self.troubles += deleted(str(self.path), gone)

    def _folders(self) -> list[Path]:
        """Runs by experiment and key. Those of experiments that were thrown away lie in `.trash`."""
        if _is_run(self.path):
            return [self.path]
        found = [p for glob in ("*/", "[!.]*/*/") for p in self.path.glob(glob) if _is_run(p)]
        return sorted(found, key=lambda p: (p.parent.name, p.name))

    def _without_meta(self) -> list[Path]:
        found = [p for glob in ("*/", "[!.]*/*/") for p in self.path.glob(glob) if (p / "metrics").is_dir()]
        return sorted(p for p in found if not (p / "meta.yaml").exists())

    def _meta(self, folder: Path) -> dict[str, Any] | None:
        path = folder / "meta.yaml"
        try:
            return read_yaml(path)
        except InputError as error:
            self.troubles.append(Trouble(str(path), error.what, error.hint or ""))
            return None

    def _experiment(self, folder: Path) -> str:
        try:
            return str(read_yaml(folder / "meta.yaml").get("name") or "")
        except InputError:
            return ""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a table. Raises InputError where it cannot be read or is half-written."""
    yaml = library("yaml", "MLflow's files")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())[:160]
        hint = "Import again once it is whole."
        raise InputError(f"cannot be read: {said}", where=str(path), hint=hint) from None
    if not isinstance(found, dict):
        raise InputError("is empty or half-written", where=str(path), hint="Import again once it is whole.")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


@dataclass(frozen=True)
class FolderRun:
    folder: Path
    key: str
    name: str
    status: str
    experiment: str

    @property
    def version(self) -> str:
        files = [
            self.folder / "meta.yaml",
            *(p for kind in ("metrics", "params", "tags") for p, _ in self._files(kind)),
        ]
        return stamp(files)

    def _files(self, kind: str) -> Iterator[tuple[Path, str]]:
        """Files and names: a name with slashes is a path."""
        root = self.folder / kind
        for path in sorted(root.rglob("*")):
            if path.is_file():
                yield path, path.relative_to(root).as_posix()

    def read(self) -> LoggedRun:
        troubles: list[Trouble] = []
        metrics: dict[str, Series] = {}
        for path, name in self._files("metrics"):
            metrics[name] = read_metric(path, troubles)
        params = {name: _text(path) for path, name in self._files("params")}
        tags = {name: _text(path) for path, name in self._files("tags")}
        config = settings(params, tags, self.experiment)
        return LoggedRun(self.key, self.name, self.status, config, metrics, troubles)


def read_metric(path: Path, troubles: list[Trouble]) -> Series:
    """A file of lines "milliseconds value step"; the first releases wrote no step."""
    try:
        data = path.read_bytes()
    except OSError as error:
        troubles.append(Trouble(str(path), f"cannot be read: {error.strerror}"))
        return _series([])
    lines = data.splitlines()
    rows: list[list[float]] = []
    bad: list[int] = []
    cut = bool(lines) and not data.endswith(b"\n")
    for number, line in enumerate(lines[: len(lines) - cut], start=1):
        cells = line.split()
        try:
            # A fourth and fifth cell name a data set.
            rows.append([float(cells[0]), float(cells[1]), float(cells[2]) if len(cells) > 2 else 0.0])
        except (ValueError, IndexError):
            bad.append(number)
    if cut:
        what = "the last line is half-written: everything before it is read"
        troubles.append(Trouble(str(path), what, "Import again once the run has gone on.", 1))
    if bad:
        shown = ", ".join(map(str, bad[:5]))
        troubles.append(Trouble(str(path), f"{len(bad)} lines cannot be read: {shown}", lost=len(bad)))
    return _series(rows)


def _series(rows: list[list[float]]) -> Series:
    table = np.asarray(rows, float).reshape(-1, 3)
    return Series(table[:, 2].astype(np.int64), table[:, 1].copy(), table[:, 0] / 1000)
