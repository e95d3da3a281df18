"""The explorer as a web application: Streamlit's own, whose page knows where it was served from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from starlette.middleware import Middleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"
# Without it a page at /laws asks for its server at /laws/_stcore first, which is not there: an error in the console,
# and a round trip. Pages are one level deep, so "./" is the top, under a proxy's prefix too.
TOP = b'<script>window.__streamlit = { BACKEND_BASE_URL: new URL("./", window.location.href).href };</script>'


class KnowsItsTop:
    """Writes the address of the server into pages; everything else passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not _asks_for_page(scope):
            await self._app(scope, receive, send)
            return
        # Compressed, or handed over as a file's name, it could not be written into.
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        page = _Page(send)
        await self._app({**scope, "headers": plain, "extensions": {}}, receive, page.send)


class _Page:
    """One response; of HTML the start waits until the length is known."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                body = self._body.replace(HEAD, HEAD + TOP, 1)
                kept = [(k, v) for k, v in self._start["headers"] if k.lower() not in (b"content-length", b"etag")]
                length = (b"content-length", str(len(body)).encode())
                await self._send({**self._start, "headers": [*kept, length]})
                await self._send({"type": "http.response.body", "body": body})
        else:
            await self._send(message)


def _asks_for_page(scope: Scope) -> bool:
    """For one below the top: at the top Streamlit finds its server by itself, and sooner."""
    below = scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
    return bool(below) and any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_html(message: Any) -> bool:
    ok = message["status"] == 200
    return ok and any(k.lower() == b"content-type" and v.startswith(b"text/html") for k, v in message["headers"])


app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(KnowsItsTop)])
