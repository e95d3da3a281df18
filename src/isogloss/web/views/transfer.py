"""Transfer: which language helps which."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import polars as pl
import streamlit as st

from isogloss.errors import InputError
from isogloss.report.card import Card
from isogloss.report.transfer_pages import ATLAS, CAVEATS, matrix_cards
from isogloss.report.transfer_rows import Shown, shown_matrix, shown_prediction
from isogloss.report.transfers import heatmap_card, sources_card
from isogloss.transfer import TransferMatrix, predict, read_matrix
from isogloss.transfer.order import language_order
from isogloss.transfer.prediction import FEWEST_SCORES, Prediction, usable
from isogloss.transfer.source import PUBLISHED
from isogloss.web import choices, served, show
from isogloss.web.downloads import csv_of, file_name
from isogloss.web.helpers import pair_card, target_card
from isogloss.web.links import Reader, codes
from isogloss.web.settings import settings
from isogloss.web.state import keep, open_page

PREDICTED = "predicted"
WAYS = {PUBLISHED: "Published: ATLAS's 38 languages", PREDICTED: "Predicted: any languages"}
ORDERS = {"family": "family", "cluster": "alike scores", "name": "name"}
TARGET, SOURCE = "por_Latn", "spa_Latn"
MOST, MOST_PUBLIC = 400, 100


def most() -> int:
    return MOST_PUBLIC if settings().public else MOST


@lru_cache(maxsize=4)
def prediction_of(languages: tuple[str, ...]) -> Prediction:
    """From ATLAS's measured scores."""
    return predict(TransferMatrix.published(), languages)


@lru_cache(maxsize=4)
def matrix_of(path: str) -> TransferMatrix:
    return TransferMatrix.published() if path == PUBLISHED else read_matrix(path)


@lru_cache(maxsize=8)
def shown_of(path: str, order: str) -> tuple[Shown, Prediction | None]:
    """A matrix as it is, and our model of it where enough of it was measured."""
    matrix = matrix_of(path)
    enough = usable(matrix, 0.0).sum() >= FEWEST_SCORES
    model = predict(matrix) if enough and len(matrix.languages) > 1 else None
    return shown_matrix(matrix, language_order(matrix, order), model), model  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def shown_predicted(languages: tuple[str, ...], order: str) -> Shown:
    found = prediction_of(languages)
    return shown_prediction(found, language_order(found.matrix(), order))  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def tests_of(path: str) -> list[Card]:
    """Symmetry, script and family: the report's own cards."""
    return [c for c in matrix_cards(matrix_of(path), source=path) if c.id in ("symmetry", "effects")]


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them."""
    listed = TransferMatrix.published().languages
    return {
        "transfer way": link.one_of("from", list(ways()), PUBLISHED),
        "transfer languages": list(link.languages("l", listed, most())),
        "transfer target": next(iter(link.languages("target", (TARGET,), 1)), TARGET),
        "transfer source": next(iter(link.languages("source", (SOURCE,), 1)), SOURCE),
        "transfer order": link.one_of("order", list(ORDERS), "family"),
    }


def ways() -> dict[str, str]:
    return {**WAYS, **{entry.name: entry.name for entry in served.of_kind("transfer")}}


def page() -> None:
    memory = st.session_state
    said_of_link = open_page("transfer", read)
    show.title("Transfer", "Which language helps which, how sure that is, and on what it rests.")
    with st.sidebar:
        way = choices.pick("Scores", "transfer way", ways())
        chosen = tuple(memory["transfer languages"])
        if way == PREDICTED:
            chosen = tuple(choices.languages("Languages", "transfer languages", most=most()))
        order = choices.pick("Order of the matrix", "transfer order", ORDERS)
    show.notes(said_of_link)
    with show.telling():
        shown, model, path = _scores(way, chosen, order)
        target, source = _pair(shown)
        _keep(way, chosen, target, source, order)
        show.show(target_card(shown, target), "target")
        show.show(pair_card(shown, target, source, model), "pair")
        published = path == PUBLISHED
        origin = (
            ATLAS if published else "Predicted from ATLAS's measured scores" if path is None else f"Scores of {way}"
        )
        show.show(heatmap_card(shown, origin=origin, caveats=CAVEATS if published else ()), "matrix")
        _download(shown)
        show.show(sources_card(shown), "sources")
        if path is not None and st.toggle("Test symmetry, script and family", key="transfer tests"):
            with st.spinner("Testing over permutations of the languages"):
                found = tests_of(path)
            show.cards(found, "tests")


def frame_of(shown: Shown) -> pl.DataFrame:
    """Every score, one row per pair, as `isogloss transfer` reads it."""
    return pl.DataFrame(
        {
            "target": [r.target for r in shown.rows],
            "source": [r.source for r in shown.rows],
            "bts": [r.bts for r in shown.rows],
            "low": [r.span[0] if r.span else None for r in shown.rows],
            "high": [r.span[1] if r.span else None for r in shown.rows],
            "kind": [r.kind for r in shown.rows],
        },
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )


def _scores(way: str, chosen: tuple[str, ...], order: str) -> tuple[Shown, Prediction | None, str | None]:
    if way == PREDICTED:
        if len(chosen) < 2:
            raise InputError("pairs need two languages", hint="Choose at least two.")
        with st.spinner(f"Predicting {len(chosen) * (len(chosen) - 1):,} scores"):
            return shown_predicted(chosen, order), prediction_of(chosen), None
    path = PUBLISHED if way == PUBLISHED else str(served.chosen(way, "transfer").path)
    with st.spinner("Reading the matrix"):
        shown, model = shown_of(path, order)
    if not shown.rows:
        raise InputError("holds no score", where=way)
    return shown, model, path


def _pair(shown: Shown) -> tuple[str, str]:
    memory = st.session_state
    targets = shown.targets()
    left, right = st.columns(2)
    if memory["transfer target"] not in targets:
        memory["transfer target"] = targets[0]
    with left:
        target = choices.language("Target: the language to be helped", "transfer target", targets)
    sources = [r.source for r in shown.of_target(target)]
    if memory["transfer source"] not in sources:
        memory["transfer source"] = sources[0]
    with right:
        source = choices.language("Source: the language that helps, or harms", "transfer source", sources)
    return target, source


def _keep(way: str, chosen: tuple[str, ...], target: str, source: str, order: str) -> None:
    memory = st.session_state
    names = ("way", "languages", "target", "source", "order")
    link = {
        "from": way if way != PUBLISHED else None,
        "l": codes(chosen) if way == PREDICTED else None,
        "target": codes([target]),
        "source": codes([source]),
        "order": order if order != "family" else None,
    }
    values = {f"transfer {name}": memory.get(f"transfer {name}") for name in names}
    keep("transfer", {**values, "transfer languages": list(chosen)}, link)


def _download(shown: Shown) -> None:
    st.download_button(
        f"All {len(shown.rows):,} scores (CSV)",
        lambda: csv_of(frame_of(shown)),
        file_name("transfer scores", ".csv"),
        "text/csv",
        key="transfer-all",
        on_click="ignore",
    )
