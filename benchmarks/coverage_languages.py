"""Simulated studies of several languages under ATLAS, for coverage.py: one law each, fitted together.

The design is of worlds.py; the losses are those of the law as it is fitted (three sources, the others as one), so that
there is a true value of every coefficient. Languages' coefficients are drawn once from a population; a run is measured
on all its languages, so that its error is shared between them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from worlds import alone, make_runs, make_world, measure, pairs, uneven

from isogloss.fitting.frontier import evaluate, frontier
from isogloss.fitting.groups import Groups, group_rows
from isogloss.fitting.health import values_at
from isogloss.fitting.languages import Across, solve_groups
from isogloss.fitting.objective import HuberLogLoss
from isogloss.fitting.spread import draw
from isogloss.laws import Atlas
from isogloss.numerics import jnp
from isogloss.runs import read_runs

DECAY = 0.08
STARTS = 1
DRAWS = 500
WAYS: dict[str, Across] = {"joint, pooled": "pooled", "joint, separate": "separate"}


def design(languages: int, keep: float, seed: int) -> Groups:
    """Models of 30M to 3B parameters on one language, pairs, and all of them unevenly, with two checkpoints each."""
    world = make_world(languages, seed=seed, text=(2e9, 4e10))
    mixtures = np.concatenate([alone(world), pairs(world, 2), uneven(world, [4, languages], each=3, seed=seed)])
    runs = make_runs(
        sizes=np.geomspace(3e7, 3e9, 4),
        tokens=[8e9, 1.2e11],
        mixtures=mixtures,
        keep=keep,
        seed=seed,
    )
    table = read_runs(measure(world, runs, seed=seed), unit="nats/token")
    return group_rows(Atlas, table, HuberLogLoss(), tie=["lambda_"])


def true_values(groups: Groups, seed: int) -> np.ndarray:
    """Raw `(groups, slots)`, from a population like the published languages'."""
    rng = np.random.default_rng(seed)
    count, centres = len(groups), groups.problems[0].centres
    named = {
        "E": 1.1 + 0.12 * rng.standard_normal(count),
        "alpha": 0.34 * np.exp(0.1 * rng.standard_normal(count)),
        "beta": 0.31 * np.exp(0.1 * rng.standard_normal(count)),
        "lambda_": np.full(count, DECAY),
        "tau_other": 0.05 + 0.08 * rng.standard_normal(count),
        "phi": np.zeros(count),
    }
    named["A"] = 0.55 * np.exp(0.15 * rng.standard_normal(count) + named["alpha"] * centres[0])
    named["B"] = 0.5 * np.exp(0.2 * rng.standard_normal(count) + named["beta"] * centres[1])
    columns = [
        named[s.name] if s.name in named else 0.25 + 0.12 * rng.standard_normal(count) for s in groups.layout.slots
    ]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class LanguagesStudy:
    """ATLAS for every language at once, lambda_ one for all. Quantities are named "alpha, eng_Latn"."""

    name: str
    groups: Groups
    noise: float
    heavy: bool = True
    seed: int = 0
    methods: tuple[str, ...] = tuple(WAYS)
    parts: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        values = true_values(self.groups, self.seed)
        losses, budgets = [], []
        for problem, raw in zip(self.groups.problems, values, strict=True):
            columns = {k: jnp.asarray(v) for k, v in problem.columns.items()}
            losses.append(np.asarray(evaluate(self.groups.layout, jnp.asarray(raw)[None], columns))[0])
            budgets.append(10 * float((6 * problem.columns["N"] * problem.columns["D_target"]).max()))
        self.parts.update(values=values, losses=losses, budgets=np.array(budgets))
        best = [
            frontier(self.groups.layout, raw[None], np.array([budget]))
            for raw, budget in zip(values, budgets, strict=True)
        ]
        self.parts["beyond"] = [(float(N[0, 0]), float(D[0, 0])) for N, D in best]

    @property
    def truth(self) -> dict[str, float]:
        return {k: float(v[0]) for k, v in self.quantities(self.parts["values"][:, None, :]).items()}

    def about(self) -> dict[str, Any]:
        runs = int(max(run.max() for run in self.groups.run)) + 1
        tail = "Student's t with 3 degrees of freedom" if self.heavy else "Gaussian"
        return {
            "law": "atlas",
            "languages": len(self.groups),
            "runs": runs,
            "rows": sum(p.rows for p in self.groups.problems),
            "coefficients": len(self.groups) * int((~self.groups.shared).sum()) + int(self.groups.shared.sum()),
            "noise": f"{tail}, {100 * self.noise:g} %: a third of the variance of the run, a third of the run and "
            "target, a third of each checkpoint",
            "averaged_over": "languages, and sources of transfer",
        }

    def quantities(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Each `(draws,)`, of raw values `(groups, draws, slots)`."""
        out: dict[str, np.ndarray] = {}
        layout = self.groups.layout
        sources = next(iter(self.groups.problems)).columns["D_sources"].shape[1]
        for group, language in enumerate(self.groups.names):
            raw, problem = values[group], self.groups.problems[group]
            by_name = {n: raw[:, i] for i, n in enumerate(layout.names) if n not in ("phi", "A", "B")}
            for term, exponent, centre in (("A", "alpha", problem.centres[0]), ("B", "beta", problem.centres[1])):
                coefficient = raw[:, layout.names.index(term)]
                by_name[f"{term} term"] = coefficient * np.exp(-by_name[exponent] * centre)
            N, D = self.parts["beyond"][group]
            at = {
                **{"N": [N], "D_target": [D], "U_target": [np.inf], "D_other": [0.0], "U_other": [np.inf]},
                **{"K": [1.0], "K_other": [1.0]},
                **{"D_sources": [[0.0] * sources], "U_sources": [[np.inf] * sources]},
            }
            columns = {k: jnp.asarray(v) for k, v in at.items()}
            by_name["loss at 10 C"] = np.asarray(evaluate(layout, jnp.asarray(raw), columns))[:, 0]
            by_name["N* at 10 C"] = frontier(layout, raw, self.parts["budgets"][[group]])[0][:, 0]
            out |= {f"{name}, {language}": v for name, v in by_name.items()}
        return out

    def drawn(self, seed: int, methods: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        groups = self.with_losses(seed)
        found = {}
        for method in methods:
            if method not in WAYS:
                continue
            rng = np.random.default_rng([seed, 9])
            begin = np.stack([[p.layout.starts(1, p.loss, rng)[0] for p in groups.problems] for _ in range(STARTS)])
            begin = np.clip(begin, groups.lower, groups.upper)
            _, optimum = solve_groups(groups, WAYS[method], begin, rng)
            moved = draw(groups, optimum, DRAWS, rng)
            values = np.array([values_at(p, z) for p, z in zip(groups.problems, moved, strict=True)])
            found[method] = self.quantities(values)
        return found

    def with_losses(self, seed: int) -> Groups:
        """The design with losses drawn from `seed`."""
        rng = np.random.default_rng([seed, 7])
        runs = int(max(run.max() for run in self.groups.run)) + 1
        of_run = self._errors(runs, rng)
        problems = []
        for problem, run, loss in zip(self.groups.problems, self.groups.run, self.parts["losses"], strict=True):
            error = of_run[run] + self._errors(runs, rng)[run] + self._errors(len(run), rng)
            problems.append(replace(problem, loss=loss * np.exp(error)))
        bounds = [p.layout.bounds(p.loss) for p in problems]
        lower, upper = np.array([b[0] for b in bounds]), np.array([b[1] for b in bounds])
        return replace(self.groups, problems=tuple(problems), lower=lower, upper=upper)

    def _errors(self, count: int, rng: np.random.Generator) -> np.ndarray:
        unit = rng.standard_t(3, count) / np.sqrt(3) if self.heavy else rng.standard_normal(count)
        return self.noise / np.sqrt(3) * unit


def studies() -> list[LanguagesStudy]:
    return [
        LanguagesStudy("atlas joint, 6 languages, heavy", design(6, 0.75, 1), 0.006, True, 1),
        LanguagesStudy("atlas joint, 5 languages, quiet", design(5, 0.7, 2), 0.002, False, 2),
    ]
