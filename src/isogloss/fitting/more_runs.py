"""Runs that could be added to a table, and how much each would sharpen its coefficients.

What a run is worth is read off its derivatives: they add to the information that the rows at hand hold
(Gauss-Newton), so no loss has to be known to judge it. Repeats of it are assumed as noisy as those rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isogloss.fitting.layout import Slot
from isogloss.fitting.problem import Problem, residuals
from isogloss.fitting.sandwich import mean_curvature, slope
from isogloss.units import format_quantity

# Runs may cost this many times the dearest one at hand.
DEAREST = 5.0
# Shares of the greatest gain (in logarithms of errors) that the runs chosen have, and what they cost then.
SHARES, CHEAPER = (0.9, 0.6), 0.3
# Runs that leave more than this of the errors, on average, are not worth a word.
ENOUGH = 0.8
# Smaller models, and shorter runs, follow no law of large ones.
LEAST_N, LEAST_D = 1e6, 1e7
# Errors below this share of the loss are rounding: what seems known better is not.
LEAST_NOISE = 1e-5
# What is known of a logarithm, and of the loss, with no run at all: a factor e^3, and half the loss.
PRIOR_LOG, PRIOR_LOSS = 3.0, 0.5


@dataclass(frozen=True)
class Addition:
    """Runs to add, in words and as the law's columns (of text, where it is limited), and errors (one sd) of
    coefficients `now` and `then`.

    Errors are those that the solver's coordinates have: relative for what it moves as a logarithm.
    """

    words: str
    runs: dict[str, list[Any]]
    now: dict[str, float]
    then: dict[str, float]
    flops: float


@dataclass(frozen=True)
class Information:
    """About the free coefficients at z: `matrix` `(free, free)` from the rows, `prior` `(free,)` without any."""

    problem: Problem
    z: np.ndarray
    variance: float
    matrix: np.ndarray
    prior: np.ndarray

    def errors(self, more: np.ndarray | None = None) -> np.ndarray:
        """One standard deviation of each coefficient `(free,)`, with rows of derivatives `more` added."""
        matrix = self.matrix if more is None else self.matrix + more.T @ more / self.variance
        # In units of the prior its own information is 1, which no rounding can make negative.
        eigenvalues, vectors = np.linalg.eigh(matrix * np.outer(self.prior, self.prior))
        return self.prior * np.sqrt((vectors**2 / (1 + np.maximum(eigenvalues, 0))).sum(1))

    def derivatives(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        """Of the residuals `(rows, free)` that runs with these columns would have."""
        p, rows = self.problem, len(next(iter(columns.values())))
        found = []
        # As many rows at a time as the table has: the program for those is compiled already.
        for begin in range(0, rows, p.rows):
            index = np.minimum(np.arange(begin, begin + p.rows), rows - 1)
            part = {name: values[index] for name, values in columns.items()}
            loss = np.full(p.rows, float(np.median(p.loss)))
            found.append(residuals(Problem(p.layout, p.objective, part, loss, p.held, p.centres), self.z)[1])
        return np.concatenate(found)[:rows]


def information(problem: Problem, z: np.ndarray) -> Information:
    r, J = residuals(problem, z)
    pull, curvature = slope(problem.objective, r), mean_curvature(problem.objective, r, len(z))
    spread = float((pull**2).sum() / max(len(r) - len(z), 1))
    scale = _typical(problem) if problem.objective.name == "squared" else 1.0
    variance = max(spread / max(curvature, 1e-300) ** 2, (LEAST_NOISE * scale) ** 2)
    prior = np.array([_prior(problem.layout.slots[i], problem) for i in problem.layout.free])
    return Information(problem, z, variance, J.T @ J / variance, prior)


def _prior(slot: Slot, problem: Problem) -> float:
    if slot.log:
        return PRIOR_LOG
    if slot.of_loss:
        return PRIOR_LOSS * _typical(problem)
    return (slot.upper - slot.lower) / 2 if np.isfinite(slot.upper - slot.lower) else 1.0


def _typical(problem: Problem) -> float:
    return float(np.median(np.abs(problem.loss))) or 1.0


def best_additions(known: Information, names: Sequence[str]) -> tuple[Addition, ...]:
    """The cheapest runs that sharpen coefficients `names` nearly as much as any, and much cheaper, lesser ones."""
    free = [known.problem.layout.slots[i].name for i in known.problem.layout.free]
    wanted = [free.index(n) for n in names if n in free]
    if not wanted:
        return ()
    before = known.errors()
    tried = list(_candidates(known.problem))
    if not tried:
        return ()
    ends = np.cumsum([len(columns["N"]) for _, columns, _ in tried])
    every = {name: np.concatenate([columns[name] for _, columns, _ in tried]) for name in tried[0][1]}
    judged = []
    for (words, columns, flops), J in zip(tried, np.split(known.derivatives(every), ends[:-1]), strict=True):
        after = known.errors(np.where(np.isfinite(J), J, 0.0))
        judged.append((float(np.log(after[wanted] / before[wanted]).sum()), words, columns, flops, after))
    best = min(gain for gain, *_ in judged)
    chosen: list[Any] = []
    for share in SHARES:
        # Nearly as good is good enough where it costs less, and half as good where it costs much less.
        item = min((i for i in judged if i[0] <= share * best), key=lambda i: i[3])
        if not chosen or item[3] <= CHEAPER * chosen[0][3]:
            chosen.append(item)
    return tuple(
        Addition(
            words,
            {name: values.tolist() for name, values in columns.items() if np.isfinite(values).all()},
            {free[j]: float(before[j]) for j in wanted},
            {free[j]: float(after[j]) for j in wanted},
            flops,
        )
        for gain, words, columns, flops, after in chosen
        if gain < len(wanted) * np.log(ENOUGH)
    )


# --- what could be run ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mixture:
    """How a run's tokens are made up: shares, number of languages, and epochs of its own text."""

    own: float
    sources: tuple[float, ...]
    other: float
    K: float
    epochs: float = 1.0
    K_other: float = 1.0


def _candidates(problem: Problem) -> Iterator[tuple[str, dict[str, np.ndarray], float]]:
    """Words, columns and FLOPs of runs of other sizes, tokens, mixtures and repetition."""
    N = problem.columns.get("N")
    tokens = total_tokens(problem)
    if N is None or tokens is None:
        return
    usual = _usual(problem)
    dearest = 6 * float((N * tokens).max())
    sizes, amounts = [float(q) for q in np.quantile(N, [0, 0.5, 1], method="nearest")], _thirds(tokens)
    for words, at, mixture in (
        *((w, a, usual) for w, a in _other_points(sizes, amounts)),
        *_other_mixtures(problem, usual, sizes, amounts),
    ):
        columns = _columns(problem, np.array(at), mixture)
        flops = float(sum(6 * n * d for n, d in at))
        within = all(n >= LEAST_N and d >= LEAST_D and 6 * n * d <= DEAREST * dearest for n, d in at)
        if columns is not None and within:
            yield words, columns, flops


def _thirds(values: np.ndarray) -> list[float]:
    return [float(q) for q in np.quantile(values, [0, 0.5, 1], method="nearest")]


def _other_points(sizes: list[float], amounts: list[float]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    few, _, many = amounts
    small, _, large = sizes
    for down, up in ((0.25, 4.0), (0.1, 10.0)):
        between = f"{_times(down)} the smallest and {_times(up)} the largest"
        for D in dict.fromkeys((few, amounts[1])):
            ends = f"{_q(down * small)} and {_q(up * large)} parameters"
            yield f"two runs at {between} size ({ends}) on {_q(D)} tokens", [(down * small, D), (up * large, D)]
        for N in dict.fromkeys((small, sizes[1])):
            ends = f"{_q(down * few)} and {_q(up * many)}"
            yield f"two runs on {between} tokens ({ends}) with {_q(N)} parameters", [(N, down * few), (N, up * many)]
    for factor in (0.1, 0.25, 4.0, 10.0):
        N = factor * (large if factor > 1 else small)
        which = f"{_times(factor)} the {'largest' if factor > 1 else 'smallest'} size"
        yield f"two runs at {which} ({_q(N)} parameters), on {_q(few)} and {_q(many)} tokens", [(N, few), (N, many)]
        yield f"a run at {which} ({_q(N)} parameters) on {_q(few)} tokens", [(N, few)]
        D = factor * (many if factor > 1 else few)
        which = f"{_times(factor)} the {'most' if factor > 1 else 'fewest'} tokens"
        yield f"two runs on {which} ({_q(D)}), with {_q(small)} and {_q(large)} parameters", [(small, D), (large, D)]
        yield f"a run on {which} ({_q(D)}) with {_q(small)} parameters", [(small, D)]
    yield (
        f"two runs off the line: {_q(large)} parameters on {_q(few)} tokens, and {_q(small)} on {_q(many)}",
        [(large, few), (small, many)],
    )


def _other_mixtures(
    problem: Problem, usual: _Mixture, sizes: list[float], amounts: list[float]
) -> Iterator[tuple[str, list[tuple[float, float]], _Mixture]]:
    columns, sources = set(problem.layout.law.columns), problem.layout.sources
    N, middle, many = sizes[1], amounts[1], amounts[2]
    at, none = [(N, middle), (N, many)], tuple(0.0 for _ in sources)
    where = f"{_q(N)} parameters on {_q(middle)} and {_q(many)} tokens"
    if "D_sources" in columns:
        for share in (0.5, 0.9):
            for i, name in enumerate(sources):
                only = tuple(share if j == i else 0.0 for j in range(len(sources)))
                words = f"two runs of {share:.0%} {name} and {1 - share:.0%} of the target, nothing else ({where})"
                yield words, at, _Mixture(1 - share, only, 0.0, 2.0)
            words = f"two runs of {share:.0%} other languages and {1 - share:.0%} of the target, no source ({where})"
            yield words, at, _Mixture(1 - share, none, share, 2.0)
        yield f"two runs of the target alone ({where})", at, _Mixture(1.0, none, 0.0, 1.0)
    if "K" in columns and "D_sources" not in columns:
        for K in (1.0, 4.0, 16.0):
            words = f"two runs with {K:.0f} evenly sampled language{'s' * (K > 1)} ({where})"
            yield words, at, _Mixture(1 / K, none, 0.0, K)
    if "p" in columns:
        for share in (0.1, 0.3, 1.0):
            yield f"two runs with a share of {share:.0%} ({where})", at, _Mixture(share, none, 0.0, 1.0)
    if {"U", "U_target"} & columns:
        for epochs in (1.0, 4.0, 16.0, 64.0):
            seen = f"{epochs:.0f} times" if epochs > 1 else "once"
            words = f"two runs that see their text {seen} ({where})"
            yield words, at, replace(usual, epochs=epochs)


def _usual(problem: Problem) -> _Mixture:
    """The mixture of the row with most of its own language: the plainest there is."""
    tokens, columns = total_tokens(problem), problem.columns
    if tokens is None or "D_target" not in columns:
        p = columns.get("p")
        return _Mixture(1.0 if p is None else float(p.max()), (), 0.0, 1.0)
    row = int(np.argmax(columns["D_target"] / tokens))
    share = columns["D_target"][row] / tokens[row]
    sources = columns["D_sources"][row] / tokens[row] if "D_sources" in columns else np.zeros(0)
    other = columns["D_other"][row] / tokens[row] if "D_other" in columns else 0.0
    K = float(columns["K"][row]) if "K" in columns else 1.0
    K_other = float(columns["K_other"][row]) if "K_other" in columns else 1.0
    return _Mixture(float(share), tuple(float(s) for s in sources), float(other), K, K_other=K_other)


def total_tokens(problem: Problem) -> np.ndarray | None:
    """Tokens of every language together `(rows,)`; None for a law without tokens."""
    columns = problem.columns
    if "D" in columns:
        return columns["D"]
    if "D_target" not in columns:
        return None
    if "D_sources" in columns:
        return columns["D_target"] + columns["D_sources"].sum(1) + columns.get("D_other", 0.0)
    return columns["D_target"] * columns.get("K", 1.0)


def _columns(problem: Problem, at: np.ndarray, mixture: _Mixture) -> dict[str, np.ndarray] | None:
    """The law's columns of runs at (N, tokens) `(runs, 2)`; None if it has others than these."""
    N, D = at.T
    own, sources = mixture.own * D, np.outer(D, mixture.sources)
    endless = np.full(len(D), np.inf)
    repeated = mixture.epochs > 1
    known = {
        **{"N": N, "D": D, "K": np.full(len(D), mixture.K), "p": np.full(len(D), mixture.own)},
        **{"U": D / mixture.epochs, "D_target": own, "U_target": own / mixture.epochs if repeated else endless},
        **{"D_sources": sources, "U_sources": sources + np.inf, "D_other": mixture.other * D, "U_other": endless},
        "K_other": np.full(len(D), mixture.K_other),
    }
    if not set(problem.columns) <= set(known):
        return None
    return {name: known[name] for name in problem.columns}


def _times(factor: float) -> str:
    return {0.1: "a tenth of", 0.25: "a quarter of"}.get(factor, f"{factor:g} times")


def _q(number: float) -> str:
    return format_quantity(number, digits=2)
