"""expand by the full law: a question's plan with further languages, at equal compute and at equal loss."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.display import Shown
from isogloss.errors import InputError, located
from isogloss.planning.allocate import Allocation
from isogloss.planning.evidence import Ground
from isogloss.planning.expand_path import EqualLoss, equal_loss
from isogloss.planning.expand_problem import (
    CAPACITIES,
    Pool,
    Problem,
    Span,
    further_languages,
    make_pool,
    span,
)
from isogloss.planning.kinds import Evidence, Kind, some, weakest
from isogloss.planning.question import LanguageNeed, Question, read_question, refuse_objective
from isogloss.stores import local

DRAWS, LEVEL = 100, 0.8
FEWEST_DRAWS = 10
# A loss above this part of a uniform guess's is that of a language that was not learnt.
NEAR_GUESS = 0.4
HELD = (
    "intervals hold draws of laws and transfer weights under the plans as made: mixtures and sizes are not sought "
    "again for every draw."
)
NO_TAX = (
    "without a capacity tax (assumptions.capacity = none) a further language costs the others only tokens, a size that "
    "suits all, and interference where its transfer weights are negative; beside it stands what ATLAS's K^0.11 says."
)


@dataclass(frozen=True, eq=False)
class View:
    """What adding does under one assumption on capacity. Arrays are over the question's languages, then the new."""

    capacity: str
    before: Allocation
    after: Allocation
    change: tuple[Span, ...]
    """Of each old language's loss at equal compute, relative."""
    new_loss: tuple[Span, ...]
    cost: Span
    """Of the old languages' weighted mean loss at equal compute, relative; below 0 they gain."""
    taught: Span
    """How much higher that mean would be, relative, if the new text taught them nothing; below 0 it harms."""
    at_equal_loss: EqualLoss


@dataclass(frozen=True, eq=False)
class FullExpansion(Shown):
    """A question with its languages `old`, and with the `new` ones too; one view per assumption on capacity."""

    title: str
    C: float
    old: tuple[str, ...]
    new: tuple[str, ...]
    text: np.ndarray
    weights: np.ndarray
    """With the new languages, summing to 1."""
    views: tuple[View, ...]
    level: float
    draws: int
    """0: nothing has an interval."""
    seed: int
    loss_unit: str
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        return self.old + self.new

    @property
    def main(self) -> View:
        """As the question assumes."""
        return self.views[0]

    def to_dict(self) -> dict[str, Any]:
        """With the keys that docs/expand.md documents."""
        return {
            "schema": 1,
            "title": self.title,
            "C": self.C,
            "old": list(self.old),
            "new": list(self.new),
            "text": _named(self.languages, self.text),
            "weights": _named(self.languages, self.weights),
            "capacities": {view.capacity: self._view(view) for view in self.views},
            "level": self.level if self.draws else None,
            "draws": self.draws,
            "seed": self.seed,
            "loss_unit": self.loss_unit,
            "evidence": {e.quantity: {"kind": e.kind, "source": e.source} for e in self.evidence},
            "warnings": list(self.warnings),
        }

    def _view(self, view: View) -> dict[str, Any]:
        return {
            "cost": view.cost.to_dict(),
            "taught": view.taught.to_dict(),
            "compute": view.at_equal_loss.to_dict(),
            "loss_change": {code: s.to_dict() for code, s in zip(self.old, view.change, strict=True)},
            "new_loss": {code: s.to_dict() for code, s in zip(self.new, view.new_loss, strict=True)},
            "before": _plan(view.before, self.old),
            "after": _plan(view.after, self.languages),
        }


def _named(codes: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {code: float(v) for code, v in zip(codes, values, strict=True)}


def _plan(plan: Allocation, codes: Sequence[str]) -> dict[str, Any]:
    return {"N": plan.N, "D": plan.D, "shares": _named(codes, plan.shares), "loss": _named(codes, plan.loss)}


def expand_question(
    question: Question | str | Path | Mapping[str, Any],
    add: Sequence[str] | Mapping[str, LanguageNeed],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> FullExpansion:
    """What serving the languages `add` too changes for those of the question, by the planner's own law.

    At equal compute: the change of each old language's loss, relative, and the new plan. At equal loss: the factor on
    compute that keeps the weighted mean of the old languages' losses. A new language has the weight of its table, or
    the mean weight of the old ones, and text from the packaged inventory unless its table says.

    Raises InputError for a language that is unknown, there already or without text, and for limits that leave no
    plan; PlanError where the search finds none.
    """
    say = progress or (lambda _: None)
    refuse_options(draws, level, seed)
    asked, where = read_question(question), _where(question)
    refuse_objective(asked, "added languages are")
    needs = further_languages(asked, add, where="--add")
    if not needs:
        raise InputError("no language to add", where="--add", hint="Name one, such as --add Latgalian.")
    say("gathering evidence")
    with located(where):
        pool = make_pool(asked, needs, draws=draws, seed=seed)
    views = []
    for capacity in capacities(asked):
        say(f"planning with and without, capacity {capacity}")
        views.append(_view(pool, capacity, level, seed))
    drawn = pool.draws is not None
    return FullExpansion(
        title=asked.title,
        C=pool.C,
        old=pool.old,
        new=pool.new,
        text=pool.basis.U,
        weights=pool.basis.weights,
        views=tuple(views),
        level=level,
        draws=draws if drawn else 0,
        seed=seed,
        loss_unit=pool.basis.loss_unit,
        evidence=(*pool.basis.evidence, *_derived(pool)),
        warnings=(
            *common_warnings(pool, [v.after for v in views]),
            *unlearnt(pool, [s.value for s in views[0].new_loss]),
        ),
    )


def refuse_options(draws: int, level: float, seed: int) -> None:
    if draws and draws < FEWEST_DRAWS:
        raise InputError(
            f"intervals need at least {FEWEST_DRAWS} draws, got {draws}", where="draws", hint="0 leaves them out."
        )
    if not 0 < level < 1:
        raise InputError(f"the level must be between 0 and 1, got {level:g}", where="level")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")


def _where(question: Any) -> str:
    return str(question) if isinstance(question, str | Path) else "question"


def capacities(asked: Question) -> tuple[str, ...]:
    """As the question assumes; without a tax, what the tax would say stands beside."""
    return CAPACITIES if asked.assumptions.capacity == "none" else (asked.assumptions.capacity,)


def _view(pool: Pool, capacity: str, level: float, seed: int) -> View:
    old = pool.problem((), capacity)
    new = pool.problem(range(len(pool.new)), capacity)
    before = old.solve(pool.C, seed=seed)
    after = better(new.solve(pool.C, before), new.solve(pool.C, seed=seed))
    return compared(old, new, pool.C, before, after, capacity, level)


def better(a: Allocation, b: Allocation) -> Allocation:
    return a if a.objective <= b.objective else b


def compared(
    old: Problem, new: Problem, C: float, before: Allocation, after: Allocation, capacity: str, level: float
) -> View:
    """Two plans at one budget, and the budget at which the second keeps the old languages' loss."""
    was, now, silent = old.drawn(C, before), new.drawn(C, after), new.drawn(C, after, taught=False)
    w, count = old.old_weights, old.olds
    mean_before, mean_after = old.old_loss(before), new.old_loss(after)
    change, fresh, cost, taught, wanted = None, None, None, None, None
    if was is not None and now is not None and silent is not None:
        wanted, means = was @ w, now[:, :count] @ w
        change, fresh = now[:, :count] / was - 1, now[:, count:]
        cost, taught = means / wanted - 1, silent[:, :count] @ w / means - 1
    relative = after.loss[:count] / before.loss - 1
    return View(
        capacity=capacity,
        before=before,
        after=after,
        change=_spans(relative, change, level),
        new_loss=_spans(after.loss[count:], fresh, level),
        cost=span(mean_after / mean_before - 1, cost, level),
        taught=span(new.untaught_loss(C, after) / mean_after - 1, taught, level),
        at_equal_loss=equal_loss(new, C, after, mean_before, wanted, level),
    )


def _spans(values: np.ndarray, drawn: np.ndarray | None, level: float) -> tuple[Span, ...]:
    columns = [None] * len(values) if drawn is None else list(drawn.T)
    return tuple(span(float(v), c, level) for v, c in zip(values, columns, strict=True))


def kind_of_cost(basis: Ground, further: Sequence[str]) -> Kind:
    """Computed, and no better than the weakest number that it rests on."""
    kinds = {e.quantity: e.kind for e in basis.evidence}
    every = [kinds[f"{part}.{code}"] for part in ("law", "transfer") for code in basis.languages]
    return weakest(["predicted", kinds["repetition"], *every, *(kinds[f"text.{c}"] for c in further)])


def _derived(pool: Pool) -> list[Evidence]:
    kind = kind_of_cost(pool.basis, pool.new)
    source = "two plans at one budget by the same laws and weights; rests on the weakest of them"
    return [Evidence(name, kind, source) for name in ("cost", "taught", "compute", "loss_change", "new_loss")]


def common_warnings(pool: Pool, plans: Sequence[Allocation]) -> list[str]:
    basis, out = pool.basis, []
    if pool.question.assumptions.capacity == "none":
        out.append(NO_TAX)
    if pool.draws is None:
        out.append("no intervals: none were asked for, or nothing that this rests on has any.")
    else:
        out.append(HELD)
        lacks = [*pool.draws.lacks, "the capacity exponent phi: published without an interval"]
        out.append(f"the draws hold {'; '.join(pool.draws.varies)}. Not in them: {'; '.join(dict.fromkeys(lacks))}.")
    low, high = basis.N_range
    if any(not low <= plan.N <= high for plan in plans):
        out.append(f"sizes lie outside those behind the laws ({low:.3g} to {high:.3g}): extrapolated.")
    out += basis.warnings
    out.append(
        "laws and weights are made once for all languages here. Predicted weights depend on the set of languages: with "
        "other candidates, or in `isogloss plan`, the same language's figures differ, within their intervals."
    )
    return out


def unlearnt(pool: Pool, losses: Sequence[float]) -> list[str]:
    """Which further languages, with these losses, hardly get below a uniform guess."""
    poor = [code for code, loss in zip(pool.new, losses, strict=True) if loss > NEAR_GUESS * pool.ceiling]
    if not poor:
        return []
    return [
        f"{some(poor)}: so little text, or so little of it in the plan, that the loss stays near a uniform guess's "
        f"({pool.ceiling:.2f}). No law here was measured on so few tokens; the cost is not that of serving it well."
    ]


def read_additions(path: str | Path, asked: Question) -> dict[str, LanguageNeed]:
    """Languages to add from a TOML file with the [languages.NAME] tables of a question, or `languages = [...]`.

    Raises InputError as a question file does.
    """
    place = Path(local(path))
    try:
        raw = tomllib.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"not TOML: {error}", where=str(path)) from None
    more = [key for key in raw if key != "languages"]
    if more:
        raise InputError(
            f"holds {', '.join(more)}",
            where=str(path),
            hint="A file of languages to add has [languages.NAME] tables and nothing else.",
        )
    listed = raw.get("languages")
    if isinstance(listed, dict):
        for need in listed.values():
            if isinstance(need, dict) and isinstance(need.get("fit"), str):
                need["fit"] = str(place.parent / need["fit"])
    try:
        return dict(read_question({"budget": asked.budget.C, "languages": listed}).languages)
    except InputError as error:
        where = (error.where or "").removeprefix("question").lstrip(", ")
        raise InputError(error.what, where=f"{path}, {where}" if where else str(path), hint=error.hint) from None
