"""How fast a plan is found, and whether a general solver finds a better one.

    python benchmarks/plan_speed.py [--quick]

Times `isogloss plan` as a user starts it, for 5 and for 100 languages; the search alone beside SciPy's SLSQP on the
same problem: the same loss and its exact gradient, the same starts, bounds and range of N; whole plans of 10 to 400
languages, under published and under predicted transfer weights, with and without draws, in seconds of CPU beside those
of the clock; and 400 languages as a process with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, Row, cold, show, timed, write
from scipy.optimize import minimize

from isogloss import languages, plan
from isogloss.laws import Atlas
from isogloss.numerics import jax, jnp
from isogloss.planning.allocate import Allocation, Allocator, capped_losses, starting_mixtures
from isogloss.planning.constraints import Box, box_of, constraints_of, feasible, into_box
from isogloss.planning.evidence import ground
from isogloss.planning.question import read_question

EXAMPLES = ("baltic", "hundred")
SIZES = (10, 50, 100, 200, 400)
TRANSFER = ("published", "predicted")


@dataclass(frozen=True)
class Task:
    """What `plan` optimises for one question, made of the package's own parts."""

    allocator: Allocator
    box: Box
    starts: list[np.ndarray]
    D_start: float

    def search(self) -> Allocation:
        return self.allocator.best(self.box, self.starts, self.D_start)


def task_of(path: Path) -> Task:
    asked = read_question(path)
    basis, C = ground(asked), asked.budget.C
    box = box_of(constraints_of(asked, basis.U), len(basis.U))
    if (box.share_low > 0).any() or (box.share_high < 1).any():
        raise SystemExit(f"{path.name} bounds shares, which this benchmark does not pass on to SLSQP")
    box = feasible(box, C)
    allocator = Allocator(basis.law, basis.text, basis.weights, C, math.log(asked.assumptions.vocabulary))
    D_start = float(np.clip(math.sqrt(C / 6 * 50), C / 6 / box.N_high, C / 6 / box.N_low))
    starts = starting_mixtures(basis.U, D_start, asked.limits.max_epochs, extra=4, seed=0)
    return Task(allocator, box, starts, D_start)


@partial(jax.jit, static_argnums=5)
@jax.value_and_grad
def _objective(x: Any, law: Atlas, U: Any, weights: Any, C: float, ceiling: float) -> Any:
    tokens = jnp.exp(x)
    return weights @ capped_losses(law, U, ceiling, tokens, C / (6 * tokens.sum()))


def slsqp(task: Task) -> tuple[float, int]:
    """The least objective that SLSQP finds from every start, and how many starts report success."""
    a, box = task.allocator, task.box
    U, weights = jnp.asarray(a.U), jnp.asarray(a.weights)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = _objective(jnp.asarray(x), a.law, U, weights, a.C, a.ceiling)
        return float(f), np.asarray(g, float)

    def log_tokens(x: np.ndarray) -> float:
        return float(np.log(np.exp(x).sum()))

    def shares(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum()

    low, high = math.log(a.C / 6 / box.N_high), math.log(a.C / 6 / box.N_low)
    constraints = [
        {"type": "ineq", "fun": lambda x: log_tokens(x) - low, "jac": shares},
        {"type": "ineq", "fun": lambda x: high - log_tokens(x), "jac": lambda x: -shares(x)},
    ]
    bounds = [(0.0, math.log(t)) for t in box.tokens_high]
    best, success = math.inf, 0
    for p in task.starts:
        x = np.log(np.maximum(into_box(p, task.D_start, box) * task.D_start, 1.0))
        found = minimize(
            value_and_gradient,
            x,
            jac=True,
            method="SLSQP",
            bounds=bounds,
            constraints=constraints,
            options={"maxiter": 1000, "ftol": 1e-12},
        )
        success += bool(found.success)
        if min(c["fun"](found.x) for c in constraints) > -1e-7:
            best = min(best, float(found.fun))
    return best, success


def search_rows(name: str, task: Task, repeats: int) -> list[Row]:
    task.search()
    ours, top = timed(f"{name}, search", task.search, repeats=repeats)
    ours.objective = top.objective
    ours.notes = f"compiled; {len(top.shares)} languages; {top.agree} of {top.starts} starts agree"
    slsqp(task)
    theirs, (value, success) = timed(f"{name}, SciPy SLSQP", lambda: slsqp(task), repeats=min(repeats, 3))
    theirs.objective = value
    excess = value / top.objective - 1
    theirs.notes = (
        f"compiled; {success} of {len(task.starts)} starts report success; best is {excess:+.1e} from isogloss's"
    )
    theirs.details = {"excess": excess}
    return [ours, theirs]


def process_rows(name: str, path: Path, repeats: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        warm = folder / "warm"
        cold(["plan", path, "-o", "out"], cache=warm, folder=folder)
        row, _ = timed(
            f"{name}, process, warm cache",
            lambda: cold(["plan", path, "-o", "out"], cache=warm, folder=folder),
            repeats=repeats,
            notes="plan.json and plan.html",
        )
        rows.append(row)
        row, _ = timed(
            f"{name}, process, warm, --json",
            lambda: cold(["plan", path, "--json"], cache=warm, folder=folder),
            repeats=repeats,
            notes="no files",
        )
        rows.append(row)
        empty = iter(range(repeats))
        row, _ = timed(
            f"{name}, process, empty cache",
            lambda: cold(["plan", path, "-o", "out"], cache=folder / f"empty{next(empty)}", folder=folder),
            repeats=repeats,
            notes="plan.json and plan.html, compiling everything",
        )
        rows.append(row)
        saved = json.loads((folder / "out" / "plan.json").read_text(encoding="utf-8"))
        for row in rows:
            row.objective = saved["mean_loss"]
    return rows


def most_text(size: int) -> list[str]:
    """The languages with the most text."""
    found = ((e.code, languages.tokens_available(e.code)) for e in languages.all_languages())
    texts = {code: text.tokens for code, text in found if text is not None}
    return sorted(texts, key=lambda code: -texts[code])[:size]


def growth_rows(sizes: tuple[int, ...]) -> list[Row]:
    """Plans of the languages with the most text, under published transfer weights and under predicted ones."""
    rows = []
    for transfer, size in ((transfer, size) for transfer in TRANSFER for size in sizes):
        asked = {"budget": "1e24", "languages": most_text(size), "assumptions": {"transfer": transfer}}
        for draws in (0, 100):
            begin = time.process_time()
            row, answer = timed(
                f"{size} languages, {transfer}, {draws} draws", lambda d=draws, a=asked: plan(a, draws=d), repeats=1
            )
            row.details = {"cpu_seconds": time.process_time() - begin, "transfer": transfer}
            row.objective = answer.objective
            row.notes = f"{row.details['cpu_seconds']:.1f} s of CPU; {answer.agree} of {answer.starts} starts agree"
            rows.append(row)
            print(row.what, row.notes, flush=True)
    return rows


def cold_rows(size: int, repeats: int) -> list[Row]:
    """A whole process for so many languages under predicted weights, its cache empty."""
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        question = f'budget = "1e24"\nlanguages = {json.dumps(most_text(size))}\n'
        (folder / "question.toml").write_text(question, encoding="utf-8")
        for draws in (0, 100):
            empty = iter(range(repeats))
            row, _ = timed(
                f"{size} languages, predicted, {draws} draws, process, empty cache",
                lambda d=draws, e=empty: cold(
                    ["plan", "question.toml", "--json", "--draws", str(d)],
                    cache=folder / f"{d} {next(e)}",
                    folder=folder,
                ),
                repeats=repeats,
                notes="no files",
            )
            rows.append(row)
            print(row.what, f"{row.seconds:.1f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and nothing is written")
    repeats = 1 if parser.parse_args().quick else 5
    rows: list[Row] = []
    for name in EXAMPLES:
        path = ROOT / "examples" / f"{name}.toml"
        rows += process_rows(name, path, repeats)
        rows += search_rows(name, task_of(path), repeats)
    rows += growth_rows(SIZES[:2] if repeats == 1 else SIZES)
    rows += cold_rows(SIZES[0] if repeats == 1 else SIZES[-1], min(repeats, 3))
    show("Plans: weighted mean loss, as ATLAS prints it", rows)
    if repeats > 1:
        write("plan_speed", rows)


if __name__ == "__main__":
    main()
