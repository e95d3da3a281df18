"""How far a fit can be trusted: which starts agree, what the runs determine, and what they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.fitting.identify import Finding, identify
from isogloss.fitting.problem import Problem, residuals
from isogloss.fitting.solve import Solutions, solve
from isogloss.numerics import jnp

# Starts agree if their objective is within this fraction of the best.
AGREEMENT = 1e-4
# Deviance below which a value is compatible with the runs: the 95 % point of chi-squared, one degree.
COMPATIBLE = 3.84
# A logarithmic coefficient whose compatible range spans more than this factor is poorly determined.
WIDE_FACTOR = 4.0
# Beyond this condition number, some direction of the coefficients is not in the runs at all.
SINGULAR = 1e10
# Steps from the best value at which the profile is taken: in logarithms, or in units of the range / 4.
PROFILE_STEPS = (0.02, 0.05, 0.12, 0.25, 0.5, 1.0, 1.75, 2.5, 3.5, 5.0)


@dataclass(frozen=True)
class Profile:
    """Values of one coefficient that the runs cannot rule out, all others being refitted."""

    name: str
    low: float
    high: float
    open_low: bool
    """The scan ended before the objective rose: the range is at least this wide."""
    open_high: bool
    determined: bool


@dataclass(frozen=True)
class Health:
    starts: int
    agree: int
    converged: int
    condition: float
    """Of the scaled Gauss-Newton matrix, in the coordinates that the solver moves."""
    bounds_hit: tuple[str, ...]
    undetermined: tuple[str, ...]
    """Coefficients on which no row depends, held at a default."""
    entangled: tuple[str, ...]
    """Coefficients that cannot be told apart: a combination of them leaves every prediction unchanged."""
    profiles: tuple[Profile, ...]
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    """What the runs cannot tell, why, and which further runs would."""


def examine(
    problem: Problem,
    solutions: Solutions,
    z: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    undetermined: tuple[str, ...] = (),
) -> Health:
    """The health of the fit at z `(free,)`, the best of `solutions`."""
    best = float(solutions.value.min())
    agree = int((solutions.value <= best * (1 + AGREEMENT) + 1e-300).sum())
    names = [problem.layout.slots[i].name for i in problem.layout.free]
    span = upper - lower
    on_bound = tuple(
        f"{n} ({'lower' if at_low else 'upper'})"
        for n, at_low, at_high in zip(names, z <= lower + 1e-6 * span, z >= upper - 1e-6 * span, strict=True)
        if at_low or at_high
    )
    condition, entangled = _conditioning(problem, z, names)
    profiles = _profiles(problem, z, best, lower, upper)
    health = Health(
        starts=len(solutions.value),
        agree=agree,
        converged=int(solutions.converged.sum()),
        condition=condition,
        bounds_hit=on_bound,
        undetermined=undetermined,
        entangled=entangled,
        profiles=profiles,
        warnings=(),
        findings=identify(problem, z, lower, upper, entangled, undetermined, on_bound),
    )
    return Health(**{**health.__dict__, "warnings": tuple(_warnings(health))})


def _conditioning(problem: Problem, z: np.ndarray, names: list[str]) -> tuple[float, tuple[str, ...]]:
    if len(z) < 2:
        return 1.0, ()
    _, J = residuals(problem, z)
    singular = np.linalg.svd(J, compute_uv=False)
    return float((singular[0] / max(float(singular[-1]), 1e-300)) ** 2), unseen(J, names)


def unseen(J: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """Coefficients of which some combination changes no residual, from their derivatives J `(rows, free)`."""
    # Columns keep the solver's natural units (logarithms), so that a coefficient without effect shows.
    singular, vectors = np.linalg.svd(J, full_matrices=len(J) < J.shape[1])[1:]
    singular = np.append(singular, np.zeros(J.shape[1] - len(singular)))
    hidden = vectors[(singular[0] / np.maximum(singular, 1e-300)) ** 2 > SINGULAR]
    weights = np.linalg.norm(hidden, axis=0)
    return tuple(n for n, w in zip(names, weights, strict=True) if w > 0.1)


def _profiles(
    problem: Problem, z: np.ndarray, best: float, lower: np.ndarray, upper: np.ndarray
) -> tuple[Profile, ...]:
    """One profile per free coefficient that means something on its own (A and B do not: their unit is N^alpha)."""
    if best <= 0:
        return ()
    slots = [problem.layout.slots[i] for i in problem.layout.free]
    points: list[tuple[int, float]] = []
    for j, slot in enumerate(slots):
        if slot.exponents:
            continue
        unit = 1.0 if slot.log else min((upper[j] - lower[j]) / 4, 1.0)
        for step in PROFILE_STEPS:
            points += [
                (j, value) for value in (z[j] - step * unit, z[j] + step * unit) if lower[j] <= value <= upper[j]
            ]
    if not points:
        return ()
    starts = np.repeat(z[None], len(points), axis=0)
    los, his = np.repeat(lower[None], len(points), axis=0), np.repeat(upper[None], len(points), axis=0)
    for row, (j, value) in enumerate(points):
        starts[row, j] = los[row, j] = his[row, j] = value
    solved = solve(problem, starts, los, his)
    profiles = []
    for j, slot in enumerate(slots):
        at = [(v, float(solved.value[row])) for row, (k, v) in enumerate(points) if k == j]
        if at:
            profiles.append(_profile(problem, slot.name, slot.log, z[j], best, at))
    return tuple(profiles)


def _profile(
    problem: Problem, name: str, log: bool, centre: float, best: float, at: list[tuple[float, float]]
) -> Profile:
    values = np.array([centre, *(v for v, _ in at)])
    rise = np.array([0.0, *(problem.objective.deviance(f, best, problem.rows) for _, f in at)])
    below, open_low = _crossing(values, rise, centre, -1)
    above, open_high = _crossing(values, rise, centre, +1)
    low, high = (math.exp(below), math.exp(above)) if log else (below, above)
    determined = not (open_low or open_high) and (not log or high / low <= WIDE_FACTOR)
    return Profile(name, low, high, open_low, open_high, determined)


def _crossing(values: np.ndarray, rise: np.ndarray, centre: float, side: int) -> tuple[float, bool]:
    """Where the deviance crosses COMPATIBLE on one side, and whether the scan ended before it did."""
    on_side = (values - centre) * side >= 0
    order = np.argsort(np.abs(values[on_side] - centre))
    v, r = values[on_side][order], np.sqrt(np.maximum(rise[on_side][order], 0))
    limit = math.sqrt(COMPATIBLE)
    outside = np.flatnonzero(r > limit)
    if not len(outside):
        return float(v[-1]), True
    k = int(outside[0])
    # The root of the deviance is nearly straight where the deviance is nearly a parabola.
    weight = (limit - r[k - 1]) / max(r[k] - r[k - 1], 1e-300)
    return float(v[k - 1] + weight * (v[k] - v[k - 1])), False


def _warnings(health: Health) -> list[str]:
    out = []
    if health.agree < max(2, health.starts // 20):
        out.append(
            f"only {health.agree} of {health.starts} starts reach the best objective: it may not be the lowest. "
            "Raise --starts."
        )
    for bound in health.bounds_hit:
        out.append(f"{bound.split()[0]} stopped on its {bound.split()[1].strip('()')} bound: take it as a limit.")
    if health.undetermined:
        names = ", ".join(health.undetermined)
        out.append(f"no row depends on {names} in a way of its own: held at a default, not fitted.")
    if health.entangled:
        out.append(
            f"{', '.join(health.entangled)} cannot be told apart from these runs (condition {health.condition:.0e}): "
            "predictions inside the runs hold, the coefficients do not."
        )
    for profile in health.profiles:
        if not profile.determined and profile.name not in health.entangled:
            low = f"{'below ' if profile.open_low else ''}{profile.low:.3g}"
            high = f"{'above ' if profile.open_high else ''}{profile.high:.3g}"
            out.append(f"{profile.name} is poorly determined: any value from {low} to {high} fits as well.")
    return out


def distinct_optima(solutions: Solutions, *, within: float = 1.05, most: int = 3) -> np.ndarray:
    """Up to `most` different optima `(optima, free)` whose objective is near the best, best first."""
    order = np.argsort(solutions.value)
    best = solutions.value[order[0]]
    kept: list[np.ndarray] = []
    for index in order:
        if solutions.value[index] > best * within or len(kept) == most:
            break
        z = solutions.z[index]
        if all(np.abs(z - k).max() > 0.05 for k in kept):
            kept.append(z)
    return np.array(kept)


def values_at(problem: Problem, z: np.ndarray) -> np.ndarray:
    """Raw slot values `(..., slots)` at moved coordinates `(..., free)`."""
    return np.asarray(problem.layout.values(jnp.asarray(z), jnp.asarray(problem.held), jnp.asarray(problem.centres)))
