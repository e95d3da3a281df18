"""A source that holds what a test says, for tests of the import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isogloss.runs.importing.logged import LoggedRun, Series, Trouble

MAP: dict[str, Any] = {
    "losses": {"eval/{language}/loss": "nats/token"},
    "tokens": {"metric": "tokens"},
    "run": {"params_total": "N", "batch_tokens": "batch * length"},
    "mixture": {"share": "mix.{language}"},
}


def series(step: Sequence[int], value: Sequence[float]) -> Series:
    return Series(np.asarray(step, np.int64), np.asarray(value, float))


def run(
    key: str = "a", status: str = "finished", config: Mapping[str, Any] | None = None, /, **metrics: Any
) -> LoggedRun:
    """Metrics as (steps, values); `__` in their names stands for /."""
    found = {name.replace("__", "/"): series(*points) for name, points in metrics.items()}
    return LoggedRun(key, key, status, {"N": 1e8, **(config or {})}, found)


def curve(key: str = "a", status: str = "finished", points: int = 5, **config: Any) -> LoggedRun:
    """Two languages, evaluated where tokens are counted: 1000 a step."""
    steps = list(range(10, 10 * points + 1, 10))
    losses = [3 + 10 / s for s in steps]
    tokens = (steps, [1000 * s for s in steps])
    mix = {"mix.sw": 0.5, "mix.en": 0.5}
    return run(key, status, mix | config, eval__sw__loss=(steps, losses), eval__en__loss=(steps, losses), tokens=tokens)


@dataclass
class FakeEntry:
    run: LoggedRun
    version: str
    read_one: Callable[[LoggedRun], LoggedRun]

    @property
    def key(self) -> str:
        return self.run.key

    def read(self) -> LoggedRun:
        return self.read_one(self.run)


@dataclass
class FakeSource:
    """`reads` lists the keys that were read, `versions` may say others than 1."""

    runs: Sequence[LoggedRun]
    versions: Mapping[str, str] = field(default_factory=dict)
    said: str = "fake: here"
    troubles: Sequence[Trouble] = ()
    reads: list[str] = field(default_factory=list)
    failing: Callable[[str], None] = lambda _: None

    def entries(self) -> Iterator[FakeEntry]:
        for run in self.runs:
            yield FakeEntry(run, self.versions.get(run.key, "1"), self._read)

    def _read(self, run: LoggedRun) -> LoggedRun:
        self.failing(run.key)
        self.reads.append(run.key)
        return run
