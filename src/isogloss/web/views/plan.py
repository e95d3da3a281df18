"""Plan: choose languages and a budget, and see size, tokens, mixture and losses at once.

The controls need no law: they are there before JAX is (`planned` loads it).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from isogloss.errors import InputError
from isogloss.web import choices, served, show
from isogloss.web.bases import FIRST, UPLOADED, base_of, bases, question_of
from isogloss.web.links import Reader, amount, codes, numbers
from isogloss.web.questions import (
    Controls,
    asked,
    check_languages,
    controls_of,
    grounded,
    parse,
    text_of,
)
from isogloss.web.state import keep, open_page
from isogloss.web.warming import ready

DRAWS = 60
# Seconds in which a new page's browser fetches and draws the controls: figures sent at once, and libraries loaded at
# once, would keep it from that for longer.
HEAD_START = 1.2
# Draws of more languages take too long to come unasked.
MANY = 40
AIMS = {"mean": "weighted mean", "worst": "worst language"}
MEASURES = {"loss": "loss", "normalised": "loss, relative to each language alone"}
TRANSFERS = {"predicted": "predicted, with intervals", "published": "published, as printed", "none": "none"}
MOST_WEIGHT, MOST_EPOCHS = 1_000.0, 1_000.0


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them."""
    base_name = link.one_of("from", list(bases()), FIRST)
    was = controls_of(*question_of(base_name))
    chosen = link.languages("l", was.languages)
    return widgets(
        base_name,
        Controls(
            languages=chosen,
            flops=link.number("c", was.flops, choices.LEAST_FLOPS, choices.MOST_FLOPS) if was.flops else None,
            max_epochs=link.number("e", was.max_epochs, 0.01, MOST_EPOCHS) or 4.0,
            weights=link.by_language("w", 0, MOST_WEIGHT) if "w" in link.values or "l" in link.values else was.weights,
            caps=link.by_language("cap", 0.01, MOST_EPOCHS) if "cap" in link.values or "l" in link.values else was.caps,
            measure=link.one_of("m", list(MEASURES), was.measure),
            aim=link.one_of("aim", list(AIMS), was.aim),
            transfer=link.one_of("t", list(TRANSFERS), was.transfer),
        ),
        link.flag("i", len(chosen) <= MANY),
    )


def widgets(base: str, controls: Controls, intervals: bool) -> dict[str, Any]:
    return {
        "plan base": base,
        "plan languages": list(controls.languages),
        "plan flops": controls.flops,
        "plan epochs": controls.max_epochs,
        "plan weights": dict(controls.weights),
        "plan caps": dict(controls.caps),
        "plan measure": controls.measure,
        "plan aim": controls.aim,
        "plan transfer": controls.transfer,
        "plan intervals": intervals,
    }


def page() -> None:
    memory = st.session_state
    said_of_link = open_page("plan", read)
    show.title("Plan", "How big a model, how many tokens, which languages in which proportion.")
    with st.sidebar:
        controls = _controls(base_of(memory["plan base"]))
    show.notes(said_of_link)
    base = base_of(memory["plan base"])
    intervals = bool(memory["plan intervals"])
    _keep(controls, intervals)
    if "plan seen" not in memory:
        memory["plan seen"] = True
        time.sleep(HEAD_START)
    # The controls can be used from here on.
    ready()
    from isogloss.web import planned as answer

    with show.telling():
        check_languages(controls.languages)
        question = asked(base, controls)
        text = text_of(grounded(question, served.folder_of(memory["plan base"])))
        place = st.empty()
        with show.telling():
            quick = _point(question)
            if quick:
                first = answer.planned(text, 0)
                with place.container():
                    answer.show_plan(first, text_of(question), waiting=intervals)
            if intervals or not quick:
                whole = answer.planned(text, DRAWS)
                with place.container():
                    answer.show_plan(whole, text_of(question), waiting=False)


def _point(question: Mapping[str, Any]) -> bool:
    """Whether it can be planned without draws."""
    return question.get("objective", {}).get("risk", "point") == "point"


def _keep(controls: Controls, intervals: bool) -> None:
    base = st.session_state["plan base"]
    link = {
        "from": base if base != FIRST else None,
        "l": codes(controls.languages),
        "c": amount(controls.flops) if controls.flops else None,
        "e": f"{controls.max_epochs:g}" if controls.max_epochs != 4 else None,
        "w": numbers(controls.weights),
        "cap": numbers(controls.caps),
        "m": controls.measure if controls.measure != "loss" else None,
        "aim": controls.aim if controls.aim != "mean" else None,
        "t": controls.transfer if controls.transfer != "predicted" else None,
        "i": None if intervals == (len(controls.languages) <= MANY) else str(int(intervals)),
    }
    keep("plan", widgets(base, controls, intervals), link)


def _controls(base: Mapping[str, Any]) -> Controls:
    memory = st.session_state
    choices.pick("Start from", "plan base", bases(), on_change=_started)
    chosen = choices.languages("Languages", "plan languages", extra=list(base["languages"]))
    now = memory["plan flops"]
    if now:
        budget = choices.compute("Budget, training FLOPs", "plan flops", float(now))
        st.caption(choices.hours(budget))
    else:
        budget = None
        st.caption("The question has a budget of its own kind (a loss to reach, or tokens to serve): it is kept.")
    epochs = st.number_input("Epochs at most", 0.01, MOST_EPOCHS, key="plan epochs", step=1.0, format="%g")
    with st.expander("Weights and epochs of single languages"):
        weights, caps = _by_language(chosen)
    with st.expander("What a good plan is"):
        choices.pick("Make small the", "plan aim", AIMS)
        choices.pick("Of each language's", "plan measure", MEASURES)
        own = memory["plan transfer"]
        choices.pick("Transfer", "plan transfer", {own: own, **TRANSFERS})
    st.toggle("Intervals", key="plan intervals", help="From draws of laws and transfer weights. The plan comes first.")
    _upload()
    return Controls(
        languages=tuple(chosen),
        flops=budget,
        max_epochs=float(epochs),
        weights=weights,
        caps=caps,
        measure=memory["plan measure"],
        aim=memory["plan aim"],
        transfer=memory["plan transfer"],
    )


def _by_language(chosen: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Weights that are not 1, and epoch caps of single languages."""
    memory = st.session_state
    weights = {c: w for c, w in memory["plan weights"].items() if c in chosen}
    caps = {c: w for c, w in memory["plan caps"].items() if c in chosen}
    if not chosen:
        return {}, {}
    st.caption("Weight 0: trained on only where it helps the others.")
    code = choices.language("Language", "plan one", chosen)
    left, right = st.columns(2)
    weight = left.number_input(
        "Weight", 0.0, MOST_WEIGHT, value=weights.get(code, 1.0), step=0.25, format="%g", key=f"plan weight {code}"
    )
    cap = right.number_input(
        "Epochs at most",
        0.0,
        MOST_EPOCHS,
        value=caps.get(code, 0.0),
        step=1.0,
        format="%g",
        key=f"plan cap {code}",
        help="0: as for all languages.",
    )
    weights = {**weights, code: float(weight or 0.0)}
    caps = {**caps, code: float(cap or 0.0)}
    memory["plan weights"] = weights = {c: w for c, w in weights.items() if w != 1}
    memory["plan caps"] = caps = {c: w for c, w in caps.items() if w > 0}
    if weights or caps:
        told = [f"{choices.named(c)}: weight {w:g}" for c, w in weights.items()]
        told += [f"{choices.named(c)}: {w:g} epochs" for c, w in caps.items()]
        st.caption(show.plain("; ".join(told)))
    return weights, caps


def _started() -> None:
    """Another question to start from: its own controls."""
    memory = st.session_state
    _take(memory["plan base"])


def _take(name: str) -> None:
    was = controls_of(*question_of(name))
    for key in [k for k in st.session_state if str(k).startswith(("plan weight ", "plan cap ", "plan one"))]:
        del st.session_state[key]
    for key, value in widgets(name, was, len(was.languages) <= MANY).items():
        st.session_state[key] = value


def _upload() -> None:
    file = st.file_uploader("Or your own question.toml", type=["toml"], key="plan file", on_change=_uploaded)
    problem = st.session_state.get("plan problem")
    if file is not None and problem is not None:
        st.error(problem, icon=":material/error:")


def _uploaded() -> None:
    memory = st.session_state
    file = memory["plan file"]
    memory["plan problem"] = None
    if file is None:
        return
    try:
        memory[UPLOADED] = parse(file.getvalue(), file.name)
        _take(UPLOADED)
    except InputError as error:
        memory["plan problem"] = show.said(error)
