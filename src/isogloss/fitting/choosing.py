"""Refits over the analyst's choices: objective, rows, range, exponents, count of parameters, law.

Rules about rows are weights, and objectives are numbers beside the observed losses, so that every
combination of them is a member of one batch of one compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from isogloss.errors import InputError
from isogloss.fitting.choices import Choice, Choices
from isogloss.fitting.health import unseen, values_at
from isogloss.fitting.objective import HuberLogLoss, SquaredLogLoss, SquaredLoss
from isogloss.fitting.optimum import Optimum, loss_of, optimum_of
from isogloss.fitting.problem import Problem, residuals
from isogloss.fitting.refits import FRONTIER, Refit, other_fits
from isogloss.fitting.rows import Rows
from isogloss.fitting.rules import Rule, range_rules, row_rules
from isogloss.fitting.solve import QUICK, THOROUGH, Effort, solve
from isogloss.numerics import jnp
from isogloss.runs import RunTable

if TYPE_CHECKING:
    from isogloss.fitting.result import Fit

DELTAS = (1e-4, 1e-3, 1e-2, 3e-2)
# A Huber cost with a delta above every residual is half the square.
SQUARES = 100.0
# Starts of each choice beside the fit's own optimum, and of each combination of choices beside its parts'.
STARTS = 15
# How alpha = beta is searched: points a round, rounds, and the range of the first.
TIED_POINTS, TIED_ROUNDS, TIED_RANGE = 9, 6, (0.03, 2.5)


RowsOf = Callable[[RunTable], Rows]


@dataclass(frozen=True)
class AnyObjective:
    """Any of the objectives: `observed` `(rows, 3)` is the loss, delta, and 1 for logarithms or 0 for losses.

    Residuals are in units of delta, which leaves every optimum where it is.
    """

    name: ClassVar[str] = "any"

    def residual(self, predicted: Any, observed: Any) -> Any:
        logarithms = jnp.log(predicted) - jnp.log(observed[..., 0])
        return jnp.where(observed[..., 2] > 0, logarithms, predicted - observed[..., 0]) / observed[..., 1]

    def cost(self, residual: Any) -> Any:
        size = jnp.abs(residual)
        return jnp.where(size <= 1, 0.5 * residual**2, size - 0.5)

    def observed(self, predicted: Any, residual: Any) -> Any:
        raise NotImplementedError("residuals are of several objectives")

    def deviance(self, value: Any, best: float, rows: int) -> Any:
        raise NotImplementedError("costs of different objectives do not compare")


@dataclass(frozen=True)
class _Setting:
    """What every choice is made from: all rows that may be used, those that are (`used`), and the fit's own z."""

    problems: tuple[Problem, ...]
    used: np.ndarray
    z: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    C: float
    main: Optimum


def explore(
    answer: Fit,
    problem: Problem,
    rows: Rows,
    z: np.ndarray,
    table: RunTable,
    *,
    whole: RunTable | None,
    budget: float | None,
    rows_of: RowsOf,
    refit: Refit,
    rng: np.random.Generator,
) -> Choices:
    """Every choice, one at a time from the fit as made, and all objectives, rows and ranges together.

    `whole` is the table that `table` was taken from: what its conditions left out may be put back.
    `rows_of` gives a table's rows as the law sees them; `refit(law, params)` fits another law or count of
    parameters to `table`.
    """
    if not answer.has_frontier:
        raise InputError(f"choices are compared by N* and D*, and there is {answer.why_no_frontier()}")
    C = float(budget or answer.default_budgets()[1])
    main = optimum_of(problem.layout, answer.values, C)
    if main is None:
        raise InputError(f"choices are compared by N* and D*, and this fit gives none at {C:.3g} FLOPs")
    objectives = _objectives(problem.objective)
    every, every_table, notes = _every_row(rows_of, rows, table, whole)
    used = np.isin(every.number, rows.number).astype(float) if every is not rows else np.ones(len(rows.loss))
    setting = _setting(problem, every, used, [o for _, o in objectives], z, C, main)
    own = residuals(
        Problem(problem.layout, problem.objective, every.columns, every.loss, problem.held, problem.centres), z
    )
    outliers = row_rules(every, used, own[0], table)
    ranges = range_rules(every, used, every_table)
    weights = np.array([used, *(r.weights for r in (*outliers, *ranges))])
    single = _one_at_a_time(setting, len(objectives), weights, rng)
    tried = [
        *(_choice(setting, "objective", name, used, z) for (name, _), z in zip(objectives[1:], single[1], strict=True)),
        *(
            _choice(setting, r.kind, r.name, r.weights, z)
            for r, z in zip((*outliers, *ranges), single[0][1:], strict=True)
        ),
    ]
    if set(FRONTIER) <= {problem.layout.slots[i].name for i in problem.layout.free}:
        tried.append(_choice(setting, "exponents", "alpha = beta", used, _tied(setting, used), tied=True))
    combined = _combined(setting, single, used, outliers, ranges)
    others, more = other_fits(answer, table, C, main, refit)
    return Choices(
        C=C,
        level=answer.level,
        params=answer.params,
        main=Choice(
            "main",
            "as fitted",
            len(rows.loss),
            main.N,
            main.D,
            main.loss,
            main.loss,
            coefficients=problem.layout.named(answer.values),
        ),
        intervals=_intervals(answer, C, main),
        tried=(*tried, *others),
        combined=len(combined),
        combined_N=(min(combined), max(combined)) if combined else None,
        notes=(*notes, *more),
    )


def _objectives(chosen: Any) -> list[tuple[str, tuple[float, float]]]:
    """Names, and delta with whether logarithms are taken, the fit's own first."""
    known = {HuberLogLoss(d): (f"Huber, delta {d:g}", (d, 1.0)) for d in DELTAS}
    known |= {
        SquaredLogLoss(): ("squares of log loss", (SQUARES, 1.0)),
        SquaredLoss(): ("squares of loss", (SQUARES, 0.0)),
    }
    own = known.pop(chosen, None) or (f"Huber, delta {chosen.delta:g}", (chosen.delta, 1.0))
    return [own, *known.values()]


def _every_row(
    rows_of: RowsOf, rows: Rows, table: RunTable, whole: RunTable | None
) -> tuple[Rows, RunTable, list[str]]:
    """The rows of `whole` as the law sees them, `rows` among them; `rows` alone where they cannot be put back."""
    if whole is None:
        return rows, table, []
    try:
        every = rows_of(whole)
    except InputError as problem:
        return rows, table, [f"rows that were left out cannot be put back: {problem}"]
    if len(np.unique(every.number)) < len(every.number) or not set(rows.number) <= set(every.number):
        return rows, table, ["rows that were left out are not put back: a row of the file has several losses."]
    return every, whole, []


def _setting(
    problem: Problem,
    every: Rows,
    used: np.ndarray,
    objectives: Sequence[tuple[float, float]],
    z: np.ndarray,
    C: float,
    main: Optimum,
) -> _Setting:
    # Bounds are those of the rows in use; E may not exceed any loss among the others either.
    lower, upper = problem.layout.bounds(np.append(problem.loss, every.loss.min()))
    problems = []
    for delta, log in objectives:
        observed = np.stack([every.loss, np.full(len(used), delta), np.full(len(used), log)], axis=1)
        problems.append(Problem(problem.layout, AnyObjective(), every.columns, observed, problem.held, problem.centres))
    return _Setting(tuple(problems), used, np.clip(z, lower, upper), lower, upper, C, main)


def _solve(
    setting: _Setting,
    starts: np.ndarray,
    which: np.ndarray,
    weights: np.ndarray,
    effort: Effort = THOROUGH,
    tied: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Best z `(choices, free)` and its objective, of starts `(choices, starts, free)`.

    `which` `(choices,)` is the objective of each, `weights` `(choices, rows)`; `tied` `(choices, starts)`
    holds alpha and beta at one value.
    """
    choices, count, free = starts.shape
    lower, upper = (np.broadcast_to(b, (choices, count, free)).copy() for b in (setting.lower, setting.upper))
    if tied is not None:
        for j in _exponents(setting):
            lower[..., j] = upper[..., j] = np.log(tied)
    solved = solve(
        setting.problems,
        starts.reshape(-1, free),
        lower.reshape(-1, free),
        upper.reshape(-1, free),
        which=np.repeat(which, count),
        weights=np.repeat(weights, count, axis=0),
        effort=effort,
    )
    value = np.where(np.isfinite(solved.value), solved.value, np.inf).reshape(choices, count)
    best = value.argmin(1)
    return solved.z.reshape(choices, count, free)[np.arange(choices), best], value.min(1)


def _exponents(setting: _Setting) -> list[int]:
    layout = setting.problems[0].layout
    return [j for j, i in enumerate(layout.free) if layout.slots[i].name in ("alpha", "beta")]


def _one_at_a_time(
    setting: _Setting, objectives: int, weights: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """z of the fit's own objective for each of `weights`, and z of the other objectives for the rows in use."""
    layout, loss = setting.problems[0].layout, setting.problems[0].loss[setting.used > 0, 0]
    points = np.clip(np.vstack([setting.z, layout.starts(STARTS, loss, rng)]), setting.lower, setting.upper)
    which = np.array([*[0] * len(weights), *range(1, objectives)])
    every = np.vstack([weights, np.repeat(setting.used[None], objectives - 1, axis=0)])
    z, _ = _solve(setting, np.repeat(points[None], len(which), axis=0), which, every)
    return z[: len(weights)], z[len(weights) :]


def _tied(setting: _Setting, weights: np.ndarray) -> np.ndarray:
    """z of the best fit with alpha = beta: they are held at values that close in on the best."""
    low, high = np.log(TIED_RANGE)
    z = setting.z
    for _ in range(TIED_ROUNDS):
        values = np.linspace(low, high, TIED_POINTS)
        starts = np.repeat(z[None, None], TIED_POINTS, axis=0)
        solved, cost = _solve(
            setting,
            starts,
            np.zeros(TIED_POINTS, int),
            np.repeat(weights[None], TIED_POINTS, axis=0),
            tied=np.exp(values)[:, None],
        )
        best = int(cost.argmin())
        z, step = solved[best], values[1] - values[0]
        low, high = values[best] - step, values[best] + step
    return z


def _combined(
    setting: _Setting,
    single: tuple[np.ndarray, np.ndarray],
    used: np.ndarray,
    outliers: Sequence[Rule],
    ranges: Sequence[Rule],
) -> list[float]:
    """N* of every combination of objective, rule about rows and range, each searched from its parts' optima."""
    by_rule, by_objective = single
    of_outlier = [(used, by_rule[0]), *((r.weights, z) for r, z in zip(outliers, by_rule[1:], strict=False))]
    of_range = [(np.ones_like(used), by_rule[0])]
    of_range += [(r.weights > 0, z) for r, z in zip(ranges, by_rule[1 + len(outliers) :], strict=True)]
    of_objective = [by_rule[0], *by_objective]
    starts, which, weights = [], [], []
    for index, z_objective in enumerate(of_objective):
        for rows, z_rows in of_outlier:
            for within, z_range in of_range:
                starts.append([setting.z, z_objective, z_rows, z_range])
                which.append(index)
                weights.append(rows * within)
    z, _ = _solve(setting, np.array(starts), np.array(which), np.array(weights), QUICK)
    found = [_answer(setting, w, own) for w, own in zip(weights, z, strict=True)]
    return [o.N for o in found if isinstance(o, Optimum)]


def _answer(setting: _Setting, weights: np.ndarray, z: np.ndarray, *, tied: bool = False) -> Optimum | str:
    """The optimum at z, or why these rows give none."""
    layout = setting.problems[0].layout
    free, rows = len(layout.free) - tied, int((weights > 0).sum())
    if rows <= free:
        return f"{rows} rows cannot determine {free} coefficients"
    names = [layout.slots[i].name for i in layout.free]
    J = residuals(setting.problems[0], z)[1][weights > 0]
    if not tied and (lost := [n for n in unseen(J, names) if n in FRONTIER]):
        return f"its rows cannot tell {' and '.join(lost)} apart"
    found = optimum_of(layout, values_at(setting.problems[0], z), setting.C, at=setting.main)
    return found or "it has no optimum within reason"


def _choice(
    setting: _Setting, kind: str, name: str, weights: np.ndarray, z: np.ndarray, *, tied: bool = False
) -> Choice:
    found, rows = _answer(setting, weights, z, tied=tied), int((weights > 0).sum())
    if isinstance(found, str):
        return Choice(kind, name, rows, why_not=found)
    layout = setting.problems[0].layout
    values = layout.named(values_at(setting.problems[0], z))
    return Choice(kind, name, rows, found.N, found.D, found.loss, found.loss_at, coefficients=values)


def _intervals(answer: Fit, C: float, main: Optimum) -> dict[str, tuple[float, float]]:
    if not len(answer.draws):
        return {}
    row = answer.optimum([C]).row(0, named=True)
    found = {name: (row[f"{name}_low"], row[f"{name}_high"]) for name in "ND" if f"{name}_low" in row}
    tail = 50 * (1 - answer.level)
    losses = loss_of(answer.layout, answer.draws, np.array([main.N]), np.array([main.D]))
    if losses is not None:
        low, high = np.percentile(losses[:, 0], [tail, 100 - tail])
        found["loss"] = (float(low), float(high))
    return found
