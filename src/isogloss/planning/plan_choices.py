"""What a plan would be under the other choices that its fits kept (`isogloss fit --choices`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.planning.aim import Spending
from isogloss.planning.allocate import Allocation
from isogloss.planning.constraints import Box
from isogloss.planning.descent import descend
from isogloss.planning.draws import Drawn, LawDraws
from isogloss.planning.evidence import Ground
from isogloss.planning.goal import Goal
from isogloss.planning.kinds import some
from isogloss.planning.question import Question
from isogloss.units import format_quantity

if TYPE_CHECKING:
    from isogloss.fitting import Choice, Choices

# Choices that are planned with at most: those whose own N* is farthest from the fit's.
MOST = 30
# Laws whose E, A, alpha, B and beta are the plan's.
LAWS = ("chinchilla", "data-constrained", "atlas")
OF_SHARES = ("family",)
# Part of an even mixture in the one that the searches start from: what has nothing moves nowhere.
EVEN = 0.02


@dataclass(frozen=True, eq=False)
class ChoicePlan:
    """The best plan at the same budget under one choice; arrays are `(K,)`, by that choice's own laws."""

    kind: str
    """As a fit's `Choice` has it."""
    name: str
    languages: tuple[str, ...]
    """Whose laws are changed; all other laws are as in the plan."""
    N: float
    D: float
    shares: np.ndarray
    loss: np.ndarray
    objective: float
    regret: float
    """What the plan at hand would lose if this choice were the truth: its objective over this one, less 1."""


@dataclass(frozen=True, eq=False)
class PlanChoices:
    """The plan under the fits as made (`main`, at the point laws), and under each other choice."""

    main: ChoicePlan
    tried: tuple[ChoicePlan, ...]
    left_out: tuple[tuple[str, str], ...]
    """Choices that a plan cannot be made with: name and reason."""
    without: tuple[tuple[str, str], ...]
    """Languages whose fits keep no choices, by code, with the reason."""
    plan_languages: tuple[str, ...]

    @property
    def answered(self) -> tuple[ChoicePlan, ...]:
        return (self.main, *self.tried)

    @property
    def N_range(self) -> tuple[float, float]:
        sizes = [c.N for c in self.answered]
        return min(sizes), max(sizes)

    @property
    def widest(self) -> ChoicePlan:
        """The choice whose N is farthest from the plan's."""
        return max(self.answered, key=lambda c: abs(math.log(c.N / self.main.N)))

    @property
    def sentence(self) -> str:
        if not self.tried:
            said = "; ".join(f"{why}: {some([c for c, w in self.without if w == why])}" for why in self._reasons())
            return f"Choices of the fits: none to plan with{f' ({said})' if said else ''}."
        low, high = map(_about, self.N_range)
        if low == high:
            moved = f"{len(self.tried)} choices of the fits leave N at {_about(self.main.N)}"
        else:
            moved = (
                f"{len(self.tried)} choices of the fits move N from {low} to {high} (as fitted: "
                f"{_about(self.main.N)}); “{self.widest.name}” moves it most"
            )
        worst = max(self.tried, key=lambda c: c.regret)
        lost = f"{100 * worst.regret:.2g} % (“{worst.name}”)"
        return f"{moved}. Were one of them right, this plan would lose at most {lost}."

    def _reasons(self) -> list[str]:
        return list(dict.fromkeys(why for _, why in self.without))

    def to_dict(self) -> dict[str, Any]:
        return {
            "sentence": self.sentence,
            "N_low": self.N_range[0],
            "N_high": self.N_range[1],
            "widest": self.widest.name if self.tried else None,
            "main": self._row(self.main),
            "tried": [self._row(c) for c in self.tried],
            "left_out": [{"name": name, "why": why} for name, why in self.left_out],
            "without": dict(self.without),
        }

    def _row(self, choice: ChoicePlan) -> dict[str, Any]:
        def by_language(values: np.ndarray) -> dict[str, float]:
            return {code: float(v) for code, v in zip(self.plan_languages, values, strict=True)}

        return {
            "kind": choice.kind,
            "name": choice.name,
            "languages": list(choice.languages),
            "N": choice.N,
            "D": choice.D,
            "shares": by_language(choice.shares),
            "loss": by_language(choice.loss),
            "objective": choice.objective,
            "regret": choice.regret,
        }


def plan_choices(
    asked: Question, basis: Ground, box: Box, spend: Spending, goal: Goal, top: Allocation
) -> PlanChoices | None:
    """Plan again under the choices of the languages' fits, all at once; None where no language names a fit.

    A choice that several fits hold under one name is made for all of them together. N and the mixture are searched
    at the plan's compute, at point laws, from the plan itself. Raises InputError for a fit that cannot be read.
    """
    named = {code: need.fit for code, need in asked.languages.items() if need.fit is not None}
    if not named:
        return None
    kept, without = _kept(named)
    usable, left_out = _usable(kept, OF_SHARES if basis.by_shares else LAWS, basis.laws.names)
    chosen = sorted(usable, key=lambda key: -_moves(usable[key]))
    left_out += [(name, f"moves N* less than {MOST} others do") for _, name in chosen[MOST:]]
    made = [(kind, name, usable[kind, name]) for kind, name in chosen[:MOST]]
    return _planned(made, left_out, without, basis, box, spend, goal, top, asked.assumptions.guessing(basis.loss_unit))


_Made = Mapping[str, tuple["Choice", "Choice"]]
"""By language: the choice, and its fit as made."""


def _kept(named: Mapping[str, str]) -> tuple[dict[str, Choices], list[tuple[str, str]]]:
    from isogloss.fitting import load_fit
    from isogloss.fitting.intervals import JOINT

    kept, without = {}, []
    for code, folder in named.items():
        fit = load_fit(Path(folder))
        if fit.choices is not None:
            kept[code] = fit.choices
        elif fit.intervals == JOINT:
            without.append((code, "none kept: fits of several languages together have none"))
        else:
            without.append((code, "none kept: fit again with --choices"))
    return kept, without


def _usable(
    kept: Mapping[str, Choices], laws: Sequence[str], names: Sequence[str]
) -> tuple[dict[tuple[str, str], _Made], list[tuple[str, str]]]:
    """Choices by kind and name, with the languages that have them; and those that no plan can be made with.

    `laws` and `names` are the laws and the coefficients that the plan is made of.
    """
    usable: dict[tuple[str, str], dict[str, tuple[Choice, Choice]]] = {}
    left_out: dict[str, str] = {}
    for code, choices in kept.items():
        for choice in choices.tried:
            why = _refused(choice, laws, names)
            if why is None:
                usable.setdefault((choice.kind, choice.name), {})[code] = (choice, choices.main)
            else:
                left_out.setdefault(choice.name, why)
    return dict(usable), list(left_out.items())


def _refused(choice: Choice, laws: Sequence[str], names: Sequence[str]) -> str | None:
    if choice.N is None:
        return choice.why_not
    if choice.kind == "parameters":
        return "its N is another count of parameters than the plan's"
    if choice.kind == "law" and choice.name not in laws:
        return f"this plan is made with the terms of {', '.join(laws)} only"
    if choice.coefficients is None:
        return "its coefficients were not kept: fit again with --choices"
    if not set(names) <= set(choice.coefficients):
        return f"it has no {', '.join(n for n in names if n not in choice.coefficients)}"
    return None


def _moves(made: _Made) -> float:
    """How far the choice moves N* of a fit at the fit's own budget, at most, in the logarithm."""
    return max(abs(math.log((choice.N or 1.0) / (main.N or 1.0))) for choice, main in made.values())


def _planned(
    made: Sequence[tuple[str, str, _Made]],
    left_out: list[tuple[str, str]],
    without: Sequence[tuple[str, str]],
    basis: Ground,
    box: Box,
    spend: Spending,
    goal: Goal,
    top: Allocation,
    ceiling: float,
) -> PlanChoices:
    names, laws = basis.laws.names, np.tile(basis.laws.values, (len(made) + 1, 1, 1))
    for row, (_, _, changed) in enumerate(made, start=1):
        for code, (choice, _) in changed.items():
            assert choice.coefficients is not None
            laws[row, basis.languages.index(code)] = [choice.coefficients[n] for n in names]
    draws = LawDraws(basis.law, len(laws), {name: laws[..., i] for i, name in enumerate(names)}, (), ())
    drawn = Drawn(draws, basis.text, basis.weights, spend.C, ceiling, spend.served)
    best = descend(drawn, (1 - EVEN) * top.taken + EVEN * box.even, top.D, box, goal=goal)
    objective = goal.of(best.loss)
    regret = np.maximum(goal.of(drawn.losses(top.N, top.taken)) / objective - 1, 0.0)
    D = drawn.problem.tokens(best.N)
    titles = [("main", "as fitted", ()), *((kind, name, tuple(changed)) for kind, name, changed in made)]
    rows = [
        ChoicePlan(
            kind=kind,
            name=name,
            languages=tuple(changed),
            N=float(best.N[i]),
            D=float(D[i]),
            shares=best.shares[i],
            loss=best.loss[i],
            objective=float(objective[i]),
            regret=float(regret[i]),
        )
        for i, (kind, name, changed) in enumerate(titles)
    ]
    left_out += [(c.name, "its search did not settle") for c, ok in zip(rows, best.settled, strict=True) if not ok]
    tried = [c for c, ok in zip(rows[1:], best.settled[1:], strict=True) if ok]
    return PlanChoices(rows[0], tuple(tried), tuple(left_out), tuple(without), basis.languages)


def _about(number: float) -> str:
    return format_quantity(number, digits=2 if number < 1e11 else 3)
