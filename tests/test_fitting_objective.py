"""What a fit makes small, against the same objectives in plain NumPy and SciPy's own search."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from isogloss.errors import InputError
from isogloss.fitting import OBJECTIVES, HuberLogLoss, fit, get_objective
from simulate import chinchilla

DELTA = 1e-3


def cost(name: str, predicted: np.ndarray, observed: np.ndarray) -> tuple[float, np.ndarray]:
    """The objective and its derivative by each predicted loss."""
    if name == "squared":
        r, slope = predicted - observed, np.ones_like(predicted)
    else:
        r, slope = np.log(predicted / observed), 1 / predicted
    if name != "huber-log":
        return 0.5 * float(r @ r), r * slope
    small = np.abs(r) <= DELTA
    each = np.where(small, r**2 / 2, DELTA * (np.abs(r) - DELTA / 2))
    return float(each.sum()), np.clip(r, -DELTA, DELTA) * slope


def objective_at(name: str, x: np.ndarray, frame: pl.DataFrame) -> tuple[float, np.ndarray]:
    """At x = log E, log A, alpha, log B, beta, and its gradient."""
    N, D, loss = (frame[c].to_numpy() for c in ("N", "D", "loss"))
    terms = np.array([np.exp(x[0]) + 0 * N, np.exp(x[1] - x[2] * np.log(N)), np.exp(x[3] - x[4] * np.log(D))])
    value, pull = cost(name, terms.sum(0), loss)
    E, A, B = terms @ pull
    return value, np.array([E, A, -(terms[1] * np.log(N)) @ pull, B, -(terms[2] * np.log(D)) @ pull])


def scipy_best(name: str, frame: pl.DataFrame) -> float:
    """The least objective that L-BFGS-B finds from Hoffmann et al.'s grid of starts, thinned."""
    starts = np.array(np.meshgrid([0.0, 0.5], [5, 10], [0.3, 0.5], [5, 10], [0.3, 0.5])).reshape(5, -1).T
    bounds = [(-10, 2), (-5, 30), (1e-3, 3), (-5, 30), (1e-3, 3)]
    options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-12}
    found = [
        minimize(lambda x: objective_at(name, x, frame), s, jac=True, bounds=bounds, options=options).fun
        for s in starts
    ]
    return float(min(found))


def test_the_three_objectives_are_known() -> None:
    assert set(OBJECTIVES) == {"huber-log", "squared-log", "squared"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_worse_than_scipy_on_the_same_objective(name: str) -> None:
    frame = chinchilla().frame(noise=5e-3, seed=4)
    answer = fit("chinchilla", frame, objective=name, starts=32, draws=0)
    E, A, alpha, B, beta = answer.values
    at_ours, gradient = objective_at(name, np.array([np.log(E), np.log(A), alpha, np.log(B), beta]), frame)
    assert answer.objective == pytest.approx(at_ours, rel=1e-9)
    assert answer.objective_name == name
    best = scipy_best(name, frame)
    assert answer.objective <= best + 1e-9
    assert answer.objective == pytest.approx(best, rel=0.01)
    assert np.abs(gradient).max() < 1e-3 * at_ours


def test_gradients_of_this_test_are_right() -> None:
    """Central differences with step h err by about h^2/6 and 1e-16/h; h = 1e-6 leaves 1e-10."""
    frame, x, h = chinchilla().frame(noise=5e-3), np.array([0.5, 6.0, 0.34, 7.5, 0.36]), 1e-6
    for name in OBJECTIVES:
        _, gradient = objective_at(name, x, frame)
        steps = h * np.eye(5)
        numeric = [(objective_at(name, x + s, frame)[0] - objective_at(name, x - s, frame)[0]) / (2 * h) for s in steps]
        assert gradient == pytest.approx(numeric, rel=1e-5)


def test_outliers_move_huber_less_than_squares() -> None:
    frame = chinchilla().frame(noise=1e-3)
    spoiled = frame.with_columns(
        loss=pl.when(pl.int_range(pl.len()) == 20).then(pl.col("loss") * 1.3).otherwise(pl.col("loss"))
    )
    moved = {}
    for name in ("huber-log", "squared-log"):
        clean, dirty = (fit("chinchilla", f, objective=name, starts=16, draws=0) for f in (frame, spoiled))
        at = {"N": 1e9, "D": 2e10}
        moved[name] = abs(dirty.predict(at)["loss"][0] - clean.predict(at)["loss"][0])
    assert moved["huber-log"] < moved["squared-log"] / 10


def test_delta_of_the_huber_cost() -> None:
    wide = get_objective("huber-log", delta=0.1)
    assert wide == HuberLogLoss(0.1)
    assert float(wide.cost(0.05)) == pytest.approx(0.05**2 / 2)
    assert float(wide.cost(-0.3)) == pytest.approx(0.1 * (0.3 - 0.05))


@pytest.mark.parametrize(("name", "delta"), [("huber", None), ("mse", None), ("huber-log", -1.0), ("huber-log", 0.0)])
def test_bad_objectives_are_refused(name: str, delta: float | None) -> None:
    with pytest.raises(InputError, match=name if delta is None else "delta"):
        get_objective(name, delta=delta)
