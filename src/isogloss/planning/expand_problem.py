"""The planner's problem for some languages of one ground: all plans of an expansion rest on the same numbers and draws.

Predicted weights and drawn laws depend a little on which languages they are predicted for. The laws, the weights and
their draws are therefore made once, for all languages that take part, and every plan sees its own part of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import InputError, PlanError
from isogloss.laws import find
from isogloss.planning.allocate import Allocation, Allocator, starting_mixtures
from isogloss.planning.constraints import Box, box_of, constraints_of, most_tokens
from isogloss.planning.draws import Drawn, LawDraws, draw_laws
from isogloss.planning.evidence import Ground, ground
from isogloss.planning.limits import only
from isogloss.planning.question import LanguageNeed, Question, refuse_corpora, refuse_phases
from isogloss.planning.text import Text

PER_LANGUAGE = ("E", "A", "alpha", "B", "beta")
CAPACITIES = ("none", "k-law")
# Part of an even mixture in the one that a search starts from: what has nothing moves nowhere.
EVEN = 0.02


@dataclass(frozen=True)
class Span:
    """A number, and the bounds of the central part of its draws; None without draws."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


def span(value: float, drawn: np.ndarray | None, level: float) -> Span:
    if drawn is None:
        return Span(value)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Span(value, float(low), float(high))


@dataclass(frozen=True, eq=False)
class Pool:
    """The question's languages first, then the further ones; arrays are over all of them."""

    question: Question
    """With the further languages in it."""
    basis: Ground
    draws: LawDraws | None
    box: Box
    ceiling: float
    olds: int
    """How many languages the question had."""

    @property
    def C(self) -> float:
        return self.question.budget.C

    @property
    def old(self) -> tuple[str, ...]:
        return self.basis.languages[: self.olds]

    @property
    def new(self) -> tuple[str, ...]:
        return self.basis.languages[self.olds :]

    def problem(self, further: Sequence[int], capacity: str) -> Problem:
        """Of the question's languages and the `further`, counted from the first of them."""
        at = np.array([*range(self.olds), *(self.olds + i for i in further)])
        phi = 0.0 if capacity == "none" else find("k-law/atlas2025").coefficients["phi"]
        law = replace(self.basis.law, **_part({n: getattr(self.basis.law, n) for n in (*PER_LANGUAGE, "tau")}, at, 0))
        law = replace(law, phi=phi)
        draws = None
        if self.draws is not None:
            draws = replace(self.draws, law=law, values=_part(self.draws.values, at, 1))
        weights = self.basis.weights[at]
        inside = only(self.box, at)
        return Problem(law, draws, self.basis.U[at], weights / weights.sum(), inside, self.ceiling, self.olds)


def _part(values: Mapping[str, Any], at: np.ndarray, leading: int) -> dict[str, np.ndarray]:
    """Of coefficients per language, and of weights between them, after `leading` axes."""
    out = {}
    for name, value in values.items():
        kept = np.take(np.asarray(value), at, axis=leading)
        out[name] = np.take(kept, at, axis=leading + 1) if name == "tau" else kept
    return out


@dataclass(frozen=True, eq=False)
class Problem:
    """Some languages at any budget; the first `olds` are the question's own. Arrays are `(K,)`."""

    law: Any
    draws: LawDraws | None
    U: np.ndarray
    weights: np.ndarray
    box: Box
    ceiling: float
    olds: int

    @property
    def old_weights(self) -> np.ndarray:
        """Zero for further languages; those of the question sum to 1."""
        w = np.where(np.arange(len(self.weights)) < self.olds, self.weights, 0.0)
        return w / w.sum()

    def solve(self, C: float, near: Allocation | None = None, *, seed: int = 0, extra: int = 2) -> Allocation:
        """The plan of least weighted loss over all its languages, from one start `near` it, else from several.

        Raises InputError where the text and the limits leave no plan, PlanError where the search finds none.
        """
        box = _narrowed(self.box, C)
        allocator = Allocator(self.law, Text.plain(self.U), self.weights, C, self.ceiling)
        if near is not None:
            size = len(self.U)
            shares = np.full(size, 1 / size)
            shares[: len(near.shares)] *= len(near.shares) * near.shares
            D = near.D * math.sqrt(C / (6 * near.N * near.D))
            return allocator.best(box, [(1 - EVEN) * shares + EVEN / size], D)
        D = float(np.clip(math.sqrt(C / 6 * 50), C / 6 / box.N_high, C / 6 / box.N_low))
        epochs = float(np.median(self.box.tokens_high / self.U))
        return allocator.best(box, starting_mixtures(self.U, D, epochs, extra=extra, seed=seed), D)

    def old_loss(self, plan: Allocation) -> float:
        return float(self.old_weights @ plan.loss)

    def drawn(self, C: float, plan: Allocation, *, taught: bool = True) -> np.ndarray | None:
        """Losses `(draws, K)` of a plan at C; not `taught`: as if further languages' text taught the others nothing."""
        if self.draws is None:
            return None
        draws = self.draws if taught else replace(self.draws, law=self._untaught(), values=self._untaught_draws())
        return Drawn(draws, Text.plain(self.U), self.weights, C, self.ceiling).losses(plan.N, plan.shares)

    def untaught_loss(self, C: float, plan: Allocation) -> float:
        """The question's languages' mean loss under a plan, if further languages' text taught them nothing."""
        allocator = Allocator(self._untaught(), Text.plain(self.U), self.weights, C, self.ceiling)
        return float(self.old_weights @ allocator.losses(plan.N, plan.shares))

    def _untaught(self) -> Any:
        tau = np.array(self.law.tau)
        tau[: self.olds, self.olds :] = 0.0
        return replace(self.law, tau=tau)

    def _untaught_draws(self) -> dict[str, np.ndarray]:
        assert self.draws is not None
        values = dict(self.draws.values)
        if "tau" in values:
            values["tau"] = values["tau"].copy()
            values["tau"][:, : self.olds, self.olds :] = 0.0
        return values


def _narrowed(box: Box, C: float) -> Box:
    """The box with the sizes for which the text lasts at C; InputError if there are none."""
    smallest = C / (6 * most_tokens(box))
    if max(smallest, box.N_low) > box.N_high:
        raise InputError(
            f"the text and the limits leave no model at {C:.3g} FLOPs: it would need {smallest:.3g} parameters or more",
            where="limits",
            hint="Raise max_params or max_epochs, lower min_share, or lower the budget.",
        )
    return replace(box, N_low=max(box.N_low, smallest * (1 + 1e-6)))


def make_pool(asked: Question, further: Mapping[str, LanguageNeed], *, draws: int, seed: int) -> Pool:
    """Everything known of the question's languages and of `further` ones, by code.

    Raises InputError for a language without text, or with corpora or a quality, and limits that contradict each other.
    """
    whole = asked.model_copy(update={"languages": {**asked.languages, **further}})
    refuse_corpora(whole, "added languages and candidates are")
    refuse_phases(whole, "added languages and candidates are")
    basis = ground(whole)
    box = box_of(constraints_of(whole, basis.U), len(basis.U))
    varies = basis.laws.varies or basis.transfer.varies
    drawn = draw_laws(basis, draws, seed) if draws and varies else None
    return Pool(whole, basis, drawn, box, asked.assumptions.guessing(basis.loss_unit), len(asked.languages))


def mean_weight(asked: Question) -> float:
    return float(np.mean([need.weight for need in asked.languages.values()]))


def further_languages(
    asked: Question, given: Sequence[str] | Mapping[str, LanguageNeed], *, where: str
) -> dict[str, LanguageNeed]:
    """Needs of languages to add by code: as in their table, with the question's mean weight where none is given.

    Raises InputError for an unknown language, one that is named twice or already in the question, and one whose text
    is not known.
    """
    tables = given if isinstance(given, Mapping) else {name: LanguageNeed() for name in given}
    found: dict[str, LanguageNeed] = {}
    for name, need in tables.items():
        try:
            code = _languages.resolve(name)
        except InputError as error:
            raise InputError(error.what, where=where, hint=error.hint) from None
        if code in asked.languages:
            raise InputError(f"{name!r} ({code}) is in the question already", where=where, hint="Leave it out.")
        if code in found:
            raise InputError(f"{name!r} ({code}) is named twice", where=where, hint="Keep one of them.")
        if need.tokens is None and need.bytes is None and not _has_text(code, need):
            raise InputError(
                f"how much text there is of {name} ({code}) is not known",
                where=where,
                hint='Give it in a file: [languages.NAME] tokens = "200M", and --add-file FILE.',
            )
        if "weight" not in need.model_fields_set:
            need = need.model_copy(update={"weight": mean_weight(asked)})
        found[code] = need
    if isinstance(given, Sequence) and len(set(given)) < len(given):
        raise InputError("a language is named twice", where=where, hint="Keep one of them.")
    return found


def _has_text(code: str, need: LanguageNeed) -> bool:
    text = _languages.tokens_available(code, need.bytes_per_token)
    return text is not None and text.tokens >= 1


def solved(problem: Problem, C: float, near: Allocation | None) -> Allocation | None:
    """As `solve`, None where there is no plan."""
    try:
        return problem.solve(C, near)
    except (InputError, PlanError):
        return None
