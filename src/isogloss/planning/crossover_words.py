"""What a crossover recommends, in a sentence or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isogloss.planning.start import Crossing
from isogloss.units import format_quantity

if TYPE_CHECKING:
    from isogloss.planning.crossover import Crossover

# Beyond this many epochs repeated text is worth little (arXiv:2305.16264).
MANY_EPOCHS = 4.0
# From this part of the draws on, they are said to decide.
SURE = 0.9


def recommend(answer: Crossover) -> str:
    """Which way to start, at which compute that changes, and how sure that is."""
    name, crossing = answer.start, answer.crossing
    if crossing.status == "undecided":
        return "The runs cannot tell scratch and continuing apart in the range studied: their curves only touch."
    if crossing.status == "continue":
        ahead = _odds(float(np.isinf(crossing.draws).mean()))
        return f"Continue from {name}: it stays ahead up to ten times the tokens of the runs in {ahead} of the draws."
    if crossing.status == "scratch":
        ahead = _odds(float((crossing.draws == 0).mean()))
        return f"Train from scratch: it is ahead of continuing from {name} from the first in {ahead} of the draws."
    if crossing.status == "possible":
        return _not_established(name, crossing)
    interval = f"{_span(crossing)}, {100 * crossing.level:.0f} % interval"
    meets = f"{short_flops(crossing.C)} ({interval}; {_tokens(answer)} tokens)"
    beyond = ", past what was studied" if crossing.status == "beyond" else ""
    size = format_quantity(answer.params)
    where = f"For {size} parameters scratch overtakes continuing from {name} at about {meets}{beyond}"
    limit = answer.text_limit
    # The text runs out before the crossing or the budget: what was measured ends there.
    if limit is not None and limit < (answer.flops or crossing.C or 0.0) and answer.way("continue").curve is None:
        return f"{_where_text_ends(name, limit, crossing.continue_is_better(limit))} {where}, were there text enough."
    if answer.flops is None:
        return f"{where}: below it continue, above it train from scratch."
    better, budget = crossing.continue_is_better(answer.flops), short_flops(answer.flops)
    if better >= SURE:
        return f"Continue from {name} with {budget}: in {_odds(better)} of the draws it is ahead. {where}."
    if better <= 1 - SURE:
        return f"Train from scratch with {budget}: in {_odds(1 - better)} of the draws it is ahead. {where}."
    side = "continuing" if better >= 0.5 else "scratch"
    odds = _odds(max(better, 1 - better))
    return f"At {budget} the evidence does not decide: {side} is ahead in {odds} of the draws. {where}."


def _not_established(name: str, crossing: Crossing) -> str:
    about = f"scratch may overtake it at about {short_flops(crossing.C)}, or never: a law whose curves do not cross"
    reach = "" if crossing.low is None else f" up to {short_flops(crossing.low)}"
    return f"Continue from {name}{reach}; {about} describes the runs as well. Longer runs of both kinds would tell."


def _where_text_ends(name: str, limit: float, ahead: float) -> str:
    reach = f"{MANY_EPOCHS:.0f} epochs of the text end at {short_flops(limit)}"
    if ahead >= SURE:
        return f"Continue from {name}: {reach}, where it is ahead in {_odds(ahead)} of the draws."
    if ahead <= 1 - SURE:
        return f"Train from scratch: {reach}, where it is ahead in {_odds(1 - ahead)} of the draws."
    side = "continuing" if ahead >= 0.5 else "scratch"
    return f"The evidence leans to {side}: {reach}, where it is ahead in {_odds(max(ahead, 1 - ahead))} of the draws."


def _odds(part: float) -> str:
    return "over 99 %" if part > 0.99 else f"{100 * part:.0f} %"


def short_flops(value: float | None) -> str:
    return "no compute" if value is None else format_quantity(value, "flops", digits=2)


def _span(crossing: Crossing) -> str:
    low = "below all that was studied" if crossing.low is None else format_quantity(crossing.low, "flops", digits=2)
    high = "beyond all that was studied" if crossing.high is None else format_quantity(crossing.high, "flops", digits=2)
    return f"{low.removesuffix(' FLOPs')} to {high.removesuffix(' FLOPs')}"


def _tokens(answer: Crossover) -> str:
    return "" if answer.tokens is None else format_quantity(answer.tokens, digits=2)
