"""Where isogloss keeps what it can compute again: compiled programs and the charts' JavaScript."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir(name: str) -> Path | None:
    """The folder for `name` under the user's cache, made if need be; None where it cannot be written.

    `ISOGLOSS_CACHE_DIR` chooses another place; set to an empty string, nothing is kept.
    """
    chosen = os.environ.get("ISOGLOSS_CACHE_DIR")
    if chosen == "":
        return None
    root = Path(chosen) if chosen else _user_cache() / "isogloss"
    folder = root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
