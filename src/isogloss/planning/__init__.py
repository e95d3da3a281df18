"""Size, data and mixture for a budget."""

from isogloss.planning.expand import Expansion, expand
from isogloss.planning.plan import Alternative, Plan, plan
from isogloss.planning.question import Question, read_question

__all__ = ["Alternative", "Expansion", "Plan", "Question", "expand", "plan", "read_question"]
