"""Ways to start a model of a language: what each costs and reaches, or why nobody can say."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from isogloss.planning.kinds import Evidence

WayName = Literal["scratch", "continue", "grow", "merge"]
NO_LAW = "no measured law"


@dataclass(frozen=True)
class LossCurve:
    """Expected loss of the language against the training compute of this run alone, `(points,)` each."""

    C: np.ndarray
    """FLOPs, 6 N D; what a checkpoint was trained with before is not counted."""
    D: np.ndarray
    loss: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    unit: str

    def to_dict(self) -> dict[str, Any]:
        columns = {"C": self.C, "D": self.D, "loss": self.loss, "low": self.low, "high": self.high}
        return {"unit": self.unit, **{k: None if v is None else v.tolist() for k, v in columns.items()}}


@dataclass(frozen=True)
class Way:
    """One way to start. Where there is no curve, `reason` says why."""

    name: WayName
    curve: LossCurve | None
    reason: str | None
    evidence: tuple[Evidence, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "curve": self.curve.to_dict() if self.curve else None,
            "reason": self.reason,
            "evidence": [{"quantity": e.quantity, "kind": e.kind, "source": e.source} for e in self.evidence],
        }


Status = Literal["crosses", "beyond", "possible", "continue", "scratch", "undecided"]


@dataclass(frozen=True)
class Crossing:
    """The compute from which training from scratch is better than continuing.

    `status` is "crosses"; "beyond": the curves meet only past the compute that was studied; "possible": a law
    whose curves never cross describes the runs as well; "continue" or "scratch": that way is better at all compute
    considered; "undecided": the evidence cannot tell the two apart.
    """

    status: Status
    C: float | None
    """FLOPs, the median; None where the two do not cross."""
    low: float | None
    """End of the interval in FLOPs; None where it lies below all compute considered."""
    high: float | None
    """End of the interval in FLOPs; None where it lies beyond all compute considered."""
    level: float
    draws: np.ndarray = field(repr=False)
    """FLOPs `(draws,)`; 0 where scratch is better throughout, infinite where continuing is."""

    def continue_is_better(self, C: float) -> float:
        """Part of the draws in which continuing is better with C FLOPs."""
        return float((self.draws > C).mean())

    def to_dict(self) -> dict[str, Any]:
        return {"status": self.status, "C": self.C, "low": self.low, "high": self.high, "level": self.level}


def quantiles(draws: np.ndarray, level: float) -> tuple[float | None, float | None, float | None]:
    """Low, median and high of draws that may be 0 (below all that was considered) or infinite (beyond it): None."""
    ends = np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2], method="nearest")
    low, middle, high = (float(v) if 0 < v < math.inf else None for v in ends)
    return low, middle, high


def grow() -> Way:
    """What is published of growing a smaller model: findings, no law."""
    return Way(
        "grow",
        None,
        f"{NO_LAW}: one pair of sizes is published, and no loss against compute that could be scaled",
        (
            Evidence(
                "grow.language",
                "published",
                "Glocker et al. 2025, arXiv:2512.10772: an English model of 180M grown to 572M (HyperCloning) and "
                "continued on Estonian, Faroese, Icelandic, Persian or Swedish (1.5B to 74B tokens, some text up to 6 "
                "times) matches or beats the 180M model continued on much more text, once it has enough of it",
            ),
            Evidence(
                "grow.convergence",
                "published",
                "Samragh et al. 2024, arXiv:2409.12903 (HyperCloning, English): a grown model reaches a loss with up "
                "to 4 times less training than one from random weights; for other languages nobody has measured it",
            ),
        ),
    )


def merge() -> Way:
    """What is published of merging single-language models: findings, and a law of experts of domains."""
    return Way(
        "merge",
        None,
        f"{NO_LAW} of merging languages: what is published says that it is worse than training them together",
        (
            Evidence(
                "merge.language",
                "published",
                "Glocker et al. 2025, arXiv:2512.10772: merges of five single-language models (180M and 572M) stay "
                "behind joint training of the five; grown ones merge better; methods differ much",
            ),
            Evidence(
                "merge.experts",
                "published",
                "Wang et al. 2025, arXiv:2509.24244, equation 1: the loss of merged experts of domains falls as "
                "A N^-gamma/(k + b) with k experts of one ancestor (0.5B to 72B, k up to 9; 5 reach 85 % of what 9 "
                "gain); experts of languages were not measured",
            ),
            Evidence(
                "merge.condition",
                "assumed",
                "models merge only where they have one ancestor and one vocabulary: check before training them",
            ),
        ),
    )
