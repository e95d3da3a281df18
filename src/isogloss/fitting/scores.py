"""How well held-out rows were predicted: R² and relative error, by language, with intervals over held-out runs.

Both are of the losses themselves, not of logarithms. R² of a language is one less the mean squared error over the
variance of the language's own held-out losses, so that 0 is what their mean would score; a law's R² is its mean
over languages, as in ATLAS's Table 1.

Intervals come from drawing held-out runs with replacement, all rows of a run together and the same runs for every
law, so that laws can be subtracted. The variance that errors are measured against is kept as it is: a draw of few
runs may have hardly any, and R² would then be anything. What other runs to *fit* to would change is not in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# A language's R² needs so many held-out rows, and a spread that is more than rounding.
FEWEST_ROWS = 3
LEAST_SPREAD = 1e-9
# Fewer held-out runs give no interval.
FEWEST_RUNS = 5
# What R² counts as at least where laws are ranked: useless is useless, however large the error.
FLOOR = -1.0


@dataclass(frozen=True)
class Observed:
    """Held-out rows of one language: `loss` and `run` `(rows,)`."""

    target: str
    loss: np.ndarray
    run: np.ndarray

    @property
    def why_not(self) -> str:
        """Why these rows give no R², or nothing."""
        if len(self.loss) < FEWEST_ROWS:
            return f"{len(self.loss)} held-out rows"
        if np.std(self.loss) < LEAST_SPREAD * abs(self.loss.mean()):
            return "its held-out losses are all alike"
        return ""


@dataclass(frozen=True)
class Scores:
    """`r2` and `error` `(languages,)`, and the same for each draw of runs `(draws, languages)`, NaN for a language
    whose runs were not drawn. `error` is the median relative error."""

    targets: tuple[str, ...]
    r2: np.ndarray
    error: np.ndarray
    drawn_r2: np.ndarray
    drawn_error: np.ndarray

    @property
    def mean_r2(self) -> float:
        return float(self.r2.mean())

    @property
    def mean_error(self) -> float:
        return float(self.error.mean())

    @property
    def drawn_mean_r2(self) -> np.ndarray:
        return over_languages(self.drawn_r2)

    @property
    def drawn_mean_error(self) -> np.ndarray:
        return over_languages(self.drawn_error)

    def floored(self) -> tuple[float, np.ndarray]:
        """Mean R² `()` and of draws `(draws,)`, in which no language counts less than FLOOR."""
        return float(np.maximum(self.r2, FLOOR).mean()), over_languages(np.maximum(self.drawn_r2, FLOOR))


def score(observed: Sequence[Observed], predicted: Sequence[np.ndarray], times: np.ndarray) -> Scores:
    """Scores of one law; `times` `(draws, runs)` says how often each draw has each run."""
    r2, error, drawn_r2, drawn_error = [], [], [], []
    for rows, values in zip(observed, predicted, strict=True):
        squares, relative = (values - rows.loss) ** 2, np.abs(values / rows.loss - 1)
        variance = np.var(rows.loss)
        r2.append(1 - squares.mean() / variance)
        error.append(np.median(relative))
        weights = times[:, rows.run].astype(float)
        count = weights.sum(1)
        with np.errstate(invalid="ignore"):
            drawn_r2.append(1 - weights @ squares / count / variance)
        drawn_error.append(_medians(relative, weights))
    shape = (len(times), len(observed))
    return Scores(
        targets=tuple(o.target for o in observed),
        r2=np.array(r2),
        error=np.array(error),
        drawn_r2=np.array(drawn_r2).T.reshape(shape),
        drawn_error=np.array(drawn_error).T.reshape(shape),
    )


def draw_runs(runs: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `runs` is in each draw of as many, `(draws, runs)`."""
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=draws) if runs else np.zeros((draws, 0), int)


def over_languages(drawn: np.ndarray) -> np.ndarray:
    """The mean `(draws,)` over the languages that a draw has."""
    here = ~np.isnan(drawn)
    count = here.sum(1)
    return np.where(count > 0, np.where(here, drawn, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def interval(drawn: np.ndarray, level: float) -> tuple[float, float] | tuple[None, None]:
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return None, None
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median `(draws,)` of values `(rows,)`, each counted `weights` `(draws, rows)` times."""
    order = np.argsort(values)
    passed = np.cumsum(weights[:, order], axis=1)
    total = passed[:, -1:]
    lower = values[order][(passed < total / 2).sum(1).clip(max=len(values) - 1)]
    upper = values[order][(passed <= total / 2).sum(1).clip(max=len(values) - 1)]
    return np.where(total[:, 0] > 0, (lower + upper) / 2, np.nan)
