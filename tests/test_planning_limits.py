"""What a plan may not do: epochs, shares and sizes stay inside the question's limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.planning import Plan, plan

LANGUAGES = ("ekk_Latn", "lvs_Latn", "eng_Latn")


def ask(
    needs: dict[str, dict[str, Any]] | None = None, limits: dict[str, Any] | None = None, flops: float = 1e21
) -> Plan:
    languages = {code: (needs or {}).get(code, {}) for code in LANGUAGES}
    return plan({"budget": {"flops": flops}, "languages": languages, "limits": limits or {}}, draws=0)


@pytest.fixture(scope="module")
def free() -> Plan:
    return ask(limits={"max_epochs": 1000})


@pytest.mark.parametrize(
    ("needs", "limits", "binds"),
    [
        pytest.param({}, {}, ["epoch cap 4: ekk_Latn, lvs_Latn"], id="default epoch cap"),
        pytest.param(
            {"lvs_Latn": {"max_epochs": 1}},
            {"max_epochs": 2},
            ["epoch cap 1: lvs_Latn", "epoch cap 2: ekk_Latn"],
            id="an epoch cap of one language",
        ),
        pytest.param({"eng_Latn": {"min_share": 0.7}}, {}, ["minimum share 0.7: eng_Latn"], id="min_share"),
        pytest.param(
            {"eng_Latn": {"max_share": 0.2}}, {"max_epochs": 12}, ["maximum share 0.2: eng_Latn"], id="max_share"
        ),
        pytest.param({"ekk_Latn": {"share": 0.25}}, {}, ["fixed share 0.25: ekk_Latn"], id="fixed share"),
        pytest.param({}, {"min_share": 0.28}, ["minimum share 0.28: lvs_Latn"], id="min_share of all"),
        pytest.param({}, {"max_params": 3e8, "max_epochs": 20}, ["maximum size: 300M parameters"], id="max_params"),
        pytest.param({}, {"min_params": 5e9}, ["5B parameters"], id="min_params"),
        pytest.param(
            {"ekk_Latn": {"share": 0.15}, "lvs_Latn": {"max_epochs": 1.5}, "eng_Latn": {"max_share": 0.8}},
            {"max_epochs": 3, "min_share": 0.1, "min_params": 2e9, "max_params": 4e9},
            ["fixed share 0.15: ekk_Latn"],
            id="several at once",
        ),
    ],
)
def test_limits_are_kept_and_said(
    needs: dict[str, dict[str, Any]], limits: dict[str, Any], binds: list[str], free: Plan
) -> None:
    found = ask(needs, limits)
    for i, code in enumerate(LANGUAGES):
        need = needs.get(code, {})
        cap = need.get("max_epochs", limits.get("max_epochs", 4))
        assert found.epochs[i] <= cap * (1 + 1e-6)
        assert found.epoch_caps[i] == pytest.approx(cap)
        low = need.get("share", need.get("min_share", limits.get("min_share", 0.0)))
        high = need.get("share", need.get("max_share", 1.0))
        assert low * (1 - 1e-6) <= found.shares[i] <= high * (1 + 1e-6)
    assert limits.get("min_params", 0) * (1 - 1e-6) <= found.N <= limits.get("max_params", np.inf) * (1 + 1e-6)
    assert found.shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.C == 1e21
    assert pytest.approx(found.C, rel=1e-12) == 6 * found.N * found.D
    assert found.epochs == pytest.approx(found.shares * found.D / found.text)
    for sentence in binds:
        assert any(sentence in said for said in found.binds), (sentence, found.binds)
    # A plan that is bound is no better than one that is free.
    assert found.objective >= free.objective * (1 - 1e-7)


def test_text_that_does_not_last_makes_the_model_larger() -> None:
    """With 2B tokens of Estonian at four epochs at most, the rest of the budget can only go into size."""
    scarce = {"ekk_Latn": {"tokens": "1B"}, "lvs_Latn": {"tokens": "0.5B"}, "eng_Latn": {"tokens": "0.5B"}}
    found = ask(scarce, flops=1e21)
    assert pytest.approx(8e9, rel=1e-4) == found.D
    assert pytest.approx(1e21 / 6 / 8e9, rel=1e-4) == found.N
    assert found.epochs == pytest.approx([4, 4, 4], rel=1e-4)


def test_looser_limits_are_never_worse() -> None:
    objectives = [ask(limits={"max_epochs": epochs}).objective for epochs in (1, 2, 8)]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[0] > objectives[-1]


def test_more_compute_is_never_worse() -> None:
    objectives = [ask(flops=flops).objective for flops in (1e19, 1e21, 1e23)]
    assert objectives == sorted(objectives, reverse=True)


@pytest.mark.parametrize(
    ("needs", "limits", "says"),
    [
        pytest.param(
            {},
            {"min_share": 0.4},
            ["min_share of Estonian 0.4, min_share of Latvian 0.4 and min_share of English 0.4 sum to 1.2, above 1"],
            id="min shares over 1",
        ),
        pytest.param(
            {"ekk_Latn": {"share": 0.7}, "eng_Latn": {"share": 0.6}}, {}, ["sum to 1.3"], id="fixed shares over 1"
        ),
        pytest.param(
            {code: {"max_share": 0.2} for code in LANGUAGES}, {}, ["sum to 0.6", "below 1"], id="max shares below 1"
        ),
        pytest.param(
            {"ekk_Latn": {"min_share": 0.5, "max_share": 0.3}},
            {},
            ["languages, Estonian", "minimum share 0.5 is above the maximum 0.3"],
            id="min above max",
        ),
        pytest.param(
            {}, {"min_params": 2e9, "max_params": 1e9}, ["min_params 2B is above max_params 1B"], id="sizes crossed"
        ),
        pytest.param(
            {"ekk_Latn": {"tokens": "1B"}, "lvs_Latn": {"tokens": "1B"}, "eng_Latn": {"tokens": "1B"}},
            {"max_params": 1e9},
            ["no model meets the budget", "12B tokens", "max_params 1B", "max_epochs"],
            id="max_params too small for the text",
        ),
    ],
)
def test_limits_that_no_plan_meets(needs: dict[str, dict[str, Any]], limits: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        ask(needs, limits)
    for part in says:
        assert part in str(caught.value)


def test_a_budget_that_trains_no_model() -> None:
    with pytest.raises(InputError, match=r"(?s)budget: 1e\+03 FLOPs train no model.*min_params"):
        ask(flops=1e3)
