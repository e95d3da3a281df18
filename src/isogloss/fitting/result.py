"""Fit: the frozen answer of a fit. It predicts, summarises, saves and loads; it never fits."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.display import Shown
from isogloss.errors import InputError
from isogloss.fitting import drawn
from isogloss.fitting.choices import Choices
from isogloss.fitting.frontier import evaluate, frontier, has_frontier, is_power_law
from isogloss.fitting.health import Health
from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import get_objective
from isogloss.fitting.points import points_for
from isogloss.laws.base import Law
from isogloss.numerics import jnp
from isogloss.runs import LeftOut, RunTable

SCHEMA = 1
MARKER = "fit.json"


class FitStatus(enum.Enum):
    """How a fit ended. Each value is the message that the user sees."""

    GOOD = "converged: starts agree, no coefficient on a bound, every coefficient determined"
    WEAK = "converged, but the runs do not determine every coefficient: read the warnings"
    DOUBTFUL = "few starts reach the best objective: a better optimum may exist"


def status_of(health: Health) -> FitStatus:
    if health.agree < max(2, health.starts // 20):
        return FitStatus.DOUBTFUL
    weak = health.bounds_hit or health.entangled or any(not p.determined for p in health.profiles)
    return FitStatus.WEAK if weak else FitStatus.GOOD


@dataclass(frozen=True)
class Estimate:
    """One coefficient in raw units (N and D as counts). `low`, `high` are None where held or without draws."""

    name: str
    value: float
    low: float | None
    high: float | None
    held: bool
    meaning: str


@dataclass(frozen=True)
class Fit(Shown):
    layout: Layout
    law: Law
    coefficients: tuple[Estimate, ...]
    draws: np.ndarray
    """Draws of all coefficients, raw `(draws, slots)`, in the order of `coefficients`."""
    intervals: str
    """The kind of interval that the draws are of, a name of `isogloss.fitting.intervals`."""
    level: float
    objective_name: str
    objective: float
    status: FitStatus
    health: Health
    rows: pl.DataFrame
    params: str
    unit: str
    source: str
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    starts: int
    seed: int
    choices: Choices | None = None
    """What other choices give, where the fit was asked for them."""
    named: tuple[tuple[str, str], ...] = ()
    """The law's own columns that the table has under other names."""

    def __repr__(self) -> str:
        values = ", ".join(f"{e.name}={e.value:.4g}" for e in self.coefficients)
        return f"<Fit {self.law.name} to {self.source}: {values}; {self.rows.height} rows, {self.status.name}>"

    def summary(self) -> pl.DataFrame:
        """One row per coefficient: value, interval, whether it was held, and what it means."""
        return pl.DataFrame([asdict(e) for e in self.coefficients], infer_schema_length=None)

    def predict(self, columns: Any = None, **named: Any) -> pl.DataFrame:
        """Expected loss with its interval, in the unit of the fit, one row per point.

        Takes the law's columns by name, scalars or arrays that broadcast, `fit.predict(N=1e9, D=[2e10, 4e10])`,
        or as a mapping or any data frame.
        `low` to `high` is the interval of the law's own loss; `run_low` to `run_high` is where one run's loss lies,
        which scatters about it as the rows of the fit do. Neither knows how far the law is wrong beyond those.
        """
        given = points_for(type(self.law), self.layout.sources, columns, named, self.layout.languages)
        point = self.point(**{c: given[c] for c in self.law.columns})
        low, high = self._interval(given)
        shown = {k: v for k, v in given.items() if v.ndim == 1}
        found = {**shown, "loss": point, "low": low, "high": high}
        run_low, run_high = (None, None) if low is None or high is None else self._of_a_run(point, low, high)
        return pl.DataFrame({**found, "run_low": run_low, "run_high": run_high})

    def predict_runs(self, runs: RunTable | Any, *, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
        """Expected losses of the runs of a table (a RunTable, or what `read_runs` takes, also without losses), one row
        for each row that has the law's columns: what names it, `observed` where there is one, and what `predict` says.

        `columns` is as in `read_runs`. Raises InputError where a column of the law is missing.
        """
        from isogloss.fitting.predicting import predict_runs

        return predict_runs(self, runs, columns)

    def point(self, **named: Any) -> np.ndarray:
        """Expected loss `(rows,)` without intervals."""
        given = points_for(type(self.law), self.layout.sources, None, named, self.layout.languages)
        columns = {c: jnp.asarray(given[c]) for c in self.law.columns}
        return np.asarray(evaluate(self.layout, jnp.asarray(self.values)[None], columns))[0]

    def _interval(self, given: dict[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
        if not len(self.draws):
            return None, None
        columns = {c: jnp.asarray(given[c]) for c in self.law.columns}
        low, high = np.percentile(
            np.asarray(evaluate(self.layout, jnp.asarray(self.draws), columns)), self._tails(), axis=0
        )
        return low, high

    def _of_a_run(self, point: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends of where one run's loss lies: of the law's interval and, in quadrature, of the rows' scatter."""
        objective = get_objective(self.objective_name)
        missed = np.abs(np.asarray(objective.residual(self.rows["predicted"].to_numpy(), self.rows["loss"].to_numpy())))
        spare = len(missed) - sum(not e.held for e in self.coefficients)
        # A fit goes nearer to its own rows than to others; with none to spare nothing is known of the scatter.
        scatter = np.quantile(missed, self.level) * np.sqrt(len(missed) / spare) if spare > 0 else np.nan
        below, above = (np.asarray(objective.residual(end, point)) for end in (low, high))
        ends = (np.hypot(below, scatter), -np.hypot(above, scatter))
        run_low, run_high = (np.asarray(objective.observed(point, end)) for end in ends)
        return run_low, run_high

    @property
    def values(self) -> np.ndarray:
        return np.array([e.value for e in self.coefficients])

    def _tails(self) -> list[float]:
        tail = 50 * (1 - self.level)
        return [tail, 100 - tail]

    @property
    def has_frontier(self) -> bool:
        """Whether the law has the coefficients that set the compute-optimal frontier, and the runs tell them."""
        return has_frontier(self.layout) and not {"A", "alpha", "B", "beta"} & set(self.health.entangled)

    def optimum(self, C: Sequence[float] | np.ndarray, *, intervals: bool = True) -> pl.DataFrame:
        """Compute-optimal N* and D* at budgets `C` (FLOPs, 6 N D), with intervals, for text seen once.

        Raises InputError for a law without A, alpha, B, beta, or where the runs cannot tell them apart.
        """
        if not self.has_frontier:
            raise InputError(self.why_no_frontier())
        C = np.asarray(C, float)
        N, D = frontier(self.layout, self.values[None], C)
        frame = {"C": C, "N": N[0], "D": D[0], "tokens_per_parameter": D[0] / N[0]}
        if len(self.draws) and intervals:
            for name, drawn in zip("ND", frontier(self.layout, self.draws, C), strict=True):
                low, high = np.percentile(drawn, self._tails(), axis=0)
                frame |= {f"{name}_low": low, f"{name}_high": high}
        return pl.DataFrame(frame)

    def why_no_frontier(self) -> str:
        lost = [n for n in ("A", "alpha", "B", "beta") if n in self.health.entangled]
        if lost:
            return f"no compute-optimal size: these runs cannot tell {' and '.join(lost)}"
        if {"A", "alpha", "B", "beta"} <= {e.name for e in self.coefficients}:
            return f"no compute-optimal size: law {self.law.name} does not say that it has one (frontier = True)"
        return f"no compute-optimal size: law {self.law.name} has no A, alpha, B and beta"

    def exponents(self) -> tuple[Estimate, ...]:
        """a and b of N* = C^a and D* = C^b with intervals, a = beta / (alpha + beta).

        Empty for a law whose frontier is not a power law, such as the data-constrained one.
        """
        if not is_power_law(self.layout):
            return ()
        values, drawn = self._named(self.values[None]), self._named(self.draws)
        out = []
        for name, over in (("a", "beta"), ("b", "alpha")):
            point = float((values[over] / (values["alpha"] + values["beta"]))[0])
            low = high = None
            if len(self.draws):
                sample = drawn[over] / (drawn["alpha"] + drawn["beta"])
                low, high = (float(v) for v in np.percentile(sample, self._tails()))
            out.append(Estimate(name, point, low, high, False, f"{'N' if name == 'a' else 'D'}* grows as C^{name}"))
        return tuple(out)

    def default_budgets(self) -> list[float]:
        """The largest compute among the runs, and ten and a hundred times that, to two digits."""
        tokens = self.rows["D" if "D" in self.rows.columns else "D_target"].to_numpy()
        largest = float((6 * self.rows["N"].to_numpy() * tokens).max())
        return [float(f"{largest * factor:.1e}") for factor in (1, 10, 100)]

    def iso_flop(self, C: Sequence[float] | None = None) -> pl.DataFrame:
        """Loss against size at equal compute: C, N, D and loss with its interval (low, high), for text seen once.

        `C` in FLOPs (6 N D); by default the budgets at which the runs lie. Raises InputError for a law that is no
        function of N and D alone.
        """
        return drawn.iso_flop(self, C)

    def iso_flop_minima(self, C: Sequence[float] | None = None) -> pl.DataFrame:
        """The minimum of each curve of `iso_flop`: the columns of `optimum`, and loss, loss_low and loss_high there.

        Raises InputError where `optimum` does.
        """
        return drawn.iso_flop_minima(self, C)

    def correlations(self) -> pl.DataFrame:
        """How the draws of each two fitted coefficients move together: one, other, correlation.

        Of logarithms where a coefficient is positive, as it is fitted; empty without draws.
        """
        return drawn.correlations(self)

    def _named(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return {e.name: values[:, i] for i, e in enumerate(self.coefficients)}

    def to_dict(self) -> dict[str, Any]:
        """The whole answer but draws and rows, with the keys that `isogloss fit --json` documents."""
        return {
            "schema": SCHEMA,
            "law": self.law.name,
            "law_source": self.law.source,
            "law_file": {"reference": self.law.file, "sha256": self.law.file_hash} if self.law.file else None,
            "columns": list(self.law.columns),
            "coefficients": {
                e.name: {"value": e.value, "low": e.low, "high": e.high, "held": e.held, "meaning": e.meaning}
                for e in self.coefficients
            },
            "level": self.level,
            "objective": self.objective,
            "objective_name": self.objective_name,
            "status": self.status.name.lower(),
            "status_message": self.status.value,
            "health": asdict(self.health),
            "derived": self._derived(),
            "correlations": self.correlations().to_dicts(),
            "choices": self.choices.to_dict() if self.choices else None,
            "rows_used": self.rows.height,
            "rows_left_out": [asdict(r) for r in self.left_out],
            "params": self.params,
            "unit": self.unit,
            "source": self.source,
            "draws": len(self.draws),
            "intervals": self.intervals,
            "starts": self.starts,
            "seed": self.seed,
            "sources": list(self.layout.sources),
            "mixture_names": list(self.layout.languages),
            "named": dict(self.named),
            "switches": dict(self.layout.switches),
            "warnings": list(self.warnings),
        }

    def _derived(self) -> dict[str, Any]:
        if not self.has_frontier:
            return {}
        return {
            "exponents": {e.name: {"value": e.value, "low": e.low, "high": e.high} for e in self.exponents()},
            "optimum": self.optimum(self.default_budgets()).to_dicts(),
            "iso_flop": self.iso_flop_minima().to_dicts() if drawn.over_N_and_D(self) else [],
        }

    def save(self, folder: str | Path) -> Path:
        """Write fit.json, draws.parquet and rows.parquet into `folder`, whole or not at all."""
        from isogloss.fitting.store import save_fit

        return save_fit(self, folder)
