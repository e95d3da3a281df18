"""Which pairs to measure next: the runs that narrow the wanted scores most for their compute."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.transfer.effects_model import NEUTRAL, Draw, reverse
from isogloss.transfer.prediction import Prediction

# Draws of the model's scales over which the gain is averaged: the likeliest.
DRAWS = 12

Cost = float | np.ndarray | Callable[[str, str], float]


def suggest(
    prediction: Prediction,
    *,
    purpose: Literal["matrix"] | np.ndarray = "matrix",
    cost: Cost = 1.0,
    alone: float | np.ndarray | Callable[[str], float] | None = None,
    trained_alone: Collection[str] | None = None,
    noise: float = 0.05,
    count: int = 10,
) -> pl.DataFrame:
    """The next pairs to measure, best first, each given the ones before it.

    A pair's gain is what measuring it is expected to take off the posterior variance of all scores, summed with the
    weights of `purpose`: "matrix" counts all pairs alike, an array `(K, K)` [target, source] says what each counts
    for, such as the square of dLoss/dBTS in a plan. The score gained has a standard error of `noise`.

    `cost` is the FLOPs of a bilingual run, one number, `(K, K)`, or a function of target and source; the run of both
    languages in equal parts serves both directions, so the second is free, as are pairs whose other direction was
    measured here. `alone` (default: half of the mean `cost` of the target's pairs) is that of a target's
    monolingual run, by language; it is paid once, and not for languages in `trained_alone` (default: the
    targets with a score of kind "measured"; published scores came from other people's runs).

    Columns: target, source, gain (of variance of scores), flops, gain_per_flop (null where free), sd (of the score
    now, before any of these), left (of the weighted variance, after this one, as a share). Greedy on gain per FLOP;
    what is free comes first. Measured pairs are not suggested again.
    """
    size = len(prediction.languages)
    importance = _importance(purpose, size)
    if count < 1 or not noise > 0:
        raise InputError(f"count must be at least 1 and noise positive, got {count} and {noise:g}", where="suggest")
    bills = _Bills.of(prediction, cost, alone, trained_alone)
    draws = _likeliest(prediction)
    beliefs = [_Belief.of(prediction, draw, importance, noise) for draw in draws]
    total = sum(belief.weight * belief.variance_left() for belief in beliefs)
    open_cells = (prediction.kind == "predicted").ravel()
    rows = []
    for _ in range(min(count, int(open_cells.sum()))):
        gain = np.array(sum(belief.weight * belief.gains() for belief in beliefs))
        price = bills.prices()
        place = _best(gain, price, open_cells)
        target, source = divmod(place, size)
        for belief in beliefs:
            belief.measure(place)
        left = sum(belief.weight * belief.variance_left() for belief in beliefs)
        rows.append(
            {
                "target": prediction.languages[target],
                "source": prediction.languages[source],
                "gain": float(gain[place]),
                "flops": float(price[place]),
                "gain_per_flop": float(gain[place] / price[place]) if price[place] > 0 else None,
                "sd": float(prediction.sd[target, source]),
                "left": float(left / total) if total > 0 else 0.0,
            }
        )
        open_cells[place] = False
        bills.pay(target, source)
    text, number = pl.String, pl.Float64
    schema = {"target": text, "source": text, "gain": number, "flops": number, "gain_per_flop": number}
    return pl.DataFrame(rows, schema={**schema, "sd": number, "left": number})


def _best(gain: np.ndarray, price: np.ndarray, open_cells: np.ndarray) -> int:
    free = open_cells & (price <= 0) & (gain > 0)
    if free.any():
        return int(np.argmax(np.where(free, gain, -np.inf)))
    return int(np.argmax(np.where(open_cells, gain / np.where(price > 0, price, np.inf), -np.inf)))


def _likeliest(prediction: Prediction) -> list[Draw]:
    """With weights that sum to 1."""
    draws = sorted(prediction.posterior.draws, key=lambda draw: -draw.weight)[:DRAWS]
    total = sum(draw.weight for draw in draws)
    return [replace(draw, weight=draw.weight / total) for draw in draws]


# --- what is known, and what a measurement would add ----------------------------------------------------------


class _Belief:
    """The covariance of all scores at one draw of the scales: roots roots' + pair errors - taken taken'.

    Scores go with y by their slope at the mean, 2 - BTS. `summed` holds, of every cell, the sum over all cells of
    importance times squared covariance with it; each measurement updates it in time linear in the cells.
    """

    def __init__(self, weight: float, roots: np.ndarray, own: np.ndarray, shared: np.ndarray, importance: np.ndarray):
        self.weight, self.roots, self.own, self.shared, self.importance = weight, roots, own, shared, importance
        self.turned = reverse(round(len(own) ** 0.5))
        self.taken: list[np.ndarray] = []
        base = np.einsum("ij,ij->i", roots, roots)
        across = np.einsum("ij,ij->i", roots, roots[self.turned])
        inner = roots.T @ (importance[:, None] * roots)
        summed = np.einsum("ij,ij->i", roots @ inner, roots)
        summed += importance * ((base + own) ** 2 - base**2)
        summed += importance[self.turned] * ((across + shared) ** 2 - across**2)
        self.variance, self.summed, self.noise = base + own, summed, np.zeros(len(own))

    @staticmethod
    def of(prediction: Prediction, draw: Draw, importance: np.ndarray, noise: float) -> _Belief:
        size = len(prediction.languages)
        off_diagonal = ~np.eye(size, dtype=bool).ravel()
        cells = (prediction.places[:, None] * prediction.posterior.design.size + prediction.places).ravel()
        seen = prediction.posterior.view(draw, cells)
        slope = np.exp(-np.clip(seen.offset + seen.basis @ draw.mean, 10 * NEUTRAL, None)) * off_diagonal
        roots = slope[:, None] * (seen.basis @ draw.root)
        shared = slope * slope[reverse(size)] * seen.shared
        belief = _Belief(draw.weight, roots, slope**2 * seen.own, shared, importance)
        # A language is no partner of its own.
        belief.noise = np.where(off_diagonal, noise**2, np.inf)
        return belief

    def gains(self) -> np.ndarray:
        return self.summed / (self.variance + self.noise)

    def variance_left(self) -> float:
        return float(self.importance @ self.variance)

    def measure(self, place: int) -> None:
        column = self._covariance(place) / np.sqrt(self.variance[place] + self.noise[place])
        moved = self._times(self.importance * column)
        self.summed = self.summed - 2 * column * moved + column**2 * float(self.importance @ column**2)
        self.variance = np.maximum(self.variance - column**2, 0.0)
        self.taken.append(column)

    def _covariance(self, place: int) -> np.ndarray:
        return self._times(np.eye(1, len(self.own), place)[0])

    def _times(self, vector: np.ndarray) -> np.ndarray:
        product = self.roots @ (self.roots.T @ vector) + self.own * vector + self.shared * vector[self.turned]
        for column in self.taken:
            product -= column * float(column @ vector)
        return product


# --- what it costs --------------------------------------------------------------------------------------------


@dataclass
class _Bills:
    """What is still to pay `(K, K)` for bilingual runs and `(K,)` for monolingual ones."""

    together: np.ndarray
    alone: np.ndarray

    @staticmethod
    def of(
        prediction: Prediction,
        cost: Cost,
        alone: float | np.ndarray | Callable[[str], float] | None,
        trained_alone: Collection[str] | None,
    ) -> _Bills:
        codes = prediction.languages
        size = len(codes)
        together = [[cost(t, s) for s in codes] for t in codes] if callable(cost) else cost
        together = np.array(np.broadcast_to(np.asarray(together, float), (size, size)))
        off_diagonal = ~np.eye(size, dtype=bool)
        single = [alone(code) for code in codes] if callable(alone) else alone
        if single is None:
            single = np.where(off_diagonal, together, 0.0).sum(axis=1) / max(size - 1, 1) / 2
        mono = np.array(np.broadcast_to(np.asarray(single, float), (size,)))
        for what, values in (("cost", together[off_diagonal]), ("alone", mono)):
            if not (np.isfinite(values) & (values >= 0)).all():
                raise InputError("FLOPs must be finite and not negative", where=what)
        measured = prediction.kind == "measured"
        together[measured | measured.T] = 0.0
        if trained_alone is None:
            mono[measured.any(axis=1)] = 0.0
        else:
            done = {_languages.resolve(name) for name in trained_alone}
            mono[[code in done for code in codes]] = 0.0
        return _Bills(together, mono)

    def prices(self) -> np.ndarray:
        return (self.together + self.alone[:, None]).ravel()

    def pay(self, target: int, source: int) -> None:
        self.together[target, source] = self.together[source, target] = 0.0
        self.alone[target] = 0.0


def _importance(purpose: Literal["matrix"] | np.ndarray, size: int) -> np.ndarray:
    if isinstance(purpose, str):
        if purpose != "matrix":
            raise InputError(f"unknown purpose {purpose!r}", where="purpose", hint='Say "matrix" or give an array.')
        importance = np.ones((size, size))
    else:
        importance = np.array(purpose, float)
    if importance.shape != (size, size):
        raise InputError(f"{size} languages need {size} x {size} weights, got {importance.shape}", where="purpose")
    np.fill_diagonal(importance, 0.0)
    if not (np.isfinite(importance) & (importance >= 0)).all() or not importance.any():
        raise InputError("weights must be finite, not negative and not all zero", where="purpose")
    return importance.ravel()
