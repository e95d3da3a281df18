"""Which settings look like the mixture of a run: shares and unique tokens by language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isogloss.runs.columns import SHARE, UNIQUE
from isogloss.runs.importing.guess_losses import KIND, language_patterns
from isogloss.runs.importing.patterns import LANGUAGE, TOTALS, Pattern
from isogloss.runs.importing.survey import Survey
from isogloss.runs.names import judge_names

Kind = Literal["share", "realised_share", "unique_tokens"]

_SHARE = r"mix\w*|shares?|weights?|weighting|prop\w*|sampl\w*|fractions?|frac|ratios?|prob\w*|w"
_MIXTURE = re.compile(rf"(?<![a-z])({_SHARE}|language|languages|lang|langs)(?![a-z])", re.IGNORECASE)
_WEIGHTS = re.compile(r"(?<![a-z])weight(s|ing)?(?![a-z])", re.IGNORECASE)
_UNIQUE = re.compile(r"(?<![a-z])unique(?![a-z])", re.IGNORECASE)
_REALISED = re.compile(r"(?<![a-z])(reali[sz]ed|actual)(?![a-z])", re.IGNORECASE)
# What is counted by language, or set for each, and is no part of a mixture.
_OTHER = re.compile(
    r"(?<![a-z])(layers?|heads?|loss|lr|learning|rates?|decay|dropout|temperature|epochs?|bytes|docs?|documents|lines"
    r"|tokens|size|count|num|eval|val|acc|accuracy|f1|chrf|bleu|fertility)(?![a-z])",
    re.IGNORECASE,
)
_NEAR = 0.02


@dataclass(frozen=True)
class MixtureGuess:
    """A key of [mixture] and the pattern, or the setting with a table, that it is read from."""

    kind: Kind
    name: str
    languages: tuple[str, ...]
    normalise: bool = False


def guess_mixture(found: Survey) -> list[MixtureGuess]:
    """At most one of each kind: one that says in its name what it is before one that only adds up to 1, then that of
    most languages."""
    guesses = [*_of_patterns(found), *_of_tables(found)]
    guesses.sort(key=lambda g: (not _says(g.name), -len(g.languages)))
    best: dict[Kind, MixtureGuess] = {}
    for guess in guesses:
        best.setdefault(guess.kind, guess)
    return list(best.values())


def _of_patterns(found: Survey) -> Iterator[MixtureGuess]:
    amounts = [row for row in found.amounts if row]
    # With one row a run every loss is a number that never changes.
    names = [n for n in dict.fromkeys(n for row in amounts for n in row) if not (n in found.metrics and KIND.search(n))]
    names = [n for n in names if "{" not in n]
    groups = language_patterns(names)
    for name in names:
        # After a dot, a slash or a colon all the rest is a name: pt-BR, pile_cc.
        if match := re.fullmatch(r"(.*[./:])([^./:]+)", name):
            groups.setdefault(f"{match[1]}{LANGUAGE}", {})[name] = match[2]
    for text, group in groups.items():
        spoken = judge_names(group.values()).languages
        # Columns of isogloss's own tables say by themselves that their names are of languages or domains.
        if not spoken and text not in (f"{SHARE}{LANGUAGE}", f"{UNIQUE}{LANGUAGE}"):
            continue
        pattern = Pattern(text)
        tables = [{n: v for n, v in row.items() if _counts(pattern.language(n))} for row in amounts]
        yield from _judged(text, tuple(spoken), [table for table in tables if table])


def _counts(name: str | None) -> bool:
    return name is not None and name.casefold() not in TOTALS


def _of_tables(found: Survey) -> Iterator[MixtureGuess]:
    for name, values in found.settings.items():
        tables = [table for item in values if (table := table_of(item))]
        spoken = judge_names(language for table in tables for language in table).languages
        if spoken:
            yield from _judged(name, tuple(spoken), tables)


def _judged(name: str, languages: tuple[str, ...], tables: list[Mapping[str, float]]) -> Iterator[MixtureGuess]:
    head = name.replace(LANGUAGE, " ")
    if _UNIQUE.search(head):
        if not re.search("bytes", head, re.IGNORECASE) and all(min(table.values()) >= 0 for table in tables):
            yield MixtureGuess("unique_tokens", name, languages)
        return
    sums = [sum(table.values()) for table in tables]
    if not sums or min(sums) <= 0 or _OTHER.search(head):
        return
    within = all(0 <= value <= 1 for table in tables for value in table.values())
    whole = within and all(abs(total - 1) < _NEAR for total in sums)
    alike = max(sums) - min(sums) < _NEAR * max(sums)
    several = len(languages) > 1
    # Where no word says that it is a mixture, the numbers must.
    fits = within or (several and (alike or bool(_WEIGHTS.search(head)))) if _says(name) else several and whole
    if fits:
        yield MixtureGuess("realised_share" if _REALISED.search(head) else "share", name, languages, not whole)


def _says(name: str) -> bool:
    head = name.replace(LANGUAGE, " ")
    return bool(_MIXTURE.search(head) or _UNIQUE.search(head))


def table_of(item: Any) -> Mapping[str, float] | None:
    """A table of numbers, or its text as JSON or Python write it."""
    if isinstance(item, str) and item.lstrip().startswith("{"):
        try:
            item = json.loads(item.replace("'", '"'))
        except ValueError:
            return None
    numbers: Iterable[Any] = item.values() if isinstance(item, Mapping) else ()
    fits = all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers)
    return item if isinstance(item, Mapping) and item and fits else None
