"""compare: several laws on the same runs, each scored on rows that it never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from isogloss.errors import InputError, unknown_name
from isogloss.fitting.comparable import common_rows, forms_of, named_sources, prepared, usable_rows
from isogloss.fitting.comparison import Comparison
from isogloss.fitting.held_out import HeldOut, Setting, Sources, predict_held_out
from isogloss.fitting.languages import Across
from isogloss.fitting.objective import Objective, get_objective
from isogloss.fitting.scoring import scored
from isogloss.fitting.splits import SHARE, make_splits
from isogloss.laws.base import Law
from isogloss.laws.forms import Form
from isogloss.runs import RunTable
from isogloss.runs.table import Which

# Of fewer, no part can be held out.
LEAST_RUNS = 4


def compare(
    runs: RunTable | Any,
    laws: Sequence[Form | type[Law] | str] | None = None,
    *,
    splits: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    across: Across = "separate",
    sources: Sources = None,
    objective: Objective | str = "huber-log",
    params: Which | None = None,
    columns: Mapping[str, str] | None = None,
    share: float = SHARE,
    starts: int = 8,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Fit each of `laws` (default: all that the table has columns for) to a part of `runs` and score it on the rest.

    `splits` are names of isogloss.fitting.splits.SPLITS (default: all): "in-sample", "random" runs, the largest "N",
    "D" and "C", and unseen mixtures "M"; about `share` of the runs is held out. `across` is as in `fit_languages`.
    `sources` are ATLAS's transfer languages, one list for all targets or a list for each; by default each fit takes
    the three most co-sampled among the rows that it sees. The result is the same for the same `seed`.

    Raises InputError where no law can be compared, or no split be given.
    """
    if across not in get_args(Across):
        raise unknown_name("way to fit languages", across, get_args(Across), where="across")
    if starts < 1 or draws < 0 or not 0 < level < 1:
        raise InputError("starts must be at least 1, draws at least 0, and level between 0 and 1")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    cost = get_objective(objective) if isinstance(objective, str) else objective
    table = prepared(runs, targets)
    _check_runs(table)
    setting = Setting(cost, across, named_sources(sources, table), params, columns or {}, starts, seed, level)
    chosen = forms_of(laws)
    usable, laws_out = usable_rows(chosen, table, setting)
    if not usable:
        raise _none_left(laws_out, table.source)
    table, rows_out = common_rows(table, usable)
    given, not_given = make_splits(table, splits, share=share, params=params, seed=seed)
    if not given:
        why = "; ".join(f"{s.name}: {s.reason}" for s in not_given)
        raise InputError(f"no split can be given: {why}", where=table.source)
    held: dict[str, HeldOut] = {}
    total = len(given) * len(table.targets)
    for form in (f for f in chosen if f.name in usable):
        report = (lambda done, name=form.name: progress(name, min(done, total), total)) if progress else _unheard
        found = predict_held_out(form, table, given, setting, report)
        if found.predictions:
            held[form.name] = found
        else:
            laws_out[form.name] = _most_common(found.refused.values())
    if not held:
        raise _none_left(laws_out, table.source)
    if laws is None:
        held = dict(sorted(held.items(), key=lambda item: item[1].free))
    return scored(table, given, not_given, held, laws_out, rows_out, setting, draws, level)


def _check_runs(table: RunTable) -> None:
    """Held out and fitted, each needs runs."""
    ids = table.frame["run_id"].n_unique() if "run_id" in table.frame.columns else len(table)
    if ids < LEAST_RUNS:
        raise InputError(
            f"{ids} run{'s' * (ids != 1)} cannot be split into runs to fit and runs to predict",
            where=table.source,
            hint=f"Give {LEAST_RUNS} runs or more; if rows are runs of their own, give each a run_id.",
        )


def _unheard(done: int) -> None:
    pass


def _none_left(reasons: Mapping[str, str], source: str) -> InputError:
    shown = [f"{name}: {why}" for name, why in list(reasons.items())[:3]]
    more = f"; and {len(reasons) - 3} laws more" if len(reasons) > 3 else ""
    return InputError(f"no law can be compared: {'; '.join(shown)}{more}", where=source)


def _most_common(reasons: Iterable[str]) -> str:
    counted = Counter(reasons).most_common(1)
    return counted[0][0] if counted else "there is no held-out row that it could predict"
