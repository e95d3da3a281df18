"""Laws of training that starts from a checkpoint: data transferred, and fine-tuning."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient


class DataTransfer(Law, name="data-transfer", source="Hernandez et al. 2021, arXiv:2102.01293"):
    """L = E + A/N^alpha + B/D_E^beta, D_E = D + D_T; D_T = k D^data N^size if pretrained, else 0.

    D is the data of this training alone, without what the checkpoint saw. D_T says how much more of it a
    model from scratch would need. `pretrained` is 1 for runs with an `init` (or a column of your own),
    0 for runs from scratch: both are needed, since one curve cannot tell what the checkpoint brought.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    k: Value = coefficient("data transferred", start=(0.3, 30.0), scales={"D": (1.0, "-data"), "N": "-size"})
    data: Value = coefficient("how it grows with the data", upper=1.0, log=False, start=(0.05, 0.8))
    size: Value = coefficient("how it grows with the model", lower=-2.0, upper=2.0, log=False, start=(0.0, 0.6))

    def transferred(self, N: Any, D: Any) -> Any:
        """D_T of a pretrained model."""
        return self.k * D**self.data * N**self.size

    def loss(self, N: Any, D: Any, pretrained: Any) -> Any:
        D_E = D + pretrained * self.transferred(N, D)
        return self.E + self.A / N**self.alpha + self.B / D_E**self.beta


class DataTransferOneSize(
    Law, name="data-transfer-one-size", source="Hernandez et al. 2021, arXiv:2102.01293, at one N"
):
    """L = E + B/D_E^beta, D_E = D + D_T; D_T = k D^data if pretrained, else 0: models of one size."""

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    k: Value = coefficient("data transferred", start=(0.3, 30.0), scales={"D": (1.0, "-data")})
    data: Value = coefficient("how it grows with the data", upper=1.0, log=False, start=(0.05, 0.8))

    def transferred(self, D: Any) -> Any:
        """D_T of a pretrained model."""
        return self.k * D**self.data

    def loss(self, D: Any, pretrained: Any) -> Any:
        return self.E + self.B / (D + pretrained * self.transferred(D)) ** self.beta


class FineTuning(Law, name="fine-tuning", source="Zhang et al. 2024, arXiv:2402.17193, equation 1"):
    """L = A / (N^alpha D^beta) + E: size and fine-tuning data multiply.

    D is the fine-tuning data. For N take what was scaled: parameters, or with --column N=... pretraining
    tokens or tuned parameters.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("joint term", of_loss=True, scales={"N": "alpha", "D": "beta"}, start=(0.02, 0.9))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.02, 1.0))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.02, 1.0))

    def loss(self, N: Any, D: Any) -> Any:
        return self.A / (N**self.alpha * D**self.beta) + self.E
