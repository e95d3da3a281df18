"""What the server was told when it was started: the served folder, and whether anybody may come."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT, PUBLIC = "ISOGLOSS_WEB_PATH", "ISOGLOSS_WEB_PUBLIC"


@dataclass(frozen=True)
class Limits:
    """Of one upload. A file of fewer bytes may still hold more than a page can show."""

    megabytes: int
    rows: int
    columns: int
    unpacked_megabytes: int
    fit_rows: int
    """Rows that a fit in the page takes: what is larger is for the command line."""


@dataclass(frozen=True)
class Settings:
    root: Path | None = None
    """The file or folder of the user's own; None: published evidence alone."""
    public: bool = False

    @property
    def limits(self) -> Limits:
        return LIMITS[self.public]


# By whether the server is public.
LIMITS = {
    True: Limits(megabytes=20, rows=200_000, columns=500, unpacked_megabytes=400, fit_rows=5_000),
    False: Limits(megabytes=200, rows=2_000_000, columns=2_000, unpacked_megabytes=4_000, fit_rows=50_000),
}


def settings() -> Settings:
    """From the environment of the process: Streamlit runs the page as a script of its own."""
    path = os.environ.get(ROOT)
    return Settings(Path(path) if path else None, os.environ.get(PUBLIC) == "1")


def put(chosen: Settings) -> None:
    os.environ.pop(ROOT, None)
    if chosen.root is not None:
        os.environ[ROOT] = str(chosen.root)
    os.environ[PUBLIC] = "1" if chosen.public else "0"
