"""Transfer weights fitted together with the laws of the languages, drawn to a prediction where runs say little.

The tau of an ATLAS fit (arXiv:2510.22037, equation 3) and the weight of a bilingual score, tau = BTS / (2 - BTS), are
the same for a 50/50 pair whose text is not repeated and without capacity tax, under either `dose` of the law: there no
source has more tokens than the target, which is where the doses part: at a smaller share of the target, "equal" counts
less of the source than `measure` does. With repeated text tau weighs saturated tokens,
a score seen ones; with phi above 0 a score holds the tax, and tau does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special

from isogloss.display import Shown
from isogloss.errors import InputError
from isogloss.fitting import Fit, LanguageFits
from isogloss.fitting.intervals import JOINT
from isogloss.fitting.result import Estimate
from isogloss.laws import Atlas
from isogloss.runs.names import canonical_name
from isogloss.transfer.agreement import joined
from isogloss.transfer.matrix import TransferMatrix
from isogloss.transfer.measured import MeasuredTransfer
from isogloss.transfer.mixture import y_of
from isogloss.transfer.prediction import Prediction
from isogloss.transfer.shrinkage import Evidence, Normal, Product, evidence_of, normal_of, product, together

# In log(1 + tau): a study as a whole may lie this far from what scores of other runs predict.
SHIFT = 0.1
# From fewer draws no covariance is read.
FEWEST_DRAWS = 100
DRAWS = 4000
# Draws of a prediction per pair, for its covariance.
PER_PAIR = 10
# Widening of standard deviations that is worth a note.
CONTRADICTION = 1.5
WEIGHT = "tau["
BOUNDS = next((c.lower, c.upper) for c in Atlas.coefficients if c.name == "tau")


@dataclass(frozen=True, eq=False)
class FittedTransfer(Shown):
    """Weights tau of P pairs, `(P,)` each: of the fit alone, of the prediction alone, and of both.

    The combined value is the mode of log(1 + tau). Without a prediction it is the fit's own.
    """

    pairs: tuple[tuple[str, str], ...]
    """(target, source)."""
    fit: np.ndarray
    fit_low: np.ndarray
    fit_high: np.ndarray
    undetermined: np.ndarray
    """Of bool: the fit's weight, or a sixth of its draws on either side, stands on the bounds of the law; it counts for
    nothing in the combined one."""
    predicted: np.ndarray
    """Medians; NaN without a prediction, as its limits."""
    predicted_low: np.ndarray
    predicted_high: np.ndarray
    tau: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sd: np.ndarray
    """Of log(1 + tau), combined; NaN where it is not known."""
    own: np.ndarray
    """How much of the combined weight comes from the runs: 1 is all, 0 none."""
    draws: np.ndarray
    """Of the combined weights, `(draws, P)`."""
    level: float
    widened: tuple[float, float]
    """Factors on the standard deviations of the prediction and of the fit's weights: above 1 where they contradict each
    other by more than their errors."""
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def matrix(self) -> TransferMatrix:
        """Scores of the combined weights, kind "fitted", with standard errors; NaN where there is no weight.

        `predict` takes kind "fitted" as measured: give it the matrix of `fitted(fits)`, not that of weights which a
        prediction has already drawn to itself. Raises InputError where a source is not a language.
        """
        codes = sorted({code for pair in self.pairs for code in pair})
        place = {code: i for i, code in enumerate(codes)}
        bts, sd = np.full((len(codes), len(codes)), np.nan), np.full((len(codes), len(codes)), np.nan)
        kind = np.full(bts.shape, "", dtype=object)
        for i, (target, source) in enumerate(self.pairs):
            if np.isfinite(self.sd[i]) and self.tau[i] > -1:
                at = place[target], place[source]
                bts[at] = 2 - 2 / (1 + self.tau[i])
                # d BTS / d log(1 + tau) = 2 - BTS
                sd[at], kind[at] = self.sd[i] * (2 - bts[at]), "fitted"
        return TransferMatrix(tuple(codes), bts, kind, sd)

    def frame(self) -> pl.DataFrame:
        """One row per pair: weights and their intervals, combined first."""
        names = ("tau", "low", "high", "own", "fit", "fit_low", "fit_high", "undetermined")
        names = (*names, "predicted", "predicted_low", "predicted_high")
        pairs = pl.DataFrame(list(self.pairs), schema=["target", "source"], orient="row")
        return pairs.with_columns(*(pl.Series(name, getattr(self, name), nan_to_null=True) for name in names))

    def compare(
        self,
        measured: MeasuredTransfer | TransferMatrix,
        *,
        cell: Mapping[str, str] | None = None,
        anchor: float | None = None,
    ) -> pl.DataFrame:
        """One row per pair that was measured too: both scores (BTS) with intervals, and their difference.

        `difference` is fitted less measured; `errors` is that of log(1 + tau) in its standard errors, null where one
        is not known. Scores from the runs that were fitted share their noise: their difference should then be
        smaller than its errors say. `equal_at` is the anchor at which the measured curve has the fitted weight:
        measured scores drift with the anchor, and one tau cannot. `cell` and `anchor` choose among what was
        measured, as in `MeasuredTransfer.matrix`; `agreement` sums the rows up. Raises InputError where no pair is in
        both.
        """
        return joined(self.pairs, self.tau, self.low, self.high, self.sd, measured, cell, anchor, self.level)


def fitted(
    fits: LanguageFits | Fit, prediction: Prediction | None = None, *, level: float = 0.9, seed: int = 0
) -> FittedTransfer:
    """The weights tau of an ATLAS fit with intervals, and drawn to `prediction` by as much as the runs leave open.

    The draws of the fits give a normal of each target's weights, by quantiles; the population of weights that pooled
    languages had as their prior is divided out, for the prediction takes its place. The prediction's own covariance
    ties all pairs together. tau_other is no pair's, and is left out, as are weights that were held.

    A prediction from measurements of the same pairs in the same runs counts these twice: make it from
    `apart(matrix, fits)`. One language's fit out of several that were pooled keeps their population in it, as fits with
    intervals "posterior" keep the wide prior of single laws: only `LanguageFits` say what to divide out.

    Raises InputError for a law without weights of sources, weights tied over targets, too few draws, and a prediction
    that lacks a language.
    """
    if not 0 < level < 1:
        raise InputError(f"the level must be between 0 and 1, got {level:g}", where="level", hint="Say 0.9.")
    found = [_Target.of(name, fit) for name, fit in _by_target(fits).items()]
    found = [one for one in found if one.weights]
    if not found:
        raise InputError("the fits have no free transfer weights", where="fits", hint="Fit law atlas with sources.")
    pairs = tuple((one.name, source) for one in found for source in one.sources)
    value = np.concatenate([one.normal.mean for one in found])
    sd = np.concatenate([one.normal.sd for one in found])
    draws = np.concatenate([one.draws for one in found], axis=1)
    low, high = _interval(draws, level)
    undetermined = ~np.isfinite(sd)
    notes = _notes(fits, found, [pair for pair, bound in zip(pairs, undetermined, strict=True) if bound])
    nothing = np.full(len(pairs), np.nan)
    if prediction is None:
        in_log = np.divide(sd, 1 + value, out=nothing.copy(), where=~undetermined)
        # What is lost to a bound is not known to be certain.
        return FittedTransfer(
            pairs, value, low, high, undetermined, nothing, nothing, nothing, value, low, high, in_log,
            np.ones(len(pairs)), draws, level, (1.0, 1.0), tuple(notes),
        )  # fmt: skip
    drawn = _drawn(prediction, pairs, seed)
    mean, covariance = drawn.mean(0), np.cov(drawn.T, ddof=1).reshape(len(pairs), len(pairs))
    # A covariance of draws, inverted, is too small an error by this factor (Hartlap et al. 2007).
    covariance = covariance * (len(drawn) - 1) / (len(drawn) - len(pairs) - 2) + SHIFT**2
    both = product(together(_evidence(fits, found)), mean, covariance)
    combined = both.sample(DRAWS, np.random.default_rng(seed))
    predicted_low, predicted_high = _interval(np.expm1(drawn), level)
    reach = special.ndtri((1 + level) / 2) * both.sd
    return FittedTransfer(
        pairs=pairs,
        fit=value,
        fit_low=low,
        fit_high=high,
        undetermined=undetermined,
        predicted=np.expm1(np.median(drawn, axis=0)),
        predicted_low=predicted_low,
        predicted_high=predicted_high,
        tau=np.expm1(both.mean),
        low=np.expm1(both.mean - reach),
        high=np.expm1(both.mean + reach),
        sd=both.sd,
        own=np.clip(1 - both.sd**2 / (both.of_prediction * np.diag(covariance)), 0.0, 1.0),
        draws=combined,
        level=level,
        widened=(float(np.sqrt(both.of_prediction)), float(np.sqrt(both.of_runs))),
        notes=(*notes, *_doubts(prediction, pairs, both)),
    )


def apart(matrix: TransferMatrix, fits: LanguageFits | Fit) -> TransferMatrix:
    """The matrix without the scores of pairs that the fits have a weight of."""
    bts, kind = matrix.bts.copy(), matrix.kind.copy()
    place = {code: i for i, code in enumerate(matrix.languages)}
    for target, fit in _by_target(fits).items():
        for source in (_source(e) for e in fit.coefficients if e.name.startswith(WEIGHT)):
            if target in place and source in place:
                bts[place[target], place[source]], kind[place[target], place[source]] = np.nan, ""
    return TransferMatrix(matrix.languages, bts, kind, matrix.sd)


# --- what the fits say ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Target:
    name: str
    fit: Fit
    weights: tuple[int, ...]
    """Places of the free weights among the coefficients."""
    numbers: tuple[int, ...]
    """Of these weights among all of the fit: the population numbers them so."""
    draws: np.ndarray
    normal: Normal

    @property
    def sources(self) -> list[str]:
        return [_source(self.fit.coefficients[i]) for i in self.weights]

    @staticmethod
    def of(name: str, fit: Fit) -> _Target:
        if not isinstance(fit.law, Atlas):
            raise InputError(f"law {fit.law.name} has no transfer weights", where=name, hint="Fit law atlas.")
        every = [i for i, e in enumerate(fit.coefficients) if e.name.startswith(WEIGHT)]
        free = tuple(i for i in every if not fit.coefficients[i].held)
        if len(fit.draws) < FEWEST_DRAWS + 10 * len(free):
            what = f"{len(fit.draws)} draws do not tell how {len(free)} weights are known together"
            raise InputError(what, where=name, hint=f"Fit with draws={FEWEST_DRAWS + 10 * len(free)} or more.")
        draws = fit.draws[:, free]
        normal = normal_of(fit.values[list(free)], draws, BOUNDS)
        return _Target(name, fit, free, tuple(every.index(i) for i in free), draws, normal)


def _by_target(fits: LanguageFits | Fit) -> Mapping[str, Fit]:
    if isinstance(fits, LanguageFits):
        if any(name.startswith("tau") and name != "tau_other" for name in fits.tied):
            what = "weights tied over targets belong to no pair"
            raise InputError(what, where="fits", hint='Fit across="pooled" or "separate", without tying tau.')
        return fits.fits
    targets = fits.rows["target"].unique().to_list() if "target" in fits.rows.columns else []
    if len(targets) != 1:
        raise InputError("the fit does not say its target", where="fits", hint="Give what fit_languages returns.")
    return {canonical_name(targets[0]): fits}


def _source(weight: Estimate) -> str:
    return weight.name[len(WEIGHT) : -1]


def _evidence(fits: LanguageFits | Fit, found: list[_Target]) -> list[Evidence]:
    typical = fits.typical if isinstance(fits, LanguageFits) else None
    if typical is None:
        return [evidence_of(one.normal, None) for one in found]
    at = [i for i, e in enumerate(typical.coefficients) if e.name.startswith(WEIGHT)]
    everyone = normal_of(typical.values[at], typical.draws[:, at], BOUNDS)
    parts = []
    for one in found:
        few = list(one.numbers)
        population = Normal(everyone.mean[few], everyone.sd[few], everyone.correlation[np.ix_(few, few)])
        parts.append(evidence_of(one.normal, population))
    return parts


# --- what the prediction says ---------------------------------------------------------------------------


def _drawn(prediction: Prediction, pairs: tuple[tuple[str, str], ...], seed: int) -> np.ndarray:
    """Of log(1 + tau) `(draws, P)`."""
    lacking = sorted({code for pair in pairs for code in pair} - set(prediction.languages))
    if lacking:
        what = f"the prediction lacks {', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}"
        raise InputError(what, where="prediction", hint="Give predict() all targets and sources of the fits.")
    place = {code: i for i, code in enumerate(prediction.languages)}
    target, source = ([place[pair[side]] for pair in pairs] for side in (0, 1))
    scores = prediction.sample(max(2000, PER_PAIR * len(pairs)), np.random.default_rng([seed, 1]))
    return y_of(scores[:, target, source]) + np.log(2)


def _interval(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


# --- what to say of it ----------------------------------------------------------------------------------


def _notes(fits: LanguageFits | Fit, found: list[_Target], bound: list[tuple[str, str]]) -> list[str]:
    notes = []
    if isinstance(fits, Fit) and fits.intervals == JOINT:
        notes.append("The fit is one of several fitted together: what it has from the others stays in its weights.")
    if bound:
        names = ", ".join(f"{source} -> {target}" for target, source in bound[:5])
        notes.append(f"{len(bound)} weights are undetermined, they or their draws stand on bounds: {names}.")
    if any(e.name == "phi" and e.value != 0 for one in found for e in one.fit.coefficients):
        notes.append("The fits have a capacity tax, phi: scores of pairs hold it, these weights do not.")
    return notes


def _doubts(prediction: Prediction, pairs: tuple[tuple[str, str], ...], both: Product) -> list[str]:
    notes = []
    place = {code: i for i, code in enumerate(prediction.languages)}
    twice = sum(str(prediction.kind[place[t], place[s]]) in ("measured", "fitted") for t, s in pairs)
    if twice:
        notes.append(
            f"The prediction holds a measurement of {twice} of these {len(pairs)} pairs: if it comes from the same runs"
            " it counts twice; predict from apart(matrix, fits)."
        )
    for what, factor in (("prediction's", both.of_prediction), ("fit's", both.of_runs)):
        if factor**0.5 > CONTRADICTION:
            notes.append(
                f"Runs and prediction contradict: the {what} standard deviations count {factor**0.5:.1f} times."
            )
    return notes
