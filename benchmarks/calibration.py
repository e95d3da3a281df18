"""Whether a plan's intervals hold the truth, and whether its regret falls as own runs are added, on simulated truths.

    python benchmarks/calibration.py [--truths 100] [--fits] [--quick]

Truths come from two places. "claimed": draws of laws and transfer weights as the plan without runs makes them, so that
the plan is right about what it does not know. "other": one of the laws of ATLAS's table C.1 for each language, changed
by a part of its own, with weights that ATLAS measured for other pairs, as in `design.py`: the plan knows nothing of it.

Under each truth a lab trains 0, 10, 30 or 100 runs of 20M to 300M parameters, each with three branches: every
language alone, all evenly, pairs and mixtures with 70 % of one language, in turns. Losses have the noise of
`design.py`: of seeds, 0.5 %, half of its variance shared by a run's branches, and of the law itself, 0.5 % for each
tenfold of parameters between the run and the plan. The question then names the run table (`runs = ...`).
With --fits it names fits of the runs alone instead (`fit_languages("atlas-equal", ...)`, pooled) and the weights fitted
with them, which takes much longer.

A plan's regret is its weighted mean loss under the truth over that of the truth's own best plan, less 1. Its 80 %
intervals of this regret, of its loss, and of the best N and D are counted as right where they hold the truth's.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from design import QUESTIONS, spread, truths_for
from measure import Row, write

from isogloss.errors import FitError, InputError
from isogloss.fitting import LanguageFits, fit_languages
from isogloss.laws import Atlas
from isogloss.numerics import jax, jnp
from isogloss.planning import Plan, plan, read_question
from isogloss.planning.aim import best_plan, goal_of, spending
from isogloss.planning.allocate import capped_losses
from isogloss.planning.constraints import box_of, constraints_of, feasible
from isogloss.planning.design_belief import belief_of
from isogloss.planning.design_information import Noise
from isogloss.planning.design_runs import ENDS, SKEWED
from isogloss.planning.draws import draw_laws
from isogloss.planning.evidence import Ground, ground
from isogloss.runs import read_runs
from isogloss.transfer import fitted

RUNS, FITTED = (0, 10, 30, 100), (10, 30)
SIZES, MULTIPLES = np.geomspace(2e7, 3e8, 5), (20.0, 80.0, 320.0)
LEVEL = 0.8
# Of the draws that truths are made of, none of which is the plan's own.
TRUTH_SEED = 101
FIT_DRAWS = 400
MEASURED = ("regret", "loss", "N", "D")
KINDS = ("claimed", "other")
Road = Literal["runs", "fits"]


@dataclass(frozen=True, eq=False)
class Lab:
    """Finished models: N `(n,)`, tokens and shares `(n, K)`, and the run that each belongs to."""

    N: np.ndarray
    tokens: np.ndarray
    shares: np.ndarray
    run: np.ndarray


@dataclass(frozen=True)
class Told:
    """What a plan says of itself and what the truth says of it: the interval and the true value by name."""

    low: dict[str, float]
    high: dict[str, float]
    true: dict[str, float]
    claimed: float
    """The mean regret that the plan expects of itself."""


def lab_of(runs: int, K: int, seed: int) -> Lab:
    """The same runs for every truth: mixtures in turns, sizes and lengths shuffled."""
    eye = np.eye(K)
    pairs = [(eye[i] + eye[j]) / 2 for i in range(K) for j in range(i)]
    even = [np.full(K, 1 / K)] if K > 2 else []
    skewed = [np.where(eye[i] > 0, SKEWED, (1 - SKEWED) / (K - 1)) for i in range(K)]
    mixtures = [*eye, *even, *pairs, *skewed]
    rng = np.random.default_rng(seed)
    rows = []
    sizes, multiples = (np.resize(v, runs) for v in (SIZES, MULTIPLES))
    for r, (N, multiple) in enumerate(zip(rng.permutation(sizes), rng.permutation(multiples), strict=True)):
        rows += [(N, multiple * N * part, mixtures[r % len(mixtures)], r) for part in ENDS]
    N, D, shares, run = (np.array(v) for v in zip(*rows, strict=True))
    return Lab(N, shares * D[:, None], shares, run)


@partial(jax.jit, static_argnums=2)
def _losses(law: Atlas, U: Any, ceiling: float, tokens: Any, N: Any) -> Any:
    return jax.vmap(lambda t, n: capped_losses(law, U, ceiling, t, n))(tokens, N)


class World:
    """A question, what its plan rests on, and how truths judge plans."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.question = read_question(asked)
        self.basis = ground(self.question)
        self.whole = box_of(constraints_of(self.question, self.basis.U), len(self.basis.U))
        self.ceiling = math.log(self.question.assumptions.vocabulary)
        self.before = plan(asked, level=LEVEL)

    @property
    def codes(self) -> tuple[str, ...]:
        return self.basis.languages

    def truths(self, kind: str, count: int) -> list[Atlas]:
        if kind == "claimed":
            draws = draw_laws(self.basis, count, TRUTH_SEED)
            return [draws.at(i) for i in range(count)]
        belief = belief_of(self.basis, self.question)
        found = [belief.law(theta) for theta in truths_for(belief, count, TRUTH_SEED)]
        names = ("E", "A", "alpha", "B", "beta", "tau")
        return [replace(self.basis.law, **{n: np.asarray(getattr(law, n)) for n in names}) for law in found]

    def table(self, lab: Lab, truth: Atlas, rng: np.random.Generator) -> pl.DataFrame:
        """One row for every model and language that it has seen."""
        tokens = jnp.asarray(np.maximum(lab.tokens, 1e-9))
        loss = np.asarray(_losses(truth, jnp.asarray(self.basis.U), self.ceiling, tokens, jnp.asarray(lab.N)))
        ends = len(ENDS)
        root = np.linalg.cholesky(Noise(self.before.N).of_ends(lab.N[::ends], ends))
        errors = root @ rng.standard_normal((len(root), ends, len(self.codes)))
        seen = loss * np.exp(errors.reshape(loss.shape))
        at, language = np.nonzero(lab.shares)
        columns: dict[str, Any] = {
            "run_id": [f"r{r}" for r in lab.run[at]],
            "params_total": lab.N[at],
            "tokens": lab.tokens[at].sum(axis=1),
            "target": [self.codes[i] for i in language],
            "loss": seen[at, language],
        }
        for i, code in enumerate(self.codes):
            columns |= {f"share:{code}": lab.shares[at, i], f"unique:{code}": np.full(len(at), self.basis.U[i])}
        return pl.DataFrame(columns)

    def by_runs(self, table: pl.DataFrame, folder: Path) -> Plan:
        """The plan of the question that names these runs."""
        table.with_columns(unit=pl.lit("nats/token")).write_parquet(folder / "runs.parquet")
        return plan({**self.asked, "runs": str(folder / "runs.parquet")}, level=LEVEL)

    def by_fits(self, table: pl.DataFrame, folder: Path) -> Plan:
        """The plan of the question that names fits of these runs alone."""
        sources = {code: [c for c in self.codes if c != code] for code in self.codes}
        held = {"lambda_": self.asked["assumptions"]["repetition_decay"], "tau_other": 0.0}
        runs = read_runs(table, unit="nats/token")
        return self._answered(fit_languages("atlas-equal", runs, sources=sources, fix=held, draws=FIT_DRAWS), folder)

    def _answered(self, fits: LanguageFits, folder: Path) -> Plan:
        """The plan of the question that names these fits and their weights."""
        fits.save(folder / "ours")
        matrix = fitted(fits).matrix()
        target, source = np.nonzero(matrix.kind == "fitted")
        sd = np.full(matrix.bts.shape, np.nan) if matrix.sd is None else matrix.sd
        scores = {
            "target": [matrix.languages[i] for i in target],
            "source": [matrix.languages[i] for i in source],
            "bts": matrix.bts[target, source],
            "sd": sd[target, source],
            "kind": ["fitted"] * len(target),
        }
        pl.DataFrame(scores).write_csv(folder / "weights.csv")
        languages = {code: {**self.asked["languages"][code], "fit": str(folder / "ours" / code)} for code in self.codes}
        assumptions = {**self.asked["assumptions"], "transfer": str(folder / "weights.csv")}
        return plan({**self.asked, "languages": languages, "assumptions": assumptions}, level=LEVEL)

    def judged(self, answer: Plan, truth: Atlas) -> Told:
        basis: Ground = replace(self.basis, law=truth)
        spend = spending(self.question, basis, self.whole, 0)
        box = feasible(self.whole, spend.C, spend.served)
        goal = goal_of(self.question, basis, self.whole, spend)
        problem, best = best_plan(self.question, basis, box, spend, goal, None, 0)
        loss = problem.objective(answer.N, answer.shares)
        unsure = answer.uncertainty
        if unsure is None:
            raise SystemExit("the plan has no intervals")
        own = unsure.loss @ answer.weights
        drawn = {"regret": unsure.regret, "loss": own, "N": unsure.N, "D": unsure.D}
        bounds = {name: unsure.interval(values) for name, values in drawn.items()}
        true = {"regret": max(loss / best.objective - 1, 0.0), "loss": loss, "N": best.N, "D": best.D}
        return Told(
            {name: b.low for name, b in bounds.items()},
            {name: b.high for name, b in bounds.items()},
            true,
            float(unsure.regret.mean()),
        )


def after(world: World, truths: Sequence[Atlas], runs: int, kind: str, road: Road) -> tuple[list[Told], int]:
    """What plans after so many runs tell, one for each truth, and how many studies could not be fitted."""
    if not runs:
        return [world.judged(world.before, truth) for truth in truths], 0
    lab = lab_of(runs, len(world.codes), runs)
    told, failed = [], 0
    for k, truth in enumerate(truths):
        table = world.table(lab, truth, np.random.default_rng([k, runs, kind == "other"]))
        with tempfile.TemporaryDirectory() as made:
            try:
                answer = (world.by_runs if road == "runs" else world.by_fits)(table, Path(made))
                told.append(world.judged(answer, truth))
            except (FitError, InputError) as error:
                failed += 1
                print(f"    truth {k}: {error}", flush=True)
    return told, failed


def row_of(what: str, told: Sequence[Told], failed: int, seconds: float) -> Row:
    regret = np.array([t.true["regret"] for t in told])
    held: dict[str, Any] = {}
    for name in MEASURED:
        below = np.mean([t.true[name] < t.low[name] - 1e-9 for t in told])
        above = np.mean([t.true[name] > t.high[name] + 1e-9 for t in told])
        inside = 1 - below - above
        held[name] = {
            "inside": float(inside),
            "standard_error": float(np.sqrt(inside * (1 - inside) / len(told))),
            "below": float(below),
            "above": float(above),
            "width": float(np.median([t.high[name] - t.low[name] for t in told])),
        }
    details = {
        "regret": spread(regret),
        "claimed_regret": float(np.mean([t.claimed for t in told])),
        "held": held,
        "not_fitted": failed,
    }
    inside = ", ".join(f"{name} {held[name]['inside']:.0%}" for name in MEASURED)
    print(
        f"{what}: regret mean {regret.mean():.4%} (said {details['claimed_regret']:.4%}), median "
        f"{np.median(regret):.4%}, 90 % {np.quantile(regret, 0.9):.4%}; inside: {inside}; {len(told)} truths, "
        f"{seconds:.0f} s",
        flush=True,
    )
    return Row(what, seconds, repeats=len(told), details=details)


def rows_of(counts: Sequence[int], number: int, road: Road) -> Iterator[Row]:
    for name, asked in QUESTIONS.items():
        world = World(asked)
        for kind in KINDS:
            truths = world.truths(kind, number)
            for runs in counts:
                begin = time.perf_counter()
                told, failed = after(world, truths, runs, kind, road)
                what = f"{name}, {kind}, {runs} runs" + (", by fits of them alone" if road == "fits" else "")
                yield row_of(what, told, failed, time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truths", type=int, default=100)
    parser.add_argument("--fits", action="store_true", help="fit the runs alone; into a file of its own")
    parser.add_argument("--quick", action="store_true", help="three truths and 10 runs at most, nothing written")
    options = parser.parse_args()
    if options.quick:
        list(rows_of(RUNS[:2], 3, "runs"))
    elif options.fits:
        write("calibration_fits", list(rows_of(FITTED, options.truths, "fits")))
    else:
        write("calibration", list(rows_of(RUNS, options.truths, "runs")))


if __name__ == "__main__":
    main()
