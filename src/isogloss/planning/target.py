"""From a loss to the budget that reaches it: bracketing, then a search on the logarithm of C."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from isogloss.errors import InputError, PlanError
from isogloss.laws import Chinchilla
from isogloss.planning.budget import LanguageTarget

# The budgets that are tried, FLOPs: from a toy to ten thousand times the largest runs that are known.
LEAST, MOST = 1e15, 1e30
STEP = 10.0
# How near, in ln C, the walk comes to a budget that is refused.
CLOSE = 0.05
# A best loss that rises with the budget by more than this fraction is no best loss.
RISE = 1e-4
# Budgets closer than this fraction are one, up to rounding.
SAME = 1e-12

COEFFICIENTS = ("E", "A", "alpha", "B", "beta")
Losses = float | Sequence[float] | np.ndarray
Coefficients = tuple[float, float, float, float, float]


@dataclass(frozen=True, eq=False)
class Reached:
    """The least budget C, FLOPs, that reaches the target, to a fraction `tolerance`; `losses` there."""

    C: float
    losses: np.ndarray
    tried: tuple[tuple[float, np.ndarray], ...]
    """Every budget tried and its losses, by budget."""


def target_losses(targets: Mapping[str, LanguageTarget], law_of: Callable[[str], Coefficients]) -> dict[str, float]:
    """The loss to reach by language. `law_of` a language gives (E, A, alpha, B, beta) of its monolingual law.

    A target `like` a model has the loss of that law at its N and D, under one epoch: L = E + A/N^alpha + B/D^beta.
    Losses of two languages compare as far as their unit and tokenizer do.
    """
    out = {}
    for code, target in targets.items():
        if target.loss is not None:
            out[code] = target.loss
            continue
        assert target.like is not None
        out[code] = float(
            Chinchilla(**dict(zip(COEFFICIENTS, law_of(target.like), strict=True))).loss(target.params, target.tokens)
        )
    return out


def compute_for_loss(
    evaluate: Callable[[float], Losses],
    target: Losses,
    *,
    floor: Losses | None = None,
    least: float = LEAST,
    most: float = MOST,
    start: float = 1e20,
    tolerance: float = 1e-3,
    names: Sequence[str] | None = None,
    where: str = "budget",
) -> Reached:
    """The least C at which `evaluate(C)`, the best attainable loss or losses `(k,)`, is at most `target` everywhere.

    Walks from `start` by factors of STEP until C is bracketed between `least` and `most`, then closes in to a fraction
    `tolerance` of C. `floor` holds losses that no budget reaches, such as E; `names` say which loss is which. A budget
    that `evaluate` refuses with InputError or PlanError ends the walk just before it. Raises InputError where the
    target lies at or below the floor, is not reached up to `most`, or is already reached at `least`; PlanError where
    the best loss rises with the budget, or a budget between two that work is refused.
    """
    search = _Search(evaluate, np.atleast_1d(np.asarray(target, float)), names, where)
    search.refuse_below(floor)
    if not 0 < least < most or not 0 < tolerance < 1:
        raise InputError(f"least {least:g}, most {most:g}, tolerance {tolerance:g}", hint="Need 0 < least < most.")
    low, high = search.bracket(float(np.clip(start, least, most)), least, most)
    # It takes most of a second to load, and few questions name a target.
    from scipy.optimize import brentq

    root = math.exp(cast(float, brentq(search.gap, math.log(low), math.log(high), xtol=tolerance / 4)))
    # The root may lie a hair on the wrong side: the answer must reach the target.
    C = min(c for c in (root, root * (1 + tolerance / 2), high) if search.gap(math.log(c)) <= 0)
    search.refuse_rise()
    tried = tuple(sorted(search.tried.items()))
    C = next(c for c, _ in tried if abs(c / C - 1) < SAME)
    return Reached(C, search.tried[C], tried)


class _Search:
    """Every budget is evaluated once: an evaluation is a whole plan."""

    def __init__(
        self, evaluate: Callable[[float], Losses], target: np.ndarray, names: Sequence[str] | None, where: str
    ) -> None:
        self.evaluate, self.target, self.where = evaluate, target, where
        self.names = list(names) if names is not None else [f"loss {i + 1}" for i in range(len(target))]
        if len(target) == 1 and names is None:
            self.names = ["the loss"]
        if not np.isfinite(target).all() or (target <= 0).any():
            raise InputError(f"target losses must be positive numbers, got {target.tolist()}", where=where)
        self.tried: dict[float, np.ndarray] = {}

    def gap(self, log_C: float) -> float:
        """How far the worst loss is from its target, in logarithms; at most zero where all are reached."""
        C = math.exp(log_C)
        # The same budget comes back a rounding error away.
        C = next((c for c in self.tried if abs(c / C - 1) < SAME), C)
        try:
            return self._gap(C)
        except InputError as error:
            raise PlanError(f"{C:.3g} FLOPs, between budgets that work, are refused: {error}") from error

    def _gap(self, C: float) -> float:
        if C not in self.tried:
            losses = np.atleast_1d(np.asarray(self.evaluate(C), float))
            if losses.shape != self.target.shape or not np.isfinite(losses).all() or (losses <= 0).any():
                raise PlanError(f"the best losses at {C:.3g} FLOPs are {losses.tolist()}")
            self.tried[C] = losses
        return float(np.log(self.tried[C] / self.target).max())

    def refuse_below(self, floor: Losses | None) -> None:
        if floor is None:
            return
        lowest = np.broadcast_to(np.asarray(floor, float), self.target.shape)
        for name, wanted, least in zip(self.names, self.target, lowest, strict=True):
            if wanted <= least:
                raise InputError(
                    f"{name} cannot reach {wanted:.4g}: the law's irreducible loss is {least:.4g}",
                    where=self.where,
                    hint="Ask for a higher loss.",
                )

    def bracket(self, start: float, least: float, most: float) -> tuple[float, float]:
        C = self._first(start, least, most)
        up = self._gap(C) > 0
        before, after, refused = self._walk(C, STEP if up else 1 / STEP, least, most)
        if after is None:
            raise self._unreached(before, refused) if up else self._too_easy(before, refused)
        return (before, after) if up else (after, before)

    def _first(self, start: float, least: float, most: float) -> float:
        """The budget nearest to `start`, in steps, that is not refused."""
        steps = range(math.ceil(math.log(most / least, STEP)) + 1)
        for step in steps:
            for C in (start * STEP**step, start / STEP**step):
                if least <= C <= most and self._refused(C) is None:
                    return C
        refused = self._refused(start)
        assert refused is not None
        raise refused

    def _walk(
        self, C: float, step: float, least: float, most: float
    ) -> tuple[float, float | None, InputError | PlanError | None]:
        """From C until the target is passed: the budgets before and after, None if it never is, and what ended it.

        A refused budget makes the steps shorter, so that the walk ends close to what is possible.
        """
        side = self._gap(C) > 0
        while True:
            after = float(np.clip(C * step, least, most))
            if after == C:
                return C, None, None
            refused = self._refused(after)
            if refused is not None:
                step = math.sqrt(step)
                if abs(math.log(step)) < CLOSE:
                    return C, None, refused
                continue
            if (self._gap(after) > 0) != side:
                return C, after, None
            C = after

    def _refused(self, C: float) -> InputError | PlanError | None:
        try:
            self._gap(C)
        except (InputError, PlanError) as error:
            return error
        return None

    def _unreached(self, C: float, refused: Exception | None) -> InputError:
        losses = self.tried[C]
        i = int(np.argmax(losses / self.target))
        why = f"; more is refused: {str(refused).splitlines()[0]}" if refused else ""
        return InputError(
            f"{self.names[i]} cannot reach {self.target[i]:.4g}: with {C:.3g} FLOPs the best is {losses[i]:.4g}{why}",
            where=self.where,
            hint="Ask for a higher loss, or allow more text, epochs or parameters.",
        )

    def _too_easy(self, C: float, refused: Exception | None) -> InputError:
        i = int(np.argmax(self.tried[C] / self.target))
        why = f", and less is refused: {str(refused).splitlines()[0]}" if refused else ", the least that is tried"
        return InputError(
            f"{self.names[i]} is {self.tried[C][i]:.4g} with {C:.3g} FLOPs already{why}; the target is "
            f"{self.target[i]:.4g}",
            where=self.where,
            hint="Ask for a lower loss.",
        )

    def refuse_rise(self) -> None:
        budgets = sorted(self.tried)
        worst = [float((self.tried[c] / self.target).max()) for c in budgets]
        for low, high, before, after in zip(budgets, budgets[1:], worst, worst[1:], strict=False):
            if after > before * (1 + RISE):
                raise PlanError(
                    f"the best loss rises by {after / before - 1:.2g} from {low:.3g} to {high:.3g} FLOPs: "
                    "the search did not find the best plan at one of them"
                )
