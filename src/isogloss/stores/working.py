"""Working for hours in a folder of a store: on a copy here, which is sent again and again while the work goes on."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.stores.access import asked, clean
from isogloss.stores.moving import check_target, fetch
from isogloss.stores.places import mirrored, url_of, worked

SECONDS = 60.0
# A lock that was not renewed for so long is nobody's.
STALE_SECONDS = 600.0
LOCK = "in-use.json"
# What shows that isogloss wrote a folder.
MARKERS = ("study.toml", "manifest.json", "import.json", "jobs.json", "parts", LOCK)
# Of one machine or one moment: half-written files, claims and locks of processes, logs of workers.
_NOT_SENT = (".*", "claim-*", "*.lock", LOCK)
_NOT_SENT_FOLDERS = frozenset(("workers",))


@contextmanager
def working(folder: str | Path, *, seconds: float = SECONDS) -> Iterator[Path]:
    """A local folder to work in for as long as the block lasts: `folder` itself, or a copy of it if it is a URL.

    The copy is sent every so many `seconds`, oldest change first, and once more when the block ends, also by an error
    or an interruption. A killed machine loses what came after the last sending. While it lasts, a lock in the store
    keeps other machines out. If it cannot be sent at the end, the copy is kept and the InputError says where.

    Raises InputError where the store cannot be read or written, another machine works there, or the folder
    holds what isogloss did not write.
    """
    place = mirrored(folder)
    url = url_of(place)
    if url is None or place in worked:
        yield Path(folder)
        return
    check_target(place)
    there = _check_own(url)
    lock = _Lock(url)
    lock.take()
    try:
        sent = _fetched(url, place) if there else _empty(place)
    except BaseException:
        lock.release()
        raise
    worked.add(place)
    sending = _Sending(url, place, sent, lock, seconds)
    try:
        yield place
    finally:
        try:
            sending.finish()
        finally:
            worked.discard(place)


@contextmanager
def looking(folder: str | Path) -> Iterator[Path]:
    """A whole local copy of a folder that may be a URL, for who only looks: nothing is locked, nothing sent."""
    place = mirrored(folder)
    url = url_of(place)
    if url is None or place in worked:
        yield Path(folder)
        return
    fetch(url, place, whole=True)
    worked.add(place)
    try:
        yield place
    finally:
        worked.discard(place)


def _check_own(url: str) -> bool:
    """Whether there is anything at a URL; InputError where isogloss did not write it."""

    def names(fs: Any) -> list[str]:
        return [posixpath.basename(str(f).rstrip("/")) for f in fs.ls(url, detail=False)] if fs.isdir(url) else []

    there = asked(url, names, "looked at")
    if there and not set(MARKERS) & set(there):
        what = f"holds other objects (no {', '.join(MARKERS[:3])})"
        raise InputError(what, where=clean(url), hint="Choose an empty or new folder.")
    return bool(there)


def _fetched(url: str, place: Path) -> dict[str, tuple[int, int]]:
    """Fetch all of a folder; size and time of each file that is sent, by its path inside."""
    fetch(url, place, whole=True)
    return _files(place)


def _empty(place: Path) -> dict[str, tuple[int, int]]:
    shutil.rmtree(place, ignore_errors=True)  # of an earlier block
    return {}


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file that is sent, the oldest first."""
    out: dict[str, tuple[int, int]] = {}
    for base, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f not in _NOT_SENT_FOLDERS and not f.startswith(".")]
        for name in names:
            if any(fnmatch(name, pattern) for pattern in _NOT_SENT):
                continue
            path = Path(base) / name
            with suppress(FileNotFoundError):
                status = path.stat()
                out[path.relative_to(folder).as_posix()] = status.st_size, status.st_mtime_ns
    return dict(sorted(out.items(), key=lambda item: item[1][1]))


class _Sending:
    """Sends what has changed, in a thread of its own, until `finish`."""

    def __init__(self, url: str, folder: Path, sent: dict[str, tuple[int, int]], lock: _Lock, seconds: float):
        self.url, self.folder, self.sent, self.lock, self.seconds = url, folder, sent, lock, seconds
        self._stop, self._warned = threading.Event(), False
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        try:
            self._stop.set()
            self._thread.join()
            if self.folder.is_dir() or self.sent:
                self._send()
            self.lock.release()
        except (InputError, KeyboardInterrupt) as error:
            kept = Path(tempfile.mkdtemp(prefix="isogloss-not-sent-")) / self.folder.name
            if self.folder.is_dir():
                shutil.copytree(self.folder, kept)
            why = error.what if isinstance(error, InputError) else "interrupted"
            hint = (
                f"All of it is kept in {kept}: send it yourself (aws s3 sync, gcloud storage rsync), or work on there."
            )
            raise InputError(f"not everything was sent: {why}", where=clean(self.url), hint=hint) from None

    def _beat(self) -> None:
        while not self._stop.wait(self.seconds):
            try:
                self._send()
                self._warned = False
            except InputError as error:
                # The work goes on; the store may be back the next time, and `finish` raises if it is not.
                if not self._warned:
                    print(f"isogloss: {error}\n  It is tried again every {self.seconds:.0f} s.", file=sys.stderr)
                self._warned = True

    def _send(self) -> None:
        self.lock.renew()
        now = _files(self.folder)

        def put(fs: Any) -> None:
            # In the order of their making, so that a file is never in the store before those that it tells of.
            for inside, state in now.items():
                if self.sent.get(inside) == state:
                    continue
                path = self.folder / inside
                with suppress(FileNotFoundError):  # replaced by another meanwhile
                    with suppress(NotImplementedError):
                        fs.makedirs(posixpath.dirname(f"{self.url}/{inside}"), exist_ok=True)
                    fs.put_file(str(path), f"{self.url}/{inside}")
                    self.sent[inside] = state
            for inside in [name for name in self.sent if name not in now]:
                with suppress(FileNotFoundError):
                    fs.rm_file(f"{self.url}/{inside}")
                del self.sent[inside]

        asked(self.url, put, "written")


class _Lock:
    """An object that says who works in a folder of a store. Stores have no atomic "create if absent" that fsspec knows:
    it is written, and read again a moment later, and the last writer has it."""

    def __init__(self, url: str, pause: float = 1.0):
        self.folder, self.url, self.pause = url, f"{url}/{LOCK}", pause
        self.mine = {"machine": socket.gethostname(), "pid": os.getpid(), "key": os.urandom(8).hex()}

    def take(self) -> None:
        owner = self._owner()
        age = time.time() - float(owner.get("renewed", 0))
        if owner and age < STALE_SECONDS and not self._is_gone(owner):
            self._refuse(owner, age)
        self._write()
        time.sleep(self.pause)
        owner = self._owner()
        if owner.get("key") != self.mine["key"]:
            self._refuse(owner, 0.0)

    def renew(self) -> None:
        """InputError where another machine has taken the folder over."""
        owner = self._owner()
        if owner and owner.get("key") != self.mine["key"]:
            what = f"{owner.get('machine')} has taken the folder over, since nothing was heard of this machine"
            raise InputError(what, where=clean(self.folder))
        self._write()

    def release(self) -> None:
        if self._owner().get("key") == self.mine["key"]:
            asked(self.url, lambda fs: fs.rm_file(self.url), "written")

    def _write(self) -> None:
        text = json.dumps({**self.mine, "renewed": time.time()})
        asked(self.url, lambda fs: fs.pipe_file(self.url, text.encode()), "written")

    def _owner(self) -> dict[str, Any]:
        read: Callable[[Any], bytes | None] = lambda fs: fs.cat_file(self.url) if fs.exists(self.url) else None  # noqa: E731
        with suppress(ValueError, FileNotFoundError):
            raw = asked(self.url, read, "read")
            record = json.loads(raw) if raw else {}
            return record if isinstance(record, dict) else {}
        return {}

    def _is_gone(self, owner: dict[str, Any]) -> bool:
        """Whether it is of a process of this machine that is no more."""
        if owner.get("machine") != socket.gethostname() or not isinstance(owner.get("pid"), int):
            return False
        try:
            os.kill(owner["pid"], 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def _refuse(self, owner: dict[str, Any], age: float) -> None:
        who = f"{owner.get('machine', 'another machine')} (process {owner.get('pid', '?')}, {age:.0f} s ago)"
        hint = f"Wait for it; a lock that is not renewed for {STALE_SECONDS / 60:.0f} min is nobody's."
        raise InputError(f"is worked in by {who}", where=clean(self.folder), hint=hint)
