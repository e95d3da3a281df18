"""Loss from parameters and tokens: the Chinchilla law, and its compute-optimal frontier."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient


class Chinchilla(Law, name="chinchilla", source="Hoffmann et al. 2022, arXiv:2203.15556, section 3.3"):
    """L = E + A/N^alpha + B/D^beta. N in parameters, D in tokens seen; assumes under one epoch."""

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    frontier = True

    def loss(self, N: Any, D: Any) -> Any:
        return self.E + self.A / N**self.alpha + self.B / D**self.beta


def optimal_allocation(A: Any, alpha: Any, B: Any, beta: Any, C: Any) -> tuple[Any, Any]:
    """(N, D) of least A/N^alpha + B/D^beta subject to 6 N D = C FLOPs.

    Source: Hoffmann et al. 2022, equation 4: N = G (C/6)^a, D = (C/6)^b / G,
    G = (alpha A / (beta B))^(1/(alpha+beta)), a = beta/(alpha+beta), b = 1 - a.
    """
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    a = beta / (alpha + beta)
    return G * (C / 6) ** a, (C / 6) ** (1 - a) / G
