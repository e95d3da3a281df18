"""The vocabulary law: loss against a unigram model, so that vocabularies of any size compare."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient
from isogloss.numerics import jnp


class Vocabulary(Law, name="vocabulary", source="Tao et al. 2024, arXiv:2407.13623, approach 3"):
    """L = -E + A1/N_nv^alpha1 + A2/N_v^alpha2 + B/D^beta. The loss is unigram-normalised, hence negative.

    N_nv counts parameters without embeddings, N_v those of the vocabulary (total less non-embedding), D tokens.
    """

    E: Value = coefficient("depth below a unigram model", of_loss=True, start=(1.0, 2.0))
    A1: Value = coefficient("non-vocabulary term", of_loss=True, scales={"N_nv": "alpha1"}, start=(0.02, 0.6))
    alpha1: Value = coefficient("non-vocabulary exponent", upper=3.0, start=(0.1, 1.2))
    A2: Value = coefficient("vocabulary term", of_loss=True, scales={"N_v": "alpha2"}, start=(0.02, 0.6))
    alpha2: Value = coefficient("vocabulary exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    signed = True

    def loss(self, N_nv: Any, N_v: Any, D: Any) -> Any:
        sizes = self.A1 / N_nv**self.alpha1 + self.A2 / N_v**self.alpha2
        return -self.E + sizes + self.B / D**self.beta

    def least(self, **_: Any) -> Any:
        return -self.E


def tokens_of(characters: Any, vocabulary: Any) -> Any:
    """Tokens that a vocabulary of this size makes of English text. Source: as the law's, section 3."""
    ln_V = jnp.log(vocabulary)
    return characters * (0.00639222 * ln_V**2 - 0.15811069 * ln_V + 1.20470122)
