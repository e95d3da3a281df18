"""A question as TOML, in the order of its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(tables: Mapping[str, Any]) -> str:
    """Reads back as the same mapping: values first, then tables, and tables within `languages` as their own."""
    out = [f"{_key(k)} = {_value(v)}" for k, v in tables.items() if not isinstance(v, Mapping)]
    for name, table in tables.items():
        if isinstance(table, Mapping):
            out += ["", *_table([name], table)]
    return "\n".join(out).strip() + "\n"


def _table(path: list[str], table: Mapping[str, Any]) -> list[str]:
    tables = {k: v for k, v in table.items() if isinstance(v, Mapping)}
    plain = {k: v for k, v in table.items() if k not in tables}
    head = f"[{'.'.join(map(_key, path))}]"
    out = [head, *(f"{_key(k)} = {_value(v)}" for k, v in plain.items())] if plain or not tables else []
    for name, inner in tables.items():
        out += _table([*path, name], inner)
    return out


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for the one character that JSON leaves bare.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(item: Any) -> str:
    if isinstance(item, str):
        return _quoted(item)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in item.items()) + " }"
    if isinstance(item, list | tuple):
        return "[" + ", ".join(map(_value, item)) + "]"
    return f"{item:g}" if isinstance(item, float) and float(f"{item:g}") == item and item < 1e6 else repr(item)
