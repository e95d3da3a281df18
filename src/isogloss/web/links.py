"""The state of a page as the query of its address, and back: short, and safe against whatever a link says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.web.questions import MOST_LANGUAGES

# Longer values are no link of ours: 400 codes of nine characters are 4,000.
LONGEST = 6_000
SHOWN = 40


@dataclass
class Reader:
    """Takes values out of a link, a default and a note where a value cannot be used."""

    values: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or len(value) <= LONGEST:
            return value
        self._note(key, f"{len(value):,} characters are too many")
        return None

    def one_of(self, key: str, known: Sequence[str], default: str) -> str:
        value = self.text(key)
        if value is None or value in known:
            return default if value is None else value
        self._note(key, f"{short(value)} is unknown")
        return default

    def some_of(self, key: str, known: Iterable[str], default: Sequence[str], most: int) -> list[str]:
        value = self.text(key)
        if value is None:
            return list(default)
        names, there = list(dict.fromkeys(filter(None, value.split(",")))), set(known)
        out = [n for n in names if n in there]
        if len(out) < len(names):
            self._note(key, f"{short(next(n for n in names if n not in there))} is unknown")
        if len(out) > most:
            self._note(key, f"{len(out):,} are too many, the first {most} are shown")
        return out[:most] if out or not names else list(default)

    def number(self, key: str, default: float | None, low: float, high: float) -> float | None:
        value = self.text(key)
        if value is None:
            return default
        number = _number(value)
        if number is not None and low <= number <= high:
            return number
        self._note(key, f"{short(value)} is no number from {low:g} to {high:g}")
        return default

    def languages(self, key: str, default: Sequence[str], most: int = MOST_LANGUAGES) -> tuple[str, ...]:
        value = self.text(key)
        if value is None:
            return tuple(default)
        names = [n for n in value.split(",") if n]
        if len(names) > most:
            self._note(key, f"{len(names):,} languages are too many, the page takes {most}")
            return tuple(default)
        known, unknown = [], []
        for name in names:
            try:
                known.append(_languages.resolve(name))
            except InputError:
                unknown.append(name)
        if unknown:
            self._note(key, f"{short(unknown[0])} is no language that is known")
        return tuple(dict.fromkeys(known)) if known or not names else tuple(default)

    def by_language(self, key: str, low: float, high: float) -> dict[str, float]:
        """Of "eng:0.5,fin:0"."""
        out: dict[str, float] = {}
        for part in filter(None, (self.text(key) or "").split(",")[:MOST_LANGUAGES]):
            name, _, said = part.partition(":")
            number = _number(said)
            try:
                code = _languages.resolve(name)
            except InputError:
                code = None
            if code is None or number is None or not low <= number <= high:
                self._note(key, f"{short(part)} cannot be used")
            else:
                out[code] = number
        return out

    def flag(self, key: str, default: bool) -> bool:
        return self.one_of(key, ("0", "1"), str(int(default))) == "1"

    def _note(self, key: str, why: str) -> None:
        self.notes.append(f"The link's {key!r} was left out: {why}.")


def short(text: str) -> str:
    """What a stranger wrote, made short and plain."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return repr(plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…")


def amount(number: float) -> str:
    """As short as it can be without a plus sign, which addresses write in three letters."""
    return f"{number:.4g}".replace("e+", "e")


def codes(languages: Sequence[str]) -> str:
    return ",".join(map(brief, languages))


def numbers(values: Mapping[str, float]) -> str:
    return ",".join(f"{brief(code)}:{value:g}" for code, value in values.items())


@cache
def brief(code: str) -> str:
    """The shortest code that means the language."""
    return next((part for part in (code[:3],) if _languages.resolve(part) == code), code)


def _number(text: str) -> float | None:
    try:
        number = float(text[:40])
    except ValueError:
        return None
    return number if math.isfinite(number) else None
