"""What a run tells of the laws: the whitened Jacobian of its log losses, and the belief after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss.laws import Atlas, saturated
from isogloss.numerics import jax, jnp
from isogloss.planning.allocate import CAP_SHARPNESS
from isogloss.planning.design_belief import Belief
from isogloss.planning.design_runs import SmallRun

# Standard deviation of a log loss between seeds: 0.011 bits per byte (docs/studies.md) of about 2.5.
SEED = 0.005
# How far a law fitted to small models is off at ten times the parameters. No one has published it; assumed.
DRIFT = 0.005
# Part of its variance that the branches of one trunk share: the same first weights and order of text. Not measured.
SHARED = 0.5
PART = 256


def log_losses(law: Atlas, U: Any, ceiling: Any, tokens: Any, N: Any) -> Any:
    """Log losses `(K,)` after `tokens` `(K,)` of each language: the law's, and no higher than a uniform guess's."""
    seen = saturated(tokens, U, law.lambda_)
    D_eff = jnp.maximum(law.effective_tokens(seen, seen[None, :], 0.0), 1e-3)
    p = tokens / tokens.sum()
    K = jnp.exp(-(p * jnp.log(jnp.maximum(p, 1e-300))).sum())
    log = jnp.log(law.loss_at(N, D_eff, K))
    return log - jnp.logaddexp(0.0, CAP_SHARPNESS * (log - jnp.log(ceiling))) / CAP_SHARPNESS


@dataclass(frozen=True)
class Noise:
    """Of a log loss. `seed` is the standard deviation between seeds; `drift` is how far the law itself is off, per
    tenfold of parameters between a run and `N_plan`, the same for all ends of one run in one language."""

    N_plan: float
    seed: float = SEED
    drift: float = DRIFT

    def of_ends(self, N: np.ndarray, ends: int) -> np.ndarray:
        """Covariances `(runs, ends, ends)` of runs of N `(runs,)` parameters."""
        decades = np.log10(self.N_plan / N).clip(0.0)[:, None, None]
        return self.seed**2 * ((1 - SHARED) * np.eye(ends) + SHARED) + (self.drift * decades) ** 2


@dataclass(frozen=True, eq=False)
class Observed:
    """Runs of one number of rows r = languages x ends. `rows` `(draws, runs, r, P)` are whitened: the noise is 1."""

    which: np.ndarray
    """Places of the runs in the list that they came from."""
    rows: np.ndarray


def observe(
    belief: Belief, thetas: np.ndarray, runs: Sequence[SmallRun], text: np.ndarray, ceiling: float, noise: Noise
) -> list[Observed]:
    """What every run shows at each theta `(draws, P)`: the losses of its own languages at all of its ends."""
    ends = len(runs[0].tokens)
    whiten = np.linalg.inv(np.linalg.cholesky(noise.of_ends(np.array([r.N for r in runs]), ends)))
    counts = np.array([int((r.mixture.shares > 0).sum()) for r in runs])
    J = _slopes(belief, thetas, *conditions(runs, text), ceiling)
    J = J.reshape(len(thetas), len(runs), ends, belief.size, -1)
    out = []
    for count in np.unique(counts):
        which = np.flatnonzero(counts == count)
        seen = np.array([np.flatnonzero(runs[int(i)].mixture.shares > 0) for i in which])
        # (draws, runs, ends, languages, P): the noise of the ends of one language is whitened together.
        own = np.take_along_axis(J[:, which], seen[None, :, None, :, None], axis=3)
        rows = np.einsum("mef,smfkp->smkep", whiten[which], own)
        out.append(Observed(which, rows.reshape(len(thetas), len(which), count * ends, -1)))
    return out


def conditions(runs: Sequence[SmallRun], text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every end of every run: N `(n,)`, tokens and unique tokens of each language `(n, K)`."""
    N = np.array([run.N for run in runs for _ in run.tokens])
    tokens = np.array([end * run.mixture.shares for run in runs for end in run.tokens])
    U = np.array([np.minimum(run.unique, text) for run in runs for _ in run.tokens])
    return N, tokens, U


def _slopes(
    belief: Belief, thetas: np.ndarray, N: np.ndarray, tokens: np.ndarray, U: np.ndarray, ceiling: float
) -> np.ndarray:
    """d log loss / d theta `(draws, n, K, P)`."""

    @jax.jit
    def slopes(theta: Any, N: Any, tokens: Any, U: Any) -> Any:
        def one(N: Any, tokens: Any, U: Any) -> Any:
            return jax.jacrev(lambda t: log_losses(belief.law(t), U, ceiling, tokens, N))(theta)

        return jax.vmap(one)(N, tokens, U)

    n, parts = len(N), []
    # Equal parts, the last filled up, so that it is compiled once whatever the number of runs.
    fill = -n % PART
    N, tokens, U = (np.concatenate([v, np.repeat(v[:1], fill, axis=0)]) for v in (N, tokens, U))
    for theta in thetas:
        found = [np.asarray(slopes(theta, *(v[i : i + PART] for v in (N, tokens, U)))) for i in range(0, len(N), PART)]
        parts.append(np.concatenate(found)[:n])
    return np.array(parts)
