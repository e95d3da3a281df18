"""One column of a law at a time from a run table, and what had to be assumed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.languages.table import table as languages_table
from isogloss.laws.base import Law
from isogloss.runs import RunTable
from isogloss.runs.columns import UNIQUE
from isogloss.runs.table import Which, find_column

# ATLAS gives a target the three languages that it was most often trained with (section 3.1).
SOURCES_PER_TARGET = 3
# Columns that are made of the shares of a mixture.
MIXED = frozenset(("D_target", "D_sources", "D_other", "K", "K_other", "p", "shares"))
# More epochs than this are repeats, and not rounding.
REPEATED = 1.05
# What `init` says of a run that starts from nothing.
FROM_SCRATCH = ("scratch", "none", "random")


class Columns:
    """Builds one column at a time, and remembers what it had to assume."""

    def __init__(
        self,
        law: type[Law],
        table: RunTable,
        params: Which | None,
        sources: Sequence[str] | None,
        switches: Mapping[str, Any],
        renamed: Mapping[str, str],
        languages: Sequence[str] | None,
    ) -> None:
        self.law, self.table, self.renamed = law, table, renamed
        for name in renamed:
            if name not in law.columns:
                raise unknown_name(f"column of law {law.name}", name, law.columns, where="columns")
        self.params: Which = params or "total"
        self.notes: list[str] = []
        self.target = self._one_target() if law.of_target else None
        if not law.of_target and len(table.targets) > 1:
            self.notes.append(
                f"{len(table.targets)} targets are pooled into one law: {_listed(table.targets)}. "
                "Choose one with --target."
            )
        if "N" in law.columns and "N" not in renamed:
            self.N, self.params = table.params(params)
        self.names, self.shares = self._mixture()
        self.counted = _switch(law, switches, "languages") == "count"
        self.sources = self._sources(sources)
        self.languages = self._languages(languages)

    def column(self, name: str) -> np.ndarray:
        if name in self.renamed:
            column = find_column(self.renamed[name], self.table.frame.columns, source=self.table.source)
            return self._given(column, name)
        makers: dict[str, Callable[[], np.ndarray]] = {
            "N": lambda: self.N,
            "N_nv": lambda: self._given("params_non_embedding", "N_nv"),
            "N_v": self._vocabulary,
            "D": self._tokens,
            "U": self._unique_text,
            "K": self._how_many_languages,
            "p": lambda: self._share(self.target),
            "shares": lambda: np.stack([self._share(n) for n in self.languages], axis=1),
            "pretrained": self._pretrained,
            "D_target": lambda: self._share(self.target) * self._tokens(),
            "U_target": lambda: self._unique(self.target),
            "D_sources": lambda: self._stack(lambda s: self._share(s) * self._tokens()),
            "U_sources": lambda: self._stack(self._unique),
            "D_other": lambda: self._other() * self._tokens(),
            "U_other": self._unique_other,
            "K_other": self._how_many_others,
        }
        if name not in makers:
            return self._given(name, name)
        return makers[name]()

    def unseen(self) -> np.ndarray:
        """Rows whose mixture is known and holds nothing of the language that they were evaluated on."""
        names, shares = self.table.shares()
        missed = np.zeros(len(self.table), bool)
        if not names or not self.table.targets:
            return missed
        targets = self.table.frame["target"].to_numpy()
        known, known_mixture = set(languages_table()), ~np.isnan(shares).any(1)
        for target in self.table.targets:
            if target in names:
                missed |= (targets == target) & (shares[:, names.index(target)] == 0)
            elif target in known and known & set(names):
                missed |= (targets == target) & known_mixture
        return missed

    def _given(self, column: str, symbol: str) -> np.ndarray:
        frame = self.table.frame
        if column not in frame.columns:
            raise InputError(
                f"law {self.law.name} needs {symbol}, and there is no column {column}",
                where=self.table.source,
                hint=f"Columns: {_listed(frame.columns)}. Name yours with --column {symbol}=your_column.",
            )
        if not (frame[column].dtype.is_numeric() or frame[column].dtype == pl.Boolean):
            raise InputError(
                f"law {self.law.name} needs numbers for {symbol}", where=f"{self.table.source}, column {column!r}"
            )
        return frame[column].cast(float).fill_null(np.nan).to_numpy()

    def _vocabulary(self) -> np.ndarray:
        """Parameters of the vocabulary: what the two counts of parameters differ by."""
        total, rest = (self._given(c, "N_v") for c in ("params_total", "params_non_embedding"))
        return np.where(total > rest, total - rest, np.nan)

    def _pretrained(self) -> np.ndarray:
        """1 where a run starts from a checkpoint, 0 where from scratch."""
        frame = self.table.frame
        if "pretrained" in frame.columns or "init" not in frame.columns:
            return self._given("pretrained", "pretrained")
        said = frame["init"].cast(str).str.to_lowercase().fill_null(FROM_SCRATCH[0])
        return (~said.is_in(FROM_SCRATCH)).cast(float).to_numpy()

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
        if names or not MIXED & set(self.law.columns):
            return names, shares
        if MIXED & set(self.law.columns) == {"K"} and "K" in self.table.frame.columns:
            return (), shares
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
        with_target = np.nan_to_num(self._share(self.target)) > 0
        cosampled = {n: float(np.nansum(self._share(n)[with_target])) for n in others}
        ranked = sorted((n for n in others if cosampled[n] > 0), key=lambda n: (-cosampled[n], n))
        return tuple(ranked[:SOURCES_PER_TARGET])

    def _languages(self, chosen: Sequence[str] | None) -> tuple[str, ...]:
        """The names along shares: those that a run was trained on."""
        if "shares" not in self.law.columns:
            return ()
        trained = tuple(n for n in self.names if np.nanmax(self._share(n), initial=0.0) > 0)
        if chosen is None:
            return trained
        for name in trained:
            if name not in chosen:
                raise InputError(
                    f"runs were trained on {name}, which the fitted law does not know",
                    where=self.table.source,
                    hint=f"It knows {_listed(chosen)}.",
                )
        return tuple(chosen)

    def _share(self, name: str | None) -> np.ndarray:
        """A language's share; where nothing is known of a row's mixture, nan."""
        if name not in self.names:
            return np.where(np.isnan(self.shares).any(1), np.nan, 0.0) if self.names else np.zeros(len(self.table))
        return self.shares[:, self.names.index(name)]

    def _stack(self, make: Callable[[str], np.ndarray]) -> np.ndarray:
        if not self.sources:
            return np.zeros((len(self.table), 0))
        return np.stack([make(s) for s in self.sources], axis=1)

    def _unique_text(self) -> np.ndarray:
        """Unique tokens of all text that a run is given; where only those of each language are known, their sum."""
        frame = self.table.frame
        known = [c.removeprefix(UNIQUE) for c in frame.columns if c.startswith(UNIQUE)]
        if "unique_tokens" in frame.columns or not known:
            return self._given("unique_tokens", "U")
        of_run = {n: self._share(n) > 0 for n in self.names} or dict.fromkeys(known, np.ones(len(self.table), bool))
        return np.sum([np.where(given, self._unique(n), 0.0) for n, given in of_run.items()], axis=0)

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
        if not (rest := self._rest()):
            return np.full(len(self.table), np.inf)
        return np.sum([self._unique(n) for n in rest], axis=0)

    def _rest(self) -> list[str]:
        """Languages that are neither the target nor a source."""
        return [n for n in self.names if n != self.target and n not in self.sources]

    def _how_many_languages(self) -> np.ndarray:
        """exp(entropy of the shares), or the number of positive ones; a column K where there is no mixture."""
        if not self.names:
            return self._given("K", "K")
        return self._count(self.shares)

    def _how_many_others(self) -> np.ndarray:
        """The same of the languages that are neither target nor source, 1 where there are none."""
        rest = self._rest()
        shares = np.stack([self._share(n) for n in rest], axis=1) if rest else np.zeros((len(self.table), 0))
        total = shares.sum(1, keepdims=True)
        count = self._count(np.divide(shares, total, out=np.zeros_like(shares), where=total != 0))
        return np.where(total[:, 0] == 0, 1.0, count)

    def _count(self, shares: np.ndarray) -> np.ndarray:
        """Of languages in mixtures `(rows, languages)`; where nothing is known of a mixture, nan."""
        if self.counted:
            return np.where(np.isnan(shares).any(1), np.nan, (shares > 0).sum(1).astype(float))
        p = np.where(shares > 0, shares, 1.0)
        return np.exp(-(shares * np.log(p)).sum(1))


def repeated(law: type[Law], table: RunTable) -> str | None:
    """What to say of rows that saw their text more than once, if the law knows nothing of that."""
    frame = table.frame
    if any(c.startswith("U") for c in law.columns) or not {"unique_tokens", "tokens"} <= set(frame.columns):
        return None
    often = (frame["tokens"] / frame["unique_tokens"]).fill_null(0.0) > REPEATED
    if not often.any():
        return None
    return (
        f"{often.sum()} of {len(table)} rows saw their text more than once, which law {law.name} takes for new text. "
        "Leave them out with --where, or fit data-constrained or atlas."
    )


def _switch(law: type[Law], switches: Mapping[str, Any], name: str) -> Any:
    """The value of a switch, its default if it was not given; None where the law has no such switch."""
    return switches.get(name, getattr(law, name, None))


def _listed(names: Sequence[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
