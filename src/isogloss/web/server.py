"""Streamlit's server around the explorer's script."""

from __future__ import annotations

import threading
from pathlib import Path

from isogloss.web.settings import Settings, put
from isogloss.web.theme import options


def run(chosen: Settings, *, host: str, port: int, browser: bool) -> None:
    """Serve until the process is told to end."""
    from streamlit.web import bootstrap

    put(chosen)
    flags = {**options(), **server_options(chosen, host, port, browser)}
    bootstrap.load_config_options(flags)
    threading.Thread(target=warm_up, daemon=True).start()
    bootstrap.run(str(Path(__file__).with_name("app.py")), False, [], flags)


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


def warm_up() -> None:
    """Load and compile what the first page needs while the server and the browser start."""
    from altair.utils.schemapi import disable_debug_mode

    from isogloss.errors import InputError, PlanError
    from isogloss.web.bases import FIRST
    from isogloss.web.questions import start, text_of
    from isogloss.web.views import plan

    # Checking every chart against its schema takes a third of a page's time, and would find mistakes of our own only.
    disable_debug_mode()
    try:
        found = plan.planned(text_of(start(FIRST)), 0)
        plan.plan_cards(found)
    except (InputError, PlanError):
        # The page tells it where it matters.
        return
