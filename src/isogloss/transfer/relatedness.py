"""Do script and family explain who helps whom? A mixed model of the scores, and a test by permuting languages.

    score[t, s] = b0 + b1 same script + b2 same family + b3 both + target[t] + source[s] + error

Every language stands in many pairs: a t test of pairs takes the 1,406 cells of 38 languages for 1,406 independent
observations. Here targets and sources have effects of their own (crossed random effects, variances by REML), and the
test permutes the languages, which keeps all dependence among the pairs of a language (the quadratic assignment
procedure; Krackhardt 1988, Dekker, Krackhardt and Snijders 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from isogloss.errors import InputError
from isogloss.transfer.matrix import TransferMatrix, relations

TERMS = ("same script", "same family", "same script and family")
FEWEST_LANGUAGES = 6


@dataclass(frozen=True)
class Effect:
    """How much one property of a pair moves its score; `p` is the share of permutations that move it as far."""

    term: str
    value: float
    low: float
    high: float
    p: float
    naive_p: float
    """What a least-squares fit that takes pairs for independent would claim."""


@dataclass(frozen=True)
class Effects:
    """`target_sd`, `source_sd` and `error_sd`: how far targets, sources, and pairs beyond them differ, as scores."""

    terms: tuple[Effect, ...]
    target_sd: float
    source_sd: float
    error_sd: float
    pairs: int
    languages: int
    permutations: int
    level: float


def effects(
    matrix: TransferMatrix,
    *,
    kinds: tuple[str, ...] | None = None,
    permutations: int = 2000,
    level: float = 0.9,
    seed: int = 0,
) -> Effects:
    """Effects of script, family and both on the scores of `matrix`, or of its cells of some `kinds` alone.

    Intervals are Wald intervals with as many degrees of freedom as languages less the coefficients. Terms that no
    pair tells apart are left out. Raises InputError with fewer than six languages.
    """
    chosen = matrix.present() if kinds is None else matrix.present() & np.isin(matrix.kind, kinds)
    targets, sources = np.nonzero(chosen)
    languages = len(np.unique(np.concatenate([targets, sources])))
    if languages < FEWEST_LANGUAGES:
        raise InputError(
            f"{languages} languages with scores are too few to tell effects of script and family",
            hint=f"At least {FEWEST_LANGUAGES} are needed; more pairs of the same languages do not help.",
        )
    y, relation = matrix.bts[targets, sources], relations(matrix.languages)
    X, kept = _design(relation[targets, sources])
    Z = _incidence(targets, sources, len(matrix.languages))
    ratios = _reml(y, X, Z, len(matrix.languages))
    whiten = _whitener(Z, ratios, len(matrix.languages))
    b, errors, sigma = _least_squares(whiten(y[:, None])[:, 0], whiten(X))
    df = max(languages - X.shape[1], 1)
    far = stats.t.ppf(0.5 + level / 2, df) * errors
    simple_b, simple_errors, _ = _least_squares(y, X)
    naive = 2 * stats.t.sf(np.abs(simple_b / simple_errors), len(y) - X.shape[1])
    p = _permuted(matrix, relation, targets, sources, kept, whiten, whiten(y[:, None])[:, 0], b, permutations, seed)
    return Effects(
        terms=tuple(
            Effect(TERMS[k], float(b[i]), float(b[i] - far[i]), float(b[i] + far[i]), float(p[i]), float(naive[i]))
            for i, k in enumerate(kept, start=1)
        ),
        target_sd=float(sigma * np.sqrt(ratios[0])),
        source_sd=float(sigma * np.sqrt(ratios[1])),
        error_sd=float(sigma),
        pairs=len(y),
        languages=languages,
        permutations=permutations,
        level=level,
    )


def _design(relation: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Columns `(pairs, 1 + terms)` and which TERMS they are: those that the ones before do not already say."""
    script, family = (relation >= 2).astype(float), (relation % 2).astype(float)
    columns, kept = [np.ones(len(relation))], []
    for k, column in enumerate((script, family, script * family)):
        if np.linalg.matrix_rank(np.stack([*columns, column], axis=1)) > len(columns):
            columns.append(column)
            kept.append(k)
    return np.stack(columns, axis=1), kept


def _incidence(targets: np.ndarray, sources: np.ndarray, size: int) -> np.ndarray:
    """`(pairs, 2 size)`: which target, and which source, a pair has."""
    Z = np.zeros((len(targets), 2 * size))
    Z[np.arange(len(targets)), targets] = 1
    Z[np.arange(len(sources)), size + sources] = 1
    return Z


def _reml(y: np.ndarray, X: np.ndarray, Z: np.ndarray, size: int) -> np.ndarray:
    """Variances of the target and the source effects over the error's, of greatest restricted likelihood."""

    def minus_log_likelihood(logs: np.ndarray) -> float:
        ratios = np.exp(logs)
        G = np.repeat(ratios, size)
        # log|V| and V^-1 by way of the small matrix I + G Z'Z (Woodbury).
        small = np.eye(2 * size) + np.sqrt(G)[:, None] * ZZ * np.sqrt(G)
        inner = np.linalg.solve(small, np.sqrt(G)[:, None] * ZXy)
        XyVXy = XyXy - (np.sqrt(G)[:, None] * ZXy).T @ inner
        XVX, XVy, yVy = XyVXy[:-1, :-1], XyVXy[:-1, -1], XyVXy[-1, -1]
        left = yVy - XVy @ np.linalg.solve(XVX, XVy)
        df = len(y) - X.shape[1]
        return 0.5 * (np.linalg.slogdet(small)[1] + np.linalg.slogdet(XVX)[1] + df * np.log(max(left, 1e-300)))

    Xy = np.column_stack([X, y])
    ZZ, ZXy, XyXy = Z.T @ Z, Z.T @ Xy, Xy.T @ Xy
    grid = [np.full(2, log) for log in (-3.0, 0.0)]
    found = [optimize.minimize(minus_log_likelihood, start, bounds=[(-12, 8)] * 2, method="L-BFGS-B") for start in grid]
    return np.exp(min(found, key=lambda f: f.fun).x)


def _whitener(Z: np.ndarray, ratios: np.ndarray, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Multiplies columns by V^-1/2 up to sigma, where V = I + Z G Z'."""
    G = np.repeat(ratios, size)
    U, singular, _ = np.linalg.svd(Z * np.sqrt(G), full_matrices=False)
    shrink = 1 / np.sqrt(1 + singular**2) - 1

    def whiten(columns: np.ndarray) -> np.ndarray:
        return columns + U @ (shrink[:, None] * (U.T @ columns))

    return whiten


def _least_squares(y: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, their standard errors, and the residuals' standard deviation."""
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ (X.T @ y)
    sigma = float(np.sqrt(((y - X @ b) ** 2).sum() / max(len(y) - X.shape[1], 1)))
    return b, sigma * np.sqrt(np.diag(inverse)), sigma


def _permuted(
    matrix: TransferMatrix,
    relation: np.ndarray,
    targets: np.ndarray,
    sources: np.ndarray,
    kept: list[int],
    whiten: Callable[[np.ndarray], np.ndarray],
    y: np.ndarray,
    b: np.ndarray,
    permutations: int,
    seed: int,
) -> np.ndarray:
    """Share of permutations of the languages under which a coefficient lies as far from zero as here."""
    rng = np.random.default_rng(seed)
    present = np.unique(np.concatenate([targets, sources]))
    as_far, done = np.zeros(len(b)), 0
    for _ in range(permutations):
        order = np.arange(len(matrix.languages))
        order[present] = rng.permutation(present)
        X, here = _design(relation[np.ix_(order, order)][targets, sources])
        if here != kept:
            continue
        done += 1
        as_far += np.abs(_least_squares(y, whiten(X))[0]) >= np.abs(b) - 1e-12
    return (as_far + 1) / (done + 1)
