"""Options that hold several things in one text: name=value, and names with commas between."""

from __future__ import annotations

from collections.abc import Iterable

from isogloss.errors import InputError


def name_values(items: Iterable[str] | None, option: str, example: str = "E=1.69") -> dict[str, str]:
    pairs = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise InputError(f"{item!r} is not name=value", where=option, hint=f"For example {option} {example}.")
        pairs[name.strip()] = value.strip()
    return pairs


def listed_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
