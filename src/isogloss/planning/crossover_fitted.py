"""Where scratch overtakes continuing, fitted to own runs of both kinds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import FitError, InputError, unknown_name
from isogloss.fitting import Fit, fit
from isogloss.fitting.columns import FROM_SCRATCH
from isogloss.fitting.frontier import evaluate
from isogloss.numerics import jnp
from isogloss.planning.crossover_law import ScratchOrContinued, ScratchOrContinuedOneSize
from isogloss.planning.kinds import Evidence
from isogloss.planning.start import Crossing, LossCurve, Status, quantiles
from isogloss.runs import RunTable, read_runs
from isogloss.units import format_quantity

# How far past the longest run a crossing is looked for.
BEYOND = 10.0
POINTS = 240
CURVE_POINTS = 60
# Fewer runs of a kind than this tell its coefficients too nearly alone for their own residuals to say how they err.
FEWEST_ALONE = 8
# Draws of limits of their own, below which they say nothing.
FEWEST_DRAWS = 20
# Sums of the objective this near to each other describe the runs alike.
ALIKE = 1.1


@dataclass(frozen=True)
class FittedCrossing:
    crossing: Crossing
    scratch: LossCurve
    continued: LossCurve
    N: float
    init: str
    """The checkpoint that the runs continue from."""
    studied: tuple[float, float]
    """Range of C in FLOPs in which runs of both kinds are."""
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Both:
    """Losses of both ways on a grid of D `(points,)`: of the fit `(points,)` and of its draws `(draws, points)`."""

    D: np.ndarray
    scratch: np.ndarray
    continued: np.ndarray
    scratch_draws: np.ndarray
    continued_draws: np.ndarray


def fitted_crossing(
    code: str,
    runs: Any,
    *,
    N: float | None,
    init: str | None,
    where: str | Sequence[str],
    level: float,
    draws: int,
    seed: int,
) -> FittedCrossing:
    """The crossing of curves fitted to runs from scratch (`init` null) and continued ones, at `N` parameters.

    `init` chooses the checkpoint where runs start from several. Both ways share the limit E; half of the draws behind
    the interval let each have its own. Raises InputError for a table without both kinds, and for
    kinds that cannot be compared: other tokenizers per token, other learning-rate phases.
    """
    table, init = both_kinds(read_runs(runs, where=where), code, init)
    sizes = table.params()[0]
    one_size = float(sizes.max() / sizes.min()) < 1.02
    N = float(sizes.max()) if N is None else N
    options = {"intervals": _intervals(table), "draws": draws, "level": level, "seed": seed}
    law = ScratchOrContinuedOneSize if one_size else ScratchOrContinued
    shared = fit(law, table, **options)
    D, studied_D = _grid(table)
    both = _evaluate(shared, D, N)
    found = _meeting(both.D, both.scratch_draws - both.continued_draws)
    middle = float(_meeting(both.D, (both.scratch - both.continued)[None])[0])
    own, notes = _own_limits(law, table, options, D, N)
    studied = (6 * N * studied_D[0], 6 * N * studied_D[1])
    crossing = _crossing(both, found, middle, own, studied_D, N, level)
    transfer = _data_transfer(one_size, table, options, shared) if crossing.status in ("crosses", "beyond") else []
    if transfer:
        crossing = _with_never(crossing, len(found))
    made = f"{shared.intervals}, {len(shared.draws)} draws"
    how = f"{shared.rows.height} rows of {table.source}, {shared.law.name} ({made})"
    evidence = [
        Evidence("crossing", "measured", f"fitted to {how}; both ways share the limit E = {_value(shared, 'E'):.4g}"),
        Evidence("crossing.init", "measured", f"runs that continue from {init}"),
    ]
    warnings = [*shared.warnings, *notes, *transfer, *_outside(N, sizes, one_size)]
    return FittedCrossing(
        crossing=crossing,
        scratch=_curve(both, both.scratch, both.scratch_draws, N, shared),
        continued=_curve(both, both.continued, both.continued_draws, N, shared),
        N=N,
        init=init,
        studied=studied,
        evidence=tuple(evidence),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def both_kinds(table: RunTable, code: str, init: str | None) -> tuple[RunTable, str]:
    """The rows of the language that start from nothing or from one checkpoint, and which that is.

    Raises InputError for a table without the language or without both kinds, and for kinds that do not compare.
    """
    if table.targets:
        table = table.for_target(code)
    if "init" not in table.frame.columns:
        raise InputError(
            "no run says that it continues: column init is empty or not there",
            where=table.source,
            hint="Fill it: the checkpoint's name for runs continued, empty for runs from scratch.",
        )
    said, scratch = table.frame["init"].cast(pl.String), pl.Series(_from_scratch(table))
    names = said.filter(~scratch).unique(maintain_order=True).to_list()
    if not names or not scratch.any():
        only = listed if (listed := ", ".join(names)) else "scratch"
        raise InputError(
            f"both kinds of run are needed, and all start from {only}",
            where=f"{table.source}, column 'init'",
            hint="Add runs of the other kind at three or more token counts.",
        )
    if init is not None and init not in names:
        raise unknown_name("checkpoint", init, names, where=f"{table.source}, column 'init'")
    if init is None and len(names) > 1:
        raise InputError(
            f"runs continue from {len(names)} checkpoints: {', '.join(names)}",
            where=f"{table.source}, column 'init'",
            hint=f'Choose one: --checkpoint {names[0]}, or init = "{names[0]}" in a question.',
        )
    chosen = init or names[0]
    kept = replace(table, frame=table.frame.filter(scratch | (said == chosen).fill_null(False)))
    _check_comparable(kept, kept.frame["init"].cast(pl.String).eq_missing(chosen))
    return kept, chosen


def _check_comparable(table: RunTable, continued: pl.Series) -> None:
    """InputError where the two kinds differ in what moves a loss by itself."""
    frame = table.frame
    for column, matters in (("lr_phase", True), ("tokenizer", table.unit.endswith("/token"))):
        if not matters or column not in frame.columns:
            continue
        kinds = [set(frame.filter(mask)[column].drop_nulls().to_list()) for mask in (~continued, continued)]
        if all(kinds) and kinds[0] != kinds[1]:
            words = [", ".join(sorted(map(str, k))) for k in kinds]
            hint = (
                "Keep one phase: --where lr_phase=final."
                if column == "lr_phase"
                else "Give losses in bits per byte, which tokenizers share."
            )
            raise InputError(
                f"scratch has {column} {words[0]}, continued {words[1]}: their losses cannot be compared",
                where=f"{table.source}, column {column!r}",
                hint=hint,
            )


def _intervals(table: RunTable) -> str:
    scratch = _from_scratch(table)
    parts = [table.frame.filter(kind) for kind in (scratch, ~scratch)]
    runs = [part["run_id"].n_unique() if "run_id" in part.columns else len(part) for part in parts]
    return "pooled" if min(runs) < FEWEST_ALONE else "auto"


def _from_scratch(table: RunTable) -> np.ndarray:
    """Of each row, whether its run started from nothing."""
    said = table.frame["init"].cast(pl.String)
    return (said.is_null() | said.str.to_lowercase().is_in([*FROM_SCRATCH, ""]).fill_null(True)).to_numpy()


def _grid(table: RunTable) -> tuple[np.ndarray, tuple[float, float]]:
    """D in tokens from the least to far beyond the most, and the range in which both kinds of run are."""
    D = table.frame["tokens"].cast(float).to_numpy()
    scratch = _from_scratch(table)
    low = max(D[scratch].min(), D[~scratch].min())
    high = min(D[scratch].max(), D[~scratch].max())
    if low >= high:
        raise InputError(
            "runs from scratch and continued ones have no range of tokens in common",
            where=f"{table.source}, column 'tokens'",
            hint="Train both for the same numbers of tokens.",
        )
    return np.geomspace(low, BEYOND * high, POINTS), (float(low), float(high))


def _evaluate(found: Fit, D: np.ndarray, N: float) -> _Both:
    def losses(values: np.ndarray, pretrained: float) -> np.ndarray:
        columns = {"D": jnp.asarray(D), "pretrained": jnp.full(len(D), pretrained)}
        if "N" in found.law.columns:
            columns["N"] = jnp.full(len(D), N)
        return np.asarray(evaluate(found.layout, jnp.asarray(values), columns))

    draws = found.draws if len(found.draws) else found.values[None]
    return _Both(
        D,
        losses(found.values[None], 0.0)[0],
        losses(found.values[None], 1.0)[0],
        losses(draws, 0.0),
        losses(draws, 1.0),
    )


def _meeting(D: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """D `(draws,)` at which continuing's gain `(draws, points)` last turns into a loss, between points in log D.

    0 where scratch is better at the far end and never crossed, infinite where continuing is better there.
    """
    logs = np.log(D)
    turns = (gain[:, :-1] > 0) & (gain[:, 1:] <= 0)
    last = gain.shape[1] - 2 - np.argmax(turns[:, ::-1], axis=1)
    rows = np.arange(len(gain))
    before, after = gain[rows, last], gain[rows, last + 1]
    # Beyond 0 to 1 only where nothing turns, and is not used.
    step = np.clip(before / np.where(before - after > 0, before - after, 1.0), 0.0, 1.0)
    at = np.exp(logs[last] + step * (logs[last + 1] - logs[last]))
    return np.where(gain[:, -1] > 0, math.inf, np.where(turns.any(1), at, 0.0))


def _crossing(
    both: _Both,
    found: np.ndarray,
    middle: float,
    own: np.ndarray | None,
    studied: tuple[float, float],
    N: float,
    level: float,
) -> Crossing:
    flops = 6 * N
    # Whether the limits are one is not known: both forms count alike.
    draws = flops * (found if own is None else np.concatenate([found, own]))
    low, _, high = quantiles(draws, level)
    most = studied[1] * (1 + 1e-9)
    inside = most >= both.D
    gain = (both.scratch_draws - both.continued_draws)[:, inside]
    ends = np.quantile(gain, [(1 - level) / 2, (1 + level) / 2], axis=0)
    status: Status
    if ((ends[0] <= 0) & (ends[1] >= 0)).all():
        status = "undecided"
    elif math.isinf(middle):
        status = "continue"
    elif middle == 0:
        status = "scratch"
    else:
        status = "crosses" if middle <= studied[1] else "beyond"
    C = flops * middle if 0 < middle < math.inf else None
    return Crossing(status, C, low, high, level, draws)


def _own_limits(
    law: Any, table: RunTable, options: dict[str, Any], D: np.ndarray, N: float
) -> tuple[np.ndarray | None, list[str]]:
    """Crossings in D `(draws,)` where each way has its own limit, and what is to be said of them."""
    try:
        own = fit(law, table, free=("gap",), **options)
    except (InputError, FitError) as reason:
        return None, [f"limits of their own could not be tried: {str(reason).splitlines()[0]}."]
    places = [own.layout.names.index(name) for name in ("E", "gap")]
    # Of a loss no limit lies below 0.
    sane = own.draws[:, places].sum(1) >= 0
    if own.values[places].sum() < 0 or sane.sum() < FEWEST_DRAWS:
        return None, ["limits of their own are left out: the runs put the continued one's limit below 0."]
    both = _evaluate(own, D, N)
    found = _meeting(D, both.scratch_draws - both.continued_draws)[sane]
    middle = float(_meeting(D, (both.scratch - both.continued)[None])[0])
    if 0 < middle < math.inf:
        said = f"crosses at {format_quantity(6 * N * middle, 'flops')}"
    else:
        said = "does not cross" + (": continuing stays ahead" if middle else ": scratch is ahead")
    gap = next(e for e in own.coefficients if e.name == "gap")
    ends = "" if gap.low is None or gap.high is None else f" ({gap.low:.3g} to {gap.high:.3g})"
    return found, [f"with limits of their own, {gap.value:+.3g}{ends} apart, it {said}; these draws count as well."]


def _data_transfer(one_size: bool, table: RunTable, options: dict[str, Any], shared: Fit) -> list[str]:
    """Whether the law of transferred data, whose curves never cross, describes the runs as well."""
    name = "data-transfer-one-size" if one_size else "data-transfer"
    try:
        other = fit(name, table, **{**options, "draws": 0})
    except (InputError, FitError):
        return []
    if other.objective > ALIKE * shared.objective:
        return []
    return [
        f"the law {name} (Hernandez et al. 2021) describes these runs as well (objective {other.objective:.3g}, here "
        f"{shared.objective:.3g}), and in it continuing stays ahead for ever: the crossing is not established."
    ]


def _with_never(crossing: Crossing, draws: int) -> Crossing:
    """The crossing where a law whose curves never cross describes the runs as well: it counts as the other forms do."""
    every = np.concatenate([crossing.draws, np.full(draws, math.inf)])
    low, _, high = quantiles(every, crossing.level)
    return replace(crossing, status="possible", low=low, high=high, draws=every)


def _outside(N: float, sizes: np.ndarray, one_size: bool) -> list[str]:
    low, high = float(sizes.min()), float(sizes.max())
    if low / 1.02 <= N <= high * 1.02:
        return []
    span = format_quantity(high) if one_size else f"{format_quantity(low)} to {format_quantity(high)}"
    if one_size:
        return [
            f"the runs are of {span} parameters and the question of {format_quantity(N)}: how the crossing moves with "
            "size cannot be told from one size. Its tokens are taken to be the same, which ATLAS found not to hold "
            "(C grows as N^1.54 to N^1.65)."
        ]
    return [f"the runs span {span} parameters; {format_quantity(N)} is extrapolated."]


def _curve(both: _Both, loss: np.ndarray, draws: np.ndarray, N: float, found: Fit) -> LossCurve:
    keep = np.unique(np.linspace(0, len(both.D) - 1, CURVE_POINTS).round().astype(int))
    low, high = np.quantile(draws[:, keep], [(1 - found.level) / 2, (1 + found.level) / 2], axis=0)
    banded = len(found.draws) > 0
    D = both.D[keep]
    return LossCurve(6 * N * D, D, loss[keep], low if banded else None, high if banded else None, found.unit)


def _value(found: Fit, name: str) -> float:
    return next(e.value for e in found.coefficients if e.name == name)
