"""From a run table to the columns that a law's `loss` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.fitting.columns import Columns, repeated
from isogloss.fitting.layout import check_switches
from isogloss.laws.base import Law
from isogloss.runs import LeftOut, RunTable
from isogloss.runs.table import Which

UNSEEN = "the run saw none of its target"


@dataclass(frozen=True)
class Rows:
    """What a fit sees. `columns` of a law `(rows, ...)`, `loss` `(rows,)`; `run` `(rows,)` numbers the runs."""

    columns: dict[str, np.ndarray]
    loss: np.ndarray
    run: np.ndarray
    number: np.ndarray
    """Data row in the user's file, from 1."""
    sources: tuple[str, ...]
    params: Which
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    languages: tuple[str, ...] = ()
    """The names along `shares`, where the law has that column."""

    @property
    def runs(self) -> int:
        return len(np.unique(self.run))


def rows_for(
    law: type[Law],
    table: RunTable,
    *,
    params: Which | None = None,
    sources: Sequence[str] | None = None,
    switches: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    languages: Sequence[str] | None = None,
) -> Rows:
    """The columns of `law` from `table`.

    `switches` are the law's own; `columns` says which column of the table is which of the law's, where their
    names differ ({"x": "hours"}); `languages` are the names along `shares`, by default all that were trained on.
    Raises InputError where a column is missing, and where a per-target law meets several targets.
    """
    builder = Columns(law, table, params, sources, check_switches(law, switches), columns or {}, languages)
    found = {name: builder.column(name) for name in law.columns}
    complete = np.ones(len(table), bool)
    left_out = []
    numbers, ids = _identities(table)
    reasons = [(f"no value for {name}", np.isnan(v).reshape(len(table), -1).any(1)) for name, v in found.items()]
    if not law.of_unseen:
        reasons.append((UNSEEN, builder.unseen()))
    for reason, rows in reasons:
        bad = rows & complete
        left_out += [LeftOut(int(numbers[i]), ids[i], reason) for i in np.flatnonzero(bad)]
        complete &= ~bad
    if not complete.any():
        why = "; ".join(dict.fromkeys(item.reason for item in left_out))
        raise InputError(
            f"no row has a value for all of {', '.join(law.columns)}, which law {law.name} needs ({why})",
            where=table.source,
        )
    loss = table.frame["loss"].to_numpy().astype(float)
    return Rows(
        columns={k: v[complete] for k, v in found.items()},
        loss=loss[complete],
        run=np.unique(np.array(ids)[complete], return_inverse=True)[1],
        number=numbers[complete],
        sources=builder.sources,
        params=builder.params,
        left_out=(*table.left_out, *left_out),
        notes=(*table.notes, *builder.notes, *filter(None, [repeated(law, table)])),
        languages=builder.languages,
    )


def _identities(table: RunTable) -> tuple[np.ndarray, list[str]]:
    """Row numbers, and run names; without a run_id every row is a run of its own."""
    numbers = table.frame["row"].to_numpy()
    if "run_id" not in table.frame.columns:
        return numbers, [f"row {n}" for n in numbers]
    ids = table.frame["run_id"].cast(str).to_list()
    return numbers, [i if i is not None else f"row {n}" for i, n in zip(ids, numbers, strict=True)]
