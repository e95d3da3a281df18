"""Several targets under one law: their rows, and one layout that serves them all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.fitting.causes import constant_exponents
from isogloss.fitting.layout import Layout, make_layout
from isogloss.fitting.objective import Objective
from isogloss.fitting.points import PER_SOURCE
from isogloss.fitting.problem import Problem, residuals
from isogloss.fitting.rows import Rows, rows_for
from isogloss.laws.base import Law, coefficient_of
from isogloss.runs import LeftOut, RunTable
from isogloss.runs.table import Which


@dataclass(frozen=True)
class Groups:
    """One group of rows per target. `layout` numbers the sources, which are other languages for each target.

    `lower`, `upper` `(groups, free)` bound the moved coordinates; `shared` `(free,)` says which of them are one
    for all groups, `seen` `(groups, free)` on which any row of the group depends. N and D have one centre, so that
    the terms of different groups are terms at the same N and D.
    """

    names: tuple[str, ...]
    layout: Layout
    problems: tuple[Problem, ...]
    rows: tuple[Rows, ...]
    lower: np.ndarray
    upper: np.ndarray
    shared: np.ndarray
    seen: np.ndarray
    run: tuple[np.ndarray, ...]
    """Per group `(rows,)`: the run of each row, numbered over all groups, for a run may be measured on several."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def slots(self) -> list[str]:
        """Names of the moved coordinates."""
        return [self.layout.slots[i].name for i in self.layout.free]

    def own_layout(self, group: int) -> tuple[Layout, np.ndarray]:
        """The layout of one target under its sources' names, and for each of its slots the slot here."""
        sources = self.rows[group].sources
        slots, kept = [], []
        for index, slot in enumerate(self.layout.slots):
            name = slot.name
            if coefficient_of(self.layout.law, slot.coefficient).per == "source":
                number = int(name.removeprefix(slot.coefficient).strip("[]")) - 1
                if number >= len(sources):
                    continue
                name = f"{slot.coefficient}[{sources[number]}]"
            slots.append(replace(slot, name=name))
            kept.append(index)
        free = tuple(k for k, index in enumerate(kept) if index in self.layout.free)
        return replace(self.layout, slots=tuple(slots), free=free, sources=sources), np.array(kept)


def group_rows(
    law: type[Law],
    table: RunTable,
    objective: Objective,
    *,
    targets: Sequence[str] | None = None,
    params: Which | None = None,
    sources: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    fix: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    switches: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    tie: Sequence[str] = (),
) -> Groups:
    """The rows of each target of `table`, or of `targets`; `tie` names coefficients that are one for all.

    `sources` is one list for all targets (less the target itself), or a list for each. Targets without a single
    usable row are left out, with the reason in `notes`. Raises InputError where none is usable.
    """
    languages = _trained(table) if "shares" in law.columns else None
    found: dict[str, Rows] = {}
    notes: list[str] = []
    reasons: dict[str, InputError] = {}
    for target in targets or table.targets:
        try:
            one = table.for_target(target)
            mine = sources.get(target) if isinstance(sources, Mapping) else sources
            mine = None if mine is None else [s for s in mine if s != target]
            found[one.targets[0]] = rows_for(
                law, one, params=params, sources=mine, switches=switches, columns=columns, languages=languages
            )
        except InputError as error:
            reasons[target] = error
    if not found:
        raise next(iter(reasons.values())) if reasons else InputError("no column target", where=table.source)
    for target, error in reasons.items():
        notes.append(f"{target} is not fitted: {error}")
    most = max(len(r.sources) for r in found.values())
    layout, held = make_layout(
        law,
        sources=[str(i + 1) for i in range(most)],
        languages=languages or (),
        fix=fix,
        free=free,
        switches=switches,
    )
    together = {k: np.concatenate([r.columns[k] for r in found.values()]) for k in law.columns if k not in PER_SOURCE}
    centres = layout.centres(together)
    layout, held, dead = _without_dead(layout, held, centres, objective, found, most)
    if dead:
        notes.append(f"no row of any language depends on {', '.join(dead)}: held at a default, not fitted.")
    problems = tuple(Problem(layout, objective, _padded(r, most), r.loss, held, centres) for r in found.values())
    shared = _shared(layout, law, tie)
    bounds = [layout.bounds(p.loss) for p in problems]
    lower, upper = np.array([b[0] for b in bounds]), np.array([b[1] for b in bounds])
    # What is one for all must suit the loss of all.
    lower[:, shared], upper[:, shared] = lower[:, shared].max(0), upper[:, shared].min(0)
    ids = [_run_ids(table, r) for r in found.values()]
    numbers = {run: i for i, run in enumerate(dict.fromkeys(run for group in ids for run in group))}
    return Groups(
        names=tuple(found),
        layout=layout,
        problems=problems,
        rows=tuple(found.values()),
        lower=lower,
        upper=upper,
        shared=shared,
        seen=seen_by(problems),
        run=tuple(np.array([numbers[run] for run in group]) for group in ids),
        left_out=tuple(dict.fromkeys(item for r in found.values() for item in r.left_out)),
        notes=tuple(dict.fromkeys([*notes, *(note for r in found.values() for note in r.notes)])),
    )


def _trained(table: RunTable) -> tuple[str, ...]:
    names, shares = table.shares()
    return tuple(n for n, share in zip(names, shares.T, strict=True) if np.nanmax(share, initial=0.0) > 0)


def _padded(rows: Rows, sources: int) -> dict[str, np.ndarray]:
    """Columns per source with `sources` of them: one that a target lacks gives no tokens."""
    lacking = [(0, 0), (0, sources - len(rows.sources))]
    return {
        name: np.pad(v, lacking, constant_values=0.0 if name.startswith("D") else np.inf) if name in PER_SOURCE else v
        for name, v in rows.columns.items()
    }


def _shared(layout: Layout, law: type[Law], tie: Sequence[str]) -> np.ndarray:
    """Which moved coordinates are tied. A tied term needs its exponent tied: its unit is N to that power."""
    for name in tie:
        coefficient_of(law, name)
        exponents = {n for s in layout.slots if s.coefficient == name for _, _, slots in s.exponents for n in slots}
        for exponent in sorted({n.split("[")[0] for n in exponents} - set(tie)):
            raise InputError(
                f"{name} cannot be one for all languages while {exponent} is not: its unit depends on {exponent}",
                where="tie",
                hint=f"Tie {exponent} too, or leave {name} free.",
            )
    return np.array([layout.slots[i].coefficient in tie for i in layout.free], bool)


def seen_by(problems: Sequence[Problem]) -> np.ndarray:
    """`(groups, free)`: whether any row depends on the coordinate."""
    out = []
    for problem in problems:
        points = problem.layout.starts(2, problem.loss, np.random.default_rng(0))
        out.append(np.max([np.abs(residuals(problem, z)[1]).max(0, initial=0.0) for z in points], axis=0) > 0)
    return np.array(out)


def held_where_unseen(groups: Groups) -> Groups:
    """What no row of a group depends on held at a default: without a population, nothing else says what it is."""
    lower, upper = groups.lower.copy(), groups.upper.copy()
    for j, index in enumerate(groups.layout.free):
        slot = groups.layout.slots[index]
        unseen = ~groups.seen[:, j] & ~groups.shared[j]
        lower[unseen, j] = upper[unseen, j] = math.log(slot.default()) if slot.log else slot.default()
    return replace(groups, lower=lower, upper=upper)


def _without_dead(
    layout: Layout,
    held: np.ndarray,
    centres: np.ndarray,
    objective: Objective,
    found: Mapping[str, Rows],
    sources: int,
) -> tuple[Layout, np.ndarray, list[str]]:
    """Take out of the fit what no row of any group depends on, such as lambda where nothing is repeated."""
    problems = [Problem(layout, objective, _padded(r, sources), r.loss, held, centres) for r in found.values()]
    seen = np.any(seen_by(problems), axis=0)
    # An exponent of what never changes is another name for the term it multiplies.
    constant = set.intersection(*(set(constant_exponents(p)) for p in problems))
    dead = [i for i, s in zip(layout.free, seen, strict=True) if not s or layout.slots[i].name in constant]
    held = held.copy()
    held[dead] = [layout.slots[i].default() for i in dead]
    names = [layout.slots[i].name for i in dead]
    return replace(layout, free=tuple(i for i in layout.free if i not in dead)), held, names


def _run_ids(table: RunTable, rows: Rows) -> list[str]:
    if "run_id" not in table.frame.columns:
        return [f"row {n}" for n in rows.number]
    ids = dict(zip(table.frame["row"].to_list(), table.frame["run_id"].cast(str).to_list(), strict=True))
    return [ids[int(n)] or f"row {n}" for n in rows.number]
