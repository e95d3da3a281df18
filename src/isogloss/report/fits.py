"""A fit as cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from isogloss.fitting.drawn import over_N_and_D
from isogloss.report.card import Card
from isogloss.report.fit_charts import (
    fit_points,
    fit_source,
    observed_chart,
    residuals_chart,
    surface_chart,
    tokens_column,
)
from isogloss.report.fit_choices import choices_card
from isogloss.report.fit_errors import errors_card
from isogloss.report.fit_findings import findings_card
from isogloss.report.fit_frontier import frontier_chart
from isogloss.report.fit_isoflop import isoflop_card
from isogloss.report.fit_pairs import pairs_card
from isogloss.report.fit_surface import surface_of
from isogloss.report.words import about, count, flops, listed, per_cent, quantity, value

if TYPE_CHECKING:
    from isogloss.fitting import Estimate, Fit
    from isogloss.runs import LeftOut

# An interval wider than this factor does not place an optimum.
WIDE = 10.0
FIRST_ROWS = 8


def fit_cards(fit: Fit) -> list[Card]:
    """The coefficients and how far to trust them, where the law is off, what it recommends, what it left out."""
    points = fit_points(fit)
    return [
        coefficients_card(fit),
        findings_card(fit),
        observed_card(fit, points),
        residuals_card(fit, points),
        *_by_language(fit),
        surface_card(fit, points),
        *([isoflop_card(fit, points)] if over_N_and_D(fit) else []),
        optimum_card(fit),
        pairs_card(fit),
        *([choices_card(fit.choices)] if fit.choices else []),
        left_out_card(fit.left_out, fit.rows.height),
    ]


def coefficients_card(fit: Fit) -> Card:
    profiles = {p.name: p for p in fit.health.profiles}
    level = f"{fit.level:.0%}".replace("%", "\u00a0%")
    columns = {
        "Coefficient": [e.name for e in fit.coefficients],
        "Value": [e.value for e in fit.coefficients],
        f"{level} interval from": [e.low for e in fit.coefficients],
        "to": [e.high for e in fit.coefficients],
        "Fits as well from": [_end(profiles.get(e.name), "low") for e in fit.coefficients],
        "up to": [_end(profiles.get(e.name), "high") for e in fit.coefficients],
        "How": ["held" if e.held else "fitted" for e in fit.coefficients],
        "Meaning": [e.meaning for e in fit.coefficients],
    }
    free = [e for e in fit.coefficients if not e.held]
    shown = [e for e in free if e.name in ("alpha", "beta")] or free[:2]
    return Card(
        id="coefficients",
        title="Coefficients",
        sentence=f"{fit.rows.height:,} rows give {listed([_with_interval(e) for e in shown])}; {_health(fit)}.",
        table=pl.DataFrame(columns, schema_overrides={f"{level} interval from": pl.Float64, "to": pl.Float64}),
        notes=_coefficient_notes(fit),
        formats={"Fits as well from": "number", "up to": "number"},
    )


def observed_card(fit: Fit, points: list[dict[str, Any]]) -> Card:
    error = fit.rows["relative_error"].abs().to_numpy()
    worst = fit.rows.row(int(np.argmax(error)), named=True)
    name = worst.get("run_id") or f"row {worst['row']}"
    half, most = np.quantile(error, [0.5, 0.9])
    return Card(
        id="observed",
        title="Predicted against observed",
        sentence=f"Half of the {fit.rows.height:,} rows are predicted to within {per_cent(half)} and nine in ten to "
        f"within {per_cent(most)}; the worst, {name}, is off by {per_cent(worst['relative_error'], signed=True)}.",
        chart=observed_chart(fit, points),
        notes=("These rows are the ones that the law was fitted to: on others it errs more.",),
        evidence=fit_source(fit),
    )


def residuals_card(fit: Fit, points: list[dict[str, Any]]) -> Card:
    tokens = tokens_column(fit)
    titles = {
        "N": "parameters N",
        tokens or "D": "training tokens D" if tokens == "D" else "tokens of the target",
        "C": "compute 6 N D, FLOPs",
        "epochs": "epochs D / U",
    }
    columns = {
        name: title for name, title in titles.items() if len({p[name] for p in points if p.get(name, 0) > 0}) > 1
    }
    if not columns:
        return Card(
            "residuals", "Residuals", "All rows have one size and one number of tokens: errors have no trend to show."
        )
    return Card(
        id="residuals",
        title="Residuals",
        sentence=_drift(points, columns),
        chart=residuals_chart(points, columns),
        notes=("A trend or a bend along an axis is what the law does not describe, and grows when it extrapolates.",),
        evidence=fit_source(fit),
    )


def _by_language(fit: Fit) -> list[Card]:
    if "target" not in fit.rows.columns or fit.rows["target"].n_unique() < 2:
        return []
    parts = fit.rows.partition_by("target", as_dict=True)
    return [errors_card({str(code): frame for (code,), frame in parts.items()}, fit.source)]


def surface_card(fit: Fit, points: list[dict[str, Any]]) -> Card:
    title = "Loss over size and tokens"
    if not over_N_and_D(fit):
        others = [c for c in fit.law.columns if c not in ("N", "D")]
        return Card(
            "surface",
            title,
            f"Loss is no surface over N and D here: law {fit.law.name} also depends on {listed(others, most=9)}.",
        )
    notes = ["Blue lines join equal loss, dashed lines equal compute (FLOPs); grey points are the runs."]
    if "U" in fit.law.columns:
        notes.append("Drawn for text seen once: as many unique tokens as the run sees.")
    if not fit.has_frontier:
        sentence = f"Loss falls in both, but there is {fit.why_no_frontier()}."
    else:
        sentence = _frontier_sentence(fit)
        notes.append("The orange line is the compute-optimal frontier, with its points at the budgets below.")
    return Card(
        "surface",
        title,
        sentence,
        chart=surface_chart(surface_of(fit), points),
        notes=tuple(notes),
        evidence=fit_source(fit),
    )


def optimum_card(fit: Fit) -> Card:
    title = "Compute-optimal size and tokens"
    if not fit.has_frontier:
        return Card("optimum", title, f"There is {fit.why_no_frontier()}.")
    frame = fit.optimum(fit.default_budgets())
    words = {
        "C": "Compute, FLOPs",
        "N": "Parameters N*",
        "N_low": "N* from",
        "N_high": "N* to",
        "D": "Tokens D*",
        "D_low": "D* from",
        "D_high": "D* to",
        "tokens_per_parameter": "Tokens per parameter",
    }
    kept = {column: header for column, header in words.items() if column in frame.columns}
    last = frame.row(1, named=True)
    largest = float(fit.rows["N"].max())  # type: ignore[arg-type]
    notes = [
        f"The first budget is the largest among the runs, the others ten and a hundred times that; the largest run has "
        f"{quantity(largest)} parameters. Intervals hold {fit.level:.0%} of the draws ({fit.intervals})."
        if len(fit.draws)
        else "The fit has no intervals: it was asked for none."
    ]
    notes.append("Shaded: compute that no run has.")
    if set(fit.law.columns) - {"N", "D"}:
        notes.append("For text seen once.")
    formats = {header: "flops" if column == "C" else "quantity" for column, header in kept.items()}
    formats["Tokens per parameter"] = "value"
    return Card(
        id="optimum",
        title=title,
        sentence=_optimum_sentence(last, largest),
        chart=frontier_chart(fit),
        table=frame.select(list(kept)).rename(kept),
        notes=tuple(notes),
        formats=formats,  # type: ignore[arg-type]
        evidence=f"{fit_source(fit)}{_banded(fit)}",
    )


def left_out_card(left_out: Sequence[LeftOut], used: int) -> Card:
    """`used` rows were not left out."""
    title = "Rows left out"
    if not left_out:
        return Card("left-out", title, f"No row was left out: all {used:,} were used.")
    reasons: dict[str, list[str]] = {}
    for item in left_out:
        reasons.setdefault(item.reason, []).append(f"{item.row} ({item.run_id})" if item.run_id else str(item.row))
    groups = sorted(reasons.items(), key=lambda group: -len(group[1]))
    table = pl.DataFrame(
        {
            "Reason": [reason for reason, _ in groups],
            "Rows": [len(which) for _, which in groups],
            "Which, by row of the file": [listed(which, most=FIRST_ROWS) for _, which in groups],
        }
    )
    return Card(
        id="left-out",
        title=title,
        sentence=_left_out_sentence(len(left_out), used, groups[0][0], len(groups[0][1])),
        table=table,
        formats={"Rows": "value"},
    )


def _left_out_sentence(left: int, used: int, reason: str, rows: int) -> str:
    text = f"{count(left, 'row')} of {left + used:,} {'was' if left == 1 else 'were'} left out"
    return f"{text}: {reason}." if rows == left else f"{text}, {rows:,} of them because of “{reason}”."


def _with_interval(estimate: Estimate, *, named: bool = True) -> str:
    name = f"{estimate.name} = " if named else ""
    if estimate.low is None or estimate.high is None:
        return f"{name}{estimate.value:.3g}"
    return f"{name}{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def _health(fit: Fit) -> str:
    """How far the coefficients can be trusted, the gravest thing first."""
    health = fit.health
    agree = "all" if health.agree == health.starts else f"{health.agree} of"
    if health.agree < max(2, health.starts // 20):
        agree = f"only {agree}"
    parts = []
    loose = [p.name for p in health.profiles if not p.determined and p.name not in health.entangled]
    if health.entangled:
        parts.append(f"the runs cannot tell {listed(health.entangled, most=9)} apart")
    if health.bounds_hit:
        parts.append(f"{listed(health.bounds_hit, most=9)} stopped on a bound")
    if loose:
        parts.append(f"{listed(loose, most=9)} {'is' if len(loose) == 1 else 'are'} poorly determined")
    starts = f"{agree} {health.starts} starts agree"
    if not parts:
        return f"{starts}, and the runs determine every coefficient"
    return f"{starts}, but {listed(parts, most=9)}"


def _banded(fit: Fit) -> str:
    return f" Bands hold {fit.level:.0%} of {count(len(fit.draws), 'draw')}." if len(fit.draws) else ""


def _end(profile: Any, side: str) -> str:
    if profile is None:
        return ""
    beyond = {"low": "below ", "high": "above "}[side] if getattr(profile, f"open_{side}") else ""
    return beyond + value(getattr(profile, side))


def _coefficient_notes(fit: Fit) -> tuple[str, ...]:
    health = fit.health
    notes = [
        f"N and D are counts; N is {fit.params.replace('_', '-')} parameters; loss is in {fit.unit}. "
        f"Law: {fit.law.source}.",
        f"Objective {fit.objective_name}, {value(fit.objective)}; {health.converged} of {health.starts} starts "
        f"converged; condition {value(health.condition)}; on a bound: {listed(health.bounds_hit, most=9)}.",
        f"{_how_drawn(fit)} “Fits as well” is the profile: values that the runs cannot rule out at 95 %, all other "
        "coefficients being refitted.",
    ]
    if health.undetermined:
        notes.append(f"No row depends on {listed(health.undetermined, most=9)}: held at a default, not fitted.")
    return tuple(notes)


def _how_drawn(fit: Fit) -> str:
    from isogloss.fitting.intervals import MEANINGS

    if not len(fit.draws):
        return "There are no intervals."
    return f"Intervals ({fit.intervals}) are ranges of {len(fit.draws):,} {MEANINGS[fit.intervals]}."


def _drift(points: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """How much the mean error moves over a tenfold of each column, against its own uncertainty."""
    slopes = {}
    for name in columns:
        at = [(np.log10(p[name]), p["relative_error"]) for p in points if p.get(name, 0) > 0]
        x, y = np.array(at).T
        # A column that rounding alone moves, such as epochs of one budget, has no slope.
        if len(x) > 3 and np.ptp(x) > 1e-6:
            fitted, covariance = np.polyfit(x, y, 1, cov=True)
            slopes[name] = (float(fitted[0]), float(np.sqrt(covariance[0, 0])))
    if not slopes:
        return "There are too few rows to see a trend in the errors."
    name, (slope, error) = max(slopes.items(), key=lambda item: abs(item[1][0]) / max(item[1][1], 1e-12))
    per = f"{per_cent(slope, signed=True)} (± {per_cent(2 * error)}) for each tenfold of {columns[name].split(',')[0]}"
    if abs(slope) <= 2 * error:
        return f"The errors have no linear trend beyond their noise; the clearest is {per}."
    return f"The errors drift by {per}."


def _frontier_sentence(fit: Fit) -> str:
    exponents = fit.exponents()
    if exponents:
        a, b = (f"C^{_with_interval(e, named=False)}" for e in exponents)
        return f"At the best use of compute, size grows as {a} and tokens as {b}."
    first, _, last = fit.optimum(fit.default_budgets(), intervals=False).to_dicts()
    return (
        f"At the best use of compute, a hundred times the compute is {last['N'] / first['N']:.2g} times the size and "
        f"{last['D'] / first['D']:.2g} times the tokens."
    )


def _optimum_sentence(row: dict[str, Any], largest: float) -> str:
    where = f"At {flops(row['C'])} FLOPs the best is {about(row['N'])} parameters"
    if "N_low" not in row:
        return f"{where} on {about(row['D'])} tokens."
    interval = f"{about(row['N_low'])} to {about(row['N_high'])}"
    if row["N_high"] / row["N_low"] > WIDE:
        return f"{where}, but anything from {interval} fits the runs: they do not place the optimum."
    beyond = f", {row['N'] / largest:.2g} times the largest run" if row["N"] > 1.5 * largest else ""
    return f"{where} ({interval}) on {about(row['D'])} tokens{beyond}."
