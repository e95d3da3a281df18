"""The family law in the planner: losses of many mixtures with their slopes, and its optimum in closed form.

L_i = (E_i + A_i / N^alpha_i + B_i / D^beta_i) p_i^-gamma_i with D the tokens of all languages and p_i one's share
(He et al. 2024, arXiv:2410.12883). It knows neither repetition nor transfer between named languages: what languages do
to each other is in gamma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isogloss.errors import InputError
from isogloss.laws import FamilyLaw
from isogloss.planning.slopes import CAP_SHARPNESS, Laws, Pull

if TYPE_CHECKING:
    from isogloss.planning.slopes import Problem

FAMILY_NAMES = ("E", "A", "alpha", "B", "beta", "gamma")
# A share below this is none, whatever it would do to a loss.
LEAST_SHARE = 1e-12
# Of the range of a multiplier: what is left of it is rounding.
HALVINGS = 60


@dataclass(frozen=True, eq=False)
class FamilyLaws(Laws):
    """Laws of `values` `(1 or n, K)`, gamma among them; without transfer."""

    @classmethod
    def made(cls, law: FamilyLaw, size: int, changed: Mapping[str, np.ndarray] | None = None) -> FamilyLaws:
        """`changed` coefficients have a leading axis of plans."""
        given = {name: np.asarray(getattr(law, name), float)[None] for name in FAMILY_NAMES} | dict(changed or {})
        values = {name: np.broadcast_to(v.reshape(len(v), -1), (len(v), size)) for name, v in given.items()}
        none = np.zeros((1, size, size))
        return cls(values, none, np.zeros(()), "linear", np.zeros((1, size, 3)))

    def losses(self, problem: Problem, x: np.ndarray, N: np.ndarray | None) -> tuple[np.ndarray, Pull]:
        v, tokens = self.values, np.exp(x)
        D = tokens.sum(axis=1, keepdims=True)
        size = problem.params(D) if N is None else N[:, None]
        shares = tokens / D
        by_size, by_data = v["A"] * size ** -v["alpha"], v["B"] * D ** -v["beta"]
        sampled = np.maximum(shares, LEAST_SHARE) ** -v["gamma"]
        raw = (v["E"] + by_size + by_data) * sampled
        ratio = (raw / problem.ceiling) ** CAP_SHARPNESS
        capped = raw / (1 + ratio) ** (1 / CAP_SHARPNESS)

        def pull(slope: np.ndarray) -> np.ndarray:
            g = slope * (1 + ratio) ** (-1 / CAP_SHARPNESS - 1)
            by_share = np.where(shares > LEAST_SHARE, -g * v["gamma"] * raw, 0.0)
            by_log_D = -(g * sampled * v["beta"] * by_data).sum(axis=1, keepdims=True)
            if N is None:
                per_log_D = -6 * D / (6 * D + 2 * problem.served)
                by_log_D -= per_log_D * (g * sampled * v["alpha"] * by_size).sum(axis=1, keepdims=True)
            return by_share + shares * (by_log_D - by_share.sum(axis=1, keepdims=True))

        return capped, pull


def family_shares(law: FamilyLaw, weights: np.ndarray, N: float, D: float) -> np.ndarray:
    """Shares `(K,)` of least weighted sum of losses at N and D, without limits, for a law of K languages.

    gamma_i w_i c_i p_i^(-gamma_i - 1) is the same for all, with c_i = E_i + A_i / N^alpha_i + B_i / D^beta_i: with one
    gamma, p_i is proportional to (w_i c_i)^(1 / (1 + gamma)). Source: He et al. 2024, arXiv:2410.12883.

    Raises InputError where a weight or gamma is not positive.
    """
    gamma, weights = np.asarray(law.gamma, float), np.asarray(weights, float)
    if not ((weights > 0).all() and (gamma > 0).all()):
        raise InputError(
            f"weights and gamma must be positive, got {weights.min():g} and {gamma.min():g} at least",
            where="family_shares",
            hint="Leave out languages that count for nothing.",
        )
    pressed = np.log(gamma * weights * np.asarray(law.loss(N, D, 1.0), float))

    def log_shares(log_mu: float) -> np.ndarray:
        return (pressed - log_mu) / (1 + gamma)

    # At the lower end the largest share alone is above 1, at the upper one all of them together are below.
    low, high = pressed.max() - 1.0, pressed.max() + (1 + gamma.max()) * (1.0 + np.log(len(pressed)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(log_shares(middle)).sum() > 1 else (low, middle)
    shares = np.exp(log_shares(low))
    return shares / shares.sum()
