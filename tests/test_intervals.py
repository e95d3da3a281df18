"""Kinds of interval: each against a known answer, wider where it must be, and the same every time."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from scipy import stats

from isogloss.cli import main
from isogloss.errors import InputError
from isogloss.fitting import Fit, fit, load_fit
from isogloss.fitting.bootstrap import error_variance
from isogloss.fitting.intervals import choose, interval_warnings
from isogloss.fitting.laplace import covariance_of_few
from isogloss.fitting.layout import make_layout
from isogloss.fitting.objective import HuberLogLoss, SquaredLoss
from isogloss.fitting.problem import Problem
from isogloss.fitting.sandwich import mean_curvature, relieved, sandwich
from isogloss.fitting.solve import solve
from isogloss.fitting.solved import Solved
from isogloss.laws import Chinchilla
from simulate import CHINCHILLA, chinchilla

REFITTING = ("bootstrap", "wild", "pooled")
KINDS = (*REFITTING, "laplace", "profile")
# With the exponents held and squared errors of the loss itself, E, A and B are a linear regression.
LINEAR = {"alpha": CHINCHILLA["alpha"], "beta": CHINCHILLA["beta"]}
AT = {"N": 1e9, "D": 2e10}
NOISE = 4e-3


def linear_frame(seed: int = 1) -> pl.DataFrame:
    """42 runs with Gaussian errors of one size."""
    design = chinchilla(7, 6)
    error = np.random.default_rng(seed).normal(0.0, NOISE, len(design.loss))
    return pl.DataFrame({**design.columns, "loss": design.loss + error})


@cache
def linear_fit(kind: str) -> Fit:
    return fit("chinchilla", linear_frame(), objective="squared", fix=LINEAR, intervals=kind, starts=8, draws=400)


@cache
def whole_fit(kind: str, seed: int = 0) -> Fit:
    """All five coefficients free, under the field's objective."""
    return fit("chinchilla", chinchilla(7, 6).frame(noise=NOISE), intervals=kind, starts=16, draws=300, seed=seed)


def width(answer: Fit) -> float:
    at = answer.predict(AT)
    return float((at["high"] - at["low"])[0])


def regression() -> tuple[np.ndarray, np.ndarray, float]:
    """Design matrix and losses of the linear case, and the half-width of Student's 90 % interval at AT."""
    frame = linear_frame()
    X = np.stack([np.ones(42), frame["N"] ** -LINEAR["alpha"], frame["D"] ** -LINEAR["beta"]], axis=1)
    y = frame["loss"].to_numpy()
    coefficients, residual, *_ = np.linalg.lstsq(X, y, rcond=None)
    x = np.array([1.0, AT["N"] ** -LINEAR["alpha"], AT["D"] ** -LINEAR["beta"]])
    variance = residual[0] / (42 - 3) * x @ np.linalg.inv(X.T @ X) @ x
    assert linear_fit("none").predict(AT)["loss"][0] == pytest.approx(x @ coefficients, rel=1e-6)
    return X, y, float(stats.t.ppf(0.95, 42 - 3) * np.sqrt(variance))


# --- against known answers --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_law_has_the_intervals_of_a_regression(kind: str) -> None:
    assert width(linear_fit(kind)) / (2 * regression()[2]) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_lie_about_the_estimate(kind: str) -> None:
    answer = whole_fit(kind)
    for e in answer.coefficients:
        assert e.low is not None
        assert e.high is not None
        assert e.low < e.value < e.high, e.name
    assert answer.intervals == kind
    assert answer.draws.shape == (300, 5)
    at = answer.predict(AT)
    assert at["low"][0] < at["loss"][0] < at["high"][0]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_kinds_agree_where_runs_are_many_enough(kind: str) -> None:
    widths = [
        (e.high - e.low) / (other.high - other.low)
        for e, other in zip(whole_fit(kind).coefficients, whole_fit("bootstrap").coefficients, strict=True)
        if e.high is not None and e.low is not None and other.high is not None and other.low is not None
    ]
    assert len(widths) == 5
    assert np.all((np.array(widths) > 0.5) & (np.array(widths) < 2.0))


def test_optimum_and_exponents_follow_from_any_draws() -> None:
    answer = whole_fit("laplace")
    row = answer.optimum([1e22]).row(0, named=True)
    assert row["N_low"] < row["N"] < row["N_high"]
    a = answer.exponents()[0]
    assert a.low is not None
    assert a.high is not None
    assert a.low < a.value < a.high


# --- curvature and leverage -------------------------------------------------------------------------


@cache
def linear_solved() -> Solved:
    frame = linear_frame()
    layout, held = make_layout(Chinchilla, fix=LINEAR)
    columns = {"N": frame["N"].to_numpy(), "D": frame["D"].to_numpy()}
    centres = np.array([np.log(columns["N"]).mean(), np.log(columns["D"]).mean()])
    problem = Problem(layout, SquaredLoss(), columns, frame["loss"].to_numpy(), held, centres)
    lower, upper = layout.bounds(problem.loss)
    best = solve(problem, layout.starts(4, problem.loss, np.random.default_rng(0)), lower, upper)
    return Solved(problem, np.arange(42), best.z[best.best()][None], lower, upper)


def test_errors_are_as_large_as_all_residuals_say() -> None:
    """Against the matrices themselves: r'r = tr(M V) times the variance, Satterthwaite's degrees of freedom."""
    rng, run = np.random.default_rng(0), np.repeat(np.arange(6), [4, 3, 5, 1, 4, 2])
    found = replace(
        linear_solved().sandwich(),
        derivatives=rng.normal(size=(19, 3)),
        residuals=rng.normal(size=19),
        run=run,
        runs=6,
    )
    left = np.eye(19) - found.derivatives @ np.linalg.pinv(found.derivatives)
    errors = left @ (np.eye(19) + (run[:, None] == run)) / 2
    variance, freedom = error_variance(found)
    assert variance == pytest.approx((found.residuals**2).sum() / np.trace(errors))
    assert freedom == pytest.approx(np.trace(errors) ** 2 / np.trace(errors @ errors))


def test_residuals_without_leverage_are_those_of_a_fit_without_the_run() -> None:
    found = linear_solved().sandwich()
    X, y, _ = regression()
    for i in (0, 17, 41):
        kept = np.arange(42) != i
        without = np.linalg.lstsq(X[kept], y[kept], rcond=None)[0]
        # The fit's residual is predicted minus observed.
        assert relieved(found, found.residuals, power=1.0)[i] == pytest.approx(X[i] @ without - y[i], rel=1e-3)


def test_covariance_is_that_of_a_regression_whose_errors_are_of_unequal_size() -> None:
    found = linear_solved().sandwich()
    X, y, _ = regression()
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    inverse = np.linalg.inv(X.T @ X)
    white = inverse @ (X.T * residual**2) @ X @ inverse
    # E is moved as it is, first of all coordinates.
    assert found.covariance()[0, 0] == pytest.approx(white[0, 0], rel=1e-3)
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    jackknifed = 41 / 42 * inverse @ (X.T * (residual / (1 - leverage)) ** 2) @ X @ inverse
    assert covariance_of_few(found)[0, 0] == pytest.approx(jackknifed[0, 0], rel=1e-3)
    assert found.curvature == pytest.approx(1.0)


def test_rows_of_one_run_are_summed() -> None:
    """Each row twice under one name: as much information as once, though the rows are twice as many."""
    solved = linear_solved()
    twice = {k: np.repeat(v, 2) for k, v in solved.problem.columns.items()}
    problem = replace(solved.problem, columns=twice, loss=np.repeat(solved.problem.loss, 2))
    as_runs = sandwich(problem, solved.z, np.repeat(solved.run, 2))
    as_rows = sandwich(problem, solved.z, np.arange(84))
    once = solved.sandwich().covariance()
    assert as_runs.covariance() == pytest.approx(once, rel=1e-6)
    assert as_rows.covariance() == pytest.approx(once / 2, rel=1e-6)


def test_what_a_bound_holds_does_not_move() -> None:
    solved = linear_solved()
    upper = solved.upper.copy()
    upper[0] = solved.z[0]
    held = replace(solved, upper=upper)
    found = held.sandwich()
    assert found.moving.tolist() == [False, True, True]
    assert found.covariance()[0].tolist() == [0, 0, 0]
    assert found.covariance()[1, 1] < solved.sandwich().covariance()[1, 1]


def test_curvature_is_told_by_more_rows_than_lie_within_delta() -> None:
    """For Gaussian errors a share 2 delta / (sigma sqrt(2 pi)) of rows lies within a small delta."""
    r = np.random.default_rng(0).normal(0.0, 5e-3, 4000)
    for delta in (1e-6, 1e-4, 1e-3):
        expected = 2 * delta / (5e-3 * np.sqrt(2 * np.pi))
        assert mean_curvature(HuberLogLoss(delta), r, 5) == pytest.approx(expected, rel=0.1)
    assert mean_curvature(HuberLogLoss(1.0), r, 5) == pytest.approx(1.0)


# --- wider where it must be -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wild", "laplace", "profile"])
def test_checkpoints_that_err_together_count_once(kind: str) -> None:
    """Every row three times says no more than once: as 63 runs, intervals would be narrower by sqrt(3)."""
    once = chinchilla(7, 3).frame(noise=NOISE)
    thrice = pl.concat([once.with_row_index("run_id")] * 3)
    as_21, as_63 = (
        width(fit("chinchilla", f, intervals=kind, starts=8, draws=300)) for f in (thrice, thrice.drop("run_id"))
    )
    assert 1.4 < as_21 / as_63 < 2.6


@pytest.mark.parametrize("kind", ["wild", "laplace"])
def test_a_third_of_the_runs_gives_wider_intervals(kind: str) -> None:
    frame = linear_frame().gather_every(3)
    few = fit("chinchilla", frame, objective="squared", fix=LINEAR, intervals=kind, starts=8, draws=400)
    assert 1.2 < width(few) / width(linear_fit(kind)) < 4


# --- choosing, refusing, repeating ------------------------------------------------------------------


def test_few_runs_for_the_coefficients_keep_the_design() -> None:
    assert choose("auto", runs=14, free=5) == "wild"
    assert choose("auto", runs=40, free=5) == "bootstrap"
    assert choose("auto", runs=34, free=7) == "wild"
    assert choose("laplace", runs=14, free=5) == "laplace"


def test_the_choice_is_named() -> None:
    frame = chinchilla(7, 6).frame(noise=NOISE)
    many, few = (fit("chinchilla", f, starts=8, draws=20) for f in (frame, frame.gather_every(3)))
    assert (many.intervals, few.intervals) == ("bootstrap", "wild")
    assert few.to_dict()["intervals"] == "wild"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_draws(kind: str) -> None:
    answer = whole_fit(kind)
    again = fit("chinchilla", chinchilla(7, 6).frame(noise=NOISE), intervals=kind, starts=16, draws=300)
    assert np.array_equal(again.draws, answer.draws)
    assert not np.array_equal(whole_fit(kind, seed=1).draws, answer.draws)


def test_no_draws_no_intervals() -> None:
    frame = linear_frame()
    none_drawn = fit("chinchilla", frame, starts=4, draws=0)
    none_wanted = fit("chinchilla", frame, starts=4, intervals="none")
    for answer in (none_drawn, none_wanted):
        assert answer.draws.shape == (0, 5)
        assert answer.intervals == "none"
        assert all(e.low is None and e.high is None for e in answer.coefficients)
        assert any("no intervals" in w for w in answer.warnings)


def test_unknown_kinds_are_refused_with_near_misses() -> None:
    with pytest.raises(InputError, match="'wild'"):
        fit("chinchilla", linear_frame(), intervals="wlid")
    with pytest.raises(InputError, match="Known: auto, bootstrap"):
        fit("chinchilla", linear_frame(), intervals="xyz")


def test_very_few_runs_are_said_to_be_too_few() -> None:
    assert "7 runs" in interval_warnings("wild", 7, 5)[0]
    assert interval_warnings("bootstrap", 40, 5) == interval_warnings("wild", 14, 5) == []


@pytest.mark.parametrize(("kind", "runs"), [("bootstrap", 14), ("wild", 40), ("laplace", 40), ("profile", 40)])
def test_what_was_found_not_to_cover_is_said(kind: str, runs: int) -> None:
    (warning,) = interval_warnings(kind, runs, 5)
    assert "held the truth" in warning


def test_the_kind_is_saved_and_printed(tmp_path, capsys) -> None:
    table = tmp_path / "runs.csv"
    chinchilla(7, 6).frame(noise=NOISE).write_csv(table)
    arguments = ["fit", str(table), "--law", "chinchilla", "--intervals", "laplace", "--starts", "16"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "-o", str(tmp_path / "out")])
    assert done.value.code in (0, None)
    assert "Intervals (90%): laplace, 1,000 draws about the optimum" in capsys.readouterr().out
    assert load_fit(tmp_path / "out").intervals == "laplace"
    assert json.loads((tmp_path / "out" / "fit.json").read_text())["intervals"] == "laplace"


# --- the posterior ----------------------------------------------------------------------------------


def test_without_numpyro_the_posterior_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpyro", None)
    with pytest.raises(InputError, match=r"isogloss\[bayes\]"):
        fit("chinchilla", linear_frame(), intervals="posterior", starts=4, draws=20)


@pytest.mark.slow
def test_the_posterior_agrees_with_the_regression() -> None:
    pytest.importorskip("numpyro")
    answer = linear_fit("posterior")
    assert width(answer) / (2 * regression()[2]) == pytest.approx(1.0, abs=0.35)
    at = answer.predict(AT)
    assert at["low"][0] < at["loss"][0] < at["high"][0]
