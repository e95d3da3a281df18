"""N that stands only in a run's name, such as pythia-70m or 1.3B-est."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isogloss.errors import InputError, unknown_name
from isogloss.runs.importing.expressions import number

SIZE = "{N}"
# 70m, 1.3B, 1p3b, 124_439_808; not the 2 of "2layers" nor the 7b of "70m7bc".
_SIZE = r"(?<![\d.])(\d+(?:[.p]\d+)?[kmbt]|\d{1,3}(?:[_,]\d{3})+|\d{6,})(?![\da-z])"
# Sizes that a language model may have: a name has other numbers, too.
_LEAST, _MOST = 1e4, 1e14


@dataclass(frozen=True)
class NamePattern:
    """A run's name, with {N} where its size stands, and * and ? for anything and for one character."""

    text: str

    def __post_init__(self) -> None:
        braces = re.findall(r"\{[^}]*\}", self.text)
        for brace in braces:
            if brace != SIZE:
                raise unknown_name("placeholder", brace, [SIZE])
        if len(braces) != 1:
            what = f"{self.text!r} has {SIZE} {'more than once' if braces else 'nowhere'}"
            raise InputError(what, hint=f'Write the name with {SIZE} where the size stands: "pythia-{SIZE}*".')

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        signs = {"*": ".*?", "?": ".", SIZE: _SIZE}
        parts = re.split(r"(\*|\?|\{N\})", self.text)
        return re.compile("".join(signs.get(part, re.escape(part)) for part in parts), re.IGNORECASE | re.DOTALL)

    def size(self, name: str) -> float | None:
        """None where the name is of another form, or what stands there can be no count of parameters."""
        match = self._expression.fullmatch(name)
        return _count(match[1]) if match else None


def _count(text: str) -> float | None:
    plain = re.sub(r"(\d)p(\d)", r"\1.\2", text, flags=re.IGNORECASE).replace(",", "").replace("_", "")
    found = number(plain.upper())
    return found if found is not None and _LEAST <= found <= _MOST else None


def sizes_in(name: str) -> list[float]:
    """All that could be a size."""
    return [size for text in re.findall(_SIZE, name, re.IGNORECASE) if (size := _count(text)) is not None]


def guess_pattern(names: Sequence[str]) -> str | None:
    """A pattern of all names, where each has one number that could be its size, and no more."""
    found = [sizes_in(name) for name in names]
    if not names or any(len(sizes) != 1 for sizes in found):
        return None
    pattern = f"*{SIZE}*"
    return pattern if all(NamePattern(pattern).size(name) is not None for name in names) else None
