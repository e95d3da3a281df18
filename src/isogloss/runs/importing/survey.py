"""What all runs of a source log and set, gathered for guessing: names, and a few figures of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.runs.importing.logged import LoggedRun, Source
from isogloss.runs.importing.settings import amount

_SAMPLES = 50
_TABLES = 1000

Progress = Callable[[str, int, int], None]
"""Told the stage, how much is done, and of how much."""


def quiet(*_: Any) -> None:
    """No progress is shown."""


@dataclass
class MetricFacts:
    """One metric over all runs that log it."""

    runs: int = 0
    points: int = 0
    rising: int = 0
    """Runs in which it never falls but for a few restarts, and ends above its beginning."""
    first: list[float] = field(default_factory=list)
    least: float = np.inf
    most: float = -np.inf


@dataclass
class Survey:
    """Metrics and settings by name, in order of appearance."""

    runs: int = 0
    metrics: dict[str, MetricFacts] = field(default_factory=dict)
    settings: dict[str, list[Any]] = field(default_factory=dict)
    """Values in the first runs that have them."""
    setting_runs: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    amounts: list[dict[str, float]] = field(default_factory=list)
    """Settings that are numbers and not negative, in each of the first runs."""

    def add(self, run: LoggedRun) -> None:
        self.runs += 1
        self.names.append(run.name)
        for name, series in run.metrics.items():
            facts = self.metrics.setdefault(name, MetricFacts())
            facts.points += len(series)
            facts.runs += 1
            value = series.value[np.isfinite(series.value)]
            if not len(value):
                continue
            falls = int((np.diff(value) < 0).sum())
            facts.rising += falls <= max(3, 0.1 * len(value)) and value.max() > value[0] >= 0
            facts.first.append(float(value[0]))
            facts.least, facts.most = min(facts.least, float(value.min())), max(facts.most, float(value.max()))
        self.add_settings(run.config)

    def add_settings(self, settings: Mapping[str, Any]) -> None:
        for key, value in settings.items():
            if value is None:
                continue
            self.setting_runs[key] = self.setting_runs.get(key, 0) + 1
            values = self.settings.setdefault(key, [])
            if len(values) < _SAMPLES:
                values.append(value)
        if len(self.amounts) < _TABLES:
            # Some trackers keep every setting as text.
            self.amounts.append({k: found for k, v in settings.items() if (found := amount(v)) is not None})


def survey(source: Source, progress: Progress = quiet) -> Survey:
    """Read every run once. Runs that cannot be read are left to the import, which says so."""
    out = Survey()
    entries = list(source.entries())
    for i, entry in enumerate(entries):
        try:
            out.add(entry.read())
        except InputError:
            continue
        finally:
            progress("looking at the names", i + 1, len(entries))
    return out
