"""What languages fitted together say: a fit for each, one for a language like these, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from isogloss.fitting.fit import estimates, row_frame
from isogloss.fitting.groups import Groups
from isogloss.fitting.health import AGREEMENT, Health, values_at
from isogloss.fitting.intervals import JOINT
from isogloss.fitting.joint import Joint
from isogloss.fitting.points import PER_SOURCE
from isogloss.fitting.problem import residuals
from isogloss.fitting.result import Fit, status_of
from isogloss.fitting.spread import Drawn, Optimum
from isogloss.runs import RunTable

# Fewer languages than this hardly show how far languages differ.
FEW_LANGUAGES = 5


def language_fit(
    groups: Groups,
    group: int,
    table: RunTable,
    optimum: Optimum,
    joint: Joint,
    drawn: np.ndarray,
    kind: str,
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
    cost = problem.objective.cost
    objective = best if kind == JOINT else float(np.sum(np.asarray(cost(residuals(problem, optimum.z[group])[0]))))
    law = layout.to_law(values)
    sources = len(rows.sources)
    columns = {k: v[:, :sources] if k in PER_SOURCE else v for k, v in problem.columns.items()}
    return Fit(
        layout=layout,
        law=law,
        coefficients=estimates(layout, values, draws, level),
        draws=draws,
        intervals=kind,
        level=level,
        objective_name=problem.objective.name,
        objective=objective,
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


def typical_fit(groups: Groups, optimum: Optimum, fits: Mapping[str, Fit], drawn: Drawn, level: float) -> Fit:
    """The law of a language that is not among these: the population's mean, and draws of other languages."""
    assert optimum.population is not None
    assert drawn.others is not None
    first = groups.problems[0]
    low, high = groups.lower.min(0), groups.upper.max(0)
    mean = np.where(groups.shared, optimum.z[0], np.clip(optimum.population.mean, low, high))
    values, others = values_at(first, mean), values_at(first, np.clip(drawn.others, low, high))
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


def spreads(groups: Groups, optimum: Optimum) -> Mapping[str, float]:
    """How far languages differ in each pooled coordinate, as a standard deviation: of logarithms where it is one."""
    if optimum.population is None:
        return {}
    width = np.sqrt(np.maximum(np.diag(optimum.population.covariance), 0))
    return {n: float(w) for n, w in zip(groups.slots, width, strict=True) if w > 0}


def joint_warnings(groups: Groups, joint: Joint, across: str) -> list[str]:
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
