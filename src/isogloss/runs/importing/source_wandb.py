"""Weights & Biases: offline run folders as the library wrote them, and projects through the API."""

from __future__ import annotations

import netrc
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Columns, LoggedRun, Series, Trouble, flat
from isogloss.runs.importing.source_parts import NotScalars, library, stamp
from isogloss.runs.importing.wandb_file import Pieces, messages, nested, read_file

_DENIED = ("401", "403", "nauthorized", "ermission denied", "API key")
# Seconds that one answer may take.
_TIMEOUT = 30
_STATUS = {"finished": "finished", "running": "running", "crashed": "failed", "failed": "failed", "killed": "killed"}


def holds(path: Path) -> bool:
    return any(True for _ in _files(path))


def _files(path: Path) -> Iterator[Path]:
    """Record files under a path, each once: `latest-run` is a link to another."""
    found = [path] if path.is_file() else sorted(path.rglob("*.wandb"))
    seen: set[Path] = set()
    for file in found:
        real = file.resolve()
        if file.suffix != ".wandb" or not file.is_file() or real in seen:
            continue
        seen.add(real)
        if file.parent.name != "latest-run" or path.is_file():
            yield file


@dataclass
class WandbOffline:
    """Runs on disk: a folder with `wandb/offline-run-*/run-*.wandb` in it, or one .wandb file.

    A run that was resumed under its id has several folders: they are its pieces, read in order of time. Values of the
    summary that a run set itself, and did not log, are metrics of one point at its last step.
    """

    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"wandb: {self.path}"

    def entries(self) -> Iterator[OfflineRun]:
        self.troubles.clear()
        runs: dict[str, list[Path]] = {}
        for file in _files(self.path):
            runs.setdefault(self._key(file), []).append(file)
        if not runs:
            raise InputError("holds no .wandb file", where=str(self.path))
        for key, files in sorted(runs.items()):
            # The folders' names begin with the time: offline-run-20250101_120000-id.
            yield OfflineRun(key, tuple(sorted(files, key=lambda f: (_time_of(f.parent.name), str(f)))))

    def _key(self, file: Path) -> str:
        run_id = file.stem.removeprefix("run-")
        place = file.parent.parent
        if self.path.is_file() or not place.is_relative_to(self.path):
            return run_id
        return (place.relative_to(self.path) / run_id).as_posix()


def _time_of(folder: str) -> str:
    return folder.partition("run-")[2]


@dataclass(frozen=True)
class OfflineRun:
    key: str
    files: tuple[Path, ...]

    @property
    def version(self) -> str:
        return stamp(self.files)

    def read(self) -> LoggedRun:
        found = messages()
        pieces = Pieces()
        for file in self.files:
            read_file(file, found, pieces)
        name = pieces.name or self.key.rsplit("/", 1)[-1]
        metrics = pieces.columns.series()
        troubles = [*pieces.troubles, *pieces.not_scalars.troubles(str(self.files[0].parent))]
        only = not any(True for name in metrics if not name.startswith("_"))
        added = _summary(pieces.summary, metrics, pieces.last_step)
        if added and only:
            what = f"has no history: {len(added)} values of its summary are read as points at step {pieces.last_step}"
            troubles.append(Trouble(str(self.files[0]), what))
        config = flat({k: v for k, v in pieces.config.items() if k != "_wandb"})
        return LoggedRun(self.key, name, pieces.status, config, {**metrics, **added}, troubles)


def _summary(summary: Mapping[str, Any], logged: Mapping[str, Any], step: int) -> dict[str, Series]:
    """Numbers that stand in the summary alone, as metrics of one point."""
    columns = Columns()
    for name, value in flat(summary).items():
        # Of a logged metric "loss" the summary may hold "loss.min".
        own = name not in logged and name.rpartition(".")[0] not in logged and not name.startswith("_")
        if own and isinstance(value, int | float) and not isinstance(value, bool):
            columns.add(name, step, float(value))
    return columns.series()


# --- through the API ----------------------------------------------------------------------------------------


@dataclass
class WandbApi:
    """`entity/project` or `entity/project/run_id`, with the whole history of every run, not a sample of it.

    Needs a key, as `wandb login` or WANDB_API_KEY gives it; never asks for one.
    """

    text: str
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"wandb: {self.text}"

    def entries(self) -> Iterator[ApiRun]:
        self.troubles.clear()
        parts = self.text.strip("/").split("/")
        if len(parts) not in (2, 3) or not all(parts):
            hint = "Write wandb:entity/project or wandb:entity/project/run_id; a folder must exist."
            raise InputError("is neither a folder nor a project of Weights & Biases", where=self.text, hint=hint)
        api = _api()
        with _Told(self.text):
            project = "/".join(parts[:2])
            found = [api.run("/".join(parts))] if len(parts) == 3 else api.runs(project, order="+created_at")
            for run in found:
                yield ApiRun(run, run.id)


def _api() -> Any:
    wandb = library("wandb", "Weights & Biases")
    if not _key_is_known(wandb):
        hint = "Run `wandb login`, or set WANDB_API_KEY. Runs on disk need no key: name their folder."
        raise InputError("Weights & Biases asks for a login, and there is no key", where="wandb", hint=hint)
    with _Told("wandb"):
        return wandb.Api(timeout=_TIMEOUT)


def _key_is_known(wandb: Any) -> bool:
    """Without a key wandb.Api would ask for one at the terminal."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url).hostname or ""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class _Told:
    """Errors of the library and the net as InputErrors that say what to do; they never show a key."""

    def __init__(self, where: str):
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, InputError):
            return
        import requests
        from wandb import errors

        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        key = os.environ.get("WANDB_API_KEY")
        said = said.replace(key, "...") if key else said
        # A login that cannot be checked because nobody answers is told as a wrong one.
        silent = "did not respond" in said or "connect" in said
        denied = isinstance(error, errors.AuthenticationError) or any(word in said for word in _DENIED)
        if denied and not silent:
            hint = "Check the name, and the key: `wandb login --relogin`, or WANDB_API_KEY."
            raise InputError("Weights & Biases refuses the login", where=self.where, hint=hint) from None
        if isinstance(error, errors.Error | requests.RequestException | ValueError | OSError):
            hint = "Check the name (entity/project) and the connection, and import again: what was read is kept."
            raise InputError(f"Weights & Biases cannot be read: {said}", where=self.where, hint=hint) from None


@dataclass(frozen=True, eq=False)
class ApiRun:
    run: Any
    key: str

    @property
    def version(self) -> str:
        """Of a run that goes on nothing is told: it is read whenever it is imported."""
        run = self.run
        if run.state in ("running", "pending"):
            return ""
        return " ".join(str(getattr(run, name, "")) for name in ("state", "historyLineCount", "heartbeatAt"))

    def read(self) -> LoggedRun:
        run = self.run
        where = "/".join(run.path)
        columns, other = Columns(), NotScalars()
        with _Told(where):
            rows, last = _rows(run.scan_history(), columns, other)
            summary = dict(run.summary_metrics)
            config = flat({k: v for k, v in dict(run.config).items() if not k.startswith("_wandb")})
        troubles = other.troubles(where)
        logged = getattr(run, "historyLineCount", None)
        if isinstance(logged, int) and rows < logged:
            what = f"{rows} of {logged} rows of its history were given out"
            troubles.append(Trouble(where, what, "Import again into a new folder; wandb may still be working on them."))
        metrics = columns.series()
        metrics |= _summary(summary, metrics, last)
        return LoggedRun(self.key, run.name, _STATUS.get(run.state, ""), config, metrics, troubles)


def _rows(rows: Iterable[Mapping[str, Any]], columns: Columns, other: NotScalars) -> tuple[int, int]:
    """Points of a history as the API gives it: a row of all metrics at a step. Returns how many, and the last step."""
    count, last = 0, -1
    for row in rows:
        count += 1
        step = row.get("_step")
        last = last + 1 if step is None else int(step)
        time = row.get("_timestamp") or float("nan")
        for name, value in nested(row):
            if name in ("_step", "_timestamp", "_runtime") or value is None:
                continue
            number = _number(value)
            if number is None:
                other.add(name)
            else:
                columns.add(name, last, number, float(time))
    return count, max(last, 0)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else None
