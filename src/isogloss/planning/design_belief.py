"""What is known of the plan's laws before any run: a Gaussian over their coefficients, with its assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isogloss.laws import Atlas, atlas_per_language
from isogloss.numerics import jnp
from isogloss.planning.draws import draw_laws
from isogloss.planning.evidence import Ground
from isogloss.planning.known_laws import NAMES
from isogloss.planning.question import Question

# Coordinates of the terms of a law: A and alpha are told apart only by runs of several sizes, so that ln A and alpha
# are all but one number; the term's value in the middle of the published range, and alpha, are two.
N_MIDDLE, D_MIDDLE = 3e8, 1e10
DRAWS = 1000
# Part of every correlation that is kept: six published laws tell the spread of a coefficient better than how two of
# them vary together.
KEPT = 0.7
# The published R_D* is 15.4, another local optimum on the same runs 95.4: a factor of 6 between plus and minus one.
LOG_LAMBDA = 0.9
# A score drifts with its anchor by more than its noise; where a matrix has no intervals, this is taken.
TAU = 0.15
PER_LANGUAGE = len(NAMES)
# A variance below this is rounding.
CERTAIN = 1e-10


@dataclass(frozen=True, eq=False)
class Belief:
    """A Gaussian over theta `(P,)`: per language E, ln of the two terms at N_MIDDLE and D_MIDDLE, ln alpha, ln beta;
    the transfer weights off the diagonal; ln lambda. What is certain is no part of theta."""

    base: Atlas
    size: int
    """K languages."""
    full: np.ndarray
    """All coordinates, certain ones too, at their means `(5 K + K K + 1,)`."""
    free: np.ndarray
    """Indices of theta in `full` `(P,)`."""
    mean: np.ndarray
    cov: np.ndarray
    assumed: tuple[str, ...]
    """Sentences: what it holds that no interval says."""

    def law(self, theta: Any) -> Atlas:
        """The law of one theta `(P,)`; traceable by JAX."""
        K = self.size
        full = jnp.asarray(self.full).at[self.free].set(theta)
        E, a, alpha, b, beta = full[: PER_LANGUAGE * K].reshape(PER_LANGUAGE, K)
        alpha, beta = jnp.exp(alpha), jnp.exp(beta)
        tau = full[PER_LANGUAGE * K : -1].reshape(K, K)
        values: dict[str, Any] = {
            "E": jnp.maximum(E, 0.0),
            "A": jnp.exp(a + alpha * np.log(N_MIDDLE)),
            "alpha": alpha,
            "B": jnp.exp(b + beta * np.log(D_MIDDLE)),
            "beta": beta,
            "tau": jnp.clip(tau, -0.95, 1.0),
            "lambda_": jnp.exp(full[-1]),
        }
        return replace(self.base, **values)

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draws `(count, P)`."""
        return self.mean + rng.standard_normal((count, len(self.mean))) @ np.linalg.cholesky(self.cov).T


def belief_of(basis: Ground, question: Question, seed: int = 0) -> Belief:
    """From the draws that the plan itself makes of laws and transfer, and assumed spreads where it has none."""
    K = len(basis.languages)
    draws = draw_laws(basis, DRAWS, seed)
    laws = np.stack([np.broadcast_to(_values(draws.values, basis.law, n), (DRAWS, K)) for n in NAMES], axis=1)
    tau = np.broadcast_to(_values(draws.values, basis.law, "tau"), (DRAWS, K, K))
    sampled = np.concatenate(
        [coordinates(laws).reshape(DRAWS, -1), tau.reshape(DRAWS, -1), np.full((DRAWS, 1), _log_lambda(basis))], axis=1
    )
    at_mean = np.array([np.broadcast_to(getattr(basis.law, n), (K,)) for n in NAMES], float)[None]
    full = np.concatenate([coordinates(at_mean).ravel(), np.asarray(basis.law.tau, float).ravel(), sampled[0, -1:]])
    cov = np.cov(sampled.T)
    cov = KEPT * cov + (1 - KEPT) * np.diag(np.diag(cov))
    assumed = _widen(cov, basis, question)
    free = np.flatnonzero(np.diag(cov) > CERTAIN)
    return Belief(basis.law, K, full, free, full[free], cov[np.ix_(free, free)], assumed)


def coordinates(laws: np.ndarray) -> np.ndarray:
    """Of laws `(n, 5, K)` in the order of NAMES: E, ln A-term, ln alpha, ln B-term, ln beta `(n, 5, K)`."""
    E, A, alpha, B, beta = np.moveaxis(laws, 1, 0)
    a = np.log(A) - alpha * np.log(N_MIDDLE)
    b = np.log(B) - beta * np.log(D_MIDDLE)
    return np.stack([E, a, np.log(alpha), b, np.log(beta)], axis=1)


def between_languages(regime: str) -> np.ndarray:
    """Covariance `(5, 5)` of the laws of ATLAS's table C.1, in these coordinates."""
    table = np.array([[e.coefficients[n] for n in NAMES] for e in atlas_per_language(regime).values()])
    cov = np.cov(coordinates(table[:, :, None])[:, :, 0].T)
    return KEPT * cov + (1 - KEPT) * np.diag(np.diag(cov))


def _values(values: Any, law: Atlas, name: str) -> np.ndarray:
    return np.asarray(values[name] if name in values else getattr(law, name), float)


def _log_lambda(basis: Ground) -> float:
    return float(np.log(np.asarray(basis.law.lambda_)))


def _widen(cov: np.ndarray, basis: Ground, question: Question) -> tuple[str, ...]:
    """Adds, in place, what no interval says; sentences of what was added."""
    K, said = len(basis.languages), []
    places = np.arange(PER_LANGUAGE * K).reshape(PER_LANGUAGE, K)
    still = [i for i in range(K) if not (np.diag(cov)[places[:, i]] > CERTAIN).any()]
    if still:
        spread = between_languages(question.assumptions.laws)
        for i in still:
            cov[np.ix_(places[:, i], places[:, i])] = spread
        names = [basis.languages[i] for i in still]
        said.append(
            f"laws of {_some(names)} have no intervals: taken to be as far from your runs' as one language's law "
            "in ATLAS table C.1 is from another's"
        )
    if K > 1 and question.assumptions.transfer != "none":
        taus = PER_LANGUAGE * K + np.flatnonzero(~np.eye(K, dtype=bool).ravel())
        if not (np.diag(cov)[taus] > CERTAIN).any():
            cov[taus, taus] = TAU**2
            said.append(f"transfer weights have no intervals: a standard deviation of {TAU:g} is taken")
    if question.assumptions.repetition_decay is None:
        cov[-1, -1] = LOG_LAMBDA**2
        said.append("what repeats are worth (R_D*) is taken as known to a factor of 2.5 either way")
    return tuple(said)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
