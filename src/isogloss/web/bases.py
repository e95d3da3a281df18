"""The questions to start from: packaged ones, those of the served folder, and one that was uploaded."""

from __future__ import annotations

from typing import Any

import streamlit as st

from isogloss.planning.question import Question, read_question
from isogloss.web import served
from isogloss.web.questions import STARTS, grounded, parse, start

FIRST = "baltic"
UPLOADED = "upload"


def bases() -> dict[str, str]:
    """What each is called, by the name that a link says."""
    found = {entry.name: entry.name for entry in served.of_kind("question")}
    own = {UPLOADED: "Your uploaded question"} if UPLOADED in st.session_state else {}
    return {**{name: str(q["title"]) for name, q in STARTS.items()}, **found, **own}


def base_of(name: str) -> dict[str, Any]:
    """The question's tables. Raises InputError for a file that has become wrong."""
    if name in STARTS:
        return start(name)
    if name == UPLOADED:
        return st.session_state[UPLOADED]
    entry = served.chosen(name, "question")
    return parse(entry.path.read_bytes(), entry.name, entry.path)


def question_of(name: str) -> tuple[dict[str, Any], Question]:
    base = base_of(name)
    return base, read_question(grounded(base, served.folder_of(name)))
