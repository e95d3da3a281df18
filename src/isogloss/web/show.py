"""Cards on the screen. What people named (languages, runs, files) is data: it is escaped wherever it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from typing import Any

import streamlit as st

from isogloss.errors import FitError, InputError, PlanError
from isogloss.report.card import Card
from isogloss.report.tables import unbroken
from isogloss.report.words import Format, cell, format_of, with_names

# Rows of a table that are on the page; the others are in its CSV.
MOST_ROWS = 400
# The width is the page's, the height the chart's own.
FIT = {"type": "fit-x", "contains": "padding"}
PAD = {"type": "pad", "contains": "padding"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: str) -> str:
    """Text for a place where Streamlit reads markdown: nothing in it is a link, a picture, mathematics or a colour."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def said(error: Exception) -> str:
    """What a person should read of an error, as markdown."""
    if not isinstance(error, InputError):
        return plain(str(error))
    place = f"**{plain(error.where)}**: " if error.where else ""
    hint = f"\n\n{plain(error.hint)}" if error.hint else ""
    return f"{place}{plain(error.what)}{hint}"


@contextmanager
def telling() -> Iterator[None]:
    """Errors of the user's input become a message on the page."""
    try:
        yield
    except (InputError, FitError, PlanError) as error:
        st.error(said(error), icon=":material/error:")


def notes(lines: Sequence[str]) -> None:
    if lines:
        st.warning("\n\n".join(plain(line) for line in lines))


def before_use(lines: Sequence[str]) -> None:
    """What an answer does not know: folded, and before any figure."""
    if lines:
        with st.expander(f"Before you rely on this: {len(lines)} note{'s' * (len(lines) > 1)}"):
            said = [with_names(line) for line in lines]
            st.html("".join(f'<p class="iso-warning">{escape(line[0].upper() + line[1:])}</p>' for line in said))


def title(words: str, sentence: str = "", *, level: int = 1) -> None:
    lead = f'<p class="iso-lead">{escape(sentence)}</p>' if sentence else ""
    st.html(f'<h{level} class="iso-title">{escape(words)}</h{level}>{lead}')


def answer(sentence: str, numbers: Sequence[tuple[str, str, str]]) -> None:
    """The page's answer: a sentence, then numbers, each with its name and what is said of it."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd class='iso-note'>{escape(note)}</dd></div>"
        for name, value, note in numbers
    )
    st.html(f'<p class="iso-answer">{escape(sentence)}</p><dl class="iso-numbers">{cells}</dl>')


def cards(found: Sequence[Card], key: str, *, rest: Sequence[Card] = (), rest_title: str = "More") -> None:
    for number, card in enumerate(found):
        show(card, f"{key}-{number}")
    if rest:
        with st.expander(rest_title):
            for number, card in enumerate(rest):
                show(card, f"{key}-rest-{number}")


def show(card: Card, key: str) -> None:
    """Title, conclusion, figure, table, notes, and the same as files."""
    with st.container(key=f"card-{key}"):
        head = f'<h2 class="iso-card">{escape(card.title)}</h2><p class="iso-sentence">{escape(card.sentence)}</p>'
        st.html(head)
        _figures(card, key)
        table = _table(card)
        below = "".join(f'<p class="iso-note">{escape(note)}</p>' for note in _notes(card))
        if table or below:
            st.html(table + below)
        _files(card, key)


def _notes(card: Card) -> list[str]:
    return [n for n in (card.evidence, *card.notes) if n]


def _files(card: Card, key: str) -> None:
    from isogloss.web.downloads import csv_of, file_name, svg_of

    frame = card.table
    offers: list[tuple[str, Callable[[], bytes], str, str]] = []
    if card.chart is not None:
        offers.append(("Figure (SVG)", partial(svg_of, card), ".svg", "image/svg+xml"))
    if frame is not None and frame.width:
        offers.append(("Table (CSV)", partial(csv_of, frame), ".csv", "text/csv"))
    if not offers:
        return
    with st.container(horizontal=True, key=f"files-{key}"):
        for label, make, suffix, mime in offers:
            st.download_button(
                label,
                make,
                file_name(card.title, suffix),
                mime,
                key=f"{key}{suffix}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
                help=f"{label} of: {plain(card.title)}",
            )


def _figures(card: Card, key: str) -> None:
    if card.chart is None:
        return
    # Here and below: what draws is not needed for a page's controls, and takes half a second to load.
    from isogloss.report.alternatives import alternative
    from isogloss.report.specs import fluid, panels
    from isogloss.report.theme import DARK, LIGHT, config

    look = config(DARK if st.context.theme.type == "dark" else LIGHT)
    # On a telephone a legend in one line would be cut off.
    look = {**look, "legend": {**look["legend"], "columns": {"expr": "width < 380 ? 2 : 0"}}}
    views = panels(card.chart)
    # A matrix keeps its size, which a column would cut.
    beside = 1 < len(views) < 4 and all(map(fluid, views))
    columns = st.columns(len(views), gap="medium") if beside else [st.container() for _ in views]
    for number, (view, column) in enumerate(zip(views, columns, strict=True)):
        with column:
            st.vega_lite_chart(
                kept_whole(
                    {"autosize": FIT if fluid(view) else PAD, **view, "config": {**look, "background": "transparent"}}
                ),
                width="stretch" if fluid(view) else "content",
                theme=None,
                key=f"{key}-figure-{number}",
                alt=alternative(card) if len(views) == 1 else f"{alternative(card)} ({number + 1} of {len(views)})",
            )


def kept_whole(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification with its rows inside, as they are: Streamlit would make a data frame of those at the top."""
    sets = spec.get("datasets", {})
    whole = _with_rows({k: v for k, v in spec.items() if k != "datasets"}, sets)
    data = whole.get("data")
    if isinstance(data, dict) and "values" in data:
        # Geometry is what it leaves alone; Vega takes the rows out of it again.
        rows = {"type": "FeatureCollection", "features": data["values"]}
        whole["data"] = {"values": rows, "format": {"type": "json", "property": "features"}}
    return whole


def _with_rows(part: Any, sets: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_with_rows(p, sets) for p in part]
    if not isinstance(part, dict):
        return part
    out = {k: (v if k == "values" else _with_rows(v, sets)) for k, v in part.items()}
    data = out.get("data")
    if isinstance(data, dict) and data.get("name") in sets:
        out["data"] = {"values": sets[data["name"]]}
    return out


def _table(card: Card) -> str:
    frame = card.table
    if frame is None or not frame.width:
        return ""
    formats: list[Format] = [format_of(column, card.formats.get(column.name)) for column in frame]
    kinds = ["" if how == "text" else " class='n'" for how in formats]
    head = "".join(
        f"<th scope='col'{kind}>{escape(name)}</th>" for name, kind in zip(frame.columns, kinds, strict=True)
    )
    # The first column says what a row is of, and stays where a wide table is moved.
    tags = ["td" if kinds[0] else "th scope='row'", *["td"] * (len(kinds) - 1)]
    body = "".join(
        "<tr>"
        + "".join(
            f"<{tag}{kind}>{escape(unbroken(cell(v, how)))}</{tag.split()[0]}>"
            for v, how, kind, tag in zip(row, formats, kinds, tags, strict=True)
        )
        + "</tr>"
        for row in frame.head(MOST_ROWS).iter_rows()
    )
    more = frame.height - MOST_ROWS
    tail = f'<p class="iso-note">{more:,} more rows are in the CSV.</p>' if more > 0 else ""
    caption = f"<caption>{escape(card.title)}</caption>"
    inner = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="iso-table" tabindex="0" role="region" aria-label="{escape(card.title)}">{inner}</div>{tail}'
