"""How related languages are: family tree, distance on the globe, grammar.

Lineages and coordinates are Glottolog's, grammars Grambank 1.0.3's, both keyed by ISO 639-3: two scripts of a
language are the same language here. Neither table knows what `und_*` text is in.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from isogloss.languages.resolving import get
from isogloss.languages.text import family_of

FEWEST_FEATURES = 30
"""Grambank features that both languages must have for a distance between them."""
EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius

_DATA = Path(__file__).parent / "data"
# Glottolog's top groups that say what sort of language it is, not what it descends from.
_NO_FAMILY = {
    "Artificial Language",
    "Bookkeeping",
    "Mixed Language",
    "Pidgin",
    "Sign Language",
    "Speech Register",
    "Unattested",
    "Unclassifiable",
}


@dataclass(frozen=True)
class _Place:
    latitude: float
    longitude: float
    groups: tuple[str, ...]
    """As Glottolog writes them, from the widest."""


def lineage(code: str) -> tuple[str, ...]:
    """Glottolog's groups that the language belongs to, from the family down; without the language itself.

    Empty for isolates. Left out: groups that are no branch (artificial languages, pidgins, "Unclassified ...").
    A language that Glottolog places nowhere has the family of the languages table alone, spelled as there.
    """
    entry = get(code)
    place = _places().get(entry.iso639_3)
    if place is None or place.groups[:1] == ("Bookkeeping",):
        family = family_of(entry.code)
        return (family,) if family else ()
    return tuple(g for g in place.groups if g not in _NO_FAMILY and not g.startswith("Unclassified"))


def has_lineage(code: str) -> bool:
    """Whether the language's descent is known: a lineage, or that it has no relatives (isolates, made languages)."""
    entry = get(code)
    place = _places().get(entry.iso639_3)
    return bool(lineage(code)) or (place is not None and place.groups[:1] != ("Bookkeeping",))


def shared_depth(a: str, b: str) -> float:
    """How much of their descent two languages share, 0 to 1: their entry in `kinship`."""
    return float(kinship((a, b))[0, 1])


def kinship(codes: Sequence[str]) -> np.ndarray:
    """`(K, K)` positive semidefinite, 1 for the same language: shared nodes / sqrt(nodes of a x nodes of b).

    The nodes of a language are its `lineage` and itself. This is the covariance of a trait that takes an
    independent step of equal size at each node, divided by the standard deviations. Isolates share nothing.
    """
    index: dict[tuple[str, ...], int] = {}
    paths = [_nodes(code) for code in codes]
    rows, columns = [], []
    for row, path in enumerate(paths):
        for depth in range(1, len(path) + 1):
            rows.append(row)
            columns.append(index.setdefault(path[:depth], len(index)))
    member = np.zeros((len(paths), len(index)), np.float32)
    member[rows, columns] = 1
    nodes = np.array([len(path) for path in paths], float)
    return (member @ member.T).astype(float) / np.sqrt(np.outer(nodes, nodes))


def distance_km(a: str, b: str) -> float | None:
    """Great-circle distance between the places that Glottolog gives; None where it gives none."""
    return _known(distances_km((a, b))[0, 1])


def distances_km(codes: Sequence[str]) -> np.ndarray:
    """`(K, K)` of `distance_km`, NaN where unknown; 0 for the same language, if it has a place."""
    places = [_places().get(get(code).iso639_3) for code in codes]
    degrees = np.array([(p.latitude, p.longitude) if p else (np.nan, np.nan) for p in places]).reshape(-1, 2)
    latitude, longitude = np.radians(degrees).T
    north, east = latitude[:, None] - latitude, longitude[:, None] - longitude
    haversine = np.sin(north / 2) ** 2 + np.outer(np.cos(latitude), np.cos(latitude)) * np.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(haversine, 0, 1)))


def grammar_distance(a: str, b: str) -> float | None:
    """Share of the Grambank features known of both languages in which they differ; None if those are under 30."""
    return _known(grammar_distances((a, b))[0, 1])


def grammar_distances(codes: Sequence[str]) -> np.ndarray:
    """`(K, K)` of `grammar_distance`, NaN where unknown."""
    empty = "." * len(next(iter(_grammars().values())))
    texts = [_grammars().get(get(code).iso639_3, empty) for code in codes]
    values = np.frombuffer("".join(texts).encode(), np.uint8).reshape(len(texts), len(empty))
    yes, no = ((values == ord(value)).astype(np.float32) for value in "10")
    known = (yes + no) @ (yes + no).T
    differing = yes @ no.T + no @ yes.T
    share = differing.astype(float) / np.maximum(known, 1)
    return np.where(known >= FEWEST_FEATURES, share, np.nan)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _nodes(code: str) -> tuple[str, ...]:
    return (*lineage(code), f"language {get(code).code if get(code).undetermined else get(code).iso639_3}")


@cache
def _places() -> dict[str, _Place]:
    with (_DATA / "glottolog.csv").open(encoding="utf-8", newline="") as file:
        return {row["iso639_3"]: _place(row) for row in csv.DictReader(file)}


def _place(row: dict[str, str]) -> _Place:
    latitude, longitude = (float(row[name] or "nan") for name in ("latitude", "longitude"))
    return _Place(latitude, longitude, tuple(filter(None, row["lineage"].split(";"))))


@cache
def _grammars() -> dict[str, str]:
    """A character a feature: 0, 1, or a point where Grambank does not say."""
    with lzma.open(_DATA / "grambank.csv.xz", "rt", encoding="utf-8", newline="") as file:
        return dict(list(csv.reader(file))[1:])
