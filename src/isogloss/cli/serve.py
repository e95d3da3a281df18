"""serve: the explorer in a browser."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isogloss.errors import InputError
from isogloss.stores import local

Flag = Annotated[bool, Parameter(negative=())]


def serve(
    path: Path | None = None,
    *,
    port: int = 8501,
    host: str = "127.0.0.1",
    no_browser: Flag = False,
    public: Flag = False,
) -> None:
    """Open the explorer: plan, laws, transfer, expand, crossover and runs as pages with controls.

    Without a path it rests on published evidence; with one it offers your own questions, runs, fits, transfer and saved
    answers too. Nothing leaves this machine, and nothing outside the folder is read. Ctrl-C ends it.

    Parameters
    ----------
    path
        A folder, or one file, of your own.
    port
        Where the page is; 8501 unless said.
    host
        The address to listen on: by default this machine alone. 0.0.0.0 lets everybody in who reaches it.
    no_browser
        Do not open a browser.
    public
        For a page that strangers use: smaller uploads. Give no path that strangers must not read.
    """
    root = _checked(path, public)
    _check_port(host, port)
    try:
        import streamlit  # noqa: F401
    except ImportError as error:
        hint = 'pip install "isogloss[web]"'
        raise InputError("the explorer needs Streamlit", where="serve", hint=hint) from error
    from isogloss.web.server import run
    from isogloss.web.settings import Settings

    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '') else f'[{host}]' if ':' in host else host}:{port}"
    print(f"isogloss explorer: {address}  (Ctrl-C ends it)", flush=True)
    run(Settings(root, public), host=host, port=port, browser=not no_browser)


def _checked(path: Path | None, public: bool) -> Path | None:
    if path is None:
        return None
    # Of a store, as it is now: what changes there is seen by the next server.
    root = Path(local(path)).expanduser()
    if not root.exists():
        raise InputError(f"there is no {path}", where="serve", hint="Give a folder of yours, or leave it out.")
    resolved = root.resolve()
    if public and resolved in (Path.home(), Path(resolved.anchor)):
        raise InputError(f"{path} is all that you have", where="serve --public", hint="Give a folder made to be shown.")
    return resolved


def _check_port(host: str, port: int) -> None:
    """InputError where nothing can listen there."""
    if not 0 < port < 65536:
        raise InputError(f"{port} is no port", where="--port", hint="Give one from 1024 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except PermissionError:
            raise InputError(f"port {port} may not be used", where="--port", hint="Try --port 8501.") from None
        except (OSError, UnicodeError) as error:
            taken = isinstance(error, OSError) and error.errno in (48, 98, 10048)
            what = f"port {port} is taken" if taken else f"cannot listen on {host}:{port} ({error})"
            hint = f"Try --port {port + 1}." if taken else "Leave --host out for this machine alone."
            raise InputError(what, where="--port" if taken else "--host", hint=hint) from None
