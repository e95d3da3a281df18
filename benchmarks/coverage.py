"""Whether intervals hold the truth as often as they say, in simulated studies whose truth is known.

    python benchmarks/coverage.py [--quick] [--studies 300] [--only NAME,NAME] [--methods NAME,NAME]

Every study is a design (sizes, tokens, checkpoints), a truth and a noise; its losses are drawn and fitted many times.
Noise is on log loss: an effect that a run's checkpoints share, and errors that neighbouring checkpoints of a run
share in part, with heavy tails or Gaussian. Quantities are the law's coefficients, its parameter and data terms at the
runs' centre, the loss at ten times the largest compute on the frontier, and N* there. Intervals are at 90 %.
Results are added to benchmarks/results/coverage.json, so that slow methods can be run on their own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import coverage_languages
import numpy as np
import polars as pl
from measure import RESULTS, setting

from isogloss.fitting.bootstrap import resample
from isogloss.fitting.frontier import evaluate, frontier
from isogloss.fitting.health import distinct_optima, values_at
from isogloss.fitting.intervals import choose, draw
from isogloss.fitting.laplace import root
from isogloss.fitting.layout import make_layout
from isogloss.fitting.objective import HuberLogLoss, Objective, SquaredLogLoss
from isogloss.fitting.problem import Problem
from isogloss.fitting.rows import rows_for
from isogloss.fitting.sandwich import relieved, restricted_inverse, summed_by_run
from isogloss.fitting.solve import QUICK, solve
from isogloss.fitting.solved import Solved
from isogloss.laws import get_law
from isogloss.numerics import jnp
from isogloss.runs import read_runs

LEVEL = 0.9
DRAWS = 500
# Where the recommended intervals have to be.
ACCEPTED = (0.86, 0.94)


class Study(Protocol):
    """A simulated study: what is true, and what each method says of it when its losses are drawn from `seed`."""

    @property
    def name(self) -> str: ...

    @property
    def truth(self) -> dict[str, float]: ...

    @property
    def methods(self) -> tuple[str, ...]:
        """What it is measured for unless told otherwise."""
        ...

    def about(self) -> dict[str, Any]:
        """What the results say of the design."""
        ...

    def drawn(self, seed: int, methods: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """By method, then by quantity: draws `(draws,)`."""
        ...


# --- noise --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noise:
    """Errors of log loss with standard deviation `total`, of whose variance `shared` is a run's own."""

    about: str
    total: float
    shared: float = 0.5
    correlation: float = 0.5
    """Between neighbouring checkpoints, beyond what the run shares."""
    freedom: float | None = 3.0
    """Degrees of freedom of Student's t, for the runs' effects and the checkpoints' errors; None: Gaussian."""
    uneven: float = 1.0
    """How many times larger errors are at the least compute than at the most."""

    def draw(self, run: np.ndarray, compute: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Errors `(rows,)`; rows of one run are neighbours, in order of tokens."""
        effect = self._unit(int(run.max()) + 1, rng)[run]
        innovation = self._unit(len(run), rng)
        along = np.zeros(len(run))
        for i in range(len(run)):
            first = i == 0 or run[i] != run[i - 1]
            kept = 0.0 if first else self.correlation
            along[i] = kept * along[i - 1] + np.sqrt(1 - kept**2) * innovation[i]
        small = np.log(compute.max() / compute) / np.log(compute.max() / compute.min())
        unit = np.sqrt(self.shared) * effect + np.sqrt(1 - self.shared) * along
        return self.total * self.uneven**small * unit

    def _unit(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if self.freedom is None:
            return rng.normal(size=count)
        return rng.standard_t(self.freedom, count) / np.sqrt(self.freedom / (self.freedom - 2))


NOISES = {
    "heavy": Noise("Student's t with 3 degrees of freedom, 0.6 %", 0.006),
    "quiet": Noise("Gaussian, 0.2 %", 0.002, freedom=None),
}
UNEVEN = Noise(
    "Student's t with 3 degrees of freedom, 0.3 % at the most compute to 1.2 % at the least", 0.003, uneven=4.0
)


# --- designs ------------------------------------------------------------------------------------------------------

CHINCHILLA = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2144.0, "beta": 0.367}
HOFFMANN = {"E": 1.69, "A": 406.4, "alpha": 0.3392, "B": 410.7, "beta": 0.2849}
K_LAW = {"E": 1.1, "A": 400.0, "alpha": 0.34, "phi": 0.11, "B": 600.0, "beta": 0.29, "psi": -0.04}


def checkpoints(N: np.ndarray, D: np.ndarray, most: int, rng: np.random.Generator, **more: np.ndarray) -> pl.DataFrame:
    """Each run of N parameters and D tokens with one to `most` checkpoints, the last at its end."""
    rows = []
    for run, (n, d) in enumerate(zip(N, D, strict=True)):
        earlier = np.sort(rng.uniform(0.25, 0.9, rng.integers(0, most)))
        for fraction in [*earlier, 1.0]:
            rows.append({"run_id": f"run{run:03}", "N": n, "D": d * fraction, **{k: v[run] for k, v in more.items()}})
    return pl.DataFrame(rows)


def scattered(runs: int, sizes: tuple[float, float, int], ratios: tuple[float, float], seed: int) -> pl.DataFrame:
    """Runs of a few sizes whose tokens per parameter are scattered, as in a study that grew over time."""
    rng = np.random.default_rng(seed)
    N = np.resize(np.geomspace(*sizes), runs)
    # Stratified, so that no size has all its runs at one end.
    level = (rng.permutation(runs) + rng.random(runs)) / runs
    D = N * ratios[0] * (ratios[1] / ratios[0]) ** level
    return checkpoints(N, D, 5, rng)


def even_mixtures(sizes: tuple[float, float, int], seed: int) -> pl.DataFrame:
    """English among 1 to 50 evenly sampled languages, two budgets of tokens for each size and mixture."""
    rng = np.random.default_rng(seed)
    N, K, long = (a.ravel() for a in np.meshgrid(np.geomspace(*sizes), [1, 2, 4, 8, 20, 50], [0, 1], indexing="ij"))
    D = N * np.where(long > 0, 120.0, 25.0) * np.exp(rng.normal(0, 0.3, len(N)))
    names = [f"l{i:02}" for i in range(50)]
    shares = {f"share:{name}": np.where(i < K, 1 / K, 0.0) for i, name in enumerate(names)}
    return checkpoints(N, D, 3, rng, **shares).with_columns(target=pl.lit(names[0]))


@dataclass(frozen=True)
class LawStudy:
    """One law fitted to one table of runs."""

    name: str
    law: str
    true: dict[str, float]
    design: pl.DataFrame
    noise: Noise
    objective: Objective = field(default_factory=HuberLogLoss)
    methods: tuple[str, ...] = ("bootstrap", "wild", "laplace")
    parts: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        law = get_law(self.law)
        rows = rows_for(law, read_runs(self.design.with_columns(loss=pl.lit(2.0))))
        layout, held = make_layout(law)
        tokens = rows.columns["D" if "D" in rows.columns else "D_target"]
        centres = np.array([np.log(rows.columns["N"]).mean(), np.log(tokens).mean()])
        values = np.array([self.true[n] for n in layout.names])[None]
        columns = {k: jnp.asarray(v) for k, v in rows.columns.items()}
        loss = np.asarray(evaluate(layout, jnp.asarray(values), columns))[0]
        budget = np.array([10 * float((6 * rows.columns["N"] * tokens).max())])
        N, D = (a[0] for a in frontier(layout, values, budget))
        self.parts.update(
            problem=Problem(layout, self.objective, rows.columns, loss, held, centres),
            run=rows.run,
            compute=rows.columns["N"] * tokens,
            values=values,
            budget=budget,
            beyond={"N": jnp.asarray(N), "D": jnp.asarray(D), "D_target": jnp.asarray(D), "K": jnp.asarray([4.0])},
        )

    @property
    def truth(self) -> dict[str, float]:
        return {name: float(v[0]) for name, v in self.quantities(self.parts["values"]).items()}

    def quantities(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Each `(draws,)`, of raw `values` `(draws, slots)`."""
        layout, centres = self.parts["problem"].layout, self.parts["problem"].centres
        by_name = {n: values[:, i] for i, n in enumerate(layout.names)}
        by_name["A term"] = by_name["A"] * np.exp(-by_name["alpha"] * centres[0])
        by_name["B term"] = by_name["B"] * np.exp(-by_name["beta"] * centres[1])
        at = {c: self.parts["beyond"][c] for c in layout.law.columns}
        by_name["loss at 10 C"] = np.asarray(evaluate(layout, jnp.asarray(values), at))[:, 0]
        by_name["N* at 10 C"] = frontier(layout, values, self.parts["budget"])[0][:, 0]
        return by_name

    def about(self) -> dict[str, Any]:
        return {
            "law": self.law,
            "truth": self.true,
            "runs": int(self.parts["run"].max()) + 1,
            "rows": self.parts["problem"].rows,
            "noise": self.noise.about,
            "objective": self.objective.name,
            "budget": float(self.parts["budget"][0]),
            "auto": choose("auto", int(self.parts["run"].max()) + 1, len(self.parts["problem"].layout.free)),
        }

    def drawn(self, seed: int, methods: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        solved = self.solved(seed)
        found = {}
        for method in methods:
            rng = np.random.default_rng([seed, 9])
            made = OTHERS[method] if method in OTHERS else lambda s, n, r, m=method: draw(m, s, n, r)
            found[method] = self.quantities(values_at(solved.problem, made(solved, DRAWS, rng)))
        return found

    def solved(self, seed: int) -> Solved:
        """The fit to losses drawn from `seed`."""
        rng = np.random.default_rng([seed, 7])
        made: Problem = self.parts["problem"]
        problem = replace(made, loss=made.loss * np.exp(self.noise.draw(self.parts["run"], self.parts["compute"], rng)))
        lower, upper = problem.layout.bounds(problem.loss)
        solutions = solve(problem, problem.layout.starts(32, problem.loss, rng), lower, upper)
        return Solved(problem, self.parts["run"], distinct_optima(solutions), lower, upper)


# --- methods that isogloss does not offer, kept to show why ---------------------------------------------------


def rows_drawn(solved: Solved, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The bootstrap that takes checkpoints for independent."""
    return resample(replace(solved, run=np.arange(solved.problem.rows)), draws, rng)


def wild_uncorrected(solved: Solved, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Residuals as they are, without taking leverage out, and percentiles as they are."""
    errors = solved.sandwich().residuals
    fitted, objective = solved.fitted(), solved.problem.objective
    signs = rng.choice([-1.0, 1.0], size=(draws, solved.runs))[:, solved.run]
    made = [replace(solved.problem, loss=objective.observed(fitted, errors * s)) for s in signs]
    starts = np.repeat(solved.z[None], draws, axis=0)
    return solve(made, starts, solved.lower, solved.upper, which=np.arange(draws), effort=QUICK).z


def laplace_uncorrected(solved: Solved, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The sandwich as it is, and normal quantiles."""
    steps = rng.normal(size=(draws, len(solved.z))) @ root(solved.sandwich().covariance()).T
    return solved.inside(solved.z + steps)


def laplace_half(solved: Solved, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The sandwich freed of half the leverage (CR2), and Student's t of the runs left over."""
    found = solved.sandwich()
    gradients = summed_by_run(relieved(found, found.pull, power=0.5), found)
    inverse = restricted_inverse(found.information, found.moving)
    freedom = max(found.runs - int(found.moving.sum()), 1)
    steps = rng.normal(size=(draws, len(solved.z))) @ root(inverse @ (gradients.T @ gradients) @ inverse).T
    return solved.inside(solved.z + steps * np.sqrt(freedom / rng.chisquare(freedom, size=draws))[:, None])


OTHERS: dict[str, Callable[[Solved, int, np.random.Generator], np.ndarray]] = {
    "bootstrap of rows": rows_drawn,
    "wild, uncorrected": wild_uncorrected,
    "laplace, uncorrected": laplace_uncorrected,
    "laplace, CR2 and t": laplace_half,
}


# --- the measurement ----------------------------------------------------------------------------------------------


def studies() -> list[Study]:
    designs = [
        ("chinchilla, 40 runs", "chinchilla", CHINCHILLA, scattered(40, (5e7, 3e9, 7), (4, 150), 1)),
        ("chinchilla, 14 runs", "chinchilla", CHINCHILLA, scattered(14, (5e7, 2e9, 5), (4, 150), 2)),
        ("chinchilla, 56 runs, other truth", "chinchilla", HOFFMANN, scattered(56, (3e7, 6e9, 8), (3, 80), 3)),
        ("chinchilla, 22 runs, other truth", "chinchilla", HOFFMANN, scattered(22, (3e7, 3e9, 6), (3, 80), 5)),
        ("chinchilla, 9 runs", "chinchilla", CHINCHILLA, scattered(9, (5e7, 2e9, 4), (4, 150), 6)),
        ("k-law, 48 runs", "k-law", K_LAW, even_mixtures((5e7, 3e9, 4), 4)),
    ]
    huber = [
        LawStudy(f"{name}, {noise}", law, truth, design, NOISES[noise])
        for name, law, truth, design in designs
        for noise in NOISES
    ]
    squared = [
        LawStudy(f"{name}, {noise}, squared-log", law, truth, design, NOISES[noise], SquaredLogLoss())
        for (name, law, truth, design), noise in zip(designs[:2], NOISES, strict=True)
    ]
    uneven = [LawStudy(f"{name}, uneven", law, truth, design, UNEVEN) for name, law, truth, design in designs[:2]]
    return [*huber, *squared, *uneven, *coverage_languages.studies()]


def measure(study: Study, methods: Sequence[str], count: int) -> dict[str, dict[str, dict[str, float]]]:
    """By method and quantity: how often the interval held the truth, where it lay if not, and its width."""
    truth = study.truth
    ends: dict[str, dict[str, list[np.ndarray]]] = {m: {q: [] for q in truth} for m in methods}
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    for seed in range(count):
        for method, drawn in study.drawn(seed, methods).items():
            for quantity in truth:
                ends[method][quantity].append(np.percentile(drawn[quantity], tails))
    return {m: _averaged({q: _counted(np.array(ends[m][q]), truth[q]) for q in truth}) for m in methods}


def _averaged(counted: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Over the languages of a study, "alpha, eng_Latn", and over the sources of one coefficient, "tau[1]"."""
    alike: dict[str, list[dict[str, float]]] = {}
    for name, found in counted.items():
        alike.setdefault(name.split(", ")[0].split("[")[0], []).append(found)
    return {
        name: {key: float(f"{np.mean([f[key] for f in of]):.4g}") for key in of[0]} | _range(of)
        for name, of in alike.items()
    }


def _range(of: list[dict[str, float]]) -> dict[str, float]:
    """How unlike languages are, where there are several; their errors are of one simulation and not independent."""
    covered = [f["coverage"] for f in of]
    return {"least": min(covered), "most": max(covered)} if len(of) > 1 else {}


def _counted(ends: np.ndarray, truth: float) -> dict[str, float]:
    """Of intervals `(studies, 2)`."""
    above, below = float((truth < ends[:, 0]).mean()), float((truth > ends[:, 1]).mean())
    held = 1 - above - below
    return {
        "coverage": round(held, 4),
        "error": round(float(np.sqrt(held * (1 - held) / len(ends))), 4),
        "interval_above_truth": round(above, 4),
        "interval_below_truth": round(below, 4),
        "median_width_relative": float(f"{np.median(ends[:, 1] - ends[:, 0]) / abs(truth):.4g}"),
    }


def show(name: str, found: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"\n{name}: coverage in % (interval above / below the truth), median width relative to the truth")
    quantities = list(next(iter(found.values())))
    print(f"{'':22}" + "".join(f"{q:>22}" for q in quantities))
    for method, of in found.items():
        cells = [
            f"{100 * v['coverage']:.0f} ({100 * v['interval_above_truth']:.0f}/"
            f"{100 * v['interval_below_truth']:.0f}) {v['median_width_relative']:.3f}"
            for v in of.values()
        ]
        print(f"{method:22}" + "".join(f"{c:>22}" for c in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 studies each, and nothing is written")
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--only", default="", help="studies whose names begin so, separated by semicolons")
    parser.add_argument("--methods", default="", help="by default bootstrap, wild and laplace, or the joint ones")
    asked = parser.parse_args()
    count = 20 if asked.quick else asked.studies
    chosen = [m.replace("_", ", ") for m in asked.methods.split(",") if m]
    for study in studies():
        if not study.name.startswith(tuple(asked.only.split(";"))):
            continue
        begin = time.perf_counter()
        found = measure(study, chosen or study.methods, count)
        show(study.name, found)
        if not asked.quick:
            _add(study, found, count, time.perf_counter() - begin)


def _add(study: Study, found: dict[str, Any], count: int, seconds: float) -> None:
    """Put the results beside those of other methods in the same file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "coverage.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"studies": {}}
    entry = kept["studies"].setdefault(study.name, {"methods": {}})
    entry |= {**study.about(), "truth_of": study.truth}
    for method, of in found.items():
        entry["methods"][method] = {"studies": count, "draws": DRAWS, "quantities": of}
    kept |= {"command": "python benchmarks/coverage.py", "level": LEVEL, "accepted": ACCEPTED, "setting": setting()}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{seconds:.0f} s for {count} studies; added to benchmarks/results/{path.name}", flush=True)


if __name__ == "__main__":
    main()
