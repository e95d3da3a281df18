"""From a run table to the columns that a law's `loss` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.errors import InputError
from isogloss.laws.base import Law
from isogloss.runs import LeftOut, RunTable
from isogloss.runs.table import Which

# ATLAS gives a target the three languages that it was most often trained with (section 3.1).
SOURCES_PER_TARGET = 3


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

    @property
    def runs(self) -> int:
        return len(np.unique(self.run))


def rows_for(
    law: type[Law], table: RunTable, *, params: Which | None = None, sources: Sequence[str] | None = None
) -> Rows:
    """The columns of `law` from `table`.

    Raises InputError where a column is missing, and where a per-target law meets several targets.
    """
    builder = _Builder(law, table, params, sources)
    columns = {name: builder.column(name) for name in law.columns}
    complete = np.ones(len(table), bool)
    left_out = []
    numbers, ids = _identities(table)
    for name, values in columns.items():
        bad = np.isnan(values).reshape(len(table), -1).any(1) & complete
        left_out += [LeftOut(int(numbers[i]), ids[i], f"no value for {name}") for i in np.flatnonzero(bad)]
        complete &= ~bad
    if not complete.any():
        raise InputError(
            f"no row has a value for all of {', '.join(law.columns)}, which law {law.name} needs",
            where=table.source,
        )
    loss = table.frame["loss"].to_numpy().astype(float)
    return Rows(
        columns={k: v[complete] for k, v in columns.items()},
        loss=loss[complete],
        run=np.unique(np.array(ids)[complete], return_inverse=True)[1],
        number=numbers[complete],
        sources=builder.sources,
        params=builder.params,
        left_out=(*table.left_out, *left_out),
        notes=(*table.notes, *builder.notes),
    )


class _Builder:
    """Builds one column at a time, and remembers what it had to assume."""

    def __init__(self, law: type[Law], table: RunTable, params: Which | None, sources: Sequence[str] | None) -> None:
        self.law, self.table = law, table
        self.N, used = table.params(params)
        self.params: Which = used
        self.notes: list[str] = []
        per_target = {"D_target", "D_sources", "p"} & set(law.columns)
        self.target = self._one_target() if per_target else None
        if not per_target and len(table.targets) > 1:
            self.notes.append(
                f"{len(table.targets)} targets are pooled into one law: {_listed(table.targets)}. "
                "Choose one with --target."
            )
        self.names, self.shares = self._mixture()
        self.sources = self._sources(sources)

    def column(self, name: str) -> np.ndarray:
        makers: dict[str, Callable[[], np.ndarray]] = {
            "N": lambda: self.N,
            "D": self._tokens,
            "U": lambda: self._given("unique_tokens", "U"),
            "K": self._effective_languages,
            "p": lambda: self._share(self.target),
            "D_target": lambda: self._share(self.target) * self._tokens(),
            "U_target": lambda: self._unique(self.target),
            "D_sources": lambda: self._stack(lambda s: self._share(s) * self._tokens()),
            "U_sources": lambda: self._stack(self._unique),
            "D_other": lambda: self._other() * self._tokens(),
            "U_other": self._unique_other,
        }
        if name not in makers:
            return self._given(name, name)
        return makers[name]()

    def _given(self, column: str, symbol: str) -> np.ndarray:
        frame = self.table.frame
        if column not in frame.columns:
            raise InputError(
                f"law {self.law.name} needs {symbol}, and there is no column {column}",
                where=self.table.source,
                hint=f"Columns: {_listed(frame.columns)}. Name yours with --column {symbol}=your_column.",
            )
        return frame[column].cast(float).fill_null(np.nan).to_numpy()

    def _tokens(self) -> np.ndarray:
        return self._given("tokens", "D")

    def _one_target(self) -> str:
        targets = self.table.targets
        if len(targets) == 1:
            return targets[0]
        if not targets:
            raise InputError(
                f"law {self.law.name} is of one target language, and there is no target column",
                where=self.table.source,
                hint="Add a column 'target' that says which language each loss was measured on.",
            )
        raise InputError(
            f"law {self.law.name} is of one target language, and there are {len(targets)}: {_listed(targets)}",
            where=self.table.source,
            hint=f"Choose one, for example --target {targets[0]}.",
        )

    def _mixture(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Names and shares `(rows, names)`; a table without a mixture is taken as monolingual."""
        names, shares = self.table.shares()
        needs_mixture = {"D_target", "D_sources", "D_other", "K", "p"} & set(self.law.columns)
        if names or not needs_mixture:
            return names, np.nan_to_num(shares)
        alone = self.target or "all"
        self.notes.append(
            f"no mixture columns: every run is taken as trained on {alone} alone. Add share:<language> columns."
        )
        return (alone,), np.ones((len(self.table), 1))

    def _sources(self, chosen: Sequence[str] | None) -> tuple[str, ...]:
        if "D_sources" not in self.law.columns:
            return ()
        others = [n for n in self.names if n != self.target]
        if chosen is not None:
            for name in chosen:
                if name not in others:
                    raise InputError(
                        f"source {name!r} is in no mixture of {self.target}",
                        hint=f"Sources: {_listed(others)}.",
                    )
            return tuple(chosen)
        with_target = self._share(self.target) > 0
        cosampled = {n: float(self._share(n)[with_target].mean()) if with_target.any() else 0.0 for n in others}
        ranked = sorted((n for n in others if cosampled[n] > 0), key=lambda n: (-cosampled[n], n))
        return tuple(ranked[:SOURCES_PER_TARGET])

    def _share(self, name: str | None) -> np.ndarray:
        if name not in self.names:
            return np.zeros(len(self.table))
        return self.shares[:, self.names.index(name)]

    def _stack(self, make: Callable[[str], np.ndarray]) -> np.ndarray:
        if not self.sources:
            return np.zeros((len(self.table), 0))
        return np.stack([make(s) for s in self.sources], axis=1)

    def _unique(self, name: str | None) -> np.ndarray:
        """Unique tokens of a language; without a column, its text is taken as never repeated."""
        frame = self.table.frame
        if f"unique:{name}" in frame.columns:
            return frame[f"unique:{name}"].cast(float).fill_null(np.inf).to_numpy()
        alone = self._share(name) > 1 - 1e-9
        if "unique_tokens" in frame.columns and alone.any():
            return np.where(alone, frame["unique_tokens"].cast(float).fill_null(np.inf).to_numpy(), np.inf)
        return np.full(len(self.table), np.inf)

    def _other(self) -> np.ndarray:
        rest = 1 - self._share(self.target) - sum(self._share(s) for s in self.sources)
        # Rounding of shares leaves dust that would make tau_other look measurable.
        return np.where(rest < 1e-9, 0.0, rest)

    def _unique_other(self) -> np.ndarray:
        rest = [n for n in self.names if n != self.target and n not in self.sources]
        if not rest:
            return np.full(len(self.table), np.inf)
        return np.sum([self._unique(n) for n in rest], axis=0)

    def _effective_languages(self) -> np.ndarray:
        p = np.where(self.shares > 0, self.shares, 1.0)
        return np.exp(-(self.shares * np.log(p)).sum(1))


def _identities(table: RunTable) -> tuple[np.ndarray, list[str]]:
    """Row numbers, and run names; without a run_id every row is a run of its own."""
    numbers = table.frame["row"].to_numpy()
    if "run_id" not in table.frame.columns:
        return numbers, [f"row {n}" for n in numbers]
    ids = table.frame["run_id"].cast(str).to_list()
    return numbers, [i if i is not None else f"row {n}" for i, n in zip(ids, numbers, strict=True)]


def _listed(names: Sequence[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
