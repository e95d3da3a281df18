"""isogloss: plan multilingual language models from measured scaling laws.

Names load on first use: `import isogloss` loads neither JAX nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isogloss.display import draw_with as _draw_with

if TYPE_CHECKING:
    from isogloss import datasets as datasets
    from isogloss.errors import FitError as FitError
    from isogloss.errors import InputError as InputError
    from isogloss.errors import PlanError as PlanError
    from isogloss.fitting import Comparison as Comparison
    from isogloss.fitting import Fit as Fit
    from isogloss.fitting import LanguageFits as LanguageFits
    from isogloss.fitting import compare as compare
    from isogloss.fitting import fit as fit
    from isogloss.fitting import fit_languages as fit_languages
    from isogloss.fitting import load_fit as load_fit
    from isogloss.fitting import load_languages as load_languages
    from isogloss.laws import Law as Law
    from isogloss.laws import check_law as check_law
    from isogloss.laws import coefficient as coefficient
    from isogloss.laws import get_law as get_law
    from isogloss.planning import Beside as Beside
    from isogloss.planning import Checkpoint as Checkpoint
    from isogloss.planning import Crossover as Crossover
    from isogloss.planning import Design as Design
    from isogloss.planning import Expansion as Expansion
    from isogloss.planning import FullExpansion as FullExpansion
    from isogloss.planning import GivenPlan as GivenPlan
    from isogloss.planning import Marginal as Marginal
    from isogloss.planning import Plan as Plan
    from isogloss.planning import Question as Question
    from isogloss.planning import beside as beside
    from isogloss.planning import checkpoints as checkpoints
    from isogloss.planning import crossover as crossover
    from isogloss.planning import design as design
    from isogloss.planning import evaluate_given as evaluate_given
    from isogloss.planning import expand as expand
    from isogloss.planning import expand_question as expand_question
    from isogloss.planning import marginal as marginal
    from isogloss.planning import plan as plan
    from isogloss.planning import read_question as read_question
    from isogloss.planning import transfer_importance as transfer_importance
    from isogloss.runs import RunSpec as RunSpec
    from isogloss.runs import RunTable as RunTable
    from isogloss.runs import lint as lint
    from isogloss.runs import read_runs as read_runs
    from isogloss.transfer import TransferMatrix as TransferMatrix

__version__ = "0.1.0"

_HOMES = {
    "errors": ("FitError", "InputError", "PlanError"),
    "fitting": ("Comparison", "Fit", "LanguageFits", "compare", "fit", "fit_languages", "load_fit", "load_languages"),
    "laws": ("Law", "check_law", "coefficient", "get_law"),
    "planning": (
        "Beside",
        "Checkpoint",
        "Crossover",
        "Design",
        "Expansion",
        "FullExpansion",
        "GivenPlan",
        "Marginal",
        "Plan",
        "Question",
        "beside",
        "checkpoints",
        "crossover",
        "design",
        "evaluate_given",
        "expand",
        "expand_question",
        "marginal",
        "plan",
        "read_question",
        "transfer_importance",
    ),
    "runs": ("RunSpec", "RunTable", "lint", "read_runs"),
    "transfer": ("TransferMatrix",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("datasets",)


def _drawn(answer: Any) -> dict[str, Any]:
    from isogloss.report.notebook import answer_bundle

    return answer_bundle(answer)


# Answers stand below the report that draws them, and may not know it.
_draw_with(_drawn)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"isogloss.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'isogloss' has no attribute {name!r}")
    value = getattr(import_module(f"isogloss.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
