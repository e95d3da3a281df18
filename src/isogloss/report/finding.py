"""A field for a language's name beside a chart that holds more of them than a page can show at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from isogloss import languages as _languages

# Charts with more rows than this show the first of them, and those whose name is asked for.
MOST_ROWS = 120
FIRST_ROWS = 30
# Of more languages than this, families are shown too.
MANY = 60
# A group of fewer languages stands with the others.
FEWEST = 3
MOST_GROUPS = 24
OTHERS, OTHER_SCRIPTS = "other families", "other scripts"
_NAME = "find"


def finder() -> Any:
    """The field, as a parameter of a whole chart. What is typed stays text: it is compared, never evaluated."""
    bind = alt.BindInput(input="text", name="Find a language ", placeholder="part of its name", autocomplete="off")
    return alt.param(name=_NAME, value="", bind=bind)


def matches(*fields: str) -> str:
    """An expression: whether one of these fields of a row holds what is asked for."""
    return " || ".join(f"indexof(lower(datum.{field}), lower({_NAME})) >= 0" for field in fields)


def asked() -> str:
    return f"{_NAME} != ''"


def first_or_found(chart: Any, field: str, place: str = "place") -> Any:
    """The rows of the first places, or where a name is asked for the first that match it."""
    wanted = f"{asked()} ? {matches(field)} : datum.{place} < {FIRST_ROWS}"
    ranked = chart.transform_filter(wanted).transform_window(rank_found="dense_rank()", sort=[alt.SortField(place)])
    return ranked.transform_filter(f"datum.rank_found <= {FIRST_ROWS}")


def by_family(codes: Sequence[str]) -> dict[str, str]:
    """Each language's family, small ones together as `OTHERS`; the largest families first."""
    return _grouped({code: _languages.family_of(code) or OTHERS for code in codes}, OTHERS)


def by_script(codes: Sequence[str]) -> dict[str, str]:
    """Each language's script, rare ones together as `OTHER_SCRIPTS`."""
    return _grouped({code: _languages.get(code).script_name for code in codes}, OTHER_SCRIPTS)


def group_order(groups: Iterable[str]) -> list[str]:
    """The largest group first, the others last."""
    sizes = _sizes(groups)
    return sorted(sizes, key=lambda name: (name in (OTHERS, OTHER_SCRIPTS), -sizes[name], name))


def _grouped(group: dict[str, str], others: str) -> dict[str, str]:
    sizes = _sizes(group.values())
    large = [name for name, size in sizes.items() if size >= FEWEST and name != others][: MOST_GROUPS - 1]
    return {code: name if name in large else others for code, name in group.items()}


def _sizes(names: Iterable[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name in names:
        sizes[name] = sizes.get(name, 0) + 1
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))
