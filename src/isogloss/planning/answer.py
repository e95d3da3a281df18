"""The answer to a question: a plan, and the naive mixtures beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.display import Shown
from isogloss.files import finite, write_text
from isogloss.planning.corpora import CorpusRow
from isogloss.planning.cost import Cost
from isogloss.planning.criterion import Criterion
from isogloss.planning.kinds import Evidence, Kind
from isogloss.planning.parts import Parts
from isogloss.planning.phases import PhaseRow
from isogloss.planning.plan_choices import PlanChoices
from isogloss.planning.starting_answer import Start
from isogloss.planning.uncertainty import Uncertainty
from isogloss.stores import mirrored
from isogloss.units import format_quantity

SCHEMA = 1
# What a search leaves of no share.
NO_SHARE = 1e-6


@dataclass(frozen=True)
class Alternative:
    """A naive mixture at the plan's own N and D."""

    name: str
    shares: np.ndarray
    epochs: np.ndarray
    loss: np.ndarray
    objective: float
    over_cap: tuple[str, ...]
    """Languages that it repeats beyond the question's epoch cap."""


@dataclass(frozen=True)
class Plan(Shown):
    """Arrays are `(K,)`, in the order of `languages`. Losses are in `loss_unit`."""

    title: str
    languages: tuple[str, ...]
    N: float
    D: float
    C: float
    shares: np.ndarray
    epochs: np.ndarray
    epoch_caps: np.ndarray
    text: np.ndarray
    """Unique tokens available."""
    loss: np.ndarray
    weights: np.ndarray
    objective: float
    """What the plan makes small: the weighted mean loss, unless the question's [objective] or target says otherwise."""
    criterion: Criterion
    """What `objective` is, in words, and its unit."""
    binds: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    profile: pl.DataFrame
    """The least objective at other sizes: N, D, objective; only sizes for which the text lasts."""
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    loss_unit: str
    N_range: tuple[float, float]
    """The sizes behind the laws: beyond them the plan extrapolates."""
    starts: int
    agree: int
    uncertainty: Uncertainty | None = None
    """None: not asked for, or nothing that the plan rests on has an interval."""
    parts: Parts | None = None
    """What part of that is due to laws, and what to transfer; None where only one of them varies."""
    cost: Cost | None = None
    """In FLOPs for training and serving, hours, money, and counted exactly."""
    start: Start | None = None
    """Scratch or the question's checkpoint; None without [start]."""
    choices: PlanChoices | None = None
    """What other choices of the languages' fits would give; None where no language names a fit."""
    corpora: tuple[CorpusRow, ...] = ()
    """Of the languages that have several, or one of a quality, in the order of the question."""
    phases: tuple[PhaseRow, ...] = ()
    """The mixture of each phase, where the question has phases; `shares` are of the whole run."""

    @property
    def left_out(self) -> np.ndarray:
        """Languages of weight 0 that the plan has no use for `(K,)`: their losses are a uniform guess's."""
        return (self.weights == 0) & (self.shares < NO_SHARE)

    def __repr__(self) -> str:
        return (
            f"<Plan for {len(self.languages)} languages at {self.C:.3g} FLOPs: N={format_quantity(self.N)}, "
            f"D={format_quantity(self.D)} tokens, {self.criterion.short} {self.objective:.4g}>"
        )

    def kind_of(self, quantity: str) -> Kind:
        """The kind of evidence behind a number, such as "loss.ekk_Latn" or "N"."""
        for item in self.evidence:
            if item.quantity == quantity:
                return item.kind
        raise KeyError(quantity)

    def summary(self) -> pl.DataFrame:
        """One row per language, the largest share first; with draws, the bounds of share, epochs and loss."""
        unsure = self.uncertainty
        bounds: dict[str, np.ndarray] = {}
        if unsure is not None:
            for name, drawn in (("share", unsure.shares), ("epochs", unsure.epochs), ("loss", unsure.loss)):
                bounds[f"{name}_low"], bounds[f"{name}_high"] = unsure.bounds(drawn)
        frame = pl.DataFrame(
            {
                "language": self.languages,
                "name": [_languages.get(code).short_name for code in self.languages],
                "share": self.shares,
                "tokens": self.shares * self.D,
                "text": self.text,
                "epochs": self.epochs,
                "loss": self.loss,
                "evidence": [self.kind_of(f"loss.{code}") for code in self.languages],
                **bounds,
            }
        )
        return frame.sort("share", descending=True, maintain_order=True)

    def to_dict(self) -> dict[str, Any]:
        """The whole answer, with the keys that `isogloss plan --json` documents."""
        by_language: Callable[[np.ndarray], dict[str, float]] = lambda values: {  # noqa: E731
            code: float(v) for code, v in zip(self.languages, values, strict=True)
        }
        return {
            "schema": SCHEMA,
            "title": self.title,
            "N": self.N,
            "D": self.D,
            "C": self.C,
            "languages": {code: _languages.get(code).name for code in self.languages},
            "shares": by_language(self.shares),
            "tokens": by_language(self.shares * self.D),
            "text": by_language(self.text),
            "epochs": by_language(self.epochs),
            "corpora": [row.to_dict() for row in self.corpora],
            "phases": [row.to_dict(self.languages) for row in self.phases],
            "epoch_caps": by_language(self.epoch_caps),
            "loss": by_language(self.loss),
            "loss_unit": self.loss_unit,
            "weights": by_language(self.weights),
            "mean_loss": float(self.weights @ self.loss),
            "objective": {**self.criterion.to_dict(), "value": self.objective},
            "cost": self.cost.to_dict() if self.cost else None,
            "uncertainty": self._unsure(),
            "start": self.start.to_dict() if self.start else None,
            "choices": self.choices.to_dict() if self.choices else None,
            "binds": list(self.binds),
            "alternatives": {
                a.name: {
                    "mean_loss": float(self.weights @ a.loss),
                    "objective": a.objective,
                    "excess": a.objective / self.objective - 1,
                    "shares": by_language(a.shares),
                    "epochs": by_language(a.epochs),
                    "loss": by_language(a.loss),
                    "over_epoch_cap": list(a.over_cap),
                }
                for a in self.alternatives
            },
            "profile": self.profile.to_dicts(),
            "evidence": {e.quantity: {"kind": e.kind, "source": e.source} for e in self.evidence},
            "warnings": list(self.warnings),
            "search": {"starts": self.starts, "agree": self.agree},
        }

    def _unsure(self) -> dict[str, Any] | None:
        unsure = self.uncertainty
        if unsure is None:
            return None
        mean = unsure.interval(unsure.loss @ self.weights).to_dict()
        return {**unsure.to_dict(), "mean_loss": mean, "parts": self.parts.to_dict() if self.parts else None}

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, whole or not at all."""
        path = mirrored(path)
        write_text(path, json.dumps(finite(self.to_dict()), indent=1, ensure_ascii=False) + "\n")
        return path
