"""Laws: loss formulas, their published coefficients, and the suite that every law passes.

Names load on first use, so that reading the catalogue does not load JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isogloss.errors import unknown_name

if TYPE_CHECKING:
    from isogloss.laws.adaptation import DataTransfer as DataTransfer
    from isogloss.laws.adaptation import DataTransferOneSize as DataTransferOneSize
    from isogloss.laws.adaptation import FineTuning as FineTuning
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
    from isogloss.laws.code import CodeMixture as CodeMixture
    from isogloss.laws.forms import Form as Form
    from isogloss.laws.forms import forms as forms
    from isogloss.laws.forms import get_form as get_form
    from isogloss.laws.kaplan import Kaplan as Kaplan
    from isogloss.laws.merging import Merging as Merging
    from isogloss.laws.metrics import Falling as Falling
    from isogloss.laws.metrics import ParallelLanguages as ParallelLanguages
    from isogloss.laws.metrics import Rising as Rising
    from isogloss.laws.metrics import TokenEquivalents as TokenEquivalents
    from isogloss.laws.mixing import DCPT as DCPT
    from isogloss.laws.mixing import BiMix as BiMix
    from isogloss.laws.mixing import DataMixing as DataMixing
    from isogloss.laws.multilingual import Atlas as Atlas
    from isogloss.laws.multilingual import FamilyLaw as FamilyLaw
    from isogloss.laws.multilingual import KLaw as KLaw
    from isogloss.laws.repetition import DataConstrained as DataConstrained
    from isogloss.laws.repetition import saturated as saturated
    from isogloss.laws.translation import TranslationMixture as TranslationMixture
    from isogloss.laws.vocabulary import Vocabulary as Vocabulary
    from isogloss.laws.vocabulary import tokens_of as tokens_of

_HOMES = {
    "adaptation": ("DataTransfer", "DataTransferOneSize", "FineTuning"),
    "base": ("Coefficient", "Law", "coefficient", "coefficient_of", "switch"),
    "catalogue": ("Entry", "atlas_per_language", "entries", "find"),
    "check": ("LawCheckError", "check_law"),
    "chinchilla": ("Chinchilla", "optimal_allocation"),
    "code": ("CodeMixture",),
    "forms": ("Form", "forms", "get_form"),
    "kaplan": ("Kaplan",),
    "merging": ("Merging",),
    "metrics": ("Falling", "ParallelLanguages", "Rising", "TokenEquivalents"),
    "mixing": ("DCPT", "BiMix", "DataMixing"),
    "multilingual": ("Atlas", "FamilyLaw", "KLaw"),
    "repetition": ("DataConstrained", "saturated"),
    "translation": ("TranslationMixture",),
    "vocabulary": ("Vocabulary", "tokens_of"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

# Each law's name, and its class.
_LAWS = {
    "chinchilla": "Chinchilla",
    "data-constrained": "DataConstrained",
    "atlas": "Atlas",
    "k-law": "KLaw",
    "family": "FamilyLaw",
    "kaplan": "Kaplan",
    "translation-mixture": "TranslationMixture",
    "code-mixture": "CodeMixture",
    "data-transfer": "DataTransfer",
    "data-transfer-one-size": "DataTransferOneSize",
    "fine-tuning": "FineTuning",
    "d-cpt": "DCPT",
    "bimix": "BiMix",
    "data-mixing": "DataMixing",
    "merging": "Merging",
    "vocabulary": "Vocabulary",
    "parallel-languages": "ParallelLanguages",
    "token-equivalents": "TokenEquivalents",
    "falling": "Falling",
    "rising": "Rising",
}
_ALIASES = {
    **{name: name for name in _LAWS},
    "besiroglu": "chinchilla",
    "chang": "token-equivalents",
    "code": "code-mixture",
    "code-law": "code-mixture",
    "data-mixing-law": "data-mixing",
    "dcpt": "d-cpt",
    "family-law": "family",
    "fernandes": "translation-mixture",
    "he2024": "family",
    "hernandez": "data-transfer",
    "hoffmann": "chinchilla",
    "k": "k-law",
    "klaw": "k-law",
    "msl": "family",
    "muennighoff": "data-constrained",
    "vocab": "vocabulary",
    "zhang": "fine-tuning",
}


def law_classes() -> dict[str, type[Law]]:
    """Every law class by name."""
    return {name: __getattr__(cls) for name, cls in _LAWS.items()}


def get_law(name: str) -> type[Law]:
    """The law class of this name, or of its authors' or another usual one ("muennighoff", "msl", "k")."""
    key = name.strip().casefold().replace("_", "-").replace(" ", "-")
    if key not in _ALIASES:
        raise unknown_name("law", name, _ALIASES, see=f"Laws: {', '.join(_LAWS)}.")
    return __getattr__(_LAWS[_ALIASES[key]])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
