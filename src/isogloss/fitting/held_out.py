"""A law fitted to some rows of a table, and what it predicts for others that it never saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import FitError, InputError
from isogloss.fitting.groups import Groups, group_rows
from isogloss.fitting.health import values_at
from isogloss.fitting.held_intervals import Spread, spread_of
from isogloss.fitting.languages import Across, fit_languages
from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import Objective
from isogloss.fitting.problem import Problem
from isogloss.fitting.rows import rows_for
from isogloss.fitting.solve import QUICK, Effort, solve
from isogloss.fitting.splits import Split
from isogloss.laws.base import Law
from isogloss.laws.forms import Form
from isogloss.runs import RunTable
from isogloss.runs.table import Which

Sources = Sequence[str] | Mapping[str, Sequence[str]] | None

# Every start is taken near its optimum on this many rows, and the best of them go on with all rows.
THIN = 128
ROUGH = Effort(tolerance=1e-3, iterations=60)
KEPT = 3


@dataclass(frozen=True)
class Setting:
    """How every law is fitted, the same for all."""

    objective: Objective
    across: Across
    sources: Sources
    params: Which | None
    columns: Mapping[str, str]
    starts: int
    seed: int
    level: float


@dataclass(frozen=True)
class LawOf:
    """A language's law as the rows that were seen give it."""

    law: Law
    layout: Layout
    at: Callable[[np.ndarray], Law] | None = None
    """The law at other moved coordinates z `(free,)`; None of a joint fit."""
    spread: Spread | None = None

    @property
    def free(self) -> int:
        return len(self.layout.free)


@dataclass(frozen=True)
class Prediction:
    """`index` `(rows,)` says which rows of the table these are. `low` and `high` bound the loss that each may have, at
    the setting's level; NaN where nothing is known of it."""

    split: str
    target: str
    index: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """What one form of a law says of every split: predictions, and by (split, target) its law or why it has none."""

    form: Form
    predictions: tuple[Prediction, ...]
    laws: Mapping[tuple[str, str], LawOf] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def free(self) -> float:
        """Fitted coefficients per language, the median over languages."""
        return float(np.median([law.free for law in self.laws.values()])) if self.laws else float("nan")


def predict_held_out(
    form: Form, table: RunTable, splits: Sequence[Split], setting: Setting, progress: Callable[[int], None]
) -> HeldOut:
    """Fit `form` to what each split shows, and predict what it holds out.

    Only `_predict` meets held-out rows, and it is given none of their losses.
    """
    make = _separate if setting.across == "separate" else _together
    laws, refused = make(form, table, splits, setting, progress)
    predictions = []
    for split in splits:
        for target in table.targets:
            law = laws.get((split.name, target))
            if law is None:
                continue
            try:
                found = _predict(form, law, table, split, target, setting)
            except InputError as error:
                refused[split.name, target] = error.what
                continue
            if len(found.index):
                predictions.append(found)
    return HeldOut(form, tuple(predictions), laws, refused)


def part(table: RunTable, rows: np.ndarray) -> RunTable:
    return replace(table, frame=table.frame.filter(pl.Series(rows)))


def sources_for(form: Form, sources: Sources, target: str) -> list[str] | None:
    """The transfer languages of a target: a form that has its own keeps them; None leaves the choice to the rows."""
    chosen = form.sources if form.sources is not None else sources
    mine = chosen.get(target) if isinstance(chosen, Mapping) else chosen
    return None if mine is None else [s for s in mine if s != target]


def _predict(form: Form, law: LawOf, table: RunTable, split: Split, target: str, setting: Setting) -> Prediction:
    """Held-out rows of a target under the sources, languages and coefficients of its law."""
    here = split.held & (table.frame["target"] == target).to_numpy()
    index = np.flatnonzero(here)
    if not len(index):
        return Prediction(split.name, target, index, np.zeros(0), np.zeros(0), np.zeros(0))
    held = part(table, here)
    # Losses are blanked: a prediction cannot depend on them. Rows are renumbered to know which are left out.
    frame = held.frame.with_columns(loss=pl.lit(1.0), row=pl.Series(np.arange(len(index))))
    rows = rows_for(
        form.law,
        replace(held, frame=frame),
        params=setting.params,
        sources=law.layout.sources,
        switches=dict(law.layout.switches),
        columns={k: v for k, v in setting.columns.items() if k in form.law.columns},
        languages=law.layout.languages or None,
    )
    predicted = _losses(law.law, rows.columns, len(rows.loss))
    low = high = np.full(len(predicted), np.nan)
    at = law.at
    # Of the rows that it was fitted to an interval would say nothing.
    if at is not None and law.spread is not None and not split.in_sample:
        low, high = law.spread.bounds(lambda z: _losses(at(z), rows.columns, len(rows.loss)), setting.level)
    return Prediction(split.name, target, index[rows.number], predicted, low, high)


def _losses(law: Law, columns: Mapping[str, Any], rows: int) -> np.ndarray:
    if not rows:
        return np.empty(0)
    # JAX compiles each step of a law for each number of rows: they are filled up to few numbers.
    more = 64 * 2 ** max(math.ceil(math.log2(rows / 64)), 0) - rows
    wide = {name: np.concatenate([v, np.repeat(v[-1:], more, axis=0)]) for name, v in columns.items()}
    return np.broadcast_to(np.asarray(law.loss(**wide), float), (rows + more,))[:rows]


# --- each language by itself ------------------------------------------------------------------------


def _separate(
    form: Form, table: RunTable, splits: Sequence[Split], setting: Setting, progress: Callable[[int], None]
) -> tuple[dict[tuple[str, str], LawOf], dict[tuple[str, str], str]]:
    """All languages of all splits, those of one shape in one batch."""
    laws: dict[tuple[str, str], LawOf] = {}
    refused: dict[tuple[str, str], str] = {}
    batches: dict[Layout, list[tuple[str, Groups, int]]] = {}
    for split in splits:
        try:
            groups = _grouped(form, part(table, split.seen), setting)
        except InputError as error:
            refused |= {(split.name, target): error.what for target in table.targets}
            continue
        for i, target in enumerate(groups.names):
            reason = _too_few(groups, i)
            if reason:
                refused[split.name, target] = reason
            else:
                batches.setdefault(groups.layout, []).append((split.name, groups, i))
        for target in set(table.targets) - set(groups.names):
            refused[split.name, target] = "no usable row among those that it is fitted to"
    done = 0
    for members in batches.values():
        z, value = _solve([(g, i) for _, g, i in members], setting, lambda solved, done=done: progress(done + solved))
        done += len(members)
        for (split, groups, i), at, best in zip(members, z, value, strict=True):
            if not np.isfinite(best):
                refused[split, groups.names[i]] = "no start gave a finite loss"
                continue
            laws[split, groups.names[i]] = _law(groups, i, at)
    return laws, refused


def _grouped(form: Form, seen: RunTable, setting: Setting) -> Groups:
    return group_rows(
        form.law,
        seen,
        setting.objective,
        params=setting.params,
        sources={t: mine for t in seen.targets if (mine := sources_for(form, setting.sources, t)) is not None},
        fix=form.fix,
        free=form.free,
        switches=form.switches,
        columns={k: v for k, v in setting.columns.items() if k in form.law.columns},
    )


def _law(groups: Groups, i: int, z: np.ndarray) -> LawOf:
    """A language's law at z, its layout less what no row depends on: that is not fitted."""
    layout, kept = groups.own_layout(i)
    alive = [slot for slot, seen in zip(groups.layout.free, groups.seen[i], strict=True) if seen]
    fitted = replace(layout, free=tuple(k for k in layout.free if kept[k] in alive))
    problem = groups.problems[i]

    def at(z: np.ndarray) -> Law:
        return layout.to_law(values_at(problem, z)[kept])

    return LawOf(at(z), fitted, at, _spread(groups, i, z))


def _spread(groups: Groups, i: int, z: np.ndarray) -> Spread | None:
    problem, layout = groups.problems[i], groups.layout

    def losses(z: np.ndarray) -> np.ndarray:
        return _losses(layout.to_law(values_at(problem, z)), problem.columns, problem.rows)

    return spread_of(problem, losses, z, groups.run[i], groups.lower[i], groups.upper[i])


def _too_few(groups: Groups, i: int) -> str:
    rows, need = groups.problems[i].rows, int(groups.seen[i].sum())
    if rows <= need:
        return f"{rows} rows cannot determine {need} coefficients"
    if np.ptp(groups.problems[i].loss) == 0:
        return "all its losses are equal"
    return ""


def _solve(
    members: Sequence[tuple[Groups, int]], setting: Setting, progress: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The optimum z `(members, free)` of each, and its objective."""
    problems = [groups.problems[i] for groups, i in members]
    lower, upper = (np.array([getattr(g, side)[i] for g, i in members]) for side in ("lower", "upper"))
    count, starts = len(members), setting.starts
    begin = np.stack([_begin(groups, i, starts, setting.seed) for groups, i in members])
    begin = np.clip(begin, lower[:, None], upper[:, None])

    def descend(parts: Sequence[Problem], z: np.ndarray, effort: Effort, heard: Callable[[int], None] | None) -> Any:
        each = z.shape[1]
        even, weights = _even(parts)
        which = np.repeat(np.arange(count), each)
        low, high = np.repeat(lower, each, axis=0), np.repeat(upper, each, axis=0)
        flat = z.reshape(-1, z.shape[2])
        found = solve(even, flat, low, high, which=which, weights=weights[which], effort=effort, progress=heard)
        value = np.where(np.isfinite(found.value), found.value, np.inf)
        return found.z.reshape(z.shape), value.reshape(count, each)

    rough, value = descend([_thinned(p) for p in problems], begin, ROUGH, lambda done: progress(done // starts // 2))
    best = np.argsort(value, axis=1, kind="stable")[:, :KEPT]
    chosen = np.take_along_axis(rough, best[:, :, None], axis=1)
    each = best.shape[1]
    z, value = descend(problems, chosen, QUICK, lambda done: progress(count // 2 + done // each // 2))
    at = value.argmin(1)
    progress(count)
    return z[np.arange(count), at], value[np.arange(count), at]


def _begin(groups: Groups, i: int, starts: int, seed: int) -> np.ndarray:
    """Starting points `(starts, free)` of a group, from its own rows. What no row depends on starts, and so stays,
    at the middle of its range, or at zero where it may be negative."""
    problem = groups.problems[i]
    z = problem.layout.starts(starts, problem.loss, np.random.default_rng(seed))
    for j in np.flatnonzero(~groups.seen[i]):
        slot = problem.layout.slots[problem.layout.free[j]]
        z[:, j] = np.mean(np.log(slot.start)) if slot.log else 0.0
    return z


def _thinned(problem: Problem) -> Problem:
    kept = np.sort(np.random.default_rng(0).permutation(problem.rows)[:THIN])
    columns = {name: values[kept] for name, values in problem.columns.items()}
    return replace(problem, columns=columns, loss=problem.loss[kept])


def _even(problems: Sequence[Problem]) -> tuple[list[Problem], np.ndarray]:
    """The problems with rows of weight zero added, so that all need few compiled programs; and the weights
    `(problems, rows)`. Sizes are powers of two, at most twice as long as need be."""
    longest = max(p.rows for p in problems)
    sizes = [min(longest, 64 << max(0, (p.rows - 1).bit_length() - 6)) for p in problems]
    weights = np.zeros((len(problems), longest))
    out = []
    for i, (problem, size) in enumerate(zip(problems, sizes, strict=True)):
        index = np.where(np.arange(size) < problem.rows, np.arange(size), 0)
        columns = {name: values[index] for name, values in problem.columns.items()}
        out.append(replace(problem, columns=columns, loss=problem.loss[index]))
        weights[i, : problem.rows] = 1.0
    return out, weights


# --- languages together -----------------------------------------------------------------------------


def _together(
    form: Form, table: RunTable, splits: Sequence[Split], setting: Setting, progress: Callable[[int], None]
) -> tuple[dict[tuple[str, str], LawOf], dict[tuple[str, str], str]]:
    """Pooled or tied: a joint fit for each split."""
    laws: dict[tuple[str, str], LawOf] = {}
    refused: dict[tuple[str, str], str] = {}
    for done, split in enumerate(splits):
        seen = part(table, split.seen)
        try:
            fits = fit_languages(
                form,
                seen,
                across=setting.across,
                objective=setting.objective,
                params=setting.params,
                sources={t: mine for t in seen.targets if (mine := sources_for(form, setting.sources, t)) is not None},
                columns={k: v for k, v in setting.columns.items() if k in form.law.columns},
                starts=setting.starts,
                draws=0,
                seed=setting.seed,
            )
        except (InputError, FitError) as error:
            refused |= {(split.name, target): error.what if isinstance(error, InputError) else str(error)
                        for target in table.targets}  # fmt: skip
            continue
        for target in table.targets:
            if target in fits.fits:
                laws[split.name, target] = LawOf(fits[target].law, fits[target].layout)
            else:
                refused[split.name, target] = "no usable row among those that it is fitted to"
        progress((done + 1) * len(table.targets))
    return laws, refused
