"""Runs made from known coefficients, and the loss formulas written once more, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

CHINCHILLA = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2144.0, "beta": 0.367}
N_PER_U = 0.050986517653658275


def grid(*axes: Sequence[float] | np.ndarray) -> list[np.ndarray]:
    """Every combination of the axes' values, one flat array per axis."""
    return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]


def saturated(D: Any, U: Any, decay: float) -> np.ndarray:
    """What D tokens drawn from U unique ones are worth."""
    D, U = np.broadcast_arrays(np.asarray(D, float), np.asarray(U, float))
    repeats = np.maximum(D / U - 1, 0)
    return np.where(D <= U, D, U * (1 + (1 - np.exp(-decay * repeats)) / decay))


def noisy(loss: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return loss * np.exp(np.random.default_rng(seed).normal(0.0, noise, len(loss)))


@dataclass(frozen=True)
class Design:
    """Runs of one law without their losses: `frame`, the `loss` they would have, and the `truth` behind it."""

    law: str
    truth: dict[str, float]
    columns: dict[str, Any]
    loss: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)

    def frame(self, *, noise: float = 2e-4, seed: int = 0) -> pl.DataFrame:
        return pl.DataFrame({**self.columns, "loss": noisy(self.loss, noise, seed)})


def chinchilla_loss(N: Any, D: Any, truth: Mapping[str, float] = CHINCHILLA) -> Any:
    return truth["E"] + truth["A"] / N ** truth["alpha"] + truth["B"] / D ** truth["beta"]


def chinchilla(sizes: int = 7, ratios: int = 6) -> Design:
    """Models of 30M to 3B parameters at 3 to 200 tokens per parameter."""
    N, ratio = grid(np.geomspace(3e7, 3e9, sizes), np.geomspace(3, 200, ratios))
    columns = {"N": N, "D": N * ratio}
    return Design("chinchilla", CHINCHILLA, columns, chinchilla_loss(N, N * ratio))


def data_constrained() -> Design:
    """Up to 50 epochs over four amounts of text; the largest models are well above what the text deserves."""
    t = {"E": 1.87, "A": 521.0, "alpha": 0.353, "B": 1488.0, "beta": 0.353, "R_D": 15.4, "R_N": 5.3}
    N, U, epochs = grid(np.geomspace(2e7, 3e9, 4), np.geomspace(1e8, 3e10, 4), [0.5, 1, 3, 8, 20, 50])
    N_eff, D_eff = saturated(N, N_PER_U * U, 1 / t["R_N"]), saturated(U * epochs, U, 1 / t["R_D"])
    return Design(
        "data-constrained",
        t,
        {"N": N, "D": U * epochs, "unique_tokens": U},
        t["E"] + t["A"] / N_eff ** t["alpha"] + t["B"] / D_eff ** t["beta"],
    )


def k_law() -> Design:
    """English among 1, 2, 4 and 8 evenly sampled languages."""
    t = {"E": 1.1, "A": 400.0, "alpha": 0.34, "phi": 0.11, "B": 600.0, "beta": 0.29, "psi": -0.04}
    N, D, K = grid(np.geomspace(3e7, 3e9, 4), np.geomspace(1e9, 3e11, 4), [1, 2, 4, 8])
    names = ["en", "de", "fr", "es", "it", "pt", "nl", "sv"]
    shares = {f"share:{name}": np.where(i < K, 1 / K, 0) for i, name in enumerate(names)}
    own = D / K
    return Design(
        "k-law",
        t,
        {"N": N, "D": D, "target": ["en"] * len(N), **shares},
        t["E"] + t["A"] * K ** t["phi"] / N ** t["alpha"] + t["B"] * K ** t["psi"] / own ** t["beta"],
    )


def family() -> Design:
    """German at a tenth to all of the mixture, English beside it."""
    t = {"E": 1.1, "A": 400.0, "alpha": 0.34, "B": 600.0, "beta": 0.29, "gamma": 0.12}
    N, D, p = grid(np.geomspace(3e7, 3e9, 4), np.geomspace(1e9, 3e11, 4), [0.1, 0.25, 0.5, 1])
    loss = (t["E"] + t["A"] / N ** t["alpha"] + t["B"] / D ** t["beta"]) * p ** -t["gamma"]
    return Design("family", t, {"N": N, "D": D, "target": ["de"] * len(N), "share:de": p, "share:en": 1 - p}, loss)


def atlas() -> Design:
    """English with French (helps), German (interferes) and Chinese (among the others), up to 150 epochs."""
    t = {
        **{"E": 1.1, "A": 400.0, "alpha": 0.34, "B": 600.0, "beta": 0.29, "lambda_": 0.1},
        **{"tau[fra_Latn]": 0.3, "tau[deu_Latn]": -0.15, "tau_other": 0.08},
    }
    mixtures = np.array(
        [
            *([1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0.5, 0, 0, 0.5]),
            *([0.25, 0.25, 0.25, 0.25], [0.2, 0.5, 0.3, 0], [0.1, 0.2, 0.6, 0.1]),
        ]
    )
    text = {"en": 2e9, "fr": 1e10, "de": 5e9, "zh": 4e10}
    N, D, which = grid(np.geomspace(3e7, 3e9, 3), np.geomspace(1e9, 3e11, 5), np.arange(len(mixtures)))
    shares = mixtures[which.astype(int)]
    seen = saturated(shares * D[:, None], np.array(list(text.values())), t["lambda_"])
    weights = np.array([1, t["tau[fra_Latn]"], t["tau[deu_Latn]"], t["tau_other"]])
    loss = t["E"] + t["A"] / N ** t["alpha"] + t["B"] / (seen @ weights) ** t["beta"]
    columns: dict[str, Any] = {"N": N, "D": D, "target": ["en"] * len(N)}
    for i, (name, unique) in enumerate(text.items()):
        columns |= {f"share:{name}": shares[:, i], f"unique:{name}": np.full(len(N), unique)}
    return Design("atlas", t, columns, loss, {"sources": ["fra_Latn", "deu_Latn"]})


DESIGNS: dict[str, Callable[[], Design]] = {
    "chinchilla": chinchilla,
    "data-constrained": data_constrained,
    "k-law": k_law,
    "family": family,
    "atlas": atlas,
}


def planned_loss(
    N: float,
    tokens: np.ndarray,
    text: np.ndarray,
    laws: np.ndarray,
    tau: np.ndarray | None = None,
    decay: float = 1 / 15.387756,
) -> np.ndarray:
    """Losses `(K,)` of K languages trained together, ATLAS's equations 1 and 3 with transfer by equal doses.

    `laws` `(K, 5)` holds E, A, alpha, B, beta; `tau` `(K, K)` is [target, source]. Far from the vocabulary's
    ceiling, which is left out.
    """
    seen = saturated(tokens, text, decay)
    worth = []
    for i, own in enumerate(seen):
        weights = np.zeros(len(seen)) if tau is None else tau[i]
        doses = np.minimum(seen, own)
        helps, harms = np.maximum(weights, 0) @ doses, np.maximum(-weights, 0) @ doses
        squares = np.minimum(weights, 0) ** 2 @ doses
        worth.append(own + helps - min(harms, own * squares / harms if harms > 0 else 0.0))
    E, A, alpha, B, beta = laws.T
    return E + A / N**alpha + B / np.array(worth) ** beta
