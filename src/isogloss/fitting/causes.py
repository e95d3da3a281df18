"""What in the design of the runs keeps coefficients from being told, and which those are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.fitting.more_runs import total_tokens
from isogloss.fitting.problem import Problem
from isogloss.units import format_quantity

# Values within this factor are one level of an axis; fewer levels than this cannot tell a power law's three numbers.
SAME, LEVELS = 1.1, 3
# Axes that span less than this factor show little of a power law.
NARROW = 4.0
# N and D lie on a line if this much of the spread of log D goes with log N.
ON_A_LINE = 0.95
# One column follows from others if this much of its spread does.
FOLLOWS = 0.98
# Exponents of a column, which one value of it cannot tell.
OF_COLUMN = {"K": ("phi", "psi"), "p": ("gamma",)}
OF_REPETITION = ("lambda_", "R_D", "R_N")


@dataclass(frozen=True)
class Cause:
    names: tuple[str, ...]
    why: str
    fallback: str
    """What to do where no addition of runs can be computed."""


def causes(problem: Problem, on_bound: dict[str, str]) -> Iterator[Cause]:
    columns, tokens = problem.columns, total_tokens(problem)
    data = next((a for a in ("D", "D_target") if a in columns), None)
    sizes, amounts = _group(problem, "N"), _group(problem, "D")
    few_N = "N" in columns and levels(columns["N"]) < LEVELS
    few_D = data is not None and levels(columns[data]) < LEVELS
    if few_N:
        yield Cause(sizes, f"there {_of(columns['N'], 'model size')}", "Add runs of other sizes.")
    if few_D and data is not None:
        yield Cause(amounts, f"there {_of(columns[data], 'token count')}", "Add runs on other amounts of tokens.")
    for axis, group, noun in (("N", sizes, "sizes"), (data, amounts, "token counts")):
        span = _span(columns[axis]) if axis in columns else math.inf
        if group and span < NARROW:
            yield Cause(group, f"{noun} span only a factor {span:.1f}", f"Add runs beyond these {noun}.")
    if tokens is not None and "N" in columns and not (few_N or few_D):
        line = _line(columns["N"], tokens)
        if line:
            yield Cause(tuple(dict.fromkeys((*sizes, *amounts))), line, "Add runs off that line.")
    yield from _repetition(problem)
    yield from _one_value(problem)
    if "D_sources" in columns:
        yield from _mixtures(problem)
    for name, end in on_bound.items():
        yield Cause((name,), _bound(name, end), "Add runs nearer to the limit: larger, and on more tokens.")


def _group(problem: Problem, axis: str) -> tuple[str, ...]:
    """The term of an axis, its exponent, and the irreducible loss, which is confused with both."""
    names: list[str] = []
    for slot in problem.layout.slots:
        for of_axis, _, powers in slot.exponents:
            if of_axis == axis:
                names += [*powers, slot.name]
    limits = [s.name for s in problem.layout.slots if s.of_loss and not s.log]
    return tuple(dict.fromkeys([*names, *limits])) if names else ()


def levels(values: np.ndarray) -> int:
    """How many different values there are, those within 10 % being one."""
    count, first = 0, 0.0
    for value in np.sort(values[np.isfinite(values) & (values > 0)]):
        if value > first * SAME:
            count, first = count + 1, float(value)
    return count


def wanting(problem: Problem) -> str:
    """Which further sizes and token counts the law needs, in words; empty if there are enough of both."""
    said = []
    for axis, column, noun in (("N", "N", "size"), ("D", "D", "token count"), ("D", "D_target", "token count")):
        if column in problem.columns and _group(problem, axis):
            have = levels(problem.columns[column])
            if have < LEVELS:
                said.append(f"{LEVELS - have} more {noun}{'s' * (LEVELS - have > 1)}")
    return f", at {' and '.join(said)}" if said else ""


def _span(values: np.ndarray) -> float:
    """Largest over smallest of those that are positive."""
    positive = values[np.isfinite(values) & (values > 0)]
    return float(positive.max() / positive.min()) if len(positive) else math.inf


def constant_exponents(problem: Problem) -> tuple[str, ...]:
    """Exponents of a column that has one value: at 0 the law is that of this value, which is all the runs show."""
    slots = [problem.layout.slots[i] for i in problem.layout.free]
    return tuple(
        s.name
        for column, exponents in OF_COLUMN.items()
        if column in problem.columns and levels(problem.columns[column]) == 1
        for s in slots
        if s.coefficient in exponents and not s.log
    )


def _of(values: np.ndarray, noun: str) -> str:
    count = levels(values)
    shown = " and ".join(_q(v) for v in dict.fromkeys([float(values.min()), float(values.max())][:count]))
    return f"{'is one' if count == 1 else f'are only {count}'} {noun}{'' if count == 1 else 's'} ({shown})"


def _line(N: np.ndarray, D: np.ndarray) -> str:
    """Why, if the runs lie along one line of N and D: then a term in N and one in D look alike."""
    log_N, log_D = np.log(N), np.log(D)
    if min(np.ptp(log_N), np.ptp(log_D)) == 0:
        return ""
    shared = float(np.corrcoef(log_N, log_D)[0, 1] ** 2)
    if shared < ON_A_LINE:
        return ""
    low, high = float((D / N).min()), float((D / N).max())
    if high / low < 1.5:
        return f"all runs have about {math.sqrt(low * high):.2g} tokens per parameter, so that N and D rise together"
    power = float(np.polyfit(log_N, log_D, 1)[0])
    return f"the runs lie on one line, D growing as N^{power:.2g}, so that N and D rise together"


def _repetition(problem: Problem) -> Iterator[Cause]:
    columns, names = problem.columns, [s.name for s in problem.layout.slots]
    of = tuple(n for n in OF_REPETITION if n in names)
    pairs = [
        (columns[d], columns[u]) for d, u in (("D", "U"), ("D_target", "U_target")) if d in columns and u in columns
    ]
    if not of or not pairs:
        return
    D, U = pairs[0]
    epochs = D / U
    if epochs.max() <= 1:
        yield Cause(of, "no run sees its text more than once", "Add runs that repeat their text.")
    elif epochs.min() > 1:
        seen = f"{epochs.min():.2g} to {epochs.max():.2g} times"
        yield Cause((*of, *_group(problem, "D")), f"every run repeats its text ({seen})", "Add runs within one epoch.")
    else:
        most = f"no run sees its text more than {epochs.max():.2g} times"
        yield Cause(of, f"{most}, and {float((epochs > 1).mean()):.0%} of the rows repeat any", "Repeat more.")


def _one_value(problem: Problem) -> Iterator[Cause]:
    """An exponent of a column that has one value is another name for the term that it multiplies."""
    words = {
        "K": ("number of languages", "Add runs with another number."),
        "p": ("share", "Add runs with another share."),
    }
    for column, exponents in OF_COLUMN.items():
        values = problem.columns.get(column)
        own = tuple(s.name for s in (problem.layout.slots[i] for i in problem.layout.free) if s.name in exponents)
        if values is not None and own and levels(values) == 1:
            noun, cure = words[column]
            terms = tuple(s.name for s in problem.layout.slots if s.of_loss)
            yield Cause((*own, *terms), f"every run has the same {noun} ({float(values[0]):.3g})", cure)


def _mixtures(problem: Problem) -> Iterator[Cause]:
    """Weights whose doses (tokens per token of the target) do not vary of their own."""
    columns, sources = problem.columns, problem.layout.sources
    own = np.where(columns["D_target"] > 0, columns["D_target"], np.nan)
    doses = {f"tau[{name}]": columns["D_sources"][:, i] / own for i, name in enumerate(sources)}
    if "D_other" in columns:
        doses["tau_other"] = columns["D_other"] / own
    doses = {n: np.nan_to_num(d, nan=0.0) for n, d in doses.items()}
    said = {n: "the other languages" if n == "tau_other" else n[4:-1] for n in doses}
    scale = tuple(n for n in _group(problem, "D") if n in ("B", "beta"))
    for name, dose in doses.items():
        if dose.max() == 0:
            yield Cause((name,), f"no run trains on {said[name]}", "Add runs that do.")
        elif np.ptp(dose) <= 0.02 * dose.max():
            why = f"every run has the same dose of {said[name]} ({dose.max():.2g} tokens for each of the target's)"
            yield Cause((name, *scale), why, "Add runs with another dose, or none.")
    for name, dose in doses.items():
        others = {n: d for n, d in doses.items() if n != name and np.ptp(d) > 0}
        partners = _followed(dose, others) if np.ptp(dose) > 0 else ()
        if partners:
            with_whom = " and ".join(said[n] for n in partners)
            why = f"the dose of {said[name]} moves with that of {with_whom}"
            yield Cause((name, *partners), why, "Add runs with one and without the other.")


def _followed(dose: np.ndarray, others: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The other doses from which this one follows; empty if it varies of its own."""
    if not others:
        return ()
    X = np.stack([np.ones(len(dose)), *others.values()], axis=1)
    weights = np.linalg.lstsq(X, dose, rcond=None)[0]
    if np.var(dose - X @ weights) > (1 - FOLLOWS) * np.var(dose):
        return ()
    moved = {n: abs(w) * float(np.std(d)) for (n, d), w in zip(others.items(), weights[1:], strict=True)}
    return tuple(n for n, m in moved.items() if m > 0.1 * float(np.std(dose)))


def _bound(name: str, end: str) -> str:
    if name == "E":
        return (
            "no loss is near enough to the limit to show it"
            if end == "lower"
            else "it stands at the lowest loss observed"
        )
    return f"the search stopped at the {end} end of what it may be"


def _q(number: float) -> str:
    return format_quantity(float(number), digits=2)
