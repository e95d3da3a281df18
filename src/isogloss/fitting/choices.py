"""Choices: what a fit recommends under each choice that its analyst could as well have made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from isogloss.units import format_quantity


@dataclass(frozen=True)
class Choice:
    """One choice other than the fit's own, and the answer that it leads to; all else is as in the fit."""

    kind: str
    """"objective", "rows", "range", "exponents", "parameters" or "law"."""
    name: str
    rows: int
    N: float | None = None
    D: float | None = None
    """Compute-optimal at the budget, in the fit's own count of parameters. None where `why_not` says why."""
    loss: float | None = None
    """Expected at its own N and D."""
    loss_at_main: float | None = None
    """Expected at the N and D of the fit as made."""
    why_not: str = ""
    coefficients: Mapping[str, float] | None = None
    """Raw, by name, of the choice's own law and count of parameters; None where it gives no answer."""


@dataclass(frozen=True)
class Choices:
    """The fit as made (`main`) at budget C with its intervals, beside what other choices give."""

    C: float
    level: float
    params: str
    main: Choice
    intervals: Mapping[str, tuple[float, float]]
    """Of the fit as made, by "N", "D" and "loss"; empty without draws."""
    tried: tuple[Choice, ...]
    combined: int
    """Combinations of objective, rows and range that gave an optimum, all tried together."""
    combined_N: tuple[float, float] | None
    """The least and the largest N* among the combinations."""
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> tuple[Choice, ...]:
        """The fit as made and every choice that gives an optimum."""
        return (self.main, *(c for c in self.tried if c.N is not None))

    @property
    def N_range(self) -> tuple[float, float]:
        sizes = [c.N for c in self.answered if c.N is not None]
        return min(sizes), max(sizes)

    @property
    def farthest(self) -> Choice:
        """The choice whose N* is farthest from the fit's own."""
        return max(self.answered, key=lambda c: abs(math.log((c.N or 1.0) / (self.main.N or 1.0))))

    @property
    def ratio(self) -> float | None:
        """How far choices spread N*, over the width of the interval, both as logarithms; None without draws."""
        if "N" not in self.intervals:
            return None
        low, high = self.intervals["N"]
        return math.log(self.N_range[1] / self.N_range[0]) / max(math.log(high / low), 1e-12)

    @property
    def sentence(self) -> str:
        """The conclusion: how far choices move the answer, against how wide its interval is."""
        low, high = map(_about, self.N_range)
        moved = f"At {format_quantity(self.C, 'flops')}, {len(self.answered) - 1} choices move N* from {low} to {high}"
        if low == high:
            moved = f"At {format_quantity(self.C, 'flops')}, {len(self.answered) - 1} choices leave N* at {low}"
        if self.ratio is None:
            return f"{moved}; without bootstrap draws there is no interval to compare with."
        width = " to ".join(_about(v) for v in self.intervals["N"])
        moved += f" (“{self.farthest.name}” moves it most)" if low != high else ""
        return f"{moved}; the {self.level:.0%} interval of the fit as made is {width}: {_verdict(self.ratio)}."

    def rows(self) -> Iterator[Choice]:
        """The fit as made first, then the choices, kind by kind."""
        yield self.main
        yield from self.tried

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave, as JSON keeps it."""
        return cls(
            **{
                **{k: v for k, v in saved.items() if k != "sentence"},
                "main": Choice(**saved["main"]),
                "intervals": {k: tuple(v) for k, v in saved["intervals"].items()},
                "tried": tuple(Choice(**c) for c in saved["tried"]),
                "combined_N": None if saved["combined_N"] is None else tuple(saved["combined_N"]),
                "notes": tuple(saved["notes"]),
            }
        )


def _verdict(ratio: float) -> str:
    if ratio > 1.25:
        return "choices matter more than sampling noise"
    if ratio > 0.8:
        return "choices matter as much as sampling noise"
    return "sampling noise matters more than choices"


def _about(number: float) -> str:
    return format_quantity(number, digits=2 if number < 1e11 else 3)
