"""The map between a law's coefficients and the vector that a solver moves.

Solvers move logarithms of positive coefficients, and the parameter and data terms at the runs' typical
N and D (their geometric means) instead of A and B, which differ from them by N^alpha and D^beta. In raw
coordinates A and alpha are so nearly the same direction that no solver is safe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.laws.base import Coefficient, Law
from isogloss.numerics import Array, jnp

AXES = ("N", "D")


@dataclass(frozen=True)
class Slot:
    """One number of a law: a coefficient, or one element of a per-source coefficient."""

    name: str
    coefficient: str
    log: bool
    of_loss: bool
    exponents: tuple[tuple[str, str], ...]
    """(axis, slot) pairs: the raw value is the moved value times the axis's centre to that slot's power."""
    lower: float
    upper: float
    start: tuple[float, float]
    meaning: str


@dataclass(frozen=True)
class Layout:
    """Hashable, so that it can select a compiled program. `free` indexes the slots that move."""

    law: type[Law]
    switches: tuple[tuple[str, Any], ...]
    slots: tuple[Slot, ...]
    free: tuple[int, ...]
    sources: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [s.name for s in self.slots]

    def values(self, z: Any, held: Any, centres: Any) -> Any:
        """Raw values of all slots `(..., slots)` from moved coordinates z `(..., free)`.

        `held` `(slots,)` has raw values for slots that do not move; `centres` `(axes,)` log N0, log D0.
        """
        moved = dict(zip(self.free, range(len(self.free)), strict=True))
        raw: dict[str, Any] = {}
        for index, slot in enumerate(self.slots):
            if index in moved:
                value = z[..., moved[index]]
                raw[slot.name] = jnp.exp(value) if slot.log else value
            else:
                raw[slot.name] = jnp.broadcast_to(held[index], z.shape[:-1])
        for index in self.free:
            slot = self.slots[index]
            for axis, exponent in slot.exponents:
                raw[slot.name] = raw[slot.name] * jnp.exp(raw[exponent] * centres[AXES.index(axis)])
        return jnp.stack([raw[name] for name in self.names], axis=-1)

    def to_law(self, values: Array | np.ndarray) -> Law:
        """The law with raw `values` `(..., slots)`; leading axes make many laws at once."""
        fields: dict[str, Any] = dict(self.switches)
        for c in self.law.coefficients:
            columns = [i for i, s in enumerate(self.slots) if s.coefficient == c.name]
            fields[c.name] = values[..., np.array(columns, int)] if c.per_source else values[..., columns[0]]
        return self.law(**fields)

    def from_values(self, values: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Moved coordinates `(free,)` of raw `values` `(slots,)`: the inverse of `values`."""
        z = []
        for index in self.free:
            slot = self.slots[index]
            value = math.log(values[index]) if slot.log else values[index]
            for axis, exponent in slot.exponents:
                value -= values[self.names.index(exponent)] * centres[AXES.index(axis)]
            z.append(value)
        return np.array(z)

    def bounds(self, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends `(free,)` in moved coordinates, given the observed losses."""
        typical, smallest = float(np.median(loss)), float(loss.min())
        lower, upper = [], []
        for slot in (self.slots[i] for i in self.free):
            if slot.of_loss and slot.log:
                # A term's value at the typical run: from negligible to absurd.
                lower.append(math.log(typical * 1e-8))
                upper.append(math.log(typical * 1e4))
            elif slot.of_loss:
                lower.append(slot.lower)
                upper.append(min(slot.upper, smallest))
            elif slot.log:
                lower.append(math.log(max(slot.lower, 1e-4)))
                upper.append(math.log(min(slot.upper, 1e12)))
            else:
                lower.append(slot.lower)
                upper.append(slot.upper)
        return np.array(lower), np.array(upper)

    def starts(self, count: int, loss: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`(count, free)` starting points: a Latin hypercube over each coefficient's start range."""
        lower, upper = self.bounds(loss)
        typical, smallest = float(np.median(loss)), float(loss.min())
        columns = []
        for j, slot in enumerate(self.slots[i] for i in self.free):
            low, high = slot.start
            if slot.of_loss:
                scale = typical if slot.log else smallest
                low, high = low * scale, high * scale
            if slot.log:
                low, high = math.log(low), math.log(high)
            strata = (rng.permutation(count) + rng.random(count)) / count
            columns.append(np.clip(low + (high - low) * strata, lower[j], upper[j]))
        return np.stack(columns, axis=1) if columns else np.zeros((count, 0))


def make_layout(
    law: type[Law],
    *,
    sources: Sequence[str] = (),
    fix: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    switches: Mapping[str, Any] | None = None,
) -> tuple[Layout, np.ndarray]:
    """The layout and the raw values `(slots,)` of held slots (NaN where free).

    `fix` holds a coefficient ("E"), or one element ("tau[eng_Latn]"); `free` releases coefficients that
    have a default. Raises InputError on an unknown name or a value outside the coefficient's bounds.
    """
    fix = dict(fix or {})
    slots = [s for c in law.coefficients for s in _slots(c, sources)]
    names = [s.name for s in slots]
    known = sorted({*names, *(s.coefficient for s in slots)})
    for name in (*fix, *free):
        if name not in known:
            raise unknown_name(f"coefficient of law {law.name}", name, known)
    held = np.full(len(slots), math.nan)
    moving = []
    defaults = {c.name: c.default for c in law.coefficients}
    for index, slot in enumerate(slots):
        chosen = fix.get(slot.name, fix.get(slot.coefficient))
        if chosen is not None:
            held[index] = _within(slot, float(chosen))
        elif defaults[slot.coefficient] is not None and slot.coefficient not in free:
            held[index] = defaults[slot.coefficient]
        else:
            moving.append(index)
    for name in switches or {}:
        if name not in law.switches:
            raise unknown_name(f"switch of law {law.name}", name, law.switches)
    layout = Layout(law, tuple(sorted((switches or {}).items())), tuple(slots), tuple(moving), tuple(sources))
    return layout, held


def _slots(c: Coefficient, sources: Sequence[str]) -> list[Slot]:
    names = [f"{c.name}[{s}]" for s in sources] if c.per_source else [c.name]
    return [
        Slot(
            name=name,
            coefficient=c.name,
            log=c.log,
            of_loss=c.of_loss,
            exponents=tuple(c.scales.items()),
            lower=c.lower,
            upper=c.upper,
            start=c.start,
            meaning=c.meaning,
        )
        for name in names
    ]


def _within(slot: Slot, value: float) -> float:
    ok = math.isfinite(value) and slot.lower <= value <= slot.upper and not (slot.log and value <= 0)
    if not ok:
        raise InputError(
            f"{slot.name} = {value:g} is outside its bounds",
            where=f"--fix {slot.name}",
            hint=f"It must lie between {slot.lower:g} and {slot.upper:g}.",
        )
    return value
