"""A plan's languages as rows of a chart: in order, named, and with the small ones together where there are many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isogloss.report.words import language_names

if TYPE_CHECKING:
    from isogloss.planning import Plan

PLAN = "this plan"
MIXTURES = {
    "uniform": "uniform",
    "proportional": "proportional",
    "temperature": "temperature",
    "unimax": "UniMax",
}
FREE, CAPPED = "below its cap", "at its cap"
# An epoch count this close to its cap is held by it.
CLOSE = 1e-4


@dataclass(frozen=True)
class Row:
    name: str
    languages: int
    """How many languages the row stands for."""
    share: float
    epochs: float
    cap: float
    capped: bool
    loss: float
    naive_shares: dict[str, float]
    naive_losses: dict[str, float]
    loss_bounds: tuple[float, float] | None = None
    """Of the plan's loss over the draws, where there are draws."""
    share_bounds: tuple[float, float] | None = None
    """Of the share that is best in each draw."""


def all_rows(plan: Plan, order: Iterable[int] | None = None) -> list[Row]:
    """One row per language, or per place in `order`; by default the largest share first."""
    names = language_names(plan.languages)
    capped = at_cap(plan)
    unsure = plan.uncertainty
    bounds = None if unsure is None else np.array(unsure.bounds(unsure.loss)).T
    best = None if unsure is None else np.array(unsure.bounds(unsure.shares)).T
    return [
        Row(
            name=names[plan.languages[i]],
            languages=1,
            share=float(plan.shares[i]),
            epochs=float(plan.epochs[i]),
            cap=float(plan.epoch_caps[i]),
            capped=bool(capped[i]),
            loss=float(plan.loss[i]),
            naive_shares={MIXTURES[a.name]: float(a.shares[i]) for a in plan.alternatives},
            naive_losses={MIXTURES[a.name]: float(a.loss[i]) for a in plan.alternatives},
            loss_bounds=None if bounds is None else (float(bounds[i, 0]), float(bounds[i, 1])),
            share_bounds=None if best is None else (float(best[i, 0]), float(best[i, 1])),
        )
        for i in (by_share(plan) if order is None else order)
    ]


def top_rows(plan: Plan, most: int = 30) -> list[Row]:
    """The largest shares, and all other languages as one row: their summed share, their tokens over their text."""
    listed = all_rows(plan)
    if len(listed) <= most + 1:
        return listed
    rest = by_share(plan)[most:]
    capped = at_cap(plan)[rest]
    together = Row(
        name=f"{len(rest)} others",
        languages=len(rest),
        share=float(plan.shares[rest].sum()),
        epochs=float(plan.shares[rest].sum() * plan.D / plan.text[rest].sum()),
        cap=float((plan.epoch_caps * plan.text)[rest].sum() / plan.text[rest].sum()),
        capped=bool(capped.all()),
        loss=float("nan"),
        naive_shares={MIXTURES[a.name]: float(a.shares[rest].sum()) for a in plan.alternatives},
        naive_losses={},
    )
    return [*listed[:most], together]


def by_share(plan: Plan) -> np.ndarray:
    return np.argsort(-plan.shares, kind="stable")


def at_cap(plan: Plan) -> np.ndarray:
    return plan.epochs >= plan.epoch_caps * (1 - CLOSE)


def central(level: float) -> str:
    """80 %: the part of the draws that an interval holds."""
    return f"{100 * level:.3g}\u00a0%"
