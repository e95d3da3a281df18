"""Curriculum: parts of a run with mixtures of their own, where the user says how much a token counts in each.

No packaged law sees the order of tokens. With counts c_p, of mean 1 over the run, language i's effective tokens are
S(d_i; U_i) times sum_p c_p d_ip / d_i, where sum_i d_ip is the phase's part of D: one mixture throughout keeps what the
law says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.planning.question import Question

if TYPE_CHECKING:
    from isogloss.planning.descent import Limits
    from isogloss.planning.slopes import Problem
    from isogloss.planning.text import Pull

# Mixtures by phase are scaled to their sums until they meet them to this part.
MET, MOST_SCALINGS = 1e-12, 1000
# Starts of a search in which the phases differ at random, besides those in which they do not.
TILTED = 4
# Of Dirichlet draws: below 1 most of a language is in one phase.
SHARPNESS = 0.5


@dataclass(frozen=True, eq=False)
class Phases:
    """P phases in the order of training. What is by phase and language is flat, `(..., P K)`, phase by phase."""

    names: tuple[str, ...]
    parts: np.ndarray
    """Of D `(P,)`."""
    counts: np.ndarray
    """`(P,)`, of mean 1 over the run."""

    def spread(self, shares: np.ndarray, languages: int) -> np.ndarray:
        """By phase `(..., P K)`, from shares `(..., K)` that are the same in each; what is by phase already stays."""
        if shares.shape[-1] != languages:
            return shares
        return (self.parts[:, None] * shares[..., None, :]).reshape(*shares.shape[:-1], -1)

    def by_phase(self, flat: np.ndarray) -> np.ndarray:
        """`(..., P, K)`"""
        return flat.reshape(*flat.shape[:-1], len(self.parts), -1)

    def totals(self, flat: np.ndarray) -> np.ndarray:
        """Of each language in all phases `(..., K)`."""
        return self.by_phase(flat).sum(axis=-2)

    def into(self, flat: np.ndarray, languages_into: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Parts of D near `flat`: of each language what `languages_into` makes of their totals, of phases their parts.

        Rows and columns are scaled in turn (Sinkhorn and Knopp 1967).
        """
        p = np.maximum(self.by_phase(flat), 1e-300)
        wanted = languages_into(p.sum(axis=-2))
        for _ in range(MOST_SCALINGS):
            sums = p.sum(axis=-1)
            if np.abs(sums / self.parts - 1).max() < MET and np.abs(p.sum(axis=-2) - wanted).max() < MET:
                break
            p = p * (self.parts / sums)[..., None]
            p = p * (wanted / p.sum(axis=-2))[..., None, :]
        return p.reshape(flat.shape)

    def tilted(self, flat: np.ndarray) -> np.ndarray:
        """Further starts `(n, P K)`, at most TILTED, from starts of that shape: each language in phases of its own."""
        first = self.by_phase(flat[:TILTED])
        count, phases, languages = first.shape
        parts = np.random.default_rng(0).dirichlet(np.full(phases, SHARPNESS), (count, languages))
        return (first * parts.swapaxes(1, 2)).reshape(count, -1)

    def seen(
        self, x: np.ndarray, worth: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray, Pull]:
        """As `Text.from_logs`, at log tokens by phase x `(n, P K)`; `worth` says what a language's tokens are worth."""
        by_phase = self.by_phase(np.exp(x))
        tokens = by_phase.sum(axis=1)
        S, rate = worth(tokens)
        some = np.where(tokens > 0, tokens, 1.0)
        counted = np.where(tokens > 0, (self.counts[:, None] * by_phase).sum(axis=1) / some, 1.0)

        def pull(by_seen: np.ndarray, by_tokens: np.ndarray) -> np.ndarray:
            own = by_seen * rate * counted + np.broadcast_to(by_tokens, tokens.shape)
            moved = (by_seen * S / some)[:, None, :] * (self.counts[:, None] - counted[:, None, :])
            return ((own[:, None, :] + moved) * by_phase).reshape(x.shape)

        return tokens, S * counted, pull


def phases_of(asked: Question) -> Phases | None:
    if asked.phases is None:
        return None
    parts, counts = (np.array([getattr(p, key) for p in asked.phases]) for key in ("part", "counts"))
    parts = parts / parts.sum()
    return Phases(tuple(p.name for p in asked.phases), parts, counts / (parts @ counts))


@dataclass(frozen=True, eq=False)
class PhaseLimits:
    """Limits of languages over the whole run, their caps, and the parts of the phases, as `descent.Limits`."""

    languages: Limits
    log_caps: np.ndarray
    phases: Phases

    @property
    def count(self) -> int:
        return self.languages.count + len(self.log_caps) + 2 * len(self.phases.parts)

    def broken(self, rows: np.ndarray, x: np.ndarray, problem: Problem) -> np.ndarray:
        by_phase = self.phases.by_phase(np.exp(x))
        tokens = by_phase.sum(axis=1)
        log_tokens = np.log(tokens)
        over = np.where(np.isfinite(self.log_caps), log_tokens - self.log_caps, -1e3)
        off = np.log(by_phase.sum(axis=2) / tokens.sum(axis=1, keepdims=True)) - np.log(self.phases.parts)
        return np.concatenate([self.languages.broken(rows, log_tokens, problem), over, off, -off], axis=1)

    def pull(self, pushed: np.ndarray, x: np.ndarray, problem: Problem) -> np.ndarray:
        by_phase = self.phases.by_phase(np.exp(x))
        tokens, sums = by_phase.sum(axis=1), by_phase.sum(axis=2)
        first, K, P = self.languages.count, len(self.log_caps), len(self.phases.parts)
        of_language = self.languages.pull(pushed[:, :first], np.log(tokens), problem) + pushed[:, first : first + K]
        net = pushed[:, first + K : first + K + P] - pushed[:, first + K + P :]
        of_phase = net / sums - (net.sum(axis=1) / tokens.sum(axis=1))[:, None]
        return ((of_language / tokens)[:, None, :] * by_phase + of_phase[..., None] * by_phase).reshape(x.shape)


@dataclass(frozen=True, eq=False)
class PhaseRow:
    """A phase of a plan: `shares` `(K,)` are of its own tokens."""

    name: str
    part: float
    counts: float
    """As the question says; only their ratios matter."""
    tokens: float
    shares: np.ndarray

    def to_dict(self, languages: tuple[str, ...]) -> dict[str, Any]:
        return {
            "name": self.name,
            "part": self.part,
            "counts": self.counts,
            "tokens": self.tokens,
            "shares": {code: float(p) for code, p in zip(languages, self.shares, strict=True)},
        }


def phase_rows(asked: Question, D: float, phased: np.ndarray | None) -> tuple[PhaseRow, ...]:
    """Of parts of D `(P, K)`."""
    phases = phases_of(asked)
    if phased is None or phases is None:
        return ()
    return tuple(
        PhaseRow(need.name, float(part), need.counts, float(part) * D, row / row.sum())
        for need, part, row in zip(asked.phases or (), phases.parts, phased, strict=True)
    )


def phase_warnings(asked: Question) -> list[str]:
    """What nobody has measured of phases."""
    if asked.phases is None:
        return []
    return [
        "what a token of each phase counts is the question's own measurement: no packaged law sees the order of "
        "training. It is taken as the same for every language and at every N and D, and relative to its mean over the "
        "run, so that one mixture throughout has the law's own losses. Repeats are counted over the whole run. Counts "
        "measured with mild changes of the mixture say little of a phase of one language: try smaller ones too."
    ]
