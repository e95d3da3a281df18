"""What score.py found of predictions.json."""

from __future__ import annotations

import json
from typing import Any

from train import HERE

from questions.tables import Tables


def answer(_tables: Tables) -> dict[str, Any]:
    path = HERE / "scores.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
