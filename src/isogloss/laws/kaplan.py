"""Kaplan's joint law: without a floor, parameters and data in one bracket."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient


class Kaplan(Law, name="kaplan", source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.5"):
    """L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D. N counts parameters without embeddings.

    It goes to zero with N and D: there is no irreducible loss. N_c and D_c are where either alone gives 1.
    """

    alpha_N: Value = coefficient("parameter exponent", upper=3.0, start=(0.03, 0.4))
    N_c: Value = coefficient("parameter scale", scales={"N": 1.0}, start=(1e1, 1e8))
    alpha_D: Value = coefficient("data exponent", upper=3.0, start=(0.03, 0.4))
    D_c: Value = coefficient("data scale", scales={"D": 1.0}, start=(1e-1, 1e6))

    def loss(self, N: Any, D: Any) -> Any:
        return ((self.N_c / N) ** (self.alpha_N / self.alpha_D) + self.D_c / D) ** self.alpha_D
