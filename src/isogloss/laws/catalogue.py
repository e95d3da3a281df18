"""Published laws as data: coefficients with their source, range, gaps and conflicts.

Reading needs no JAX; only `Entry.build` makes a law of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from isogloss.errors import InputError, unknown_name

if TYPE_CHECKING:
    from isogloss.laws.base import Law

TABLE_C1 = "atlas/table-c1"


@dataclass(frozen=True, eq=False)
class Entry:
    """One published set of coefficients, or one published formula without them."""

    id: str
    law: str | None
    """The law class that it belongs to, None where isogloss has none."""
    name: str
    equation: str
    coefficients: Mapping[str, float]
    """In raw units (N and D as counts) and under the class's names, where there is a class."""
    standard_errors: Mapping[str, float]
    constants: Mapping[str, float]
    """Other published numbers: what coefficients were derived from, settings, scores."""
    held: Mapping[str, Any]
    """Coefficients that the published form does not have, at the values that leave them out."""
    missing: tuple[str, ...]
    """Coefficients that were not published."""
    loss_unit: str | None
    """One of `isogloss.units.LOSS_UNITS`; None: not stated."""
    params_counted: str | None
    """"total" or "non-embedding"; None: not stated."""
    data_unit: str | None
    range: str
    ranges: Mapping[str, tuple[float, float]]
    """Stated ranges by symbol; a range from 0 was stated as "up to"."""
    languages: tuple[str, ...] | None
    source: str
    notes: str
    conflicts: tuple[str, ...]
    """What other published numbers contradict these, a sentence each."""
    table: tuple[Mapping[str, Any], ...]
    """Published rows that belong with the formula, None where a cell is empty."""

    @property
    def N_range(self) -> tuple[float, float] | None:
        return self.ranges.get("N")

    @property
    def D_range(self) -> tuple[float, float] | None:
        return self.ranges.get("D")

    def build(self, **missing: Any) -> Law:
        """The law with these coefficients; `missing` are those that were not published (and switches)."""
        if self.law is None:
            raise InputError(
                f"{self.id} has no formula in isogloss",
                hint=f"It is published as {self.equation}, {self.source}.",
            )
        lacking = [name for name in self.missing if name not in missing]
        if lacking:
            given = ", ".join(f"{name}=..." for name in lacking)
            raise InputError(
                f"{self.id} was published without {', '.join(lacking)}",
                hint=f"Give your own: build({given}).",
            )
        for name in missing:
            if name in self.coefficients:
                raise InputError(
                    f"{self.id} was published with {name} = {self.coefficients[name]:g}",
                    where=f"build({name}=...)",
                    hint="To change it, build the law and use dataclasses.replace.",
                )
        from isogloss.laws import get_law

        return get_law(self.law).from_dict({**self.coefficients, **self.held, **missing})


@cache
def entries() -> tuple[Entry, ...]:
    """Every published law, Chinchilla's line first."""
    text = resources.files("isogloss.laws").joinpath("data", "published.json").read_text(encoding="utf-8")
    return tuple(_entry(record) for record in json.loads(text))


def find(id_or_prefix: str) -> Entry:
    """The entry with this id, or the only one whose id starts so.

    InputError names the candidates where several do: which published set is meant is the user's choice.
    """
    known = {entry.id: entry for entry in entries()}
    wanted = id_or_prefix.strip().casefold()
    found = [entry for key, entry in known.items() if key.casefold() == wanted]
    found = found or [entry for key, entry in known.items() if wanted and key.casefold().startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(entry.id for entry in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise InputError(f"{id_or_prefix!r} means {len(found)} published laws", hint=f"Choose one: {shown}{more}.")
    kinds = dict.fromkeys(key.split("/")[0] for key in known)
    see = "isogloss.laws.entries() lists them."
    raise unknown_name("published law", id_or_prefix, [*known, *kinds], see=see)


def atlas_per_language(regime: str) -> dict[str, Entry]:
    """ATLAS's Table C.1 by language code, for one regime, such as "multi-vocab-mono-train"."""
    rows = [entry for entry in entries() if entry.id.startswith(f"{TABLE_C1}/")]
    chosen = regime.strip().casefold().replace("_", "-")
    found = {e.id.split("/")[-1]: e for e in rows if e.id.split("/")[2] == chosen}
    if not found:
        raise unknown_name("regime", regime, dict.fromkeys(e.id.split("/")[2] for e in rows))
    return found


def _entry(record: dict[str, Any]) -> Entry:
    languages = record["languages"]
    return Entry(
        **{
            **record,
            "missing": tuple(record["missing"]),
            "ranges": {symbol: (low, high) for symbol, (low, high) in record["ranges"].items()},
            "languages": None if languages is None else tuple(languages),
            "conflicts": tuple(record["conflicts"]),
            "table": tuple(record["table"]),
        }
    )
