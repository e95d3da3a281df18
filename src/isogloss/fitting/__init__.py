"""From a run table to a law with uncertainty."""

from isogloss.fitting.fit import fit
from isogloss.fitting.objective import OBJECTIVES, HuberLogLoss, SquaredLogLoss, SquaredLoss, get_objective
from isogloss.fitting.result import Estimate, Fit, FitStatus
from isogloss.fitting.store import load_fit, save_fit

__all__ = [
    "OBJECTIVES",
    "Estimate",
    "Fit",
    "FitStatus",
    "HuberLogLoss",
    "SquaredLogLoss",
    "SquaredLoss",
    "fit",
    "get_objective",
    "load_fit",
    "save_fit",
]
