"""Card: one analysis as a title, one sentence, charts, a table and notes. How it looks is not its business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Card:
    """`sentence` is the one conclusion to draw. An analysis that cannot run says there why not."""

    id: str
    title: str
    sentence: str
    charts: tuple[Any, ...] = ()
    table: pl.DataFrame | None = None
    notes: tuple[str, ...] = ()
