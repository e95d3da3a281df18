"""Predicted transfer scores, with intervals, for pairs that nobody measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.display import Shown
from isogloss.errors import InputError
from isogloss.transfer.effects_model import NEUTRAL, Observed, Posterior, fit_effects
from isogloss.transfer.matrix import TransferMatrix, Weights
from isogloss.transfer.mixture import Mixture, score_of, y_of
from isogloss.transfer.pair_design import FeatureTable, design
from isogloss.transfer.scores import weight_from_score

# Kinds of a score that nobody measured.
NOT_MEASURED = ("predicted", "assumed", "")
# The published figure prints one decimal.
ROUNDING = 0.1 / np.sqrt(12)
# Of ATLAS's random forest: its R2 of 0.85 on random cells, and the standard deviation 0.43 of the measured scores.
FOREST_ERROR = 0.17
FEWEST_SCORES = 3


@dataclass(frozen=True, eq=False)
class Prediction(Shown):
    """Scores (BTS) `(K, K)` by target and source, NaN on the diagonal: of what a repetition without noise would give.

    A measured cell has an estimate too: its score, moved towards the model by as much as its error allows. `low` and
    `high` bound the central `level`. `median` is the score whose weight is the median weight.
    """

    languages: tuple[str, ...]
    mean: np.ndarray
    median: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float
    kind: np.ndarray
    """Of str: the matrix's own kind where measured ("measured", "published"), else "predicted"; "" on the diagonal."""
    contributions: Mapping[str, np.ndarray]
    """Posterior means, in y = log(d_mono / d_bi); they sum to y's mean. "intercept" is log 1/2 where all is neutral;
    "features" holds their smooth part; "pair" is what the pair's own measurements, either way, say beyond the rest."""
    coefficients: Mapping[str, tuple[float, float]]
    """Of every standardised feature: mean and sd of its linear weight in y."""
    scales: Mapping[str, float]
    """Posterior means of the model's scales (sd of y) and shares."""
    notes: tuple[str, ...]
    posterior: Posterior
    places: np.ndarray
    """Of `languages` among those of `posterior`."""

    def sample(self, n: int, rng: np.random.Generator | int = 0) -> np.ndarray:
        """Joint draws of the scores `(n, K, K)`, NaN on the diagonal."""
        size = self.posterior.design.size
        y = self.posterior.sample(n, np.random.default_rng(rng)).reshape(n, size, size)
        scores = score_of(y[:, self.places[:, None], self.places])
        scores[:, np.arange(len(self.places)), np.arange(len(self.places))] = np.nan
        return scores

    def weights(self) -> Weights:
        """Median weights tau. The median, because what is median on one scale is so on every other."""
        scores = self.median.copy()
        np.fill_diagonal(scores, 0.0)
        return Weights(self.languages, weight_from_score(scores), self.kind, self.notes)

    def matrix(self) -> TransferMatrix:
        """The medians and standard deviations, of kind "predicted" where nothing was measured."""
        return TransferMatrix(self.languages, self.median, self.kind, self.sd)

    def frame(self) -> pl.DataFrame:
        """One row per pair: target, source, bts (the median), low, high, sd, kind."""
        target, source = np.nonzero(~np.eye(len(self.languages), dtype=bool))
        return pl.DataFrame(
            {
                "target": [self.languages[t] for t in target],
                "source": [self.languages[s] for s in source],
                "bts": self.median[target, source],
                "low": self.low[target, source],
                "high": self.high[target, source],
                "sd": self.sd[target, source],
                "kind": self.kind[target, source].astype(str).tolist(),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole answer, with the keys that `isogloss transfer predict --json` documents."""
        return {
            "level": self.level,
            "scores": self.frame().to_dicts(),
            "coefficients": {name: {"mean": m, "sd": sd} for name, (m, sd) in self.coefficients.items()},
            "scales": dict(self.scales),
            "notes": list(self.notes),
        }


def predict(
    matrix: TransferMatrix,
    languages: Sequence[str] | None = None,
    *,
    features: FeatureTable | None = None,
    trust_predicted: float = 0.0,
    level: float = 0.9,
    seed: int = 0,
) -> Prediction:
    """Scores among `languages` (any spelling; default: the matrix's) from the scores that the matrix holds.

    `features` (default: `pair_features` of all languages concerned) must cover the languages asked for and those of
    the matrix that have scores. `trust_predicted` says what one score of another model, such as ATLAS's random
    forest, counts for: 0 nothing, 1 as much as a measurement with an error of 0.17. That error is the forest's on
    random cells; its errors are alike within rows and columns, so that even 1 % of trust in 1,334 of them is a lot.

    Raises InputError for fewer than 2 languages or 3 usable scores, features that lack a language, and options out of
    range.
    """
    _refuse_options(trust_predicted, level)
    codes = matrix.languages if languages is None else tuple(_languages.resolve(name) for name in languages)
    if len(set(codes)) < len(codes):
        repeated = sorted({code for code in codes if codes.count(code) > 1})
        raise InputError(f"{', '.join(repeated)} stands there more than once", where="languages")
    if len(codes) < 2:
        raise InputError(f"pairs need two languages, got {len(codes)}", where="languages", hint="Name at least two.")
    used = usable(matrix, trust_predicted)
    if used.sum() < FEWEST_SCORES:
        raise InputError(
            f"predictions need at least {FEWEST_SCORES} measured scores, got {used.sum()}",
            where="matrix",
            hint="Measure more pairs, or start from TransferMatrix.published().",
        )
    everyone = union(codes, matrix, used)
    table = design(subset(features if features is not None else default_features(everyone), everyone))
    observed = observe(matrix, used, everyone, trust_predicted)
    posterior = fit_effects(table, observed, seed=seed)
    places = np.array([everyone.index(code) for code in codes], dtype=int)
    return _prediction(posterior, codes, places, _kinds(matrix, codes), level, _notes(matrix, used))


def usable(matrix: TransferMatrix, trust_predicted: float) -> np.ndarray:
    """`(K, K)` of bool: scores that train the model."""
    present = np.isfinite(matrix.bts) & ~np.eye(len(matrix.languages), dtype=bool)
    # No other model's assumption about a pair is evidence; its prediction is, as far as it is trusted.
    wanted = ~np.isin(matrix.kind.astype(str), NOT_MEASURED)
    return present & (wanted | ((matrix.kind == "predicted") & (trust_predicted > 0)))


def union(codes: Sequence[str], matrix: TransferMatrix, used: np.ndarray) -> tuple[str, ...]:
    with_scores = np.asarray(used.any(axis=0) | used.any(axis=1))
    also = [code for code, has in zip(matrix.languages, with_scores, strict=True) if has and code not in codes]
    return (*codes, *also)


def observe(matrix: TransferMatrix, used: np.ndarray, everyone: Sequence[str], trust_predicted: float) -> Observed:
    """The used scores as y, in the cells of `everyone`."""
    place = np.array([everyone.index(code) if code in everyone else -1 for code in matrix.languages])
    target, source = np.nonzero(used)
    bts = matrix.bts[target, source]
    if (bts >= 2).any():
        raise InputError(f"a transfer score must be below 2, got {bts.max():g}", where="matrix")
    variance, unsure = score_variance(matrix, target, source)
    forest = matrix.kind[target, source] == "predicted"
    if forest.any():
        variance[forest] += FOREST_ERROR**2 / trust_predicted
    # d y / d BTS = 1 / (2 - BTS)
    return Observed(place[target] * len(everyone) + place[source], y_of(bts), variance / (2 - bts) ** 2, unsure)


def score_variance(matrix: TransferMatrix, target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the errors of scores, as far as known, and whether there is more to them."""
    sd = np.full(len(target), np.nan) if matrix.sd is None else matrix.sd[target, source]
    printed = np.isin(matrix.kind[target, source].astype(str), ("published", "predicted"))
    unsure = ~np.isfinite(sd)
    return np.where(unsure, 0.0, sd) ** 2 + printed * ROUNDING**2, unsure


def subset(features: FeatureTable, codes: Sequence[str]) -> FeatureTable:
    """The features of these languages, in this order."""
    missing = [code for code in codes if code not in features.languages]
    if missing:
        raise InputError(
            f"no features of {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}",
            where="features",
            hint="Give pair_features() the languages asked for and all that have scores in the matrix.",
        )
    at = np.array([features.languages.index(code) for code in codes], dtype=int)
    return _Subset(tuple(codes), tuple(features.names), features.values[at][:, at], features.kinship[np.ix_(at, at)])


@dataclass(frozen=True, eq=False)
class _Subset:
    languages: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    kinship: np.ndarray


def mixture(posterior: Posterior, cells: np.ndarray) -> Mixture:
    """Of y without noise, in these cells."""
    moments = [posterior.moments(draw, cells) for draw in posterior.draws]
    return Mixture(
        np.array([draw.weight for draw in posterior.draws]),
        np.array([mean for mean, _ in moments]),
        np.array([variance for _, variance in moments]),
    )


def _prediction(
    posterior: Posterior, codes: tuple[str, ...], places: np.ndarray, kind: np.ndarray, level: float, notes: list[str]
) -> Prediction:
    size = len(codes)
    pairs = ~np.eye(size, dtype=bool)
    cells = (places[:, None] * posterior.design.size + places)[pairs]
    found = mixture(posterior, cells)

    def spread_out(values: np.ndarray) -> np.ndarray:
        table = np.full((size, size), np.nan)
        table[pairs] = values
        return table

    mean, sd = found.score_moments()
    tail = (1 - level) / 2
    if posterior.effective < 30:
        notes.append(f"The scales were hard to sample (effective draws: {posterior.effective:.0f}).")
    weights = found.weights
    return Prediction(
        languages=codes,
        mean=spread_out(mean),
        median=spread_out(found.quantile(0.5)),
        sd=spread_out(sd),
        low=spread_out(found.quantile(tail)),
        high=spread_out(found.quantile(1 - tail)),
        level=level,
        kind=kind,
        contributions={k: spread_out(v) for k, v in _contributions(posterior, cells, weights @ found.mean).items()},
        coefficients=_coefficients(posterior),
        scales={k: float(sum(d.weight * d.scales[k] for d in posterior.draws)) for k in posterior.draws[0].scales},
        notes=tuple(notes),
        posterior=posterior,
        places=places,
    )


def _contributions(posterior: Posterior, cells: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    table = posterior.design
    weights = np.array([draw.weight for draw in posterior.draws]) @ np.array([draw.mean for draw in posterior.draws])
    of_pair, of_target, of_source = table.split(weights[:, None])
    # The intercept is the first column.
    out = {
        "intercept": np.full(len(cells), of_pair[0, 0] + NEUTRAL),
        "features": table.pair[cells, 1:] @ of_pair[1:, 0],
        "target": of_target[cells // table.size, 0],
        "source": of_source[cells % table.size, 0],
    }
    return {**out, "pair": mean - sum(out.values())}


def _coefficients(posterior: Posterior) -> dict[str, tuple[float, float]]:
    table, out = posterior.design, {}
    share = np.array([draw.weight for draw in posterior.draws])
    for i, name in enumerate(table.names):
        at = table.groups["features"].start + i
        means = np.array([draw.mean[at] for draw in posterior.draws])
        variances = np.array([draw.sd[at] ** 2 - draw.known[at] @ draw.known[at] for draw in posterior.draws])
        mean = share @ means
        out[name] = (float(mean), float(np.sqrt(share @ (variances + (means - mean) ** 2))))
    return out


def _kinds(matrix: TransferMatrix, codes: tuple[str, ...]) -> np.ndarray:
    place = {code: i for i, code in enumerate(matrix.languages)}
    measured = usable(matrix, 0.0)
    kind = np.full((len(codes), len(codes)), "predicted", dtype=object)
    here = np.array([i for i, code in enumerate(codes) if code in place], dtype=int)
    there = np.array([place[codes[i]] for i in here], dtype=int)
    grid = np.ix_(there, there)
    kind[np.ix_(here, here)] = np.where(measured[grid], matrix.kind[grid], "predicted")
    np.fill_diagonal(kind, "")
    kind.setflags(write=False)
    return kind


def _notes(matrix: TransferMatrix, used: np.ndarray) -> list[str]:
    other = int((used & (matrix.kind == "predicted")).sum())
    notes = [f"Predicted from {used.sum() - other:,} measured scores among {_count(used)} languages."]
    if other:
        notes.append(f"{other:,} scores that another model predicted count as weak evidence.")
    return notes


def _count(used: np.ndarray) -> int:
    return int((used.any(axis=0) | used.any(axis=1)).sum())


def _refuse_options(trust_predicted: float, level: float) -> None:
    if not 0 <= trust_predicted <= 1:
        raise InputError(f"trust must be between 0 and 1, got {trust_predicted:g}", where="trust_predicted")
    if not 0 < level < 1:
        raise InputError(f"the level must be between 0 and 1, got {level:g}", where="level", hint="Say 0.9.")


def default_features(codes: Sequence[str]) -> FeatureTable:
    # Its tables are read only where they are needed.
    from isogloss.transfer.features import pair_features

    return pair_features(codes)
