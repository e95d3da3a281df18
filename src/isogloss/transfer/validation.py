"""How well unmeasured scores are predicted: whole languages left out, and the trivial predictions beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import polars as pl
from scipy import stats

from isogloss import languages as _languages
from isogloss.errors import InputError, unknown_name
from isogloss.transfer.baselines import BASELINES, forest, forest_columns, forest_there
from isogloss.transfer.effects_model import fit_effects
from isogloss.transfer.matrix import TransferMatrix, relations
from isogloss.transfer.mixture import Mixture, score_of
from isogloss.transfer.pair_design import Design, FeatureTable, design
from isogloss.transfer.prediction import (
    FEWEST_SCORES,
    default_features,
    mixture,
    observe,
    score_variance,
    subset,
    usable,
)

Left = Literal["pair", "target", "source", "both"]
"""What is left out and predicted: a tenth of the pairs at random; a language's row; its column; both at once."""
MODEL, FOREST = "effects model", "random forest"
PAIR_FOLDS = 10


@dataclass(frozen=True, eq=False)
class Validation:
    """`scores` by what was left out and method: cells, r2, spearman, rmse; of the model also coverage (the share of
    held-out scores inside the interval of `level`) and width. `cells` has every held-out score and its predictions.

    r2 compares with the mean of all held-out scores, which no method is told: below 0 is worse than that. With whole
    languages left out of few, a Spearman of 0.2 is within chance.
    """

    scores: pl.DataFrame
    cells: pl.DataFrame
    level: float
    notes: tuple[str, ...]


def validate(
    matrix: TransferMatrix,
    *,
    features: FeatureTable | None = None,
    cells: Literal["measured", "all"] = "measured",
    leave: Sequence[Left] = ("pair", "target", "source", "both"),
    languages: Sequence[str] | None = None,
    truth: np.ndarray | None = None,
    trust_predicted: float = 0.0,
    forest_features: FeatureTable | None = None,
    with_forest: bool = True,
    level: float = 0.9,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Validation:
    """Leave out parts of the matrix, predict them from the rest.

    `cells` "measured" predicts and, but for `trust_predicted`, learns from measured scores only; "all" takes every
    score for measured, such as those of ATLAS's forest: it then says how well one model imitates another.
    What is left out is left out of all scores, predicted ones included; `languages` says which (default: all). The
    intervals are of a measurement, with its noise; or, where `truth` `(K, K)` is known, of the truth, in every cell
    that the left-out language has. Where scikit-learn is installed, ATLAS's forest is beside, on `forest_features`
    or else on the model's.
    """
    if cells == "all":
        matrix = replace(matrix, kind=np.where(matrix.kind == "predicted", "measured", matrix.kind))
    for way in leave:
        if way not in get_args(Left):
            raise unknown_name("part to leave out", way, get_args(Left), where="leave")
    train, judged = usable(matrix, trust_predicted), usable(matrix, 0.0)
    if judged.sum() < 2 * FEWEST_SCORES:
        raise InputError(f"a validation needs at least 6 measured scores, got {judged.sum()}", where="matrix")
    known = _known(matrix, truth)
    # Of a known truth, a language without any score can be asked for too.
    concerned = np.flatnonzero((train | judged | known).any(axis=0) | (train | judged | known).any(axis=1))
    codes = tuple(matrix.languages[i] for i in concerned)
    matrix = _narrowed(matrix, concerned)
    train, judged, known = (each[concerned][:, concerned] for each in (train, judged, known))
    truth = None if truth is None else truth[concerned][:, concerned]
    table = design(subset(features if features is not None else default_features(codes), codes))
    columns = None
    if with_forest and forest_there():
        columns = forest_columns(table if forest_features is None else design(subset(forest_features, codes)))
    chosen = codes if languages is None else tuple(_languages.resolve(name) for name in languages)
    out = [i for i, code in enumerate(codes) if code in chosen]
    frames = []
    for way in leave:
        for fold, gone in enumerate(_folds(way, judged, out, seed)):
            asked = gone & (judged if truth is None else known)
            if not asked.any() or (train & ~gone & judged).sum() < FEWEST_SCORES:
                continue
            if progress is not None:
                progress(f"{way} {fold + 1}")
            found = _fold(matrix, table, columns, train & ~gone, asked, truth, trust_predicted, level, seed)
            frames.append(found.insert_column(0, pl.Series("left_out", [way] * found.height)))
    if not frames:
        raise InputError(
            "nothing to predict: no language left out has scores while 3 others remain",
            where="languages",
            hint="Leave out languages that have measured scores.",
        )
    held = pl.concat(frames)
    return Validation(_summary(held), held, level, _notes(trust_predicted))


def _narrowed(matrix: TransferMatrix, at: np.ndarray) -> TransferMatrix:
    grid = np.ix_(at, at)
    sd = None if matrix.sd is None else matrix.sd[grid]
    return TransferMatrix(tuple(matrix.languages[i] for i in at), matrix.bts[grid], matrix.kind[grid], sd)


def _known(matrix: TransferMatrix, truth: np.ndarray | None) -> np.ndarray:
    size = len(matrix.languages)
    if truth is None:
        return np.zeros((size, size), dtype=bool)
    if truth.shape != (size, size):
        raise InputError(f"{size} languages need {size} x {size} true scores, got {truth.shape}", where="truth")
    return np.isfinite(truth) & ~np.eye(size, dtype=bool)


def _folds(way: Left, judged: np.ndarray, out: list[int], seed: int) -> Iterator[np.ndarray]:
    """What is gone in each fold, `(K, K)`."""
    size = len(judged)
    if way == "pair":
        fold = np.random.default_rng(seed).permutation(size * size).reshape(size, size) % PAIR_FOLDS
        yield from (fold == i for i in range(PAIR_FOLDS))
        return
    for i in out:
        gone = np.zeros((size, size), dtype=bool)
        if way in ("target", "both"):
            gone[i] = True
        if way in ("source", "both"):
            gone[:, i] = True
        yield gone


def _fold(
    matrix: TransferMatrix,
    table: Design,
    columns: np.ndarray | None,
    train: np.ndarray,
    asked: np.ndarray,
    truth: np.ndarray | None,
    trust_predicted: float,
    level: float,
    seed: int,
) -> pl.DataFrame:
    target, source = np.nonzero(asked)
    posterior = fit_effects(table, observe(matrix, train, matrix.languages, trust_predicted), seed=seed)
    found = mixture(posterior, target * table.size + source)
    middle = found.quantile(0.5)
    if truth is None:
        found = _with_noise(found, matrix, target, source, np.array([d.scales["noise"] for d in posterior.draws]))
    known = np.where(train & (matrix.kind != "predicted"), matrix.bts, np.nan)
    relation = relations(matrix.languages)
    guesses = {name: baseline(known, relation)[asked] for name, baseline in BASELINES.items()}
    if columns is not None:
        guesses[FOREST] = forest(known, columns, seed=seed)[asked]
    codes = np.array(matrix.languages)
    return pl.DataFrame(
        {
            "target": codes[target],
            "source": codes[source],
            "score": (matrix.bts if truth is None else truth)[asked],
            "low": found.quantile((1 - level) / 2),
            "high": found.quantile((1 + level) / 2),
            MODEL: middle,
            **guesses,
        }
    )


def _with_noise(
    found: Mixture, matrix: TransferMatrix, target: np.ndarray, source: np.ndarray, noise: np.ndarray
) -> Mixture:
    """Of a measurement: the error's variance goes from scores to y by the slope at the prediction."""
    variance, unsure = score_variance(matrix, target, source)
    slope = 2 - score_of(found.weights @ found.mean)
    return replace(found, variance=found.variance + variance / slope**2 + noise[:, None] ** 2 * unsure)


def _summary(held: pl.DataFrame) -> pl.DataFrame:
    methods = [MODEL, *BASELINES, *([FOREST] if FOREST in held.columns else [])]
    rows = []
    for (way,), cells in held.group_by("left_out", maintain_order=True):
        score = cells["score"].to_numpy()
        inside = ((cells["low"] <= cells["score"]) & (cells["score"] <= cells["high"])).mean()
        for method in methods:
            error = cells[method].to_numpy() - score
            rows.append(
                {
                    "left_out": way,
                    "method": method,
                    "cells": cells.height,
                    "r2": 1 - float((error**2).mean() / score.var()) if np.ptp(score) > 0 else float("nan"),
                    "spearman": _spearman(cells[method].to_numpy(), score),
                    "rmse": float(np.sqrt((error**2).mean())),
                    "coverage": inside if method == MODEL else None,
                    "width": (cells["high"] - cells["low"]).mean() if method == MODEL else None,
                }
            )
    return pl.DataFrame(rows, schema_overrides={"coverage": pl.Float64, "width": pl.Float64})


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """NaN where one of them does not vary: a mean of everything ranks nothing."""
    if np.ptp(one) < 1e-12 or np.ptp(other) < 1e-12:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(one), stats.rankdata(other))[0, 1])


def _notes(trust_predicted: float) -> tuple[str, ...]:
    notes = []
    if trust_predicted:
        notes.append(
            "Predicted scores of other pairs may still know the left-out ones: their model was fitted to them."
        )
    if not forest_there():
        notes.append("scikit-learn is not installed: no random forest beside.")
    return tuple(notes)
