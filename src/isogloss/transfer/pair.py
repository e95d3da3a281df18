"""One measured pair: its transfer at every anchor, in both conventions, per token and per byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.transfer.inversion import FLAT, Inversion

Per = Literal["token", "byte"]
PER: tuple[Per, ...] = ("token", "byte")

NULL_SCORE, NULL_RATIO, NULL_WEIGHT = 0.0, 0.5, 0.0
# Weights at or below -1, to rounding: the 50/50 pair would never reach the loss.
TOO_LOW = -1 + 1e-9


@dataclass(frozen=True, eq=False)
class Scores:
    """Transfer at every anchor: value, limits of the interval, standard error; all `(anchors,)`.

    A limit of minus infinity: the pair's tokens do not bound the score from below.
    """

    bts: np.ndarray
    bts_low: np.ndarray
    bts_high: np.ndarray
    bts_sd: np.ndarray
    tau: np.ndarray
    tau_low: np.ndarray
    tau_high: np.ndarray
    ratio: np.ndarray
    ratio_low: np.ndarray
    ratio_high: np.ndarray
    bts_per_hundredth: np.ndarray
    """How far the score moves when a loss moves by 0.01 in its unit."""


@dataclass(frozen=True)
class Score:
    """Transfer from `source` to `target` at one anchor."""

    target: str
    source: str
    cell: tuple[tuple[str, str], ...]
    per: Per
    anchor: float
    """Tokens d of the target alone."""
    bts: float
    bts_low: float
    bts_high: float
    bts_sd: float
    tau: float
    tau_low: float
    tau_high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    bts_per_hundredth: float
    flat: bool
    """The noise of the losses moves the score by more than FLAT."""
    conditioning: str
    """How far the score can be trusted, in words."""


@dataclass(frozen=True, eq=False)
class PairTransfer:
    """The curve of transfer over anchors for one target, source and cell.

    With target share w, tau = (d - w sigma) / ((1 - w) sigma): the tokens of the source are worth what the target's
    own lack. BTS = 2 tau / (1 + tau) and D_mono/D_bi = 1 / (2 - BTS) are those of a 50/50 pair with this weight,
    which for w = 0.5 are ATLAS's own (arXiv:2510.22037, section 4): 2 - sigma/d and d/sigma.
    Per byte, d and sigma count bytes of text: tau times the bytes of a token of the target over those of the source.
    """

    target: str
    source: str
    cell: tuple[tuple[str, str], ...]
    share: float
    """The target's, of the tokens of the pair."""
    inversion: Inversion
    noise: float
    """Standard deviation of the difference of the two curves' losses: checkpoint and seed, of both."""
    points: tuple[int, int]
    """Of the target alone, and of the pair."""
    runs: tuple[tuple[str, ...], tuple[str, ...]]
    bytes_per_token: tuple[float, float] | None
    """Of target and source; None where not known."""
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        cell = ", ".join(f"{k}={v}" for k, v in self.cell)
        return f"{self.source} -> {self.target} ({cell})"

    @property
    def anchors(self) -> np.ndarray:
        """Tokens d of the target alone, `(anchors,)`, rising."""
        return self.inversion.anchors

    @property
    def anchor(self) -> float:
        """The anchor where none is asked for: log-midpoint of the tokens that both curves cover, or nearest to it."""
        return self.inversion.default

    @property
    def bytes_ratio(self) -> float | None:
        return self.bytes_per_token[0] / self.bytes_per_token[1] if self.bytes_per_token else None

    def scores(self, per: Per = "token") -> Scores:
        """At all anchors. Raises InputError per byte where bytes per token are not known."""
        return scores_at(self.inversion, self.share, self._factor(per))

    def at(self, anchor: float | None = None, *, per: Per = "token") -> Score:
        """At one anchor, between the grid's by log-linear interpolation of sigma and its limits.

        Raises InputError for an anchor outside the range that the two curves have in common.
        """
        d = self.anchor if anchor is None else float(anchor)
        low, high = float(self.anchors[0]), float(self.anchors[-1])
        if not low * (1 - 1e-9) <= d <= high * (1 + 1e-9):
            what = f"{d:.4g} tokens is outside {low:.4g} to {high:.4g}, where both curves of {self.label} have a loss"
            raise InputError(what, where="anchor", hint="Nothing is extrapolated: choose an anchor inside.")
        one = scores_at(_at(self.inversion, d), self.share, self._factor(per))
        values = {name: float(value[0]) for name, value in vars(one).items()}
        flat, words = self._conditioning(values["bts_per_hundredth"])
        return Score(self.target, self.source, self.cell, per, d, **values, flat=flat, conditioning=words)

    def _factor(self, per: Per) -> float:
        if per not in PER:
            raise unknown_name("unit", per, PER, where="per")
        if per == "token":
            return 1.0
        if self.bytes_ratio is None:
            hint = "Give bytes_per_token={language: bytes}, or the name of a column."
            raise InputError(f"bytes per token of {self.label} are not known", where="per='byte'", hint=hint)
        return self.bytes_ratio

    def flat(self, per: Per = "token") -> np.ndarray:
        """Where the noise of the losses moves the score by more than FLAT, `(anchors,)` of bool."""
        return self.scores(per).bts_per_hundredth * 100 * self.noise > FLAT

    def _conditioning(self, per_hundredth: float) -> tuple[bool, str]:
        moved = per_hundredth * 100 * self.noise
        words = (
            f"0.01 of loss moves the score by {per_hundredth:.2g}, the noise between two losses ({self.noise:.2g})"
            f" by {moved:.2g}"
        )
        return moved > FLAT, f"ill-conditioned, the pair's curve is flat here: {words}" if moved > FLAT else words


def scores_at(found: Inversion, share: float, factor: float) -> Scores:
    """Tau, BTS and ratio of sigma and its limits; `factor` is the target's bytes per token over the source's."""
    d = found.anchors

    def weight(sigma: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return factor * (d / sigma - share) / (1 - share)

    tau, low, high = weight(found.sigma), weight(found.sigma_high), weight(found.sigma_low)
    # d BTS / d tau times d tau / d sigma.
    # Below -1 no 50/50 pair has the weight: every change moves its score without bound.
    gain = np.where(tau > TOO_LOW, 2 / np.maximum(1 + tau, 1e-12) ** 2, np.inf)
    gain = gain * factor * d / ((1 - share) * found.sigma**2)
    bts, bts_low, bts_high = (_score(t) for t in (tau, low, high))
    return Scores(
        *(bts, bts_low, bts_high, gain * found.sigma_sd),
        *(tau, low, high),
        *(_ratio(bts), _ratio(bts_low), _ratio(bts_high)),
        gain * found.tokens_per_loss / 100,
    )


def _score(tau: np.ndarray) -> np.ndarray:
    """2 tau / (1 + tau): 2 at infinity, minus infinity at -1 and below, where no 50/50 pair ever gets there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(np.isinf(tau), 2.0, 2 - 2 / (1 + tau))
    return np.where(tau > TOO_LOW, inside, -np.inf)


def _ratio(bts: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 1 / (2 - bts)


def _at(found: Inversion, d: float) -> Inversion:
    def between(values: np.ndarray) -> np.ndarray:
        """Log-linear. Zero and infinity stand for open limits, which stay open up to the next closed one."""
        position = np.interp(np.log(d), np.log(found.anchors), np.arange(len(found.anchors)))
        below, part = int(np.floor(position)), float(position % 1)
        if part == 0:
            return values[[below]]
        pair = values[below : below + 2]
        for limit in (0.0, np.inf):
            if (pair == limit).any():
                return np.array([limit])
        return np.exp([(1 - part) * np.log(pair[0]) + part * np.log(pair[1])])

    names = ("sigma", "sigma_low", "sigma_high", "sigma_sd", "tokens_per_loss")
    return Inversion(np.array([d]), *(between(getattr(found, name)) for name in names), default=d)
