"""Where a number of a run stands in its settings: a key, a number, or a product such as "batch_size * seq_len"."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isogloss.errors import InputError
from isogloss.units import parse_quantity

_FORMS = 'Write a key, a number, or a product of keys and numbers: "batch_size * seq_len". Quote keys with signs.'


@dataclass(frozen=True)
class Product:
    """`text` as the user wrote it: settings and numbers with * and / between. Nothing else is ever computed."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("is empty", hint=_FORMS)
        if not _plain(self.text):
            list(_names(_parse(self.text)))

    def keys(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The settings that it needs; a text that is a key as a whole is that key, whatever signs are in it."""
        if self.text in settings:
            return (self.text,)
        if _plain(self.text):
            return () if _quantity(self.text) is not None else (self.text,)
        return tuple(dict.fromkeys(_names(_parse(self.text))))

    def value(self, settings: Mapping[str, Any]) -> float | None:
        """None where a setting is not there or is no positive number."""
        if self.text in settings:
            return number(settings[self.text])
        if _plain(self.text):
            return _quantity(self.text)
        try:
            value = _compute(_parse(self.text), settings)
        except (ZeroDivisionError, OverflowError):
            return None
        return value if value is not None and math.isfinite(value) and value > 0 else None


def number(value: Any) -> float | None:
    """A setting as a positive number: trackers keep many as text, and people write 70M."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return parse_quantity(value)
    except InputError:
        return None


def _quantity(text: str) -> float | None:
    return number(text) if text.strip()[:1].isdigit() or text.strip()[:1] == "." else None


def _plain(text: str) -> bool:
    """No sign of an expression in it: one key or one number."""
    return not any(sign in text for sign in "*/'\"()+") or _quantity(text) is not None


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"{text!r} is no product", hint=_FORMS) from None


def _names(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div(), right=right):
            yield from _names(left)
            yield from _names(right)
        case ast.Constant(value=str() as key):
            yield key
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return
        case ast.Name() | ast.Attribute():
            yield _dotted(node)
        case _:
            raise InputError(f"{ast.unparse(node)!r} has no place in a product", hint=_FORMS)


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{_dotted(owner)}.{name}"
        case _:
            raise InputError(f"{ast.unparse(node)!r} has no place in a product", hint=_FORMS)


def _compute(node: ast.expr, settings: Mapping[str, Any]) -> float | None:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _compute(left, settings), _compute(right, settings)
            if a is None or b is None:
                return None
            return a * b if isinstance(op, ast.Mult) else a / b
        case ast.Constant(value=str() as key):
            return number(settings.get(key))
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case _:
            return number(settings.get(_dotted(node)))
