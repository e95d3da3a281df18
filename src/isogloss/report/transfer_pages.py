"""Which cards make the page of a matrix, of measured transfer, and of a prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from isogloss.errors import InputError
from isogloss.report.card import Card
from isogloss.report.transfer_fitted import agreement_card, fitted_card
from isogloss.report.transfer_measured import measured_cards
from isogloss.report.transfer_rows import shown_matrix, shown_prediction
from isogloss.report.transfers import (
    effects_card,
    heatmap_card,
    helpers_card,
    sources_card,
    suggestions_card,
    symmetry_card,
    validation_card,
)
from isogloss.transfer.order import Order, language_order
from isogloss.transfer.prediction import FEWEST_SCORES, Prediction, predict, usable
from isogloss.transfer.relatedness import Effects, effects
from isogloss.transfer.source import PUBLISHED

if TYPE_CHECKING:
    import polars as pl

    from isogloss.transfer import TransferMatrix
    from isogloss.transfer.joint import FittedTransfer
    from isogloss.transfer.measured import MeasuredTransfer
    from isogloss.transfer.pair import PairTransfer, Per
    from isogloss.transfer.validation import Validation

ATLAS = "ATLAS, figure C.2 (arXiv:2510.22037): 2B parameters, 42B tokens, printed to one decimal"
CAVEATS = (
    "Outlined cells are measured; all others are predictions of ATLAS's random forest.",
    "The paper calls the scores normalised and does not say how.",
)
SUGGESTED = 10
MOST_SUGGESTED = 150


def matrix_cards(matrix: TransferMatrix, *, source: str, order: Order = "family", seed: int = 0) -> list[Card]:
    """A matrix as it is; where enough of it was measured, our own model of it stands beside, with its intervals."""
    enough = usable(matrix, 0.0).sum() >= FEWEST_SCORES
    model = predict(matrix, seed=seed) if enough else None
    shown = shown_matrix(matrix, language_order(matrix, order), model)
    published = source == PUBLISHED
    origin = ATLAS if published else f"Scores of {source}"
    return [
        heatmap_card(shown, origin=origin, caveats=CAVEATS if published else ()),
        helpers_card(shown),
        sources_card(shown, matrix.top_sources()),
        symmetry_card(shown),
        effects_card(shown, _effects(matrix, seed)),
    ]


def scores_cards(matrix: TransferMatrix) -> list[Card]:
    """The scores alone, at once: neither a model nor tests of them."""
    shown = shown_matrix(matrix, language_order(matrix))
    return [heatmap_card(shown, origin="Scores as they are"), helpers_card(shown), symmetry_card(shown)]


def prediction_cards(
    found: Prediction, evidence: TransferMatrix, *, source: str, judged: Validation | None = None
) -> list[Card]:
    """All pairs with their intervals, how far to trust them, and what to measure next."""
    from isogloss.transfer.suggestion import suggest

    matrix = found.matrix()
    shown = shown_prediction(found, language_order(matrix))
    origin = f"Predicted from {int(usable(evidence, 0.0).sum()):,} measured scores" + (
        "" if source == PUBLISHED else f", of {source} and ATLAS's figure C.2"
    )
    if len(found.languages) > MOST_SUGGESTED:
        # The gain of each pair is weighed against all others: of 400 languages that takes many minutes.
        next_runs = Card(
            "suggestions",
            "What to measure next",
            f"Not computed for more than {MOST_SUGGESTED} languages: give `isogloss transfer suggest` those that "
            "matter most (--languages).",
        )
    else:
        next_runs = suggestions_card(suggest(found, count=SUGGESTED), "all these scores")
    judgement = [validation_card(judged)] if judged else []
    # Predictions were made with script and family: to test these on them would go in a circle.
    return [
        heatmap_card(shown, origin=origin),
        helpers_card(shown),
        sources_card(shown),
        *judgement,
        next_runs,
    ]


def measured_page(measured: MeasuredTransfer, anchor: float | None = None, per: Per = "token") -> list[Card]:
    """Curves and refusals, and the matrix where every pair was measured once."""
    cards = measured_cards(measured, per)
    try:
        matrix = measured.matrix(anchor, per)
    except InputError:
        # Several cells of one pair, or nothing measured: the curves' table holds all there is.
        return cards
    shown = shown_matrix(matrix, language_order(matrix), level=measured.level)
    # The intervals of the curves below, which are wider on the side of harm: not those of a standard error.
    at = {(p.target, p.source): p.at(anchor, per=per) for p in measured.pairs if _reaches(p, anchor)}
    own = [(r, at[r.target, r.source]) for r in shown.rows]
    shown = replace(shown, rows=tuple(replace(r, low=score.bts_low, high=score.bts_high) for r, score in own))
    curves, *refused = cards
    whole = heatmap_card(shown, origin=f"Measured from {measured.source}, loss in {measured.unit}, per {per}")
    return [whole, curves, helpers_card(shown), symmetry_card(shown), *refused]


def _reaches(pair: PairTransfer, anchor: float | None) -> bool:
    return anchor is None or bool(pair.anchors[0] <= anchor <= pair.anchors[-1])


def fitted_cards(found: FittedTransfer, compared: pl.DataFrame | None = None) -> list[Card]:
    """Weights of a joint fit, and those that were measured too beside."""
    cards = [fitted_card(found), *([agreement_card(compared)] if compared is not None else [])]
    try:
        matrix = found.matrix()
    except InputError:
        # Sources that are not languages have weights, and no place in a matrix of languages.
        return cards
    if not matrix.present().any():
        return cards
    shown = shown_matrix(matrix, language_order(matrix), level=found.level)
    return [*cards, heatmap_card(shown, origin="BTS of the fitted weights"), helpers_card(shown)]


def _effects(matrix: TransferMatrix, seed: int) -> Effects | str:
    try:
        return effects(matrix, seed=seed)
    except InputError as error:
        return f"{error.what}."
