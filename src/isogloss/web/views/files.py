"""Your files: the fits, plans, studies, transfer and runs of the served folder, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from isogloss.errors import InputError
from isogloss.report import gather
from isogloss.web import served, show
from isogloss.web.found import KINDS, Found
from isogloss.web.links import Reader
from isogloss.web.state import keep, open_page

NONE = ""
ELSEWHERE = {"question": "Plan", "runs": "Runs", "study": "Runs", "transfer": "Transfer"}


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them."""
    return {"files name": link.one_of("name", [NONE, *(entry.name for entry in served.everything())], NONE)}


def page() -> None:
    said_of_link = open_page("files", read)
    show.title("Your files", "What isogloss found in the folder that is served.")
    found = {entry.name: entry for entry in served.everything()}
    with st.sidebar:
        name = st.selectbox(
            "File", [NONE, *found], key="files name", format_func=lambda n: n or "choose one", filter_mode="contains"
        )
    show.notes(said_of_link)
    keep("files", {"files name": name}, {"name": name})
    if not name:
        _list(list(found.values()))
        return
    with show.telling():
        entry = served.chosen(name)
        if entry.kind in ELSEWHERE:
            st.info(f"A {KINDS[entry.kind]}: the {ELSEWHERE[entry.kind]} page works with it, too.")
        if entry.kind == "question":
            st.code(entry.path.read_text(encoding="utf-8", errors="replace"), language="toml")
            return
        check_code(entry.path)
        with st.spinner("Reading"):
            sections = gather([entry.path])
        for number, part in enumerate(sections):
            show.title(part.title, part.subtitle, level=2)
            show.before_use(part.warnings)
            show.cards(part.cards, f"file-{number}")


def check_code(path: Path) -> None:
    """InputError for a fit whose law is a Python file of the user's: to load it would be to run it."""
    for file in [path / "fit.json", *path.glob("*/fit.json")] if path.is_dir() else []:
        try:
            own = json.loads(file.read_text(encoding="utf-8")).get("law_file")
        except (OSError, ValueError, AttributeError):
            continue
        if own is not None and not (file.parent / "fit.html").is_file():
            raise InputError(
                "is of a law from a Python file, which this page does not run",
                where=path.name,
                hint="Show it with isogloss report.",
            )


def _list(found: list[Found]) -> None:
    if not found:
        st.info("Nothing here that isogloss knows: no question, table of runs, study, fit, transfer or saved answer.")
        return
    import polars as pl

    from isogloss.report.card import Card

    table = pl.DataFrame({"What": [KINDS[f.kind] for f in found], "Name": [f.name for f in found]})
    show.show(Card("files", "Found", f"{len(found)} of your own.", table=table), "files")
