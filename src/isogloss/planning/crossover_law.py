"""The law of runs from scratch and runs continued from a checkpoint, whose curves may cross."""

from __future__ import annotations

from typing import Any

from isogloss.laws import Law, coefficient
from isogloss.numerics import jnp

Value = Any


class ScratchOrContinued(Law, name="scratch-or-continued", source="two data terms over one limit; ATLAS's C = c N^p"):
    """L = E + A/N^alpha + B/D^beta from scratch; E + gap + A/N^alpha + B_start N^-size / D^beta_start continued.

    D is the data of this training alone. With gap 0 the two cross where D^(beta - beta_start) = B N^size/B_start, so
    that the compute 6 N D of the crossing is a power of N, as ATLAS fits it (arXiv:2510.22037, section 6).
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term from scratch", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent from scratch", upper=3.0, start=(0.1, 1.2))
    B_start: Value = coefficient(
        "data term continued", of_loss=True, scales={"D": "beta_start", "N": "size"}, start=(0.01, 0.4)
    )
    beta_start: Value = coefficient("data exponent continued", upper=3.0, start=(0.05, 0.8))
    size: Value = coefficient(
        "how much more a larger checkpoint brings", lower=-2.0, upper=2.0, log=False, start=(-0.1, 0.3)
    )
    gap: Value = coefficient(
        "limit continued minus limit from scratch",
        lower=-10.0,
        upper=10.0,
        log=False,
        of_loss=True,
        start=(-0.1, 0.1),
        default=0.0,
    )

    def loss(self, N: Any, D: Any, pretrained: Any) -> Any:
        continued = self.B_start / (N**self.size * D**self.beta_start) + self.gap
        return self.E + self.A / N**self.alpha + jnp.where(pretrained > 0.5, continued, self.B / D**self.beta)


class ScratchOrContinuedOneSize(
    Law, name="scratch-or-continued-one-size", source="two data terms over one limit, models of one size"
):
    """L = E + B/D^beta from scratch, E + gap + B_start/D^beta_start continued."""

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    B: Value = coefficient("data term from scratch", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent from scratch", upper=3.0, start=(0.1, 1.2))
    B_start: Value = coefficient("data term continued", of_loss=True, scales={"D": "beta_start"}, start=(0.01, 0.4))
    beta_start: Value = coefficient("data exponent continued", upper=3.0, start=(0.05, 0.8))
    gap: Value = coefficient(
        "limit continued minus limit from scratch",
        lower=-10.0,
        upper=10.0,
        log=False,
        of_loss=True,
        start=(-0.1, 0.1),
        default=0.0,
    )

    def loss(self, D: Any, pretrained: Any) -> Any:
        continued = self.B_start / D**self.beta_start + self.gap
        return self.E + jnp.where(pretrained > 0.5, continued, self.B / D**self.beta)
