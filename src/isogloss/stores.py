"""Remote stores: a URL such as s3://bucket/runs.csv stands for a local copy, fetched when it is read and sent when it
is written, so that everything else works with paths.

`mirrored` gives a URL its place in a folder of this process, `local` fetches what is there, and isogloss.files sends
what was written to such a place. fsspec is imported only where a URL is met.
"""

from __future__ import annotations

import atexit
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from isogloss.errors import InputError, rewrite_places

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
# What pathlib makes of a URL.
_COLLAPSED = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|hf|http|https|memory):/(?=[^/])")
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
}
INSTALL = 'pip install "isogloss[remote]"'
# Of a folder that a server does not list, the files that isogloss writes and reads.
KNOWN = (
    *("manifest.json", "study.toml", "runs.parquet", "exposure.parquet", "evals.parquet"),
    *("fit.json", "draws.parquet", "rows.parquet", "languages.json", "transfer.json", "curves.parquet", "evidence.csv"),
)
# Of a study's folder, parts that only training and importing need, and that may be huge.
_STUDYS_OWN = frozenset(("runs", "corpus", "parts", "workers", "tokenizers", "checkpoints"))

_root: Path | None = None
_folders: dict[str, Path] = {}
"""The local folder that stands for each remote one."""
_exact: dict[Path, str] = {}
"""URLs that their place does not say: those with a query."""
_stamps: dict[Path, object] = {}


def is_url(text: object) -> bool:
    return isinstance(text, str) and _URL.match(text) is not None


def mirrored(source: str | Path) -> Path:
    """The local place of a URL; a path as it is. Nothing is fetched."""
    text = source if isinstance(source, str) else _restored(source)
    if not is_url(text):
        return Path(source)
    bare, _, query = text.partition("?")
    parent, _, name = bare.rstrip("/").rpartition("/")
    if not bare.partition("://")[2].strip("/"):
        raise InputError("names no object", where=_clean(text), hint="Give the whole address, s3://bucket/runs.csv.")
    place = _folder(parent) / name
    if query:
        _exact[place] = text
    return place


def local(source: Any) -> Any:
    """Where to read `source`: of a URL, or the place of one, a fresh local copy; anything else as it is.

    Raises InputError for an object that is not there or may not be read, a store that does not answer, and a missing
    library.
    """
    if not isinstance(source, str | Path):
        return source
    if isinstance(source, str) and not is_url(source) and not _folders:
        return source
    place = mirrored(source)
    url = url_of(place)
    if url is None:
        return source
    # What lies in a folder that was fetched is there.
    if not any(parent in _stamps for parent in place.parents):
        _fetch(url, place)
    return place


def beside(folder: Path, text: str) -> Path:
    """What a file in `folder` names: a URL, a path of its own, or one from that folder, which may be remote."""
    if is_url(text):
        return local(text)
    path = Path(text).expanduser()
    url = None if path.is_absolute() else url_of(folder)
    if url is None:
        return folder / path
    scheme, _, rest = url.partition("://")
    return local(f"{scheme}://{posixpath.normpath(f'{rest}/{text}')}")


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


def shown(text: str) -> str:
    """A text in which local copies go by their URLs, without names, passwords and tokens."""
    for url, folder in _folders.items():
        text = text.replace(str(folder), _clean(url))
    return text


def check_target(path: Path, *, marker: str | None = None) -> None:
    """InputError if what is written to `path` could not be sent: ask before long work."""
    url = url_of(path)
    if url is None:
        return
    if url.startswith(("http://", "https://")):
        raise InputError("can be read, not written", where=_clean(url), hint="Write to a folder, s3:// or gs://.")

    def held(fs: Any) -> list[str]:
        return [posixpath.basename(str(f).rstrip("/")) for f in fs.ls(url, detail=False)] if fs.isdir(url) else []

    names = _asked(url, held, "looked at")
    if marker and names and marker not in names:
        what = f"holds other objects (no {marker})"
        raise InputError(what, where=_clean(url), hint="Choose an empty or new one with -o.")


def workplace(path: Path) -> Path:
    """Where to make what will take the name `path`: beside it, or of a URL's place where nothing is sent from."""
    if url_of(path) is None or _root is None:
        return path.parent
    (_root / "work").mkdir(exist_ok=True)
    return _root / "work"


def exists(path: Path) -> bool:
    """Whether there is an object where `path`, the place of a URL, would be sent; False for other paths."""
    url = url_of(path)
    return url is not None and bool(_asked(url, lambda fs: fs.exists(url), "looked at"))


def mirrored_argument(text: str) -> str:
    """A word of a command line, with the place of a URL in its stead; also of --option=URL."""
    option, url = _split(text)
    return f"{option}{mirrored(url)}" if is_url(url) else text


def refuse(arguments: Sequence[str], what: str, hint: str) -> None:
    """InputError if one of these words of a command line is a URL: for work that goes on in a folder over hours."""
    for argument in arguments:
        _, url = _split(argument)
        if is_url(url):
            raise InputError(what, where=_clean(url), hint=hint)


def _split(argument: str) -> tuple[str, str]:
    option, equals, rest = argument.partition("=")
    return (option + equals, rest) if equals and option.startswith("-") else ("", argument)


def send(path: Path, *, last: str | None = None) -> None:
    """Send what was written to the place of a URL; a folder file by file, `last` after all others so that a folder is
    whole once it is there, and then remove what was there before. Nothing for other paths."""
    url = url_of(path)
    if url is None:
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

    _asked(url, put, "written")


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


def _fetch(url: str, place: Path) -> None:
    def get(fs: Any) -> None:
        listed = _listing(fs, url)
        stamp = sorted((inside, size, version) for inside, (_, size, version) in listed.items())
        if place.exists() and _stamps.get(place) == stamp:
            return
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            fresh = Path(folder) / place.name
            for inside, (remote, _, _) in listed.items():
                file = fresh / inside if inside else fresh
                file.parent.mkdir(parents=True, exist_ok=True)
                fs.get_file(remote, str(file))
            if place.is_dir():
                shutil.rmtree(place)
            fresh.replace(place)
        _stamps[place] = stamp

    place.parent.mkdir(parents=True, exist_ok=True)
    _asked(url, get, "read")


def _listing(fs: Any, url: str) -> dict[str, tuple[str, object, str]]:
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
    if {"manifest.json", "study.toml"} & set(found):
        found = {n: f for n, f in found.items() if n.split("/")[0] not in _STUDYS_OWN or "/" not in n}
    if not found:
        raise FileNotFoundError(url)
    return found


def _version(info: dict[str, Any]) -> tuple[object, str]:
    keys = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")
    return info.get("size"), "|".join(str(info[k]) for k in keys if info.get(k) is not None)


def _asked(url: str, work: Callable[[Any], Any], doing: str) -> Any:
    """`work` with the store of `url`; what goes wrong, in words and without credentials."""
    scheme, where = url.partition("://")[0].lower(), _clean(url)
    try:
        import fsspec
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError("needs fsspec, which is not installed", where=where, hint=INSTALL) from None
    try:
        fs, _ = url_to_fs(url)
        # A listing that an earlier call made may be old.
        fs.invalidate_cache()
        return work(fs)
    except InputError:
        raise
    except ImportError:
        needed = EXTRAS.get(scheme, f"the fsspec library for {scheme}://")
        raise InputError(f"needs {needed}, which is not installed", where=where, hint=INSTALL) from None
    except FileNotFoundError as error:
        # fsspec says so of whatever a web server answers, or does not.
        if error.__cause__ is not None and getattr(error.__cause__, "status", None) != 404:
            raise _said(error.__cause__, url, scheme, where, doing, fsspec) from None
        raise InputError("no such object", where=where, hint="Check the address.") from None
    except PermissionError:
        raise _refused(where) from None
    except Exception as error:
        # Every store has errors of its own; none of them is a fault of isogloss, and some repeat the whole URL.
        raise _said(error, url, scheme, where, doing, fsspec) from None


def _said(error: BaseException, url: str, scheme: str, where: str, doing: str, fsspec: Any) -> InputError:
    status = getattr(error, "status", None)
    kind = type(error).__name__
    if status in (401, 403) or kind in ("NoCredentialsError", "PartialCredentialsError"):
        return _refused(where)
    if isinstance(error, ValueError) and scheme not in fsspec.available_protocols():
        return InputError(f"unknown kind of store {scheme}://", where=where, hint="Known: s3://, gs://, https://.")
    if isinstance(error, OSError) or "Connect" in kind or "Timeout" in kind:
        why = _without_secrets(str(error), url) or kind
        return InputError(f"does not answer: {why}", where=where, hint="Is the network up, and the address right?")
    return InputError(f"cannot be {doing}: {kind}: {_without_secrets(str(error), url)}", where=where)


def _refused(where: str) -> InputError:
    hint = "Credentials are those of your environment: AWS_PROFILE, gcloud auth, or a signed address."
    return InputError("no permission", where=where, hint=hint)


def _clean(url: str) -> str:
    """Without user, password, query and fragment."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"(://)[^/@]*@", r"\1", bare)


def _without_secrets(text: str, url: str) -> str:
    text = text.replace(url, _clean(url))
    text = re.sub(r"(://)[^/@\s'\"]*@", r"\1", text)
    return re.sub(r"\?[^\s'\")]*", "", text)


def text_with_urls(path: Path) -> None:
    """Put URLs in place of local copies in a file that was just written, if it is text."""
    if not _folders or path.suffix.lower() not in (".json", ".html", ".csv", ".toml", ".md", ".jsonl", ".txt"):
        return
    with suppress(UnicodeDecodeError):
        text = path.read_text(encoding="utf-8")
        if (said := shown(text)) != text:
            path.write_text(said, encoding="utf-8")
