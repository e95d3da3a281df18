"""The kinds of interval by name: each draws the coefficients, and everything else follows from the draws.

A draw is one law that could have made the runs; an interval of anything is the range of the middle draws. Which
kind holds the truth as often as it says was measured: docs/intervals.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from isogloss.errors import unknown_name
from isogloss.fitting.bootstrap import Report, pooled, resample, wild
from isogloss.fitting.laplace import laplace
from isogloss.fitting.solved import Solved

AUTO, NONE = "auto", "none"
# Of several languages fitted together: no name that a user gives.
JOINT = "joint"
POSTERIOR = "posterior"
# What may be asked for of languages that are fitted together.
TOGETHER = (AUTO, POSTERIOR, NONE)
# Fewer runs for each coefficient than this, and a bootstrap of runs is too wide: "auto" keeps the design.
FEW_RUNS_EACH = 5
# Below this, every kind but "pooled" was found too wide, and little is known.
TOO_FEW_RUNS = 12


class Draws(Protocol):
    def __call__(
        self, solved: Solved, draws: int, rng: np.random.Generator, report: Report | None = None
    ) -> np.ndarray: ...


def _profile() -> Draws:
    from isogloss.fitting.profile import profile

    return profile


def _posterior() -> Draws:
    from isogloss.fitting.posterior import posterior

    return posterior


# What each is, as the report says it of its draws.
MEANINGS = {
    "bootstrap": "refits to runs drawn with replacement",
    "wild": "refits to the fitted losses with each run's errors under a random sign",
    "pooled": "refits to the fitted losses with errors as large as the residuals of all runs",
    "laplace": "draws about the optimum, as wide as the runs' own scatter says",
    "profile": "draws whose ranges are those of the profiles",
    POSTERIOR: "draws of the posterior",
    JOINT: "draws about the joint optimum of all languages, as wide as the runs' own scatter and the languages' spread",
}
_KINDS: dict[str, Callable[[], Draws]] = {
    "bootstrap": lambda: resample,
    "wild": lambda: wild,
    "pooled": lambda: pooled,
    "laplace": lambda: laplace,
    "profile": _profile,
    POSTERIOR: _posterior,
}
NAMES = (AUTO, *_KINDS, NONE)


def check_name(name: str) -> None:
    """Raises InputError, with near misses, for what is no kind of interval."""
    if name not in NAMES:
        raise unknown_name("intervals", name, NAMES)


def choose(name: str, runs: int, free: int) -> str:
    """The kind that `name` stands for with this many runs and free coefficients."""
    if name != AUTO:
        return name
    return "wild" if runs < FEW_RUNS_EACH * free else "bootstrap"


def draw(name: str, solved: Solved, draws: int, rng: np.random.Generator, report: Report | None = None) -> np.ndarray:
    """`(draws, free)` moved coordinates by the kind `name`, which is not "auto"."""
    if name == NONE or draws == 0:
        return np.zeros((0, len(solved.z)))
    return _KINDS[name]()(solved, draws, rng, report)


def interval_warnings(name: str, runs: int, free: int) -> list[str]:
    """What a reader of the intervals must know; what was found is in benchmarks/results/coverage.json."""
    if name == NONE:
        return ["no intervals: the fit was asked for none (0 draws)."]
    out = []
    if runs < TOO_FEW_RUNS and name != "pooled":
        out.append(
            f"intervals rest on {runs} runs: of nine, 90 % intervals held the truth 93 to 97 % of the time in "
            "simulated studies, so they are rather too wide; fewer were not tried."
        )
    found = "in simulated studies 90 % intervals of this kind held the truth"
    few = runs < FEW_RUNS_EACH * free
    if name == "bootstrap" and few:
        out.append(f"{runs} runs for {free} coefficients: {found} 90 to 97 % of the time. wild is nearer.")
    elif name == "wild" and not few:
        out.append(f"{runs} runs for {free} coefficients: {found} 83 to 92 % of the time. bootstrap is nearer.")
    elif name == "pooled":
        out.append(f"{found} 79 to 94 % of the time: it takes errors to be of one size in all runs.")
    elif name in ("laplace", "profile"):
        out.append(f"{found} 85 to 97 % of the time, by quantity and study. auto is nearer.")
    elif name == POSTERIOR:
        out.append("the posterior has errors of its own, not the objective's: its middle is not the fit's estimate.")
    return out
