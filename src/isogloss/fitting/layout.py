"""The map between a law's coefficients and the vector that a solver moves.

Solvers move logarithms of positive coefficients, and the parameter and data terms at the runs' typical
N and D (their geometric means) instead of A and B, which differ from them by N^alpha and D^beta. In raw
coordinates A and alpha are so nearly the same direction that no solver is safe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.laws.base import Coefficient, Law, Power, coefficient_of
from isogloss.numerics import Array, jnp

# The first centres of every law; a law may scale by other columns too.
AXES = ("N", "D")


@dataclass(frozen=True)
class Slot:
    """One number of a law: a coefficient, or one element of a coefficient that has several. What it is called is
    no part of its identity, so that languages with other sources share compiled programs."""

    name: str = field(compare=False)
    coefficient: str
    log: bool
    of_loss: bool
    exponents: tuple[tuple[str, float, tuple[str, ...]], ...]
    """(axis, factor, slots): the raw value is the moved value times the axis's centre to this power, the
    factor times the mean of the slots (1 where there are none)."""
    lower: float
    upper: float
    start: tuple[float, float]
    meaning: str = field(compare=False)

    def default(self) -> float:
        """The raw value at which it is held where the rows say nothing of it."""
        low, high = self.start
        return math.sqrt(low * high) if self.log else 0.0


@dataclass(frozen=True)
class Layout:
    """Hashable, so that it can select a compiled program. `free` indexes the slots that move."""

    law: type[Law]
    switches: tuple[tuple[str, Any], ...]
    slots: tuple[Slot, ...]
    free: tuple[int, ...]
    sources: tuple[str, ...] = field(compare=False)
    languages: tuple[str, ...] = ()
    """The names along the shares column, the target included."""

    @property
    def names(self) -> list[str]:
        return [s.name for s in self.slots]

    def named(self, values: np.ndarray) -> dict[str, float]:
        """Raw `values` `(slots,)` by the names of their slots."""
        return {name: float(value) for name, value in zip(self.names, values, strict=True)}

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The columns by which coefficients scale."""
        return tuple(dict.fromkeys([*AXES, *(axis for s in self.slots for axis, _, _ in s.exponents)]))

    def centres(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log of the geometric mean of each axis, 0 where the law has no such column."""
        found = []
        for axis in self.axes:
            values = next((v for k, v in columns.items() if k == axis or k.startswith(f"{axis}_target")), np.ones(1))
            positive = values[np.isfinite(values) & (values > 0)]
            found.append(float(np.log(positive).mean()) if len(positive) else 0.0)
        return np.array(found)

    def values(self, z: Any, held: Any, centres: Any) -> Any:
        """Raw values of all slots `(..., slots)` from moved coordinates z `(..., free)`.

        `held` `(slots,)` has raw values for slots that do not move; `centres` `(axes,)` as `centres` gives them.
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
            for axis, factor, slots in slot.exponents:
                power = sum(raw[name] for name in slots) / len(slots) if slots else 1.0
                raw[slot.name] = raw[slot.name] * jnp.exp(factor * power * centres[self.axes.index(axis)])
        return jnp.stack([raw[name] for name in self.names], axis=-1)

    def to_law(self, values: Array | np.ndarray) -> Law:
        """The law with raw `values` `(..., slots)`; leading axes make many laws at once."""
        fields: dict[str, Any] = dict(self.switches)
        for c in self.law.coefficients:
            columns = [i for i, s in enumerate(self.slots) if s.coefficient == c.name]
            fields[c.name] = values[..., np.array(columns, int)] if c.per else values[..., columns[0]]
        return self.law(**fields)

    def from_values(self, values: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Moved coordinates `(free,)` of raw `values` `(slots,)`: the inverse of `values`."""
        z = []
        for index in self.free:
            slot = self.slots[index]
            value = math.log(values[index]) if slot.log else values[index]
            for axis, factor, slots in slot.exponents:
                power = np.mean([values[self.names.index(name)] for name in slots]) if slots else 1.0
                value -= factor * power * centres[self.axes.index(axis)]
            z.append(value)
        return np.array(z)

    def bounds(self, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends `(free,)` in moved coordinates, given the observed losses."""
        typical, smallest = _size(loss), float(loss.min())
        lower, upper = [], []
        for slot in (self.slots[i] for i in self.free):
            if slot.of_loss and slot.log:
                # A term's value at the typical run: from negligible to absurd.
                lower.append(math.log(typical * 1e-8))
                upper.append(math.log(typical * 1e4))
            elif slot.of_loss:
                lower.append(slot.lower)
                # No loss of a mixture bounds the floor of one language in it.
                upper.append(min(slot.upper, smallest if slot.name == slot.coefficient else 10 * typical))
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
        typical, smallest = _size(loss), float(loss.min())
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


def _size(loss: np.ndarray) -> float:
    """How large losses are; of those that change sign, how far they spread."""
    typical = abs(float(np.median(loss)))
    return typical if loss.min() > 0 else max(typical, float(np.ptp(loss)), 1e-12)


def make_layout(
    law: type[Law],
    *,
    sources: Sequence[str] = (),
    languages: Sequence[str] = (),
    fix: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    switches: Mapping[str, Any] | None = None,
) -> tuple[Layout, np.ndarray]:
    """The layout and the raw values `(slots,)` of held slots (NaN where free).

    `fix` holds a coefficient ("E"), or one element ("tau[eng_Latn]"); `free` releases coefficients that
    have a default. Raises InputError on an unknown name or a value outside the coefficient's bounds.
    """
    fix = dict(fix or {})
    names_along = {"source": tuple(sources), "language": tuple(languages)}
    names_along["pair"] = tuple(",".join(pair) for pair in combinations(languages, 2))
    slots = [s for c in law.coefficients for s in _slots(law, c, names_along)]
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
    chosen = tuple(sorted(check_switches(law, switches).items()))
    return Layout(law, chosen, tuple(slots), tuple(moving), tuple(sources), tuple(languages)), held


def check_switches(law: type[Law], switches: Mapping[str, Any] | None) -> dict[str, Any]:
    """The switches as given. InputError on an unknown one, or on a value that it cannot take."""
    for name, value in (switches or {}).items():
        if name not in law.switches:
            raise unknown_name(f"switch of law {law.name}", name, law.switches)
        if law.switches[name] and value not in law.switches[name]:
            raise unknown_name(f"value of switch {name}", str(value), law.switches[name], where=f"law {law.name}")
    return dict(switches or {})


def _slots(law: type[Law], c: Coefficient, names_along: Mapping[str, tuple[str, ...]]) -> list[Slot]:
    names = [f"{c.name}[{n}]" for n in names_along[c.per]] if c.per else [c.name]
    return [
        Slot(
            name=name,
            coefficient=c.name,
            log=c.log,
            of_loss=c.of_loss,
            exponents=tuple(
                (axis, *term)
                for axis, power in c.scales.items()
                for term in _terms(law, power, name.removeprefix(c.name) if c.per else "", names_along)
            ),
            lower=c.lower,
            upper=c.upper,
            start=c.start,
            meaning=c.meaning,
        )
        for name in names
    ]


def _terms(
    law: type[Law], power: Power, element: str, names_along: Mapping[str, tuple[str, ...]]
) -> list[tuple[float, tuple[str, ...]]]:
    """(factor, slots) of each term of a power, for a coefficient's `element`, such as "[deu_Latn]"."""
    terms = []
    for term in power if isinstance(power, tuple) else (power,):
        if not isinstance(term, str):
            terms.append((float(term), ()))
            continue
        c = coefficient_of(law, term.removeprefix("-"))
        several = [f"[{n}]" for n in names_along[c.per]] if c.per else [""]
        own = [element] if element in several else several
        terms.append((-1.0 if term.startswith("-") else 1.0, tuple(c.name + e for e in own)))
    return terms


def _within(slot: Slot, value: float) -> float:
    ok = math.isfinite(value) and slot.lower <= value <= slot.upper and not (slot.log and value <= 0)
    if not ok:
        raise InputError(
            f"{slot.name} = {value:g} is outside its bounds",
            where=f"--fix {slot.name}",
            hint=f"It must lie between {slot.lower:g} and {slot.upper:g}.",
        )
    return value
