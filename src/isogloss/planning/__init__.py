"""Size, data and mixture for a budget; growth in languages, ways to start, and the small runs that tell most."""

from isogloss.planning.answer import Alternative, Plan
from isogloss.planning.beside import Beside, beside
from isogloss.planning.checkpoints import Checkpoint, checkpoints, find_checkpoint
from isogloss.planning.criterion import Criterion
from isogloss.planning.crossover import Crossover, crossover
from isogloss.planning.design import design
from isogloss.planning.design_answer import Design
from isogloss.planning.evidence import Evidence
from isogloss.planning.expand import Expansion, expand
from isogloss.planning.expand_full import FullExpansion, expand_question
from isogloss.planning.given import GivenPlan, evaluate_given
from isogloss.planning.marginal import Marginal, marginal
from isogloss.planning.plan import plan
from isogloss.planning.question import Question, read_question
from isogloss.planning.sensitivity import transfer_importance
from isogloss.planning.uncertainty import Interval, Uncertainty

__all__ = [
    "Alternative",
    "Beside",
    "Checkpoint",
    "Criterion",
    "Crossover",
    "Design",
    "Evidence",
    "Expansion",
    "FullExpansion",
    "GivenPlan",
    "Interval",
    "Marginal",
    "Plan",
    "Question",
    "Uncertainty",
    "beside",
    "checkpoints",
    "crossover",
    "design",
    "evaluate_given",
    "expand",
    "expand_question",
    "find_checkpoint",
    "marginal",
    "plan",
    "read_question",
    "transfer_importance",
]
