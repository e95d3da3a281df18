"""open_source: what a user names, as a source of runs."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from isogloss.errors import InputError, unknown_name
from isogloss.runs.importing.logged import Source
from isogloss.stores import is_url, local, mirrored

_HERE = "isogloss.runs.importing"
_PREFIXES = ("wandb", "mlflow", "tensorboard", "trainer", "lm-eval", "logs", "study")
# Asked in this order of a path: the surest signs first, plain logs last, which any folder may hold.
_BY_CONTENT: tuple[tuple[str, str], ...] = (
    ("source_study", "StudyFolder"),
    ("source_wandb", "WandbOffline"),
    ("source_mlflow", "Mlflow"),
    ("source_trainer", "TrainerState"),
    ("source_tensorboard", "TensorBoard"),
    ("source_lm_eval", "LmEval"),
    ("source_logs", "Logs"),
)
# What each is called, and the prefix that says it.
_KINDS = {
    "source_study": ("an isogloss study", "study"),
    "source_wandb": ("W&B offline runs", "wandb"),
    "source_mlflow": ("an MLflow store", "mlflow"),
    "source_trainer": ("trainer_state.json", "trainer"),
    "source_tensorboard": ("TensorBoard files", "tensorboard"),
    "source_lm_eval": ("lm-eval results", "lm-eval"),
    "source_logs": ("JSONL or CSV files", "logs"),
}
_FORMS = "wandb:entity/project, mlflow:http://host:5000, mlflow:sqlite:///mlflow.db, tensorboard:logs/, logs:runs.jsonl"


def open_source(text: str | Path) -> Source:
    """The source that a prefix names ("wandb:entity/project"), or that a path or a URL of a store holds.

    Raises InputError where there is no such kind or path, or nothing known in it.
    """
    if isinstance(text, str):
        kind, colon, rest = text.partition(":")
        # One letter before a colon is a drive.
        if colon and len(kind) > 1 and not rest.startswith("//") and not Path(text).exists():
            return _by_prefix(kind, rest, text)
        if rest.startswith("//") and not _is_store(text):
            return _by_address(text)
    path = Path(local(text)).expanduser()
    if not path.exists():
        raise InputError("no such file or folder", where=str(text), hint=f"Or name a tracker: {_FORMS}.")
    for module, name in _BY_CONTENT:
        loaded = importlib.import_module(f"{_HERE}.{module}")
        if loaded.holds(path):
            return _made(module, name)(str(path) if module == "source_mlflow" else path)
    kinds = "W&B offline runs, MLflow stores, TensorBoard files, trainer_state.json, results_*.json, JSONL and CSV logs"
    hint = f"Known: {kinds}; or a tracker: {_FORMS}."
    raise InputError("holds no runs that isogloss can read", where=str(path), hint=hint)


def other_kinds(text: str | Path) -> str | None:
    """What a path holds beside the kind that `open_source` reads it as, and how to read that; None where nothing is,
    or where a prefix says the kind."""
    path = mirrored(text).expanduser()
    if not path.is_dir():
        return None
    held = [m for m, _ in _BY_CONTENT if importlib.import_module(f"{_HERE}.{m}").holds(path)]
    # A study's other files are its own.
    if len(held) < 2 or held[0] == "source_study":
        return None
    there = ", ".join(_KINDS[m][0] for m in held[1:])
    forms = " or ".join(f"{_KINDS[m][1]}:{path}" for m in held[1:])
    return (
        f"{path} is read as {_KINDS[held[0]][0]}. It also holds {there}: import {forms} into another folder for these."
    )


def faster_way(text: str | Path) -> str | None:
    """How to read the same in less time, where an MLflow server of this machine is named."""
    kind, _, rest = str(text).partition(":")
    if kind != "mlflow" or not rest.startswith(("http://", "https://")):
        return None
    try:
        host = (urlsplit(rest).hostname or "").casefold()
    except ValueError:
        return None
    if host not in ("localhost", "::1", socket.gethostname().casefold()) and not host.startswith("127."):
        return None
    return (
        "the server is on this machine: its SQLite file or folder (--backend-store-uri) read in place is many times as "
        "fast, also while it runs: mlflow:sqlite:///PATH/mlflow.db, or mlflow:PATH/mlruns."
    )


def _made(module: str, name: str) -> Callable[..., Source]:
    return getattr(importlib.import_module(f"{_HERE}.{module}"), name)


def _by_prefix(kind: str, rest: str, text: str) -> Source:
    if kind not in _PREFIXES:
        raise unknown_name("kind of source", kind, _PREFIXES, where=text, see=f"For example {_FORMS}.")
    if not rest:
        raise InputError("names no place", where=text, hint=f"For example {_FORMS}.")
    if is_url(rest) and (kind != "mlflow" or _is_store(rest)):
        rest = str(local(rest))
    path = Path(rest).expanduser()
    if kind == "wandb":
        return _made("source_wandb", "WandbOffline")(path) if path.exists() else _made("source_wandb", "WandbApi")(rest)
    if kind == "mlflow":
        return _made("source_mlflow", "Mlflow")(rest)
    if not path.exists():
        raise InputError("no such file or folder", where=rest)
    module, name = {
        "tensorboard": ("source_tensorboard", "TensorBoard"),
        "trainer": ("source_trainer", "TrainerState"),
        "lm-eval": ("source_lm_eval", "LmEval"),
        "logs": ("source_logs", "Logs"),
        "study": ("source_study", "StudyFolder"),
    }[kind]
    return _made(module, name)(path)


def _is_store(text: str) -> bool:
    """Whether a URL is one of files: of web servers, one with the ending of a file."""
    if not text.startswith(("http://", "https://")):
        return is_url(text) and not text.startswith(("sqlite://", "file://"))
    return bool(PurePosixPath(urlsplit(text).path).suffix)


def _by_address(text: str) -> Source:
    """An address without a kind: only MLflow's SQLite form says by itself what it is."""
    if text.startswith("sqlite://"):
        return _made("source_mlflow", "Mlflow")(text)
    # An address may hold a key after the question mark.
    place = text.partition("?")[0]
    raise InputError(
        "an address of no known kind", where=place, hint=f"Put the kind before it: mlflow:{place}, logs:{place}"
    )
