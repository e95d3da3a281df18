"""Laws: loss formulas, their published coefficients, and the suite that every law passes.

Names load on first use, so that reading the catalogue does not load JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isogloss.errors import unknown_name

if TYPE_CHECKING:
    from isogloss.laws.base import Coefficient as Coefficient
    from isogloss.laws.base import Law as Law
    from isogloss.laws.base import coefficient as coefficient
    from isogloss.laws.base import coefficient_of as coefficient_of
    from isogloss.laws.base import switch as switch
    from isogloss.laws.catalogue import Entry as Entry
    from isogloss.laws.catalogue import atlas_per_language as atlas_per_language
    from isogloss.laws.catalogue import entries as entries
    from isogloss.laws.catalogue import find as find
    from isogloss.laws.check import LawCheckError as LawCheckError
    from isogloss.laws.check import check_law as check_law
    from isogloss.laws.chinchilla import Chinchilla as Chinchilla
    from isogloss.laws.chinchilla import optimal_allocation as optimal_allocation
    from isogloss.laws.multilingual import Atlas as Atlas
    from isogloss.laws.multilingual import FamilyLaw as FamilyLaw
    from isogloss.laws.multilingual import KLaw as KLaw
    from isogloss.laws.repetition import DataConstrained as DataConstrained
    from isogloss.laws.repetition import saturated as saturated

_HOMES = {
    "base": ("Coefficient", "Law", "coefficient", "coefficient_of", "switch"),
    "catalogue": ("Entry", "atlas_per_language", "entries", "find"),
    "check": ("LawCheckError", "check_law"),
    "chinchilla": ("Chinchilla", "optimal_allocation"),
    "multilingual": ("Atlas", "FamilyLaw", "KLaw"),
    "repetition": ("DataConstrained", "saturated"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

_ALIASES = {
    "atlas": "atlas",
    "besiroglu": "chinchilla",
    "chinchilla": "chinchilla",
    "data-constrained": "data-constrained",
    "family": "family",
    "family-law": "family",
    "he2024": "family",
    "hoffmann": "chinchilla",
    "k": "k-law",
    "k-law": "k-law",
    "klaw": "k-law",
    "msl": "family",
    "muennighoff": "data-constrained",
}


def law_classes() -> dict[str, type[Law]]:
    """Every law class by name."""
    from isogloss.laws.chinchilla import Chinchilla
    from isogloss.laws.multilingual import Atlas, FamilyLaw, KLaw
    from isogloss.laws.repetition import DataConstrained

    return {law.name: law for law in (Chinchilla, DataConstrained, Atlas, KLaw, FamilyLaw)}


def get_law(name: str) -> type[Law]:
    """The law class of this name, or of its authors' or another usual one ("muennighoff", "msl", "k")."""
    key = name.strip().casefold().replace("_", "-").replace(" ", "-")
    if key not in _ALIASES:
        raise unknown_name("law", name, _ALIASES, see=f"Laws: {', '.join(law_classes())}.")
    return law_classes()[_ALIASES[key]]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
