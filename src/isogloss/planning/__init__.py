"""Size, data and mixture for a budget."""

from isogloss.planning.answer import Alternative, Plan
from isogloss.planning.expand import Expansion, expand
from isogloss.planning.plan import plan
from isogloss.planning.question import Question, read_question
from isogloss.planning.uncertainty import Interval, Uncertainty

__all__ = [
    "Alternative",
    "Expansion",
    "Interval",
    "Plan",
    "Question",
    "Uncertainty",
    "expand",
    "plan",
    "read_question",
]
