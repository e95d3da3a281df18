"""Evidence: where each number of a plan comes from, and how strong that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["given", "measured", "published", "predicted", "assumed"]
# From the strongest to the weakest: what is computed is as good as the weakest thing that it is computed from.
STRENGTH: tuple[Kind, ...] = ("given", "measured", "published", "predicted", "assumed")


@dataclass(frozen=True)
class Evidence:
    """Where one number comes from. `quantity` is its path in the plan, such as "text.ekk_Latn"."""

    quantity: str
    kind: Kind
    source: str


def weakest(kinds: Sequence[str]) -> Kind:
    return next(kind for kind in reversed(STRENGTH) if kind in kinds)


def counted(kinds: Sequence[str]) -> str:
    """How many of each kind, strongest first: "2 published, 1 assumed"."""
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in STRENGTH if kind in kinds)


def some(codes: Sequence[str], most: int = 6) -> str:
    return ", ".join(codes[:most]) + (f" and {len(codes) - most} more" if len(codes) > most else "")
