"""Fetching what lies at a URL to its place, and sending what was written there."""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.stores.access import asked, clean
from isogloss.stores.places import is_url, is_worked, mirrored, none_met, url_of

# Of a folder that a server does not list, the files that isogloss writes and reads.
KNOWN = (
    *("manifest.json", "study.toml", "runs.parquet", "exposure.parquet", "evals.parquet"),
    *("fit.json", "draws.parquet", "rows.parquet", "languages.json", "transfer.json", "curves.parquet", "evidence.csv"),
)
# Of a study's folder, parts that only training and importing need, and that may be huge.
_STUDYS_OWN = frozenset(("runs", "corpus", "parts", "workers", "tokenizers", "checkpoints"))

_stamps: dict[Path, object] = {}
"""What the store said of each object when it was fetched."""


def local(source: Any) -> Any:
    """Where to read `source`: of a URL, or the place of one, a fresh local copy; anything else as it is.

    Raises InputError for an object that is not there or may not be read, a store that does not answer, and a missing
    library.
    """
    if not isinstance(source, str | Path):
        return source
    if isinstance(source, str) and not is_url(source) and none_met():
        return source
    place = mirrored(source)
    url = url_of(place)
    if url is None:
        return source if place == Path(source) else place
    # What lies in a folder that was fetched is there.
    if not is_worked(place) and not any(parent in _stamps for parent in place.parents):
        fetch(url, place)
    return place


def local_matches(pattern: str) -> list[Path]:
    """Local copies of the objects that a URL with wildcards names, sorted; of the one that it names without."""
    if pattern.startswith(("http://", "https://")) or not any(c in pattern for c in "*?["):
        return [local(pattern)]
    scheme = pattern.partition("://")[0]
    found = asked(
        pattern, lambda fs: [n for n, i in fs.glob(pattern, detail=True).items() if i["type"] == "file"], "read"
    )
    return [local(f"{scheme}://{name.lstrip('/')}") for name in sorted(found)]


def beside(folder: Path, text: str) -> Path:
    """Where to read what a file in `folder` names: a URL, a path of its own, or one from that folder, which may be
    remote."""
    return Path(local(named_beside(folder, text)))


def named_beside(folder: Path, text: str) -> str:
    """The path or the URL of what a file in `folder` names; nothing is fetched."""
    path = Path(text).expanduser()
    if is_url(text) or path.is_absolute():
        return text if is_url(text) else str(path)
    url = url_of(folder)
    if url is None or (is_worked(folder) and ".." not in path.parts):
        return str(folder / path)
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{posixpath.normpath(f'{rest}/{text}')}"


def check_target(path: Path, *, marker: str | None = None) -> None:
    """InputError if what is written to `path` could not be sent: ask before long work."""
    url = url_of(path)
    if url is None or is_worked(path):
        return
    if url.startswith(("http://", "https://")):
        raise InputError("can be read, not written", where=clean(url), hint="Write to a folder, s3:// or gs://.")

    def held(fs: Any) -> list[str]:
        return [posixpath.basename(str(f).rstrip("/")) for f in fs.ls(url, detail=False)] if fs.isdir(url) else []

    names = asked(url, held, "looked at")
    if marker and names and marker not in names:
        what = f"holds other objects (no {marker})"
        raise InputError(what, where=clean(url), hint="Choose an empty or new one with -o.")


def exists(path: Path) -> bool:
    """Whether there is an object where `path`, the place of a URL, would be sent; False for other paths."""
    url = url_of(path)
    return url is not None and bool(asked(url, lambda fs: fs.exists(url), "looked at"))


def send(path: Path, *, last: str | None = None) -> None:
    """Send what was written to the place of a URL; a folder file by file, `last` after all others so that a folder is
    whole once it is there, and then remove what was there before. Nothing for other paths, and in a folder that
    `working` sends."""
    url = url_of(path)
    if url is None or is_worked(path):
        return

    def put(fs: Any) -> None:
        if path.is_file():
            fs.put_file(str(path), url)
            return
        files = sorted(f for f in path.rglob("*") if f.is_file())
        before = set(fs.find(url)) if fs.isdir(url) else set()
        for file in sorted(files, key=lambda f: f.name == last):
            inside = file.relative_to(path).as_posix()
            with suppress(NotImplementedError):
                fs.makedirs(posixpath.dirname(f"{url}/{inside}"), exist_ok=True)
            fs.put_file(str(file), f"{url}/{inside}")
        now = {fs._strip_protocol(f"{url}/{f.relative_to(path).as_posix()}") for f in files}
        for gone in before - now:
            fs.rm_file(gone)

    asked(url, put, "written")


def fetch(url: str, place: Path, *, whole: bool = False) -> None:
    """Fetch what lies at a URL to its place, unless it is there already; of a study all only if `whole`."""

    def get(fs: Any) -> None:
        listed = _listing(fs, url, whole)
        stamp = sorted((inside, size, version) for inside, (_, size, version) in listed.items())
        if place.exists() and _stamps.get(place) == stamp:
            return
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            fresh = Path(folder) / place.name
            for inside, (remote, _, version) in listed.items():
                file = fresh / inside if inside else fresh
                file.parent.mkdir(parents=True, exist_ok=True)
                fs.get_file(remote, str(file))
                if version:
                    os.utime(file, ns=(_time_of(version), _time_of(version)))
            if place.is_dir():
                shutil.rmtree(place)
            fresh.replace(place)
        _stamps[place] = stamp

    place.parent.mkdir(parents=True, exist_ok=True)
    asked(url, get, "read")


def _time_of(version: str) -> int:
    """A time, in nanoseconds, that is the same for every copy of one version and another for others: by size and time a
    later process knows what it has read before."""
    return int.from_bytes(hashlib.sha256(version.encode()).digest()[:7]) * 10


def _listing(fs: Any, url: str, whole: bool = False) -> dict[str, tuple[str, object, str]]:
    """Of each file below, by its path from `url` ("" for a file itself): its name in the store, size and version."""
    web = url.startswith(("http://", "https://"))
    # Web servers answer for folders too, with a page: only a name with an ending is a file there.
    ending = posixpath.splitext(url.partition("?")[0].rstrip("/"))[1]
    if ending if web else fs.isfile(url):
        return {"": (url, *_version(fs.info(url)))}
    found: dict[str, Any] = {}
    if web:
        base = url.rstrip("/") + "/"
        with suppress(FileNotFoundError):
            found = {f[len(base) :]: (f, None, "") for f in fs.find(base) if f.startswith(base)}
        if not found:
            found = {n: (base + n, None, "") for n in KNOWN if fs.exists(base + n)}
    else:
        base = fs._strip_protocol(url).rstrip("/") + "/"
        found = {f[len(base) :]: (f, *_version(info)) for f, info in fs.find(url, detail=True).items()}
    if not whole and {"manifest.json", "study.toml"} & set(found):
        found = {n: f for n, f in found.items() if n.split("/")[0] not in _STUDYS_OWN or "/" not in n}
    if not found:
        raise FileNotFoundError(url)
    return found


def _version(info: dict[str, Any]) -> tuple[object, str]:
    keys = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")
    return info.get("size"), "|".join(str(info[k]) for k in keys if info.get(k) is not None)
