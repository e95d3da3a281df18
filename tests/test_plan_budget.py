"""Plans for budgets in the user's words: money, hours, served tokens, memory, and losses to reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.laws import Chinchilla, atlas_per_language
from isogloss.planning import Plan, plan
from isogloss.planning.cost import Cost
from isogloss.planning.evidence import ground
from isogloss.planning.hardware import max_trainable_params
from isogloss.planning.question import read_question

THREE = ["Estonian", "Latvian", "English"]
HOUR = 989e12 * 3600 * 0.4


def ask(budget: Any, **more: Any) -> Plan:
    return plan({"budget": budget, "languages": THREE, **more}, draws=0)


def cost_of(found: Plan) -> Cost:
    assert found.cost is not None
    return found.cost


@pytest.mark.parametrize(
    ("budget", "hours", "said"),
    [
        ({"gpu": "H100", "gpu_hours": 20_000}, 20_000, "20000 h of H100"),
        ({"gpu": "H100", "gpus": 64, "days": 14}, 64 * 14 * 24, "64 x H100 for 14 days"),
        ({"gpu": "H100", "money": 50_000, "per_gpu_hour": 2.5, "currency": "EUR"}, 20_000, "50000 EUR at 2.5 EUR"),
    ],
)
def test_hours_and_money(budget: dict[str, Any], hours: float, said: str) -> None:
    found = ask(budget)
    assert pytest.approx(hours * HOUR) == found.C
    evidence = next(e for e in found.evidence if e.quantity == "C")
    assert said in evidence.source
    assert evidence.kind == "assumed"  # the utilisation is
    assert found.objective == pytest.approx(ask(hours * HOUR).objective, rel=1e-9)
    cost = cost_of(found)
    assert cost.gpu_hours == pytest.approx(hours)
    assert (cost.money is None) == ("money" not in budget)


def test_exact_count_beside_6ND() -> None:
    found = ask("1e22")
    exact = found.to_dict()["cost"]["count"]
    assert exact["tokens_6ND"] == pytest.approx(found.D)
    # Attention and the output head cost more than 6 N D says.
    assert 0.8 * found.D < exact["tokens_counted"] < found.D
    assert exact["params_total"] == pytest.approx(found.N, rel=0.02)
    shorter = ask("1e22", assumptions={"context_length": 512}).to_dict()["cost"]["count"]
    assert shorter["tokens_counted"] > exact["tokens_counted"]


def test_no_shape_no_count() -> None:
    """A model of a million parameters has no room for the vocabulary."""
    assert cost_of(ask("1e18", limits={"max_params": "1M"}, assumptions={"vocabulary": 250_000})).count is None


def test_serving_is_paid_from_the_budget() -> None:
    free, served = ask("1e21"), ask({"flops": "1e21", "served_tokens": "1T"})
    assert pytest.approx(1e21, rel=1e-6) == 6 * served.N * served.D + 2 * served.N * 1e12
    assert pytest.approx(6 * served.N * served.D) == served.C
    assert served.N < free.N
    assert served.objective > free.objective
    assert cost_of(served).C == 1e21
    # What serving costs at the plan without it leaves a worse model of that size.
    left = 1e21 - 2 * free.N * 1e12
    assert left < 0 or ask(left).objective > served.objective
    assert any("2 N FLOPs" in w for w in served.warnings)
    few = ask({"flops": "1e21", "served_tokens": 1})
    assert few.objective == pytest.approx(free.objective, rel=1e-9)


def test_serving_that_costs_all() -> None:
    with pytest.raises(InputError, match=r"(?s)train no model.*served_tokens"):
        ask({"flops": "1e18", "served_tokens": "1T"})


def test_memory_bounds_the_size() -> None:
    budget = {"gpu": "H100", "gpus": 8, "days": 140}
    free, held = ask(budget), ask(budget, limits={"memory": "20 GB"})
    most = max_trainable_params(20e9, 8, vocab_size=64_512, context_length=4096)
    assert pytest.approx(most, rel=1e-6) == held.N
    assert free.N > held.N
    assert any(b.startswith("memory of 8 accelerators") for b in held.binds)
    own = ask(budget, limits={"memory": "gpu"})
    assert max_trainable_params(80e9, 8, vocab_size=64_512, context_length=4096) * (1 + 1e-6) >= own.N


@pytest.mark.parametrize(
    ("budget", "memory", "says"),
    [
        ("1e21", "80 GB", "number of accelerators"),
        ({"gpu": "H100", "gpus": 8, "hours": 5}, "1 MB", "hold no model"),
        ({"gpu": "H100", "gpus": 8, "hours": 5}, "many", "not a quantity"),
    ],
)
def test_memory_that_cannot_be_used(budget: Any, memory: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)limits\.memory.*{says}|{says}.*limits\.memory"):
        ask(budget, limits={"memory": memory})


def test_memory_of_an_accelerator_of_ones_own_is_not_known() -> None:
    question = {"accelerators": {"Mine": {"peak_flops": "4e14"}}, "limits": {"memory": "gpu"}}
    with pytest.raises(InputError, match="memory of Mine is not known"):
        ask({"gpu": "Mine", "gpus": 8, "hours": 500}, **question)


# --- losses to reach ------------------------------------------------------------------------------------


def test_the_least_budget_for_a_mean_loss() -> None:
    found = ask({"loss": 0.95})
    assert found.objective == pytest.approx(0.95, rel=1e-4)
    assert found.objective <= 0.95
    assert ask(found.C * 0.98).objective > 0.95
    assert cost_of(found).found
    assert found.kind_of("C") == "predicted"


def test_a_target_for_each_language() -> None:
    found = ask({"target": {"Estonian": {"like": "English", "params": "1B", "tokens": "100B"}, "Latvian": 1.05}})
    coefficients = atlas_per_language("multi-vocab-mono-train")["eng_Latn"].coefficients
    english = Chinchilla(**{n: coefficients[n] for n in ("E", "A", "alpha", "B", "beta")}).loss(1e9, 100e9)
    goals = np.array([float(english), 1.05])
    assert list(cost_of(found).targets.values()) == pytest.approx(goals)
    reached = found.loss[:2] / goals
    assert reached.max() <= 1
    assert reached.max() == pytest.approx(1, abs=1e-4)
    assert found.objective == pytest.approx(reached.max())
    assert any("target" in w for w in found.warnings)
    less = ask(found.C * 0.97, objective={"languages": "worst"}, limits={})
    assert (less.loss[:2] > goals).any()


def test_a_target_with_hours_and_serving() -> None:
    found = ask({"target": {"Estonian": 1.0}, "gpu": "H100", "served_tokens": "1T"})
    cost = cost_of(found)
    assert pytest.approx(cost.C, rel=1e-6) == 6 * found.N * found.D + 2 * found.N * 1e12
    assert cost.gpu_hours == pytest.approx(cost.C / HOUR)
    assert found.loss[0] <= 1.0


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"loss": 0.1}, "irreducible"),
        ({"target": {"Estonian": 0.1}}, "ekk_Latn cannot reach 0.1"),
        ({"loss": 0.705}, "cannot reach"),
        ({"loss": 12.0}, "already"),
    ],
)
def test_losses_that_no_budget_reaches(budget: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        ask(budget)


def test_a_target_is_an_objective_of_its_own() -> None:
    with pytest.raises(InputError, match="objective of its own"):
        ask({"loss": 0.95}, objective={"languages": "worst"})


def test_a_target_like_a_language_in_another_unit_is_refused(tmp_path: Path) -> None:
    runs = pl.DataFrame(
        [
            {"run_id": f"{n:g}-{d:g}", "target": "est", "params": n, "tokens": d, "loss": 0.7 * (1 + 300 / n**0.33)}
            for n in (2e7, 5e7, 1e8)
            for d in (1e9, 4e9)
        ]
    ).with_columns(pl.lit(1.0).alias("share:est"))
    runs.write_csv(tmp_path / "runs.csv")
    like = {"like": "English", "params": "300M", "tokens": "10B"}
    asked: dict[str, Any] = {
        "budget": {"target": {"Estonian": like}},
        "languages": {"Estonian": {"tokens": "11B"}},
        "runs": str(tmp_path / "runs.csv"),
    }
    with pytest.raises(InputError, match=r"budget.target.ekk_Latn: the laws are fitted to your runs, in their unit"):
        plan(asked, draws=0)
    asked["languages"]["English"] = {"weight": 0}
    found = plan(asked, draws=0)
    assert found.cost is not None
    law = ground(read_question(asked)).law
    at = found.languages.index("eng_Latn")
    E, A, alpha, B, beta = (float(np.broadcast_to(getattr(law, n), 2)[at]) for n in ("E", "A", "alpha", "B", "beta"))
    assert found.cost.targets["ekk_Latn"] == pytest.approx(E + A / 3e8**alpha + B / 1e10**beta)
