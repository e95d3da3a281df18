"""fit: from a run table to a law with intervals and a statement of how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import FitError, InputError
from isogloss.fitting.causes import constant_exponents, wanting
from isogloss.fitting.choosing import explore
from isogloss.fitting.health import Health, distinct_optima, examine, values_at
from isogloss.fitting.intervals import NONE, check_name, choose, draw, interval_warnings
from isogloss.fitting.layout import Layout, make_layout
from isogloss.fitting.objective import Objective, get_objective
from isogloss.fitting.own_law import check_objective, check_usable
from isogloss.fitting.problem import Problem, residuals
from isogloss.fitting.result import Estimate, Fit, status_of
from isogloss.fitting.rows import Rows, rows_for
from isogloss.fitting.solve import Solutions, solve
from isogloss.fitting.solved import Solved
from isogloss.laws.base import Law
from isogloss.laws.forms import Form, as_form
from isogloss.runs import RunTable, read_runs
from isogloss.runs.table import Which

Progress = Callable[[str, int, int], None]


def fit(
    law: type[Law] | Form | str,
    runs: RunTable | Any,
    *,
    objective: Objective | str = "huber-log",
    target: str | None = None,
    params: Which | None = None,
    sources: Sequence[str] | None = None,
    fix: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    switches: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    starts: int = 64,
    intervals: str = "auto",
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    choices: bool = False,
    whole: RunTable | None = None,
    budget: float | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit `law` (a class, a form, a name such as "chinchilla" or "mylaw.py:MyLaw") to `runs` (a RunTable, a path
    or a data frame).

    `target` chooses one target language; `params` which count of parameters N is; `sources` the transfer
    languages of ATLAS (default: the three most co-sampled). `fix` holds coefficients at raw values and `free`
    releases those that have a default. `intervals` names how the `draws` behind the intervals at `level` are
    made (`isogloss.fitting.intervals`): "auto", "bootstrap", "wild", "pooled", "laplace", "profile", "posterior" or
    "none".
    The result is the same for the same `seed`.

    A named form's own `fix`, `free` and so on hold where none are given. `columns` says which column of the table
    is which of the law's, where its name alone cannot: {"x": "hours"}.

    With `choices`, N* and D* at `budget` FLOPs (default: ten times the largest run's) are given for other
    objectives, rows, ranges, laws and so on as well; `whole` is the table that `runs` was taken from, so that
    rows which a condition left out can be put back.

    Raises InputError where the runs cannot determine the law, FitError where no start gives a finite loss.
    """
    form = as_form(law)
    kind, sources = form.law, form.sources if sources is None else sources
    fix, free, switches = {**form.fix, **(fix or {})}, (*form.free, *free), {**form.switches, **(switches or {})}
    cost = get_objective(objective) if isinstance(objective, str) else objective
    if starts < 1 or draws < 0 or not 0 < level < 1:
        raise InputError("starts must be at least 1, draws at least 0, and level between 0 and 1")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    check_name(intervals)
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    if target is not None:
        table = table.for_target(target)
    rows = rows_for(kind, table, params=params, sources=sources, switches=switches, columns=columns)
    check_objective(kind, cost, rows.loss, table.source)
    layout, held = make_layout(
        kind, sources=rows.sources, languages=rows.languages, fix=fix, free=free, switches=switches
    )
    problem = Problem(layout, cost, rows.columns, rows.loss, held, layout.centres(rows.columns))
    rng = np.random.default_rng(seed)
    check_usable(problem, table.source)
    problem, undetermined = _hold_undetermined(problem, rng)
    _check_enough(problem, rows, table.source)
    solutions, lower, upper = _best(problem, starts, rng, progress)
    z = solutions.z[solutions.best()]
    health = examine(problem, solutions, z, lower, upper, undetermined)
    intervals = choose(intervals, rows.runs, len(problem.layout.free)) if draws else NONE
    solved = Solved(problem, rows.run, distinct_optima(solutions), lower, upper)
    drawn = _draws(intervals, solved, draws, rng, progress)
    answer = _result(problem, rows, table, solutions, z, health, drawn, intervals, level, starts, seed)
    answer = replace(answer, named=tuple((columns or {}).items()))
    if not choices:
        return answer

    def rows_of(whole: RunTable) -> Rows:
        chosen = whole if target is None else whole.for_target(target)
        return rows_for(kind, chosen, params=rows.params, sources=rows.sources, switches=switches, columns=columns)

    def refit(law: type[Law] = kind, params: Which | None = rows.params) -> Fit:
        known = {name: value for name, value in (fix or {}).items() if law is kind or _has(law, name)}
        own: dict[str, Any] = (
            {"free": free, "switches": switches, "sources": rows.sources, "columns": columns} if law is kind else {}
        )
        return fit(law, table, objective=cost, params=params, fix=known, starts=starts, draws=0, seed=seed, **own)

    return _with_choices(answer, problem, rows, z, table, whole, budget, rows_of, refit, seed)


def _with_choices(
    answer: Fit,
    problem: Problem,
    rows: Rows,
    z: np.ndarray,
    table: RunTable,
    whole: RunTable | None,
    budget: float | None,
    rows_of: Callable[[RunTable], Rows],
    refit: Callable[..., Fit],
    seed: int,
) -> Fit:
    """The fit with what other choices give, or with a warning that says why there is nothing to compare."""
    options: dict[str, Any] = {"whole": whole, "budget": budget, "rows_of": rows_of, "refit": refit}
    try:
        found = explore(answer, problem, rows, z, table, **options, rng=np.random.default_rng(seed))
    except InputError as reason:
        return replace(answer, warnings=(*answer.warnings, f"choices were not tried: {reason.what}."))
    return replace(answer, choices=found)


def _has(law: type[Law], name: str) -> bool:
    return name in [c.name for c in law.coefficients]


def _hold_undetermined(problem: Problem, rng: np.random.Generator) -> tuple[Problem, tuple[str, ...]]:
    """Take out of the fit what the rows say nothing of, such as lambda where nothing is repeated."""
    layout, held = problem.layout, problem.held.copy()
    points = layout.starts(4, problem.loss, rng)
    effect = np.max([np.abs(residuals(problem, z)[1]).max(0, initial=0.0) for z in points], axis=0)
    # An exponent of what never changes is another name for the term it multiplies.
    constant = constant_exponents(problem)
    dead = [i for j, i in enumerate(layout.free) if effect[j] == 0 or layout.slots[i].name in constant]
    if not dead:
        return problem, ()
    held[dead] = [layout.slots[i].default() for i in dead]
    alive = tuple(i for i in layout.free if i not in dead)
    reduced = replace(layout, free=alive)
    names = tuple(layout.slots[i].name for i in dead)
    return Problem(reduced, problem.objective, problem.columns, problem.loss, held, problem.centres), names


def _check_enough(problem: Problem, rows: Rows, source: str) -> None:
    need = len(problem.layout.free)
    names = ", ".join(problem.layout.slots[i].name for i in problem.layout.free)
    if need == 0:
        raise InputError("every coefficient is held: there is nothing to fit", hint="Leave out one --fix.")
    if rows.runs < 2:
        raise InputError(
            f"there is one run only, with {problem.rows} row{'s' * (problem.rows != 1)}",
            where=source,
            hint="A law needs runs that differ in N and D; if rows are runs of their own, give each a run_id.",
        )
    more = need + 1 - problem.rows
    if more > 0:
        raise InputError(
            f"{problem.rows} rows cannot determine {need} coefficients ({names})",
            where=source,
            hint=f"Add {more} run{'s' * (more > 1)} or more{wanting(problem)}; or hold coefficients, --fix name=value.",
        )
    if np.ptp(problem.loss) == 0:
        raise InputError(
            f"all {problem.rows} losses equal {problem.loss[0]:g}: no law can be fitted",
            where=f"{source}, column loss",
            hint="Check that this column holds each run's own loss.",
        )


def _best(
    problem: Problem, starts: int, rng: np.random.Generator, progress: Progress | None
) -> tuple[Solutions, np.ndarray, np.ndarray]:
    lower, upper = problem.layout.bounds(problem.loss)
    points = problem.layout.starts(starts, problem.loss, rng)
    report = None if progress is None else (lambda done: progress("starts", done, starts))
    solutions = solve(problem, points, lower, upper, progress=report)
    if not np.isfinite(solutions.value).any():
        raise FitError(
            f"none of {starts} starts gave a finite loss for law {problem.layout.law.name}. Check the columns' units."
        )
    return solutions, lower, upper


def _draws(kind: str, solved: Solved, draws: int, rng: np.random.Generator, progress: Progress | None) -> np.ndarray:
    """Raw slot values `(draws, slots)`."""
    report = None if progress is None else (lambda done: progress(kind, done, draws))
    return values_at(solved.problem, draw(kind, solved, draws, rng, report))


def _result(
    problem: Problem,
    rows: Rows,
    table: RunTable,
    solutions: Solutions,
    z: np.ndarray,
    health: Health,
    drawn: np.ndarray,
    intervals: str,
    level: float,
    starts: int,
    seed: int,
) -> Fit:
    values = values_at(problem, z)
    law = problem.layout.to_law(values)
    predicted = np.asarray(law.loss(**problem.columns))
    return Fit(
        layout=problem.layout,
        law=law,
        coefficients=estimates(problem.layout, values, drawn, level),
        draws=drawn,
        intervals=intervals,
        level=level,
        objective_name=problem.objective.name,
        objective=float(solutions.value.min()),
        status=status_of(health),
        health=health,
        rows=row_frame(problem.columns, rows, table, predicted),
        params=rows.params,
        unit=table.unit,
        source=table.source,
        left_out=rows.left_out,
        warnings=(
            *rows.notes,
            *health.warnings,
            *interval_warnings(intervals, rows.runs, len(problem.layout.free)),
        ),
        starts=starts,
        seed=seed,
    )


def estimates(layout: Layout, values: np.ndarray, drawn: np.ndarray, level: float) -> tuple[Estimate, ...]:
    """Each coefficient with its interval, from raw `values` `(slots,)` and draws of them `(draws, slots)`."""
    tail = 50 * (1 - level)
    out = []
    for index, slot in enumerate(layout.slots):
        free = index in layout.free
        low = high = None
        if free and len(drawn):
            low, high = (float(v) for v in np.percentile(drawn[:, index], [tail, 100 - tail]))
        out.append(Estimate(slot.name, float(values[index]), low, high, not free, slot.meaning))
    return tuple(out)


def row_frame(columns: Mapping[str, np.ndarray], rows: Rows, table: RunTable, predicted: np.ndarray) -> pl.DataFrame:
    """Observed beside predicted, one row per row used, with the law's scalar columns."""
    ids = table.frame.filter(pl.col("row").is_in(rows.number.tolist()))
    kept = [c for c in ("run_id", "target", "lr_phase") if c in ids.columns]
    scalar = {k: v for k, v in columns.items() if v.ndim == 1}
    return pl.DataFrame({"row": rows.number, **scalar, "loss": rows.loss, "predicted": predicted}).with_columns(
        *(ids[c] for c in kept),
        relative_error=pl.col("predicted") / pl.col("loss") - 1,
    )
