"""A table of runs from a page: read, mapped, fitted, compared. Nothing of it is written anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss.errors import InputError
from isogloss.runs import RunTable, lint, read_runs
from isogloss.runs.columns import meaning
from isogloss.web import served
from isogloss.web.settings import settings
from isogloss.web.uploads import check_bytes, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isogloss.fitting import Comparison, Fit
    from isogloss.planning import Crossover
    from isogloss.runs.overview import Overview

# What a law cannot do without, as the user maps it.
NEEDED = {"N": "parameters N", "D": "training tokens D", "loss": "loss", "target": "target language", "run_id": "run"}
LAWS = {
    "chinchilla": "Chinchilla: loss from parameters and tokens",
    "data-constrained": "Data-constrained: the same where text is repeated",
    "kaplan": "Kaplan: without a floor",
    "atlas": "ATLAS: own tokens, those of its sources, and all others",
    "atlas-own": "ATLAS, the target's own tokens alone",
    "family": "Family law (He et al.): sampled with a share",
    "k-law": "K law: what each further language costs",
}
UNITS = ("nats/token", "bits/byte", "bits/token", "unigram-normalised", "metric")
# Enough for intervals that are read to two digits, and soon there.
DRAWS, STARTS = 200, 32


@dataclass(frozen=True, eq=False)
class Table:
    """A raw table (or the folder of a study of the served folder) and how its columns are read."""

    name: str
    raw: pl.DataFrame | Path
    columns: tuple[tuple[str, str], ...] = ()
    """Meaning and column, where the user says it."""
    unit: str | None = None

    @property
    def reading(self) -> dict[str, Any]:
        return {"columns": dict(self.columns) or None, "unit": self.unit}

    def runs(self) -> RunTable:
        with _called(self.name):
            return replace(read_runs(self.raw, **self.reading), source=self.name)

    def overview(self) -> Overview:
        from isogloss.runs.overview import overview

        with _called(self.name):
            return replace(overview(self.raw, **self.reading), source=self.name)

    def fit(self, law: str, target: str | None, most_rows: int) -> Fit:
        from isogloss.fitting import fit

        table = self.runs()
        _check_rows(table if target is None else table.for_target(target), most_rows)
        return fit(law, table, target=target, draws=DRAWS, starts=STARTS)

    def compare(self, laws: Sequence[str], target: str | None, most_rows: int) -> Comparison:
        from isogloss.fitting import compare
        from isogloss.laws import get_form

        table = self.runs()
        _check_rows(table if target is None else table.for_target(target), most_rows)
        return compare(
            table, [get_form(law) for law in laws], targets=None if target is None else [target], draws=DRAWS
        )

    def crossover(self, language: str, flops: float, init: str | None, most_rows: int) -> Crossover:
        """Scratch against continued runs (column `init`), at the largest run's size."""
        from isogloss.planning import crossover

        table = self.runs()
        _check_rows(table, most_rows)
        with _called(self.name):
            return crossover(language, flops=flops, checkpoint=init, runs=table)

    def starts(self) -> list[str]:
        """The checkpoints that its runs continue from."""
        frame = self.runs().frame
        return [] if "init" not in frame.columns else sorted(frame["init"].cast(pl.String).drop_nulls().unique())

    def findings(self) -> list[str]:
        return [f"{f.message} {f.cure}" for f in lint(self.runs()) if f.severity != "info"]


def of_folder(name: str) -> Table:
    """A table of runs, or a study, of the served folder."""
    entry = served.chosen(name, "runs", "study")
    if entry.kind == "study":
        return Table(entry.name, entry.path)
    limits = settings().limits
    check_bytes(entry.path.name, entry.path.stat().st_size, limits)
    return Table(entry.name, read_table(entry.path.name, entry.path.read_bytes(), limits))


def guessed(columns: Sequence[str]) -> Mapping[str, str]:
    """By meaning, the column that would be read for it, of those that need no choice."""
    names = {"N": "params_total", "D": "tokens"}
    found = {}
    for key in NEEDED:
        alike = [c for c in columns if meaning(c) == names.get(key, key)]
        if len(alike) == 1:
            found[key] = alike[0]
    return found


def _check_rows(table: RunTable, most: int) -> None:
    if len(table) > most:
        raise InputError(
            f"{len(table):,} rows; this page fits {most:,}",
            hint="Use the command line: isogloss fit runs.csv --law ...",
        )


@contextmanager
def _called(name: str) -> Iterator[None]:
    """Messages call a frame by the name of its file."""
    try:
        yield
    except InputError as error:
        where = None if error.where is None else error.where.replace("frame", name, 1)
        raise InputError(error.what, where=where or name, hint=error.hint) from None
