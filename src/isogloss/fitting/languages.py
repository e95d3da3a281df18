"""fit_languages: one law for each language of a table, with what the languages have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from isogloss.errors import FitError, InputError, unknown_name
from isogloss.fitting.fit import Progress, estimates, fit, row_frame
from isogloss.fitting.groups import Groups, group_rows, held_where_unseen
from isogloss.fitting.health import AGREEMENT, Health, values_at
from isogloss.fitting.intervals import JOINT
from isogloss.fitting.joint import Joint, descend
from isogloss.fitting.language_fits import LanguageFits
from isogloss.fitting.noise import curvature, dispersions, noise_of
from isogloss.fitting.objective import Objective, get_objective
from isogloss.fitting.points import PER_SOURCE
from isogloss.fitting.pool import ROUNDS as POOL_ROUNDS
from isogloss.fitting.pool import pool
from isogloss.fitting.result import Fit, status_of
from isogloss.fitting.solve import solve
from isogloss.fitting.spread import Optimum, draw, own_share
from isogloss.laws.base import Law
from isogloss.laws.forms import Form, as_form
from isogloss.runs import RunTable, read_runs
from isogloss.runs.table import Which

Across = Literal["pooled", "separate", "tied"]
# Fewer languages than this hardly show how far languages differ.
FEW_LANGUAGES = 5
# Where all languages' search for their population begins needs no more rows than this.
COMMON_ROWS = 192


def fit_languages(
    law: Form | type[Law] | str,
    runs: RunTable | Any,
    *,
    across: Across = "pooled",
    tie: Sequence[str] = (),
    targets: Sequence[str] | None = None,
    objective: Objective | str = "huber-log",
    params: Which | None = None,
    sources: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    fix: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    switches: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    starts: int = 16,
    intervals: str = "auto",
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    progress: Progress | None = None,
) -> LanguageFits:
    """Fit `law` to every target of `runs` (or to `targets`), each with coefficients of its own.

    `across` says what the languages have in common: "pooled" takes their coefficients as draws from one
    population, so that a language with four runs gets a sensible law and one with forty keeps its own; "separate"
    nothing; "tied" everything: one law. `tie` names coefficients that are one for all in any case, such as lambda_.
    `sources` are ATLAS's transfer languages, one list for all targets or a list for each.

    With "separate" and nothing tied this is `fit` for each language, by its kinds of `intervals`. Otherwise these
    are drawn from the errors' distribution at the joint optimum (`spread`).

    Raises InputError where no target can be fitted, FitError where no start gives a finite loss.
    """
    if across not in get_args(Across):
        raise unknown_name("way to fit languages", across, get_args(Across), where="across")
    if starts < 1 or draws < 0 or not 0 < level < 1:
        raise InputError("starts must be at least 1, draws at least 0, and level between 0 and 1")
    form = as_form(law)
    cost = get_objective(objective) if isinstance(objective, str) else objective
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    fix, free = {**form.fix, **(fix or {})}, (*form.free, *free)
    switches = {**form.switches, **(switches or {})}
    sources = form.sources if sources is None else sources
    if across == "separate" and not tie:
        return _separate(form, table, targets, cost, params, sources, fix, free, switches, columns, intervals, starts,
                         draws, level, seed, progress)  # fmt: skip
    if across == "tied":
        tie = [c.name for c in form.law.coefficients]
    groups = group_rows(
        form.law,
        table,
        cost,
        targets=targets,
        params=params,
        sources=sources,
        fix=fix,
        free=free,
        switches=switches,
        columns=columns,
        tie=tie,
    )
    rng = np.random.default_rng(seed)
    begin = np.stack([[p.layout.starts(1, p.loss, rng)[0] for p in groups.problems] for _ in range(starts)])
    begin = np.clip(begin, groups.lower, groups.upper)
    if across != "pooled":
        groups = held_where_unseen(groups)
        begin = np.clip(begin, groups.lower, groups.upper)
    joint, optimum = solve_groups(groups, across, begin, rng, progress)
    drawn = draw(groups, optimum, draws, rng)
    fits = {
        name: _fit_of(groups, i, table, optimum, joint, drawn[i], level, starts, seed)
        for i, name in enumerate(groups.names)
    }
    typical = None if optimum.population is None else _typical(groups, optimum, fits, drawn[0], level, rng)
    names = groups.slots
    own = own_share(optimum)
    return LanguageFits(
        fits=fits,
        across=across,
        tied=tuple(n for n, tied in zip(names, groups.shared, strict=True) if tied),
        typical=typical,
        own={g: dict(zip(names, own[i].tolist(), strict=True)) for i, g in enumerate(groups.names)},
        spread=_spread(groups, optimum),
        left_out=groups.left_out,
        warnings=(*groups.notes, *_warnings(groups, joint, across)),
    )


def _separate(
    form: Form,
    table: RunTable,
    targets: Sequence[str] | None,
    cost: Objective,
    params: Which | None,
    sources: Sequence[str] | Mapping[str, Sequence[str]] | None,
    fix: Mapping[str, float],
    free: Sequence[str],
    switches: Mapping[str, Any],
    columns: Mapping[str, str] | None,
    intervals: str,
    starts: int,
    draws: int,
    level: float,
    seed: int,
    progress: Progress | None,
) -> LanguageFits:
    fits: dict[str, Fit] = {}
    warnings: list[str] = []
    refused: list[InputError] = []
    for target in targets or table.targets:
        mine = sources.get(target) if isinstance(sources, Mapping) else sources
        try:
            fits[target] = fit(
                form.law,
                table,
                objective=cost,
                target=target,
                params=params,
                sources=None if mine is None else [s for s in mine if s != target],
                fix=fix,
                free=free,
                switches=switches,
                columns=columns,
                starts=starts,
                intervals=intervals,
                draws=draws,
                level=level,
                seed=seed,
                progress=progress,
            )
        except InputError as error:
            refused.append(error)
            warnings.append(f"{target} is not fitted: {error}")
    if not fits:
        raise refused[0] if refused else InputError("no column target", where=table.source)
    left_out = tuple(dict.fromkeys(item for f in fits.values() for item in f.left_out))
    return LanguageFits(fits, "separate", (), None, {}, {}, left_out, tuple(warnings))


# --- the optimum ------------------------------------------------------------------------------------


def solve_groups(
    groups: Groups, across: Across, begin: np.ndarray, rng: np.random.Generator, progress: Progress | None = None
) -> tuple[Joint, Optimum]:
    """All groups together, from the starts `begin` `(starts, groups, free)`."""
    if across == "pooled" and len(groups) > 1:
        return _pooled(groups, begin, rng, progress)
    return _unpooled(groups, begin, rng, progress)


def _pooled(
    groups: Groups, begin: np.ndarray, rng: np.random.Generator, progress: Progress | None
) -> tuple[Joint, Optimum]:
    common = _common(groups, len(begin), rng, most=COMMON_ROWS)
    report = None if progress is None else (lambda done: progress("pooling", done, POOL_ROUNDS))
    found = pool(groups, begin, common, progress=report)
    optimum = Optimum(found.z, found.hessian, found.scores, found.dispersion, found.noise, found.population)
    return found.joint, optimum


def _unpooled(
    groups: Groups, begin: np.ndarray, rng: np.random.Generator, progress: Progress | None
) -> tuple[Joint, Optimum]:
    if groups.shared.all():
        common = _common(groups, len(begin), rng)
        begin = np.broadcast_to(common, (1, len(groups), len(common)))
    report = None if progress is None else (lambda done: progress("starts", done, begin[..., 0].size))
    joint = descend(groups, begin, progress=report)
    if not np.isfinite(joint.value).any():
        raise FitError(f"none of {len(begin)} starts gave a finite loss. Check the columns' units.")
    z = joint.z[joint.best()]
    noise = noise_of(groups, z)
    hessian, scores = curvature(groups, z, noise)
    over = dispersions(hessian, scores)
    hessian, scores = hessian / over[:, None, None], scores / over[:, None, None] ** 2
    return joint, Optimum(z, hessian, scores, over, noise, None)


def _common(groups: Groups, starts: int, rng: np.random.Generator, most: int | None = None) -> np.ndarray:
    """The one law `(free,)` that suits all groups best, from `most` rows of them."""
    first = groups.problems[0]
    columns = {k: np.concatenate([p.columns[k] for p in groups.problems]) for k in first.columns}
    loss = np.concatenate([p.loss for p in groups.problems])
    kept = np.sort(rng.permutation(len(loss))[:most])
    together = replace(first, columns={k: v[kept] for k, v in columns.items()}, loss=loss[kept])
    lower, upper = groups.layout.bounds(loss)
    found = solve(together, groups.layout.starts(max(starts, 16), loss, rng), lower, upper)
    if not np.isfinite(found.value).any():
        raise FitError("no start gave a finite loss. Check the columns' units.")
    return found.z[found.best()]


# --- the answer -------------------------------------------------------------------------------------


def _fit_of(
    groups: Groups,
    group: int,
    table: RunTable,
    optimum: Optimum,
    joint: Joint,
    drawn: np.ndarray,
    level: float,
    starts: int,
    seed: int,
) -> Fit:
    """One language's fit, as `fit` would give it."""
    problem, rows = groups.problems[group], groups.rows[group]
    layout, kept = groups.own_layout(group)
    values = values_at(problem, optimum.z[group])[kept]
    draws = values_at(problem, drawn)[:, kept]
    best = float(joint.each[joint.best(), group])
    health = _health(groups, group, optimum, joint, best)
    law = layout.to_law(values)
    sources = len(rows.sources)
    columns = {k: v[:, :sources] if k in PER_SOURCE else v for k, v in problem.columns.items()}
    return Fit(
        layout=layout,
        law=law,
        coefficients=estimates(layout, values, draws, level),
        draws=draws,
        intervals=JOINT,
        level=level,
        objective_name=problem.objective.name,
        objective=best,
        status=status_of(health),
        health=health,
        rows=row_frame(columns, rows, table, np.asarray(law.loss(**columns))),
        params=rows.params,
        unit=table.unit,
        source=table.source,
        left_out=rows.left_out,
        warnings=health.warnings,
        starts=starts,
        seed=seed,
    )


def _health(groups: Groups, group: int, optimum: Optimum, joint: Joint, best: float) -> Health:
    each = joint.each[:, group]
    names = groups.slots
    z, low, high = optimum.z[group], groups.lower[group], groups.upper[group]
    margin = 1e-6 * (high - low)
    sides = [*zip(names, z <= low + margin, z >= high - margin, strict=True)]
    at = [(n, "lower" if below else "upper") for n, below, above in sides if below or above]
    information = optimum.hessian[group] + (0 if optimum.population is None else optimum.population.precision())
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    eigenvalues = np.linalg.eigvalsh(information / np.outer(scale, scale))
    unseen = tuple(n for n, seen in zip(names, groups.seen[group], strict=True) if not seen)
    warnings = [f"{n} stopped on its {side} bound: take it as a limit." for n, side in at if n not in unseen]
    if unseen and optimum.population is not None:
        warnings.append(f"no row depends on {', '.join(unseen)}: taken from the other languages.")
    return Health(
        starts=len(each),
        agree=int((each <= best * (1 + AGREEMENT) + 1e-300).sum()),
        converged=int(joint.converged.sum()),
        condition=float(eigenvalues[-1] / max(eigenvalues[0], 1e-300)),
        bounds_hit=tuple(f"{n} ({side})" for n, side in at if n not in unseen),
        undetermined=unseen,
        entangled=(),
        profiles=(),
        warnings=tuple(warnings),
    )


def _typical(
    groups: Groups,
    optimum: Optimum,
    fits: Mapping[str, Fit],
    shared: np.ndarray,
    level: float,
    rng: np.random.Generator,
) -> Fit:
    """The law of a language that is not among these: the population's mean, and draws of other languages, with
    what is `shared` from the draws `(draws, free)` of one of these."""
    population = optimum.population
    assert population is not None
    first = groups.problems[0]
    low, high = groups.lower.min(0), groups.upper.max(0)
    mean = np.where(groups.shared, optimum.z[0], np.clip(population.mean, low, high))
    wide = population.covariance + population.mean_error
    drawn = np.clip(rng.multivariate_normal(mean, wide, size=len(shared), method="eigh"), low, high)
    drawn[:, groups.shared] = shared[:, groups.shared]
    values, others = values_at(first, mean), values_at(first, drawn)
    any_fit = next(iter(fits.values()))
    return replace(
        any_fit,
        layout=groups.layout,
        law=groups.layout.to_law(values),
        coefficients=estimates(groups.layout, values, others, level),
        draws=others,
        objective=float("nan"),
        # What was found of one language's rows is not true of a language without any.
        health=replace(any_fit.health, bounds_hit=(), undetermined=(), warnings=()),
        rows=pl.concat([f.rows for f in fits.values()], how="diagonal"),
        left_out=(),
        warnings=("a law of no language in particular: its intervals hold how far languages differ.",),
    )


def _spread(groups: Groups, optimum: Optimum) -> Mapping[str, float]:
    """How far languages differ in each pooled coordinate, as a standard deviation: of logarithms where it is one."""
    if optimum.population is None:
        return {}
    width = np.sqrt(np.maximum(np.diag(optimum.population.covariance), 0))
    return {n: float(w) for n, w in zip(groups.slots, width, strict=True) if w > 0}


def _warnings(groups: Groups, joint: Joint, across: Across) -> list[str]:
    out = []
    agree = int((joint.value <= joint.value.min() * (1 + AGREEMENT)).sum())
    if agree < max(2, len(joint.value) // 20) and len(joint.value) > 1:
        out.append(
            f"only {agree} of {len(joint.value)} joint starts reach the best objective: it may not be the lowest. "
            "Raise --starts."
        )
    if across == "pooled" and len(groups) == 1:
        out.append("one language is no population: nothing was pooled.")
    elif across == "pooled" and len(groups) < FEW_LANGUAGES:
        out.append(f"{len(groups)} languages say little of how far languages differ: shrinkage is a guess.")
    return out
