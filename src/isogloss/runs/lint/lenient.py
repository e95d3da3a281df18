"""Reading a table without refusing it: what `read_runs` would stop at becomes a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import SHARE, UNIQUE, meaning, name_columns
from isogloss.runs.draft import Draft
from isogloss.runs.lint.codes import LANGUAGE_TWICE
from isogloss.runs.lint.finding import Code, Found
from isogloss.runs.lint.names import find_extra
from isogloss.runs.names import Names, judge_names
from isogloss.runs.numbers import tidy_text
from isogloss.runs.read import no_loss
from isogloss.runs.shares import find_mixture_columns, names_in_mixture
from isogloss.runs.source import load
from isogloss.runs.where import Condition, parse_condition
from isogloss.runs.wide import WideLosses, find_wide_losses, melt
from isogloss.units import LossUnit


class Reading:
    """A table while it is read leniently: `raw` as it is in the file, with `row`; `draft` holds its cells under the
    names of a run table; `bad` marks cells by column and code."""

    def __init__(self, raw: pl.DataFrame, draft: Draft, wide: WideLosses, names: Names):
        self.raw, self.draft, self.wide, self.names = raw, draft, wide, names
        self.bad: list[tuple[Code, str, pl.Series, str]] = []
        self.table: list[Found] = []
        self.late: list[Condition] = []

    def mark(self, code: Code, column: str, which: pl.Series, why: str) -> None:
        if which.any():
            self.bad.append((code, column, which, why))


def open_draft(
    raw: pl.DataFrame, name: str, columns: Mapping[str, str], unit: LossUnit | None
) -> tuple[Draft, WideLosses]:
    """The cells under the names of a run table; InputError where no column can be told to hold a loss."""
    free = [c for c in raw.columns if c not in columns.values()]
    tidy = {"loss", "target"} <= {*map(meaning, raw.columns), *map(meaning, columns)}
    wide = find_wide_losses([] if tidy else free, unit, source=name)
    narrow = [c for c in raw.columns if c not in wide.columns]
    naming = name_columns(narrow, columns, unit, source=name)
    draft = Draft(tidy_text(raw.rename(dict(naming.names))), naming, name)
    others = [c for c in draft.frame.columns if meaning(c) is None and not c.startswith((SHARE, UNIQUE))]
    draft.rename({c: n for c, n in find_extra(others).items() if c in narrow and n not in draft.frame.columns})
    stated = "mixture" in draft or any(c.startswith(SHARE) for c in draft.frame.columns)
    draft.rename(find_mixture_columns([c for c in others if c in draft.frame.columns], stated=stated))
    if not wide.columns and "loss" not in draft:
        raise no_loss(list(raw.columns), name)
    return draft, wide


def read_sheet(source: Any, where: Iterable[str], columns: Mapping[str, str], unit: LossUnit | None) -> Reading:
    """Open a file or frame and judge its cells one by one; `finish` makes the sheet."""
    raw, name = load(source)
    draft, wide = open_draft(raw, name, columns, unit)
    cells = [c for c in draft.frame.columns if c != "row"]
    empty = draft.frame.select(pl.all_horizontal(pl.col(c).is_null() for c in cells)).to_series()
    draft.drop(empty, "the row is empty")
    if wide.columns:
        _melt(draft, wide)
    # A column "row" of the user's has another name in the table, because "row" numbers the rows.
    renamed = raw.rename({"row": draft.naming.names["row"]}) if "row" in raw.columns else raw
    numbered = renamed.select(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"), pl.all())
    reading = Reading(numbered, draft, wide, Names({}, (), ()))
    _name_languages(reading)
    reading.late = draft.keep_where([parse_condition(c) for c in where])
    return reading


def _melt(draft: Draft, wide: WideLosses) -> None:
    if "target" in draft:
        what = f"has a column {draft.own('target')!r} and one loss column per target"
        raise InputError(what, where=draft.source, hint="Keep one or the other.")
    if "loss" in draft:
        draft.rename({"loss": "loss_in_file"})
    melted = melt(draft.frame, wide)
    draft.frame = melted.frame
    draft.left_out += melted.left_out
    draft.notes += [*wide.notes, *melted.notes]


def _name_languages(reading: Reading) -> None:
    draft = reading.draft
    prefixes = (SHARE, UNIQUE, "realised:")
    wide = {c: next(p for p in prefixes if c.startswith(p)) for c in draft.frame.columns if c.startswith(prefixes)}
    targets: list[str] = []
    if "target" in draft:
        draft.set(draft["target"].cast(pl.String, strict=False))
        targets = draft["target"].drop_nulls().unique(maintain_order=True).to_list()
    mixed = names_in_mixture(draft["mixture"]) if "mixture" in draft else []
    reading.names = names = judge_names([*targets, *(c.removeprefix(p) for c, p in wide.items()), *mixed])
    if targets:
        draft.set(draft["target"].replace(names.languages))
    taken: dict[str, str] = {}
    for column, prefix in wide.items():
        other = taken.setdefault(prefix + names[column.removeprefix(prefix)], column)
        if other != column:
            message = f"columns {draft.own(other)!r} and {draft.own(column)!r} are one language."
            reading.table.append(LANGUAGE_TWICE.of_table(message))
            # Some rows have the one and some the other: sums are judged of both.
            first, second = draft[other], draft.take(column)
            if first.dtype == second.dtype:
                draft.set(first.fill_null(second))
    draft.rename({column: canonical for canonical, column in taken.items()})
