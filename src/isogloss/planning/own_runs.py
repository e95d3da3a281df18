"""What a plan's laws and transfer weights are after the user's own runs: all at once, and with what was known before.

The prior is the Gaussian of `design_belief`: what the plan without runs draws its laws from. Runs add their log losses,
whose errors are those that `design` reckons with; what is left is normal about the best fit (Laplace). Few runs then
narrow what they tell of and leave the rest as it was, where a fit to them alone would have to guess it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import block_diag, csr_matrix

from isogloss.errors import InputError
from isogloss.laws import Atlas
from isogloss.numerics import jax, jnp
from isogloss.planning.design_belief import Belief, belief_of
from isogloss.planning.design_information import SHARED, Noise, log_losses
from isogloss.planning.evidence import Ground
from isogloss.planning.kinds import Evidence, some
from isogloss.planning.known_laws import NAMES
from isogloss.planning.question import Question
from isogloss.planning.run_rows import Rows, rows_of

# Standard deviation of the logarithm of a loss in the runs' unit over that in the unit of ATLAS's table.
UNIT = 1.0
# The prior's coefficients grow with the square of the languages.
MOST_LANGUAGES = 30
# Starts of the fit beside the prior's mean, and evaluations of each.
STARTS, EVALUATIONS = 2, 100
# The size of the plan, at 50 tokens per parameter, from which a run's distance is reckoned.
TOKENS_PER_PARAMETER = 50
VALUES = (*NAMES, "tau", "lambda_")


def learned(asked: Question, basis: Ground) -> Ground:
    """`basis`, what is known without runs, after those of the table that the question names.

    Raises InputError for too many languages, and for a table without a row that can be used.
    """
    _refuse(asked)
    path = asked.runs or ""
    rows = rows_of(path, basis)
    belief = belief_of(basis, asked)
    noise = Noise(_size(asked, rows))
    ceiling = asked.assumptions.guessing(rows.unit)
    found = _fit(belief, rows, noise, ceiling)
    at = {name: v[0] for name, v in found.values(found.theta[None]).items()}
    law: Any = replace(basis.law, **{n: at[n] for n in NAMES}, tau=at["tau"], lambda_=at["lambda_"])
    said = f"{len(rows)} rows of {rows.runs} runs in {path}, and what is known without them"
    codes = basis.languages
    own = [code for i, code in enumerate(codes) if (rows.target == i).any()]
    weighed = len(codes) > 1 and asked.assumptions.transfer != "none"
    taught = [
        i for i in range(len(codes)) if weighed and (rows.tokens[rows.target == i] > 0).sum(axis=1).max(initial=0) > 1
    ]
    new = {
        **{f"law.{code}": f"{said}: fitted together with all weights" for code in own},
        **{f"transfer.{codes[i]}": f"{said}: fitted together with all laws" for i in taught},
    }
    # A decay that the question gives is certain; one that no run tells of stays as published, wide as it is.
    decays = asked.assumptions.repetition_decay is None
    if decays and (rows.tokens > rows.U).any():
        new["repetition"] = f"lambda = {float(at['lambda_']):.3g}: {said}: fitted together with all laws"
    held = ["laws", *["transfer weights"] * weighed, *["what repeats are worth"] * decays]
    varies = (f"{', '.join(held)}: joint draws of what your runs and what was known before leave open",)
    dropped = (*basis.laws.warnings, *basis.transfer.warnings)
    return replace(
        basis,
        law=law,
        evidence=tuple(_measured(e, new.get(e.quantity)) for e in basis.evidence),
        warnings=(*_warnings(rows, found, noise, codes), *(w for w in basis.warnings if w not in dropped)),
        own_law=tuple(dict.fromkeys((*own, *basis.own_law))),
        loss_unit=rows.unit,
        laws=replace(basis.laws, values=np.stack([at[n] for n in NAMES], axis=1), varies=varies, lacks=()),
        transfer=replace(basis.transfer, tau=at["tau"], varies=(), lacks=()),
        joint=found.sample,
    )


@dataclass(frozen=True, eq=False)
class Posterior:
    """Normal about theta `(P + 1,)`, the belief's coordinates and the logarithm of the runs' unit."""

    belief: Belief
    theta: np.ndarray
    root: np.ndarray
    """Of the covariance."""
    excess: float
    """The errors' variance over what was reckoned with; at least 1."""

    def values(self, thetas: np.ndarray) -> dict[str, np.ndarray]:
        """Coefficients of each of `thetas` `(n, P + 1)`, losses in the runs' unit."""
        found = jax.vmap(lambda theta: _coefficients(self.belief, theta))(jnp.asarray(thetas))
        return {name: np.asarray(v) for name, v in found.items()}

    def sample(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Joint draws of coefficients `(count, K)`, and of tau `(count, K, K)`."""
        found = self.values(self.theta + rng.standard_normal((count, len(self.theta))) @ self.root.T)
        return {**found, "lambda_": np.tile(found["lambda_"][:, None], (1, self.belief.size))}


def _coefficients(belief: Belief, theta: Any) -> dict[str, Any]:
    law, unit = belief.law(theta[:-1]), jnp.exp(theta[-1])
    values = {name: getattr(law, name) for name in VALUES}
    return {name: v * unit if name in ("E", "A", "B") else v for name, v in values.items()}


# --- the fit ------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames=("size",))
def _log_losses(
    theta: Any, base: Atlas, full: Any, free: Any, size: int, U: Any, ceiling: Any, tokens: Any, N: Any, target: Any
) -> Any:
    """Of every row `(n,)`. The belief comes as its arrays, so that this is compiled once for all beliefs alike."""
    law = Belief(base, size, full, free, theta[:-1], theta[:-1], ()).law(theta[:-1])
    every = jax.vmap(lambda U, t, n: log_losses(law, U, ceiling, t, n))(U, tokens, N)
    return jnp.take_along_axis(every, target[:, None], axis=1)[:, 0] + theta[-1]


_slopes = partial(jax.jit, static_argnames=("size",))(jax.jacfwd(_log_losses))


def _fit(belief: Belief, rows: Rows, noise: Noise, ceiling: float) -> Posterior:
    P = len(belief.mean)
    given = (belief.base, jnp.asarray(belief.full), jnp.asarray(belief.free), belief.size)
    data = tuple(jnp.asarray(v) for v in (rows.U, ceiling, np.maximum(rows.tokens, 1e-9), rows.N, rows.target))
    root = np.zeros((P + 1, P + 1))
    root[:P, :P], root[P, P] = np.linalg.cholesky(belief.cov), UNIT
    first = np.append(belief.mean, 0.0)
    seen = np.log(rows.loss)
    unit = float(np.median(seen - np.asarray(_log_losses(first, *given, *data)))) / UNIT
    whiten = _whitening(rows, noise)
    rng = np.random.default_rng(0)
    start = np.append(np.zeros(P), unit)
    starts = [start, *(start + 0.5 * rng.standard_normal((STARTS - 1, P + 1)))]

    def solved(whiten: csr_matrix, starts: list[np.ndarray]) -> Any:
        def residuals(z: np.ndarray) -> np.ndarray:
            return np.concatenate([whiten @ (np.asarray(_log_losses(first + root @ z, *given, *data)) - seen), z])

        def slopes(z: np.ndarray) -> np.ndarray:
            J = whiten @ (np.asarray(_slopes(first + root @ z, *given, *data)) @ root)
            return np.concatenate([J, np.eye(P + 1)])

        tried = [least_squares(residuals, z, jac=slopes, max_nfev=EVALUATIONS) for z in starts]  # type: ignore[arg-type]
        return min(tried, key=lambda f: f.cost)

    best = solved(whiten, starts)
    excess = _excess(best, len(rows))
    if excess > 1:
        best = solved(whiten / math.sqrt(excess), [best.x])
    cov = np.linalg.inv(best.jac.T @ best.jac)
    return Posterior(belief, first + root @ best.x, root @ np.linalg.cholesky((cov + cov.T) / 2), excess)


def _excess(best: Any, rows: int) -> float:
    """The squared errors over their expectation: rows less the coefficients that these rows, not the prior, set."""
    errors, jac = best.fun[:rows], best.jac
    told = jac.shape[1] - float(np.trace(np.linalg.inv(jac.T @ jac)))
    return max(1.0, float(errors @ errors) / max(rows - told, 1.0))


def _whitening(rows: Rows, noise: Noise) -> csr_matrix:
    """Checkpoints of one run err together in each language, by the seed and by how far the law is off."""
    order, blocks = [], []
    for key in dict.fromkeys(zip(rows.run.tolist(), rows.target.tolist(), strict=True)):
        at = np.flatnonzero((rows.run == key[0]) & (rows.target == key[1]))
        decades = np.log10(noise.N_plan / rows.N[at]).clip(0.0)
        cov = noise.seed**2 * ((1 - SHARED) * np.eye(len(at)) + SHARED)
        cov += noise.drift**2 * np.outer(decades, decades)
        order.append(at)
        blocks.append(np.linalg.inv(np.linalg.cholesky(cov)))
    places = np.concatenate(order)
    turned = csr_matrix((np.ones(len(places)), (np.arange(len(places)), places)))
    return csr_matrix(block_diag(blocks, format="csr") @ turned)


def _size(asked: Question, rows: Rows) -> float:
    """About that of the plan."""
    if asked.budget.is_target:
        return float(rows.N.max()) * 10
    return math.sqrt(asked.budget.total / 6 / TOKENS_PER_PARAMETER)


def _measured(known: Evidence, said: str | None) -> Evidence:
    return known if said is None else Evidence(known.quantity, "measured", said)


# --- words --------------------------------------------------------------------------------------------------


def _warnings(rows: Rows, found: Posterior, noise: Noise, codes: tuple[str, ...]) -> list[str]:
    out = [
        f"laws and weights rest on {len(rows)} rows of {rows.runs} runs together with what was known before; a loss is "
        f"taken to be off by {noise.seed:.1%} between seeds and by {noise.drift:.1%} for each tenfold of parameters "
        "between a run and the plan."
    ]
    if found.excess > 1.5:
        out.append(
            f"the runs scatter {math.sqrt(found.excess):.1f} times as much as that: the intervals are wider by it."
        )
    unseen = [code for i, code in enumerate(codes) if not (rows.target == i).any()]
    if unseen:
        out.append(f"no run measures {some(unseen)}: their laws are those without runs.")
    return [*out, *rows.notes]


def _refuse(asked: Question) -> None:
    if len(asked.languages) > MOST_LANGUAGES:
        raise InputError(
            f"{len(asked.languages)} languages are too many to learn from runs at once, {MOST_LANGUAGES} are not",
            where="runs",
            hint="Fit the runs with `isogloss fit` and name the fits, or ask for fewer languages.",
        )
