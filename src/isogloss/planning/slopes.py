"""Losses of many plans at once and their slopes, in closed form: what every search of the planner evaluates.

The law is `Atlas` with its cap at a uniform guess, as `allocate.capped_losses` has it in JAX. Written out by hand it
needs no compiling, and takes one pass over the weights where automatic differentiation takes many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from isogloss.laws import Atlas, FamilyLaw
from isogloss.planning.text import Text

# Sharpness of the cap: at half the cap a loss is lowered by 1e-6, at a tenth by nothing.
CAP_SHARPNESS = 16
# Weights evaluated in one call: more at once gain nothing, and leave the cache.
AT_ONCE = 60_000
LEAST_EFFECTIVE = 1e-3
PER_LANGUAGE = ("E", "A", "alpha", "B", "beta", "lambda_")


@dataclass(frozen=True, eq=False)
class Laws:
    """Coefficients of one law, or of one for each plan: `values` `(1 or n, K)`, `tau` `(1 or n, K, K)`."""

    values: Mapping[str, np.ndarray]
    tau: np.ndarray
    phi: np.ndarray
    dose: str
    sums: np.ndarray
    """Over the sources, of the weights that help, of those that harm and of the squares of these `(1 or n, K, 3)`."""

    @classmethod
    def of(cls, law: Atlas | FamilyLaw, size: int, changed: Mapping[str, np.ndarray] | None = None) -> Laws:
        """`changed` coefficients have a leading axis of plans."""
        if isinstance(law, FamilyLaw):
            # It builds on what is here.
            from isogloss.planning.family_laws import FamilyLaws

            return FamilyLaws.made(law, size, changed)
        given: dict[str, Any] = {name: np.asarray(getattr(law, name), float)[None] for name in (*PER_LANGUAGE, "tau")}
        given |= dict(changed or {})
        values = {
            name: np.broadcast_to(given[name].reshape(len(given[name]), -1), (len(given[name]), size))
            for name in PER_LANGUAGE
        }
        tau = given["tau"]
        tau = np.broadcast_to(tau if tau.ndim == 3 else tau[..., None], (len(tau), size, size))
        harm = np.minimum(tau, 0.0)
        sums = np.stack([np.maximum(tau, 0.0).sum(-1), -harm.sum(-1), (harm**2).sum(-1)], axis=-1)
        return cls(values, tau, np.asarray(law.phi, float), law.dose, sums)

    @property
    def count(self) -> int:
        return max(len(self.tau), *(len(v) for v in self.values.values()))

    def at(self, which: np.ndarray) -> Laws:
        """Of some plans only; a coefficient common to all stays."""

        def take(v: np.ndarray) -> np.ndarray:
            if len(v) == 1:
                return v
            return v[which[0] : which[0] + 1] if len(which) == 1 else v[which]

        values = {n: take(v) for n, v in self.values.items()}
        return replace(self, values=values, tau=take(self.tau), sums=take(self.sums))

    def losses(self, problem: Problem, x: np.ndarray, N: np.ndarray | None) -> tuple[np.ndarray, Pull]:
        """Losses at log tokens x `(n, K)`, and what turns slopes by them into slopes by x.

        With N given, N does not follow from x.
        """
        return _losses(self, problem, x, N)


@dataclass(frozen=True, eq=False)
class Problem:
    """What the searches share: the text, the budget C in FLOPs, `served` tokens to pay from it, and the loss of a
    uniform guess. N = C / (6 D + 2 served)."""

    laws: Laws
    text: Text
    C: float
    ceiling: float
    served: float = 0.0
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2))

    @property
    def U(self) -> np.ndarray:
        """Unique tokens `(K,)`."""
        return self.text.U

    def params(self, D: Any) -> Any:
        return self.C / (6 * D + 2 * self.served)

    def tokens(self, N: Any) -> Any:
        """D; 0 or below where serving alone costs C."""
        return (self.C / N - 2 * self.served) / 6

    def losses(self, which: np.ndarray, x: np.ndarray, N: np.ndarray | None = None) -> np.ndarray:
        """Losses `(n, K)` at log tokens x `(n, K)` under the laws `which` `(n,)`; N `(n,)` follows from x if None."""

        def of(part: np.ndarray) -> tuple[np.ndarray, ...]:
            return (self.laws.at(which[part]).losses(self, x[part], None if N is None else N[part])[0],)

        return self._in_parts(which, of)[0]

    def slopes(
        self, which: np.ndarray, x: np.ndarray, aim: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """An aim at log tokens x, and its gradient.

        `aim(rows, losses)` gives the values `(n,)` of the losses `(n, K)` of some rows of x, and its slopes by each of
        them `(n, K)`.
        """

        def of(part: np.ndarray) -> tuple[np.ndarray, ...]:
            loss, pull = self.laws.at(which[part]).losses(self, x[part], None)
            value, slope = aim(part, loss)
            return value, pull(slope)

        value, gradient = self._in_parts(which, of)
        return value, gradient

    def _in_parts(
        self, which: np.ndarray, of: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        size = max(1, AT_ONCE // len(self.U) ** 2)
        rows = np.arange(len(which))
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        found = list(self._pool.map(of, parts)) if len(parts) > 1 else [of(parts[0])]
        return tuple(np.concatenate(v) for v in zip(*found, strict=True))


Pull = Callable[[np.ndarray], np.ndarray]


def _losses(laws: Laws, problem: Problem, x: np.ndarray, N: np.ndarray | None) -> tuple[np.ndarray, Pull]:
    """`Laws.losses`."""
    v = laws.values
    tokens, seen, pull_text = problem.text.from_logs(x, v["lambda_"])
    D = tokens.sum(axis=1, keepdims=True)
    size = problem.params(D) if N is None else N[:, None]
    effective, pull_effective = _effective(laws, seen)
    bounded = np.maximum(effective, LEAST_EFFECTIVE)
    by_size = v["A"] * size ** -v["alpha"]
    shares = tokens / D
    log_shares = np.log(np.maximum(shares, 1e-300))
    entropy = -(shares * log_shares).sum(axis=1, keepdims=True)
    phi = float(laws.phi)
    if phi:
        by_size = by_size * np.exp(phi * entropy)
    by_data = v["B"] * bounded ** -v["beta"]
    raw = v["E"] + by_size + by_data
    ratio = (raw / problem.ceiling) ** CAP_SHARPNESS
    capped = raw / (1 + ratio) ** (1 / CAP_SHARPNESS)

    def pull(slope: np.ndarray) -> np.ndarray:
        g = slope * (1 + ratio) ** (-1 / CAP_SHARPNESS - 1)
        by_effective = np.where(effective > LEAST_EFFECTIVE, -g * v["beta"] * by_data / bounded, 0.0)
        by_tokens = 0.0
        if N is None:
            by_tokens = 6 / (6 * D + 2 * problem.served) * (g * v["alpha"] * by_size).sum(axis=1, keepdims=True)
        if phi:
            by_tokens = by_tokens - phi / D * (g * by_size).sum(axis=1, keepdims=True) * (log_shares + entropy)
        return pull_text(pull_effective(by_effective), np.asarray(by_tokens))

    return capped, pull


def _effective(laws: Laws, seen: np.ndarray) -> tuple[np.ndarray, Pull]:
    """`Atlas.effective_tokens` of each language from all others."""
    if laws.dose == "linear":
        taught = seen + (laws.tau @ seen[..., None])[..., 0]
        return taught, lambda g: g + (g[:, None, :] @ laws.tau)[:, 0]
    # Sources with fewer tokens than the target count whole, the others for as many as the target has itself.
    less = (seen[:, None, :] < seen[:, :, None]) * laws.tau
    helping = np.maximum(less, 0.0)
    columns = np.stack([seen, np.ones_like(seen)], axis=-1)
    sums = laws.sums

    def summed(weights: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
        """The weighted sum, and its slope by the target's own tokens."""
        both = weights @ columns
        rest = sums[..., at] - both[..., 1]
        return both[..., 0] + seen * rest, rest

    help_, own_help = summed(helping, 0)
    if not sums[..., 1].any():
        return seen + help_, lambda g: g * (1 + own_help) + (g[:, None, :] @ helping)[:, 0]
    harming = helping - less
    squared = harming * harming
    harm, own_harm = summed(harming, 1)
    squares, own_squares = summed(squared, 2)
    safe = np.where(harm > 0, harm, 1.0)
    one_dose = seen * squares / safe
    limited = harm > one_dose

    def pull(g: np.ndarray) -> np.ndarray:
        by_harm = np.where(limited, g * one_dose / safe, -g)
        by_squares = np.where(limited, -g * seen / safe, 0.0)
        by_seen = g * (1 + own_help) + by_harm * own_harm + by_squares * own_squares
        by_seen = by_seen - np.where(limited, g * squares / safe, 0.0)
        for weights, slope in ((helping, g), (harming, by_harm), (squared, by_squares)):
            by_seen = by_seen + (slope[:, None, :] @ weights)[:, 0]
        return by_seen

    return seen + help_ - np.minimum(harm, one_dose), pull
