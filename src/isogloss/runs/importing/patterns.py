"""Names with a language in them, such as eval/{language}/loss, and what language a name means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from isogloss.errors import InputError, unknown_name
from isogloss.runs.names import canonical_name

LANGUAGE = "{language}"
TOTALS = frozenset({"other", "others", "total", "all", "average", "avg", "mean", "mix", "mixed", "overall", "macro"})


@dataclass(frozen=True)
class Pattern:
    """A name, or one in which {language} stands for the name of a language."""

    text: str

    def __post_init__(self) -> None:
        braces = re.findall(r"\{[^}]*\}", self.text)
        for brace in braces:
            if brace != LANGUAGE:
                raise unknown_name("placeholder", brace, [LANGUAGE])
        if len(braces) > 1:
            raise InputError(f"{self.text!r} has {LANGUAGE} more than once", hint="Once says it.")

    @property
    def many(self) -> bool:
        return LANGUAGE in self.text

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        before, _, after = self.text.partition(LANGUAGE)
        return re.compile(f"{re.escape(before)}(.+?){re.escape(after)}")

    def language(self, name: str) -> str | None:
        """What stands in the place of {language}; None where the name is of another form."""
        match = self._expression.fullmatch(name) if self.many else None
        return match[1] if match else None

    def filled(self, language: str) -> str:
        return self.text.replace(LANGUAGE, language)


@dataclass
class Namer:
    """Names as trackers have them, and their codes; the user's own list comes before what isogloss knows.

    `seen` gathers the names that were read as languages, `kept` those that are none and stay as they are."""

    own: Mapping[str, str]
    seen: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)

    def code(self, name: str) -> str | None:
        """None for a total over languages: it is the loss of none."""
        if name in self.seen:
            return self.seen[name]
        if name in self.kept:
            return name
        if name not in self.own and name.casefold() in TOTALS:
            return None
        code = self.own.get(name) or canonical_name(name)
        if code == name and not _known(code):
            self.kept.add(name)
        else:
            self.seen[name] = code
        return code


def _known(code: str) -> bool:
    from isogloss.languages import resolve

    try:
        return resolve(code) == code
    except InputError:
        return False
