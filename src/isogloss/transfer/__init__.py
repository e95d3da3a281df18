"""Transfer between languages: scores, weights, and where each comes from."""

from isogloss.transfer.matrix import TopSources as TopSources
from isogloss.transfer.matrix import TransferMatrix as TransferMatrix
from isogloss.transfer.matrix import Weights as Weights
from isogloss.transfer.scores import ratio_from_score as ratio_from_score
from isogloss.transfer.scores import score_from_weight as score_from_weight
from isogloss.transfer.scores import weight_from_score as weight_from_score
