"""Size and mixture together: the plan of least weighted loss at a compute budget.

The variables are the logarithms of the tokens d_i of every language; N = C / (6 sum d) follows, so that
size and all shares move at once along one gradient. Epoch caps are bounds on d_i. Shares and the range of
N are inequalities, held by an augmented Lagrangian (Nocedal and Wright 2006, chapter 17). The search is
L-BFGS-B from several interior mixtures; since the loss is capped and so flat where a language gets
nothing, a language that ends with nothing is given some and the search goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize

from isogloss.errors import PlanError
from isogloss.laws import Atlas, saturated
from isogloss.numerics import jax, jnp
from isogloss.planning.constraints import Box, into_box
from isogloss.runs.mixtures import naive_mixtures

# Sharpness of the cap: at half the cap a loss is lowered by 1e-6, at a tenth by nothing.
CAP_SHARPNESS = 16
# Objectives within this fraction of the best are the same optimum.
AGREEMENT = 1e-6
# A language below this share has been given nothing.
NOTHING = 1e-5
VIOLATION = 1e-7


@dataclass(frozen=True)
class Allocation:
    """One plan: N parameters, D tokens, `shares` `(K,)`, `loss` per language `(K,)`, their weighted mean."""

    N: float
    D: float
    shares: np.ndarray
    loss: np.ndarray
    objective: float
    starts: int
    agree: int


@dataclass
class _Search:
    """What the augmented Lagrangian has learnt, so that a neighbouring problem need not start afresh."""

    multipliers: np.ndarray | None = None
    rho: float = 1.0


@dataclass(frozen=True)
class Allocator:
    """The problem at one budget C (FLOPs). Arrays are `(K,)`."""

    law: Atlas
    U: np.ndarray
    weights: np.ndarray
    C: float
    ceiling: float
    """Loss of a uniform guess: no language can do worse."""

    def losses(self, N: float, shares: np.ndarray) -> np.ndarray:
        """Expected loss of every language `(K,)` for N parameters and all of C spent on `shares`."""
        tokens = shares * self.C / (6 * N)
        return np.asarray(capped_losses(self.law, jnp.asarray(self.U), self.ceiling, jnp.asarray(tokens), N))

    def best(self, box: Box, starts: Sequence[np.ndarray], D_start: float) -> Allocation:
        """The least weighted loss in the box from every start mixture; `D_start` tokens to begin with.

        Raises PlanError if no start ends inside the box.
        """
        found = [a for a in (self._descend(into_box(p, D_start, box), D_start, box) for p in starts) if a is not None]
        if not found:
            raise PlanError("no start of the search met the constraints. Loosen limits or min_share.")
        top = min(found, key=lambda a: a.objective)
        top = self._lift(top, box)
        agree = sum(a.objective <= top.objective * (1 + AGREEMENT) for a in found)
        return Allocation(**{**top.__dict__, "starts": len(found), "agree": agree})

    def profile(self, sizes: Sequence[float], box: Box, top: Allocation) -> list[Allocation | None]:
        """The best mixture at exactly each of `sizes`, in parameters; None where the text does not last.

        Walks outwards from `top`, every size starting from its neighbour's answer.
        """
        found: dict[float, Allocation | None] = {}
        for side in (
            sorted(n for n in sizes if n >= top.N),
            sorted((n for n in sizes if n < top.N), reverse=True),
        ):
            near, state = top, _Search()
            for N in side:
                D = self.C / (6 * N)
                fixed = Box(box.tokens_high, box.share_low, box.share_high, N, N)
                found[N] = self._descend(into_box(near.shares, D, box), D, fixed, state)
                near = found[N] or near
        return [found[N] for N in sizes]

    def _lift(self, top: Allocation, box: Box) -> Allocation:
        """Give something to languages that got nothing, and keep the result if it is better."""
        for _ in range(3):
            starved = (top.shares < NOTHING) & (self.weights > 0) & (box.share_high > NOTHING)
            if not starved.any():
                return top
            p = np.where(starved, 1 / len(top.shares), top.shares)
            tried = self._descend(into_box(p / p.sum(), top.D, box), top.D, box)
            if tried is None or tried.objective >= top.objective * (1 - AGREEMENT):
                return top
            top = tried
        return top

    def _descend(self, shares: np.ndarray, D: float, box: Box, state: _Search | None = None) -> Allocation | None:
        """The nearest optimum from `shares` at D tokens; `state` carries the multipliers between neighbours."""
        state = state or _Search()
        size = len(shares)
        if state.multipliers is None:
            state.multipliers = np.zeros(2 * size + 2)
        limits = limits_of(box)
        with np.errstate(divide="ignore"):
            upper = np.log(box.tokens_high)
        # One token of a language is as little as matters.
        bounds = list(zip(np.minimum(0.0, upper - 1), upper, strict=True))
        x = np.log(np.maximum(shares * D, 1.0))
        worst = np.inf
        for _ in range(25):
            x, violated = self._minimise(x, state, limits, bounds)
            state.multipliers = np.maximum(0.0, state.multipliers + state.rho * violated)
            now = float(violated.max(initial=0.0))
            if now < VIOLATION:
                return self._allocation(x, box)
            if now > 0.25 * worst:
                state.rho *= 5
            worst = now
        return self._allocation(x, box) if worst < 1e-4 else None

    def _minimise(
        self, x: np.ndarray, state: _Search, limits: dict[str, Any], bounds: list[tuple[float, float]]
    ) -> tuple[np.ndarray, np.ndarray]:
        fixed = (self.law, jnp.asarray(self.U), jnp.asarray(self.weights), jnp.asarray(self.C), self.ceiling)
        pull = (jnp.asarray(state.multipliers), jnp.asarray(state.rho), limits)

        def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
            f, g = _augmented(x, *fixed, *pull)
            return float(f), np.asarray(g)

        options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 30}
        x = minimize(value_and_gradient, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        return x, np.asarray(violations(x, self.C, limits))

    def _allocation(self, x: np.ndarray, box: Box) -> Allocation:
        tokens = np.exp(x)
        N = float(np.clip(self.C / (6 * tokens.sum()), box.N_low, box.N_high))
        D = self.C / (6 * N)
        shares = into_box(tokens / tokens.sum(), D, box)
        loss = self.losses(N, shares)
        return Allocation(N, D, shares, loss, float(self.weights @ loss), 1, 1)


def starting_mixtures(U: np.ndarray, D: float, max_epochs: float, *, extra: int, seed: int) -> list[np.ndarray]:
    """Interior mixtures to search from: the naive ones, and `extra` random ones around the even mixture."""
    named = naive_mixtures(U, D, T=3.33, max_epochs=max_epochs)
    rng = np.random.default_rng(seed)
    random = [rng.dirichlet(np.full(len(U), 2.0)) for _ in range(extra)]
    even = np.full(len(U), 1 / len(U))
    return [0.9 * p + 0.1 * even for p in (*named.values(), *random)]


def limits_of(box: Box) -> dict[str, Any]:
    """The inequalities of `violations`, in logarithms."""
    with np.errstate(divide="ignore"):
        return {
            "low": jnp.log(jnp.asarray(box.share_low)),
            "high": jnp.log(jnp.asarray(box.share_high)),
            "N": jnp.log(jnp.asarray([max(box.N_low, 1e-300), box.N_high])),
        }


@partial(jax.jit, static_argnums=2)
def capped_losses(law: Atlas, U: Any, ceiling: float, tokens: Any, N: Any) -> Any:
    """Losses `(K,)` for `tokens` `(K,)` of each language: the law's, and no higher than a uniform guess's."""
    seen = saturated(tokens, U, law.lambda_)
    D_eff = law.effective_tokens(seen, seen[None, :], 0.0)
    p = tokens / tokens.sum()
    K = jnp.exp(-(p * jnp.log(jnp.maximum(p, 1e-300))).sum())
    loss = law.loss_at(N, jnp.maximum(D_eff, 1e-3), K)
    # A smooth minimum: a hard one has no gradient above the cap, and a search that starts there stays.
    ratio = loss / ceiling
    return loss / (1 + ratio**CAP_SHARPNESS) ** (1 / CAP_SHARPNESS)


@jax.jit
def violations(x: Any, C: Any, limits: dict[str, Any]) -> Any:
    """How far each inequality is broken `(2 K + 2,)`, in logarithms; at most zero where it holds."""
    log_D = jax.nn.logsumexp(x)
    log_p = x - log_D
    log_N = jnp.log(C / 6) - log_D
    below = jnp.where(jnp.isfinite(limits["low"]), limits["low"] - log_p, -1e3)
    above = jnp.where(limits["high"] < 0, log_p - limits["high"], -1e3)
    return jnp.concatenate([below, above, jnp.stack([limits["N"][0] - log_N, log_N - limits["N"][1]])])


@partial(jax.jit, static_argnums=5)
def _augmented(
    x: Any,
    law: Atlas,
    U: Any,
    weights: Any,
    C: Any,
    ceiling: float,
    multipliers: Any,
    rho: Any,
    limits: dict[str, Any],
) -> tuple[Any, Any]:
    def value(x: Any) -> Any:
        tokens = jnp.exp(x)
        objective = weights @ capped_losses(law, U, ceiling, tokens, C / (6 * tokens.sum()))
        pushed = jnp.maximum(0.0, multipliers + rho * violations(x, C, limits))
        return objective + ((pushed**2 - multipliers**2) / (2 * rho)).sum()

    return jax.value_and_grad(value)(x)
