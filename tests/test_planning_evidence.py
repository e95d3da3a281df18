"""Every number of a plan says where it comes from, and a plan says what to doubt. Also: expand, mixtures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.laws import Atlas
from isogloss.planning import Plan, expand, plan
from isogloss.planning.expand import parse_factor
from isogloss.runs.mixtures import naive_mixtures, proportional, temperature, unimax

KINDS = {"given", "measured", "published", "predicted", "assumed"}


def ask(languages: Any, flops: float = 1e21, **more: Any) -> Plan:
    return plan({"budget": {"flops": flops}, "languages": languages, **more}, draws=0)


@pytest.fixture(scope="module")
def mixed() -> Plan:
    return ask({"Estonian": {"tokens": "2B"}, "English": {}, "Yoruba": {"bytes": "1 GB"}, "Swahili": {}})


# --- evidence ---------------------------------------------------------------------------------------


def test_every_number_has_a_kind_and_a_source(mixed: Plan) -> None:
    answer = mixed.to_dict()
    wanted = {"C", "N", "D", "shares", "epochs", "mean_loss", "profile", "weights", "repetition", "capacity"}
    wanted |= {f"{part}.{c}" for part in ("loss", "text", "law", "transfer") for c in mixed.languages}
    wanted |= {f"alternatives.{name}" for name in answer["alternatives"]}
    assert wanted <= answer["evidence"].keys()
    for quantity, evidence in answer["evidence"].items():
        assert evidence["kind"] in KINDS, quantity
        assert evidence["source"].strip(), quantity
    assert len(mixed.evidence) == len(answer["evidence"])


def test_kinds_are_what_the_numbers_are(mixed: Plan) -> None:
    kinds = {e.quantity: e.kind for e in mixed.evidence}
    assert kinds["C"] == "given"
    assert kinds["text.ekk_Latn"] == "given"
    assert kinds["text.yor_Latn"] == "assumed"
    assert kinds["law.eng_Latn"] == "published"
    assert kinds["law.ekk_Latn"] == "assumed"
    assert kinds["repetition"] == "published"
    assert kinds["N"] == kinds["shares"] == "assumed"


def test_nothing_is_stronger_than_what_it_rests_on() -> None:
    alone = ask({"English": {"tokens": "100T"}})
    assert alone.kind_of("loss.eng_Latn") == "predicted"
    assert alone.kind_of("N") == "predicted"
    foreign = ask({"Estonian": {"tokens": "100T"}})
    assert foreign.kind_of("loss.ekk_Latn") == "assumed"


def test_accelerator_hours_at_an_assumed_utilisation() -> None:
    hours = {"gpu": "H100", "gpu_hours": 1000}
    kinds = [
        plan({"budget": {**hours, **more}, "languages": {"English": {"tokens": "100T"}}}, draws=0).kind_of("C")
        for more in ({}, {"utilisation": 0.3})
    ]
    assert kinds == ["assumed", "given"]


def test_an_unknown_quantity_has_no_kind(mixed: Plan) -> None:
    with pytest.raises(KeyError):
        mixed.kind_of("loss.deu_Latn")


# --- warnings ---------------------------------------------------------------------------------------


def warned(found: Plan, *parts: str) -> bool:
    return any(all(part in w for part in parts) for w in found.warnings)


@pytest.mark.parametrize("flops", [1e15, 1e25])
def test_sizes_outside_the_published_ones(flops: float, mixed: Plan) -> None:
    outside = ask({"English": {"tokens": "100T"}}, flops)
    assert not 1e7 <= outside.N <= 8e9
    assert warned(outside, "outside the sizes behind the laws", "10M to 8B")
    assert 1e7 <= mixed.N <= 8e9
    assert not warned(mixed, "outside the sizes")


def test_languages_without_a_law(mixed: Plan) -> None:
    assert warned(mixed, "2 of 4 languages", "ekk_Latn, yor_Latn", "mean of eng_Latn")
    assert not warned(ask({"English": {"tokens": "100T"}}), "mean of")


def test_transfer_that_nobody_measured(mixed: Plan) -> None:
    assert warned(mixed, "of 12 transfer weights are not measured")
    assert not warned(ask({"English": {"tokens": "100T"}, "French": {"tokens": "100T"}}), "not measured")


def test_plans_without_draws_are_point_estimates_and_say_so(mixed: Plan) -> None:
    assert warned(mixed, "no intervals")
    assert mixed.to_dict()["uncertainty"] is None
    assert warned(mixed, "repeated", "wide")


# --- transfer by hand -------------------------------------------------------------------------------


def tokens_worth(tau: list[float], own: float, sources: list[float], **more: Any) -> float:
    law = Atlas(
        E=1,
        A=1,
        alpha=0.3,
        B=1,
        beta=0.3,
        lambda_=0.1,
        tau=np.array(tau),
        tau_other=0.0,
        dose="equal",
        languages="effective",
    )
    law = replace(law, **{k: more[k] for k in more if k in ("tau_other", "dose")})
    return float(law.effective_tokens(own, np.array(sources), more.get("others", 0.0), more.get("K_other", 1.0)))


@pytest.mark.parametrize(
    ("tau", "own", "sources", "more", "worth"),
    [
        pytest.param([0.5, 0.2], 10, [4, 20], {}, 10 + 2 + 2, id="helpers count up to the target's tokens"),
        pytest.param([0.5, 0.2], 10, [4, 20], {"dose": "linear"}, 10 + 2 + 4, id="linear counts all"),
        pytest.param([-0.5], 10, [4], {}, 8, id="little interference is linear"),
        pytest.param([-0.5], 10, [1000], {}, 5, id="one dose at most"),
        pytest.param([-0.5], 10, [1000], {"dose": "linear"}, -490, id="linear can be negative"),
        # harm 2 + 2 = 4; its mean weight is (0.25 x 4 + 0.04 x 10) / 4 = 0.35: one dose is 3.5.
        pytest.param([-0.5, -0.2], 10, [4, 20], {}, 6.5, id="two interfere as one dose"),
        pytest.param([0.5, -0.5], 10, [10, 10], {}, 10, id="help and harm cancel"),
        pytest.param([], 10, [], {"tau_other": -0.3, "others": 50}, 7, id="others interfere"),
        pytest.param([], 10, [], {"tau_other": 0.3, "others": 50}, 13, id="others help"),
        pytest.param([], 10, [], {"tau_other": 0.3, "others": 50, "K_other": 3}, 19, id="three others, a dose each"),
        pytest.param([], 10, [], {"tau_other": 0.3, "others": 50, "K_other": 8}, 25, id="all there is of eight"),
        pytest.param([], 10, [], {"tau_other": -0.3, "others": 50, "K_other": 3}, 7, id="three others harm as one"),
        pytest.param([0.5], 0, [100], {}, 0, id="nothing of one's own"),
    ],
)
def test_effective_tokens_by_hand(
    tau: list[float], own: float, sources: list[float], more: dict[str, Any], worth: float
) -> None:
    assert tokens_worth(tau, own, sources, **more) == pytest.approx(worth)


@pytest.mark.parametrize("beside", [-0.4, 0.0, 0.4])
def test_effective_tokens_are_continuous_where_a_weight_changes_sign(beside: float) -> None:
    at_zero = tokens_worth([0.0, beside], 10, [8, 30])
    for tau in (1e-9, -1e-9):
        assert tokens_worth([tau, beside], 10, [8, 30]) == pytest.approx(at_zero, abs=1e-7)


weights = st.floats(-0.9, 0.9)
amounts = st.floats(0, 1e12)


@settings(max_examples=50, deadline=None)
@given(weights, amounts, amounts, st.integers(1, 6))
def test_others_that_are_alike_count_as_if_they_were_named(tau: float, own: float, each: float, K: int) -> None:
    together = tokens_worth([], own, [], tau_other=tau, others=K * each, K_other=K)
    assert together == pytest.approx(tokens_worth([tau] * K, own, [each] * K), rel=1e-9, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(weights, amounts), min_size=1, max_size=4))
def test_doses_agree_while_the_others_are_few(sources: list[tuple[float, float]]) -> None:
    """Together no more than the target's own tokens, they do linear harm (by Cauchy and Schwarz)."""
    tau, tokens = [t for t, _ in sources], [s for _, s in sources]
    own = sum(tokens) + 1
    equal, linear = (tokens_worth(tau, own, tokens, dose=d) for d in ("equal", "linear"))
    assert equal == pytest.approx(linear, rel=1e-9, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(weights, amounts), min_size=1, max_size=4), st.floats(1, 1e12))
def test_equal_doses_leave_something(sources: list[tuple[float, float]], own: float) -> None:
    tau, tokens = [t for t, _ in sources], [s for _, s in sources]
    worth = tokens_worth(tau, own, tokens)
    helping = sum(max(t, 0) for t in tau)
    assert 0.09 * own <= worth <= own * (1 + helping) * (1 + 1e-9)


# --- naive mixtures ---------------------------------------------------------------------------------


def test_unimax_by_hand() -> None:
    """90 tokens: an even part is 30; the first language has only 2 x 5, so the others share 80."""
    U = np.array([100.0, 5.0, 50.0])
    assert unimax(U, 90, 2) == pytest.approx(np.array([40, 10, 40]) / 90)
    assert unimax(U, 30, 10) == pytest.approx([1 / 3] * 3)
    # 300 tokens at one epoch: all text is used up, 155 tokens.
    assert unimax(U, 300, 1) == pytest.approx(U / 155)


def test_proportional_and_temperature_by_hand() -> None:
    U = np.array([81.0, 16.0, 1.0])
    assert proportional(U) == pytest.approx(U / 98)
    assert temperature(U, 4) == pytest.approx(np.array([3, 2, 1]) / 6)
    assert temperature(U, 1) == pytest.approx(proportional(U))
    assert temperature(U, 1e9) == pytest.approx([1 / 3] * 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1, 1e13), min_size=1, max_size=9), st.floats(1, 1e14), st.floats(0.5, 20))
def test_naive_mixtures_are_mixtures(text: list[float], D: float, max_epochs: float) -> None:
    U = np.array(text)
    for name, p in naive_mixtures(U, D, T=3.33, max_epochs=max_epochs).items():
        assert p.sum() == pytest.approx(1.0), name
        assert (p > 0).all(), name
        # More text, no smaller a share.
        assert (np.diff(p[np.argsort(U)]) >= -1e-12).all(), name
    spent = min(D, max_epochs * U.sum())
    assert (unimax(U, D, max_epochs) * spent <= max_epochs * U * (1 + 1e-9)).all()


# --- expand -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("r", "N", "D"), [(2, 1.18, 1.66), (4, 1.40, 2.74), (8, 1.66, 4.54), (16, 1.96, 7.52)])
def test_more_languages_as_published(r: float, N: float, D: float) -> None:
    """ATLAS, arXiv:2510.22037, section 5: r^0.243 on size, r^0.728 on tokens."""
    answer = expand(r)
    assert round(answer.N_factor, 2) == N
    assert round(answer.D_factor, 2) == pytest.approx(D, abs=0.011)
    assert answer.C_factor == pytest.approx(answer.N_factor * answer.D_factor)
    assert answer.D_per_language_factor == pytest.approx(answer.D_factor / r)
    assert answer.warnings


def test_the_same_languages_need_nothing_and_factors_multiply() -> None:
    assert (expand(1).N_factor, expand(1).D_factor) == (1.0, 1.0)
    assert expand(6).C_factor == pytest.approx(expand(2).C_factor * expand(3).C_factor)
    assert any("beyond anything measured" in w for w in expand(100).warnings)


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        *(("2x", 2), ("x2", 2), ("2", 2), (" 2 X ", 2), ("1.5x", 1.5)),
        *(("10->20", 2), ("10 -> 25", 2.5), ("4→16", 4), ("10 to 20", 2), ("10:20", 2), ("20->10", 0.5)),
    ],
)
def test_factors_as_people_write_them(text: str, factor: float) -> None:
    assert parse_factor(text) == factor


@pytest.mark.parametrize(
    "text", ["", "x", "two", "-2x", "0", "0x", "0->5", "5->0", "2xx3", "nan", "inf", "1e400", "10->"]
)
def test_what_is_no_factor(text: str) -> None:
    with pytest.raises(InputError, match="--languages"):
        parse_factor(text)


@pytest.mark.parametrize("r", [0, -1, math.nan, math.inf])
def test_expand_needs_a_factor(r: float) -> None:
    with pytest.raises(InputError, match="not a factor"):
        expand(r)
