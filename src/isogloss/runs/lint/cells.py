"""The cells of a table that is read leniently: units, mixtures and numbers, each judged and none refused."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import BY_NAME, COLUMNS, SHARE, UNIQUE, Domain, unit_in_name
from isogloss.runs.draft import Draft
from isogloss.runs.lint.codes import (
    MIXTURE_UNREADABLE,
    ODD_SCALE,
    OUT_OF_RANGE,
    UNIT_UNSAID,
    UNKNOWN_UNIT,
    UNREADABLE,
    ZERO_TOKENS,
)
from isogloss.runs.lint.lenient import Reading
from isogloss.runs.lint.sheet import NEVER_RAN, STOPPED, Sheet, with_numbers
from isogloss.runs.names import Names, name_notes
from isogloss.runs.numbers import describe, missing, outside, to_numbers, typed
from isogloss.runs.table import find_column, keep
from isogloss.units import LossUnit, loss_unit

# A count this small beside a column whose median is a million or more was written in millions or billions.
SMALL, LARGE = 1e4, 1e6
# Medians of nats per token are above this, in tables of language models; of bits or nats per byte, below.
LOW = 1.2


def finish(reading: Reading, unit: LossUnit | None) -> Sheet:
    draft = reading.draft
    _status(draft)
    said = _said_unit(reading, unit)
    unsaid = said is None and "unit" not in draft
    settled = _unit(reading, said)
    unread: dict[str, pl.Series] = {}
    if "mixture" in draft:
        unread["mixture"] = _mixture(reading)
    for column in COLUMNS:
        if column.name not in draft:
            continue
        if column.domain == "text":
            cells = draft[column.name]
            draft.set((typed(cells) if cells.dtype.is_float() else cells).cast(pl.String, strict=False))
        elif column.domain != "any":
            unread[column.name] = _numbers(reading, column.name)
    for name in [c for c in draft.frame.columns if c.startswith((SHARE, UNIQUE))]:
        unread[name] = _numbers(reading, name)
    draft.frame = with_numbers(draft.frame)
    _derive_tokens(draft)
    unread = _late(reading, unread)
    _ghosts(draft)
    odd = _odd_scale(reading)
    unread |= {c: unread[c] | odd[c] for c in odd if c in unread}
    if unsaid:
        _unsaid(reading)
    sheet = Sheet(draft.frame, draft.source, settled, (), unread, _own(draft))
    # Rows that are left out by their status, or of runs that never ran, may hold anything.
    judged = pl.Series(sheet.used & ~sheet.ghost)
    found = [
        finding
        for code, column, which, why in reading.bad
        for finding in code.finding(sheet, which & judged, why.replace("{column}", draft.own(column), 1))
    ]
    draft.notes += name_notes(reading.names, _names(draft.frame))
    return Sheet(draft.frame, draft.source, settled, (*reading.table, *found), unread, sheet.own)


def _derive_tokens(draft: Draft) -> None:
    """D = C / (6 N) as in reading, where nothing says more."""
    N = next((c for c in ("params_total", "params_non_embedding") if c in draft), None)
    if "tokens" in draft or "flops" not in draft or N is None or {"steps", "batch_tokens"} <= {*draft.frame.columns}:
        return
    draft.set((draft["flops"] / (6.0 * draft[N])).alias("tokens"))
    draft.notes.append(f"there is no column of tokens; taken as D = C / (6 N) with {N}.")


def _late(reading: Reading, unread: dict[str, pl.Series]) -> dict[str, pl.Series]:
    """The conditions that had to wait, and what was marked so far without the rows that they leave out."""
    draft = reading.draft
    for condition in reading.late:
        column = find_column(condition.column, draft.frame.columns, source=draft.source)
        kept = keep(draft[column], column, condition)
        reading.bad = [(code, name, which.filter(kept), why) for code, name, which, why in reading.bad]
        unread = {name: which.filter(kept) for name, which in unread.items()}
        draft.drop(~kept, condition.reason)
    return unread


def _own(draft: Draft) -> dict[str, str]:
    return {n: draft.own(n) for n in draft.frame.columns if draft.own(n) != n}


def _names(frame: pl.DataFrame) -> list[str]:
    columns = [c.split(":", 1)[1] for c in frame.columns if c.startswith((SHARE, UNIQUE))]
    return [*(frame["target"].drop_nulls().unique().to_list() if "target" in frame.columns else ()), *columns]


def _status(draft: Draft) -> None:
    if "status" not in draft:
        draft.set(pl.Series("used", np.ones(draft.frame.height, bool)))
        return
    status = draft["status"].cast(pl.String, strict=False).str.to_lowercase()
    draft.set(status, (~status.is_in([*NEVER_RAN, *STOPPED, "diverged"])).fill_null(True).alias("used"))


def _ghosts(draft: Draft) -> None:
    """Listed, never ran: nothing measured, and no token seen."""
    loss = draft["loss"].is_null() | draft["loss"].is_nan()
    counters = [draft[c].fill_null(0.0) <= 0 for c in ("tokens", "steps") if c in draft]
    said = (draft["status"].is_in(NEVER_RAN)).fill_null(False) if "status" in draft else loss & False
    never = loss & counters[0] & counters[-1] if counters else loss & False
    draft.set((said | (never & draft["used"])).alias("ghost"))


def _said_unit(reading: Reading, asked: LossUnit | None) -> LossUnit | None:
    """The unit that the loss column's name says, or that was asked for."""
    column = next(iter(reading.wide.columns), reading.draft.own("loss"))
    return reading.wide.stated_unit or unit_in_name(column) or asked


def _unsaid(reading: Reading) -> None:
    """Losses per token that are as low as those per byte."""
    median = reading.draft["loss"].drop_nans().median()
    if isinstance(median, float) and 0 < median < LOW:
        text = f"no unit is given, and half of the losses are below {median:.2f}: are they nats per token?"
        reading.table.append(UNIT_UNSAID.of_table(text))


def _unit(reading: Reading, said: LossUnit | None) -> LossUnit:
    """A unit for every row: of the unit column, or as said, or nats/token."""
    draft = reading.draft
    default: LossUnit = said or "nats/token"
    if "unit" not in draft:
        if not said:
            draft.notes.append("no unit is given for the loss; taken as nats/token.")
        draft.set(pl.Series("unit", [default] * draft.frame.height, dtype=pl.String))
        return default
    cells = draft["unit"].cast(pl.String, strict=False)
    known: dict[str, str] = {}
    for text in cells.drop_nulls().unique(maintain_order=True):
        with suppress(InputError):
            known[text] = loss_unit(text)
    units = cells.replace_strict(known, default=None, return_dtype=pl.String)
    draft.set(units.alias("unit"))
    unknown = units.is_null()
    if unknown.any():
        shown = describe(cells.filter(unknown)[0])
        reading.mark(UNKNOWN_UNIT, "unit", unknown, f"{{rows}} whose {{column}} is no unit of a loss, such as {shown}.")
    counts = units.drop_nulls().value_counts(sort=True)
    return counts["unit"][0] if counts.height else default


def _mixture(reading: Reading) -> pl.Series:
    """Share columns from JSON objects, as they are: percent and sums are judged later. Gives which are none."""
    draft, names = reading.draft, reading.names
    cells = draft.take("mixture")
    if isinstance(cells.dtype, pl.Struct):
        wide = cells.struct.unnest()
        draft.set(*(wide[c].cast(pl.Float64, strict=False).alias(SHARE + names[c.strip()]) for c in wide.columns))
        return cells.is_null() & False
    cells = cells.cast(pl.String, strict=False)
    parsed: dict[str, dict[str, float]] = {}
    for text in cells.drop_nulls().unique(maintain_order=True):
        if (mixture := parsed_mixture(text, names)) is not None:
            parsed[text] = mixture
    languages = dict.fromkeys(name for mixture in parsed.values() for name in mixture)
    for name in languages:
        shares = {text: mixture.get(name, 0.0) for text, mixture in parsed.items()}
        draft.set(cells.replace_strict(shares, default=None, return_dtype=pl.Float64).alias(SHARE + name))
    broken = cells.is_not_null() & ~cells.is_in(list(parsed))
    text = "{rows} whose mixture is no JSON object of fractions by name, each language once" + _example(cells, broken)
    reading.mark(MIXTURE_UNREADABLE, "mixture", broken, text)
    return broken


def parsed_mixture(text: str, names: Names) -> dict[str, float] | None:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
        mixture = {names[str(name).strip()]: float(share) for name, share in pairs if not isinstance(share, bool)}
    except (ValueError, TypeError, RecursionError):
        return None
    return mixture if mixture and len(mixture) == len(pairs) else None


def _numbers(reading: Reading, name: str) -> pl.Series:
    """Put a column in as numbers; cells that are none, or out of range, become null and are marked."""
    draft = reading.draft
    cells = draft[name]
    numbers = to_numbers(cells.cast(pl.String) if cells.dtype == pl.Boolean else cells)
    if name != "loss":
        numbers = numbers.fill_nan(None)
    unread = numbers.is_null() & ~missing(cells)
    reading.mark(UNREADABLE, name, unread, "{rows} whose {column} is not a number" + _example(cells, unread))
    domain: Domain = BY_NAME[name].domain if name in BY_NAME else "non-negative"
    if name == "loss":
        signed = draft["unit"].is_in(["unigram-normalised", "metric"]).fill_null(True)
        bad = ((numbers <= 0) & numbers.is_finite() & ~signed).fill_null(False)
    elif name.startswith(SHARE):
        bad = ~numbers.is_finite().fill_null(True)
    else:
        bad = outside(numbers, domain)
    told = bad
    if name == "tokens":
        zero = (numbers == 0).fill_null(False)
        reading.mark(ZERO_TOKENS, name, zero, "{rows} whose {column} are zero.")
        told = bad & ~zero
    reading.mark(OUT_OF_RANGE, name, told, "{rows} whose {column} is not " + _wanted(domain) + _example(cells, told))
    draft.set(pl.select(pl.when(bad).then(None).otherwise(numbers).alias(name)).to_series())
    return unread | bad


def _wanted(domain: str) -> str:
    return {"count": "a positive whole number", "non-negative": "zero or more"}.get(domain, "positive")


def _example(cells: pl.Series, which: pl.Series) -> str:
    if not which.any():
        return "."
    return f", such as {describe(cells.filter(which)[0])}."


def _odd_scale(reading: Reading) -> dict[str, pl.Series]:
    draft = reading.draft
    single = pl.Series(np.ones(draft.frame.height, bool))
    keys = [c for c in ("run_id", "target", "eval_set") if c in draft]
    if "run_id" in draft:
        single = draft.frame.select(pl.struct(keys).is_unique() if len(keys) > 1 else pl.col("run_id").is_unique())
        single = single.to_series()
    odd: dict[str, pl.Series] = {}
    for name in ("params_total", "params_non_embedding", "tokens"):
        if name not in draft or (median := draft[name].median()) is None or median < LARGE:  # type: ignore[operator]
            continue
        # The first points of a curve have few tokens by right.
        few = (draft[name] < SMALL) & single if name == "tokens" else draft[name] < SMALL
        odd[name] = few = few.fill_null(False)
        what = (
            "{rows} whose {column} is below 10,000"
            + _example(draft[name], few)[:-1]
            + f", beside a median of {median:.3g}."
        )
        reading.mark(ODD_SCALE, name, few, what)
        draft.set(pl.select(pl.when(few).then(None).otherwise(draft[name]).alias(name)).to_series())
    return odd
