"""Card: one analysis as a title, the conclusion in a sentence, a chart, a table and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from isogloss.report.words import Format


@dataclass(frozen=True)
class Card:
    """What a reader should learn from one analysis. It holds numbers, never markup: `render` writes pages.

    `chart` is a plain altair chart, or a Vega-Lite specification of a card that was read from a file; a row of charts
    (`a | b`) becomes panels that wrap on narrow screens.
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
    alt: str = ""
    """The chart in words; empty: title, sentence and what is drawn, with units (`alternatives.alternative`)."""
    evidence: str = ""
    """What the chart rests on: how many runs, of which table or paper. Its caption."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        from isogloss.report.notebook import card_bundle

        return card_bundle(self)


@dataclass(frozen=True)
class Section:
    """The cards of one answer, with what to read before use. A report is one section or many."""

    title: str
    subtitle: str
    cards: Sequence[Card]
    warnings: Sequence[str] = ()
    source: str = ""
    """The path that it was read from."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        from isogloss.report.notebook import section_bundle

        return section_bundle(self)
