"""read_runs: from whatever table people have to a RunTable, or an error that names the cell at fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError, suggest
from isogloss.runs.checks import check_columns, derive_tokens, settle_unit, take_mixtures
from isogloss.runs.columns import CANONICAL, SHARE, UNIQUE, accepted_names, fresh_name, meaning, name_columns
from isogloss.runs.draft import Draft
from isogloss.runs.names import Names, judge_names, name_notes
from isogloss.runs.numbers import tidy_text, typed
from isogloss.runs.shares import Mixtures, find_mixture_columns, names_in_mixture
from isogloss.runs.source import load
from isogloss.runs.study_table import is_study, load_study
from isogloss.runs.table import RunTable, check_rows_left
from isogloss.runs.where import parse_condition
from isogloss.runs.wide import ORIGIN, WideLosses, find_wide_losses, melt
from isogloss.stores import local, shown
from isogloss.units import LossUnit, loss_unit

# Rows that must not enter a fit: their loss is not that of the finished run that their columns describe.
UNFINISHED = frozenset(
    ("running", "diverged", "killed", "crashed", "failed", "ghost", "preempted", "canceled", "cancelled")
)
FINISHED = frozenset(("finished", "complete", "completed", "done", "success", "succeeded", "ok"))


def read_runs(
    source: Any,
    *,
    where: str | Iterable[str] = (),
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> RunTable:
    """Read training runs from a .csv, .tsv, .parquet or .jsonl file, a study's folder, any data frame, or what this has
    read already.

    Columns are found under their usual names (`N`, `model_params`, `D`, `val_loss`, `eval/de/bpb`,
    `share:de`, ...); `columns` names them outright: {"N": "my_params", "loss": "my_loss"}. `where` keeps
    the rows that meet every condition ("use=1", "tokens<5e20"), before any value is checked. `unit` says
    what the losses are in where the table does not; nats/token unless said. Rows of unfinished runs are
    listed in `left_out`. Of a study, finished models are read (lr_phase final; where phases are not known,
    the last point of every run and target) unless `where` speaks of lr_phase, in the unit of most runs
    (bits/byte if as many) unless `unit` says otherwise.

    Raises InputError, with file, data row and column, for anything that cannot be used.
    """
    source = local(source)
    conditions = [parse_condition(c) for c in ([where] if isinstance(where, str) else where)]
    asked = None if unit is None else loss_unit(unit, where="unit")
    if isinstance(source, RunTable):
        return _again(source, list(map(str, conditions)), columns, asked)
    every_point = any(meaning(c.column) == "lr_phase" for c in conditions)
    draft, wide = _open(source, columns or {}, asked, every_point)
    _leave_out_empty_rows(draft)
    if _is_study(source) and not every_point:
        _leave_out_other_phases(draft)
    _melt(draft, wide)
    names = _name_languages(draft)
    late = draft.keep_where(conditions)
    _leave_out_unfinished(draft)
    settled = settle_unit(draft, wide, asked)
    mixtures = take_mixtures(draft, names)
    check_columns(draft, settled)
    derive_tokens(draft)
    frame = _arranged(draft, mixtures)
    draft.notes += name_notes(names, _names_in_use(frame))
    left_out = sorted(draft.left_out, key=lambda left: left.row)
    table = RunTable(frame, settled, draft.source, tuple(left_out), tuple(draft.notes))
    return table.where(*map(str, late))


def _again(
    table: RunTable, conditions: list[str], columns: Mapping[str, str] | None, unit: LossUnit | None
) -> RunTable:
    """A table as it was read: its columns have their names, and its losses their unit."""
    if columns:
        raise InputError("has been read already", where="columns", hint="Give columns where the table is read first.")
    if unit not in (None, table.unit):
        raise InputError(f"has losses in {table.unit}, not {unit}", where=table.source, hint="Read it anew with unit=.")
    return table.where(*conditions)


def _open(
    source: Any, columns: Mapping[str, str], unit: LossUnit | None, every_point: bool
) -> tuple[Draft, WideLosses]:
    """The raw table under the columns' names, except for losses in wide form."""
    notes: list[str] = []
    if _is_study(source):
        (raw, notes), name = load_study(Path(source), unit, every_point=every_point), shown(str(source))
    else:
        raw, name = load(source)
    free = [c for c in raw.columns if c not in columns.values()]
    # A table that has one target and loss per row says nothing more in its wide columns.
    tidy = {"loss", "target"} <= {*map(meaning, raw.columns), *map(meaning, columns)}
    wide = find_wide_losses([] if tidy else free, unit, source=name)
    narrow = [c for c in raw.columns if c not in wide.columns]
    naming = name_columns(narrow, columns, unit, source=name)
    others = [c for c, n in naming.names.items() if n == c and not n.startswith((SHARE, UNIQUE)) and meaning(c) is None]
    draft = Draft(tidy_text(raw.rename(dict(naming.names))), naming, name)
    draft.notes += notes
    stated = any(n == "mixture" or n.startswith(SHARE) for n in naming.names.values())
    draft.rename(find_mixture_columns(others, stated=stated))
    shares = [draft.own(c) for c in draft.frame.columns if c.startswith(SHARE)]
    if shares and "mixture" in draft:
        what = f"has the mixture twice, as {draft.own('mixture')!r} and as columns like {shares[0]!r}"
        raise InputError(what, where=name, hint="Keep one or the other, or rename what is no share.")
    if not wide.columns and "loss" not in draft:
        raise no_loss(list(raw.columns), name)
    return draft, wide


def _is_study(source: Any) -> bool:
    return isinstance(source, str | Path) and is_study(Path(source))


def _leave_out_other_phases(draft: Draft) -> None:
    """A loss before the rate has decayed is not that of a finished model: a law of both is a law of neither."""
    for phase in ("warmup", "stable", "decay") if "lr_phase" in draft else ():
        draft.drop(draft["lr_phase"] == phase, f"lr_phase {phase}: not a finished model")


def no_loss(columns: list[str], source: str) -> InputError:
    close = [c for c in columns if suggest(c, accepted_names("loss")) or "loss" in c.casefold()]
    hint = f"Is it {' or '.join(map(repr, close))}? Say columns={{'loss': {close[0]!r}}}. " if close else ""
    hint += f"Accepted: {', '.join(accepted_names('loss'))}, eval/<language>/loss."
    return InputError(f"has no loss column; its columns are {', '.join(columns)}", where=source, hint=hint)


def _leave_out_empty_rows(draft: Draft) -> None:
    cells = [c for c in draft.frame.columns if c != "row"]
    draft.drop(
        draft.frame.select(pl.all_horizontal(pl.col(c).is_null() for c in cells)).to_series(),
        "the row is empty",
    )


def _melt(draft: Draft, wide: WideLosses) -> None:
    if not wide.columns:
        return
    if "target" in draft:
        what = f"has a column {draft.own('target')!r} and one loss column per target"
        raise InputError(what, where=draft.source, hint="Keep one or the other.")
    draft.notes += wide.notes
    if "loss" in draft:
        own, kept = draft.own("loss"), fresh_name("loss", draft.frame.columns)
        draft.rename({"loss": kept})
        example = next(iter(wide.columns))
        draft.notes.append(f"the loss is read from columns like {example!r}; {own!r} is kept as {kept!r}.")
    melted = melt(draft.frame, wide)
    draft.frame = melted.frame
    draft.left_out += melted.left_out
    draft.notes += melted.notes
    check_rows_left(draft.frame, "leaving out rows without a loss", draft.source)


def _name_languages(draft: Draft) -> Names:
    """Codes for the names of languages, in targets and in column names; those in a JSON mixture follow when
    it is checked, because rows that a condition leaves out may hold anything."""
    targets: list[str] = []
    if "target" in draft:
        cells = draft["target"].cast(pl.String, strict=False)
        targets = cells.drop_nulls().unique(maintain_order=True).to_list()
        draft.set(cells)
    wide = {c: prefix for c in draft.frame.columns for prefix in (SHARE, UNIQUE) if c.startswith(prefix)}
    mixed = names_in_mixture(draft["mixture"]) if "mixture" in draft else []
    names = judge_names([*targets, *(c.removeprefix(prefix) for c, prefix in wide.items()), *mixed])
    if targets:
        draft.set(draft["target"].replace(names.languages))
    draft.rename({c: prefix + names[c.removeprefix(prefix)] for c, prefix in wide.items()})
    return names


def _leave_out_unfinished(draft: Draft) -> None:
    if "status" not in draft:
        return
    for state in (
        draft["status"].cast(pl.String, strict=False).str.to_lowercase().drop_nulls().unique(maintain_order=True)
    ):
        if state in UNFINISHED:
            status = draft["status"].cast(pl.String, strict=False).str.to_lowercase()
            draft.drop((status == state).fill_null(False), f"status {state}")
        elif state not in FINISHED:
            draft.notes.append(f"status {state!r} is unknown to isogloss: its rows are kept.")


def _arranged(draft: Draft, mixtures: Mixtures | None) -> pl.DataFrame:
    """Known columns first, in their fixed order, then mixtures, then what else the user has."""
    frame = draft.frame.drop(ORIGIN, strict=False)
    known = [frame[c] for c in CANONICAL if c in frame.columns]
    shares = [c.alias(SHARE + c.name) for c in mixtures.frame.iter_columns()] if mixtures else []
    unique = [frame[c] for c in frame.columns if c.startswith(UNIQUE)]
    placed = {c.name for c in (*known, *unique)}
    return pl.DataFrame([*known, *shares, *unique, *(typed(frame[c]) for c in frame.columns if c not in placed)])


def _names_in_use(frame: pl.DataFrame) -> list[str]:
    columns = [c.split(":", 1)[1] for c in frame.columns if c.startswith((SHARE, UNIQUE))]
    return [*(frame["target"].unique().to_list() if "target" in frame.columns else ()), *columns]
