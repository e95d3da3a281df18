"""Widgets and the address of the page kept alike, so that a link reopens the same view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from isogloss.web.links import Reader


def open_page(page: str, read: Callable[[Reader], Mapping[str, Any]]) -> list[str]:
    """Give the page's widgets their values: those of a new link, else what the page had before, else the defaults,
    which `read` gives for an empty link. Returns what is to be said of the link.
    """
    memory = st.session_state
    link = {key: st.query_params[key] for key in st.query_params}
    kept: Mapping[str, Any] | None = memory.get(f"kept {page}")
    notes: list[str] = []
    if (link and link != memory.get(f"link {page}")) or kept is None:
        reader = Reader(link)
        values, notes = read(reader), reader.notes
    elif any(name not in memory for name in kept):
        # Streamlit forgets the widgets of a page that was left.
        values = kept
    else:
        return []
    for name, value in values.items():
        memory[name] = value
    memory[f"kept {page}"] = dict(values)
    return notes


def keep(page: str, values: Mapping[str, Any], link: Mapping[str, str | None]) -> None:
    """Remember the page's widgets, and write its state into the address; None and "" say nothing."""
    said = {key: value for key, value in link.items() if value}
    st.session_state[f"kept {page}"] = dict(values)
    st.session_state[f"link {page}"] = said
    if {key: st.query_params[key] for key in st.query_params} != said:
        st.query_params.from_dict(said)
