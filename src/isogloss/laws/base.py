"""What a law is: a frozen object whose fields are its coefficients and whose `loss` is pure.

A new law is a name, a source, its coefficients with bounds, and `loss`:

    class Chinchilla(Law, name="chinchilla", source="Hoffmann et al. 2022, arXiv:2203.15556"):
        E: Value = coefficient("irreducible loss", of_loss=True, lower=0.0, log=False)
        A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"})
        ...
        def loss(self, N, D):
            return self.E + self.A / N**self.alpha + self.B / D**self.beta

The argument names of `loss` are the columns that the law needs; a name of your own is a column of your
table. Laws are JAX pytrees: a law whose fields hold arrays is many laws at once, and the same formula
serves both.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, Self, dataclass_transform

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.numerics import Array, jax

Value = float | np.ndarray | Array
Axis = Literal["source", "language", "pair"]
Power = str | float | tuple[str | float, ...]

# Columns whose laws are of one target language, and columns in which a law falls unless it says otherwise.
OF_ONE_TARGET = frozenset(("D_target", "D_sources", "p"))
HELPS = ("N", "D", "U")


@dataclass(frozen=True)
class Coefficient:
    """What a fit must know of one coefficient. Bounds are in raw units (N and D as counts)."""

    name: str
    meaning: str
    lower: float
    upper: float
    log: bool
    """Whether solvers move its logarithm."""
    of_loss: bool
    """Whether it has the unit of the loss."""
    scales: Mapping[str, Power]
    """{"N": "alpha"}: the coefficient is in units of N**alpha, so rescaling N rescales it. What is scaled is a
    column of the law; the power a coefficient ("-alpha" for its negative), a number, or a sum of such."""
    start: tuple[float, float]
    """Where solvers start: a range, in units where every column has geometric mean 1; times the
    median loss if `of_loss`."""
    per: Axis | None
    """One value per transfer source ("source", the target excluded), per name in the mixtures ("language",
    the target included), or per unordered pair of those ("pair"); None: a scalar."""
    default: float | None
    """Held at this value unless a fit is asked to free it."""


def coefficient(
    meaning: str,
    *,
    lower: float = 0.0,
    upper: float = math.inf,
    log: bool = True,
    of_loss: bool = False,
    scales: Mapping[str, Power] | None = None,
    start: tuple[float, float] = (0.05, 1.0),
    per: Axis | None = None,
    default: float | None = None,
) -> Any:
    metadata = {
        "coefficient": {
            "meaning": meaning,
            "lower": lower,
            "upper": upper,
            "log": log,
            "of_loss": of_loss,
            "scales": dict(scales or {}),
            "start": start,
            "per": per,
            "default": default,
        }
    }
    if default is None:
        return field(metadata=metadata, kw_only=True)
    return field(default=default, metadata=metadata, kw_only=True)


def switch(default: Any, choices: tuple[Any, ...] = ()) -> Any:
    """A field that chooses between forms of a law and is never fitted."""
    return field(default=default, metadata={"switch": choices}, kw_only=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(coefficient, switch))
class Law:
    """Abstract. A subclass gives `name`, `source`, its coefficients and `loss`."""

    name: ClassVar[str]
    source: ClassVar[str]
    coefficients: ClassVar[tuple[Coefficient, ...]]
    switches: ClassVar[Mapping[str, tuple[Any, ...]]]
    """The values that each may take; any, where there are none."""
    columns: ClassVar[tuple[str, ...]]

    # What a law promises beyond its formula; a subclass that promises otherwise says so.
    falls: ClassVar[tuple[str, ...]]
    """Columns in which it never rises; if not said, every column of parameters, tokens or text."""
    rises: ClassVar[tuple[str, ...]] = ()
    """Columns in which it never falls."""
    of_target: ClassVar[bool]
    """Whether it is of one target language; if not said, whether a column is of the target."""
    of_unseen: ClassVar[bool] = False
    """Whether it also describes a target that the run never saw."""
    signed: ClassVar[bool] = False
    """Whether what it describes may be negative, so that it has no logarithm."""
    frontier: ClassVar[bool] = False
    """Whether, for one language seen once, it is E + A/N^alpha + B/D^beta (N and D may be saturating)."""
    file: ClassVar[str | None] = None
    """Where a user's own law was read from, "path:Class"."""
    file_hash: ClassVar[str | None] = None

    def __init_subclass__(cls, *, name: str, source: str) -> None:
        cls.name, cls.source = name, source
        # Users may leave out the types of their coefficients.
        cls.__annotations__ = {n: "Value" for n, v in vars(cls).items() if isinstance(v, Field)} | vars(cls).get(
            "__annotations__", {}
        )
        dataclass(frozen=True)(cls)
        declared = fields(cls)  # type: ignore[arg-type]  # made a dataclass on the line above
        cls.coefficients = tuple(
            Coefficient(f.name, **f.metadata["coefficient"]) for f in declared if "coefficient" in f.metadata
        )
        cls.switches = {f.name: f.metadata["switch"] for f in declared if "switch" in f.metadata}
        cls.columns = tuple(inspect.signature(cls.loss).parameters)[1:]
        if "falls" not in vars(cls):
            cls.falls = tuple(c for c in cls.columns if c.split("_")[0] in HELPS and c not in cls.rises)
        if "of_target" not in vars(cls):
            cls.of_target = bool(OF_ONE_TARGET & set(cls.columns))
        _register(cls)

    def loss(self, *args: Any, **columns: Any) -> Any:
        raise NotImplementedError

    def least(self, **_: Any) -> Any:
        """A limit that the loss stays above, here and with any N and D; None where there is none."""
        return getattr(self, "E", None)

    def most(self, **_: Any) -> Any:
        """A limit that a rising metric stays below; None where there is none."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Coefficients and switches as JSON can hold them; `law_from_dict` reads it back."""
        values = {c.name: np.asarray(getattr(self, c.name)).tolist() for c in self.coefficients}
        return {"law": self.name, **values, **{s: getattr(self, s) for s in self.switches}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        known = {c.name for c in cls.coefficients} | set(cls.switches)
        for key in values:
            if key not in known and key != "law":
                raise unknown_name(f"coefficient of {cls.name}", key, known)
        missing = [c.name for c in cls.coefficients if c.default is None and c.name not in values]
        if missing:
            raise InputError(f"law {cls.name} lacks {', '.join(missing)}")
        return cls(**{k: np.asarray(v, float) if isinstance(v, list) else v for k, v in values.items() if k != "law"})


def _register(law: type[Law]) -> None:
    """Make a law a pytree. Not by `register_dataclass`: two classes with as many fields would count as the same
    structure (JAX 0.10.2), so that one law's compiled program could answer for another."""
    names, switches = [c.name for c in law.coefficients], list(law.switches)

    def flatten(one: Law) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(one, n) for n in names), (law, *(getattr(one, s) for s in switches))

    def unflatten(form: tuple[Any, ...], values: Iterable[Any]) -> Law:
        return law(**dict(zip(names, values, strict=True)), **dict(zip(switches, form[1:], strict=True)))

    jax.tree_util.register_pytree_node(law, flatten, unflatten)


def coefficient_of(law: type[Law], name: str) -> Coefficient:
    """The declaration of coefficient `name`; InputError with near misses if the law has none such."""
    for c in law.coefficients:
        if c.name == name:
            return c
    raise unknown_name(f"coefficient of {law.name}", name, [c.name for c in law.coefficients])
