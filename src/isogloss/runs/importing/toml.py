"""A mapping as TOML, in the order of its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as AnyMapping
from typing import Any

from isogloss.runs.importing.mapping import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(mapping: Mapping) -> str:
    """Reads back as the same mapping."""
    tables = mapping.model_dump(exclude_none=True, exclude_defaults=True)
    out = []
    for name, table in tables.items():
        out.append(f"[{name}]")
        out += [f"{key(k)} = {value(v)}" for k, v in table.items()]
        out.append("")
    return "\n".join(out)


def key(text: str) -> str:
    return text if _BARE.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """JSON's escapes are TOML's, but for the one character that JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def value(item: Any) -> str:
    if isinstance(item, str):
        return quoted(item)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, AnyMapping):
        if set(item) == {"unit"}:
            return value(item["unit"])
        return "{ " + ", ".join(f"{key(k)} = {value(v)}" for k, v in item.items()) + " }"
    if isinstance(item, list):
        return value(item[0]) if len(item) == 1 else "[" + ", ".join(map(value, item)) + "]"
    return repr(item)
