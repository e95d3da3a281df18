"""Rules about which rows a fit uses, as weights: outliers left out or put back, and ranges of compute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isogloss.errors import InputError
from isogloss.fitting.rows import Rows
from isogloss.runs import RunTable

# Shares of the rows that are left out for their high loss: 2 % are the 5 of Chinchilla's 245 points that
# Besiroglu et al. 2024 (arXiv:2404.10102) leave out.
HIGHEST = (0.02, 0.05)
# Distances from the fit beyond which rows are left out, in scaled median absolute deviations.
DEVIATIONS = (3.0, 5.0)
# A median absolute deviation of Gaussian errors is their standard deviation divided by this.
GAUSSIAN = 1.4826
# Quantiles of compute at which ranges end, from below and from above.
BELOW, ABOVE = (0.8, 0.5), (0.2, 0.5)


@dataclass(frozen=True)
class Rule:
    kind: str
    name: str
    weights: np.ndarray


def row_rules(every: Rows, used: np.ndarray, residual: np.ndarray, table: RunTable) -> list[Rule]:
    """Rows put back that a condition left out, and rows left out for their loss or their distance from the fit.

    `used` `(rows,)` marks the rows of the fit as made among `every` row, `residual` is what it leaves there.
    """
    rules = [Rule("rows", name, weights) for name, weights in _put_back(every, used, table)]
    order = np.argsort(-np.where(used > 0, every.loss, -np.inf), kind="stable")
    for share in HIGHEST:
        count = max(1, round(share * used.sum()))
        weights = used.copy()
        weights[order[:count]] = 0
        rules.append(Rule("rows", f"without the {_rows(count)} of highest loss", weights))
    middle = np.median(residual[used > 0])
    scale = GAUSSIAN * np.median(np.abs(residual[used > 0] - middle))
    for deviations in DEVIATIONS:
        weights = used * (np.abs(residual - middle) <= deviations * scale)
        left = int(used.sum() - weights.sum())
        rules.append(Rule("rows", f"without {_rows(left)} off by over {deviations:g} MAD", weights))
    return _distinct(rules, used)


def range_rules(every: Rows, used: np.ndarray, whole: RunTable) -> list[Rule]:
    """The fit's rows below, and above, some budgets of compute."""
    try:
        compute = dict(zip(whole.frame["row"].to_list(), whole.compute()[0], strict=True))
    except InputError:
        return []
    C = np.array([compute[n] for n in every.number.tolist()])
    seen = C[used > 0]
    if not (np.isfinite(seen).all() and (seen > 0).all()):
        return []
    rules = []
    for quantile in BELOW:
        cut = _round(np.quantile(seen, quantile))
        rules.append(Rule("range", f"only C < {cut:.0e}".replace("e+", "e"), used * (cut > C)))
    for quantile in ABOVE:
        cut = _round(np.quantile(seen, quantile))
        rules.append(Rule("range", f"only C ≥ {cut:.0e}".replace("e+", "e"), used * (cut <= C)))
    return _distinct(rules, used)


def _put_back(every: Rows, used: np.ndarray, table: RunTable) -> Iterable[tuple[str, np.ndarray]]:
    groups = defaultdict(set)
    for left in table.left_out:
        groups[left.reason].add(left.row)
    for reason, rows in groups.items():
        back = np.isin(every.number, list(rows)) & (used == 0)
        if back.any():
            yield f"with the {_rows(int(back.sum()))} left out by {reason.removeprefix('where ')}", used + back


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _round(number: float) -> float:
    """To 1, 2 or 5 times a power of ten, as one would choose a cut."""
    power = 10.0 ** np.floor(np.log10(number))
    return float(min((d * power for d in (1, 2, 5, 10)), key=lambda cut: abs(np.log(cut / number))))


def _distinct(rules: Iterable[Rule], used: np.ndarray) -> list[Rule]:
    """Those that change which rows are used and leave some, each set of rows once."""
    kept: dict[bytes, Rule] = {}
    for rule in rules:
        if rule.weights.any() and not np.array_equal(rule.weights, used):
            kept.setdefault(rule.weights.tobytes(), rule)
    return list(kept.values())
