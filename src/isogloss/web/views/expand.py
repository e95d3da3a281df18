"""Expand: what more languages cost, by the K law or in a plan of your own."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import lru_cache
from typing import Any

import streamlit as st

from isogloss.errors import InputError
from isogloss.planning import Expansion, FullExpansion, expand, expand_question
from isogloss.report import section
from isogloss.web import choices, served, show
from isogloss.web.bases import FIRST, bases, question_of
from isogloss.web.factors import curve_card
from isogloss.web.links import Reader, amount, codes
from isogloss.web.questions import asked, controls_of, grounded, text_of
from isogloss.web.state import keep, open_page

WAYS = {"question": "These languages, in a plan", "factor": "So many times as many, by the K law"}
ATS = {"loss": "equal loss", "compute": "equal compute"}
MOST_K = 400
MOST_ADDED = 10
ADDED = ("pol_Latn", "swe_Latn")
DRAWS = 60


@lru_cache(maxsize=32)
def expanded(text: str, add: tuple[str, ...], draws: int) -> FullExpansion:
    return expand_question(tomllib.loads(text), list(add), draws=draws)


@lru_cache(maxsize=32)
def factors(before: int, after: int, at: str) -> Expansion:
    return expand(after / before, at=at, K=before)  # type: ignore[arg-type]


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them."""
    name = link.one_of("from", list(bases()), FIRST)
    was = controls_of(*question_of(name))
    return {
        "expand way": link.one_of("way", list(WAYS), "question"),
        "expand base": name,
        "expand add": list(link.languages("add", ADDED if name == FIRST else (), MOST_ADDED)),
        "expand flops": link.number("c", was.flops, choices.LEAST_FLOPS, choices.MOST_FLOPS) if was.flops else None,
        "expand before": int(link.number("k", 10, 1, MOST_K) or 10),
        "expand after": int(link.number("to", 20, 1, MOST_K) or 20),
        "expand at": link.one_of("at", list(ATS), "loss"),
        "expand intervals": link.flag("i", False),
    }


def page() -> None:
    said_of_link = open_page("expand", read)
    show.title("Expand", "What more languages take at equal loss, and cost at equal compute.")
    with st.sidebar:
        way = choices.pick("Add", "expand way", WAYS)
        ask = _factor if way == "factor" else _question
        work = ask()
    show.notes(said_of_link)
    _keep()
    with show.telling():
        answer = work()
        found = section(answer)
        show.before_use(found.warnings)
        memory = st.session_state
        shown = (
            [curve_card(answer, memory["expand before"], memory["expand after"])]
            if isinstance(answer, Expansion)
            else found.cards
        )
        show.cards(shown, f"expand-{way}")


def _factor() -> Any:
    before = st.slider("Languages now", 1, 100, key="expand before")
    after = st.slider("Languages then", 1, MOST_K, key="expand after")
    at = choices.pick("At", "expand at", ATS)
    return lambda: factors(before, after, at)


def _question() -> Any:
    memory = st.session_state
    name = choices.pick("To the question", "expand base", bases(), on_change=_started)
    add = tuple(choices.languages("Languages to add", "expand add", most=MOST_ADDED))
    flops = memory["expand flops"]
    if flops:
        flops = choices.compute("Budget, training FLOPs", "expand flops", float(flops))
        st.caption(choices.hours(flops))
    intervals = st.toggle("Intervals", key="expand intervals", help="From draws of laws and transfer weights: slower.")

    def work() -> FullExpansion:
        if not add:
            raise InputError("no language to add", hint="Choose one in the sidebar.")
        base, question = question_of(name)
        was = controls_of(base, question)
        now = asked(base, was if flops is None else replace(was, flops=flops))
        with st.spinner("Planning with and without them"):
            return expanded(text_of(grounded(now, served.folder_of(name))), add, DRAWS if intervals else 0)

    return work


def _started() -> None:
    """Another question has its own budget."""
    memory = st.session_state
    memory["expand flops"] = controls_of(*question_of(memory["expand base"])).flops
    memory["expand add"] = list(ADDED) if memory["expand base"] == FIRST else []


def _keep() -> None:
    memory = st.session_state
    names = ("way", "base", "add", "flops", "before", "after", "at", "intervals")
    kept: dict[str, Any] = memory["kept expand"]
    # Of the other way of asking there are no widgets now.
    values = {f"expand {n}": memory.get(f"expand {n}", kept.get(f"expand {n}")) for n in names}
    if values["expand way"] == "factor":
        link = {
            "way": "factor",
            "k": str(values["expand before"]),
            "to": str(values["expand after"]),
            "at": values["expand at"] if values["expand at"] != "loss" else None,
        }
    else:
        flops = values["expand flops"]
        link = {
            "from": values["expand base"] if values["expand base"] != FIRST else None,
            "add": codes(values["expand add"]),
            "c": amount(flops) if flops else None,
            "i": "1" if values["expand intervals"] else None,
        }
    keep("expand", values, link)
