"""What became of every point: the counts that an import reports, and that must add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NOT_MAPPED = "not mapped"
AS_SETTING = "read as a setting of the run"
REPLACED = "replaced by a resume"
REPEATED = "duplicate of the same step"
NOT_A_NUMBER = "not a number"


@dataclass(frozen=True)
class MetricAccount:
    """One metric of one run: `read` points are `kept`, or left out for a reason. `use` says what it was read as."""

    metric: str
    use: str
    read: int
    kept: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        out = {why: count for why, count in self.left_out.items() if count}
        object.__setattr__(self, "left_out", out)
        if self.read != self.kept + sum(out.values()):
            raise AssertionError(f"{self.metric}: {self.read} read, {self.kept} kept, {out} left out")


@dataclass(frozen=True)
class RunAccount:
    """One run: its name in the source, and its metrics. `lost` points or lines were there and could not be read."""

    run_id: str
    key: str
    name: str
    status: str | None
    metrics: Sequence[MetricAccount]
    lost: int = 0
    notes: Sequence[str] = ()
    gone: bool = False
    """No longer in the source."""

    @property
    def read(self) -> int:
        return sum(m.read for m in self.metrics)

    @property
    def kept(self) -> int:
        return sum(m.kept for m in self.metrics)


@dataclass(frozen=True)
class ImportReport:
    """What an import read and kept, and why not the rest. `losses` are the points in evals.parquet.

    `new`, `changed` and `known` count the runs of this import, `gone` those that the source no longer has.
    """

    source: str
    out: str
    runs: Sequence[RunAccount]
    losses: int
    languages: Sequence[str]
    notes: Sequence[str] = ()
    troubles: Sequence[Mapping[str, Any]] = ()
    new: int = 0
    changed: int = 0
    known: int = 0
    skipped: int = 0
    guessed: bool = False
    lacking: Sequence[str] = ()
    """What a law will lack, and what to do, in lines."""

    @property
    def read(self) -> int:
        return sum(run.read for run in self.runs)

    @property
    def lost(self) -> int:
        return sum(run.lost for run in self.runs) + sum(t.get("lost") or 0 for t in self.troubles if not t["run_id"])

    @property
    def logged(self) -> int:
        """Points read, and those known to be lost."""
        return self.read + self.lost

    @property
    def kept(self) -> int:
        return sum(run.kept for run in self.runs)

    @property
    def gone(self) -> int:
        return sum(run.gone for run in self.runs)

    def reasons(self) -> dict[str, int]:
        """Points left out by reason, most first."""
        counts: Counter[str] = Counter()
        for metric in self._metrics():
            counts.update(metric.left_out)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def left_out(self) -> list[tuple[str, str, int, int]]:
        """Metric, reason, points and runs, most points first; settings come last but for what is not mapped."""
        points: Counter[tuple[str, str]] = Counter()
        runs: Counter[tuple[str, str]] = Counter()
        for metric in self._metrics():
            for why, count in metric.left_out.items():
                points[metric.metric, why] += count
                runs[metric.metric, why] += 1
        order = sorted(points, key=lambda k: (k[1] == NOT_MAPPED, k[1] == AS_SETTING, -points[k], k))
        return [(metric, why, points[metric, why], runs[metric, why]) for metric, why in order]

    def _metrics(self) -> Iterable[MetricAccount]:
        return (metric for run in self.runs for metric in run.metrics)

    def statuses(self) -> dict[str, int]:
        return dict(Counter(run.status or "unknown" for run in self.runs).most_common())

    def to_dict(self) -> dict[str, Any]:
        """The same for the same state of the source: import.json."""
        return {
            "source": self.source,
            "totals": {
                "runs": len(self.runs),
                "statuses": self.statuses(),
                "logged": self.logged,
                "read": self.read,
                "kept": self.kept,
                "lost": self.lost,
                "losses": self.losses,
                "gone": self.gone,
                "left_out": self.reasons(),
            },
            "languages": list(self.languages),
            "notes": list(self.notes),
            "lacking": list(self.lacking),
            "troubles": [dict(t) for t in self.troubles],
            "runs": [asdict(run) | {"read": run.read, "kept": run.kept} for run in self.runs],
        }
