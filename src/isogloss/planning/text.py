"""What the text of a plan is worth: tokens seen of each language, of one corpus or of several, as effective tokens.

A token of quality q counts q times, and repeats of each corpus decay as those of a single one (Muennighoff et al. 2023,
arXiv:2305.16264, equation 5). Of all ways to divide a language's tokens over its corpora the one worth most is taken:
the next token comes from where it counts most, q exp(-lambda (d/U - 1)+), within each corpus's epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isogloss.planning.phases import Phases

# By effective tokens and by tokens, both (n, K), to the slope by the variables of a search.
Pull = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Corpus:
    """U unique tokens, each counting `quality` times, that may be seen `max_epochs` times."""

    name: str
    U: float
    quality: float = 1.0
    max_epochs: float = 4.0

    def effective(self, tokens: float, lambda_: float) -> float:
        """What its tokens count for."""
        seen, _ = _saturated(np.array([tokens]), np.array([self.U]), np.array([lambda_]))
        return self.quality * float(seen[0])


@dataclass(frozen=True, eq=False)
class Text:
    """Text of K languages. Where a language has one corpus, its epochs are the search's to limit."""

    U: np.ndarray
    """Unique tokens `(K,)`, of all corpora together."""
    quality: np.ndarray
    """`(K,)`; 1 where `corpora` says more."""
    corpora: Mapping[int, tuple[Corpus, ...]]
    """By index of the language, of those that have several."""
    phases: Phases | None = None
    """A search then has log tokens by phase."""

    @classmethod
    def plain(cls, U: np.ndarray) -> Text:
        """One corpus of quality 1 of every language."""
        U = np.asarray(U, float)
        return cls(U, np.ones(len(U)), {})

    @classmethod
    def of(cls, languages: list[tuple[Corpus, ...]], phases: Phases | None = None) -> Text:
        """Of each language its corpora, at least one."""
        U = np.array([sum(c.U for c in corpora) for corpora in languages])
        quality = np.array([corpora[0].quality if len(corpora) == 1 else 1.0 for corpora in languages])
        return cls(U, quality, {i: corpora for i, corpora in enumerate(languages) if len(corpora) > 1}, phases)

    def __len__(self) -> int:
        return len(self.U)

    def seen(self, tokens: np.ndarray, lambda_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Effective tokens, and their slope by the tokens: both `(n, K)`.

        tokens are `(n, K)`, the repetition decay lambda `(1 or n, K)`. Beyond the epochs of all its corpora, which only
        a mixture that breaks the limits sees, a language's corpora are repeated alike.
        """
        seen, rate = _saturated(tokens, self.U, lambda_)
        if self._scaled:
            seen, rate = seen * self.quality, rate * self.quality
        if self.corpora:
            at = self._pools.at
            seen[:, at], rate[:, at] = self._pools.seen(tokens[:, at], np.broadcast_to(lambda_, tokens.shape)[:, at])
        return seen, rate

    def from_logs(self, x: np.ndarray, lambda_: np.ndarray) -> tuple[np.ndarray, np.ndarray, Pull]:
        """Tokens and effective tokens `(n, K)` at a search's variables, log tokens x `(n, K)`, and the way back.

        With phases x is `(n, P K)`.
        """
        if self.phases is not None:
            return self.phases.seen(x, lambda tokens: self.seen(tokens, lambda_))
        tokens = np.exp(x)
        seen, rate = self.seen(tokens, lambda_)
        return tokens, seen, lambda by_seen, by_tokens: (by_seen * rate + by_tokens) * tokens

    def spread(self, shares: np.ndarray) -> np.ndarray:
        """Shares `(..., K)` as a search has them: `(..., P K)` where there are phases."""
        return shares if self.phases is None else self.phases.spread(shares, len(self))

    def split(self, tokens: np.ndarray, lambda_: np.ndarray) -> dict[int, np.ndarray]:
        """Tokens of each corpus `(corpora,)`, by index of the languages that have several; tokens and lambda `(K,)`."""
        if not self.corpora:
            return {}
        pools = self._pools
        parts = pools.split(tokens[None, pools.at], np.broadcast_to(lambda_, tokens.shape)[None, pools.at])[0]
        return {i: parts[row, : len(self.corpora[i])] for row, i in enumerate(pools.at.tolist())}

    @cached_property
    def _scaled(self) -> bool:
        return bool((self.quality != 1).any())

    @cached_property
    def _pools(self) -> _Pools:
        return _Pools.of(self.corpora)


def _saturated(tokens: np.ndarray, U: np.ndarray, lambda_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`laws.saturated`, and its slope by the tokens."""
    unlimited, none = np.isinf(U), U <= 0
    text = np.where(unlimited | none, 1.0, U)
    decayed = np.exp(-lambda_ * np.maximum(tokens / text - 1, 0.0))
    seen = np.minimum(tokens, text) + text * (1 - decayed) / lambda_
    rate = np.where(tokens > text, decayed, 1.0)
    return np.where(unlimited, tokens, np.where(none, 0.0, seen)), np.where(unlimited, 1.0, np.where(none, 0.0, rate))


@dataclass(frozen=True, eq=False)
class _Pools:
    """Corpora of the languages `at` `(k,)` that have several; the others are `(k, M)`, with U = 0 where there is none.

    The logarithm of the common marginal value t falls along straight lines as tokens are added: it stands still while
    a corpus is seen for the first time, and elsewhere falls by lambda over the text that is being repeated. The ends of
    these lines are found once, and the tokens then lie between two of them.
    """

    at: np.ndarray
    U: np.ndarray
    log_q: np.ndarray
    epochs: np.ndarray

    @classmethod
    def of(cls, corpora: Mapping[int, tuple[Corpus, ...]]) -> _Pools:
        most = max(len(c) for c in corpora.values())
        shape = (len(corpora), most)
        U, log_q, epochs = np.zeros(shape), np.zeros(shape), np.ones(shape)
        for row, of in enumerate(corpora.values()):
            U[row, : len(of)] = [c.U for c in of]
            log_q[row, : len(of)] = np.log([c.quality for c in of])
            epochs[row, : len(of)] = [c.max_epochs for c in of]
        return cls(np.array(list(corpora)), U, log_q, epochs)

    @property
    def caps(self) -> np.ndarray:
        return self.U * self.epochs

    def seen(self, tokens: np.ndarray, lambda_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of tokens `(n, k)`: effective tokens and their slope."""
        d, t, S = self._ends(lambda_)
        first = np.clip((d <= tokens[..., None]).sum(axis=-1) - 1, 0, d.shape[-1] - 2)[..., None]
        d0, t0, S0 = (np.take_along_axis(v, first, -1)[..., 0] for v in (d, t, S))
        d1, t1 = (np.take_along_axis(v, first + 1, -1)[..., 0] for v in (d, t))
        more = np.clip(tokens, d0, d1) - d0
        fallen = np.where(d1 > d0, (t0 - t1) * more / np.where(d1 > d0, d1 - d0, 1.0), 0.0)
        # The mean of exp(-y) for y from 0 to `fallen`.
        mean = np.where(fallen > 0, -np.expm1(-fallen) / np.where(fallen > 0, fallen, 1.0), 1.0)
        seen, rate = S0 + more * np.exp(t0) * mean, np.exp(t0 - fallen)
        over = tokens > d[..., -1] * (1 + 1e-12)
        if over.any():
            parts = self.caps * (tokens / self.caps.sum(axis=-1))[..., None]
            worth, slopes = self._each(parts, lambda_)
            seen = np.where(over, worth.sum(axis=-1), seen)
            rate = np.where(over, (slopes * self.caps).sum(axis=-1) / self.caps.sum(axis=-1), rate)
        return seen, rate

    def split(self, tokens: np.ndarray, lambda_: np.ndarray) -> np.ndarray:
        """Of tokens `(n, k)`: of each corpus `(n, k, M)`. Corpora of one quality, not yet repeated, are used alike."""
        _, rate = self.seen(tokens, lambda_)
        t = np.log(rate)[..., None]
        firsts = np.minimum(self.U, self.caps)
        at_once = np.abs(self.log_q - t) < 1e-12
        repeats = np.minimum(self.epochs, 1 + np.maximum(self.log_q - t, 0.0) / lambda_[..., None])
        parts = np.where((self.log_q > t) & ~at_once, self.U * repeats, 0.0)
        left = tokens - parts.sum(axis=-1)
        room = np.where(at_once, firsts, 0.0)
        total = room.sum(axis=-1)
        parts = parts + room * np.where(total > 0, left / np.where(total > 0, total, 1.0), 0.0)[..., None]
        over = (tokens >= self.caps.sum(axis=-1))[..., None]
        return np.where(over, self.caps * (tokens / self.caps.sum(axis=-1))[..., None], parts)

    def _ends(self, lambda_: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens, log marginal value and effective tokens `(n, k, 4 M)` at the ends of the lines, in order."""
        decay = lambda_[..., None]
        last = self.log_q - decay * np.maximum(self.epochs - 1, 0.0)
        log_q = np.broadcast_to(self.log_q, last.shape)
        t = -np.sort(-np.concatenate([log_q, last], axis=-1), axis=-1)
        levels, last = t[..., :, None], last[..., None, :]
        log_q = self.log_q[:, None, :]
        fallen = log_q - np.clip(levels, last, np.maximum(log_q, last))
        firsts = np.minimum(self.U, self.caps)[:, None, :]
        repeated, text = decay[..., None], self.U[:, None, :]
        tokens = firsts + text * fallen / repeated
        worth = np.exp(log_q) * (firsts - text * np.expm1(-fallen) / repeated)
        out = []
        for value in (tokens, worth):
            # Before the corpora of just this level have been seen once, and after.
            sides = [np.where(used, value, 0.0).sum(axis=-1) for used in (log_q > levels, log_q >= levels)]
            ends = np.stack(sides, axis=-1).reshape(*t.shape[:-1], -1)
            # Of corpora of the same level each has all of them on its two sides.
            out.append(np.maximum.accumulate(ends, axis=-1))
        return out[0], np.repeat(t, 2, axis=-1), out[1]

    def _each(self, parts: np.ndarray, lambda_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        worth, slopes = _saturated(parts, self.U, lambda_[..., None])
        quality = np.exp(self.log_q)
        return worth * quality, slopes * quality
