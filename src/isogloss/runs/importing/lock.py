"""One import at a time into a folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from isogloss.errors import InputError

LOCK = "import.lock"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make the folder and hold it. The lock of a process of this machine that is gone is taken over.

    Raises InputError where another import is at work in it. What was made for it goes again if nothing was written.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _take(out / LOCK)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", where=str(out), hint="Choose another with -o."
        ) from None
    try:
        yield
    finally:
        (out / LOCK).unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # something is in it
                folder.rmdir()


def _take(path: Path) -> None:
    mine = json.dumps({"pid": os.getpid(), "machine": _machine()})
    for _ in range(3):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            _remove_if_dead(path)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(mine)
        return
    raise _busy(path, {})


def _remove_if_dead(path: Path) -> None:
    """Take a dead process's lock away; InputError where the process may be alive."""
    owner = _owner(path)
    if owner is None:
        return  # released in between
    if owner.get("machine") != _machine() or not _is_gone(owner.get("pid")):
        raise _busy(path, owner)
    aside = path.with_name(f"{LOCK}.{os.getpid()}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        taken = _owner(aside)
        if taken != owner:
            # Another import was faster, and this is its lock: give it back.
            with suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink()
            raise _busy(path, taken or {})
        aside.unlink()


def _busy(path: Path, owner: dict[str, Any]) -> InputError:
    host = str(owner.get("machine", "")).split(" ")[0]
    who = f" (process {owner['pid']} on {host})" if owner.get("pid") and host else ""
    hint = f"Wait for it. If there is none, remove {path} and import again."
    return InputError(f"another import is at work in it{who}", where=str(path.parent), hint=hint)


def _owner(path: Path) -> dict[str, Any] | None:
    """Who wrote a lock; nothing while it is being written; None where there is no lock."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _machine() -> str:
    """Within which a process id means a process: containers share names, and after a reboot the ids begin anew."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # no Linux: its name must do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _is_gone(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
