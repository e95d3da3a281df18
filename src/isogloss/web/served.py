"""What the server serves, found once and again after a while."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from isogloss.web.found import Found, Kind, check_inside, find
from isogloss.web.found import chosen as chosen_of
from isogloss.web.settings import settings

SECONDS = 10


def everything() -> tuple[Found, ...]:
    root = settings().root
    return () if root is None else _found(root, int(time.monotonic() / SECONDS))


def of_kind(*kinds: Kind) -> list[Found]:
    return [entry for entry in everything() if entry.kind in kinds]


def chosen(name: str, *kinds: Kind) -> Found:
    """The entry of that name, all its parts inside the served folder. Raises InputError where there is none."""
    entry = chosen_of(everything(), name, *kinds)
    root = settings().root
    assert root is not None
    check_inside(entry.path, root)
    return entry


def folder_of(name: str) -> Path | None:
    """Of a question that was found: where the files lie that it names."""
    return next((entry.path.parent for entry in of_kind("question") if entry.name == name), None)


@lru_cache(maxsize=2)
def _found(root: Path, moment: int) -> tuple[Found, ...]:  # noqa: ARG001
    return find(root)
