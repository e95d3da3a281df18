"""What the plan decides, and what it loses when the laws are not as it takes them to be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from isogloss.errors import PlanError
from isogloss.numerics import jax, jnp
from isogloss.planning.constraints import Box
from isogloss.planning.descent import Optima, descend
from isogloss.planning.design_belief import Belief
from isogloss.planning.design_information import log_losses
from isogloss.planning.draws import Drawn, LawDraws
from isogloss.planning.text import Text

# Steps of the differences that the curvature is made of, in log tokens: those by which optima differ, within these.
STEPS = (0.1, 0.7)
# Directions flatter than this part of the steepest are taken as this flat: nothing there is worth knowing exactly.
FLATTEST = 0.01
CLOSE = 1e-3
EVEN = 0.02
OTHER_STARTS = 12


@dataclass(frozen=True, eq=False)
class Decision:
    """The plan's problem at one budget C (FLOPs), under what is believed of its laws. Arrays are `(K,)`."""

    belief: Belief
    U: np.ndarray
    weights: np.ndarray
    C: float
    ceiling: float
    box: Box
    N: float
    """Of the plan as it stands, as its shares."""
    shares: np.ndarray

    def optima(self, thetas: np.ndarray) -> Optima:
        """The best plan if each theta `(n, P)` were the truth."""
        drawn, K = self._drawn(thetas), len(self.U)
        # A search may end at a kink that is not the best: others begin at mixtures of all kinds, the same every time.
        others = np.random.default_rng(0).dirichlet(np.full(K, 2.0), OTHER_STARTS if K > 1 else 0)
        starts = [(1 - EVEN) * self.shares + EVEN / K, *others]
        found = [descend(drawn, start, self.C / (6 * self.N), self.box) for start in starts]
        means = np.array([np.where(f.settled, f.loss @ self.weights, np.inf) for f in found])
        best = means.argmin(axis=0)

        def of(name: str) -> np.ndarray:
            return np.stack([getattr(f, name) for f in found])[best, np.arange(len(thetas))]

        return Optima(of("N"), of("shares"), of("loss"), of("settled"), sum(f.rounds for f in found))

    def losses(self, thetas: np.ndarray, N: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Weighted mean losses `(n,)` of one plan for each theta."""
        return self._drawn(thetas).own_losses(N, shares) @ self.weights

    def sensitivities(self, thetas: np.ndarray, found: Optima) -> np.ndarray:
        """L `(n, P, K)` for each theta: the relative regret of a plan made with an error e of theta is
        |L' e|^2 / 2 to second order, and its expectation tr(L' cov L) / 2.

        The implicit function theorem at each theta's own optimum, on the plane of the limits that hold there. The law
        has kinks (a source counts for no more than the target's own tokens), at which optima like to lie and
        derivatives say nothing: the curvature is that of differences over as far as optima differ.
        """
        x = np.log(np.maximum(found.shares * (self.C / (6 * found.N))[:, None], 1.0))
        steps = np.clip(x.std(axis=0), *STEPS)
        out = np.zeros((len(thetas), thetas.shape[1], len(self.U)))
        for i, theta in enumerate(thetas):
            plane = self._plane(x[i], float(found.N[i]), found.shares[i])
            if not plane.shape[1]:
                continue
            value, curvature, mixed = (np.asarray(v) for v in self._expansion(x[i], theta, steps))
            values, vectors = np.linalg.eigh(plane.T @ curvature @ plane)
            if values.max() <= 0:
                continue
            values = np.maximum(values, FLATTEST * values.max())
            out[i, :, : len(values)] = mixed.T @ plane @ (vectors / np.sqrt(values * value))
        return out

    @cached_property
    def _expansion(self) -> Any:
        U, weights = jnp.asarray(self.U), jnp.asarray(self.weights)

        def objective(x: Any, theta: Any) -> Any:
            tokens = jnp.exp(x)
            N = self.C / (6 * tokens.sum())
            return weights @ jnp.exp(log_losses(self.belief.law(theta), U, self.ceiling, tokens, N))

        slope = jax.grad(objective)

        @jax.jit
        def expansion(x: Any, theta: Any, steps: Any) -> Any:
            moves = jnp.diag(steps)
            ahead = jax.vmap(lambda m: slope(x + m, theta))(moves)
            behind = jax.vmap(lambda m: slope(x - m, theta))(moves)
            curvature = (ahead - behind) / (2 * steps[:, None])
            mixed = jax.jacfwd(slope, argnums=1)(x, theta)
            return objective(x, theta), (curvature + curvature.T) / 2, mixed

        return expansion

    def _plane(self, x: np.ndarray, N: float, shares: np.ndarray) -> np.ndarray:
        """Directions `(K, free)` of log tokens that keep to the limits that hold."""
        box, eye = self.box, np.eye(len(x))
        with np.errstate(divide="ignore"):
            high = np.log(box.tokens_high)
        held = [eye[i] for i in np.flatnonzero((x >= high - CLOSE) | (x <= CLOSE))]
        at_share = ((box.share_low > 0) & (shares <= box.share_low * (1 + CLOSE))) | (
            (box.share_high < 1) & (shares >= box.share_high * (1 - CLOSE))
        )
        held += [eye[i] - shares for i in np.flatnonzero(at_share)]
        if box.N_low * (1 + CLOSE) >= N or box.N_high * (1 - CLOSE) <= N:
            held.append(shares)
        if not held:
            return eye
        _, values, right = np.linalg.svd(np.array(held))
        return right[int((values > 1e-8).sum()) :].T

    def _drawn(self, thetas: np.ndarray) -> Drawn:
        laws = jax.vmap(self._values)(jnp.asarray(thetas))
        values = {name: np.asarray(v) for name, v in laws.items()}
        draws = LawDraws(self.belief.base, len(thetas), values, (), ())
        return Drawn(draws, Text.plain(self.U), self.weights, self.C, self.ceiling)

    def _values(self, theta: Any) -> dict[str, Any]:
        law = self.belief.law(theta)
        return {name: getattr(law, name) for name in ("E", "A", "alpha", "B", "beta", "tau", "lambda_")}


@dataclass(frozen=True, eq=False)
class Trial:
    """Truths drawn from the belief, their own best plans, and the plan that each would have been given."""

    decision: Decision
    thetas: np.ndarray
    best: np.ndarray
    """Weighted mean loss of each truth's own best plan `(n,)`."""
    noise: np.ndarray

    def regrets(self, covs: np.ndarray) -> np.ndarray:
        """Relative regrets `(n,)` of plans made after runs that leave the covariances `covs` `(n, P, P)`, by turns.

        With a truth theta, what is believed after the runs has its mean at mean + W (theta - mean) + noise, with
        W = (prior - cov) prior^-1 and noise of covariance W cov.
        """
        belief = self.decision.belief
        means = np.empty_like(self.thetas)
        for k, cov in enumerate(covs):
            at = np.arange(k, len(means), len(covs))
            W = np.linalg.solve(belief.cov, belief.cov - cov).T
            spread = W @ cov
            values, vectors = np.linalg.eigh((spread + spread.T) / 2)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            means[at] = belief.mean + (self.thetas[at] - belief.mean) @ W.T + self.noise[at] @ root.T
        found = self.decision.optima(means)
        return np.maximum(self.decision.losses(self.thetas, found.N, found.shares) / self.best - 1, 0.0)


def trial_of(decision: Decision, count: int, seed: int) -> Trial:
    """`count` truths. Raises PlanError if most of their own plans are not found."""
    rng = np.random.default_rng([seed, 11])
    thetas = decision.belief.sample(count, rng)
    noise = rng.standard_normal(thetas.shape)
    found = decision.optima(thetas)
    if found.settled.mean() < 0.5:
        raise PlanError("the best plans of most draws were not found. Loosen limits or min_share.")
    keep = found.settled
    best = (found.loss @ decision.weights)[keep]
    return Trial(decision, thetas[keep], best, noise[keep])
