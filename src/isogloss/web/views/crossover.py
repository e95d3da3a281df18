"""Crossover: scratch, or continue a checkpoint, and the compute at which the answer changes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from isogloss.errors import InputError
from isogloss.planning import Crossover, checkpoints, crossover
from isogloss.report import section
from isogloss.report.words import quantity
from isogloss.web import choices, served, show
from isogloss.web.links import Reader, amount, codes
from isogloss.web.settings import settings
from isogloss.web.state import keep, open_page
from isogloss.web.tables import Table, of_folder
from isogloss.web.uploads import read_table

LANGUAGE, PARAMS, FLOPS = "ekk_Latn", 2e9, 1e22
LEAST_N, MOST_N = 1e7, 1e12
# Draws of a fixed seed: as many as intervals need that are read to two digits.
DRAWS = 1000
NONE = ""
WAYS = {"published": "published crossings, scaled", "runs": "your own runs, fitted"}
NEEDED = (
    "Upload a table of runs from scratch and of runs that continue a checkpoint, which column init names (empty: from "
    "scratch), each at several token counts."
)


@lru_cache(maxsize=64)
def answered(language: str, params: float, flops: float, checkpoint: str) -> Crossover:
    return crossover(language, params=params, flops=flops, checkpoint=checkpoint or None, draws=DRAWS)


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them: what was uploaded is in no link."""
    own = [entry.name for entry in served.of_kind("runs", "study")]
    return {
        "crossover way": link.one_of("by", list(WAYS), "published"),
        "crossover table": link.one_of("table", [NONE, *own], NONE),
        "crossover language": next(iter(link.languages("l", (LANGUAGE,), 1)), LANGUAGE),
        "crossover params": link.number("n", PARAMS, LEAST_N, MOST_N),
        "crossover flops": link.number("c", FLOPS, choices.LEAST_FLOPS, choices.MOST_FLOPS),
        "crossover checkpoint": link.one_of("from", [c.name for c in checkpoints()], NONE),
    }


def page() -> None:
    memory = st.session_state
    said_of_link = open_page("crossover", read)
    show.title("Crossover", "Train from scratch, or continue a multilingual checkpoint? It depends on the compute.")
    with st.sidebar:
        way = choices.pick("Crossing from", "crossover way", WAYS)
        own = memory["crossover language"]
        options = choices.all_codes() if own in choices.all_codes() else (*choices.all_codes(), own)
        language = choices.language("Language", "crossover language", options)
        flops = choices.compute("Budget, training FLOPs", "crossover flops", float(memory["crossover flops"]))
        st.caption(choices.hours(flops))
        table = _table() if way == "runs" else None
        if way == "published":
            _published()
    show.notes(said_of_link)
    _keep()
    with show.telling():
        if way == "published":
            found = section(answered(language, memory["crossover params"], flops, memory["crossover checkpoint"]))
        elif table is None:
            st.info(NEEDED)
            return
        else:
            found = section(_fitted(table, language, flops))
        show.before_use(found.warnings)
        show.cards(found.cards, f"crossover-{way}")


def _published() -> None:
    memory = st.session_state
    sizes = [float(f"{n:.2g}") for n in np.geomspace(LEAST_N, 1e11, 41)]
    steps = sorted({*sizes, float(memory["crossover params"])})
    st.select_slider("Parameters of the model", steps, key="crossover params", format_func=quantity)
    names = [NONE, *(c.name for c in checkpoints())]
    st.selectbox("Checkpoint", names, key="crossover checkpoint", format_func=lambda n: n or "any multilingual one")


def _table() -> Table | None:
    own = [entry.name for entry in served.of_kind("runs", "study")]
    kinds = ["csv", "tsv", "parquet", "jsonl"]
    file = st.file_uploader("Upload a table of runs", type=kinds, key="crossover file", help=NEEDED)
    name = NONE
    if own:
        words = "Or one of yours"
        name = st.selectbox(words, [NONE, *own], key="crossover table", format_func=lambda n: n or "choose a table")
    with show.telling():
        if file is not None:
            return Table(file.name, read_table(file.name, file.getvalue(), settings().limits))
        return of_folder(name) if name else None
    return None


def _fitted(table: Table, language: str, flops: float) -> Crossover:
    """Fitted once for each table and question: that takes seconds."""
    starts = table.starts()
    if not starts:
        raise InputError("no run continues a checkpoint", where=table.name, hint=NEEDED)
    init = st.selectbox("Runs that continue from", starts, key=f"crossover init {table.name}")
    asked = (table.name, _print_of(table), language, flops, init)
    held = st.session_state.get("crossover answer")
    if held is None or held[0] != asked:
        with st.spinner("Fitting runs from scratch and continued ones together"):
            held = (asked, table.crossover(language, flops, init, settings().limits.fit_rows))
        st.session_state["crossover answer"] = held
    return held[1]


def _print_of(table: Table) -> str:
    """Two uploads of one name are told apart by what is in them."""
    return str(table.raw) if isinstance(table.raw, Path) else str(table.raw.hash_rows().sum())


def _keep() -> None:
    memory = st.session_state
    kept: dict[str, Any] = memory["kept crossover"]
    names = ("way", "table", "language", "params", "flops", "checkpoint")
    # Of the other way of asking there are no widgets now.
    values = {f"crossover {n}": memory.get(f"crossover {n}", kept.get(f"crossover {n}")) for n in names}
    link: dict[str, str | None] = {"l": codes([values["crossover language"]]), "c": amount(values["crossover flops"])}
    if values["crossover way"] == "runs":
        link |= {"by": "runs", "table": values["crossover table"]}
    else:
        link |= {"n": amount(values["crossover params"]), "from": values["crossover checkpoint"]}
    keep("crossover", values, link)
