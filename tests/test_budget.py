"""The budget in the user's words, what it affords by both counts of FLOPs, and the budget that reaches a loss."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError, PlanError
from isogloss.laws import Chinchilla
from isogloss.laws.chinchilla import optimal_allocation
from isogloss.numerics import jax
from isogloss.planning.budget import Budget
from isogloss.planning.flops import (
    Outline,
    SixND,
    count,
    counted,
    params_affordable,
    shape_for,
    tokens_affordable,
    total_flops,
)
from isogloss.planning.hardware import (
    PEAK_FLOPS,
    accelerators,
    activation_bytes,
    canonical_name,
    max_trainable_params,
    state_bytes,
)
from isogloss.planning.question import Question, read_question
from isogloss.planning.target import LEAST, compute_for_loss, target_losses

HOUR = 3600.0
# Hoffmann et al. 2022, approach 3.
E, A, ALPHA, B, BETA = 1.69, 406.4, 0.34, 410.7, 0.28


def asked(budget: dict[str, Any], **more: Any) -> Question:
    return read_question({"budget": budget, "languages": ["Estonian", "Latvian"], **more})


WAYS: dict[str, tuple[dict[str, Any], float]] = {
    "flops": ({"flops": "3e22"}, 3e22),
    "hours": ({"gpu": "H100", "gpu_hours": 1000}, 989e12 * HOUR * 1000 * 0.4),
    "gpus and hours": ({"gpu": "h100", "gpus": 8, "hours": 100, "utilisation": 0.5}, 989e12 * HOUR * 800 * 0.5),
    "gpus and days": ({"gpu": "tpu v5p", "gpus": 64, "days": 14}, 459e12 * HOUR * 64 * 14 * 24 * 0.4),
    "money": ({"gpu": "A100", "money": 50_000, "per_gpu_hour": 2.5}, 312e12 * HOUR * 20_000 * 0.4),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_so_many_flops(way: str) -> None:
    given, expected = WAYS[way]
    budget = asked(given).budget
    assert pytest.approx(expected) == budget.C == budget.total
    assert not budget.is_target


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, ["budget", "no budget", "per_gpu_hour", "[budget.target]"]),
    "a gpu alone": ({"gpu": "H100"}, ["no budget"]),
    "flops and money": ({"flops": 1e22, "gpu": "H100", "money": 5, "per_gpu_hour": 1}, ["both flops and money"]),
    "flops and days": ({"flops": 1e22, "gpu": "H100", "gpus": 8, "days": 3}, ["both flops and days"]),
    "hours and days": ({"gpu": "H100", "gpus": 8, "hours": 3, "days": 3}, ["both hours and days"]),
    "loss and target": ({"loss": 2.1, "target": {"et": 2.1}}, ["both loss and target"]),
    "days of how many": ({"gpu": "H100", "days": 3}, ["days without gpus"]),
    "money without price": ({"gpu": "H100", "money": 3}, ["money without per_gpu_hour"]),
    "money without gpu": ({"money": 3, "per_gpu_hour": 1}, ["money without gpu"]),
    "hours without gpu": ({"gpu_hours": 3}, ["no budget: gpu_hours of which gpu"]),
    "utilisation of nothing": ({"flops": 1e22, "utilisation": 0.5}, ["utilisation without gpu"]),
    "currency of nothing": ({"flops": 1e22, "currency": "EUR"}, ["currency without per_gpu_hour"]),
    "no money": ({"gpu": "H100", "money": 0, "per_gpu_hour": 1}, ["budget.money", "not positive"]),
    "unknown gpu": ({"gpu": "H10", "gpu_hours": 1}, ["budget.gpu", "'H10'", "'H100'", "[accelerators.<name>]"]),
    "no target": ({"target": {}}, ["budget.target", "no language"]),
    "target of a stranger": ({"target": {"Finnish": 2.0}}, ["budget.target", "fin_Latn", "not among the languages"]),
    "target twice": ({"target": {"Estonian": 2.0, "et": 2.1}}, ["budget.target", "there twice"]),
    "target below nought": ({"target": {"Estonian": -1}}, ["budget.target.Estonian.loss", "greater than 0"]),
    "half a model": ({"target": {"et": {"like": "English", "params": "1B"}}}, ["budget.target", "lacks tokens"]),
    "loss and model": ({"target": {"et": {"like": "en", "loss": 2}}}, ["both loss and like"]),
    "like no language": ({"target": {"et": {"like": "Englsh", "params": 1, "tokens": 1}}}, ["Englsh", "English"]),
    "a model's key": ({"target": {"et": {"like": "en", "param": 1}}}, ["'param'", "'params'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_budgets_are_named(case: str) -> None:
    given, words = REFUSED[case]
    with pytest.raises(InputError) as raised:
        asked(given)
    for word in words:
        assert word in str(raised.value)


def test_own_accelerators() -> None:
    own = {"MyChip": {"peak_flops": "400e12", "memory": "64 GB"}, "H100": {"peak_flops": "700e12"}}
    budget = asked({"gpu": "my-chip", "gpu_hours": 10}, accelerators=own).budget
    assert budget.gpu == "MyChip"
    assert pytest.approx(400e12 * HOUR * 10 * 0.4) == budget.C
    assert budget.memory == 64e9
    ours = asked({"gpu": "H100", "gpu_hours": 10}, accelerators=own).budget
    assert pytest.approx(700e12 * HOUR * 10 * 0.4) == ours.C
    assert ours.memory is None


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"MyChip": {"peak_flop": 1}}, ["accelerators.MyChip", "peak_flop", "Did you mean 'peak_flops'"]),
        ({"MyChip": {"peak_flops": 1e14, "memry": 1}}, ["'memry'", "'memory'"]),
        ({"MyChip": {"peak_flops": "fast"}}, ["accelerators.MyChip.peak_flops", "'fast'"]),
        ({"MyChip": 4e14}, ["accelerators.MyChip"]),
        ("MyChip", ["accelerators"]),
    ],
)
def test_bad_accelerators_are_named(own: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        asked({"gpu": "MyChip", "gpu_hours": 10} if isinstance(own, dict) else {"flops": 1}, accelerators=own)
    for word in words:
        assert word in str(raised.value)


def test_hours_and_money_of_a_number_of_flops() -> None:
    budget = asked({"flops": 1e22, "gpu": "H100", "per_gpu_hour": 2.0, "utilisation": 0.5}).budget
    hours = budget.hours_for(1e22)
    assert hours == pytest.approx(1e22 / (989e12 * HOUR * 0.5))
    assert hours is not None
    assert budget.money_for(1e22) == pytest.approx(2 * hours)
    assert asked({"flops": 1e22}).budget.hours_for(1e22) is None


def test_a_budget_is_said_as_it_was_given() -> None:
    money = {"gpu": "A100", "money": 50_000, "per_gpu_hour": 2.5, "currency": "EUR"}
    assert asked(money).budget.said().startswith("50000 EUR at 2.5 EUR an hour = 20000 h of A100 at its peak")
    assert "64 x H100 for 14 days" in asked({"gpu": "H100", "gpus": 64, "days": 14}).budget.said()
    assert asked({"loss": 2.1}).budget.said() == "budget.loss in the question"


def test_what_the_question_alone_does_not_tell_is_no_number() -> None:
    with pytest.raises(InputError, match="what to reach"):
        _ = asked({"loss": 2.1}).budget.total
    serving = asked({"flops": 1e22, "served_tokens": "2T"}).budget
    assert serving.total == 1e22
    with pytest.raises(InputError, match="served_tokens"):
        _ = serving.C


def test_budgets_stand_alone_and_are_frozen() -> None:
    budget = Budget(gpu="H100", gpu_hours=1.0)
    assert pytest.approx(989e12 * HOUR * 0.4) == budget.C
    with pytest.raises(ValueError, match="frozen"):
        budget.gpu_hours = 2.0  # pyright: ignore[reportAttributeAccessIssue]


def test_the_table_of_accelerators() -> None:
    table = accelerators()
    assert len(table) == len({canonical_name(name.lower()) for name in table})
    for name, chip in table.items():
        assert 1e14 < chip.peak_flops < 1e16, name
        assert chip.memory is not None
        assert 1e10 < chip.memory < 1e12, name
        assert chip.checked in ("maker", "copies"), name
        assert chip.source, name
        assert chip.address.startswith("https://"), name
        assert PEAK_FLOPS[name] == chip.peak_flops
    assert canonical_name("h100 pcie") == "H100-PCIe"


# Counting FLOPs


@pytest.mark.parametrize("vocab_size", [256, 32_000, 64_512, 256_000])
@pytest.mark.parametrize("tied", [True, False])
def test_suggested_shapes_are_near(vocab_size: int, tied: bool) -> None:
    outline = Outline(vocab_size, tied)
    for N in np.geomspace(outline.params(512), 1e12, 30):
        shape = shape_for(N, vocab_size, tied=tied)
        assert shape.params_total == pytest.approx(N, rel=0.05)
        assert shape.d_model == shape.heads * shape.d_head
        assert shape.d_ff / shape.d_model == pytest.approx(8 / 3, rel=0.06)
        assert abs(math.log(shape.layers / outline.layers(shape.d_model))) < math.log(1.3)
        smooth = outline.flops_per_token(outline.d_model(N), 4096) / N
        assert shape.flops_per_token(4096) / shape.params_total == pytest.approx(smooth, rel=0.05)


def test_no_shape_is_smaller_than_its_embedding() -> None:
    with pytest.raises(InputError, match="vocabulary of 64,512"):
        shape_for(3e6, 64_512)


@pytest.mark.parametrize("tied", [True, False])
def test_the_smooth_count_is_the_outline_s(tied: bool) -> None:
    outline, flops = Outline(64_512, tied), counted(64_512, 2048, tied=tied)
    widths = np.geomspace(70, 60_000, 97)
    N = np.array([outline.params(d) for d in widths])
    expected = np.array([outline.flops_per_token(d, 2048) for d in widths])
    assert np.asarray(flops.per_token(N)) == pytest.approx(expected, rel=1e-5)
    assert np.asarray(flops.served_per_token(N)) == pytest.approx(expected / 3, rel=1e-5)


def test_a_long_context_costs_more_and_a_large_model_tends_to_6N() -> None:
    short, long = (counted(32_000, c).per_token for c in (512, 32_768))
    assert float(long(1e9)) > 1.5 * float(short(1e9))
    assert float(short(1e12)) == pytest.approx(6e12, rel=0.01)


@pytest.mark.parametrize(
    "flops",
    [SixND(), counted(64_512, 4096), counted(32_000, 8192, tied=False)],
    ids=["6ND", "tied", "untied"],
)
def test_tokens_and_params_are_each_other_s_inverse(flops: Any) -> None:
    C = 1e22
    of = jax.jit(lambda D, served: params_affordable(D, C, served, flops))
    slope = jax.jit(jax.grad(lambda D, served: params_affordable(D, C, served, flops)))
    for D, served in itertools.product([1e9, 1e11, 1e13], [0.0, 1e10, 2e12]):
        N = of(D, served)
        assert float(total_flops(N, D, served, flops)) == pytest.approx(C, rel=1e-10)
        assert float(tokens_affordable(N, C, served, flops)) == pytest.approx(D, rel=1e-6)
        h = 1e-4 * D
        by_difference = (float(of(D + h, served)) - float(of(D - h, served))) / (2 * h)
        assert float(slope(D, served)) == pytest.approx(by_difference, rel=1e-5)


def test_serving_takes_2N_a_token() -> None:
    assert params_affordable(1e11, 1e22, 5e11, SixND()) == pytest.approx(1e22 / (6e11 + 1e12))
    assert tokens_affordable(1e9, 1e21, 0.0, SixND()) == pytest.approx(1e21 / 6e9)
    assert tokens_affordable(1e9, 1e21, 1e12, SixND()) < 0


def test_both_counts_are_printed() -> None:
    found = count(1e9, 7e20, vocab_size=64_512, context_length=4096)
    assert found.tokens_6ND == pytest.approx(7e20 / 6e9)
    assert found.tokens_counted == pytest.approx(7e20 / found.shape.flops_per_token(4096))
    assert found.tokens_counted < found.tokens_6ND
    for words in ("6ND says D = 117B tokens", found.shape.name, "context 4,096", "without embeddings"):
        assert words in str(found)
    with pytest.raises(InputError, match="serving 1T tokens"):
        count(1e9, 1e20, vocab_size=64_512, context_length=4096, served_tokens=1e12)


# Memory


def test_memory_caps_the_size() -> None:
    assert state_bytes(1e9) == 16e9
    one, eight = (max_trainable_params(80e9, n, vocab_size=64_512, context_length=4096) for n in (1, 8))
    assert one < 80e9 / 16
    assert 7 * one < eight < 8 * 80e9 / 16
    outline = Outline(64_512)
    d_model = outline.d_model(one)
    used = state_bytes(one) + activation_bytes(outline.layers(d_model), d_model, 64_512, 4096)
    assert used == pytest.approx(80e9, rel=1e-6)
    with pytest.raises(InputError, match="hold no model"):
        max_trainable_params(1e8, 1, vocab_size=64_512, context_length=4096)


# From a loss to a budget


def best(C: float) -> float:
    N, D = optimal_allocation(A, ALPHA, B, BETA, C)
    return E + A / N**ALPHA + B / D**BETA


def budget_of(loss: float) -> float:
    """In closed form: along the optimum both terms fall as C^-(alpha beta / (alpha + beta))."""
    power = ALPHA * BETA / (ALPHA + BETA)
    return ((best(1.0) - E) / (loss - E)) ** (1 / power)


@pytest.mark.parametrize("loss", [1.8, 2.1, 2.5, 3.7])
def test_the_budget_of_a_loss_is_chinchilla_s(loss: float) -> None:
    found = compute_for_loss(best, loss, floor=E)
    assert pytest.approx(budget_of(loss), rel=1e-3) == found.C
    assert found.losses[0] <= loss
    assert best(found.C * 0.997) > loss
    assert len(found.tried) <= 20
    assert list(found.tried) == sorted(found.tried, key=lambda pair: pair[0])


def test_all_targets_are_reached_and_the_hardest_binds() -> None:
    def two(C: float) -> np.ndarray:
        return np.array([best(C), best(C) + 0.3])

    found = compute_for_loss(two, [2.2, 2.3], names=["ekk_Latn", "lvs_Latn"])
    assert pytest.approx(budget_of(2.0), rel=1e-3) == found.C
    assert (found.losses <= [2.2, 2.3]).all()
    with pytest.raises(InputError, match=r"lvs_Latn cannot reach 1\.9: the law's irreducible loss is 1\.99"):
        compute_for_loss(two, [2.2, 1.9], floor=[E, E + 0.3], names=["ekk_Latn", "lvs_Latn"])


@pytest.mark.parametrize(
    ("target", "more", "words"),
    [
        (1.6, {"floor": E}, "irreducible loss is 1.69"),
        (1.69, {"floor": E}, "irreducible loss is 1.69"),
        (1.6, {}, r"cannot reach 1.6: with 1e\+30 FLOPs"),
        (1.9, {"most": 1e21}, r"cannot reach 1.9: with 1e\+21 FLOPs"),
        (50.0, {}, f"with {LEAST:.3g} FLOPs already".replace("+", r"\+")),
        (-1.0, {}, "positive"),
        (math.nan, {}, "positive"),
        (2.1, {"least": 1e22, "most": 1e21}, "least < most"),
    ],
)
def test_a_loss_out_of_reach(target: float, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compute_for_loss(best, target, **more)


def test_budgets_that_are_refused_end_the_walk() -> None:
    def little_text(C: float) -> float:
        if C > 3e18:
            raise InputError("no model meets the budget")
        return best(C)

    loss = best(2e18)
    assert pytest.approx(2e18, rel=1e-3) == compute_for_loss(little_text, loss).C
    with pytest.raises(InputError, match="more is refused: no model meets the budget"):
        compute_for_loss(little_text, best(1e19))

    def never(_: float) -> float:
        raise PlanError("nothing works")

    with pytest.raises(PlanError, match="nothing works"):
        compute_for_loss(never, 2.0)


def test_a_best_loss_that_rises_is_no_best_loss() -> None:
    with pytest.raises(PlanError, match="rises"):
        compute_for_loss(lambda C: best(C) + (0.5 if 5e20 < C < 5e21 else 0.0), 1.9)


def test_as_good_as_a_model_of_another_language() -> None:
    question = asked({"target": {"Estonian": {"like": "English", "params": "1B", "tokens": "100B"}, "lav": 2.4}})
    assert question.budget.is_target
    assert question.budget.target is not None
    found = target_losses(question.budget.target, lambda code: {"eng_Latn": (E, A, ALPHA, B, BETA)}[code])
    expected = float(Chinchilla(E=E, A=A, alpha=ALPHA, B=B, beta=BETA).loss(1e9, 1e11))
    assert found == {"ekk_Latn": pytest.approx(expected), "lvs_Latn": 2.4}
