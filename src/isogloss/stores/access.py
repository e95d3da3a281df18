"""Asking a store: whatever goes wrong there, in words and without credentials. fsspec is imported only here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from isogloss.errors import InputError

EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
}
INSTALL = 'pip install "isogloss[remote]"'


def asked(url: str, work: Callable[[Any], Any], doing: str) -> Any:
    """`work` with the store of `url`; what goes wrong, in words and without credentials."""
    scheme, where = url.partition("://")[0].lower(), clean(url)
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


def clean(url: str) -> str:
    """Without user, password, query and fragment."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"(://)[^/@]*@", r"\1", bare)


def _without_secrets(text: str, url: str) -> str:
    text = text.replace(url, clean(url))
    text = re.sub(r"(://)[^/@\s'\"]*@", r"\1", text)
    return re.sub(r"\?[^\s'\")]*", "", text)
