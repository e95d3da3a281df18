"""A plan says what it makes small, and what it costs, in the words of its question: terminal, page and JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isogloss.cli.plan_view import print_plan
from isogloss.planning import Plan, plan, read_question
from isogloss.report.plan_cost import costs
from isogloss.report.plan_page import plan_page
from isogloss.report.plan_reproduce import Reproduce
from isogloss.report.plans import plan_cards
from isogloss.report.words import MINUS

TWO = ["Estonian", "English"]
TARGET = {"target": {"Estonian": {"like": "English", "params": "300M", "tokens": "10B"}}}
QUESTIONS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "mean": ({"budget": "1e21"}, "weighted mean loss", "mean loss", "as ATLAS prints it"),
    "worst": (
        {"budget": "1e21", "objective": {"languages": "worst"}},
        "worst loss",
        "worst loss",
        "as ATLAS prints it",
    ),
    "normalised": (
        {"budget": "1e21", "objective": {"measure": "normalised", "languages": "worst"}},
        "worst loss relative to what each language alone would reach with all the budget",
        "worst relative loss",
        "each language alone",
    ),
    "quantile": (
        {"budget": "1e21", "objective": {"risk": "quantile"}},
        "weighted mean loss, 0.8 quantile over the draws",
        "mean loss, 0.8 quantile",
        "as ATLAS prints it",
    ),
    "target": ({"budget": TARGET}, "worst loss as part of its target", "worst part of target", "1 or less"),
    "loss": ({"budget": {"loss": 1.3}}, "weighted mean loss", "mean loss", "as ATLAS prints it"),
}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: plan({"languages": TWO, **asked}, draws=20) for name, (asked, *_) in QUESTIONS.items()}


def page_of(found: Plan, question: dict[str, Any]) -> str:
    return plan_page(found, read_question({"languages": TWO, **question}), Reproduce("isogloss plan", (), {}))


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[Plan], str]:
    def show(found: Plan) -> str:
        print_plan(found)
        # Headers are broken into lines.
        return " ".join(capsys.readouterr().out.split())

    return show


@pytest.mark.parametrize("which", list(QUESTIONS))
def test_what_is_made_small_has_one_name(which: str, plans: dict[str, Plan], shown: Callable[[Plan], str]) -> None:
    found, (question, name, short, unit) = plans[which], QUESTIONS[which]
    assert (found.criterion.name, found.criterion.short) == (name, short)
    assert unit in found.criterion.unit
    answer = found.to_dict()
    assert answer["objective"] == {"said": name, "short": short, "unit": found.criterion.unit, "value": found.objective}
    assert next(e for e in found.evidence if e.quantity == "N").source.startswith(f"minimises the {name};")
    page = page_of(found, question)
    assert f"{name[0].upper()}{name[1:]}: " in page
    terminal = shown(found)
    assert found.criterion.of_draw in terminal
    if "mean loss" not in short:
        # Its parts by language are of the weighted mean loss, whatever is made small.
        for words in ("least mean loss", "mean expected loss", "the mean loss over that", "Mean expected loss"):
            assert words not in page + terminal
    assert not any("what is called" in w for w in found.warnings)


def test_draws_of_the_objective_and_of_the_mean_are_both_told(plans: dict[str, Plan]) -> None:
    found = plans["worst"]
    unsure = found.uncertainty
    assert unsure is not None
    answer = found.to_dict()["uncertainty"]
    assert answer["objective"] == unsure.interval(unsure.loss.max(axis=1)).to_dict()
    assert answer["mean_loss"] == unsure.interval(unsure.loss @ found.weights).to_dict()


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"flops": "1e21"}, []),
        ({"gpu": "H100", "gpu_hours": 2000, "utilisation": 0.35}, ["2,000 hours of H100 at 35 % of its peak"]),
        ({"gpu": "H100", "gpus": 64, "days": 14}, ["21,504 hours of H100", "14.0 days on 64"]),
        ({"gpu": "H100", "gpus": 64, "hours": 6}, ["6 hours on 64"]),
        ({"gpu": "H100", "money": 5000, "per_gpu_hour": 2.5, "currency": "EUR"}, ["2,000 hours", "5,000 EUR"]),
        ({"flops": "1e21", "served_tokens": "1T"}, ["to serve 1T tokens (2 N each)", "to train (6 N D)"]),
        (TARGET, ["the least found that reaches the target"]),
    ],
)
def test_what_it_costs_is_told(budget: dict[str, Any], says: list[str], shown: Callable[[Plan], str]) -> None:
    found = plan({"budget": budget, "languages": TWO}, draws=0)
    *spent, counted = costs(found)
    assert bool(spent) == bool(says)
    for words in says:
        assert words in spent[0]
    cost = found.cost
    assert cost is not None
    assert cost.count is not None
    against = 100 * (cost.count.tokens_counted / found.D - 1)
    assert f"({against:.1f} % against 6 N D)".replace("-", MINUS) in counted
    assert f"{cost.count.shape.layers} layers of width {cost.count.shape.d_model:,}" in counted
    for line in (*spent, counted):
        assert line in page_of(found, {"budget": budget}).replace("&#39;", "'")
    assert " ".join(counted.split()).replace(MINUS, "-") in shown(found)


def test_days_and_accelerators_are_in_the_json() -> None:
    answer = plan({"budget": {"gpu": "H100", "gpus": 64, "days": 14}, "languages": TWO}, draws=0).to_dict()["cost"]
    assert answer["gpu"] == "H100"
    assert (answer["gpus"], answer["utilisation"]) == (64, 0.4)
    assert answer["days"] == pytest.approx(14)
    bare = plan({"budget": "1e21", "languages": TWO}, draws=0).to_dict()["cost"]
    assert (bare["gpu"], bare["days"], bare["utilisation"]) == (None, None, None)


def test_a_size_without_a_shape_says_so() -> None:
    question = {"budget": "1e18", "limits": {"max_params": "1M"}, "assumptions": {"vocabulary": 250_000}}
    found = plan({"languages": TWO, **question}, draws=0)
    assert costs(found) == ["Counted exactly, no shape near this size is known to count by."]


def test_a_helper_that_is_of_no_use_has_no_loss(capsys: pytest.CaptureFixture[str]) -> None:
    """A language of weight 0 and without tokens would show a uniform guess's loss, as if it mattered."""
    found = plan({"budget": "2e20", "languages": {"Estonian": {}, "English": {}, "Latvian": {"weight": 0}}}, draws=0)
    assert found.left_out.tolist() == [False, False, True]
    print_plan(found)
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Latvian"))
    assert row.split()[-1] == "-"
    card = next(c for c in plan_cards(found) if c.id == "losses")
    assert card.table is not None
    assert "Latvian" not in card.table["Language"].to_list()
    assert any("Latvian" in note for note in card.notes)
    assert "2 of 3" not in card.sentence
