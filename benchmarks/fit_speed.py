"""How fast a Chinchilla law is fitted to 240 public points, and whether the optimum is found.

    python benchmarks/fit_speed.py [--quick] [--peer-python PYTHON]

The points are chinchilla_svg.csv in ISOGLOSS_DATA (default: ../shared/data beside the repository). Every time
stands beside the best objective that was reached: the sum of Huber costs (delta 1e-3) of log loss. PYTHON is an
interpreter that has the packages `chinchilla` and `autograd`, by default this one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, Row, cold, show, timed, write
from scipy.optimize import minimize

from isogloss.fitting import fit
from isogloss.fitting.health import values_at
from isogloss.fitting.layout import make_layout
from isogloss.fitting.objective import HuberLogLoss
from isogloss.fitting.problem import Problem
from isogloss.fitting.rows import rows_for
from isogloss.fitting.solve import QUICK, solve
from isogloss.laws import Chinchilla
from isogloss.runs import RunTable, read_runs

DELTA = 1e-3
STARTS = 64
DRAWS = 4000
SCIPY_DRAWS = 200
REPLICATION_DRAWS = 100
# Objectives within this fraction of the best are the same optimum.
SAME = 1e-4


def points_file() -> Path:
    folder = Path(os.environ.get("ISOGLOSS_DATA", ROOT.parent / "shared" / "data"))
    path = folder / "chinchilla_svg.csv"
    if not path.is_file():
        raise SystemExit("chinchilla_svg.csv is not there: set ISOGLOSS_DATA to the folder of the public run tables.")
    return path


# --- isogloss -------------------------------------------------------------------------------------------------


def problem_of(table: RunTable) -> Problem:
    rows = rows_for(Chinchilla, table)
    layout, held = make_layout(Chinchilla)
    centres = np.array([np.log(rows.columns[axis]).mean() for axis in "ND"])
    return Problem(layout, HuberLogLoss(DELTA), rows.columns, rows.loss, held, centres)


def isogloss_rows(table: RunTable, problem: Problem, repeats: int) -> list[Row]:
    lower, upper = problem.layout.bounds(problem.loss)
    starts = problem.layout.starts(STARTS, problem.loss, np.random.default_rng(0))
    solve(problem, starts, lower, upper)  # compiles
    solver, found = timed(
        f"isogloss, {STARTS} starts, solver", lambda: solve(problem, starts, lower, upper), repeats=4 * repeats
    )
    agree = int((found.value <= found.value.min() * (1 + SAME)).sum())
    solver.objective, solver.notes = float(found.value.min()), f"compiled; {agree} of {STARTS} starts agree"
    fit(Chinchilla, table, draws=DRAWS)
    whole, answer = timed(
        f"isogloss, {STARTS} starts, fit()",
        lambda: fit(Chinchilla, table, draws=0),
        repeats=2 * repeats,
        notes="compiled; with condition number and profiles",
    )
    whole.objective = answer.objective
    drawn, answer = timed("", lambda: fit(Chinchilla, table, draws=DRAWS), repeats=repeats)
    assert drawn.seconds is not None
    assert whole.seconds is not None
    note = f"compiled; fit(draws={DRAWS}) minus fit(draws=0)"
    bootstrap = Row(f"isogloss, {DRAWS:,} resamples", drawn.seconds - whole.seconds, repeats=repeats, notes=note)
    return [solver, whole, bootstrap]


def process_rows(path: Path, repeats: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "warm"
        arguments = ["fit", path, "--law", "chinchilla", "--where", "use=1", "-o", "out"]
        cold(arguments, cache=warm, folder=folder)
        row, _ = timed(
            "isogloss fit, process, warm cache",
            lambda: cold(arguments, cache=warm, folder=folder),
            repeats=repeats,
            notes=f"{STARTS} starts, 1,000 resamples, fit.json and fit.html",
        )
        rows.append(row)
        empty = iter(range(repeats))
        row, _ = timed(
            "isogloss fit, process, empty cache",
            lambda: cold(arguments, cache=folder / f"empty{next(empty)}", folder=folder),
            repeats=repeats,
            notes="the same, compiling everything",
        )
        rows.append(row)
        saved = json.loads((folder / "out" / "fit.json").read_text(encoding="utf-8"))
        for row in rows:
            row.objective = saved["objective"]
    return rows


# --- a plain SciPy fit ----------------------------------------------------------------------------------------


def objective_and_gradient(
    x: np.ndarray, log_N: np.ndarray, log_D: np.ndarray, log_loss: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Sum of Huber costs at x = (ln A, alpha, ln B, beta, ln E), as Hoffmann et al. write it, and its gradient."""
    a, alpha, b, beta, e = x
    terms = np.stack([a - alpha * log_N, b - beta * log_D, np.full_like(log_N, e)])
    top = terms.max(0)
    parts = np.exp(terms - top)
    total = parts.sum(0)
    r = top + np.log(total) - log_loss
    size = np.abs(r)
    cost = np.where(size <= DELTA, 0.5 * r**2, DELTA * (size - 0.5 * DELTA))
    slope = weights * np.clip(r, -DELTA, DELTA)
    p = slope * parts / total
    return float(weights @ cost), np.array([p[0].sum(), -p[0] @ log_N, p[1].sum(), -p[1] @ log_D, p[2].sum()])


def scipy_starts(count: int) -> np.ndarray:
    """`(count, 5)` drawn from the grid of starts of Hoffmann et al. 2022, section D.2."""
    rng = np.random.default_rng(0)
    wide, exponents, floor = np.arange(0, 26, 5.0), np.arange(0, 2.1, 0.5), np.arange(-1, 1.1, 0.5)
    return np.stack([rng.choice(g, count) for g in (wide, exponents, wide, exponents, floor)], axis=1)


def scipy_fit(starts: np.ndarray, columns: tuple[np.ndarray, ...], weights: np.ndarray) -> list[Any]:
    # SciPy's default tolerance is of max(|f|, 1), far above an objective of 1e-3: it would stop early.
    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-10}
    return [
        minimize(objective_and_gradient, x, args=(*columns, weights), jac=True, method="L-BFGS-B", options=options)
        for x in starts
    ]


def scipy_rows(problem: Problem, repeats: int, best: float) -> list[Row]:
    columns = (np.log(problem.columns["N"]), np.log(problem.columns["D"]), np.log(problem.loss))
    once = np.ones(problem.rows)
    rows, results = [], []
    for count in (12, STARTS):
        starts = scipy_starts(count)
        row, results = timed(
            f"SciPy L-BFGS-B, {count} starts", lambda starts=starts: scipy_fit(starts, columns, once), repeats=repeats
        )
        values = np.array([r.fun for r in results])
        row.objective = float(values.min())
        agree, success = int((values <= best * (1 + SAME)).sum()), sum(bool(r.success) for r in results)
        row.notes = f"{agree} of {count} starts at the best known optimum; {success} report success"
        rows.append(row)
    optimum = min(results, key=lambda r: r.fun).x
    counts = np.random.default_rng(1).multinomial(
        problem.rows, np.full(problem.rows, 1 / problem.rows), size=SCIPY_DRAWS
    )
    weights = counts.astype(float)
    row, refits = timed(
        f"SciPy L-BFGS-B, {DRAWS:,} resamples",
        lambda: [scipy_fit(optimum[None], columns, w)[0].fun for w in weights],
        repeats=1,
    )
    assert row.seconds is not None
    row.seconds *= DRAWS / SCIPY_DRAWS
    row.fastest = row.slowest = None
    quality = row.details = resample_quality(problem, np.array(refits), weights)
    row.notes = f"extrapolated from {SCIPY_DRAWS}, one start each; {said(quality)}"
    return [*rows, row]


def resample_quality(problem: Problem, theirs: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """How far SciPy's objectives lie above isogloss's on the same resamples, as fractions."""
    lower, upper = problem.layout.bounds(problem.loss)
    found = solve(problem, problem.layout.starts(STARTS, problem.loss, np.random.default_rng(0)), lower, upper)
    starts = np.repeat(found.z[found.best()][None], len(weights), axis=0)
    ours = solve(problem, starts, lower, upper, weights=weights, effort=QUICK).value
    return excess_of(theirs, ours)


# --- the published replication ------------------------------------------------------------------------------------


def replication_row(problem: Problem, python: str) -> Row:
    """Its bootstrap, on resamples that isogloss refits too."""
    what = f"replication's method, {DRAWS:,} resamples"
    lower, upper = problem.layout.bounds(problem.loss)
    found = solve(problem, problem.layout.starts(STARTS, problem.loss, np.random.default_rng(0)), lower, upper)
    z = found.z[found.best()]
    law = problem.layout.to_law(values_at(problem, z))
    best = [*np.log([float(getattr(law, n)) for n in ("A", "B", "E")]), float(law.alpha), float(law.beta)]  # type: ignore[attr-defined]
    samples = np.random.default_rng(2).integers(0, problem.rows, (REPLICATION_DRAWS, problem.rows))
    given = {**{k: problem.columns[k].tolist() for k in "ND"}, "loss": problem.loss.tolist()}
    given |= {"start": best, "samples": samples.tolist()}
    script = Path(__file__).with_name("peer_replication.py")
    done = subprocess.run([python, str(script)], input=json.dumps(given), capture_output=True, text=True)
    if done.returncode:
        return Row(what, None, notes=f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "missing" in answer:
        return Row(what, None, notes=answer["missing"])
    weights = np.array([np.bincount(rows, minlength=problem.rows) for rows in samples]).astype(float)
    starts = np.repeat(z[None], len(weights), axis=0)
    ours = solve(problem, starts, lower, upper, weights=weights, effort=QUICK).value
    quality = excess_of(np.array(answer["objectives"]), ours)
    notes = f"extrapolated from {REPLICATION_DRAWS}; {said(quality)}"
    return Row(what, answer["seconds"] * DRAWS / REPLICATION_DRAWS, repeats=1, notes=notes, details=quality)


def excess_of(theirs: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    """How far their objectives lie above isogloss's on the same resamples, as fractions."""
    excess = theirs / ours - 1
    return {
        "median_excess": float(np.median(excess)),
        "largest_excess": float(excess.max()),
        "smallest_excess": float(excess.min()),
    }


def said(quality: dict[str, float]) -> str:
    return (
        f"objectives against isogloss's on the same resamples: {quality['smallest_excess']:+.0e} to "
        f"{quality['largest_excess']:+.0e}, median {quality['median_excess']:+.0e}"
    )


# --- the PyPI package -----------------------------------------------------------------------------------------


def package_row(problem: Problem, python: str) -> Row:
    points = {"N": problem.columns["N"].tolist(), "D": problem.columns["D"].tolist(), "loss": problem.loss.tolist()}
    script = Path(__file__).with_name("peer_chinchilla.py")
    done = subprocess.run([python, str(script)], input=json.dumps(points), capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Row("PyPI chinchilla, its own grid", None, notes=f"failed: {last}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "missing" in answer:
        return Row("PyPI chinchilla, its own grid", None, notes="not installed")
    c = answer["coefficients"]
    x = np.array([np.log(c["A"]), c["alpha"], np.log(c["B"]), c["beta"], np.log(c["E"])])
    logs = (np.log(problem.columns["N"]), np.log(problem.columns["D"]), np.log(problem.loss))
    value, _ = objective_and_gradient(x, *logs, np.ones(problem.rows))
    notes = f"version {answer['version']}, the {answer['starts']:,} starts of its documentation, all cores"
    return Row(f"PyPI chinchilla, {answer['starts']:,} starts", answer["seconds"], None, None, 1, value, notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and nothing is written")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has `chinchilla`")
    asked = parser.parse_args()
    repeats = 1 if asked.quick else 5
    path = points_file()
    table = read_runs(path, where="use=1")
    problem = problem_of(table)
    rows = isogloss_rows(table, problem, repeats)
    best = rows[0].objective
    assert best is not None
    rows += [*process_rows(path, repeats), *scipy_rows(problem, repeats, best)]
    rows += [replication_row(problem, asked.peer_python), package_row(problem, asked.peer_python)]
    show(f"Chinchilla law, {problem.rows} points, Huber delta {DELTA:g} on log loss, summed", rows)
    if not asked.quick:
        write("fit_speed", rows)


if __name__ == "__main__":
    main()
