"""The local place of a URL, and the URL of a place: everything else works with paths."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from isogloss.errors import InputError, rewrite_places, unknown_name
from isogloss.stores.access import clean

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
# What pathlib makes of a URL.
_COLLAPSED = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|hf|http|https|memory|isogloss):/(?=[^/])")

# Tables that are shipped: isogloss://help-texts, isogloss://help-texts/disjoint.
_OWN, _SHIPPED = "isogloss://", Path(__file__).parent.parent / "datasets"

_TEXTS = frozenset((".json", ".html", ".csv", ".toml", ".md", ".jsonl", ".txt"))

_root: Path | None = None
_folders: dict[str, Path] = {}
"""The local folder that stands for each remote one."""
_exact: dict[Path, str] = {}
"""URLs that their place does not say: those with a query."""
_named: set[str] = set()
"""Shipped tables that were asked for."""
worked: set[Path] = set()
"""Places in which somebody works: what is written there is not sent at once, what is read is there."""


def is_url(text: object) -> bool:
    return isinstance(text, str) and _URL.match(text) is not None


def none_met() -> bool:
    """Whether no URL has been given a place yet."""
    return not _folders


def mirrored(source: str | Path) -> Path:
    """The local place of a URL; a path as it is. Nothing is fetched."""
    text = source if isinstance(source, str) else _restored(source)
    if not is_url(text):
        return Path(source)
    if text.startswith(_OWN):
        return _shipped(text)
    bare, _, query = text.partition("?")
    parent, _, name = bare.rstrip("/").rpartition("/")
    if not bare.partition("://")[2].strip("/"):
        raise InputError("names no object", where=clean(text), hint="Give the whole address, s3://bucket/runs.csv.")
    place = _folder(parent) / name
    if query:
        _exact[place] = text
    return place


def _shipped(text: str) -> Path:
    """The place of a shipped table; of a study of several parts, the first is meant unless another is named."""
    places = {f"{f.parent.name}/{f.stem}": f for f in _SHIPPED.glob("*/*") if f.is_dir() or f.suffix == ".parquet"}
    name = text.removeprefix(_OWN).strip("/").removesuffix(".parquet")
    name = name if "/" in name else f"{name}/main"
    if name not in places:
        raise unknown_name("table", text, [f"{_OWN}{n.removesuffix('/main')}" for n in sorted(places)])
    rewrite_places(shown)
    _named.add(name)
    return places[name]


def url_of(path: Path) -> str | None:
    """The URL whose local place `path` is."""
    if _root is None or not path.is_relative_to(_root):
        return None
    if path in _exact:
        return _exact[path]
    for url, folder in _folders.items():
        if path.is_relative_to(folder):
            inside = path.relative_to(folder).as_posix()
            return url if inside == "." else f"{url}/{inside}"
    return None


def is_worked(path: Path) -> bool:
    return bool(worked) and any(path.is_relative_to(place) for place in worked)


def shown(text: str) -> str:
    """A text in which local copies go by their URLs, without names, passwords and tokens."""
    text = text.replace(f"{_SHIPPED}/", _OWN)
    for url, folder in _folders.items():
        text = text.replace(str(folder), clean(url))
    return text


def workplace(path: Path) -> Path:
    """Where to make what will take the name `path`: beside it, or of a URL's place where nothing is sent from."""
    if url_of(path) is None or _root is None:
        return path.parent
    (_root / "work").mkdir(exist_ok=True)
    return _root / "work"


def mirrored_argument(text: str) -> str:
    """A word of a command line, with the place of a URL in its stead; also of --option=URL."""
    option, url = _split(text)
    return f"{option}{mirrored(url)}" if is_url(url) else text


def _split(argument: str) -> tuple[str, str]:
    option, equals, rest = argument.partition("=")
    return (option + equals, rest) if equals and option.startswith("-") else ("", argument)


def text_with_urls(path: Path) -> None:
    """Put URLs in place of local copies in a file that was just written, if it is text."""
    if not (_folders or _named) or path.suffix.lower() not in _TEXTS:
        return
    with suppress(UnicodeDecodeError):
        text = path.read_text(encoding="utf-8")
        if (said := shown(text)) != text:
            path.write_text(said, encoding="utf-8")


def _folder(url: str) -> Path:
    global _root
    if _root is None:
        _root = Path(tempfile.mkdtemp(prefix="isogloss-")).resolve()
        atexit.register(shutil.rmtree, _root, ignore_errors=True)
        rewrite_places(shown)
    if url not in _folders:
        folder = _root / str(len(_folders))
        folder.mkdir()
        _folders[url] = folder
    return _folders[url]


def _restored(path: Path) -> str:
    text = str(path)
    return text if path.exists() else _COLLAPSED.sub(r"\1://", text, count=1)
