"""Draws of what a plan rests on: laws of the languages and weights between them, jointly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from isogloss.laws import Atlas
from isogloss.numerics import jax, jnp
from isogloss.planning.allocate import capped_losses, violations
from isogloss.planning.evidence import Ground
from isogloss.planning.known_laws import NAMES

# Weights evaluated in one call: more at once gain nothing, and their gradients' intermediates leave the cache.
AT_ONCE = 100_000
# Coefficients that differ by less are the same in all draws.
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class LawDraws:
    """`count` laws: the plan's own, with the coefficients in `values`, which have a leading axis of draws."""

    law: Atlas
    count: int
    values: Mapping[str, np.ndarray]
    varies: tuple[str, ...]
    """Sentences: what the draws hold."""
    lacks: tuple[str, ...]
    """Sentences: what is uncertain and not in them, for want of a published interval."""

    def at(self, i: int) -> Atlas:
        return replace(self.law, **{name: values[i] for name, values in self.values.items()})


def draw_laws(basis: Ground, count: int, seed: int) -> LawDraws:
    rng = np.random.default_rng([seed, 7])
    laws = basis.laws.sample(count, rng)
    values = {name: laws[..., i] for i, name in enumerate(NAMES)}
    tau = basis.transfer.sample(count, rng)
    if tau is not None:
        values["tau"] = tau
    values = {name: v for name, v in values.items() if np.ptp(v, axis=0).max() > SAME}
    lacks = (*basis.laws.lacks, *basis.transfer.lacks, *_not_drawn(basis))
    return LawDraws(basis.law, count, values, (*basis.laws.varies, *basis.transfer.varies), lacks)


def _not_drawn(basis: Ground) -> Iterator[str]:
    kinds = {e.quantity: e.kind for e in basis.evidence}
    if kinds["repetition"] != "given":
        yield "what repeats are worth (lambda): published without an interval"
    if float(np.asarray(basis.law.phi)) != 0:
        yield "the capacity exponent phi: published without an interval"
    if any(kinds[f"text.{code}"] != "given" for code in basis.languages):
        yield "how much text there is"


@dataclass(frozen=True, eq=False)
class Drawn:
    """The plan's problem under every draw, evaluated some draws at a time."""

    draws: LawDraws
    U: np.ndarray
    weights: np.ndarray
    C: float
    ceiling: float
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2))

    def losses(self, N: float, shares: np.ndarray) -> np.ndarray:
        """Losses `(draws, K)` of one plan, N parameters and all of C on `shares`."""
        tokens = jnp.asarray(shares * self.C / (6 * N))
        fixed = (self.draws.law, jnp.asarray(self.U), tokens, N)
        everyone = np.arange(self.draws.count)
        return self._in_parts(everyone, lambda part: (_losses(self._values(part), *fixed, self.ceiling),))[0]

    def own_losses(self, N: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Losses `(draws, K)` of a plan per draw: N `(draws,)`, `shares` `(draws, K)`."""
        tokens = shares * self.C / (6 * N[:, None])
        fixed = (self.draws.law, jnp.asarray(self.U))

        def of(part: np.ndarray) -> tuple[Any, ...]:
            return (_own_losses(self._values(part), *fixed, tokens[part], N[part], self.ceiling),)

        return self._in_parts(np.arange(self.draws.count), of)[0]

    def augmented(
        self, which: np.ndarray, x: np.ndarray, multipliers: np.ndarray, rho: np.ndarray, limits: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The augmented Lagrangian of the draws `which` `(n,)` at log tokens x `(n, K)`, and its gradient."""
        fixed = (self.draws.law, jnp.asarray(self.U), jnp.asarray(self.weights), self.C)
        place = {int(draw): i for i, draw in enumerate(which)}

        def of(part: np.ndarray) -> tuple[Any, ...]:
            at = np.array([place[int(draw)] for draw in part])
            return _augmented(self._values(part), x[at], multipliers[at], rho[at], *fixed, limits, self.ceiling)

        value, slope = self._in_parts(which, of)
        return value, slope

    def _values(self, part: np.ndarray) -> dict[str, np.ndarray]:
        # A law without any spread still needs an axis of draws.
        return {"E": np.broadcast_to(self.draws.law.E, (len(part), len(self.U)))} | {
            name: values[part] for name, values in self.draws.values.items()
        }

    def _in_parts(self, which: np.ndarray, of: Callable[[np.ndarray], tuple[Any, ...]]) -> tuple[np.ndarray, ...]:
        """`of` parts of equal size, so that it is compiled once; the last is filled up with its first draw."""
        size = int(np.clip(AT_ONCE // len(self.U) ** 2, 1, self.draws.count))
        parts = [which[i : i + size] for i in range(0, len(which), size)]
        filled = [np.append(p, np.full(size - len(p), p[0], dtype=p.dtype)) for p in parts]

        def run(part: np.ndarray) -> tuple[np.ndarray, ...]:
            return tuple(np.asarray(v) for v in of(part))

        found = list(self._pool.map(run, filled)) if len(filled) > 1 else [run(filled[0])]
        return tuple(np.concatenate(v)[: len(which)] for v in zip(*found, strict=True))


@partial(jax.jit, static_argnums=5)
def _losses(values: dict[str, Any], law: Atlas, U: Any, tokens: Any, N: Any, ceiling: float) -> Any:
    return jax.vmap(lambda v: capped_losses(replace(law, **v), U, ceiling, tokens, N))(values)


@partial(jax.jit, static_argnums=5)
def _own_losses(values: dict[str, Any], law: Atlas, U: Any, tokens: Any, N: Any, ceiling: float) -> Any:
    return jax.vmap(lambda v, t, n: capped_losses(replace(law, **v), U, ceiling, t, n))(values, tokens, N)


@partial(jax.jit, static_argnums=9)
def _augmented(
    values: dict[str, Any],
    x: Any,
    multipliers: Any,
    rho: Any,
    law: Atlas,
    U: Any,
    weights: Any,
    C: Any,
    limits: dict[str, Any],
    ceiling: float,
) -> tuple[Any, Any]:
    def value(x: Any, v: dict[str, Any], multipliers: Any, rho: Any) -> Any:
        tokens = jnp.exp(x)
        objective = weights @ capped_losses(replace(law, **v), U, ceiling, tokens, C / (6 * tokens.sum()))
        pushed = jnp.maximum(0.0, multipliers + rho * violations(x, C, limits))
        return objective + ((pushed**2 - multipliers**2) / (2 * rho)).sum()

    return jax.vmap(jax.value_and_grad(value))(x, values, multipliers, rho)
