"""fit: from a run table to a law with intervals and a statement of how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import FitError, InputError
from isogloss.fitting.health import Health, distinct_optima, examine, values_at
from isogloss.fitting.layout import AXES, Layout, make_layout
from isogloss.fitting.objective import Objective, get_objective
from isogloss.fitting.result import Estimate, Fit, status_of
from isogloss.fitting.rows import Rows, rows_for
from isogloss.fitting.solve import QUICK, Problem, Solutions, residuals, solve
from isogloss.laws import get_law
from isogloss.laws.base import Law
from isogloss.runs import RunTable, read_runs
from isogloss.runs.table import Which

Progress = Callable[[str, int, int], None]


def fit(
    law: type[Law] | str,
    runs: RunTable | Any,
    *,
    objective: Objective | str = "huber-log",
    target: str | None = None,
    params: Which | None = None,
    sources: Sequence[str] | None = None,
    fix: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    switches: Mapping[str, Any] | None = None,
    starts: int = 64,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Fit `law` (a class or a name such as "chinchilla") to `runs` (a RunTable, a path or a data frame).

    `target` chooses one target language; `params` which count of parameters N is; `sources` the transfer
    languages of ATLAS (default: the three most co-sampled). `fix` holds coefficients at raw values and `free`
    releases those that have a default. Intervals at `level` come from `draws` bootstrap resamples of whole
    runs; 0 gives none. The result is the same for the same `seed`.

    Raises InputError where the runs cannot determine the law, FitError where no start gives a finite loss.
    """
    kind = get_law(law) if isinstance(law, str) else law
    cost = get_objective(objective) if isinstance(objective, str) else objective
    if starts < 1 or draws < 0 or not 0 < level < 1:
        raise InputError("starts must be at least 1, draws at least 0, and level between 0 and 1")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    if target is not None:
        table = table.for_target(target)
    rows = rows_for(kind, table, params=params, sources=sources)
    layout, held = make_layout(kind, sources=rows.sources, fix=fix, free=free, switches=switches)
    problem = _problem(layout, held, cost, rows)
    rng = np.random.default_rng(seed)
    problem, undetermined = _hold_undetermined(problem, rng)
    _check_enough(problem, rows, table.source)
    solutions, lower, upper = _best(problem, starts, rng, progress)
    z = solutions.z[solutions.best()]
    health = examine(problem, solutions, z, lower, upper, undetermined)
    resampled = _bootstrap(problem, rows, distinct_optima(solutions), lower, upper, draws, rng, progress)
    return _result(problem, rows, table, solutions, z, health, resampled, level, starts, seed)


def _problem(layout: Layout, held: np.ndarray, cost: Objective, rows: Rows) -> Problem:
    centres = []
    for axis in AXES:
        columns = [v for k, v in rows.columns.items() if k == axis or k.startswith(f"{axis}_target")]
        positive = columns[0][columns[0] > 0] if columns else np.ones(1)
        centres.append(np.log(positive).mean() if len(positive) else 0.0)
    return Problem(layout, cost, rows.columns, rows.loss, held, np.array(centres))


def _hold_undetermined(problem: Problem, rng: np.random.Generator) -> tuple[Problem, tuple[str, ...]]:
    """Take out of the fit what no row depends on, such as lambda where nothing is repeated."""
    layout, held = problem.layout, problem.held.copy()
    points = layout.starts(4, problem.loss, rng)
    effect = np.max([np.abs(residuals(problem, z)[1]).max(0, initial=0.0) for z in points], axis=0)
    dead = [layout.free[j] for j in np.flatnonzero(effect == 0)]
    if not dead:
        return problem, ()
    for index in dead:
        low, high = layout.slots[index].start
        held[index] = np.sqrt(low * high) if layout.slots[index].log else 0.0
    alive = tuple(i for i in layout.free if i not in dead)
    reduced = Layout(layout.law, layout.switches, layout.slots, alive, layout.sources)
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
    if problem.rows <= need:
        raise InputError(
            f"{problem.rows} rows cannot determine {need} coefficients ({names})",
            where=source,
            hint="Add runs, or hold coefficients with --fix name=value.",
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


def _bootstrap(
    problem: Problem,
    rows: Rows,
    optima: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    progress: Progress | None,
) -> np.ndarray:
    """Raw slot values `(draws, slots)`: refits to runs drawn with replacement, from every near-best optimum."""
    if draws == 0:
        return np.zeros((0, len(problem.layout.slots)))
    counts = rng.multinomial(rows.runs, np.full(rows.runs, 1 / rows.runs), size=draws)
    weights = counts[:, rows.run].astype(float)
    total = draws * len(optima)
    report = None if progress is None else (lambda done: progress("bootstrap", done * draws // total, draws))
    solved = solve(
        problem,
        np.repeat(optima, draws, axis=0),
        lower,
        upper,
        weights=np.tile(weights, (len(optima), 1)),
        effort=QUICK,
        progress=report,
    )
    best = solved.value.reshape(len(optima), draws).argmin(0)
    return values_at(problem, solved.z.reshape(len(optima), draws, -1)[best, np.arange(draws)])


def _result(
    problem: Problem,
    rows: Rows,
    table: RunTable,
    solutions: Solutions,
    z: np.ndarray,
    health: Health,
    resampled: np.ndarray,
    level: float,
    starts: int,
    seed: int,
) -> Fit:
    values = values_at(problem, z)
    tail = 50 * (1 - level)
    estimates = []
    for index, slot in enumerate(problem.layout.slots):
        free = index in problem.layout.free
        low = high = None
        if free and len(resampled):
            low, high = (float(v) for v in np.percentile(resampled[:, index], [tail, 100 - tail]))
        estimates.append(Estimate(slot.name, float(values[index]), low, high, not free, slot.meaning))
    law = problem.layout.to_law(values)
    predicted = np.asarray(law.loss(**problem.columns))
    return Fit(
        layout=problem.layout,
        law=law,
        coefficients=tuple(estimates),
        draws=resampled,
        level=level,
        objective_name=problem.objective.name,
        objective=float(solutions.value.min()),
        status=status_of(health),
        health=health,
        rows=_row_frame(problem, rows, table, predicted),
        params=rows.params,
        unit=table.unit,
        source=table.source,
        left_out=rows.left_out,
        warnings=(*rows.notes, *health.warnings, *_interval_warnings(rows, len(resampled))),
        starts=starts,
        seed=seed,
    )


def _row_frame(problem: Problem, rows: Rows, table: RunTable, predicted: np.ndarray) -> pl.DataFrame:
    """Observed beside predicted, one row per row used, with the law's scalar columns."""
    ids = table.frame.filter(pl.col("row").is_in(rows.number.tolist()))
    kept = [c for c in ("run_id", "target", "lr_phase") if c in ids.columns]
    scalar = {k: v for k, v in problem.columns.items() if v.ndim == 1}
    return pl.DataFrame({"row": rows.number, **scalar, "loss": rows.loss, "predicted": predicted}).with_columns(
        *(ids[c] for c in kept),
        relative_error=pl.col("predicted") / pl.col("loss") - 1,
    )


def _interval_warnings(rows: Rows, draws: int) -> list[str]:
    if draws == 0:
        return ["no intervals: the fit was asked for 0 draws."]
    if rows.runs < 12:
        return [f"intervals rest on {rows.runs} runs: a bootstrap of so few is too narrow."]
    return []
