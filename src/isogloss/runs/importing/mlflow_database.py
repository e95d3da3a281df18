"""MLflow's SQLite database, read as it lies on disk, without the server."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.runs.importing.logged import LoggedRun, Series, Trouble
from isogloss.runs.importing.mlflow_texts import NAME_TAG, STATUS, deleted, settings

_MAGIC = b"SQLite format 3\x00"
# How long to wait for a server that is writing, in seconds.
PATIENCE = 5.0
_LOCKED = "is locked"
# MLflow stores infinities as the largest float.
_MOST = np.finfo(float).max

_RUNS = """
select r.run_uuid, r.name, r.status, r.lifecycle_stage, r.end_time, e.name,
       (select t.value from tags t where t.run_uuid = r.run_uuid and t.key = ?),
       (select count(*) from metrics m where m.run_uuid = r.run_uuid)
from runs r left join experiments e on e.experiment_id = r.experiment_id
order by r.start_time, r.run_uuid
"""
_LATEST = "select key, step, timestamp from latest_metrics where run_uuid = ? order by key"
_METRICS = "select key, value, timestamp, step, is_nan from metrics where run_uuid = ? order by rowid"


def is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(16) == _MAGIC
    except OSError:
        return False


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database with MLflow's tables. A locked one is taken for it: reading it says so."""
    if not is_sqlite(path):
        return False
    try:
        with _connected(path) as connection:
            rows = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    except InputError as error:
        return _LOCKED in error.what or "mlflow" in path.name.casefold()
    return {"runs", "metrics", "params", "experiments"} <= {name for (name,) in rows}


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises InputError where the database is locked, damaged or not MLflow's."""
    where = str(path)
    try:
        with closing(sqlite3.connect(_uri(path), uri=True, timeout=PATIENCE)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        said = str(error)
        if "locked" in said or "busy" in said:
            hint = "Import again when it is done, or ask the server: mlflow:http://host:5000."
            what = f"{_LOCKED}: another program has been writing to it for {PATIENCE:g} s"
            raise InputError(what, where=where, hint=hint) from None
        hint = "Is it the database of MLflow? `mlflow db upgrade` brings that of an old release up to date."
        raise InputError(f"cannot be read: {said}", where=where, hint=hint) from None
    except sqlite3.DatabaseError as error:
        hint = "Copy it while nothing writes to it: sqlite3 OLD '.backup NEW'."
        raise InputError(f"is damaged: {error}", where=where, hint=hint) from None


def _uri(path: Path) -> str:
    uri = path.absolute().as_uri()
    log = path.with_name(f"{path.name}-wal")
    # In a folder that one may not write to, a database with a write-ahead log opens only where it cannot change.
    if not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
        return f"{uri}?mode=ro&immutable=1"
    return f"{uri}?mode=ro"


@dataclass
class MlflowDatabase:
    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"mlflow: {self.path}"

    def entries(self) -> Iterator[DatabaseRun]:
        self.troubles.clear()
        with _connected(self.path) as connection:
            rows = connection.execute(_RUNS, (NAME_TAG,)).fetchall()
            latest = {row[0]: connection.execute(_LATEST, (row[0],)).fetchall() for row in rows}
        gone = []
        for key, name, status, stage, ended, experiment, tag, count in rows:
            name = name or tag or key
            if stage == "deleted":
                gone.append(name)
                continue
            digest = hashlib.sha256(repr(latest[key]).encode()).hexdigest()[:16]
            version = f"{status} {ended} {count} {digest}"
            yield DatabaseRun(self.path, key, version, name, STATUS.get(status, ""), experiment or "")
        self.troubles += deleted(str(self.path), gone)


@dataclass(frozen=True)
class DatabaseRun:
    path: Path
    key: str
    version: str
    name: str
    status: str
    experiment: str

    def read(self) -> LoggedRun:
        with _connected(self.path) as connection:
            params = _texts(connection, "params", self.key)
            tags = _texts(connection, "tags", self.key)
            rows = connection.execute(_METRICS, (self.key,)).fetchall()
        config = settings(params, tags, self.experiment)
        return LoggedRun(self.key, self.name, self.status, config, series(rows))


def _texts(connection: sqlite3.Connection, table: str, key: str) -> dict[str, str]:
    rows = connection.execute(f"select key, value from {table} where run_uuid = ? order by key", (key,))
    return {name: value or "" for name, value in rows}


def series(rows: list[tuple[Any, ...]]) -> dict[str, Series]:
    """Metrics out of rows of name, value, milliseconds, step and whether it is NaN, in the order of the rows."""
    if not rows:
        return {}
    names, values, times, steps, nan = zip(*rows, strict=True)
    numbers: dict[str, int] = {}
    which = np.fromiter((numbers.setdefault(name, len(numbers)) for name in names), np.int64, len(names))
    order = np.argsort(which, kind="stable")
    value = np.asarray(values, float)
    value[np.abs(value) >= _MOST] *= np.inf
    value[np.asarray(nan, bool)] = np.nan
    step, time = np.asarray(steps, np.int64)[order], np.asarray(times, float)[order] / 1000
    ends = np.cumsum(np.bincount(which))
    value = value[order]
    return {
        name: Series(step[a:b], value[a:b], time[a:b])
        for name, a, b in zip(numbers, np.concatenate([[0], ends[:-1]]), ends, strict=True)
    }
