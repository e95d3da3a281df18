"""What a plan says of its start: scratch, or the checkpoint that the question names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isogloss.planning.checkpoints import Checkpoint
from isogloss.planning.kinds import Evidence
from isogloss.planning.start import Crossing, Way

Verdict = Literal["continue", "scratch", "undecided"]


@dataclass(frozen=True, eq=False)
class LanguageStart:
    """One language: where scratch overtakes continuing, and what the plan spends on it."""

    code: str
    weight: float
    """Among the languages that are judged, which sum to 1."""
    crossing: Crossing
    """At the plan's N."""
    spent: float
    """FLOPs: 6 N d with the language's own d tokens, repeats counted."""
    effective: float
    """The same with the tokens that it counts as: repeats decayed, other languages' added as the plan's law has it."""
    ahead: float
    """Part of the draws in which continuing is better with `spent`."""
    ahead_effective: float
    verdict: Verdict
    measured: bool
    """The crossing is fitted to the question's runs, not published."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "weight": self.weight,
            "crossing": self.crossing.to_dict(),
            "spent": self.spent,
            "effective": self.effective,
            "continue_is_better": self.ahead,
            "continue_is_better_effective": self.ahead_effective,
            "verdict": self.verdict,
            "measured": self.measured,
        }


@dataclass(frozen=True, eq=False)
class OwnSize:
    """The best plan from scratch at the checkpoint's size, which continuing gives; arrays are `(K,)`."""

    N: float
    D: float
    C: float
    """FLOPs, training alone: fewer than the plan's where the text ends before."""
    shares: np.ndarray
    loss: np.ndarray
    objective: float
    """At the point laws."""
    excess: float
    """Its objective over the plan's at the point laws, less 1."""
    text_ends: bool

    def to_dict(self, languages: Sequence[str]) -> dict[str, Any]:
        by_language = {
            name: {code: float(v) for code, v in zip(languages, values, strict=True)}
            for name, values in (("shares", self.shares), ("loss", self.loss))
        }
        numbers = {"N": self.N, "D": self.D, "C": self.C, "objective": self.objective, "excess": self.excess}
        return {**numbers, "text_ends": self.text_ends, **by_language}


@dataclass(frozen=True, eq=False)
class Start:
    """Scratch or the question's checkpoint, for one plan of N parameters."""

    checkpoint: Checkpoint
    N: float
    languages: tuple[LanguageStart, ...]
    """The largest weight times share first."""
    left_out: tuple[str, ...]
    """Languages of positive weight that are not judged, for there are too many."""
    ahead: float
    """Part of the draws in which continuing is better, the mean over the languages by weight."""
    verdict: Verdict
    sentence: str
    own_size: OwnSize | None
    """None where `why_not` says why no plan of the checkpoint's size is possible."""
    why_not: str
    size_sentence: str
    ways: tuple[Way, ...]
    """Growing and merging: what is published of them."""
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    plan_languages: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "continue_is_better": self.ahead,
            "sentence": self.sentence,
            "checkpoint": self.checkpoint.to_dict(),
            "N": self.N,
            "languages": {row.code: row.to_dict() for row in self.languages},
            "left_out": list(self.left_out),
            "own_size": self.own_size.to_dict(self.plan_languages) if self.own_size else None,
            "why_not": self.why_not,
            "size_sentence": self.size_sentence,
            "ways": [way.to_dict() for way in self.ways],
            "evidence": {e.quantity: {"kind": e.kind, "source": e.source} for e in self.evidence},
            "warnings": list(self.warnings),
        }
