"""The effects model of transfer: what a pair's features, its target and its source add to its log ratio.

    y[t, s] = intercept + features w + smooth part + target[t] + source[s] + pair[t, s],  y = log(d_mono / d_bi)

Effects of targets and of sources are normal, partly independent and partly alike among kin; the two directions of a
pair are correlated; what is observed has an error besides. All of it is one Bayesian linear model given its scales
and shares, and these are integrated: few languages leave them uncertain, and intervals that take one value for
certain are too short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import special
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

from isogloss.transfer.importance import importance_draws, thinned
from isogloss.transfer.pair_design import Design

NEUTRAL = -np.log(2.0)
"""y of a source that neither helps nor hurts."""

# Log-normal priors (median, sd of the logarithm) of standard deviations of y. The published scores vary by 0.18.
SCALES: Mapping[str, tuple[float, float]] = {
    "features": (0.08, 1.0),
    "smooth": (0.05, 1.0),
    "target": (0.10, 1.0),
    "source": (0.10, 1.0),
    "pair": (0.07, 1.0),
    "noise": (0.04, 0.7),
}
# Shares with a uniform prior: of the variance of effects that kinship explains, and between a pair's two directions.
SHARES = ("target kin", "source kin", "mutual")
# How far the mean of all pairs may lie from neutral.
INTERCEPT = 0.5
# No score is known better than this.
LEAST_ERROR = 1e-3
# Draws of the scales that predictions mix.
DRAWS = 64
# Pairs gone over in one step: more leave the cache.
AT_ONCE = 16_000


@dataclass(frozen=True, eq=False)
class Observed:
    """Scores as y: one element per observed cell. A pair of a language with itself is not among them."""

    cell: np.ndarray
    y: np.ndarray
    variance: np.ndarray
    """Of the error, as far as it is known."""
    unsure: np.ndarray
    """Of bool: to these the fitted noise is added."""


@dataclass(frozen=True, eq=False)
class Draw:
    """The model at one draw of its scales: column weights are normal with this mean and a covariance in two parts.

    The covariance is sd^2 on the diagonal, as a priori, less known known': there are far fewer scores than columns.
    """

    weight: float
    scales: Mapping[str, float]
    mean: np.ndarray
    sd: np.ndarray
    rows: np.ndarray
    """Whitened observations of the columns over their sd `(scores, columns)`."""

    @cached_property
    def known(self) -> np.ndarray:
        """What the scores take off the covariance, as its root `(columns, scores or fewer)`."""
        rows = self.rows
        if len(rows) > rows.shape[1]:
            rows = np.asarray(np.linalg.qr(rows, mode="r"))
        # (I + R'R)^-1 = I - R' (I + R R')^-1 R
        lower = cholesky(_plus_one(rows @ rows.T), lower=True, overwrite_a=True, check_finite=False)
        return self.sd[:, None] * solve_triangular(lower, rows, lower=True, check_finite=False).T

    @cached_property
    def root(self) -> np.ndarray:
        """Of the covariance `(columns, columns)`."""
        return self.turned(np.eye(len(self.sd))).T

    def variance(self, basis: np.ndarray) -> np.ndarray:
        """Of `basis @ column weights` `(cells,)`, `basis` `(cells, columns)`."""
        taken = basis @ self.known
        return np.maximum(basis**2 @ self.sd**2 - np.einsum("ij,ij->i", taken, taken), 0.0)

    def turned(self, z: np.ndarray) -> np.ndarray:
        """`z @ root'` for a root of the covariance, z `(n, columns)`: draws around the mean from normal numbers."""
        lower = cholesky(_plus_one(self.rows.T @ self.rows), lower=True, overwrite_a=True, check_finite=False)
        return self.sd * solve_triangular(lower, z.T, lower=True, trans=1, check_finite=False).T


@dataclass(frozen=True, eq=False)
class View:
    """Some cells at one draw: y = offset + basis @ column weights + error of the pair, given the data.

    `own` `(cells,)` is the variance of the pair's error, `shared` its covariance with the other direction's.
    """

    offset: np.ndarray
    basis: np.ndarray
    own: np.ndarray
    shared: np.ndarray


@dataclass(frozen=True, eq=False)
class Posterior:
    design: Design
    observed: Observed
    draws: tuple[Draw, ...]
    effective: float
    """What the weighted draws of the scales count for, before thinning."""

    def view(self, draw: Draw, cells: np.ndarray) -> View:
        turned = reverse(self.design.size)
        gain, back = (gains[cells] for gains in self._gains(draw.scales))
        y = np.zeros(self.design.size**2)
        y[self.observed.cell] = self.observed.y - NEUTRAL
        basis = self.design.rows(cells)
        # Only a few cells were measured, this way or the other.
        moved = (gain != 0) | (back != 0)
        other = back[moved, None] * self.design.rows(turned[cells[moved]])
        basis[moved] = (1 - gain[moved, None]) * basis[moved] - other
        variance, mutual = draw.scales["pair"] ** 2, draw.scales["mutual"]
        return View(
            NEUTRAL + gain * y[cells] + back * y[turned[cells]],
            basis,
            np.maximum(variance * (1 - gain - back * mutual), 0.0),
            variance * (mutual - gain * mutual - back),
        )

    def moments(self, draw: Draw, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of y `(cells,)` at a draw."""
        mean = NEUTRAL + self.design.times(draw.mean[None])[0, cells]
        variance = self._variance(draw)[cells] + draw.scales["pair"] ** 2
        moved = np.flatnonzero(self._measured[cells])
        seen = self.view(draw, cells[moved])
        mean[moved] = seen.offset + seen.basis @ draw.mean
        variance[moved] = draw.variance(seen.basis) + seen.own
        return mean, variance

    @cached_property
    def _measured(self) -> np.ndarray:
        """`(K * K,)` of bool: measured this way or the other."""
        measured = np.zeros(self.design.size**2, dtype=bool)
        measured[self.observed.cell] = True
        return measured | measured[reverse(self.design.size)]

    def _variance(self, draw: Draw) -> np.ndarray:
        """Of what columns add up to `(K * K,)`: a priori, less what is known; effects of languages are tables."""
        size, columns = self.design.size, self.design.pair
        before = self._squares @ np.array([draw.sd[at] ** 2 for at in self._alike])
        table = before.reshape(size, size)
        squares = self.design.vectors**2
        table += (squares @ draw.sd[self.design.groups["target"]] ** 2)[:, None]
        table += squares @ draw.sd[self.design.groups["source"]] ** 2
        of_pair, of_target, of_source = self.design.split(draw.known)
        # |p + t + s|^2 with p linear in the pair's columns, so that these are gone over once.
        of_target_pair, of_source_pair = 2 * of_target @ of_pair.T, 2 * of_source @ of_pair.T
        square, some = of_pair @ of_pair.T, max(1, AT_ONCE // size)
        for first in range(0, size, some):
            at = slice(first, first + some)
            mine = columns[first * size : (first + some) * size]
            pulled = (mine @ square).reshape(-1, size, len(square))
            pulled += of_target_pair[at, None]
            pulled += of_source_pair
            table[at] -= np.einsum("ij,ij->i", mine, pulled.reshape(len(mine), -1)).reshape(-1, size)
        table -= 2 * of_target @ of_source.T
        table -= np.einsum("ij,ij->i", of_target, of_target)[:, None]
        table -= np.einsum("ij,ij->i", of_source, of_source)
        return np.maximum(table.ravel(), 0.0)

    @cached_property
    def _alike(self) -> tuple[int, ...]:
        """The first column of each of the pair's groups: all of a group have one sd."""
        groups = (self.design.groups[name] for name in ("intercept", "features", "smooth"))
        return tuple(group.start for group in groups if group.stop > group.start)

    @cached_property
    def _squares(self) -> np.ndarray:
        """Sums of squares of the pair's columns by group `(K * K, groups)`."""
        ends = (*self._alike, self.design.pair.shape[1])
        sums = [(self.design.pair[:, a:b] ** 2).sum(axis=1) for a, b in pairwise(ends)]
        return np.stack(sums, axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Joint draws of y `(n, K * K)`."""
        weights = np.array([draw.weight for draw in self.draws])
        out = []
        for draw, count in zip(self.draws, rng.multinomial(n, weights / weights.sum()), strict=True):
            if count:
                out.append(self._sample(draw, int(count), rng))
        return rng.permutation(np.concatenate(out)) if out else np.empty((0, self.design.size**2))

    def _sample(self, draw: Draw, n: int, rng: np.random.Generator) -> np.ndarray:
        size, moved = self.design.size, np.flatnonzero(self._measured)
        seen = self.view(draw, moved)
        weights = draw.mean + draw.turned(rng.normal(size=(n, len(draw.mean))))
        y = NEUTRAL + self.design.times(weights)
        y[:, moved] = seen.offset + weights @ seen.basis.T
        own = np.full(size**2, draw.scales["pair"] ** 2)
        shared = own * draw.scales["mutual"]
        own[moved], shared[moved] = seen.own, seen.shared
        # Both directions at once: a common part, and one of each direction's own.
        turned = reverse(size)
        correlation = np.divide(shared, np.sqrt(own * own[turned]) + 1e-300)
        angle = np.arcsin(np.clip(correlation, -1, 1)) / 2
        z = rng.normal(size=y.shape)
        y += np.sqrt(own) * (np.cos(angle) * z + np.sin(angle) * z[:, turned])
        return y

    def _gains(self, scales: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """What a pair's error takes over from the misfit of its own observation, and of the other direction's.

        P (P + V)^-1 by cell, with P the covariance of the two directions and V that of their errors.
        """
        precision = np.zeros(self.design.size**2)
        precision[self.observed.cell] = 1 / error_variance(self.observed, scales["noise"])
        own = scales["pair"] ** 2 * precision
        back = own[reverse(self.design.size)]
        determinant = (1 + own) * (1 + back) - scales["mutual"] ** 2 * own * back
        gain = (own * (1 + back) - scales["mutual"] ** 2 * own * back) / determinant
        return gain, scales["mutual"] * back / determinant


def fit_effects(design: Design, observed: Observed, *, seed: int = 0) -> Posterior:
    names = [name for name in SCALES if name != "noise" or observed.unsure.any()]
    narrow, seen = concerned(design, observed)
    few = Whitening(narrow, seen)

    def likelihood(u: np.ndarray) -> float:
        scales = _scales(u, names)
        return log_marginal(few, scales, prior_sd(narrow, scales))

    points, weights = importance_draws(likelihood, len(names) + len(SHARES), seed=seed)
    places, thin = thinned(weights, DRAWS, np.random.default_rng(seed))
    whitening = Whitening(design, observed)
    draws = []
    for place, weight in zip(places, thin, strict=True):
        scales = _scales(points[place], names)
        sd = prior_sd(design, scales)
        mean, rows = _column_weights(whitening, scales, sd)
        draws.append(Draw(float(weight), scales, mean, sd, rows))
    return Posterior(design, observed, tuple(draws), float(1 / (weights**2).sum()))


def concerned(design: Design, observed: Observed) -> tuple[Design, Observed]:
    """Without the languages that have no score, whose effects say nothing about the scales."""
    target, source = np.divmod(observed.cell, design.size)
    languages = np.unique([target, source])
    cell = np.searchsorted(languages, target) * len(languages) + np.searchsorted(languages, source)
    return design.among(languages), replace(observed, cell=cell)


def prior_sd(design: Design, scales: Mapping[str, float]) -> np.ndarray:
    """Of every column's weight."""
    sd = np.empty(design.width)
    sd[design.groups["intercept"]] = INTERCEPT
    linear = design.groups["features"]
    sd[linear] = scales["features"] / np.sqrt(max(linear.stop - linear.start, 1))
    sd[design.groups["smooth"]] = scales["smooth"]
    for side in ("target", "source"):
        kin = scales[f"{side} kin"]
        sd[design.groups[side]] = scales[side] * np.sqrt(1 - kin + kin * design.kinship)
    return sd


def error_variance(observed: Observed, noise: float) -> np.ndarray:
    return observed.variance + observed.unsure * noise**2 + LEAST_ERROR**2


def reverse(size: int) -> np.ndarray:
    """Of every cell the place of the pair's other direction."""
    return np.arange(size * size).reshape(size, size).T.ravel()


def _scales(u: np.ndarray, names: list[str]) -> dict[str, float]:
    found = {name: median * np.exp(sd * u[i]) for i, name in enumerate(names) for median, sd in [SCALES[name]]}
    shares = special.ndtr(u[len(names) :])
    return {"noise": 0.0, **found, **dict(zip(SHARES, shares, strict=True))}


class Whitening:
    """Observed rows whose errors (of the pair and of the observation) are made independent, of variance 1."""

    def __init__(self, design: Design, observed: Observed) -> None:
        place = np.full(design.size**2, -1)
        place[observed.cell] = np.arange(len(observed.cell))
        other = place[reverse(design.size)[observed.cell]]
        self.second = np.flatnonzero((other >= 0) & (other < np.arange(len(other))))
        self.first = other[self.second]
        self.rows = np.column_stack([design.rows(observed.cell), observed.y - NEUTRAL])
        self.observed = observed

    def __call__(self, scales: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, float]:
        """Columns, y, and the log determinant of the root of the errors' covariance."""
        variance = scales["pair"] ** 2
        diagonal = np.sqrt(variance + error_variance(self.observed, scales["noise"]))
        below = scales["mutual"] * variance / diagonal[self.first]
        diagonal[self.second] = np.sqrt(diagonal[self.second] ** 2 - below**2)
        rows = self.rows / diagonal[:, None]
        rows[self.second] -= (below / diagonal[self.second])[:, None] * rows[self.first]
        return rows[:, :-1], rows[:, -1], float(np.log(diagonal).sum())


def log_marginal(whitening: Whitening, scales: Mapping[str, float], sd: np.ndarray) -> float:
    rows, y, log_root = whitening(scales)
    rows *= sd
    wide = rows.shape[1] > rows.shape[0]
    gram = rows @ rows.T if wide else rows.T @ rows
    gram.flat[:: len(gram) + 1] += 1.0
    root, lower = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    if wide:
        squares = y @ cho_solve((root, lower), y, check_finite=False)
    else:
        moment = rows.T @ y
        squares = y @ y - moment @ cho_solve((root, lower), moment, check_finite=False)
    return float(-0.5 * squares - np.log(np.diag(root)).sum() - log_root)


def _column_weights(whitening: Whitening, scales: Mapping[str, float], sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean of the column weights, and the whitened rows that it comes from, over the columns' sd."""
    rows, y, _ = whitening(scales)
    rows = rows * sd
    if len(rows) < rows.shape[1]:
        # (I + R'R)^-1 R' = R' (I + R R')^-1
        return sd * (rows.T @ _solved(_plus_one(rows @ rows.T), y)), rows
    return sd * _solved(_plus_one(rows.T @ rows), rows.T @ y), rows


def _plus_one(gram: np.ndarray) -> np.ndarray:
    """I + `gram`, in its place."""
    gram.flat[:: len(gram) + 1] += 1.0
    return gram


def _solved(gram: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cho_solve(cho_factor(gram, lower=True, overwrite_a=True, check_finite=False), y, check_finite=False)
