"""Small runs that a design may choose: a rung of the ladder, a mixture, tokens with branches, a bound on the text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.runs.ladder import RUNGS, rung

# Finished models of one trunk, as parts of its longest budget. With warmup-stable-decay the shorter two cost
# 6 % more compute and give three D.
ENDS = (1 / 16, 1 / 4, 1.0)
DECAY = 0.2
# Tokens per parameter of the longest end.
MULTIPLES = (5.0, 20.0, 80.0, 320.0)
# Sizes closer than this are one.
SPACING = 2.0
# Steps below which a model has hardly been trained.
FEWEST_STEPS = 200
# Most languages for which every pair and every skew is tried.
FEW, SOME_PAIRS = 6, 20
SKEWED = 0.7
# A share below this part is not sampled reliably in a short run.
SMALLEST_SHARE = 0.005
REPEATED_SHARE = 0.05


@dataclass(frozen=True)
class Setting:
    """What all runs of the design share: `vocab_size` None is bytes (256 ids, no tokenizer)."""

    vocab_size: int | None
    context_length: int
    batch_tokens: int

    @property
    def fewest_tokens(self) -> int:
        return FEWEST_STEPS * self.batch_tokens


# Byte models of a laptop, and models with 8,192 pieces: those are best from about 3M parameters on.
SMALL, LARGE = Setting(None, 128, 2048), Setting(8192, 512, 16384)
LARGE_FROM = 1e16


def setting_for(budget: float) -> Setting:
    return LARGE if budget >= LARGE_FROM else SMALL


@dataclass(frozen=True, eq=False)
class Mixture:
    """`shares` `(K,)`. The text of the language `repeated` is bounded to the first end's tokens, so that later ends
    repeat it."""

    kind: str
    name: str
    shares: np.ndarray
    repeated: int | None = None


@dataclass(frozen=True, eq=False)
class SmallRun:
    """One trunk with its branches. `tokens` are its ends, `unique` `(K,)` the bound on the text, inf for none."""

    rung: str
    N: float
    mixture: Mixture
    tokens: tuple[int, ...]
    unique: np.ndarray
    flops: float


def trained_tokens(ends: Sequence[float]) -> float:
    """Tokens computed on over trunk and branches: the trunk to its last branch, and every branch."""
    return (1 - DECAY) * max(ends) + DECAY * sum(ends)


def mixtures_for(
    codes: Sequence[str], plan: np.ndarray, weights: np.ndarray, epochs: np.ndarray
) -> tuple[Mixture, ...]:
    """Each language alone, pairs, even, the plan's own, one language at SKEWED, and one with repeated text."""
    K = len(codes)
    found = [Mixture("monolingual", codes[i], np.eye(K)[i]) for i in range(K)]
    found += [Mixture("repeated", f"{codes[i]}, text repeated", np.eye(K)[i], i) for i in _repeated(plan, epochs)]
    if K > 1:
        found += [
            Mixture("pair", f"{codes[i]} + {codes[j]}", (np.eye(K)[i] + np.eye(K)[j]) / 2)
            for i, j in _pairs(K, plan + weights)
        ]
    if K > 2:
        found.append(Mixture("even", "even", rounded(np.full(K, 1 / K))))
        if K <= FEW:
            rest = (1 - SKEWED) / (K - 1)
            skewed = [rounded(np.where(np.arange(K) == i, SKEWED, rest)) for i in range(K)]
            found += [Mixture("skew", f"{SKEWED:.0%} {codes[i]}", p) for i, p in enumerate(skewed)]
    if K > 1:
        kept = np.where(plan < SMALLEST_SHARE, 0.0, plan)
        if (kept > 0).sum() > 1:
            found.append(Mixture("plan", "the plan's", rounded(kept / kept.sum())))
    return tuple(found)


def _pairs(K: int, worth: np.ndarray) -> list[tuple[int, int]]:
    pairs = list(itertools.combinations(range(K), 2))
    return pairs if K <= FEW else sorted(pairs, key=lambda p: -worth[p[0]] * worth[p[1]])[:SOME_PAIRS]


def _repeated(plan: np.ndarray, epochs: np.ndarray) -> list[int]:
    """The language that matters most among those whose text the plan repeats: lambda is one for all."""
    often = np.flatnonzero((epochs > 1.05) & (plan > REPEATED_SHARE))
    return [int(often[np.argmax(plan[often])])] if len(often) else []


def rounded(shares: np.ndarray) -> np.ndarray:
    """To six digits and a sum of one: what the study file holds is what was computed with."""
    p = np.round(np.asarray(shares, float), 6)
    p[np.argmax(p)] += 1 - p.sum()
    return np.round(p, 6)


def candidates(mixtures: Sequence[Mixture], setting: Setting, dearest: float, N_most: float) -> Iterator[SmallRun]:
    """Every mixture at every size up to `N_most` and length that costs at most `dearest` FLOPs."""
    least = setting.fewest_tokens / ENDS[0]
    for name, N, per_token in sizes(setting, N_most):
        for longest in sorted({max(multiple * N, least) for multiple in MULTIPLES}):
            tokens = tuple(round(part * longest / setting.batch_tokens) * setting.batch_tokens for part in ENDS)
            flops = per_token * trained_tokens(tokens)
            if flops > dearest:
                continue
            for mixture in mixtures:
                unique = np.full(len(mixture.shares), np.inf)
                if mixture.repeated is not None:
                    unique[mixture.repeated] = tokens[0]
                yield SmallRun(name, N, mixture, tokens, unique, flops)


def sizes(setting: Setting, N_most: float = np.inf) -> list[tuple[str, float, float]]:
    """Rungs in order of size, SPACING apart: name, parameters in all, exact training FLOPs per token."""
    shapes = sorted(((r, rung(r, setting.vocab_size or 256)) for r in RUNGS), key=lambda s: s[1].params_total)
    out: list[tuple[str, float, float]] = []
    for name, shape in shapes:
        N = float(shape.params_total)
        if N_most >= N and (not out or SPACING * out[-1][1] <= N):
            out.append((name, N, shape.flops_per_token(setting.context_length)))
    return out


def cheapest(setting: Setting) -> float:
    """FLOPs of the cheapest run that there is."""
    _, N, per_token = sizes(setting)[0]
    return per_token * trained_tokens([e * max(MULTIPLES[0] * N, setting.fewest_tokens / ENDS[0]) for e in ENDS])
