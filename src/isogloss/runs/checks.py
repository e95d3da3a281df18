"""What makes a row usable: one loss unit, a mixture that adds up, numbers where numbers belong."""

from __future__ import annotations

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import COLUMNS, SHARE, UNIQUE, Domain, unit_in_name
from isogloss.runs.draft import Draft
from isogloss.runs.names import Names
from isogloss.runs.numbers import WANTED, missing, outside, to_numbers, typed
from isogloss.runs.shares import Mixtures, check_shares, parse_mixture
from isogloss.runs.wide import WideLosses
from isogloss.units import LossUnit, loss_unit

# Known in every row or in none.
_WHOLE = frozenset({"loss", "params_total", "params_non_embedding", "tokens", "target"})


def settle_unit(draft: Draft, wide: WideLosses, asked: LossUnit | None) -> LossUnit:
    """The one unit of the losses, from a unit column, a column's name or the caller; nats/token if none
    says."""
    loss = next(iter(wide.columns), draft.own("loss"))
    stated, place = unit_in_name(loss), f"{draft.source}, column {loss!r}"
    if "unit" in draft:
        column = _unit_in_column(draft)
        if column and stated and column != stated:
            what = f"says {column}, but the name of column {loss!r} says {stated}"
            hint = "Rename the loss column to 'loss' if the unit column is right."
            raise InputError(what, where=f"{draft.source}, column {draft.own('unit')!r}", hint=hint)
        stated = column or stated
    if stated and asked and stated != asked:
        what = f"holds {stated}, but unit={asked!r} was asked for"
        raise InputError(what, where=place, hint="Leave the unit out, or name another column for the loss.")
    if not (stated or asked):
        draft.notes.append("no unit is given for the loss; taken as nats/token.")
    return stated or asked or "nats/token"


def _unit_in_column(draft: Draft) -> LossUnit | None:
    cells = draft["unit"].cast(pl.String, strict=False)
    first: dict[LossUnit, int] = {}
    for text in cells.drop_nulls().unique(maintain_order=True):
        index = int((cells == text).arg_max() or 0)
        first.setdefault(loss_unit(text, where=draft.place(index, "unit")), index)
    if len(first) > 1:
        mixed = " and ".join(f"{unit} (first in row {draft['row'][index]})" for unit, index in first.items())
        hint = f'Read one at a time: --where "{draft.own("unit")}={cells[next(iter(first.values()))]}".'
        raise InputError(f"mixes {mixed}", where=f"{draft.source}, column {draft.own('unit')!r}", hint=hint)
    if first:
        draft.refuse(cells.is_null(), "unit", "a loss unit in every row")
    draft.take("unit")
    return next(iter(first), None)


def take_mixtures(draft: Draft, names: Names) -> Mixtures | None:
    """The shares of every row, out of the JSON column or the wide columns of the draft."""
    if "mixture" in draft:
        raw = parse_mixture(draft["mixture"], draft.place)
        draft.take("mixture")
        _refuse_same_language(draft, raw.columns, names)
        raw = raw.select(pl.col(c).alias(names[c]) for c in raw.columns)
    else:
        wide = [c for c in draft.frame.columns if c.startswith(SHARE)]
        raw = pl.DataFrame([draft.take(c).alias(c.removeprefix(SHARE)) for c in wide])
    if not raw.width:
        return None
    mixtures = check_shares(raw, draft.place)
    draft.notes += mixtures.notes
    return mixtures


def _refuse_same_language(draft: Draft, columns: list[str], names: Names) -> None:
    seen: dict[str, str] = {}
    for name in columns:
        other = seen.setdefault(names[name], name)
        if other != name:
            what = f"names {other!r} and {name!r} both mean {names[name]}"
            raise InputError(what, where=f"{draft.source}, column {draft.own('mixture')!r}", hint="Use one spelling.")


def check_columns(draft: Draft, unit: LossUnit) -> None:
    """Every known column in its type and domain. One that is empty throughout is as good as absent."""
    for column in COLUMNS:
        if column.name not in draft:
            continue
        if column.name != "loss" and missing(draft[column.name]).all():
            draft.take(column.name)
        elif column.domain == "text":
            _check_text(draft, column.name)
        elif column.domain == "any":
            draft.set(typed(draft[column.name]))
        else:
            # Relative to a unigram model a loss is negative, and a metric may be anything.
            signed = column.name == "loss" and unit in ("unigram-normalised", "metric")
            _check_numbers(draft, column.name, "finite" if signed else column.domain)
    for name in [c for c in draft.frame.columns if c.startswith(UNIQUE)]:
        _check_numbers(draft, name, "non-negative")


def _check_text(draft: Draft, name: str) -> None:
    cells = draft[name]
    # 17.0 is how pandas holds the number 17 beside an empty cell.
    draft.set((typed(cells) if cells.dtype.is_float() else cells).cast(pl.String, strict=False))
    if name in _WHOLE:
        draft.refuse(draft[name].is_null(), name, "filled in every row or in none")


def _check_numbers(draft: Draft, name: str, domain: Domain) -> None:
    cells = draft[name]
    # A flag is not the number 1, neither in a data frame nor as the text that CSV makes of it.
    numbers = to_numbers(cells.cast(pl.String) if cells.dtype == pl.Boolean else cells)
    if name in _WHOLE:
        unread = numbers.is_null()
    else:
        numbers = numbers.fill_nan(None)
        unread = numbers.is_null() & ~missing(cells)
    draft.refuse(unread | outside(numbers, domain), name, WANTED[domain])
    draft.set(numbers.cast(pl.Int64) if domain == "count" else numbers)


def derive_tokens(draft: Draft) -> None:
    """D = C / (6 N), where a table has compute and parameters but no tokens."""
    N = next((c for c in ("params_total", "params_non_embedding") if c in draft), None)
    if "tokens" in draft or "flops" not in draft or N is None:
        return
    if draft["flops"].null_count():
        draft.notes.append("there is no column of tokens, and flops are not known in every row to tell them.")
        return
    draft.set((draft["flops"] / (6.0 * draft[N])).alias("tokens"))
    draft.notes.append(f"there is no column of tokens; taken as D = C / (6 N) with {N}.")
