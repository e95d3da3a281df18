"""Laws: what was published, and what it asks for at each budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from isogloss.laws import entries
from isogloss.web import choices, show
from isogloss.web.links import Reader, amount
from isogloss.web.state import keep, open_page
from isogloss.web.trajectories import MOST, catalogue_card, comparable, entry_card, label, presets, trajectory_cards

FIRST = next(iter(presets().values()))
BUDGET, LOW, HIGH = 1e22, 1e18, 1e25
OWN = "as chosen below"
NONE = ""


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them."""
    chosen = link.some_of("laws", comparable(), FIRST, MOST)
    return {
        "laws chosen": chosen,
        "laws preset": preset_of(chosen),
        "laws flops": link.number("c", BUDGET, LOW, HIGH),
        "laws entry": link.one_of("law", [e.id for e in entries()], NONE),
        "laws query": (link.text("q") or "")[:100],
    }


def page() -> None:
    memory = st.session_state
    said_of_link = open_page("laws", read)
    show.title("Laws", "Published scaling laws side by side: what each asks for, and what contradicts it.")
    with st.sidebar:
        known = presets()
        st.selectbox("Compare", [OWN, *known], key="laws preset", on_change=_preset)
        chosen = st.multiselect(
            "Laws",
            list(comparable()),
            key="laws chosen",
            format_func=label,
            max_selections=MOST,
            select_all=False,
            on_change=_chosen,
        )
        at = choices.compute("Compute of the table, FLOPs", "laws flops", float(memory["laws flops"]), high=HIGH)
    show.notes(said_of_link)
    if chosen:
        show.cards(trajectory_cards(chosen, (LOW, HIGH), at), "laws")
    else:
        st.info("Choose a law to compare.")
    query = st.text_input(
        "Search the catalogue", key="laws query", max_chars=100, placeholder="fine-tuning, 2510.22037 ..."
    )
    show.show(catalogue_card(query), "catalogue")
    ids = [NONE, *(e.id for e in entries())]
    one = st.selectbox("One law in full", ids, key="laws entry", format_func=lambda i: i or "choose one")
    if one:
        show.show(entry_card(next(e for e in entries() if e.id == one)), "entry")
    values = {
        "laws chosen": chosen,
        "laws preset": preset_of(chosen),
        "laws flops": at,
        "laws entry": one,
        "laws query": query,
    }
    link = {
        "laws": None if tuple(chosen) == FIRST else ",".join(chosen),
        "c": None if at == BUDGET else amount(at),
        "law": one,
        "q": query,
    }
    keep("laws", values, link)


def preset_of(chosen: Sequence[str]) -> str:
    return next((name for name, laws in presets().items() if set(laws) == set(chosen)), OWN)


def _chosen() -> None:
    st.session_state["laws preset"] = preset_of(st.session_state["laws chosen"])


def _preset() -> None:
    memory = st.session_state
    if memory["laws preset"] != OWN:
        memory["laws chosen"] = list(presets()[memory["laws preset"]])
