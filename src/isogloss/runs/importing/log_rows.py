"""Rows of a plain log as a run: which column is the step, which are metrics, and which say what the run is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from isogloss.runs.columns import meaning
from isogloss.runs.importing.guess_losses import KIND
from isogloss.runs.importing.logged import Columns, LoggedRun, Trouble

STEP = ("step", "global_step", "_step", "iteration", "iter", "steps", "train_step")
TIME = ("_timestamp", "timestamp", "time")
_FURTHEST = 2.0**62
_METRIC, _VALUE = ("metric", "tag"), "value"


def logged(
    key: str, name: str, rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any], troubles: list[Trouble]
) -> LoggedRun:
    """Numbers are metrics; text, and numbers that never change, are settings; `status` is the run's."""
    columns, settings = Columns(), dict[str, Any]()
    rows = _by_language(rows)
    changing: set[str] = set()
    step_name = next((s for s in STEP if any(s in row for row in rows)), None)
    time_name = next((t for t in TIME if any(t in row for row in rows)), None)
    unplaced, texts = 0, Counter[str]()
    numbers = {c for row in rows for c, v in row.items() if _is_number(v)}
    for i, row in enumerate(rows):
        step = _whole(row.get(step_name)) if step_name else i
        time = row.get(time_name) if time_name else None
        seconds = _float(time) if isinstance(time, int | float) else math.nan
        metric = next((row[m] for m in _METRIC if isinstance(row.get(m), str)), None)
        if metric is not None and _VALUE in row:
            row = {metric: row[_VALUE]}
        for column, value in row.items():
            if column in (step_name, time_name):
                continue
            if value is not None and column not in changing and settings.setdefault(column, value) != value:
                changing.add(column)
            if isinstance(value, str) and (_VALUE if column == metric else column) in numbers:
                # Some loggers write "NaN" where JSON has no number for it.
                if (found := _from_text(value)) is None:
                    texts[column] += 1
                    continue
                value = found
            if _is_number(value):
                if step is None:
                    unplaced += 1
                else:
                    columns.add(column, step, _float(value), seconds)
    for column, count in texts.items():
        troubles = [*troubles, Trouble(key, f"{column} is text where a number belongs", "Left out.", count)]
    if unplaced:
        hint = f"Give every row a {step_name}."
        what = f"{unplaced} points in rows without a {step_name} are left out"
        troubles = [*troubles, Trouble(key, what, hint, unplaced)]
    if step_name is None and rows:
        hint = f"Write the step of each row as {STEP[0]!r}."
        troubles = [*troubles, Trouble(key, "no column of steps: rows are counted from 0", hint)]
    found = {column: value for column, value in settings.items() if column not in changing} | dict(config)
    status = str(found.get("status", "")).casefold()
    return LoggedRun(key, name, status, found, columns.series(), tuple(troubles))


def _by_language(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Where a column names a language, another in other rows, each loss is named after its own: loss/swh."""
    column = next((c for row in rows for c, v in row.items() if meaning(c) == "target" and isinstance(v, str)), None)
    if column is None or len({row.get(column) for row in rows} - {None}) < 2:
        return rows
    out: list[Mapping[str, Any]] = []
    for row in rows:
        language = row.get(column)
        named = {n: f"{n}/{language}" for n in row if KIND.search(n) or meaning(n) == "stderr"} if language else {}
        out.append({named.get(n, n): v for n, v in row.items() if n != column})
    return out


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _from_text(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _float(value: float) -> float:
    """JSON has whole numbers of any length."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value) if abs(_float(value)) < _FURTHEST else None
