"""What MLflow's stores have in common: status words, settings kept as text, and runs that were deleted."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from isogloss.runs.importing.logged import Trouble, flat

STATUS = {
    "RUNNING": "running",
    "SCHEDULED": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
NAME_TAG = "mlflow.runName"


def settings(params: Mapping[str, str], tags: Mapping[str, str], experiment: str) -> dict[str, Any]:
    """Params as settings, tags of the user's own as `tags.x`, and the experiment's name."""
    out: dict[str, Any] = {}
    for name, text in params.items():
        value = parsed(text)
        out |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    out |= {f"tags.{name}": parsed(text) for name, text in tags.items() if not name.startswith("mlflow.")}
    return out | {"experiment": experiment}


def parsed(text: str) -> Any:
    """MLflow keeps settings as text: numbers, tables and lists are read back, everything else stays text."""
    bare = text.strip()
    if bare in _WORDS:
        return _WORDS[bare]
    try:
        return int(bare)
    except ValueError:
        pass
    try:
        number = float(bare)
    except ValueError:
        pass
    else:
        return number if math.isfinite(number) else text
    if bare[:1] in ("{", "["):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(bare)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return text


_WORDS = {"True": True, "False": False, "true": True, "false": False, "None": None}


def deleted(where: str, names: Iterable[str]) -> list[Trouble]:
    names = list(names)
    if not names:
        return []
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    hint = "To import one, restore it: mlflow runs restore --run-id ID."
    return [Trouble(where, f"{len(names)} runs are deleted in MLflow and left out: {shown}", hint)]
