"""Questions whose limits no plan meets: the message names the limits that conflict, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.planning import plan
from isogloss.planning.conflicts import conflict_error, conflicting, contradiction
from isogloss.planning.limits import (
    Box,
    Constraint,
    EpochCap,
    FixedShare,
    MaxParams,
    MaxShare,
    Memory,
    MinParams,
    MinShare,
    box_of,
    most_tokens_of,
    only,
)

THREE = ("Estonian", "Latvian", "English")


def refusal(needs: dict[str, dict[str, Any]], limits: dict[str, Any], budget: Any = "1e21") -> str:
    languages = {name: needs.get(name, {}) for name in THREE}
    with pytest.raises(InputError) as caught:
        plan({"budget": budget, "languages": languages, "limits": limits}, draws=0)
    return str(caught.value)


SCARCE = {"tokens": "1B"}
CASES: dict[str, tuple[dict[str, dict[str, Any]], dict[str, Any], Any, list[str], list[str]]] = {
    "fixed and minimum share": (
        {"Estonian": {"share": 0.6}, "Latvian": {"min_share": 0.5}, "English": {"min_share": 0.1}},
        {},
        "1e21",
        ["min_share of Latvian 0.5 and fixed share of Estonian 0.6 sum to 1.1, above 1"],
        ["English"],
    ),
    "a share and its cap": (
        {"Estonian": {"share": 0.5, "tokens": "3B"}},
        {"max_params": "1B"},
        "1e21",
        [
            "1e+21 FLOPs on max_params 1B train 167B tokens",
            "fixed share of Estonian 0.5 needs 83.3B tokens of it, and 4 epochs of Estonian (3B tokens",
            "Raise max_epochs or give more text, lower the share, raise max_params, or lower the budget.",
        ],
        ["Latvian", "English", "min_params"],
    ),
    "all text and the size": (
        dict.fromkeys(THREE, SCARCE),
        {"max_params": "1B"},
        "1e21",
        ["4 epochs of Estonian (1B tokens of text), 4 epochs of Latvian", "allow 12B tokens", "raise max_params"],
        ["min_params", "share"],
    ),
    "the text and a maximum share": (
        {"Estonian": SCARCE, "Latvian": SCARCE, "English": {"max_share": 0.1}},
        {"max_params": "1B"},
        "1e21",
        ["with max_share of English 0.1 allow 8.89B tokens", "raise max_share"],
        ["epochs of English", "min_params"],
    ),
    "memory and a share": (
        {"Estonian": {"min_share": 0.9, "tokens": "1B"}},
        {"memory": "20 GB"},
        {"gpu": "H100", "gpus": 8, "days": 14},
        ["memory, which trains at most", "min_share of Estonian 0.9 needs", "use more memory"],
        ["max_params", "Latvian"],
    ),
    "sizes": (
        {},
        {"min_params": "2B", "max_params": "1B"},
        "1e21",
        ["min_params 2B is above max_params 1B"],
        ["share"],
    ),
    "memory and the smallest size": (
        {},
        {"min_params": "500B", "memory": "20 GB"},
        {"gpu": "H100", "gpus": 8, "days": 14},
        ["min_params 500B is above memory, which trains at most"],
        ["max_params"],
    ),
    "maximum shares": (
        {name: {"max_share": 0.2} for name in THREE},
        {},
        "1e21",
        ["max_share of Estonian 0.2, max_share of Latvian 0.2 and max_share of English 0.2 sum to 0.6, below 1"],
        [],
    ),
    "minimum above maximum": (
        {"Latvian": {"min_share": 0.5, "max_share": 0.3}},
        {},
        "1e21",
        ["languages, Latvian: the minimum share 0.5 is above the maximum 0.3"],
        ["Estonian", "English"],
    ),
    "serving and the smallest size": (
        {},
        {"min_params": "1B"},
        {"flops": "1e20", "served_tokens": "1T"},
        ["train no model: the smallest allowed, 1B parameters", "once 1T tokens are served", "budget.served_tokens"],
        ["share"],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_message_names_what_conflicts_and_nothing_else(case: str) -> None:
    needs, limits, budget, says, spares = CASES[case]
    text = refusal(needs, limits, budget)
    for words in says:
        assert words in text
    for words in spares:
        assert words not in text


def test_many_limits_of_one_kind_are_told_together() -> None:
    languages = ["Estonian", "Latvian", "Lithuanian", "Finnish", "English", "Swedish", "Polish", "German"]
    with pytest.raises(InputError, match=r"(?s)8 limits of epochs \(.*and 4 more\).*allow 3.2B tokens"):
        plan(
            {
                "budget": "1e22",
                "languages": {name: {"tokens": "100M"} for name in languages},
                "limits": {"max_params": "1B"},
            },
            draws=0,
        )


def random_limits(rng: np.random.Generator, K: int) -> list[Constraint]:
    """Limits of which about as many contradict each other as not."""
    found: list[Constraint] = [
        MinParams(float(10 ** rng.uniform(6, 9.2))),
        MaxParams(float(10 ** rng.uniform(8.5, 11))),
    ]
    if rng.random() < 0.3:
        found.append(Memory(float(10 ** rng.uniform(8.5, 11))))
    for i in range(K):
        found.append(EpochCap(i, 4.0, float(10 ** rng.uniform(7, 11)), f"L{i}"))
        kind = rng.integers(5)
        if kind == 0:
            found.append(FixedShare(i, float(rng.uniform(0.01, 0.6)), f"L{i}"))
        if kind in (1, 2):
            found.append(MinShare(i, float(rng.uniform(0.01, 0.5)), f"L{i}"))
        if kind in (2, 3):
            found.append(MaxShare(i, float(rng.uniform(0.05, 0.9)), f"L{i}"))
    return [found[i] for i in rng.permutation(len(found))]


def holds(limits: list[Constraint], K: int, C: float, served: float) -> bool:
    return not contradiction(box_of(limits, K), C, served)


def test_without_any_one_of_the_named_limits_there_is_a_plan() -> None:
    rng = np.random.default_rng(8)
    kinds: set[frozenset[str]] = set()
    conflicts = 0
    for _ in range(400):
        K, C = int(rng.integers(1, 7)), float(10 ** rng.uniform(18, 23))
        served = float(10 ** rng.uniform(8, 12)) if rng.random() < 0.3 else 0.0
        limits = random_limits(rng, K)
        box = box_of(limits, K)
        if not contradiction(box, C, served):
            continue
        conflicts += 1
        named = conflicting(box, C, served)
        assert not holds(named, K, C, served)
        assert set(named) <= set(limits)
        for limit in named:
            rest = [c for c in named if c is not limit]
            assert holds(rest, K, C, served), (limit.said, [c.said for c in named])
        text = str(conflict_error(box, C, served))
        for limit in named:
            assert getattr(limit, "name", "") in text
        kinds.add(frozenset(type(c).__name__ for c in named))
    assert conflicts > 100
    # All kinds of limits, and several ways to conflict.
    assert {name for kind in kinds for name in kind} >= {"FixedShare", "MinShare", "MaxShare", "EpochCap", "MinParams"}
    assert len(kinds) > 8


def test_where_there_is_a_contradiction_no_mixture_lasts() -> None:
    """The most tokens that a box allows, against a search over mixtures and D."""
    rng = np.random.default_rng(3)
    for _ in range(30):
        limits = [c for c in random_limits(rng, 2) if not isinstance(c, MinParams | MaxParams | Memory)]
        if rng.random() < 0.5:
            limits = [c for c in limits if not (isinstance(c, EpochCap) and c.index == 1)]
        box = box_of(limits, 2)
        if contradiction(box):
            continue
        p = np.linspace(
            max(box.share_low[0], 1 - box.share_high[1]), min(box.share_high[0], 1 - box.share_low[1]), 4001
        )
        with np.errstate(divide="ignore"):
            D = np.minimum(box.tokens_high[0] / p, box.tokens_high[1] / (1 - p))
        assert most_tokens_of(box) == pytest.approx(D.max(), rel=2e-3)


def test_a_box_that_nobody_named_is_refused_all_the_same() -> None:
    box = Box(np.array([np.inf]), np.array([0.5]), np.array([0.4]), 0.0, np.inf)
    assert "no plan" in str(conflict_error(box))


def test_a_part_of_the_languages_keeps_its_limits() -> None:
    limits: list[Constraint] = [MaxParams(1e9), MinShare(0, 0.3, "A"), MinShare(1, 0.1, "B"), FixedShare(2, 0.8, "C")]
    part = only(box_of(limits, 3), np.array([2, 0]))
    assert part.limits == (MaxParams(1e9), MinShare(1, 0.3, "A"), FixedShare(0, 0.8, "C"))
    assert part.share_low.tolist() == [0.8, 0.3]
    assert {c.said for c in conflicting(part)} == {"min_share of A 0.3", "fixed share of C 0.8"}
