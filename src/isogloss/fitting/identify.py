"""What the runs cannot tell, in words: which coefficients, why, and which further runs would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.fitting.causes import Cause, causes
from isogloss.fitting.layout import Slot
from isogloss.fitting.more_runs import Addition, Information, best_additions, information
from isogloss.fitting.problem import Problem, residuals
from isogloss.fitting.solve import solve

# A logarithm is poorly known if its 95 % range spans this factor, a weight if it spans this share of its own range.
WIDE_FACTOR, WIDE_SHARE, WIDE_LOSS = 4.0, 0.3, 0.4
# What is barely better known than without runs is not known at all.
UNKNOWN = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing that the runs cannot tell."""

    what: str
    coefficients: tuple[str, ...]
    why: str
    cure: str
    additions: tuple[Addition, ...] = ()

    @property
    def sentence(self) -> str:
        return f"{self.what}: {self.why}. {self.cure}".strip()


def identify(
    problem: Problem,
    z: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    unseen: Sequence[str],
    undetermined: Sequence[str],
    bounds_hit: Sequence[str],
) -> tuple[Finding, ...]:
    """Findings at the optimum z `(free,)`, each coefficient in the first cause that explains it.

    `unseen` are those of which a combination changes nothing, `undetermined` those on which no row depends.
    """
    known = _known(problem, z, lower, upper, unseen, undetermined)
    weak = _weak(known, unseen, undetermined)
    on_bound = {b.split()[0]: b.split()[1].strip("()") for b in bounds_hit}
    told: set[str] = set()
    findings = []
    for cause in causes(known.problem, on_bound):
        names = tuple(n for n in cause.names if (n in weak or n in on_bound) and n not in told)
        if names:
            held = _at(problem, [n for n in names if n in undetermined])
            findings.append(_finding(known, names, cause, held))
            told |= set(names)
    rest = tuple(n for n in weak if n not in told)
    if rest:
        cause = Cause(rest, "the rows are too few, too noisy or too much alike", "Add runs of other sizes and tokens.")
        findings.append(_finding(known, rest, cause, ""))
    return tuple(findings)


# --- what is weak --------------------------------------------------------------------------------------------


def _known(
    problem: Problem,
    z: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    unseen: Sequence[str],
    undetermined: Sequence[str],
) -> Information:
    """Information at z, at a usual value of what the runs leave open, and with what no row depends on set free."""
    if unseen:
        z = _with_usual_values(problem, z, lower, upper, unseen)
    slots = problem.layout.slots
    dead = [i for i, s in enumerate(slots) if s.name in undetermined]
    if not dead:
        return information(problem, z)
    free = tuple(sorted((*problem.layout.free, *dead)))
    at = dict(zip(problem.layout.free, z, strict=True))
    at |= {i: math.log(problem.held[i]) if slots[i].log else float(problem.held[i]) for i in dead}
    full = Problem(
        replace(problem.layout, free=free),
        problem.objective,
        problem.columns,
        problem.loss,
        problem.held,
        problem.centres,
    )
    return information(full, np.array([at[i] for i in free]))


def _with_usual_values(
    problem: Problem, z: np.ndarray, lower: np.ndarray, upper: np.ndarray, unseen: Sequence[str]
) -> np.ndarray:
    """z refitted with as many open coefficients at a usual value as leave the others determined.

    Where alpha cannot be told the search may have ended at any: runs must not be judged by that one.
    """
    slots = [problem.layout.slots[i] for i in problem.layout.free]
    typical = float(np.median(np.abs(problem.loss)))
    # Exponents first, then terms: the irreducible loss is what they leave.
    order = sorted(
        (j for j, s in enumerate(slots) if s.name in unseen), key=lambda j: (slots[j].of_loss, not slots[j].log)
    )
    lower, upper, z = lower.copy(), upper.copy(), z.copy()
    held: list[int] = []
    for j in order:
        moving = [k for k in range(len(slots)) if k not in held]
        singular = np.linalg.svd(residuals(problem, z)[1][:, moving], compute_uv=False)
        if len(singular) == len(moving) and singular[-1] > 1e-5 * singular[0]:
            break
        low, high = slots[j].start
        scale = typical if slots[j].of_loss else 1.0
        usual = math.log(math.sqrt(low * high) * scale) if slots[j].log else (low + high) / 2 * scale
        z[j] = lower[j] = upper[j] = min(max(usual, lower[j]), upper[j])
        held.append(j)
    solved = solve(problem, z[None], lower, upper)
    return solved.z[0] if np.isfinite(solved.value[0]) else z


def _weak(known: Information, unseen: Sequence[str], undetermined: Sequence[str]) -> list[str]:
    """Free coefficients that are poorly known; A and B alone are not counted: their unit is N^alpha."""
    layout, errors = known.problem.layout, known.errors()
    out = []
    for j, index in enumerate(layout.free):
        slot = layout.slots[index]
        if slot.name in unseen or slot.name in undetermined or errors[j] > _limit(slot, known.problem):
            out.append(slot.name)
    return out


def _limit(slot: Slot, problem: Problem) -> float:
    """The error (one sd) beyond which a coefficient is poorly known."""
    if slot.log:
        return math.log(WIDE_FACTOR) / (2 * 1.96)
    width = (
        WIDE_LOSS * float(np.median(np.abs(problem.loss))) if slot.of_loss else WIDE_SHARE * (slot.upper - slot.lower)
    )
    return width / (2 * 1.96)


# --- words ---------------------------------------------------------------------------------------------------


def _finding(known: Information, names: tuple[str, ...], cause: Cause, held: str) -> Finding:
    joined = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    sizes = {name: _size(known, name, _error(known, name)) for name in names}
    lost = [n for n in names if sizes[n] == "not at all"]
    if lost:
        what = f"{joined} cannot be told{' apart' * (len(names) > 1 and not held)}"
    else:
        what = f"{joined} {'is' if len(names) == 1 else 'are'} known only to {', '.join(sizes.values())}"
    additions = best_additions(known, names)
    return Finding(what, names, f"{cause.why}{held}", _cure(known, additions) or cause.fallback, additions)


def _cure(known: Information, additions: Sequence[Addition]) -> str:
    said = [(a, effect) for a in additions if (effect := _effect(known, a))]
    if not said:
        return ""
    parts = [f"{a.words} would tell {effect}" for a, effect in said]
    text = f"Add runs: {parts[0]}."
    if len(parts) > 1:
        share = said[1][0].flops / said[0][0].flops
        text += f" Or, at {max(share, 0.01):.0%} of the cost{' or less' if share < 0.01 else ''}: {parts[1]}."
    return text


def _effect(known: Information, addition: Addition) -> str:
    said = []
    for name, then in addition.then.items():
        now = addition.now[name]
        after = _size(known, name, then)
        # What these runs leave nearly as it was is no reason to make them.
        if then < 0.8 * now and after != "not at all":
            said.append(f"{name} to {after} (now {_size(known, name, now)})")
    return ", ".join(said)


def _error(known: Information, name: str) -> float:
    free = [known.problem.layout.slots[i].name for i in known.problem.layout.free]
    return float(known.errors()[free.index(name)]) if name in free else math.inf


def _size(known: Information, name: str, error: float) -> str:
    """One standard deviation as one says it."""
    free = [known.problem.layout.slots[i] for i in known.problem.layout.free]
    j = next(k for k, s in enumerate(free) if s.name == name)
    if error > UNKNOWN * known.prior[j]:
        return "not at all"
    if not free[j].log:
        return f"± {error:.2g}"
    return f"± {error:.0%}" if error < 0.3 else f"a factor {math.exp(error):.1f}"


def _at(problem: Problem, names: Sequence[str]) -> str:
    """What is held because the runs do not tell it."""
    slots = problem.layout.slots
    held = {s.name: float(problem.held[i]) for i, s in enumerate(slots) if s.name in names}
    values = ", ".join(f"{name} = {value:.3g}" for name, value in held.items())
    alike = ", so that the law is of such runs only" if not any(held.values()) else ", a guess that no run supports"
    return f"; held at {values}{alike}" if held else ""
