"""fit_languages: one law for each language of a table, with what the languages have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from isogloss.errors import FitError, InputError, unknown_name
from isogloss.fitting.fit import Progress, fit
from isogloss.fitting.groups import Groups, group_rows, held_where_unseen
from isogloss.fitting.intervals import JOINT, POSTERIOR, TOGETHER
from isogloss.fitting.joint import Joint, descend
from isogloss.fitting.language_fits import LanguageFits
from isogloss.fitting.languages_answer import joint_warnings, language_fit, spreads, typical_fit
from isogloss.fitting.languages_posterior import sample
from isogloss.fitting.noise import curvature, dispersions, noise_of
from isogloss.fitting.objective import Objective, get_objective
from isogloss.fitting.pool import ROUNDS as POOL_ROUNDS
from isogloss.fitting.pool import pool
from isogloss.fitting.posterior import check_installed
from isogloss.fitting.result import Fit
from isogloss.fitting.solve import solve
from isogloss.fitting.spread import Drawn, Optimum, draw, draw_others, own_share
from isogloss.laws.base import Law
from isogloss.laws.forms import Form, as_form
from isogloss.runs import RunTable, read_runs
from isogloss.runs.table import Which

Across = Literal["pooled", "separate", "tied"]
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
    are "auto", draws from the errors' distribution at the joint optimum (`spread`), or "posterior", draws by NUTS
    that also hold what is not known of the population and the noise (`languages_posterior`), or "none". The values are
    the joint optimum's, of a posterior the means of the draws in the solver's coordinates.

    Raises InputError where no target can be fitted, FitError where no start gives a finite loss, or where the chains
    of a posterior do not agree.
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
    if intervals not in TOGETHER:
        raise InputError(
            f"intervals of languages fitted together are {', '.join(TOGETHER)}, not {intervals!r}",
            where="intervals",
            hint='across="separate" fits each language alone, with every kind of interval.',
        )
    if intervals == POSTERIOR:
        check_installed("auto")
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
    drawn = _draw(groups, optimum, intervals, draws, rng, progress)
    kind = POSTERIOR if intervals == POSTERIOR and draws else JOINT
    if kind == POSTERIOR:
        optimum = replace(optimum, z=drawn.z.mean(1))
    fits = {
        name: language_fit(groups, i, table, optimum, joint, drawn.z[i], kind, level, starts, seed)
        for i, name in enumerate(groups.names)
    }
    typical = None if optimum.population is None else typical_fit(groups, optimum, fits, drawn, level)
    names = groups.slots
    own = own_share(optimum)
    return LanguageFits(
        fits=fits,
        across=across,
        tied=tuple(n for n, tied in zip(names, groups.shared, strict=True) if tied),
        typical=typical,
        own={g: dict(zip(names, own[i].tolist(), strict=True)) for i, g in enumerate(groups.names)},
        spread=spreads(groups, optimum),
        left_out=groups.left_out,
        warnings=(*groups.notes, *joint_warnings(groups, joint, across)),
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


def _draw(
    groups: Groups,
    optimum: Optimum,
    intervals: str,
    draws: int,
    rng: np.random.Generator,
    progress: Progress | None,
) -> Drawn:
    """`draws` of every language, and of the population that they are drawn from."""
    if intervals == POSTERIOR and draws:
        report = None if progress is None else (lambda done: progress("posterior", done, draws))
        return sample(groups, optimum, draws, rng, report)
    z = draw(groups, optimum, 0 if intervals == "none" else draws, rng)
    if optimum.population is None:
        return Drawn(z, None)
    others = draw_others(groups, optimum, z[0], rng)
    return Drawn(z, others)
