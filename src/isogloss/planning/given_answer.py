"""What `evaluate_given` answers: the user's own plan, and the changes that would be better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isogloss.display import Shown
from isogloss.planning.answer import Plan
from isogloss.planning.given_savings import Estimate, estimate
from isogloss.planning.starting_answer import Start
from isogloss.units import format_quantity

SCHEMA = 1

Free = Literal["mixture", "size", "everything"]


@dataclass(frozen=True, eq=False)
class Change:
    """The best plan at the given plan's compute with some of it left free; arrays are `(K,)`."""

    free: Free
    """The mixture, at the given N and D; N, at the given mixture; or both."""
    N: float
    D: float
    shares: np.ndarray
    loss: np.ndarray
    mean_loss: float
    saves_loss: Estimate
    """The part of the given plan's mean loss that it saves; below 0 where the given plan breaks a limit."""
    saves_compute: Estimate
    """The part of the compute that it saves at the given plan's mean loss, this mixture held."""
    words: str


@dataclass(frozen=True, eq=False)
class GivenPlan(Shown):
    """A plan of the user's own; arrays are `(K,)`, in the order of `languages`. Losses as in `Plan`."""

    languages: tuple[str, ...]
    N: float
    D: float
    C: float
    shares: np.ndarray
    epochs: np.ndarray
    loss: np.ndarray
    drawn_loss: np.ndarray | None
    """`(draws, K)`, None without draws."""
    mean_loss: Estimate
    regret: np.ndarray | None
    """`(draws,)`: its mean loss over that of the draw's own best plan at C, less 1; below 0 where it breaks a limit."""
    changes: tuple[Change, ...]
    best: Plan
    """At the given plan's compute, within the question's limits."""
    breaks: tuple[str, ...]
    """Limits of the question that it does not keep, a sentence each."""
    asked_C: float | None
    """The question's own budget, FLOPs; None where the question alone does not tell."""
    notes: tuple[str, ...]
    level: float
    start: Start | None = None
    """Scratch or the question's checkpoint, for the given plan; None without [start]."""

    def __repr__(self) -> str:
        return f"<GivenPlan: N={format_quantity(self.N)}, D={format_quantity(self.D)}, {len(self.languages)} languages>"

    def change(self, free: Free) -> Change | None:
        """None where the limits leave no plan of that kind; `notes` says why."""
        return next((c for c in self.changes if c.free == free), None)

    def losses(self) -> list[Estimate]:
        """Per language."""
        columns = [None] * len(self.loss) if self.drawn_loss is None else list(self.drawn_loss.T)
        return [estimate(float(v), drawn, self.level) for v, drawn in zip(self.loss, columns, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        def by_language(values: np.ndarray) -> dict[str, float]:
            return {code: float(v) for code, v in zip(self.languages, values, strict=True)}

        regret = None
        if self.regret is not None:
            low, median, high = np.quantile(self.regret, [(1 - self.level) / 2, 0.5, (1 + self.level) / 2])
            regret = {"mean": float(self.regret.mean()), "low": low, "median": median, "high": high}
            regret = {name: float(v) for name, v in regret.items()}
        return {
            "schema": SCHEMA,
            "given": {
                "N": self.N,
                "D": self.D,
                "C": self.C,
                "shares": by_language(self.shares),
                "epochs": by_language(self.epochs),
                "loss": {code: e.to_dict() for code, e in zip(self.languages, self.losses(), strict=True)},
                "mean_loss": self.mean_loss.to_dict(),
                "regret": regret,
                "breaks": list(self.breaks),
                "budget": self.asked_C,
                "level": self.level,
                "start": self.start.to_dict() if self.start else None,
            },
            "changes": {
                c.free: {
                    "N": c.N,
                    "D": c.D,
                    "shares": by_language(c.shares),
                    "loss": by_language(c.loss),
                    "mean_loss": c.mean_loss,
                    "saves_loss": c.saves_loss.to_dict(),
                    "saves_compute": c.saves_compute.to_dict(),
                    "words": c.words,
                }
                for c in self.changes
            },
            "best": self.best.to_dict(),
            "notes": list(self.notes),
        }
