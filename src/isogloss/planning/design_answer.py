"""The answer of design: the runs, and what they are expected to narrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from isogloss.display import Shown
from isogloss.files import finite, write_text
from isogloss.planning.answer import Plan
from isogloss.planning.design_runs import Setting, SmallRun
from isogloss.stores import mirrored
from isogloss.units import format_quantity

SCHEMA = 1


@dataclass(frozen=True)
class Regret:
    """Relative regret over truths: its mean, and the range of the central 80 %."""

    mean: float
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        low, median, high = (float(q) for q in np.quantile(values, [0.1, 0.5, 0.9]))
        return cls(float(values.mean()), low, median, high)

    def to_dict(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "median": self.median, "high": self.high}


@dataclass(frozen=True, eq=False)
class DesignRun:
    """One run of the design, once for each seed."""

    run: SmallRun
    seeds: tuple[int, ...]
    gain: float
    """By how much the expected regret after the design would be larger without it, as a fraction."""

    @property
    def flops(self) -> float:
        """Of all seeds."""
        return self.run.flops * len(self.seeds)


@dataclass(frozen=True, eq=False)
class Design(Shown):
    """Runs, the most useful first, for at most `budget` FLOPs. Regrets are fractions of the weighted mean loss."""

    title: str
    languages: tuple[str, ...]
    plan: Plan
    """The plan as it stands, without intervals."""
    budget: float
    setting: Setting
    runs: tuple[DesignRun, ...]
    flops: float
    expected_before: float
    """To second order, as the search sees it; `before` and `after` are of re-planned truths."""
    expected_after: float
    before: Regret
    after: Regret
    to_halve: float | None
    """FLOPs of a design that would leave half of the regret; None: none up to sixteen times the budget."""
    noise: float
    drift: float
    considered: int
    """Runs that it chose from."""
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]
    seed: int

    def __repr__(self) -> str:
        return (
            f"<Design of {self.count} runs for {format_quantity(self.flops, 'flops')}: expected regret "
            f"{self.before.mean:.2%} -> {self.after.mean:.2%}>"
        )

    @property
    def count(self) -> int:
        """Runs, each seed one."""
        return sum(len(r.seeds) for r in self.runs)

    def shares_of(self, run: SmallRun) -> dict[str, float]:
        return {c: float(p) for c, p in zip(self.languages, run.mixture.shares, strict=True) if p > 0}

    def unique_of(self, run: SmallRun) -> dict[str, int]:
        """The bound on the text, where there is one."""
        return {c: int(u) for c, u in zip(self.languages, run.unique, strict=True) if np.isfinite(u)}

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "title": self.title,
            "languages": list(self.languages),
            "plan": {"N": self.plan.N, "D": self.plan.D, "C": self.plan.C},
            "budget": self.budget,
            "flops": self.flops,
            "training": {
                "vocab_size": self.setting.vocab_size,
                "context_length": self.setting.context_length,
                "batch_tokens": self.setting.batch_tokens,
            },
            "runs": [
                {
                    "size": r.run.rung,
                    "N": r.run.N,
                    "tokens": list(r.run.tokens),
                    "mixture": r.run.mixture.kind,
                    "shares": self.shares_of(r.run),
                    "unique": self.unique_of(r.run),
                    "seeds": list(r.seeds),
                    "flops": r.flops,
                    "gain": r.gain,
                }
                for r in self.runs
            ],
            "regret": {
                "before": self.before.to_dict(),
                "after": self.after.to_dict(),
                "second_order": {"before": self.expected_before, "after": self.expected_after},
                "flops_to_halve": self.to_halve,
            },
            "noise": self.noise,
            "drift": self.drift,
            "considered": self.considered,
            "assumed": list(self.assumed),
            "warnings": list(self.warnings),
            "seed": self.seed,
        }

    def save(self, path: str | Path) -> Path:
        """Write the answer as JSON, whole or not at all."""
        path = mirrored(path)
        write_text(path, json.dumps(finite(self.to_dict()), indent=1, ensure_ascii=False) + "\n")
        return path
