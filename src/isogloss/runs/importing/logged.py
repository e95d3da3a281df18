"""What a tracker logged of a run, whatever the tracker: the form that every source reads into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Series:
    """One metric's points in the order in which they were logged, `(n,)` each; NaN and infinite values are points."""

    step: np.ndarray
    """The tracker's own counter, int64: points of different metrics with one step were logged together."""
    value: np.ndarray
    time: np.ndarray | None = None
    """Seconds since 1970."""

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Trouble:
    """Something that cannot be read, with what to do: a file cut short, lines that are no JSON, a locked database."""

    where: str
    what: str
    hint: str = ""
    lost: int | None = None
    """Points or lines that were there and could not be read; None where nobody can tell."""


@dataclass(frozen=True, eq=False)
class LoggedRun:
    """A run as its tracker has it."""

    key: str
    """Tells the run from all others of its source, and is the same whenever the source is read."""
    name: str
    status: str
    """In the words of the run table: finished, running, killed, failed, or empty where the source does not tell."""
    config: Mapping[str, Any]
    """Settings, flat: keys of nested ones are joined by "."."""
    metrics: Mapping[str, Series]
    troubles: Sequence[Trouble] = ()


class Entry(Protocol):
    """A run that a source holds, before it is read."""

    @property
    def key(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes whenever there is more to read, and is cheap to tell: a run of a known version is not read again."""
        ...

    def read(self) -> LoggedRun: ...


class Source(Protocol):
    """Where runs were logged."""

    @property
    def said(self) -> str:
        """Kind and place, such as "mlflow: mlruns"; without passwords and keys."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Every run, in an order that does not change. Raises InputError where the source cannot be opened at all."""
        ...

    @property
    def troubles(self) -> Sequence[Trouble]:
        """Of the source as a whole, known once `entries` ended."""
        ...


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with keys joined by "."; lists stay values."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out |= flat(value, f"{name}.")
        else:
            out[name] = value
    return out


@dataclass
class Columns:
    """Points of many metrics gathered row by row, for sources that log a row of several metrics at a step."""

    steps: dict[str, list[int]] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, step: int, value: float, time: float = float("nan")) -> None:
        if name not in self.steps:
            self.steps[name], self.values[name], self.times[name] = [], [], []
        self.steps[name].append(step)
        self.values[name].append(value)
        self.times[name].append(time)

    def series(self) -> dict[str, Series]:
        return {
            name: Series(
                np.asarray(steps, np.int64), np.asarray(self.values[name], float), np.asarray(self.times[name], float)
            )
            for name, steps in self.steps.items()
        }
