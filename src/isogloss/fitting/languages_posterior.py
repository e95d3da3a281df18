"""Draws of all languages' laws from their joint posterior, by NUTS: the full hierarchy where `pool` is empirical Bayes.

What the joint optimum takes as known has priors here: the population's mean (as wide as a single law's priors in
`posterior`), how far languages differ (half-t, as wide as `population` assumes), the correlations (LKJ), the noise of
each language, the tail of its errors, and an effect of each run that has several rows. The optimum serves to choose
coordinates and units for the sampler only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isogloss.errors import FitError
from isogloss.fitting.groups import Groups
from isogloss.fitting.hierarchy import Shape, sampler
from isogloss.fitting.population import assumed_widths, same_coefficient
from isogloss.fitting.posterior import CHAINS, PRIOR_WIDTH, check_agreement
from isogloss.fitting.problem import ROW_MULTIPLE
from isogloss.fitting.spread import Drawn, Optimum
from isogloss.numerics import jax, jnp

# Draws of a chain, at least: with fewer their agreement says little.
LEAST_EACH = 500
# Runs of all chains, from other random numbers, before they are taken to disagree.
ATTEMPTS = 3
# More coefficients than this are taken to vary by themselves: few languages cannot show so many correlations.
MOST_CORRELATED = 8
# Strips at bounds within which the map bends, in standard errors, and at most as a part of the room between bounds.
SOFT, SOFT_ROOM = 0.5, 0.05
# A missing bound is this many times the coordinate's size and error away.
FAR = 100.0
EFFECT_MULTIPLE = 16


def sample(
    groups: Groups,
    optimum: Optimum,
    draws: int,
    rng: np.random.Generator,
    report: Callable[[int], None] | None = None,
) -> Drawn:
    """`draws` draws, spread evenly over the chains. Raises FitError where the chains do not agree."""
    each = max(-(-draws // CHAINS), LEAST_EACH)
    shape, data = prepared(groups, optimum)
    sites = _agreeing(groups, shape, data, each, rng)
    kept = np.linspace(0, CHAINS * each - 1, draws).round().astype(int)
    found = {k: v.reshape(-1, *v.shape[2:])[kept] for k, v in sites.items()}
    if report is not None:
        report(draws)
    z = np.clip(np.swapaxes(found["z"], 0, 1), groups.lower[:, None], groups.upper[:, None])
    if not shape.pooled:
        return Drawn(z, None)
    others = np.where(groups.shared, z[0], optimum.z[0])
    # A language that is not among these, of each draw's population.
    away = np.einsum("dij,dj->di", found["root"], rng.standard_normal(found["mean"].shape))
    others[:, np.array(shape.own)] = found["mean"] + away
    return Drawn(z, others)


def _agreeing(
    groups: Groups, shape: Shape, data: dict[str, Any], each: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Sites `(chains, draws, ...)` of chains that agree: one that stays in a corner of the population is run anew."""
    nuts, left = sampler(shape, each), ATTEMPTS
    while True:
        nuts.run(jax.random.PRNGKey(int(rng.integers(2**31))), data)
        left -= 1
        found = nuts.get_samples(group_by_chain=True)
        sites = {k: np.asarray(v) for k, v in found.items() if k in ("z", "mean", "root")}
        try:
            check_agreement(*_watched(groups, shape, sites), hint="choose --intervals auto")
            return sites
        except FitError:
            if not left:
                raise


def _watched(groups: Groups, shape: Shape, sites: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """What chains must agree on `(chains, draws, quantities)`, and its names."""
    z, slots = sites["z"], groups.slots
    quantities = [z.reshape(*z.shape[:2], -1)]
    names = [f"{slot} of {group}" for group in groups.names for slot in slots]
    if shape.pooled:
        width = np.sqrt((sites["root"] ** 2).sum(-1))
        quantities += [sites["mean"], np.log(width)]
        names += [f"{what} of {slots[i]}" for what in ("the mean", "the spread") for i in shape.own]
    return np.concatenate(quantities, axis=-1), names


# --- what the sampler is given ----------------------------------------------------------------------


def prepared(groups: Groups, optimum: Optimum) -> tuple[Shape, dict[str, Any]]:
    """What the program is compiled for, and the arrays that it is run on."""
    population, free = optimum.population, len(groups.layout.free)
    pooled = population is not None
    movable = groups.seen.any(0) if pooled else np.ones(free, bool)
    own, shared = np.flatnonzero(~groups.shared & movable), np.flatnonzero(groups.shared)
    kind, alone = _kinds(groups, own)
    effects, of_rows = _effects(groups)
    shape = Shape(
        layout=groups.layout,
        objective=groups.problems[0].objective,
        groups=len(groups),
        own=tuple(own.tolist()),
        shared=tuple(shared.tolist()),
        kind=tuple(kind.tolist()),
        correlated=tuple(alone.tolist()) if pooled and 1 < len(alone) <= MOST_CORRELATED else (),
        pooled=pooled,
        effects=effects,
    )
    prior_mean, prior_scale = _priors(groups, pooled)
    room = groups.upper > groups.lower
    # Nothing is learnt of what has no room.
    information = np.where(room[:, :, None] & room[:, None, :], optimum.hessian, 0.0)
    precision = np.zeros((free, free)) if population is None else population.precision()
    # At an optimum the rows pull away from the population as much as it holds.
    middle = optimum.z if population is None else population.mean
    pull = np.einsum("gij,gj->gi", information, optimum.z) + (optimum.z - middle) @ precision
    # A single law's prior, where no population is one; what is shared has it once.
    own_prior = np.where(groups.shared, 1 / len(groups), 0.0 if pooled else 1.0) / prior_scale**2
    unit, errors = _units(information, precision + np.eye(free) * own_prior[:, None], own, shared)
    far = FAR * (np.abs(optimum.z) + errors)
    lower = np.where(np.isfinite(groups.lower), groups.lower, optimum.z - far)
    upper = np.where(np.isfinite(groups.upper), groups.upper, optimum.z + far)
    # What is shared has one strip, and bounds that are one for all already.
    soft = np.minimum(SOFT * errors, SOFT_ROOM * (upper - lower))
    kinds = [own[kind == k][0] for k in range(shape.kinds)]
    data = {
        "z": optimum.z,
        "information": information,
        "pull": pull[:, own],
        "unit": unit,
        "lower": lower,
        "upper": upper,
        "soft": np.where(soft > 0, soft, 1.0),
        "prior_mean": prior_mean,
        "prior_scale": prior_scale,
        "width": assumed_widths(groups)[kinds],
        "noise": np.array(max(optimum.noise.sigma, 1e-9)),
        "error": np.maximum(optimum.noise.sigma, 1e-9) * optimum.noise.scale,
        **_row_arrays(groups, of_rows),
    }
    return shape, jax.tree.map(jnp.asarray, data)


def _kinds(groups: Groups, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each own coordinate its kind `(own,)`, and the places of those that are a kind by themselves."""
    of_all = np.arange(len(groups.layout.free))
    alone = np.ones(len(of_all), bool)
    for block in same_coefficient(groups):
        of_all[block], alone[block] = np.flatnonzero(block)[0], False
    return np.unique(of_all[own], return_inverse=True)[1], np.flatnonzero(alone[own])


def _priors(groups: Groups, pooled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation `(groups, free)` of each coordinate, or of the population's mean: those of a single
    law, by the group's losses or, of what is one for all, by all."""
    layout, together = groups.layout, np.concatenate([p.loss for p in groups.problems])

    def of(loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = layout.starts(256, loss, np.random.default_rng(0))
        return starts.mean(0), PRIOR_WIDTH * np.maximum(starts.std(0), 1e-3)

    common = of(together)
    each = [common if pooled else of(p.loss) for p in groups.problems]
    mean, scale = (np.array([one[i] for one in each]) for i in (0, 1))
    mean[:, groups.shared], scale[:, groups.shared] = (v[groups.shared] for v in common)
    return mean, scale


def _units(
    information: np.ndarray, prior: np.ndarray, own: np.ndarray, shared: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Root of the covariance of what is shared `(shared, shared)`, and standard errors `(groups, free)`."""
    whole = information + prior
    inner = np.linalg.inv(whole[:, own[:, None], own])
    border = whole[:, own[:, None], shared]
    core = (whole[:, shared[:, None], shared] - np.swapaxes(border, 1, 2) @ inner @ border).sum(0)
    core += 1e-9 * np.diag(np.diag(core)) + 1e-12 * np.eye(len(shared))
    covariance = np.linalg.inv(core)
    errors = np.ones(whole.shape[:2])
    errors[:, own] = np.sqrt(np.einsum("gii->gi", inner))
    errors[:, shared] = np.sqrt(np.diag(covariance))
    return np.linalg.cholesky(covariance), errors


def _effects(groups: Groups) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
    """How many effects each level has, and of each row its effect's number, the count where it has none. Levels: runs
    measured on several targets, and runs with several rows on one."""
    run = np.concatenate(groups.run)
    target = np.repeat(np.arange(len(groups)), [len(r) for r in groups.run])
    pair = np.unique(np.stack([run, target]), axis=1, return_inverse=True)[1].ravel()
    targets = np.array([len(np.unique(target[run == r])) for r in range(int(run.max()) + 1)])
    levels = []
    if (targets > 1).any():
        levels.append((run, targets > 1))
    if len(np.unique(pair)) < len(pair):
        levels.append((pair, np.bincount(pair) > 1))
    counts, numbers = [], []
    for of, several in levels:
        # Few counts, so that few programs are compiled: the idle effects are of no row.
        count = -(-int(several.sum()) // EFFECT_MULTIPLE) * EFFECT_MULTIPLE
        counts.append(count)
        numbers.append(np.where(several, np.cumsum(several) - 1, count)[of])
    return tuple(counts), tuple(numbers)


def _row_arrays(groups: Groups, effects: tuple[np.ndarray, ...]) -> dict[str, Any]:
    """All groups' rows one after the other, repeated up to a common length."""
    problems = groups.problems
    rows = sum(p.rows for p in problems)
    index = np.arange(-(-rows // ROW_MULTIPLE) * ROW_MULTIPLE)
    real = index < rows
    index = np.where(real, index, 0)
    of = np.repeat(np.arange(len(groups)), [p.rows for p in problems])
    return {
        "columns": {k: np.concatenate([p.columns[k] for p in problems])[index] for k in problems[0].columns},
        "loss": np.concatenate([p.loss for p in problems])[index],
        "of": of[index],
        "real": real,
        "effects": tuple(e[index] for e in effects),
        "held": np.nan_to_num(problems[0].held),
        "centres": problems[0].centres,
    }
