"""What a law is: a frozen object whose fields are its coefficients and whose `loss` is pure.

A new law is a name, a source, its coefficients with bounds, and `loss`:

    class Chinchilla(Law, name="chinchilla", source="Hoffmann et al. 2022, arXiv:2203.15556"):
        E: Value = coefficient("irreducible loss", of_loss=True, lower=0.0, log=False)
        A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"})
        ...
        def loss(self, N, D):
            return self.E + self.A / N**self.alpha + self.B / D**self.beta

The argument names of `loss` are the columns that the law needs. Laws are JAX pytrees: a law whose
fields hold arrays is many laws at once, and the same formula serves both.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.numerics import Array, jax

Value = float | np.ndarray | Array


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
    scales: Mapping[str, str]
    """{"N": "alpha"}: the coefficient is in units of N**alpha, so rescaling N rescales it."""
    start: tuple[float, float]
    """Where solvers start: a range, in units where every column has geometric mean 1; times the
    median loss if `of_loss`."""
    per_source: bool
    """One value per training language other than the target."""
    default: float | None
    """Held at this value unless a fit is asked to free it."""


def coefficient(
    meaning: str,
    *,
    lower: float = 0.0,
    upper: float = math.inf,
    log: bool = True,
    of_loss: bool = False,
    scales: Mapping[str, str] | None = None,
    start: tuple[float, float] = (0.05, 1.0),
    per_source: bool = False,
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
            "per_source": per_source,
            "default": default,
        }
    }
    if default is None:
        return field(metadata=metadata, kw_only=True)
    return field(default=default, metadata=metadata, kw_only=True)


def switch(default: Any) -> Any:
    """A field that chooses between forms of a law and is never fitted."""
    return field(default=default, metadata={"switch": True}, kw_only=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(coefficient, switch))
class Law:
    """Abstract. A subclass gives `name`, `source`, its coefficients and `loss`."""

    name: ClassVar[str]
    source: ClassVar[str]
    coefficients: ClassVar[tuple[Coefficient, ...]]
    switches: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, name: str, source: str) -> None:
        cls.name, cls.source = name, source
        dataclass(frozen=True)(cls)
        declared = fields(cls)  # type: ignore[arg-type]  # made a dataclass on the line above
        cls.coefficients = tuple(
            Coefficient(f.name, **f.metadata["coefficient"]) for f in declared if "coefficient" in f.metadata
        )
        cls.switches = tuple(f.name for f in declared if "switch" in f.metadata)
        cls.columns = tuple(inspect.signature(cls.loss).parameters)[1:]
        jax.tree_util.register_dataclass(
            cls, data_fields=[c.name for c in cls.coefficients], meta_fields=list(cls.switches)
        )

    def loss(self, *args: Any, **columns: Any) -> Any:
        raise NotImplementedError

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


def coefficient_of(law: type[Law], name: str) -> Coefficient:
    """The declaration of coefficient `name`; InputError with near misses if the law has none such."""
    for c in law.coefficients:
        if c.name == name:
            return c
    raise unknown_name(f"coefficient of {law.name}", name, [c.name for c in law.coefficients])
