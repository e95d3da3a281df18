"""Laws of one target's loss under mixtures: exponential, BiMix and D-CPT."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient
from isogloss.numerics import jnp


class DataMixing(Law, name="data-mixing", source="Ye et al. 2024, arXiv:2403.16952, equation 7"):
    """L = E + k exp(sum_j t_j p_j): loss of one target when language (or domain) j has share p_j.

    At one N and one D. Shares sum to one, so that k only shifts all of t: it is held at 1, and exp(t_j) is the
    reducible loss of training on j alone. A target without a share of its own is described too.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    k: Value = coefficient("scale", upper=1e6, start=(0.1, 10.0), default=1.0)
    t: Value = coefficient(
        "log reducible loss of each language alone",
        lower=-50.0,
        upper=20.0,
        log=False,
        start=(-2.0, 1.5),
        per="language",
    )
    of_target = True
    of_unseen = True

    def loss(self, shares: Any) -> Any:
        return self.E + self.k * jnp.exp((shares * jnp.asarray(self.t)).sum(-1))


class BiMix(Law, name="bimix", source="Ge et al. 2024, arXiv:2405.14908"):
    """L = (A/p^alpha) (B/D^beta + C): loss of a target with share p after D tokens.

    The paper counts training steps; tokens are steps times the batch, which only rescales B. A scales B and C
    alike and is held at 1.
    """

    A: Value = coefficient("scale of the mixture", upper=1e6, start=(0.5, 2.0), default=1.0)
    alpha: Value = coefficient("mixture exponent", upper=2.0, log=False, start=(0.02, 0.4))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    C: Value = coefficient("irreducible loss at p = 1", of_loss=True, start=(0.1, 0.9))

    def loss(self, D: Any, p: Any) -> Any:
        return self.A / p**self.alpha * (self.B / D**self.beta + self.C)

    def least(self, **columns: Any) -> Any:
        return self.A * self.C / columns["p"] ** self.alpha


class DCPT(Law, name="d-cpt", source="Que et al. 2024, arXiv:2406.01375"):
    """L = E + A/N^alpha + B p^eta/D^beta + C/(p + eps)^gamma: continued pretraining with share p of the domain."""

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    eta: Value = coefficient("how the data term grows with p", upper=3.0, log=False, start=(0.0, 1.0))
    C: Value = coefficient("mixture term", of_loss=True, start=(0.01, 0.5))
    eps: Value = coefficient("share below which more of it no longer tells", lower=1e-4, upper=10.0, start=(0.01, 0.5))
    gamma: Value = coefficient("mixture exponent", upper=3.0, start=(0.1, 1.5))

    def loss(self, N: Any, D: Any, p: Any) -> Any:
        data = self.B * p**self.eta / D**self.beta
        return self.E + self.A / N**self.alpha + data + self.C / (p + self.eps) ** self.gamma
