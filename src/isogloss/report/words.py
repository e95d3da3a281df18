"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import polars as pl

from isogloss import languages as _languages
from isogloss.units import format_quantity

Format = Literal["text", "number", "value", "quantity", "flops", "percent", "epochs", "loss"]
"""`text` is set left, all others right; `number` is text that is set as a number."""

NOTHING = "–"
MINUS = "−"


def quantity(number: float) -> str:
    """12.3B, 326B, 950M."""
    return format_quantity(number)


def about(number: float) -> str:
    """As `quantity`, to two digits, as one says it: 5.1B."""
    return format_quantity(number, digits=2 if abs(number) < 1e15 else 3)


def flops(number: float) -> str:
    return format_quantity(number, "flops").removesuffix(" FLOPs")


def value(number: float) -> str:
    """Four significant digits, with thousands marked: 0.3473, 477.8, 38,110, 1.144e6."""
    size = abs(number)
    if size >= 1e6 or 0 < size < 1e-3:
        mantissa, exponent = f"{number:.3e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    else:
        text = f"{float(f'{number:.4g}'):,.0f}" if size >= 1e4 else f"{number:.4g}"
    return text.replace("-", MINUS)


def percent(fraction: float, *, signed: bool = False) -> str:
    """39.3, 4.1, 0.023: the number alone, for a column or a sentence that says per cent."""
    scaled = 100 * fraction
    if abs(scaled) < 1e-3:
        text = "0"
    elif abs(scaled) >= 0.995:
        text = f"{scaled:,.1f}"
    else:
        text = f"{scaled:.2g}"
    return f"+{text}" if signed and scaled > 0 else text.replace("-", MINUS)


def per_cent(fraction: float, *, signed: bool = False) -> str:
    """39.3 %, with a space that no line breaks at."""
    return f"{percent(fraction, signed=signed)}\u00a0%"


def times(epochs: float) -> str:
    """4.0, 12, 0.023: how often a text is seen."""
    if epochs >= 9.95:
        return f"{epochs:,.0f}"
    if epochs < 1e-4:
        return "0"
    return f"{epochs:.1f}" if epochs >= 0.95 else f"{epochs:.2g}"


def loss(number: float) -> str:
    return f"{number:.3f}"


def short_unit(unit: str) -> str:
    """A unit without what its brackets explain, for an axis."""
    return unit.split(" (")[0]


_WRITERS: Mapping[Format, Callable[[Any], str]] = {
    "text": str,
    "number": str,
    "value": value,
    "quantity": quantity,
    "flops": flops,
    "percent": percent,
    "epochs": times,
    "loss": loss,
}


def format_of(column: pl.Series, chosen: Format | None) -> Format:
    if chosen is not None:
        return chosen
    if column.dtype.is_integer():
        return "quantity"
    return "value" if column.dtype.is_numeric() else "text"


def cell(content: Any, how: Format) -> str:
    """One cell of a table; what is missing or not a number is a dash."""
    if content is None or (isinstance(content, float) and not math.isfinite(content)):
        return "no limit" if content == math.inf else NOTHING
    return _WRITERS[how](content)


_CODE = re.compile(r"\b[a-z]{3}_[A-Z][a-z]{3}\b")


def with_names(text: str) -> str:
    """What a warning says of languages by code, by their names."""
    names = language_names(code for code in dict.fromkeys(_CODE.findall(text)) if code in _known())
    return _CODE.sub(lambda found: names.get(found[0], found[0]), text)


@cache
def _known() -> frozenset[str]:
    return frozenset(entry.code for entry in _languages.all_languages())


def listed(names: Sequence[str], most: int = 6) -> str:
    """A; A and B; A, B and C; A, B and 7 more."""
    shown = list(names)
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} more"]
    if len(shown) < 2:
        return shown[0] if shown else "none"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def language_names(codes: Iterable[str]) -> dict[str, str]:
    """A short name for each code, unlike all others: the script is added where two would be the same."""
    entries = {code: _languages.get(code) for code in codes}
    short = {code: entry.short_name.removeprefix("Standard ") for code, entry in entries.items()}
    times_used = Counter(short.values())
    with_script = {
        code: f"{name} ({entries[code].script_name})" if times_used[name] > 1 else name for code, name in short.items()
    }
    times_used = Counter(with_script.values())
    return {c: n if times_used[n] == 1 else f"{entries[c].short_name} ({c})" for c, n in with_script.items()}
