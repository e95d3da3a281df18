"""What the sources of trackers share."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Trouble


def library(module: str, tracker: str) -> Any:
    """A tracker's library, imported now. Raises InputError that names the extra where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        hint = 'pip install "isogloss[import]"'
        raise InputError(f"reading {tracker} needs {module.split('.')[0]}: {error}", hint=hint) from None


def stamp(files: Iterable[Path]) -> str:
    """Sizes and times of files: changes when one is written on. Files that have gone meanwhile count as such."""
    parts = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            parts.append("gone")
        else:
            parts.append(f"{status.st_size}:{status.st_mtime_ns}")
    return " ".join(parts)


@dataclass
class NotScalars:
    """Values that are no numbers (media, histograms, texts), counted by metric."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + count

    def troubles(self, where: str) -> list[Trouble]:
        if not self.counts:
            return []
        total = sum(self.counts.values())
        most = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{name} ({count})" for name, count in most[:6]) + (" ..." if len(most) > 6 else "")
        return [Trouble(where, f"{total} values are no scalars and are left out: {shown}", "", total)]
