"""Crossover: scratch, or continue a checkpoint, and the compute at which the answer changes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

from isogloss.planning import Crossover, checkpoints, crossover
from isogloss.report import section
from isogloss.report.words import quantity
from isogloss.web import choices, show
from isogloss.web.links import Reader, amount, codes
from isogloss.web.state import keep, open_page

LANGUAGE, PARAMS, FLOPS = "ekk_Latn", 2e9, 1e22
LEAST_N, MOST_N = 1e7, 1e12
# Draws of a fixed seed: as many as intervals need that are read to two digits.
DRAWS = 1000
NONE = ""


@lru_cache(maxsize=64)
def answered(language: str, params: float, flops: float, checkpoint: str) -> Crossover:
    return crossover(language, params=params, flops=flops, checkpoint=checkpoint or None, draws=DRAWS)


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them."""
    return {
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
        own = memory["crossover language"]
        options = choices.all_codes() if own in choices.all_codes() else (*choices.all_codes(), own)
        language = choices.language("Language", "crossover language", options)
        sizes = [float(f"{n:.2g}") for n in np.geomspace(LEAST_N, 1e11, 41)]
        steps = sorted({*sizes, float(memory["crossover params"])})
        params = float(st.select_slider("Parameters of the model", steps, key="crossover params", format_func=quantity))
        flops = choices.compute("Budget, training FLOPs", "crossover flops", float(memory["crossover flops"]))
        st.caption(choices.hours(flops))
        names = [NONE, *(c.name for c in checkpoints())]
        checkpoint = st.selectbox(
            "Checkpoint", names, key="crossover checkpoint", format_func=lambda n: n or "any multilingual one"
        )
    show.notes(said_of_link)
    values = {
        "crossover language": language,
        "crossover params": params,
        "crossover flops": flops,
        "crossover checkpoint": checkpoint,
    }
    link = {"l": codes([language]), "n": amount(params), "c": amount(flops), "from": checkpoint}
    keep("crossover", values, link)
    with show.telling():
        found = section(answered(language, params, flops, checkpoint))
        show.before_use(found.warnings)
        show.cards(found.cards, "crossover")
