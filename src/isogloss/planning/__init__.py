"""Size, data and mixture for a budget; growth in languages, ways to start, and the small runs that tell most.

Names load on first use: to read a question takes no law, and so neither JAX nor SciPy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.planning.answer import Alternative as Alternative
    from isogloss.planning.answer import Plan as Plan
    from isogloss.planning.beside import Beside as Beside
    from isogloss.planning.beside import beside as beside
    from isogloss.planning.checkpoints import Checkpoint as Checkpoint
    from isogloss.planning.checkpoints import checkpoints as checkpoints
    from isogloss.planning.checkpoints import find_checkpoint as find_checkpoint
    from isogloss.planning.criterion import Criterion as Criterion
    from isogloss.planning.crossover import Crossover as Crossover
    from isogloss.planning.crossover import crossover as crossover
    from isogloss.planning.design import design as design
    from isogloss.planning.design_answer import Design as Design
    from isogloss.planning.evidence import Evidence as Evidence
    from isogloss.planning.expand import Expansion as Expansion
    from isogloss.planning.expand import expand as expand
    from isogloss.planning.expand_full import FullExpansion as FullExpansion
    from isogloss.planning.expand_full import expand_question as expand_question
    from isogloss.planning.given import GivenPlan as GivenPlan
    from isogloss.planning.given import evaluate_given as evaluate_given
    from isogloss.planning.marginal import Marginal as Marginal
    from isogloss.planning.marginal import marginal as marginal
    from isogloss.planning.plan import plan as plan
    from isogloss.planning.question import Question as Question
    from isogloss.planning.question import read_question as read_question
    from isogloss.planning.sensitivity import transfer_importance as transfer_importance
    from isogloss.planning.uncertainty import Interval as Interval
    from isogloss.planning.uncertainty import Uncertainty as Uncertainty

_HOMES = {
    "answer": ("Alternative", "Plan"),
    "beside": ("Beside", "beside"),
    "checkpoints": ("Checkpoint", "checkpoints", "find_checkpoint"),
    "criterion": ("Criterion",),
    "crossover": ("Crossover", "crossover"),
    "design": ("design",),
    "design_answer": ("Design",),
    "evidence": ("Evidence",),
    "expand": ("Expansion", "expand"),
    "expand_full": ("FullExpansion", "expand_question"),
    "given": ("GivenPlan", "evaluate_given"),
    "marginal": ("Marginal", "marginal"),
    "plan": ("plan",),
    "question": ("Question", "read_question"),
    "sensitivity": ("transfer_importance",),
    "uncertainty": ("Interval", "Uncertainty"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


class _Package(ModuleType):
    """`plan`, `design` and others are functions here, and files of the same name: the function has the name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'isogloss.planning' has no attribute {name!r}")
    value = getattr(import_module(f"isogloss.planning.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
