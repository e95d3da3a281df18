"""Transfer between languages: scores, weights, and where each comes from.

What measures, fits and predicts loads on first use: a plan on the published matrix needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isogloss.transfer.matrix import TopSources as TopSources
from isogloss.transfer.matrix import TransferMatrix as TransferMatrix
from isogloss.transfer.matrix import Weights as Weights
from isogloss.transfer.scores import ratio_from_score as ratio_from_score
from isogloss.transfer.scores import score_from_weight as score_from_weight
from isogloss.transfer.scores import weight_from_score as weight_from_score

if TYPE_CHECKING:
    from isogloss.transfer.features import PairFeatures as PairFeatures
    from isogloss.transfer.features import pair_features as pair_features
    from isogloss.transfer.joint import FittedTransfer as FittedTransfer
    from isogloss.transfer.joint import fitted as fitted
    from isogloss.transfer.measured import MeasuredTransfer as MeasuredTransfer
    from isogloss.transfer.measured import measure as measure
    from isogloss.transfer.prediction import Prediction as Prediction
    from isogloss.transfer.prediction import predict as predict
    from isogloss.transfer.relatedness import effects as effects
    from isogloss.transfer.source import laid_over as laid_over
    from isogloss.transfer.source import read_matrix as read_matrix
    from isogloss.transfer.source import write_matrix as write_matrix
    from isogloss.transfer.suggestion import suggest as suggest
    from isogloss.transfer.validation import validate as validate

_HOMES = {
    "features": ("PairFeatures", "pair_features"),
    "joint": ("FittedTransfer", "fitted"),
    "measured": ("MeasuredTransfer", "measure"),
    "prediction": ("Prediction", "predict"),
    "relatedness": ("effects",),
    "source": ("laid_over", "read_matrix", "write_matrix"),
    "suggestion": ("suggest",),
    "validation": ("validate",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'isogloss.transfer' has no attribute {name!r}")
    return getattr(import_module(f"isogloss.transfer.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
