"""Draws of what a plan rests on: laws of the languages and weights between them, jointly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from isogloss.laws import Atlas
from isogloss.planning.evidence import Ground
from isogloss.planning.slopes import Laws, Problem
from isogloss.planning.text import Text

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
    values = _apart(basis, count, rng) if basis.joint is None else basis.joint(count, rng)
    values = {name: v for name, v in values.items() if np.ptp(v, axis=0).max() > SAME}
    lacks = (*basis.laws.lacks, *basis.transfer.lacks, *_not_drawn(basis))
    return LawDraws(basis.law, count, values, (*basis.laws.varies, *basis.transfer.varies), lacks)


def _apart(basis: Ground, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    laws = basis.laws.sample(count, rng)
    values = {name: laws[..., i] for i, name in enumerate(basis.laws.names)}
    tau = basis.transfer.sample(count, rng)
    return values if tau is None else {**values, "tau": tau}


def _not_drawn(basis: Ground) -> Iterator[str]:
    kinds = {e.quantity: e.kind for e in basis.evidence}
    if kinds["repetition"] == "published" and basis.joint is None:
        yield "what repeats are worth (lambda): published without an interval"
    if not basis.by_shares and float(np.asarray(basis.law.phi)) != 0:
        yield "the capacity exponent phi: published without an interval"
    if any(kinds[f"text.{code}"] != "given" for code in basis.languages):
        yield "how much text there is"


@dataclass(frozen=True, eq=False)
class Drawn:
    """The plan's problem under every draw."""

    draws: LawDraws
    text: Text
    weights: np.ndarray
    C: float
    ceiling: float
    served: float = 0.0

    @property
    def U(self) -> np.ndarray:
        """Unique tokens `(K,)`."""
        return self.text.U

    @cached_property
    def problem(self) -> Problem:
        laws = Laws.of(self.draws.law, len(self.text), self.draws.values)
        return Problem(laws, self.text, self.C, self.ceiling, self.served)

    def losses(self, N: float, shares: np.ndarray) -> np.ndarray:
        """Losses `(draws, K)` of one plan, N parameters and all of C on `shares` `(K,)`, or `(P K,)` by phase."""
        count = self.draws.count
        spread = self.text.spread(np.asarray(shares))
        return self.own_losses(np.full(count, float(N)), np.broadcast_to(spread, (count, len(spread))))

    def own_losses(self, N: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Losses `(draws, K)` of a plan per draw: N `(draws,)`, `shares` `(draws, K)`, or by phase."""
        shares = self.text.spread(shares)
        with np.errstate(divide="ignore"):
            x = np.log(shares * self.problem.tokens(N)[:, None])
        return self.problem.losses(np.arange(self.draws.count), x, np.asarray(N, float))
