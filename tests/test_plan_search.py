"""The planner's search: its slopes, its optimum beside dense grids, and the objectives it can be given."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.laws import Atlas
from isogloss.numerics import jax, jnp
from isogloss.planning import Plan, plan
from isogloss.planning.aim import Spending, losses_alone
from isogloss.planning.allocate import Allocator, capped_losses
from isogloss.planning.constraints import Box, box_of, constraints_of, feasible, into_box
from isogloss.planning.draws import Drawn, draw_laws
from isogloss.planning.evidence import ground
from isogloss.planning.goal import Goal, Risk, RiskTask, quantile_weights, tail_weights
from isogloss.planning.question import read_question
from isogloss.planning.slopes import Laws, Problem
from isogloss.planning.text import Text

CEILING = math.log(64_512)
THREE = ["Estonian", "Latvian", "English"]


def random_problem(rng: np.random.Generator, K: int, dose: str, phi: float, served: float) -> tuple[Atlas, Problem]:
    tau = rng.uniform(-0.4, 0.5, (K, K)) * (0.2 if dose == "linear" else 1.0)
    np.fill_diagonal(tau, 0.0)
    law = Atlas(
        E=rng.uniform(0.3, 0.6, K),
        A=rng.uniform(10, 400, K),
        alpha=rng.uniform(0.3, 0.4, K),
        B=rng.uniform(100, 1000, K),
        beta=rng.uniform(0.3, 0.4, K),
        lambda_=0.065,
        tau=tau,
        tau_other=0.0,
        phi=phi,
        dose=dose,
        languages="effective",
    )
    U = 10 ** rng.uniform(7, 11, K)
    U[0] = np.inf
    return law, Problem(Laws.of(law, K), Text.plain(U), 1e21, CEILING, served)


@pytest.mark.parametrize("dose", ["equal", "linear"])
@pytest.mark.parametrize("phi", [0.0, 0.11])
@pytest.mark.parametrize("served", [0.0, 3e11])
def test_slopes_are_those_of_the_law(dose: str, phi: float, served: float) -> None:
    """The loss in JAX, differentiated automatically."""
    rng = np.random.default_rng(3)
    law, problem = random_problem(rng, 7, dose, phi, served)
    x = np.log(np.minimum(problem.U, 1e10)) + rng.uniform(-4, 2, (5, 7))
    weights = rng.random(7)
    value, slope = problem.slopes(
        np.zeros(5, int), x, lambda _, loss: (loss @ weights, np.broadcast_to(weights, loss.shape))
    )

    def reference(x: Any) -> Any:
        tokens = jnp.exp(x)
        N = problem.C / (6 * tokens.sum() + 2 * served)
        return jnp.asarray(weights) @ capped_losses(law, jnp.asarray(problem.U), CEILING, tokens, N)

    for i in range(5):
        f, g = jax.value_and_grad(reference)(x[i])
        assert value[i] == pytest.approx(float(f), rel=1e-12)
        assert slope[i] == pytest.approx(np.asarray(g), rel=1e-9, abs=1e-12)


def test_laws_of_draws_are_each_draws_own() -> None:
    rng = np.random.default_rng(4)
    law, problem = random_problem(rng, 4, "equal", 0.0, 0.0)
    tau = rng.uniform(-0.3, 0.5, (3, 4, 4))
    E = rng.uniform(0.3, 0.6, (3, 4))
    drawn = Problem(Laws.of(law, 4, {"tau": tau, "E": E}), problem.text, problem.C, CEILING)
    x = np.log(np.minimum(problem.U, 1e10)) + rng.uniform(-4, 2, (3, 4))
    found = drawn.losses(np.array([2, 0, 1]), x)
    for row, i in enumerate([2, 0, 1]):
        tokens = np.exp(x[row])
        own = replace(law, tau=tau[i], E=E[i])
        expected = capped_losses(own, jnp.asarray(problem.U), CEILING, tokens, problem.C / (6 * tokens.sum()))
        assert found[row] == pytest.approx(np.asarray(expected), rel=1e-12)


def test_mixtures_are_put_into_the_box_one_by_one_or_together() -> None:
    box = Box(np.array([3e9, np.inf, 5e8]), np.array([0.0, 0.1, 0.0]), np.array([1.0, 1.0, 0.3]), 1e6, 1e12)
    shares, D = np.random.default_rng(0).dirichlet(np.ones(3), 6), np.geomspace(1e8, 1e11, 6)
    together = into_box(shares, D, box)
    for p, d, found in zip(shares, D, together, strict=True):
        assert found == pytest.approx(into_box(p, d, box), rel=1e-12)
        assert found.sum() == pytest.approx(1.0)
        assert (found * d <= box.tokens_high * (1 + 1e-9)).all()


# --- dense grids ----------------------------------------------------------------------------------------


def grid_best(allocator: Allocator, box: Box, N: float | None = None) -> float:
    """The least objective over a dense grid of N and the shares, closing in on its best point."""
    K, problem = len(allocator.U), allocator.problem
    low = np.array([math.log(box.N_low), *([-12.0] * (K - 1))])
    high = np.array([math.log(min(box.N_high, box.N_low * 1e5)), *([12.0] * (K - 1))])
    if N is not None:
        low[0] = high[0] = math.log(N)
    least, count = np.inf, 61 if K == 2 else 31
    for _ in range(9):
        axes = [np.linspace(a, b, count if b > a else 1) for a, b in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, K)
        sizes = np.exp(points[:, 0])
        # Shares as a softmax of K - 1 numbers: small shares are as dense as large ones.
        logits = np.concatenate([points[:, 1:], np.zeros((len(points), 1))], axis=1)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        shares = into_box(shares, problem.tokens(sizes), box)
        tokens = shares * problem.tokens(sizes)[:, None]
        inside = (tokens <= box.tokens_high * (1 + 1e-6)).all(axis=1) & (tokens > 0).all(axis=1)
        points, x = points[inside], np.log(tokens[inside])
        values = grid_values(allocator, x)
        at = int(np.argmin(values))
        least = min(least, float(values[at]))
        step = (high - low) / 8
        low, high = points[at] - step, points[at] + step
        low[0], high[0] = max(low[0], math.log(box.N_low)), min(high[0], math.log(box.N_high))
        if N is not None:
            low[0] = high[0] = math.log(N)
    return least


def grid_values(allocator: Allocator, x: np.ndarray) -> np.ndarray:
    if allocator.drawn is not None:
        return RiskTask(allocator.drawn.problem, allocator.goal, allocator.risk).of(x)
    return allocator.goal.of(allocator.problem.losses(np.zeros(len(x), int), x))


def problem_of(question: dict[str, Any], **more: Any) -> tuple[Allocator, Box]:
    asked = read_question(question)
    basis, C, served = ground(asked), asked.budget.total, asked.budget.served_tokens or 0.0
    box = feasible(box_of(constraints_of(asked, basis.U), len(basis.U)), C, served)
    return Allocator(basis.law, basis.text, basis.weights, C, CEILING, served, **more), box


@pytest.mark.parametrize("languages", [["Estonian", "English"], ["Hindi", "Urdu"], THREE, ["Swahili", "Thai", "Welsh"]])
@pytest.mark.parametrize("budget", ["1e19", "1e21", "1e23"])
@pytest.mark.parametrize("transfer", ["published", "none"])
def test_no_point_of_a_dense_grid_is_better(languages: list[str], budget: str, transfer: str) -> None:
    question = {"budget": budget, "languages": languages, "assumptions": {"transfer": transfer}}
    found = plan(question, draws=0)
    allocator, box = problem_of(question)
    best = grid_best(allocator, box)
    assert found.objective <= best * (1 + 1e-5)
    assert found.objective >= best * (1 - 1e-4)  # the grid is dense enough to tell


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"limits": {"max_params": "600M"}}, id="max_params"),
        pytest.param({"limits": {"min_share": 0.2}}, id="min_share"),
        pytest.param({"assumptions": {"dose": "linear", "transfer": "published"}}, id="linear dose"),
        pytest.param({"assumptions": {"capacity": "k-law"}}, id="k-law"),
        pytest.param({"budget": {"flops": "1e21", "served_tokens": "500B"}}, id="served"),
    ],
)
def test_nor_under_limits_and_other_assumptions(more: dict[str, Any]) -> None:
    question = {"budget": "1e21", "languages": ["Estonian", "English"], **more}
    found = plan(question, draws=0)
    allocator, box = problem_of(question)
    best = grid_best(allocator, box)
    assert found.objective == pytest.approx(best, rel=1e-5)


def test_each_size_of_the_profile_has_its_best_mixture() -> None:
    question = {"budget": "1e21", "languages": ["Estonian", "English"]}
    found = plan(question, draws=0)
    allocator, box = problem_of(question)
    rows = found.profile.to_dicts()
    assert len(rows) > 15
    assert found.objective == min(r["objective"] for r in rows)
    for row in rows[::6]:
        assert row["objective"] == pytest.approx(grid_best(allocator, box, row["N"]), rel=1e-5)
        assert 6 * row["N"] * row["D"] == pytest.approx(found.C, rel=1e-9)


# --- objectives -------------------------------------------------------------------------------------------


def ask(draws: int = 0, **objective: str) -> Plan:
    return plan({"budget": "1e21", "languages": THREE, "objective": objective}, draws=draws)


def test_the_worst_language_is_served_as_well_as_it_can_be() -> None:
    found, mean = ask(languages="worst"), ask()
    assert found.objective == pytest.approx(found.loss.max())
    assert found.objective < mean.loss.max()
    assert found.weights @ found.loss > mean.objective
    allocator, box = problem_of({"budget": "1e21", "languages": THREE})
    worst = replace(allocator, aim=Goal(allocator.weights, worst=True))
    assert found.objective <= grid_best(worst, box) * (1 + 1e-5)
    assert found.criterion.name == "worst loss"
    assert found.to_dict()["mean_loss"] == pytest.approx(found.weights @ found.loss)
    assert found.to_dict()["objective"]["value"] == found.objective


def test_a_language_of_no_weight_is_not_the_worst() -> None:
    languages = {"Estonian": {}, "English": {"weight": 0}}
    found = plan({"budget": "1e21", "languages": languages, "objective": {"languages": "worst"}}, draws=0)
    mean = plan({"budget": "1e21", "languages": languages}, draws=0)
    assert found.objective == pytest.approx(found.loss[0])
    assert found.objective == pytest.approx(mean.objective, rel=1e-6)


def test_normalised_losses_are_beside_each_language_alone() -> None:
    asked = read_question({"budget": "1e21", "languages": THREE})
    basis = ground(asked)
    box = box_of(constraints_of(asked, basis.U), 3)
    alone = losses_alone(basis, box, Spending(1e21, 0.0, {}), CEILING)
    for i, name in enumerate(THREE):
        own = plan({"budget": "1e21", "languages": [name]}, draws=0)
        assert alone[i] == pytest.approx(own.objective, rel=1e-5)
    found = ask(measure="normalised")
    assert found.objective == pytest.approx(found.weights @ (found.loss / alone))
    assert found.objective <= ask().loss / alone @ found.weights * (1 + 1e-9)
    evenly = ask(measure="normalised", languages="worst")
    assert evenly.objective == pytest.approx((evenly.loss / alone).max())
    assert evenly.objective < (found.loss / alone).max()


@pytest.mark.parametrize("risk", ["mean", "quantile", "tail"])
def test_risk_is_taken_over_the_draws(risk: Risk) -> None:
    """Against a grid over the same draws, and against the plan of the point laws."""
    question: dict[str, Any] = {"budget": "1e21", "languages": ["Estonian", "English"]}
    found = plan(question | {"objective": {"risk": risk}}, draws=20)
    point = plan(question, draws=20)
    allocator, box = problem_of(question)
    laws = draw_laws(ground(read_question(question)), 20, 0)
    over = replace(allocator, drawn=Drawn(laws, allocator.text, allocator.weights, 1e21, CEILING), risk=risk)
    assert found.objective == pytest.approx(over.objective(found.N, found.shares))
    assert found.objective <= grid_best(over, box) * (1 + 1e-5)
    assert found.objective < over.objective(point.N, point.shares)
    assert found.uncertainty is not None
    values = found.uncertainty.objective
    expected = {"mean": values.mean(), "quantile": np.quantile(values, 0.8), "tail": np.sort(values)[-4:].mean()}
    assert found.objective == pytest.approx(expected[risk])


@pytest.mark.parametrize("risk", ["quantile", "tail"])
def test_the_worst_language_over_draws_is_found(risk: str) -> None:
    """A kink of the worst language meets one of the draws: in 400 rounds some of these searches ended nowhere."""
    languages = {"Estonian": {"tokens": "10B"}, "Finnish": {"tokens": "50B"}, "Georgian": {"tokens": "8B"}}
    asked = {"budget": "1e21", "languages": languages, "objective": {"languages": "worst", "risk": risk}}
    assert plan(asked, draws=20).starts >= 3


def test_the_tail_is_the_worst_fifth() -> None:
    assert (tail_weights(np.arange(10.0)) == [0.0] * 8 + [0.5] * 2).all()
    assert tail_weights(np.array([[3.0, 1.0]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("draws", [10, 11, 100])
def test_weights_of_the_quantile_are_those_of_numpy(draws: int) -> None:
    values = np.random.default_rng(draws).normal(size=(7, draws))
    weights = quantile_weights(values)
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert (weights * values).sum(axis=1) == pytest.approx(np.quantile(values, 0.8, axis=1))


@pytest.mark.parametrize(
    ("languages", "draws", "budget"),
    [(["Estonian", "English"], 100, "1e21"), (["Yoruba", "Finnish"], 40, "1e21"), (["Welsh", "Thai"], 25, "1e20")],
)
def test_no_point_of_a_dense_grid_has_a_lower_quantile(languages: list[str], draws: int, budget: str) -> None:
    question: dict[str, Any] = {"budget": budget, "languages": languages}
    found = plan(question | {"objective": {"risk": "quantile"}}, draws=draws)
    allocator, box = problem_of(question)
    laws = draw_laws(ground(read_question(question)), draws, 0)
    drawn = Drawn(laws, allocator.text, allocator.weights, float(budget), CEILING)
    assert found.objective <= grid_best(replace(allocator, drawn=drawn, risk="quantile"), box) * (1 + 1e-6)
    assert found.criterion.name == "weighted mean loss, 0.8 quantile over the draws"


def test_risk_without_draws_is_refused() -> None:
    with pytest.raises(InputError, match="taken over draws"):
        ask(risk="tail")


def test_risk_over_nothing_is_said() -> None:
    question = {"budget": "1e21", "languages": ["English"], "objective": {"risk": "tail"}}
    assert any("changes nothing" in w for w in plan(question).warnings)


def test_unknown_words_of_the_objective() -> None:
    with pytest.raises(InputError, match=r"objective\.languages"):
        ask(languages="best")
    with pytest.raises(InputError, match="measure"):
        ask(mesure="loss")
