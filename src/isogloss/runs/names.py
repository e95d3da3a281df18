"""Which names in a table are languages, and which are corpora or domains that happen to look like one.

Names with a script (deu_Latn, zh-Hans) are languages wherever they stand. Bare codes and English names (de,
swh, German) are judged together, over all targets and shares of the table: they are read as languages if
most names of the table are. So `en, de, code` are two languages and a domain, and in `arxiv, github,
pile_cc, se` nothing is Northern Sami. Clones of a language (en_clone1) and catch-alls (other, total) do not
vote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from isogloss.errors import InputError

_WITH_SCRIPT = re.compile(r"[a-z]{2,3}[-_][a-z]{4}([-_][a-z]{2})?", re.IGNORECASE)
_CODE = re.compile(r"[a-z]{2,3}([-_][a-z]{2})?", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_]{4,}([ ()'-]+[^\W\d_]+)*\)?")
_CLONE = re.compile(r".+_clone_?\d*")

_CATCH_ALL = frozenset({"other", "others", "rest", "total", "all", "average", "avg", "mean", "mix", "mixed", "overall"})

# Corpora and domains by names that are also codes of small languages.
_DOMAINS = frozenset(
    {"art", "bio", "cod", "code", "doc", "law", "math", "mat", "med", "news", "pile", "sci", "web", "wik"}
)


@dataclass(frozen=True)
class Names:
    """`languages` maps the names that are languages to their codes; `kept` are the others that look like
    none."""

    languages: dict[str, str]
    kept: tuple[str, ...]
    undecided: tuple[str, ...]

    def __getitem__(self, name: str) -> str:
        return self.languages.get(name, name)


def judge_names(names: Iterable[str]) -> Names:
    """Decide over all the names of one table, as the module says."""
    names = list(dict.fromkeys(names))
    found = {name: code for name in names if (code := _language(name)) is not None}
    scripted = {name: code for name, code in found.items() if _WITH_SCRIPT.fullmatch(name)}
    bare = {name: code for name, code in found.items() if name not in scripted}
    voters = [n for n in names if not _CLONE.fullmatch(n) and not _catches_all(n)]
    undecided: tuple[str, ...] = ()
    if 2 * len(found) <= len(voters):
        undecided, bare = tuple(bare), {}
    languages = scripted | bare
    kept = tuple(n for n in names if n not in languages and n not in undecided and not _catches_all(n))
    return Names(languages, kept, undecided)


def canonical_name(name: str) -> str:
    """One name by itself: its language code if it is a language's, else the name."""
    return _language(name) or name


def _catches_all(name: str) -> bool:
    return name.casefold() in _CATCH_ALL


def _language(name: str) -> str | None:
    folded = name.casefold()
    if _catches_all(name) or folded in _DOMAINS:
        return None
    if not (_WITH_SCRIPT.fullmatch(name) or _CODE.fullmatch(name) or _NAME.fullmatch(name)):
        return None
    # Imported here: reading the language table costs time that tables without languages need not spend.
    from isogloss.languages import resolve

    try:
        return resolve(name)
    except InputError:
        return None


def name_notes(judged: Names, used: Iterable[str]) -> list[str]:
    """What to tell the user about the names that are still in the table."""
    used = set(used)
    notes: list[str] = []
    renamed = [f"{n} = {c}" for n, c in judged.languages.items() if n != c and c in used]
    if renamed:
        notes.append(f"names read as languages: {_listed(renamed)}.")
    kept = [n for n in judged.kept if n in used]
    if kept:
        one = len(kept) == 1
        are = "is not a language" if one else "are not languages"
        notes.append(f"{_listed(kept)} {are} known to isogloss: kept as {'it is' if one else 'they are'}.")
    undecided = [n for n in judged.undecided if n in used]
    if undecided:
        notes.append(
            f"{_listed(undecided)} could be language codes, but most names of this table are not languages: "
            "kept as they are; write codes with a script, as in deu_Latn, to have them read as languages."
        )
    return notes


def _listed(names: list[str], most: int = 12) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
