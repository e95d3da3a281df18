"""Which curves may be compared: a run of the target alone, and one of the target with one other language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isogloss.transfer.cells import END, Cell, Cells
from isogloss.transfer.curves import LossCurve, fit_curve
from isogloss.transfer.inversion import common_range

LEAST_SHARE = 0.05
MIN_POINTS = 5


@dataclass(frozen=True)
class Refused:
    """A candidate that was not measured. `source` is all the other languages of the run, joined by "+"; `cell` the
    phase, and the configuration where the table has several."""

    target: str
    source: str
    runs: tuple[str, ...]
    reason: str
    cell: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Candidate:
    """Two comparable cells, their smoothed curves, and the range of anchors that they have in common."""

    target: str
    source: str
    share: float
    """The target's, in the pair."""
    mono: Cell
    pair: Cell
    curves: tuple[LossCurve, LossCurve]
    span: tuple[float, float]


def find_pairs(found: Cells, *, min_points: int = MIN_POINTS) -> tuple[list[Candidate], list[Refused]]:
    """Every pair that can be measured, and every other that has some of what it takes, with the reason."""
    candidates, refused = [], []
    smoothed: dict[int, LossCurve] = {}
    for pair in (c for c in found.cells if not c.alone):
        result = _compared(pair, found, min_points, smoothed)
        if isinstance(result, Candidate):
            candidates.append(result)
        else:
            reason, mono = result
            runs = (*mono.runs, *pair.runs) if mono else pair.runs
            refused.append(Refused(pair.target, _source(pair), runs, reason, named(pair, found.varying)))
    return candidates, [*refused, *_lone_phases(found), *_unusable_alone(found)]


def named(cell: Cell, varying: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What tells this cell from others of the table: its phase, and the configuration that varies."""
    return (("lr_phase", cell.phase), *((column, cell.setting[column]) for column in varying))


def _source(pair: Cell) -> str:
    return "+".join(name for name in pair.languages if name != pair.target)


def _compared(
    pair: Cell, found: Cells, min_points: int, smoothed: dict[int, LossCurve]
) -> Candidate | tuple[str, Cell | None]:
    """The candidate; or why there is none, and the cell that it would have been compared with."""
    reason = _amiss(pair)
    if reason:
        return reason, None
    mono, reason = _partner(pair, found)
    if mono is None or reason:
        return reason, mono
    reason = _too_short(mono, "of the target alone", min_points) or _too_short(pair, "of the pair", min_points)
    if reason:
        return reason, mono
    curves = (_curve(mono, smoothed), _curve(pair, smoothed))
    span = common_range(*curves)
    if span is None:
        return "no common range of loss: one curve ends before the other begins, or nearly so", mono
    share = dict(pair.shares)[pair.target]
    return Candidate(pair.target, _source(pair), share, mono, pair, curves, span)


def _curve(cell: Cell, smoothed: dict[int, LossCurve]) -> LossCurve:
    if id(cell) not in smoothed:
        smoothed[id(cell)] = fit_curve(cell.points)
    return smoothed[id(cell)]


def _amiss(pair: Cell) -> str:
    """What is wrong with the pair by itself."""
    if pair.problem:
        return f"{_listed(pair.runs)}: {pair.problem}"
    if len(pair.shares) > 2:
        return f"{len(pair.shares)} languages, not a pair"
    share = dict(pair.shares)[pair.target]
    if not LEAST_SHARE <= share <= 1 - LEAST_SHARE:
        return f"a share of {share:.3g}: outside {LEAST_SHARE:g} to {1 - LEAST_SHARE:g} it hardly tells of transfer"
    return ""


def _too_short(cell: Cell, what: str, min_points: int) -> str:
    if len(cell.points) >= min_points:
        return ""
    if cell.phase != END:
        return f"{len(cell.points)} points {what}, fewer than {min_points}"
    ends = "1 decayed end" if len(cell.points) == 1 else f"{len(cell.points)} decayed ends"
    return (
        f"{ends} {what}, fewer than {min_points}; ends are not compared with checkpoints before decay, which would"
        " pass for transfer"
    )


def _partner(pair: Cell, found: Cells) -> tuple[Cell | None, str]:
    """The cell of the target alone to compare with, or the nearest one and what is wrong with it."""
    alone = [c for c in found.cells if c.alone and c.target == pair.target]
    if not alone:
        return None, "no run of the target alone"
    usual = [c for c in alone if not _differences(c, pair)]
    if not usual:
        nearest = min(alone, key=lambda c: len(_differences(c, pair)))
        return nearest, "; ".join(_differences(nearest, pair))
    healthy = [c for c in usual if not c.problem]
    if not healthy:
        return usual[0], f"{_listed(usual[0].runs)}, the target alone: {usual[0].problem}"
    same = [c for c in healthy if c.phase == pair.phase]
    if not same:
        return healthy[0], _phases(healthy[0].phase, pair.phase)
    return same[0], ""


def _phases(mono: str, pair: str) -> str:
    return (
        f"the learning-rate phase differs ({mono} for the target alone, {pair} for the pair): cooling lowers a loss,"
        " which would pass for transfer"
    )


def _differences(mono: Cell, pair: Cell) -> list[str]:
    return [
        f"{column} differs: {mono.setting[column]} for the target alone, {value} for the pair"
        for column, value in pair.setting.items()
        if mono.setting[column] != value
    ]


def _lone_phases(found: Cells) -> Iterator[Refused]:
    """A phase that the target alone has and the comparable pair lacks: `_partner`'s trap the other way round."""
    for mono in (c for c in found.cells if c.alone and not c.problem):
        pairs = [c for c in found.cells if not c.alone and c.target == mono.target and not _amiss(c)]
        pairs = [c for c in pairs if not _differences(mono, c)]
        for source in dict.fromkeys(_source(c) for c in pairs):
            mine = [c for c in pairs if _source(c) == source]
            if all(c.phase != mono.phase for c in mine):
                reason = _phases(mono.phase, mine[0].phase)
                runs = (*mono.runs, *mine[0].runs)
                yield Refused(mono.target, source, runs, reason, named(mono, found.varying))


def _unusable_alone(found: Cells) -> Iterator[Refused]:
    """Unusable runs of one language that no pair was there to name."""
    targets = {c.target for c in found.cells if not c.alone}
    for cell in found.cells:
        if cell.alone and cell.problem and cell.target not in targets:
            yield Refused(cell.target, "", cell.runs, cell.problem, named(cell, found.varying))


def _listed(runs: Sequence[str], most: int = 3) -> str:
    return ", ".join(runs[:most]) + (f" and {len(runs) - most} more" if len(runs) > most else "")
