"""Transfer weights among the plan's languages: predicted, published, the user's own, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from isogloss.errors import InputError
from isogloss.planning.kinds import Evidence, Kind, counted, weakest
from isogloss.planning.question import Question
from isogloss.transfer import TransferMatrix, weight_from_score

# Central part of the weights' intervals, as the evidence prints them.
LEVEL = 0.8
# Predictions for more languages are large, and are made anew.
MOST_KEPT = 150
PUBLISHED, PREDICTED, NONE = "published", "predicted", "none"
# Kinds of scores in a matrix that say more than a plan's evidence does.
_AS_EVIDENCE: dict[str, Kind] = {"fitted": "measured"}

if TYPE_CHECKING:
    from isogloss.transfer.prediction import Prediction

Sampler = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class KnownTransfer:
    """Weights tau `(K, K)`, [target, source], zero on the diagonal, and the kind of each, "" on the diagonal."""

    tau: np.ndarray
    kind: np.ndarray
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...] = ()
    varies: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    sampler: Sampler | None = None
    """Joint draws of the weights; None: they have none."""

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray | None:
        """Joint draws `(n, K, K)`, None where the weights have no intervals."""
        return None if self.sampler is None else self.sampler(n, rng)


def known_transfer(codes: tuple[str, ...], question: Question) -> KnownTransfer:
    """Weights as `assumptions.transfer` says. Raises InputError for a matrix that cannot be read or used."""
    chosen = question.assumptions.transfer
    if len(codes) == 1 or chosen == NONE:
        why = "no other language" if len(codes) == 1 else "assumptions.transfer = none"
        size = len(codes)
        evidence = tuple(Evidence(f"transfer.{c}", "given", why) for c in codes)
        return KnownTransfer(np.zeros((size, size)), np.full((size, size), "", object), evidence)
    if chosen == PUBLISHED:
        return _published(codes)
    return _predicted(codes, chosen)


def _published(codes: tuple[str, ...]) -> KnownTransfer:
    """The figure as printed, and where it has nothing, the mean of its pairs alike in script and family."""
    weights = TransferMatrix.published().weights_for(codes)
    evidence = []
    for i, code in enumerate(codes):
        kinds = _kinds_into(weights.kind, i)
        found = f"weights into {code}: {counted(kinds)}; ATLAS figure C.2, tau = BTS / (2 - BTS), "
        evidence.append(
            Evidence(f"transfer.{code}", weakest(kinds), found + "absent pairs by script and family; without intervals")
        )
    off_diagonal = weights.kind[~np.eye(len(codes), dtype=bool)]
    unmeasured = int((off_diagonal != PUBLISHED).sum())
    warnings = ()
    if unmeasured:
        warnings = (
            f"{unmeasured:,} of {off_diagonal.size:,} transfer weights are not measured "
            f"({int((off_diagonal == PREDICTED).sum()):,} predicted by ATLAS's random forest, "
            f"{int((off_diagonal == 'assumed').sum()):,} assumed from script and family).",
        )
    lacks = ('transfer weights: ATLAS prints none (assumptions.transfer = "predicted" has intervals)',)
    return KnownTransfer(np.array(weights.tau), weights.kind, tuple(evidence), warnings, (), lacks)


def _predicted(codes: tuple[str, ...], chosen: str) -> KnownTransfer:
    """From the measured scores, published ones and the user's own, by the effects model."""
    own = chosen != PREDICTED
    if own or len(codes) > MOST_KEPT:
        published = TransferMatrix.published()
        found = _predict(_with_own(chosen, published) if own else published, codes)
    else:
        found = _from_published(codes)
    weights = found.weights()
    basis = "predicted from ATLAS's 72 measured scores" + (f" and those of {chosen}" if own else "")
    width = _width(found.low, found.high)
    evidence = []
    for i, code in enumerate(codes):
        kinds = _kinds_into(weights.kind, i)
        others = np.delete(width[i], i)
        source = (
            f"weights into {code}: {counted(kinds)}; others {basis}; {LEVEL:.0%} intervals are "
            f"{np.median(others):.2f} wide in the median"
        )
        evidence.append(Evidence(f"transfer.{code}", weakest(kinds), source))
    off_diagonal = ~np.eye(len(codes), dtype=bool)
    unmeasured = int((weights.kind[off_diagonal] == PREDICTED).sum())
    warnings = ()
    if unmeasured:
        warnings = (
            f"{unmeasured:,} of {off_diagonal.sum():,} transfer weights are not measured: {basis}; their {LEVEL:.0%} "
            f"intervals are {np.median(width[off_diagonal]):.2f} wide in the median.",
        )

    def sampler(n: int, rng: np.random.Generator) -> np.ndarray:
        scores = found.sample(n, rng)
        scores[:, np.arange(len(codes)), np.arange(len(codes))] = 0.0
        return weight_from_score(scores)

    varies = ("transfer weights: joint draws of the model of transfer",)
    return KnownTransfer(np.array(weights.tau), weights.kind, tuple(evidence), warnings, varies, (), sampler)


def _predict(matrix: TransferMatrix, codes: tuple[str, ...]) -> Prediction:
    # SciPy's and the features' tables load only where they are needed.
    from isogloss.transfer.prediction import predict

    return predict(matrix, codes, level=LEVEL)


@lru_cache(maxsize=4)
def _from_published(codes: tuple[str, ...]) -> Prediction:
    """Kept: a plan for another budget, or a second question, asks for the same again."""
    return _predict(TransferMatrix.published(), codes)


def _with_own(path: str, published: TransferMatrix) -> TransferMatrix:
    """The user's scores over the published ones of the same pair; what no one measured overrules nothing."""
    from isogloss.transfer.prediction import NOT_MEASURED
    from isogloss.transfer.source import laid_over, read_matrix

    own = read_matrix(path)
    guessed = np.isin(own.kind.astype(str), NOT_MEASURED)
    if guessed[own.present()].all():
        raise InputError(
            "holds no score that was measured",
            where=f"assumptions.transfer = {path}",
            hint="Give measured scores, or leave it out: the published ones are predicted from.",
        )
    return laid_over(replace(own, bts=np.where(guessed, np.nan, own.bts)), published)


def _kinds_into(kind: np.ndarray, target: int) -> list[str]:
    return [_AS_EVIDENCE.get(str(k), str(k)) for j, k in enumerate(kind[target]) if j != target]


def _width(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Of the weights' intervals: the bounds of scores, turned into weights, are theirs."""
    return weight_from_score(high) - weight_from_score(low)
