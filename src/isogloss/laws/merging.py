"""What merging several fine-tuned experts into one model is worth."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient


class Merging(Law, name="merging", source="Wang et al. 2025, arXiv:2509.24244, equation 1"):
    """L = E + B/N^beta + A N^-gamma/(k + b): mean loss of merges of k experts, models of N parameters.

    `k` is a column of that name.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    B: Value = coefficient("parameter term", of_loss=True, scales={"N": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    A: Value = coefficient("merging term", of_loss=True, scales={"N": "gamma"}, start=(0.02, 0.6))
    gamma: Value = coefficient("how merging's gain changes with N", lower=-1.0, upper=1.0, log=False, start=(-0.1, 0.3))
    b: Value = coefficient("experts that the start is worth", upper=20.0, log=False, start=(0.0, 1.0))
    falls = ("N", "k")

    def loss(self, N: Any, k: Any) -> Any:
        return self.E + self.B / N**self.beta + self.A * N**-self.gamma / (k + self.b)
