"""MLflow: a folder of files, a SQLite database, or a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Entry, Trouble
from isogloss.runs.importing.mlflow_database import MlflowDatabase, is_database, is_sqlite
from isogloss.runs.importing.mlflow_folder import MlflowFolder, is_store
from isogloss.runs.importing.mlflow_server import MlflowServer

# Where MLflow puts its store by default, in the folder that a script was started in.
_DEFAULTS = ("mlruns", "mlflow.db")


def holds(path: Path) -> bool:
    return _store(path) is not None


def _store(path: Path) -> Path | None:
    """The store that a path is or holds: the database where both stand there, as newer releases write that."""
    if path.is_file():
        return path if is_database(path) else None
    if is_store(path):
        return path
    database, folder = path / _DEFAULTS[1], path / _DEFAULTS[0]
    if database.is_file() and is_database(database):
        return database
    return folder if folder.is_dir() and is_store(folder) else None


class Mlflow:
    """A store as MLflow names it: `mlruns`, `file:///...`, `sqlite:///mlflow.db`, a path, or `http://host:5000`.

    Runs that are deleted in MLflow are left out, and named in `troubles`.
    """

    def __init__(self, text: str):
        self._inner = _open(text)

    @property
    def said(self) -> str:
        return self._inner.said

    @property
    def troubles(self) -> list[Trouble]:
        return self._inner.troubles

    def entries(self) -> Iterator[Entry]:
        yield from self._inner.entries()


def _open(text: str) -> MlflowDatabase | MlflowFolder | MlflowServer:
    kind, found, rest = text.partition("://")
    if found and kind in ("http", "https"):
        try:
            urlsplit(text).port  # noqa: B018 - asked for what it raises
        except ValueError as error:
            hint = "Such as mlflow:http://host:5000."
            raise InputError(f"is no address: {error}", where="mlflow", hint=hint) from None
        return MlflowServer(text)
    if found and kind.partition("+")[0] == "sqlite":
        # Three slashes and a name: from the folder that one is in; four: from the root.
        path = Path(unquote(rest.removeprefix("/").partition("?")[0])).expanduser()
    elif found and kind == "file":
        path = Path(unquote(urlsplit(text).path))
    elif found or text in ("databricks", "uc"):
        hint = "isogloss reads folders, sqlite:///x.db and http://host:5000; of other stores, ask the server over them."
        raise InputError(f"a store of a kind that isogloss cannot read: {kind}", where="mlflow", hint=hint)
    else:
        path = Path(text).expanduser()
    if not path.exists():
        raise InputError("no such MLflow store", where=str(path))
    # Whether a database that is locked holds MLflow's tables shows when it is read.
    store = path if path.is_file() and is_sqlite(path) else _store(path)
    if store is None:
        hint = "An MLflow store is a folder with meta.yaml in its experiments, or a SQLite database of MLflow."
        raise InputError("is no MLflow store", where=str(path), hint=hint)
    return MlflowDatabase(store) if store.is_file() else MlflowFolder(store)
