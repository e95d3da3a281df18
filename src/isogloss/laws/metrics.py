"""Saturating laws of any metric against any quantity, and two published laws of that kind.

The quantity is a column named x: say which is yours, for example --column x=hours.
"""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient, switch
from isogloss.numerics import jnp


class Falling(Law, name="falling", source="a saturating power law, of no one paper"):
    """y = E + B/x^beta: a metric that falls to a floor, such as word error rate with hours of speech."""

    E: Value = coefficient("floor", log=False, of_loss=True, start=(0.0, 0.9))
    B: Value = coefficient("excess over the floor", of_loss=True, scales={"x": "beta"}, start=(0.05, 1.0))
    beta: Value = coefficient("exponent", upper=5.0, start=(0.1, 1.5))
    falls = ("x",)

    def loss(self, x: Any) -> Any:
        return self.E + self.B / x**self.beta


class Rising(Law, name="rising", source="a saturating power law, of no one paper"):
    """y = ceiling - B/x^beta: a metric that rises to a ceiling, such as accuracy with languages."""

    ceiling: Value = coefficient("ceiling", of_loss=True, start=(1.0, 1.5))
    B: Value = coefficient("shortfall", of_loss=True, scales={"x": "beta"}, start=(0.05, 0.5))
    beta: Value = coefficient("exponent", upper=5.0, start=(0.1, 1.5))
    rises = ("x",)

    def loss(self, x: Any) -> Any:
        return self.ceiling - self.B / x**self.beta

    def most(self, **_: Any) -> Any:
        return self.ceiling


class ParallelLanguages(Law, name="parallel-languages", source="Yang et al. 2025, arXiv:2510.02272"):
    """accuracy = alpha K^beta: reasoning accuracy after training in K languages in parallel. No ceiling."""

    alpha: Value = coefficient("accuracy with one language", of_loss=True, scales={"K": "beta"}, start=(0.5, 1.5))
    beta: Value = coefficient("exponent", upper=1.0, log=False, start=(0.0, 0.5))
    languages: str = switch("count", ("effective", "count"))
    rises = ("K",)

    def loss(self, K: Any) -> Any:
        return self.alpha * K**self.beta


class TokenEquivalents(Law, name="token-equivalents", source="Chang et al. 2023, arXiv:2311.09205"):
    """y = c - a/x^b, x = log10 D: log likelihood (relative to a tiny model) of a model trained on one language.

    Rises with D and may be negative. Inverted, it says how many tokens of the language alone a score is worth.
    """

    a: Value = coefficient("shortfall at D = 10", upper=1e12, start=(1.0, 1e5))
    b: Value = coefficient("exponent", upper=20.0, start=(0.5, 6.0))
    c: Value = coefficient("ceiling", of_loss=True, start=(1.0, 3.0))
    rises = ("D",)
    signed = True

    def loss(self, D: Any) -> Any:
        return self.c - self.a / jnp.log10(D) ** self.b

    def most(self, **_: Any) -> Any:
        return self.c

    def equivalent_tokens(self, score: Any) -> Any:
        """Tokens of the language alone that give this score; infinite at or above the ceiling."""
        short = self.c - jnp.asarray(score, float)
        return jnp.where(short > 0, 10 ** ((self.a / jnp.where(short > 0, short, 1.0)) ** (1 / self.b)), jnp.inf)
