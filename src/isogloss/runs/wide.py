"""Losses of several languages side by side (eval/de/loss, bpb:fr), melted to one row per target."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import unit_in_name
from isogloss.runs.table import LeftOut, leave_out
from isogloss.units import LossUnit

_METRIC = r"(?P<metric>loss|bpb|bits_per_byte)"
_FORMS = (
    re.compile(rf"(?:eval|val|valid|validation|test)/(?P<target>[^/]+)/{_METRIC}", re.IGNORECASE),
    re.compile(rf"{_METRIC}:(?P<target>.+)", re.IGNORECASE),
)


ORIGIN = "__origin"


@dataclass(frozen=True)
class WideLosses:
    """`columns` maps the file's loss columns, all in one unit, to their targets."""

    columns: dict[str, str]
    stated_unit: LossUnit | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Melted:
    """`frame` has the columns loss, target and ORIGIN: the file's column that each row's loss came from."""

    frame: pl.DataFrame
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_wide_losses(columns: Iterable[str], unit: LossUnit | None, *, source: str) -> WideLosses:
    found: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for column in columns:
        match = next((m for form in _FORMS if (m := form.fullmatch(column))), None)
        if match:
            found[match["metric"].casefold() != "loss"][column] = match["target"].strip()
    in_bits = bool(found[True]) and (unit == "bits/byte" or not found[False])
    chosen, other = found[in_bits], found[not in_bits]
    repeated = {t for t in chosen.values() if list(chosen.values()).count(t) > 1}
    if repeated:
        names = [c for c, t in chosen.items() if t in repeated]
        what = f"columns {', '.join(map(repr, names))} hold the loss of the same target"
        raise InputError(what, where=source, hint="Keep one column per target.")
    notes: tuple[str, ...] = ()
    if other and chosen:
        used, kept = next(iter(chosen)), next(iter(other))
        notes = (f"columns like {used!r} are used as the loss; those like {kept!r} are kept as they are.",)
    return WideLosses(chosen, unit_in_name(next(iter(chosen))) if chosen else None, notes)


def melt(frame: pl.DataFrame, wide: WideLosses) -> Melted:
    """One row per filled loss cell, in the order of rows and then of columns. An empty cell was not
    measured."""
    columns = list(wide.columns)
    if any(not frame[c].dtype.is_float() for c in columns):
        # Text in one column would turn the others into text unpredictably: compare like with like.
        frame = frame.with_columns(pl.col(c).cast(pl.String, strict=False) for c in columns)
    empty = frame.select(pl.all_horizontal(pl.col(c).is_null() for c in columns)).to_series()
    left_out = leave_out(frame.filter(empty), "no loss in any column")
    rest = [c for c in frame.columns if c not in columns]
    long = (
        frame.filter(~empty)
        .with_columns(pl.int_range(pl.len()).alias("__order"))
        .unpivot(on=columns, index=[*rest, "__order"], variable_name=ORIGIN, value_name="loss")
    )
    position = pl.col(ORIGIN).replace_strict({c: i for i, c in enumerate(columns)}, return_dtype=pl.Int64)
    unmeasured = long["loss"].null_count()
    notes = [f"{unmeasured} empty loss cells were not measured and give no row."] if unmeasured else []
    long = (
        long.filter(pl.col("loss").is_not_null())
        .with_columns(
            pl.col(ORIGIN).replace_strict(wide.columns, return_dtype=pl.String).alias("target"),
            __position=position,
        )
        .sort("__order", "__position")
        .drop("__order", "__position")
    )
    return Melted(long, left_out, notes)
