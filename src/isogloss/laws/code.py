"""The proportion-dependent law: exponents and floor averaged over the mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from isogloss.laws.base import Law, Value, coefficient
from isogloss.numerics import jnp


class CodeMixture(Law, name="code-mixture", source="Yang et al. 2025, arXiv:2512.13472, equations 6-8"):
    """L = A/N^alpha(p) + B/D_x^beta(p) + E(p): loss over a mixture of languages with shares p.

    alpha(p), beta(p) and E(p) are averages over the languages by share. D_x = D (1 + gamma T), where T is the
    sum over pairs of languages of p_i p_j tau_ij and tau_ij holds both directions. tau is 0 unless freed or
    fixed; with tau free, gamma only scales it and stays 1.

    Shapes: N, D `(...)`; shares `(..., languages)`; alpha, beta, E `(languages,)`; tau `(pairs,)`, pairs in the
    order (0, 1), (0, 2), ..., (1, 2), ...
    """

    E: Value = coefficient(
        "irreducible loss of each language", log=False, of_loss=True, start=(0.1, 0.9), per="language"
    )
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent of each language", upper=3.0, start=(0.1, 1.2), per="language")
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent of each language", upper=3.0, start=(0.1, 1.2), per="language")
    gamma: Value = coefficient("strength of transfer", upper=100.0, log=False, start=(0.0, 2.0), default=1.0)
    tau: Value = coefficient(
        "transfer of each pair of languages",
        lower=-4.0,
        upper=100.0,
        log=False,
        start=(-0.5, 2.0),
        per="pair",
        default=0.0,
    )

    def effective_tokens(self, D: Any, shares: Any) -> Any:
        """D_x: the tokens, and what languages give each other."""
        first, second = np.triu_indices(jnp.shape(shares)[-1], 1)
        met = (shares[..., first] * shares[..., second] * jnp.asarray(self.tau)).sum(-1)
        # A solver may still try weights under which nothing is left.
        return D * jnp.maximum(1 + self.gamma * met, 1e-6)

    def loss(self, N: Any, D: Any, shares: Any) -> Any:
        shares = jnp.asarray(shares)
        alpha, beta = ((shares * jnp.asarray(x)).sum(-1) for x in (self.alpha, self.beta))
        floor = (shares * jnp.asarray(self.E)).sum(-1)
        return self.A / N**alpha + self.B / self.effective_tokens(D, shares) ** beta + floor

    def least(self, **columns: Any) -> Any:
        return (columns["shares"] * jnp.asarray(self.E)).sum(-1)
