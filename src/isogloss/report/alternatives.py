"""What a figure shows, in words, for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isogloss.report.card import Card
from isogloss.report.specs import panels
from isogloss.report.words import listed

_MARKS = {
    "bar": "bars",
    "line": "lines",
    "trail": "lines",
    "point": "points",
    "circle": "points",
    "square": "points",
    "tick": "ticks",
    "rule": "intervals",
    "area": "bands",
    "errorband": "bands",
    "errorbar": "intervals",
    "rect": "a map of cells",
}
MOST_MARKS = 4


def alternative(card: Card) -> str:
    """The text alternative of a card's chart: what it says, then what is drawn on which axes, with their units."""
    if card.alt or card.chart is None:
        return card.alt
    drawn = [described(spec) for spec in panels(card.chart)]
    shown = drawn[0] if len(drawn) == 1 else "; ".join(f"panel {k}, {said}" for k, said in enumerate(drawn, 1))
    return f"{card.title}. {card.sentence} Shown: {shown}."


def described(spec: dict[str, Any]) -> str:
    """points and lines, Parameters N (x) and Loss, nats per token (y)"""
    parts = list(_parts(spec))
    marks = dict.fromkeys(_MARKS[name] for part in parts if (name := _mark(part)) in _MARKS)
    axes = [f"{title} ({channel})" for channel in ("x", "y", "color") if (title := _title(parts, channel))]
    shown = listed(list(marks), most=MOST_MARKS) if marks else "a figure"
    name = _words(spec.get("title"))
    return f"{name + ': ' if name else ''}{shown}{': ' if axes else ''}{' against '.join(axes)}"


def _parts(spec: Any) -> Iterator[dict[str, Any]]:
    """The view and all that is layered or set in it."""
    if not isinstance(spec, dict):
        return
    yield spec
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(key, ()):
            yield from _parts(part)
    yield from _parts(spec.get("spec"))


def _mark(part: dict[str, Any]) -> str:
    mark = part.get("mark")
    return str(mark.get("type")) if isinstance(mark, dict) else str(mark)


def _title(parts: list[dict[str, Any]], channel: str) -> str:
    """The first title that anything gives to an axis or a scale."""
    for part in parts:
        field = part.get("encoding", {}).get(channel)
        if not isinstance(field, dict):
            continue
        for holder in (field.get("axis"), field.get("legend"), field):
            if isinstance(holder, dict) and (title := _words(holder.get("title"))):
                return title
    return ""


def _words(title: Any) -> str:
    if isinstance(title, dict):
        title = title.get("text")
    if isinstance(title, list):
        title = " ".join(map(str, title))
    return str(title) if title else ""
