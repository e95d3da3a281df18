"""The other count of parameters and the other laws, as choices: each is a fit of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.errors import FitError, InputError
from isogloss.fitting.choices import Choice
from isogloss.fitting.optimum import ALONE, Count, Optimum, optimum_of
from isogloss.fitting.rows import rows_for
from isogloss.laws import law_classes
from isogloss.laws.base import Law
from isogloss.runs import RunTable

if TYPE_CHECKING:
    from isogloss.fitting.result import Fit

FRONTIER = ("A", "alpha", "B", "beta")

Refit = Callable[..., "Fit"]


def other_fits(answer: Fit, table: RunTable, C: float, main: Optimum, refit: Refit) -> tuple[list[Choice], list[str]]:
    """The other count of parameters, where the table has both, and every other law that it has columns for."""
    out, lacking = [], []
    other = "non_embedding" if answer.params == "total" else "total"
    if f"params_{other}" in table.frame.columns:
        convert = _counted(table, other, answer.params)
        out.append(
            _refitted(
                "parameters", f"N counts {other.replace('_', '-')} parameters", C, main, convert, refit, params=other
            )
        )
    for name, law in law_classes().items():
        if law is type(answer.law) or not _comparable(law, table):
            continue
        try:
            rows_for(law, table, params=answer.params)  # type: ignore[arg-type]  # one of the two counts
        except InputError:
            lacking.append(name)
            continue
        out.append(_refitted("law", name, C, main, None, refit, law=law))
    return out, [f"laws for which the table has no columns: {', '.join(lacking)}."] if lacking else []


def _comparable(law: type[Law], table: RunTable) -> bool:
    """Whether a law has a compute-optimal point, and is not of mixtures where the table has none."""
    if not {"N"} <= set(law.columns) <= ALONE or not {"D", "D_target"} & set(law.columns):
        return False
    return bool(table.languages) or not {"D_target", "K", "p"} & set(law.columns)


def _refitted(
    kind: str, name: str, C: float, main: Optimum, convert: Count | None, refit: Refit, **options: Any
) -> Choice:
    try:
        fitted = refit(**options)
    except (InputError, FitError) as problem:
        return Choice(kind, name, 0, why_not=str(problem).splitlines()[0])
    if fitted.health.undetermined:
        return Choice(
            kind, name, fitted.rows.height, why_not=f"no row depends on {', '.join(fitted.health.undetermined)}"
        )
    lost = [n for n in FRONTIER if n in fitted.health.entangled]
    if lost:
        return Choice(kind, name, fitted.rows.height, why_not=f"its rows cannot tell {' and '.join(lost)} apart")
    found = optimum_of(fitted.layout, fitted.values, C, at=main, count=convert)
    if found is None:
        return Choice(kind, name, fitted.rows.height, why_not="it has no optimum within reason")
    values = fitted.layout.named(fitted.values)
    return Choice(kind, name, fitted.rows.height, found.N, found.D, found.loss, found.loss_at, coefficients=values)


def _counted(table: RunTable, to: str, of: str) -> Callable[[np.ndarray], np.ndarray]:
    """The count `to` of models given by their count `of`, by a power law of the two counts' difference."""
    given, wanted = (table.frame[f"params_{w}"].cast(float).to_numpy() for w in (of, to))
    both = np.isfinite(given) & np.isfinite(wanted) & (given != wanted)
    if not both.any():
        return lambda N: N
    sign = float(np.sign((wanted - given)[both].mean()))
    rest = np.log(np.maximum(sign * (wanted - given)[both], 1.0))
    varied = np.ptp(np.log(given[both])) > 0
    slope, level = (
        np.polyfit(np.log(given[both]), rest, 1) if varied else (1.0, float((rest - np.log(given[both])).mean()))
    )
    return lambda N: np.maximum(N + sign * np.exp(level + slope * np.log(N)), 1e-3 * N)
