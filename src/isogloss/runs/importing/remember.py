"""A source whose runs are looked at twice, for a guess and then for the import, and read once if memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from isogloss.runs.importing.logged import Entry, LoggedRun, Source, Trouble

# About half a gigabyte: a point is three numbers of eight bytes.
MOST_POINTS = 20_000_000


@dataclass
class Remembered:
    source: Source
    most: int = MOST_POINTS
    kept: dict[str, tuple[str, LoggedRun]] = field(default_factory=dict)
    points: int = 0

    @property
    def said(self) -> str:
        return self.source.said

    @property
    def troubles(self) -> Sequence[Trouble]:
        return self.source.troubles

    def entries(self) -> Iterator[RememberedEntry]:
        for entry in self.source.entries():
            yield RememberedEntry(self, entry, entry.version)

    def read(self, entry: Entry, version: str) -> LoggedRun:
        """The second reading of a run gives it out of memory, unless it has changed, and forgets it."""
        known, run = self.kept.pop(entry.key, (None, None))
        if run is not None:
            self.points -= _points(run)
        if run is None or known != version or not version:
            run = entry.read()
            if self.points + _points(run) <= self.most:
                self.points += _points(run)
                self.kept[entry.key] = version, run
        return run


@dataclass(frozen=True)
class RememberedEntry:
    owner: Remembered
    entry: Entry
    version: str

    @property
    def key(self) -> str:
        return self.entry.key

    def read(self) -> LoggedRun:
        return self.owner.read(self.entry, self.version)


def _points(run: LoggedRun) -> int:
    return sum(map(len, run.metrics.values()))
