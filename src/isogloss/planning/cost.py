"""What a plan costs in the user's words: FLOPs by two counts, accelerator-hours, money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isogloss.errors import InputError
from isogloss.planning.aim import Spending
from isogloss.planning.flops import Count, count
from isogloss.planning.question import Question


@dataclass(frozen=True, eq=False)
class Cost:
    """`C`: FLOPs for training and for serving `served_tokens`; `found`: it was sought as what reaches `targets`."""

    C: float
    served_tokens: float
    targets: dict[str, float]
    found: bool
    gpu_hours: float | None
    money: float | None
    currency: str
    gpu: str | None
    gpus: float | None
    """How many run at once, where the question says so."""
    utilisation: float
    count: Count | None
    """Exact, for a shape near N; None where no such shape is known, or C does not pay for it."""

    @property
    def days(self) -> float | None:
        """That all accelerators run."""
        return None if self.gpu_hours is None or self.gpus is None else self.gpu_hours / self.gpus / 24

    def to_dict(self) -> dict[str, Any]:
        return {
            "C": self.C,
            "served_tokens": self.served_tokens,
            "targets": self.targets,
            "found": self.found,
            "gpu_hours": self.gpu_hours,
            "money": self.money,
            "currency": self.currency,
            "gpu": self.gpu,
            "gpus": self.gpus,
            "utilisation": self.utilisation if self.gpu else None,
            "days": self.days,
            "count": None if self.count is None else _counted(self.count),
        }


def _counted(found: Count) -> dict[str, Any]:
    shape = found.shape
    return {
        "context_length": found.context_length,
        "tokens_6ND": found.tokens_6ND,
        "tokens_counted": found.tokens_counted,
        "layers": shape.layers,
        "d_model": shape.d_model,
        "d_ff": shape.d_ff,
        "heads": shape.heads,
        "params_total": shape.params_total,
        "params_non_embedding": shape.params_non_embedding,
        "said": str(found),
    }


def cost_of(asked: Question, spend: Spending, N: float) -> Cost:
    budget, assumed = asked.budget, asked.assumptions
    try:
        exact = count(
            N,
            spend.C,
            vocab_size=assumed.vocabulary,
            context_length=assumed.context_length,
            served_tokens=spend.served,
        )
    except InputError:
        exact = None
    return Cost(
        C=spend.C,
        served_tokens=spend.served,
        targets=dict(spend.goals),
        found=spend.found,
        gpu_hours=budget.hours_for(spend.C),
        money=budget.money_for(spend.C),
        currency=budget.currency,
        gpu=budget.gpu,
        gpus=budget.gpus,
        utilisation=budget.utilisation,
        count=exact,
    )
