"""What repeated tokens are worth, and the data-constrained law built on it."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient
from isogloss.numerics import jnp


def saturated(D: Any, U: Any, lambda_: Any) -> Any:
    """Effective tokens of D tokens drawn from U unique ones: D up to one epoch, then decaying returns.

    S = U [1 + (1 - exp(-lambda (D/U - 1))) / lambda] for D > U; its supremum is U (1 + 1/lambda).
    Source: ATLAS, arXiv:2510.22037, equation 3. With lambda = 1/R_D* it is the D_eff of
    Muennighoff et al. 2023, arXiv:2305.16264, equation 5.
    """
    # Tokens of a language with no text at all are worth nothing, not 0/0; an unlimited U means D <= U.
    unlimited = jnp.isinf(U)
    safe_U = jnp.where(unlimited | (U <= 0), 1.0, U)
    repeats = jnp.maximum(D / safe_U - 1.0, 0.0)
    extra = -jnp.expm1(-lambda_ * repeats) / lambda_
    seen_once = jnp.minimum(D, safe_U)
    return jnp.where(unlimited, D, jnp.where(U <= 0, 0.0, seen_once + safe_U * extra))


# Compute-optimal parameters per unique token under the published E, A, B, alpha = beta = 0.3526596
# (ln A 6.255414, ln B 7.3049974): (A/B)^(1/alpha). The paper rounds it to 0.051.
PUBLISHED_N_PER_U = 0.050986517653658275


class DataConstrained(Law, name="data-constrained", source="Muennighoff et al. 2023, arXiv:2305.16264, appendix A"):
    """Chinchilla's law of effective parameters and tokens, when U unique tokens are seen D/U times.

    L = E + A/N_eff^alpha + B/D_eff^beta, where D_eff = U + U R_D (1 - exp(-(D/U - 1)/R_D)) for D > U
    and N_eff likewise for N > U_N = N_per_U * U, the size that U tokens deserve. As in the paper, U_N
    comes from a fixed ratio and not from the coefficients under fit.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    R_D: Value = coefficient("repeats after which data saturates (R_D*)", lower=1e-2, upper=1e6, start=(1.0, 100.0))
    R_N: Value = coefficient("excess after which parameters saturate (R_N*)", lower=1e-2, upper=1e6, start=(0.5, 50.0))
    N_per_U: Value = coefficient(
        "compute-optimal parameters per unique token (U_N/U)",
        lower=1e-4,
        upper=1e2,
        start=(0.01, 1.0),
        default=PUBLISHED_N_PER_U,
    )
    frontier = True

    def loss(self, N: Any, D: Any, U: Any) -> Any:
        D_eff = saturated(D, U, 1 / self.R_D)
        N_eff = saturated(N, self.N_per_U * U, 1 / self.R_N)
        return self.E + self.A / N_eff**self.alpha + self.B / D_eff**self.beta
