"""Finding a language by a part of its code, name or family."""

from __future__ import annotations

from difflib import SequenceMatcher

from isogloss.errors import InputError
from isogloss.languages.resolving import fold, names_of, resolve
from isogloss.languages.table import Language, all_languages

# Below this similarity (0 to 1) a name has nothing in common with the query that a reader would see.
_ALIKE = 0.7


def search(query: str, limit: int = 10, *, undetermined: bool = False) -> list[Language]:
    """Languages whose code, name or family contains the query or resembles it.

    Best first: what `resolve` makes of the query, then names that begin with it, names or codes that contain
    it, families, and last what is merely spelled alike. At equal score, most text first.
    """
    if limit < 1:
        raise InputError(f"limit must be at least 1, got {limit}", where="search")
    wanted = fold(query)
    if not wanted:
        return []
    meant = _meant(query)
    entries = all_languages(undetermined=undetermined)  # most text first, and sorting keeps that order
    scored = [(5.0 if entry.code == meant else _contains(wanted, entry), entry) for entry in entries]
    if sum(score > 0 for score, _ in scored) < limit:
        scored = [(score or _resembles(wanted, entry), entry) for score, entry in scored]
    found = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
    return [entry for _, entry in found[:limit]]


def _meant(query: str) -> str | None:
    try:
        return resolve(query)
    except InputError:
        return None


def _contains(wanted: str, entry: Language) -> float:
    called = [fold(name) for name in names_of(entry)]
    if wanted in called:
        return 4.0
    if any(name.startswith(wanted) for name in called):
        return 3.0
    if any(wanted in name for name in called) or wanted in fold(entry.code):
        return 2.0
    return 1.0 if wanted in fold(entry.family or "") else 0.0


def _resembles(wanted: str, entry: Language) -> float:
    matcher = SequenceMatcher(b=wanted)
    best = 0.0
    for name in names_of(entry):
        matcher.set_seq1(fold(name))
        if matcher.real_quick_ratio() > _ALIKE and matcher.quick_ratio() > _ALIKE:
            best = max(best, matcher.ratio())
    return best if best >= _ALIKE else 0.0
