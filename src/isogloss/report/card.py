"""Card: one analysis as a title, the conclusion in a sentence, a chart, a table and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from isogloss.report.words import Format


@dataclass(frozen=True)
class Card:
    """What a reader should learn from one analysis. It holds numbers, never markup: `render` writes pages.

    `chart` is a plain altair chart; a row of charts (`a | b`) becomes panels that wrap on narrow screens.
    An analysis that cannot run is a card whose `sentence` says why.
    """

    id: str
    title: str
    sentence: str
    chart: Any | None = None
    table: pl.DataFrame | None = None
    """Its column names are read by people: words, with their unit."""
    notes: tuple[str, ...] = ()
    formats: Mapping[str, Format] = field(default_factory=dict)
    """How a column of `table` is written, where its type does not say it."""
