"""The law of multilingual translation: a share of the mixture buys a fraction of the model."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient
from isogloss.numerics import jnp


class TranslationMixture(Law, name="translation-mixture", source="Fernandes et al. 2023, arXiv:2302.09650"):
    """L = E + A / (f(p) N)^alpha, f(p) = p + c1 p^c2 (1 - p)^c3: loss of a task sampled with share p.

    f is the effective fraction of the parameters that serve the task; above p, the tasks help each other.
    N counts parameters without embeddings. Every run is taken as trained to convergence: no data term.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    c1: Value = coefficient("size of the shared fraction", upper=10.0, log=False, start=(0.0, 1.0))
    c2: Value = coefficient("how the shared fraction rises with p", lower=1e-2, upper=5.0, start=(0.2, 1.5))
    c3: Value = coefficient("how it falls as p nears 1", lower=1e-2, upper=5.0, start=(0.2, 1.5))

    def fraction(self, p: Any) -> Any:
        """f(p), the effective fraction of the parameters."""
        # At p = 1 nothing is shared, and 0^c3 has no derivative.
        rest = jnp.maximum(1 - jnp.asarray(p), 0.0)
        shared = self.c1 * p**self.c2 * jnp.where(rest > 0, rest, 1.0) ** self.c3
        return p + jnp.where(rest > 0, shared, 0.0)

    def loss(self, N: Any, p: Any) -> Any:
        return self.E + self.A / (self.fraction(p) * N) ** self.alpha
