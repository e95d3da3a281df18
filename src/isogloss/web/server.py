"""Streamlit's server around the explorer's script."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser
from contextlib import suppress

from isogloss.web import warming
from isogloss.web.settings import Settings, put
from isogloss.web.theme import options


def run(chosen: Settings, *, host: str, port: int, browser: bool) -> None:
    """Serve until the process is told to end."""
    from streamlit.web import bootstrap

    put(chosen)
    bootstrap.load_config_options({**options(), **server_options(chosen, host, port, browser)})
    warming.start()
    import uvicorn

    from isogloss.web.asgi import app

    if browser:
        threading.Thread(target=_open_when_there, args=(host, port), daemon=True).start()
    # Ctrl-C is how it ends: open pages are given a second, and nothing is left undone.
    with suppress(KeyboardInterrupt):
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )


def _open_when_there(host: str, port: int) -> None:
    """The page in the user's browser, as soon as the server listens."""
    address = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host
    for _ in range(600):
        with suppress(OSError), socket.create_connection((address, port), timeout=1):
            webbrowser.open(f"http://{f'[{address}]' if ':' in address else address}:{port}")
            return
        time.sleep(0.05)


def server_options(chosen: Settings, host: str, port: int, browser: bool) -> dict[str, object]:
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": not browser,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.showEmailPrompt": False,
        "server.maxUploadSize": chosen.limits.megabytes,
        "server.enableStaticServing": False,
        # Behind the proxy of a public space the address is another, and there is no login to protect.
        "server.enableCORS": not chosen.public,
        "server.enableXsrfProtection": not chosen.public,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        # Streamlit's own export would write cells that a spreadsheet runs.
        "client.disableDataExport": True,
        "runner.magicEnabled": False,
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
    }
