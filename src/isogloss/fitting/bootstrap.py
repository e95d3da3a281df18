"""Draws by refitting: runs drawn with replacement, or every run kept and its errors given random signs, or new ones.

Drawing runs loses sizes and budgets from a small study by chance, and with them what tells the coefficients
apart: its intervals become too wide. The wild bootstrap keeps the design. It adds to the fitted losses the runs'
own residuals, all of one run times one random sign, so that a run's checkpoints still err together (Wu 1986;
for medians Feng, He and Hu 2011; for clusters Cameron, Gelbach and Miller 2008). Without the two corrections
below it is far too narrow: the fit has drawn the law towards each run. Where one or two runs alone tell a
coefficient, their own residuals say nothing of their errors, and taking the leverage out makes them anything: there
errors are drawn as large as the residuals of all runs are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import stats

from isogloss.fitting.problem import BATCH
from isogloss.fitting.sandwich import Sandwich, relieved
from isogloss.fitting.solve import QUICK, solve
from isogloss.fitting.solved import Solved

Report = Callable[[int], None]

# The wild bootstrap's tables that are held at once, in numbers: 160 MB.
MOST_NUMBERS = 20_000_000


def resample(solved: Solved, draws: int, rng: np.random.Generator, report: Report | None = None) -> np.ndarray:
    """`(draws, free)`: refits to runs drawn with replacement."""
    counts = rng.multinomial(solved.runs, np.full(solved.runs, 1 / solved.runs), size=draws)
    return _refit(solved, draws, report, weights=counts[:, solved.run].astype(float))


def wild(solved: Solved, draws: int, rng: np.random.Generator, report: Report | None = None) -> np.ndarray:
    """`(draws, free)`: refits to the fitted losses plus each run's errors times one random sign.

    The errors are the residuals that a run would have had if it had not been fitted (leverage taken out, as in
    the jackknife), and the draws are spread about the estimate as Student's t is wider than the normal.
    """
    found = solved.sandwich()
    errors = relieved(found, found.residuals, power=1.0)
    signs = rng.choice([-1.0, 1.0], size=(draws, solved.runs))
    fitted, objective = solved.fitted(), solved.problem.objective
    z = np.empty((draws, len(found.z)))
    together = max(BATCH, MOST_NUMBERS // sum(v.size for v in solved.problem.columns.values()))
    for first in range(0, draws, together):
        part = slice(first, min(first + together, draws))
        made = [replace(solved.problem, loss=objective.observed(fitted, errors * s[solved.run])) for s in signs[part]]
        heard = None if report is None else (lambda done, first=first: report(first + done))
        z[part] = _refit(solved, len(made), heard, problems=made)
    freedom = max(found.runs - int(found.moving.sum()), 1)
    wider = stats.t.ppf(0.95, freedom) / stats.norm.ppf(0.95)
    return solved.inside(solved.z + wider * (z - solved.z))


def pooled(solved: Solved, draws: int, rng: np.random.Generator, report: Report | None = None) -> np.ndarray:
    """`(draws, free)`: refits to the fitted losses plus normal errors as large as the residuals of all rows together.

    Half of their variance is taken to be shared by a run.
    """
    found = solved.sandwich()
    variance, freedom = error_variance(found)
    half = np.sqrt(variance / 2) * stats.t.ppf(0.95, freedom) / stats.norm.ppf(0.95)
    shared, own = rng.normal(size=(draws, found.runs)), rng.normal(size=(draws, len(found.run)))
    fitted, objective = solved.fitted(), solved.problem.objective
    errors = half * (shared[:, found.run] + own)
    made = [replace(solved.problem, loss=objective.observed(fitted, one)) for one in errors]
    return _refit(solved, draws, report, problems=made)


def error_variance(found: Sandwich) -> tuple[float, float]:
    """Of errors with covariance V, half of it shared by a run, and the degrees of freedom that it is known with
    (Satterthwaite 1946): the residuals r = M e of the fit have r'r = tr(M V) times the variance on average."""
    basis = np.linalg.qr(found.derivatives[:, found.moving])[0]
    sums = np.zeros((found.runs, basis.shape[1]))
    np.add.at(sums, found.run, basis)
    rows = np.bincount(found.run, minlength=found.runs).astype(float)
    inner = (basis.T @ basis + sums.T @ sums) / 2
    once = len(found.run) - np.trace(inner)
    squared = (basis.T @ basis + 2 * sums.T @ sums + sums.T @ (rows[:, None] * sums)) / 4
    twice = (len(found.run) * 3 + (rows**2).sum()) / 4 - 2 * np.trace(squared) + (inner**2).sum()
    return float((found.residuals**2).sum() / max(once, 1e-9)), float(max(once**2 / max(twice, 1e-9), 1.0))


def _refit(
    solved: Solved,
    draws: int,
    report: Report | None,
    *,
    weights: np.ndarray | None = None,
    problems: list | None = None,
) -> np.ndarray:
    """`(draws, free)`: the best optimum of each draw, from every near-best optimum of the fit."""
    optima = len(solved.optima)
    found = solve(
        solved.problem if problems is None else problems,
        np.repeat(solved.optima, draws, axis=0),
        solved.lower,
        solved.upper,
        which=None if problems is None else np.tile(np.arange(draws), optima),
        weights=None if weights is None else np.tile(weights, (optima, 1)),
        effort=QUICK,
        progress=None if report is None else (lambda done: report(done // optima)),
    )
    best = found.value.reshape(optima, draws).argmin(0)
    return found.z.reshape(optima, draws, -1)[best, np.arange(draws)]
