"""What a model costs: 6 N D, or counted exactly for a Llama-like shape near N; and what a budget then affords.

N is all parameters, the tied embedding counted once. Serving counts one forward pass per token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np

from isogloss.errors import InputError
from isogloss.numerics import jax, jnp
from isogloss.runs.architecture import Architecture
from isogloss.units import format_quantity

# layers = DEPTH d_model^DEPTH_POWER: least squares of the logarithms over the 64 rungs of runs.ladder, of which 53
# are ATLAS's (arXiv:2510.22037, Table B.3); no rung is off by more than a factor of 1.6. Loss depends little on the
# ratio of width to depth (Kaplan et al. 2020, arXiv:2001.08361, section 3.1 and figure 5).
DEPTH, DEPTH_POWER = 0.1546, 0.6743
# Smallest and largest width that is suggested.
D_MODEL = (64, 65_536)
# A gated feed-forward block of 8/3 d_model has as many weights as a plain one of 4 d_model (arXiv:2002.05202).
FEED_FORWARD = 8 / 3
# How far from the rule's depth a shape may lie to come closer to N.
DEPTH_SLACK = 1.25
KNOTS = 257
# Starting from 6 N D's answer, four leave no error but rounding.
NEWTON_STEPS = 8


@dataclass(frozen=True)
class Outline:
    """Llama-like shapes of any width: depth by the rule above, d_ff = 8/3 d_model, full attention, no biases.

    Depth and d_ff are real numbers here, so that counts are smooth in the width.
    """

    vocab_size: int
    tied: bool = True

    def layers(self, d_model: float) -> float:
        return max(1.0, DEPTH * d_model**DEPTH_POWER)

    def params_non_embedding(self, d_model: float) -> float:
        return self.layers(d_model) * ((4 + 3 * FEED_FORWARD) * d_model**2 + 2 * d_model) + d_model

    def params(self, d_model: float) -> float:
        return self.params_non_embedding(d_model) + (1 if self.tied else 2) * self.vocab_size * d_model

    def flops_per_token(self, d_model: float, context_length: int) -> float:
        """Training FLOPs per token, as Architecture.flops_per_token counts them."""
        attention = self.layers(d_model) * context_length * d_model
        return 6.0 * (self.params_non_embedding(d_model) + attention + self.vocab_size * d_model)

    def d_model(self, N: float) -> float:
        """The width of N parameters. Raises InputError outside what D_MODEL spans."""
        low, high = (self.params(d) for d in D_MODEL)
        if not low <= N <= high:
            raise InputError(
                f"no shape of {format_quantity(N)} parameters under a vocabulary of {self.vocab_size:,}: "
                f"shapes go from {format_quantity(low)} to {format_quantity(high)}",
                where="N",
                hint="Choose a smaller vocabulary or another size.",
            )
        from scipy.optimize import brentq

        return cast(float, brentq(lambda d: self.params(d) / N - 1, *D_MODEL, xtol=1e-9))


def shape_for(N: float, vocab_size: int, *, tied: bool = True) -> Architecture:
    """A Llama-like shape whose total parameters are near N, at the ladder's ratio of width to depth.

    Heads are 32 wide below a d_model of 512, 64 below 1,280, else 128; d_model is a multiple of that, and d_ff of 16,
    or of 128 from a d_model of 1,024 up. Among widths within a quarter of the rule's, with a depth within DEPTH_SLACK
    of it, the nearest to N wins, a little less near if closer to the rule. Raises InputError as Outline.d_model does.
    """
    outline = Outline(vocab_size, tied)
    center = outline.d_model(N)

    def far(shape: Architecture) -> float:
        rule = outline.layers(shape.d_model)
        return abs(np.log(shape.params_total / N)) + 0.05 * abs(np.log(shape.layers / rule))

    return min(_near(center, N, outline), key=far)


def _near(center: float, N: float, outline: Outline) -> Iterable[Architecture]:
    for d in range(32, int(center * 1.25) + 129, 32):
        d_head = 32 if d < 512 else 64 if d < 1280 else 128
        if d % d_head or not center / 1.25 - d_head <= d <= center * 1.25 + d_head:
            continue
        step = 128 if d >= 1024 else 16
        d_ff = step * round(FEED_FORWARD * d / step)
        one = Architecture(1, d, d_ff, d // d_head, d_head, outline.vocab_size, tied=outline.tied)
        two = Architecture(2, d, d_ff, d // d_head, d_head, outline.vocab_size, tied=outline.tied)
        wanted = 1 + (N - one.params_total) / (two.params_total - one.params_total)
        rule = outline.layers(d)
        layers = max(1, round(float(np.clip(wanted, rule / DEPTH_SLACK, rule * DEPTH_SLACK))))
        yield Architecture(layers, d, d_ff, d // d_head, d_head, outline.vocab_size, tied=outline.tied)


class Flops(Protocol):
    """FLOPs per token as a smooth function of N, through JAX; a pytree, so that it passes into compiled code."""

    def per_token(self, N: Any) -> Any:
        """Training FLOPs per token."""
        ...

    def served_per_token(self, N: Any) -> Any:
        """FLOPs per token at inference."""
        ...


@dataclass(frozen=True)
class SixND:
    """6 N to train on a token and 2 N to serve it: Kaplan et al. 2020, arXiv:2001.08361, section 2.1."""

    def per_token(self, N: Any) -> Any:
        return 6.0 * N

    def served_per_token(self, N: Any) -> Any:
        return 2.0 * N


@dataclass(frozen=True, eq=False)
class Counted:
    """Counted for the Outline's shape of N parameters: weights, attention over the context, and the output head.

    The ratio to 6 N is a monotone cubic of log N through KNOTS widths; outside D_MODEL it stays as at the end.
    Serving is the forward pass of a full context, a third of training. Make it with `counted`.
    """

    knots: Any
    coefficients: Any
    """`(4, KNOTS - 1)`, of the logarithm of the ratio, highest power first."""

    def per_token(self, N: Any) -> Any:
        u = jnp.clip(jnp.log(N), self.knots[0], self.knots[-1])
        piece = jnp.clip(jnp.searchsorted(self.knots, u, side="right") - 1, 0, len(self.knots) - 2)
        c, s = self.coefficients[:, piece], u - self.knots[piece]
        return 6.0 * N * jnp.exp(((c[0] * s + c[1]) * s + c[2]) * s + c[3])

    def served_per_token(self, N: Any) -> Any:
        return self.per_token(N) / 3.0


jax.tree_util.register_pytree_node(SixND, lambda _: ((), None), lambda *_: SixND())
jax.tree_util.register_pytree_node(
    Counted, lambda c: ((c.knots, c.coefficients), None), lambda _, leaves: Counted(*leaves)
)


def counted(vocab_size: int, context_length: int, *, tied: bool = True) -> Counted:
    if context_length < 1 or vocab_size < 1:
        raise InputError(
            f"a vocabulary of {vocab_size!r} and a context of {context_length!r} tokens", hint="Give positive numbers."
        )
    outline = Outline(vocab_size, tied)
    widths = np.geomspace(*D_MODEL, KNOTS)
    N = np.array([outline.params(d) for d in widths])
    ratio = np.array([outline.flops_per_token(d, context_length) for d in widths]) / (6 * N)
    from scipy.interpolate import PchipInterpolator

    spline = PchipInterpolator(np.log(N), np.log(ratio))
    return Counted(jnp.asarray(spline.x), jnp.asarray(spline.c))


def total_flops(N: Any, D: Any, served_tokens: Any, flops: Flops) -> Any:
    """C = training on D tokens and serving `served_tokens`, in FLOPs."""
    return flops.per_token(N) * D + flops.served_per_token(N) * served_tokens


def tokens_affordable(N: Any, C: Any, served_tokens: Any, flops: Flops) -> Any:
    """D that C FLOPs leave for training N parameters once serving is paid; 0 or below: nothing is left."""
    return (C - flops.served_per_token(N) * served_tokens) / flops.per_token(N)


def params_affordable(D: Any, C: Any, served_tokens: Any, flops: Flops) -> Any:
    """N that C FLOPs train on D tokens and serve: the inverse of `tokens_affordable`, differentiable in all arguments.

    Closed for SixND: C / (6 D + 2 served). Otherwise Newton's method on the logarithms; its last step alone is
    differentiated, which at the root is the implicit derivative.
    """
    start = C / (6.0 * D + 2.0 * served_tokens)
    if isinstance(flops, SixND):
        return start

    given = (D, C, served_tokens, flops)
    fixed = jax.lax.stop_gradient(given)
    u = jnp.log(jnp.asarray(jax.lax.stop_gradient(start), float))
    u = jax.lax.fori_loop(0, NEWTON_STEPS, lambda _, u: _newton(u, *fixed), u)
    return jnp.exp(_newton(u, *given))


def _newton(u: Any, D: Any, C: Any, served_tokens: Any, flops: Flops) -> Any:
    """One step towards the log N at which all of C is spent; its slope is not differentiated."""

    def over(u: Any) -> Any:
        return jnp.log(total_flops(jnp.exp(u), D, served_tokens, flops)) - jnp.log(C)

    value, slope = jax.jvp(over, (u,), (jnp.ones_like(u),))
    return u - value / jax.lax.stop_gradient(slope)


@dataclass(frozen=True)
class Count:
    """A size N, parameters, bought with C FLOPs, by both counts; `shape` is a suggestion near N."""

    N: float
    C: float
    served_tokens: float
    context_length: int
    shape: Architecture

    @cached_property
    def tokens_6ND(self) -> float:
        return float(tokens_affordable(self.N, self.C, self.served_tokens, SixND()))

    @cached_property
    def tokens_counted(self) -> float:
        """D for the suggested shape, by its exact FLOPs per token."""
        per_token = self.shape.flops_per_token(self.context_length)
        return (self.C - per_token / 3 * self.served_tokens) / per_token

    def __str__(self) -> str:
        s = self.shape
        return (
            f"6ND says D = {format_quantity(self.tokens_6ND, 'tokens')}; counted for the suggested shape ({s.name}, "
            f"context {self.context_length:,}) {format_quantity(self.tokens_counted, 'tokens')}. It has "
            f"{format_quantity(s.params_total)} parameters: {format_quantity(s.params_non_embedding)} without "
            f"embeddings, {format_quantity(s.params_embedding)} in them."
        )


def count(
    N: float, C: float, *, vocab_size: int, context_length: int, served_tokens: float = 0.0, tied: bool = True
) -> Count:
    """Raises InputError where no shape is near N, or where serving alone costs more than C."""
    found = Count(N, C, served_tokens, context_length, shape_for(N, vocab_size, tied=tied))
    if min(found.tokens_6ND, found.tokens_counted) <= 0:
        raise InputError(
            f"serving {format_quantity(served_tokens, 'tokens')} of {format_quantity(N)} parameters costs more than "
            f"all {format_quantity(C, 'flops')}",
            where="served_tokens",
            hint="Raise the budget, or serve fewer tokens or a smaller model.",
        )
    return found
