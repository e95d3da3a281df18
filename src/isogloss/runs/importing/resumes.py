"""What a resume does to logged points: steps logged twice, branches that were given up, counters that begin anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.runs.importing.logged import Series

# A counter that falls more often than this is no counter, resumed or not.
_MOST_DROPS = 0.1
_FEW = 3


@dataclass(frozen=True, eq=False)
class InOrder:
    """The points of a series that count, by rising step, each step once. `replaced` and `repeated` count the others."""

    step: np.ndarray
    value: np.ndarray
    kept: np.ndarray
    """Indices into the series as it was logged."""
    replaced: int
    repeated: int


def went_back(series: Series) -> bool:
    """A later point has a step below one that came before it."""
    return len(series) > 1 and bool((np.diff(series.step) < 0).any())


def in_order(series: Series, *, resumed: bool) -> InOrder:
    """Of points at one step the later counts. After a resume so do only those before the step at which it went on.

    Where a series goes back and nothing says that the run was resumed, its points were logged late: they are sorted.
    """
    step = series.step
    kept = np.arange(len(step))
    if len(step) < 2 or (np.diff(step) > 0).all():
        return InOrder(step, series.value, kept, 0, 0)
    repeated = replaced = 0
    # A step that is logged twice in direct succession is a duplicate and no resume.
    last = np.append(np.diff(step) != 0, True)
    repeated += int((~last).sum())
    kept = kept[last]
    if resumed:
        later = np.append(np.minimum.accumulate(step[kept][::-1])[::-1][1:], np.iinfo(np.int64).max)
        alive = step[kept] < later
        replaced += int((~alive).sum())
        kept = kept[alive]
    else:
        order = np.argsort(step[kept], kind="stable")
        kept = kept[order]
        last = np.append(np.diff(step[kept]) != 0, True)
        replaced += int((~last).sum())
        kept = kept[last]
    return InOrder(step[kept], series.value[kept], kept, replaced, repeated)


@dataclass(frozen=True, eq=False)
class Counter:
    """Tokens seen by step, rising. `bad` counts points that are no number, `restarts` the steps of repairs."""

    step: np.ndarray
    tokens: np.ndarray
    replaced: int = 0
    repeated: int = 0
    bad: int = 0
    restarts: tuple[int, ...] = ()

    @property
    def proportional(self) -> bool:
        """It grows from zero at step 0: what was seen before its first point can be told."""
        if len(self.step) < 2 or self.step[0] <= 0 or self.step[-1] <= self.step[0]:
            return False
        slope = (self.tokens[-1] - self.tokens[0]) / (self.step[-1] - self.step[0])
        return bool(abs(self.tokens[0] - slope * self.step[0]) <= 0.01 * slope * self.step[0])


def counter(series: Series, scale: float) -> Counter | None:
    """The counter repaired: what it had reached is added where it begins anew. None where it is no counter."""
    good = np.isfinite(series.value) & (series.value >= 0)
    bad = int((~good).sum())
    series = Series(series.step[good], series.value[good])
    ordered = in_order(series, resumed=True)
    step, value = ordered.step, ordered.value * scale
    if not len(step):
        return None
    drops = np.flatnonzero(np.diff(value) < 0) + 1
    if len(drops) > max(_FEW, _MOST_DROPS * len(step)):
        return None
    # Rises from the last point before each restart: at least as much as the same steps were worth before, because
    # the counter may have begun anew some steps after that point.
    offsets = np.zeros(len(step))
    total = value.copy()
    for i in drops.tolist():
        rate = _rate(step, total, i)
        expected = rate * (step[i] - step[i - 1])
        offset = total[i - 1] + max(0.0, expected - value[i]) - offsets[i]
        offsets[i:] += offset
        total[i:] += offset
    return Counter(step, total, ordered.replaced, ordered.repeated, bad, tuple(int(step[i]) for i in drops))


def _rate(step: np.ndarray, total: np.ndarray, i: int) -> float:
    """Tokens per step before point i."""
    if i >= 2:
        return float((total[i - 1] - total[i - 2]) / (step[i - 1] - step[i - 2]))
    return float(total[0] / step[0]) if step[0] > 0 else 0.0
