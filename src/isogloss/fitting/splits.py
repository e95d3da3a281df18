"""Held-out splits: which rows a law may see, and which it is scored on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.runs import RunTable
from isogloss.runs.table import Which
from isogloss.units import format_quantity

# Held out when nothing else is asked for, and at most: beyond half, a law is hardly given a chance.
SHARE = 0.2
MOST = 0.5
# E, A and alpha are three numbers: fewer sizes than that in training leave a law's curve in N free to bend.
LEVELS = 3
FEWEST_RUNS = 10
# Values this near are one level, and mixtures whose shares differ by this much in all are one mixture.
ALIKE = 0.02


@dataclass(frozen=True)
class Split:
    """`held` `(rows,)` marks what is scored; a law sees the others, or every row where `in_sample`."""

    name: str
    describes: str
    held: np.ndarray
    in_sample: bool = False

    @property
    def seen(self) -> np.ndarray:
        return np.ones(len(self.held), bool) if self.in_sample else ~self.held


@dataclass(frozen=True)
class NotGiven:
    name: str
    reason: str


@dataclass(frozen=True)
class _Points:
    """A table's rows: `run` `(rows,)` numbers the runs."""

    table: RunTable
    run: np.ndarray
    params: Which | None
    share: float

    def weights(self, of_runs: bool) -> np.ndarray:
        """`(rows,)` that sum to one: each run counts once, or each point of a run, on however many targets."""
        key = self.run if of_runs else _points(self.table, self.run)
        _, which, times = np.unique(key, return_inverse=True, return_counts=True)
        weights = 1 / times[which]
        return weights / weights.sum()


class _SplitError(Exception):
    """Why a split is not given."""


def make_splits(
    table: RunTable,
    names: Sequence[str] | None = None,
    *,
    share: float = SHARE,
    params: Which | None = None,
    seed: int = 0,
) -> tuple[tuple[Split, ...], tuple[NotGiven, ...]]:
    """The splits of these names (default: all of SPLITS), and those that the runs cannot give, with the reason.

    About `share` of the runs or points is held out. Nothing depends on the losses.
    """
    if not 0 < share <= MOST:
        raise InputError(f"the held-out share must lie between 0 and {MOST}, got {share:g}", where="share")
    for name in names or ():
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS, where="splits")
    points = _Points(table, run_numbers(table), params, share)
    given, refused = [], []
    for name in SPLITS:
        if names and name not in names:
            continue
        # Each split has its own stream: asking for fewer splits does not change the others.
        rng = np.random.default_rng([seed, list(SPLITS).index(name)])
        try:
            given.append(SPLITS[name](points, rng))
        except (_SplitError, InputError) as why:
            refused.append(NotGiven(name, why.what if isinstance(why, InputError) else str(why)))
    return tuple(given), tuple(refused)


def run_numbers(table: RunTable) -> np.ndarray:
    """The run of each row `(rows,)`, numbered; without a run_id every row is a run of its own."""
    numbers = table.frame["row"].to_list()
    if "run_id" not in table.frame.columns:
        return np.arange(len(numbers))
    ids = table.frame["run_id"].cast(str).to_list()
    names = [f"row {n}" if i is None else f"run {i}" for i, n in zip(ids, numbers, strict=True)]
    return np.unique(np.array(names), return_inverse=True)[1]


def _points(table: RunTable, run: np.ndarray) -> np.ndarray:
    """The point in training of each row: a run at one number of tokens, whatever it was measured on."""
    if "tokens" not in table.frame.columns:
        return run
    tokens = table.frame["tokens"].cast(float).fill_null(np.nan).to_numpy()
    return np.unique(np.stack([run, np.nan_to_num(tokens)]), axis=1, return_inverse=True)[1]


# --- the splits -------------------------------------------------------------------------------------


def _in_sample(points: _Points, _rng: np.random.Generator) -> Split:
    return Split("in-sample", "the rows that it was fitted to", np.ones(len(points.run), bool), in_sample=True)


def _random(points: _Points, rng: np.random.Generator) -> Split:
    runs = int(points.run.max()) + 1
    if runs < FEWEST_RUNS:
        raise _SplitError(f"there are {runs} runs, and it takes {FEWEST_RUNS}: add {FEWEST_RUNS - runs}")
    held = rng.permutation(runs)[: max(1, round(points.share * runs))]
    return Split("random", f"{len(held)} of {runs} runs, drawn at random", np.isin(points.run, held))


def _largest_N(points: _Points, _rng: np.random.Generator) -> Split:
    return _largest("N", "sizes", points.table.params(points.params)[0], points.weights(of_runs=True), points)


def _largest_D(points: _Points, _rng: np.random.Generator) -> Split:
    if "tokens" not in points.table.frame.columns:
        raise _SplitError("there is no column tokens")
    tokens = points.table.frame["tokens"].cast(float).fill_null(np.nan).to_numpy()
    return _largest("D", "numbers of tokens", tokens, points.weights(of_runs=False), points)


def _largest_C(points: _Points, _rng: np.random.Generator) -> Split:
    return _largest("C", "amounts of compute", points.table.compute()[0], points.weights(of_runs=False), points)


def _largest(name: str, noun: str, values: np.ndarray, weights: np.ndarray, points: _Points) -> Split:
    """The largest levels of a quantity, whole, so that what is held out is as near `share` as they allow."""
    counted = "runs" if name == "N" else "points"
    if not np.isfinite(values).all():
        raise _SplitError(f"{name} is not known for every row")
    level = _levels(values)
    count = int(level.max()) + 1
    if count <= LEVELS:
        needed = LEVELS + 1 - count
        raise _SplitError(
            f"different {noun}: {count}, where a law must see {LEVELS} below the largest: add runs at {needed} more"
        )
    held_share = np.array([weights[level >= first].sum() for first in range(LEVELS, count)])
    best = int(np.abs(held_share - points.share).argmin())
    if held_share[best] > MOST:
        raise _SplitError(f"{held_share[best]:.0%} of the runs have the largest {name}: add smaller ones")
    held = level >= LEVELS + best
    least = format_quantity(values[held].min(), "flops" if name == "C" else "count", digits=2)
    return Split(name, f"the largest {name}, {least} and more: {held_share[best]:.0%} of {counted}", held)


def _levels(values: np.ndarray) -> np.ndarray:
    """The number of each value's level `(rows,)`, ascending; values within ALIKE of a level's least are one."""
    distinct, which = np.unique(values, return_inverse=True)
    level, least = np.zeros(len(distinct), int), distinct[0]
    for i in range(1, len(distinct)):
        new = distinct[i] > least * (1 + ALIKE)
        level[i] = level[i - 1] + new
        least = distinct[i] if new else least
    return level[which]


def _mixtures(points: _Points, rng: np.random.Generator) -> Split:
    """Whole mixtures of several languages. One language alone is never held out: it is what tells the language's
    own law, and it says nothing of mixtures."""
    names, shares = points.table.shares()
    if not names:
        raise _SplitError("there are no mixture columns: add share:<language>")
    mixed = ~np.isnan(shares).any(1) & ((shares > 0).sum(1) > 1)
    mixture = _mixture_numbers(shares)
    several = np.unique(mixture[mixed])
    if len(several) <= LEVELS:
        raise _SplitError(
            f"there are {len(several)} mixtures of several languages, and a law must see {LEVELS}: "
            f"add {LEVELS + 1 - len(several)}"
        )
    weights = points.weights(of_runs=True)
    of_each = np.array([weights[mixture == m].sum() for m in several])
    order = rng.permutation(len(several))
    grown = np.cumsum(of_each[order])
    count = int(np.abs(grown - points.share * grown[-1]).argmin()) + 1
    count = min(count, len(several) - LEVELS)
    held = np.isin(mixture, several[order[:count]])
    return Split("M", f"{count} of {len(several)} mixtures of several languages", held)


def _mixture_numbers(shares: np.ndarray) -> np.ndarray:
    """The mixture of each row `(rows,)`: the first one that it is like."""
    distinct, which = np.unique(np.nan_to_num(shares, nan=-1.0), axis=0, return_inverse=True)
    kept: list[np.ndarray] = []
    number = np.zeros(len(distinct), int)
    for i, row in enumerate(distinct):
        away = np.abs(np.array(kept) - row).sum(1) if kept else np.array([math.inf])
        number[i] = int(away.argmin()) if away.min() <= ALIKE else len(kept)
        if number[i] == len(kept):
            kept.append(row)
    return number[which.reshape(-1)]


SPLITS: dict[str, Callable[[_Points, np.random.Generator], Split]] = {
    "in-sample": _in_sample,
    "random": _random,
    "N": _largest_N,
    "D": _largest_D,
    "C": _largest_C,
    "M": _mixtures,
}
