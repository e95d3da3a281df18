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

# Each law's name, its class, and what it answers.
_LAWS = {
    "chinchilla": ("Chinchilla", "loss from parameters and tokens"),
    "data-constrained": ("DataConstrained", "the same where text is repeated"),
    "atlas": ("Atlas", "loss of one language from its own, its sources' and all other tokens"),
    "k-law": ("KLaw", "what each further language costs, evenly sampled"),
    "family": ("FamilyLaw", "loss of a language family sampled with share p"),
    "kaplan": ("Kaplan", "loss from parameters and tokens, without a floor"),
    "translation-mixture": ("TranslationMixture", "which fraction of a translation model serves a pair"),
    "code-mixture": ("CodeMixture", "loss over a mixture whose exponents are averages by share"),
    "data-transfer": ("DataTransfer", "how much data a checkpoint is worth"),
    "data-transfer-one-size": ("DataTransferOneSize", "the same for models of one size"),
    "fine-tuning": ("FineTuning", "loss after fine-tuning, size and data multiplied"),
    "d-cpt": ("DCPT", "continued pretraining with share p of a domain"),
    "bimix": ("BiMix", "loss of one target from its share and the tokens"),
    "data-mixing": ("DataMixing", "loss of one target from the shares of all"),
    "merging": ("Merging", "loss of merges of k experts"),
    "vocabulary": ("Vocabulary", "loss from vocabulary and other parameters, across vocabularies"),
    "parallel-languages": ("ParallelLanguages", "accuracy after training in K languages in parallel"),
    "token-equivalents": ("TokenEquivalents", "how many tokens of one language a score is worth"),
    "falling": ("Falling", "any metric that falls to a floor, against any column x"),
    "rising": ("Rising", "any metric that rises to a ceiling, against any column x"),
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
    return {name: __getattr__(cls) for name, (cls, _) in _LAWS.items()}


def get_law(name: str) -> type[Law]:
    """The law class of this name, or of its authors' or another usual one ("muennighoff", "msl", "k")."""
    key = name.strip().casefold().replace("_", "-").replace(" ", "-")
    if key not in _ALIASES:
        raise unknown_name("law", name, _ALIASES, see=f"Laws: {', '.join(_LAWS)}.")
    return __getattr__(_LAWS[_ALIASES[key]][0])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
