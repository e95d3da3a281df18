"""What a plan makes small, in words: its name in full, in a column, of one draw, and its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isogloss.planning.question import Objective, Question


@dataclass(frozen=True)
class Criterion:
    """`name` as a sentence has it, such as "worst loss"; `short` for a column; `unit` of its value."""

    name: str
    short: str
    unit: str
    of_draw: str
    """What it is under one draw of laws and transfer: `short`, with nothing about risk."""

    def to_dict(self) -> dict[str, Any]:
        return {"said": self.name, "short": self.short, "unit": self.unit}


def criterion_of(asked: Question, loss_unit: str) -> Criterion:
    """What the question's [objective] or target makes small."""
    if asked.budget.target is not None:
        part = "worst part of target"
        return Criterion("worst loss as part of its target", part, "parts of the target; 1 or less reaches all", part)
    objective = asked.objective
    relative = objective.measure == "normalised"
    unit = "parts of what each language alone would reach" if relative else loss_unit
    return Criterion(objective.said, _short(objective), unit, _short(objective.model_copy(update={"risk": "point"})))


def _short(objective: Objective) -> str:
    what = "relative loss" if objective.measure == "normalised" else "loss"
    over = {"point": "", "mean": ", mean of draws", "quantile": ", 0.8 quantile", "tail": ", worst fifth of draws"}
    return f"{objective.languages} {what}{over[objective.risk]}"
