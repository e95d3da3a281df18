"""What each candidate language alone would cost the question's languages, and what its text is worth to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isogloss import languages as _languages
from isogloss.display import Shown
from isogloss.errors import InputError, located
from isogloss.numerics import jax, jnp
from isogloss.planning.allocate import Allocation, capped_losses
from isogloss.planning.evidence import Ground
from isogloss.planning.expand_full import (
    DRAWS,
    LEVEL,
    capacities,
    common_warnings,
    compared,
    kind_of_cost,
    refuse_options,
    unlearnt,
)
from isogloss.planning.expand_path import EqualLoss
from isogloss.planning.expand_problem import Pool, Span, further_languages, make_pool, mean_weight, solved
from isogloss.planning.kinds import Evidence, some
from isogloss.planning.question import LanguageNeed, Question, read_question, refuse_objective

GROUPS = ("family", "script", "all")
# Weights are predicted for no more candidates than this, those with most text: it takes some 20 s on two cores.
MOST_PREDICTED = 100
MOST_PLANNED = 40
# Less text than this many tokens teaches nothing that the law can tell.
LEAST_TEXT = 1e6


@dataclass(frozen=True)
class Effect:
    """Of one candidate under one assumption on capacity; as in `expand_full.View`."""

    capacity: str
    cost: Span
    """Of the others' weighted mean loss at equal compute, relative."""
    taught: Span
    """Its value to the others: how much higher that mean would be, relative, if its text taught them nothing."""
    at_equal_loss: EqualLoss
    share: float
    loss: Span
    """Its own."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "cost": self.cost.to_dict(),
            "taught": self.taught.to_dict(),
            "compute": self.at_equal_loss.to_dict(),
            "share": self.share,
            "loss": self.loss.to_dict(),
        }


@dataclass(frozen=True)
class Candidate:
    language: str
    text: float
    weight: float
    """Among the question's languages and itself."""
    effects: tuple[Effect, ...]
    evidence: Evidence

    @property
    def main(self) -> Effect:
        """As the question assumes."""
        return self.effects[0]

    def to_dict(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "name": _languages.get(self.language).name,
            "text": self.text,
            "weight": self.weight,
            "capacities": {effect.capacity: effect.to_dict() for effect in self.effects},
            "evidence": {"kind": self.evidence.kind, "source": self.evidence.source},
        }


@dataclass(frozen=True, eq=False)
class Marginal(Shown):
    """Candidates, the most valuable to the others first."""

    title: str
    C: float
    old: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    left_out: Mapping[str, str]
    """Reason by code."""
    level: float
    draws: int
    seed: int
    loss_unit: str
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """With the keys that docs/expand.md documents."""
        return {
            "schema": 1,
            "title": self.title,
            "C": self.C,
            "old": list(self.old),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "left_out": dict(self.left_out),
            "level": self.level if self.draws else None,
            "draws": self.draws,
            "seed": self.seed,
            "loss_unit": self.loss_unit,
            "warnings": list(self.warnings),
        }


def marginal(
    question: Question | str | Path | Mapping[str, Any],
    candidates: str | Sequence[str] | Mapping[str, LanguageNeed] = "family",
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    most: int = MOST_PLANNED,
    progress: Callable[[str, int, int], None] | None = None,
) -> Marginal:
    """Add each candidate alone: cost elsewhere at equal compute, compute at equal loss, value to the others.

    `candidates` is "family" or "script" (languages that share it with one of the question's), "all", or names. Of more
    than `most` those are planned whose text is worth most to the others to first order.

    Raises InputError for names that cannot be added, and where no candidate is left.
    """
    say = progress or (lambda *_: None)
    refuse_options(draws, level, seed)
    if most < 1:
        raise InputError(f"at least one candidate is needed, got {most}", where="most")
    asked = read_question(question)
    refuse_objective(asked, "candidates are")
    needs, left_out = _needs(asked, candidates)
    say("predicting transfer", 0, 1)
    with located(str(question) if isinstance(question, str | Path) else "question"):
        pool = make_pool(asked, needs, draws=draws, seed=seed)
    befores = {c: pool.problem((), c).solve(pool.C, seed=seed) for c in capacities(asked)}
    first = next(iter(befores.values()))
    chosen = _screened(pool, first, most)
    left_out |= {
        code: "its text is worth less to the others, to first order, than that of those planned"
        for i, code in enumerate(pool.new)
        if i not in chosen
    }
    found: list[Candidate] = []
    for done, i in enumerate(chosen):
        say("adding each candidate", done, len(chosen))
        candidate = _candidate(pool, i, befores, level)
        if candidate is None:
            left_out[pool.new[i]] = "the text and the limits leave no plan with it"
        else:
            found.append(candidate)
    if not found:
        raise InputError("no candidate can be added", where="--candidates", hint="Loosen limits.min_share.")
    found.sort(key=lambda c: (-c.main.taught.value, c.main.cost.value))
    return Marginal(
        title=asked.title,
        C=pool.C,
        old=pool.old,
        candidates=tuple(found),
        left_out=left_out,
        level=level,
        draws=draws if pool.draws is not None else 0,
        seed=seed,
        loss_unit=pool.basis.loss_unit,
        warnings=(*_warnings(pool, list(befores.values()), left_out), *_poor(pool, found)),
    )


def _needs(
    asked: Question, candidates: str | Sequence[str] | Mapping[str, LanguageNeed]
) -> tuple[dict[str, LanguageNeed], dict[str, str]]:
    if not isinstance(candidates, str):
        needs = further_languages(asked, candidates, where="--candidates")
    elif candidates in GROUPS:
        return _of_group(asked, candidates)
    else:
        needs = further_languages(asked, [candidates], where="--candidates")
    if not needs:
        raise InputError("no candidates", where="--candidates", hint=f"Say {', '.join(GROUPS)}, or name languages.")
    return needs, {}


def _of_group(asked: Question, group: str) -> tuple[dict[str, LanguageNeed], dict[str, str]]:
    """Languages with text that share a family or a script with one of the question's, most text first."""
    families = {_languages.family_of(code) for code in asked.languages} - {None}
    scripts = {code[4:] for code in asked.languages}
    found: dict[str, float] = {}
    for entry in _languages.all_languages():
        alike = {
            "family": _languages.family_of(entry.code) in families,
            "script": entry.script in scripts,
            "all": True,
        }[group]
        text = _languages.tokens_available(entry.code) if alike and entry.code not in asked.languages else None
        if text is not None and text.tokens >= LEAST_TEXT:
            found[entry.code] = float(text.tokens)
    order = sorted(found, key=lambda code: -found[code])
    if not order:
        raise InputError(
            f"no other language of the same {group} has text", where="--candidates", hint="Name languages, or say all."
        )
    few = f"less text than the {MOST_PREDICTED} candidates with most; name it to see it"
    need = LanguageNeed(weight=mean_weight(asked))
    return dict.fromkeys(order[:MOST_PREDICTED], need), dict.fromkeys(order[MOST_PREDICTED:], few)


def _screened(pool: Pool, before: Allocation, most: int) -> list[int]:
    """The `most` candidates whose text is worth most to the others to first order, in their order."""
    if len(pool.new) <= most:
        return list(range(len(pool.new)))
    value = first_order_value(pool, before)
    return sorted(np.argsort(-value, kind="stable")[:most].tolist())


def first_order_value(pool: Pool, before: Allocation) -> np.ndarray:
    """Per candidate: minus the gradient of the others' mean loss in its tokens, at none, N held, times its tokens.

    Those are an even part of D, or all that its epoch cap allows if that is less.
    """
    law, size, olds = pool.basis.law, len(pool.basis.languages), pool.olds
    weights = np.where(np.arange(size) < olds, pool.basis.weights, 0.0)
    tokens = np.full(size, 1.0)
    tokens[:olds] = np.maximum(before.shares * before.D, 1.0)

    def others(tokens: Any) -> Any:
        return jnp.asarray(weights) @ capped_losses(law, jnp.asarray(pool.basis.U), pool.ceiling, tokens, before.N)

    slope = np.asarray(jax.grad(others)(jnp.asarray(tokens)))[olds:]
    return -slope * np.minimum(pool.box.tokens_high[olds:], before.D / (olds + 1))


def _candidate(pool: Pool, i: int, befores: Mapping[str, Allocation], level: float) -> Candidate | None:
    effects = []
    code = pool.new[i]
    problem = pool.problem([i], "none")
    for capacity, before in befores.items():
        old, new = pool.problem((), capacity), pool.problem([i], capacity)
        after = solved(new, pool.C, before)
        if after is None:
            return None
        view = compared(old, new, pool.C, before, after, capacity, level)
        effects.append(
            Effect(capacity, view.cost, view.taught, view.at_equal_loss, float(after.shares[-1]), view.new_loss[0])
        )
    return Candidate(
        language=code,
        text=float(problem.U[-1]),
        weight=float(problem.weights[-1]),
        effects=tuple(effects),
        evidence=Evidence(f"candidate.{code}", kind_of_cost(pool.basis, [code]), _source(pool.basis, code)),
    )


def _source(basis: Ground, code: str) -> str:
    told = {e.quantity: e for e in basis.evidence}
    return "; ".join(f"{part}: {told[f'{part}.{code}'].source}" for part in ("law", "text"))


def _poor(pool: Pool, found: Sequence[Candidate]) -> list[str]:
    losses = {c.language: c.main.loss.value for c in found}
    return unlearnt(pool, [losses.get(code, 0.0) for code in pool.new])


def _warnings(pool: Pool, plans: Sequence[Allocation], left_out: Mapping[str, str]) -> list[str]:
    out = common_warnings(pool, plans)
    if left_out:
        out.insert(0, f"{len(left_out)} candidates were left out ({some(list(left_out))}); left_out says why.")
    out.append("candidates are added one at a time: what several cost together is not the sum.")
    return out
