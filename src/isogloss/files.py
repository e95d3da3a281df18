"""Writing so that nothing is ever half-written: to a temporary name first, then one rename."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.stores import check_target, send, text_with_urls, workplace


@contextmanager
def new_file(path: Path, *, as_is: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its name when the block ends without error, and is sent to
    its store if `path` is the place of a URL. In text, local copies of remote objects then go by their URLs, unless it
    is to be left `as_is`: what only processes of this machine read."""
    _need_parent(path)
    check_target(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=workplace(path))
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        if not as_is:
            text_with_urls(temporary)
        temporary.replace(path)
        send(path)
    finally:
        temporary.unlink(missing_ok=True)


# Endings that nobody gives a folder on purpose.
_OF_FILES = frozenset((".html", ".htm", ".json", ".csv", ".parquet", ".pdf", ".md", ".png", ".svg", ".toml"))


def check_folder(path: Path, *, marker: str) -> None:
    """InputError if `new_folder` would refuse `path`: ask before long work, not after it."""
    check_target(path, marker=marker)
    if path.suffix.lower() in _OF_FILES and not path.exists():
        hint = f"For example -o {path.stem}; isogloss report {path.stem} makes one page of it."
        raise InputError(f"{path.name} is the name of a file, and this writes a folder", hint=hint)
    nearest = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file", hint="Choose another folder with -o.")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).exists():
        raise InputError(
            f"folder {path} holds other files (no {marker})", hint="Choose an empty or new folder with -o."
        )
    if path.is_dir() and path.samefile(Path.cwd()):
        raise InputError("the output is the folder that you are in", hint="Name a new folder with -o.")


@contextmanager
def new_folder(path: Path, *, marker: str) -> Iterator[Path]:
    """Yields a temporary folder that takes the name `path` when the block ends without error.

    An existing folder is replaced only if it is empty or holds `marker`, a file that says isogloss wrote it.
    """
    check_folder(path, marker=marker)
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=workplace(path)))
    try:
        yield temporary
        _open_to_others(temporary)
        for file in temporary.rglob("*"):
            text_with_urls(file)
        if path.is_dir():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=workplace(path)))
            path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
        send(path, last=marker)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_to_others(folder: Path) -> None:
    """Modes as the user's umask has them: temporary folders, and files of some libraries, are private."""
    mask = _umask()
    folder.chmod(0o777 & ~mask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def check_file(path: Path, suffixes: tuple[str, ...]) -> None:
    """InputError if a file of these kinds cannot be written at `path`: ask before long work, not after it."""
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path} is of no known kind", hint=f"Name it with {' or '.join(suffixes)}.")
    _need_parent(path)
    check_target(path)


def write_text(path: Path, text: str, *, as_is: bool = False) -> None:
    with new_file(path, as_is=as_is) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finite(value: Any) -> Any:
    """`value` with infinities and NaN as None: JSON has neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def _need_parent(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise InputError(f"folder {path.parent} does not exist", hint="Make it, or choose another.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
