"""The study's run tables, out of the package or, with --studies, out of the folders in which they are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from isogloss import RunTable, read_runs
from isogloss.stores import mirrored

# Before so many tokens of a language a small model's loss is no power law of them yet: it has hardly begun to fall.
BEGUN = 100_000
# Of every language there is more; runs that were given less are a question of their own.
WHOLE = 1_000_000


@dataclass(frozen=True)
class Tables:
    """`place` is the folder of a part of the study; `out` is where answers are saved for `isogloss report`."""

    place: Callable[[str], Path]
    out: Path

    @cached_property
    def main(self) -> RunTable:
        """Finished models from scratch, measured on languages of which they have seen enough."""
        return begun(scratch(seen(read_runs(self.place("main")))))

    @cached_property
    def continued(self) -> RunTable:
        """Finished models of one language, from scratch and from the model of all languages."""
        table = seen(read_runs(self.place("main")))
        return kept(table, [len(one) == 1 for one in shares_of(table)])

    def has(self, part: str) -> bool:
        return (self.place(part) / "manifest.json").exists()


def published(part: str) -> Path:
    try:
        return mirrored(f"isogloss://help-texts/{part}")
    except ValueError:
        return Path("none")


def seen(table: RunTable) -> RunTable:
    """Without losses in languages of which the model has seen nothing."""
    return kept(table, [target in one for one, target in zip(shares_of(table), table.frame["target"], strict=True)])


def begun(table: RunTable) -> RunTable:
    shares = zip(shares_of(table), table.frame["target"], table.frame["tokens"], strict=True)
    return kept(table, [one[target] * tokens >= BEGUN for one, target, tokens in shares])


def scratch(table: RunTable) -> RunTable:
    if "init" not in table.frame.columns:
        return table
    return kept(table, table.frame["init"].is_null().to_list())


def plenty(table: RunTable) -> RunTable:
    """Without the runs that were given little text of a language, to be seen often."""
    least = table.frame.select(pl.min_horizontal(pl.col("^unique:.*$")).fill_null(WHOLE)).to_series()
    return kept(table, (least >= WHOLE).to_list())


def kept(table: RunTable, rows: list[bool]) -> RunTable:
    part = read_runs(table.frame.filter(pl.Series(rows)).drop("row"), unit=str(table.unit))
    return replace(part, source=table.source)


def shares_of(table: RunTable) -> list[dict[str, float]]:
    """Of each row the languages that were trained on, with their shares."""
    columns = [c for c in table.frame.columns if c.startswith("share:")]
    return [
        {name.removeprefix("share:"): value for name, value in row.items() if value}
        for row in table.frame.select(columns).iter_rows(named=True)
    ]


def unique_of(table: RunTable) -> list[float | None]:
    """Of each row the unique tokens of its target."""
    return [
        row.get(f"unique:{row['target']}")
        for row in table.frame.select(pl.col("target"), pl.col("^unique:.*$")).iter_rows(named=True)
    ]
