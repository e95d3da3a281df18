"""From a run table to a law with uncertainty."""

from isogloss.fitting.choices import Choice, Choices
from isogloss.fitting.compare import compare
from isogloss.fitting.comparison import Comparison
from isogloss.fitting.fit import fit
from isogloss.fitting.language_fits import LanguageFits, load_languages
from isogloss.fitting.languages import fit_languages
from isogloss.fitting.objective import OBJECTIVES, HuberLogLoss, SquaredLogLoss, SquaredLoss, get_objective
from isogloss.fitting.result import Estimate, Fit, FitStatus
from isogloss.fitting.store import load_fit, save_fit

__all__ = [
    "OBJECTIVES",
    "Choice",
    "Choices",
    "Comparison",
    "Estimate",
    "Fit",
    "FitStatus",
    "HuberLogLoss",
    "LanguageFits",
    "SquaredLogLoss",
    "SquaredLoss",
    "compare",
    "fit",
    "fit_languages",
    "get_objective",
    "load_fit",
    "load_languages",
    "save_fit",
]
