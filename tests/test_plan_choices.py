"""What a plan would be under other choices of its fits: each checked against a plan with a fit made that way."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.fitting import Fit, HuberLogLoss, SquaredLoss, fit, load_fit
from isogloss.fitting.intervals import JOINT
from isogloss.laws import optimal_allocation
from isogloss.planning import Plan, plan
from isogloss.planning.allocate import Allocator
from isogloss.planning.evidence import ground
from isogloss.planning.plan_choices import ChoicePlan, PlanChoices
from isogloss.planning.question import read_question
from isogloss.report.plan_choices import choices_cards
from simulate import chinchilla, family

NAMES = ("E", "A", "alpha", "B", "beta")


def table() -> pl.DataFrame:
    """42 runs, two of them off, with both counts of parameters."""
    frame = chinchilla().frame(noise=4e-3)
    off = pl.int_range(pl.len()).is_in([3, 40])
    embeddings = 60 * frame["N"].to_numpy() ** 0.62
    return frame.rename({"N": "params_total"}).with_columns(
        loss=pl.when(off).then(pl.col("loss") * 1.08).otherwise(pl.col("loss")),
        params_non_embedding=pl.col("params_total") - embeddings,
    )


@pytest.fixture(scope="module")
def made() -> Fit:
    return fit("chinchilla", table(), params="total", draws=50, choices=True)


@pytest.fixture(scope="module")
def folder(made: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.save(tmp_path_factory.mktemp("fits") / "own")


def ask(folder: Path, **more: Any) -> dict[str, Any]:
    languages = {"Estonian": {"fit": str(folder), "tokens": "30B"}, "English": {"weight": 0.5}}
    return {"budget": "1e21", "languages": languages, **more}


@pytest.fixture(scope="module")
def answer(folder: Path) -> Plan:
    return plan(ask(folder), draws=20)


def chosen(answer: Plan) -> PlanChoices:
    assert answer.choices is not None
    return answer.choices


def named(choices: PlanChoices, name: str) -> ChoicePlan:
    return next(c for c in choices.tried if c.name == name)


# --- what a fit keeps -------------------------------------------------------------------------------


def test_every_choice_keeps_the_coefficients_of_its_answer(folder: Path) -> None:
    choices = load_fit(folder).choices
    assert choices is not None
    for choice in choices.answered:
        assert choice.coefficients is not None, choice.name
        if choice.kind in ("law", "parameters"):
            continue
        E, A, alpha, B, beta = (choice.coefficients[n] for n in NAMES)
        N, D = optimal_allocation(A, alpha, B, beta, choices.C)
        assert pytest.approx(float(N), rel=1e-6) == choice.N
        assert choice.loss == pytest.approx(float(E + A / N**alpha + B / D**beta), rel=1e-6)
    assert all(c.coefficients is None for c in choices.tried if c.N is None)


# --- plans under them -------------------------------------------------------------------------------


def test_under_the_fit_as_made_it_is_the_plan(answer: Plan) -> None:
    main = chosen(answer).main
    assert pytest.approx(answer.N, rel=1e-3) == main.N
    assert main.objective == pytest.approx(answer.objective, rel=1e-7)
    assert main.regret == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "objective"), [("squares of loss", SquaredLoss()), ("Huber, delta 0.01", HuberLogLoss(1e-2))]
)
def test_a_choice_is_the_plan_with_a_fit_made_that_way(answer: Plan, name: str, objective: Any, tmp_path: Path) -> None:
    other = fit("chinchilla", table(), params="total", draws=0, objective=objective)
    asked = ask(other.save(tmp_path / "other"))
    by_hand, choice = plan(asked, draws=0), named(chosen(answer), name)
    assert choice.languages == ("ekk_Latn",)
    assert pytest.approx(by_hand.N, rel=2e-3) == choice.N
    assert choice.shares == pytest.approx(by_hand.shares, abs=2e-3)
    assert choice.objective == pytest.approx(by_hand.objective, rel=1e-5)
    basis = ground(read_question(asked))
    allocator = Allocator(basis.law, basis.text, basis.weights, answer.C, np.log(64512))
    lost = allocator.objective(answer.N, answer.shares) / by_hand.objective - 1
    assert lost > 1e-6
    assert choice.regret == pytest.approx(lost, rel=0.1)


def test_the_range_and_the_widest_choice_are_those_of_the_rows(answer: Plan) -> None:
    choices = chosen(answer)
    sizes = {c.name: c.N for c in choices.answered}
    assert choices.N_range == (min(sizes.values()), max(sizes.values()))
    assert choices.N_range[1] / choices.N_range[0] > 1.05
    far = {name: abs(np.log(N / choices.main.N)) for name, N in sizes.items()}
    assert far[choices.widest.name] == max(far.values())
    assert choices.widest.name in choices.sentence
    worst = max(choices.tried, key=lambda c: c.regret)
    assert worst.name in choices.sentence.split("lose")[1]


def test_what_a_plan_cannot_be_made_with_is_left_out_with_the_reason(answer: Plan) -> None:
    left_out = dict(chosen(answer).left_out)
    assert "another count of parameters" in left_out["N counts non-embedding parameters"]
    assert "terms of chinchilla" in left_out["kaplan"]
    assert not {c.name for c in chosen(answer).tried} & set(left_out)


def test_a_choice_of_several_fits_is_made_for_all_of_them_together(folder: Path) -> None:
    both = {"Estonian": {"fit": str(folder), "tokens": "30B"}, "Finnish": {"fit": str(folder), "tokens": "60B"}}
    choices = chosen(plan({"budget": "1e21", "languages": both}, draws=0))
    assert {c.languages for c in choices.tried} == {("ekk_Latn", "fin_Latn")}


@pytest.mark.slow
def test_plans_by_family_laws_have_theirs(tmp_path: Path) -> None:
    made = fit("family", family().frame(noise=2e-3), draws=0, choices=True)
    folder = str(made.save(tmp_path / "family"))
    languages = {"German": {"fit": folder}, "English": {"fit": folder, "weight": 0.5}}
    found = plan({"budget": "1e21", "languages": languages}, draws=0)
    choices = chosen(found)
    assert choices.main.objective == pytest.approx(found.objective, rel=1e-7)
    assert "alpha = beta" in {c.name for c in choices.tried}
    assert "terms of family" in dict(choices.left_out)["chinchilla"]


@pytest.mark.parametrize(
    "more",
    [
        {"objective": {"languages": "worst"}},
        {"objective": {"measure": "normalised"}},
        {"budget": {"flops": "1e21", "served_tokens": "1T"}},
        {"limits": {"min_params": "900M", "max_params": "900M"}},
    ],
)
def test_other_aims_and_limits_hold_for_the_choices_too(folder: Path, more: dict[str, Any]) -> None:
    found = plan(ask(folder, **more), draws=0)
    choices = chosen(found)
    assert choices.main.objective == pytest.approx(found.objective, rel=1e-5)
    assert all(c.objective > 0 and c.regret >= 0 for c in choices.tried)
    if "limits" in more:
        assert choices.N_range == pytest.approx((9e8, 9e8), rel=1e-4)
        assert "leave N at 900M" in choices.sentence


def test_of_many_choices_those_that_move_most_are_planned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = chosen(plan(ask(folder), draws=0))
    monkeypatch.setattr(sys.modules["isogloss.planning.plan_choices"], "MOST", 3)
    few = chosen(plan(ask(folder), draws=0))
    assert len(few.tried) == 3
    kept = load_fit(folder).choices
    assert kept is not None
    moved = {c.name: abs(np.log(c.N / kept.main.N)) for c in kept.tried if c.N is not None and kept.main.N}
    usable = sorted((c.name for c in every.tried), key=lambda name: -moved[name])
    assert {c.name for c in few.tried} == set(usable[:3])
    assert sum("less than" in why for _, why in few.left_out) == len(every.tried) - 3


# --- none kept --------------------------------------------------------------------------------------


def test_without_a_fit_there_are_no_choices() -> None:
    found = plan({"budget": "1e20", "languages": ["Estonian"]}, draws=0)
    assert found.choices is None
    assert choices_cards(found) == []


@pytest.mark.parametrize(
    ("intervals", "words"), [("wild", "fit again with --choices"), (JOINT, "fits of several languages together")]
)
def test_a_fit_without_choices_says_that_none_were_kept(made: Fit, intervals: str, words: str, tmp_path: Path) -> None:
    bare = replace(made, choices=None, intervals=intervals)
    found = plan(ask(bare.save(tmp_path / "bare")), draws=0)
    choices = chosen(found)
    assert choices.tried == ()
    assert "none kept" in choices.sentence
    assert words in choices.sentence
    assert choices.to_dict()["without"] == {"ekk_Latn": choices.without[0][1]}
    (card,) = choices_cards(found)
    assert card.table is None
    assert words in " ".join(card.notes)


def test_a_folder_of_before_coefficients_were_kept_still_plans(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for file in folder.iterdir():
        (old / file.name).write_bytes(file.read_bytes())
    saved = json.loads((old / "fit.json").read_text("utf-8"))
    for choice in (saved["choices"]["main"], *saved["choices"]["tried"]):
        del choice["coefficients"]
    (old / "fit.json").write_text(json.dumps(saved), "utf-8")
    choices = chosen(plan(ask(old), draws=0))
    assert choices.tried == ()
    assert "coefficients were not kept" in " ".join(why for _, why in choices.left_out)


# --- where it is shown ------------------------------------------------------------------------------


def test_the_card_has_a_row_for_every_choice(answer: Plan) -> None:
    choices = chosen(answer)
    (card,) = choices_cards(answer)
    assert card.table is not None
    assert set(card.table["Which"]) == {c.name for c in choices.answered}
    assert card.chart is not None
    assert card.sentence == choices.sentence


def test_the_command_says_them_and_json_holds_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = tmp_path / "q.toml"
    text = (
        f'budget = "1e21"\n[languages.Estonian]\ntokens = "30B"\nfit = "{folder}"\n[languages.English]\nweight = 0.5\n'
    )
    question.write_text(text, "utf-8")
    assert run(["plan", str(question), "--draws", "0", "-o", str(tmp_path / "out")]) == 0
    assert "choices of the fits move N from" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "plan.json").read_text("utf-8"))["choices"]
    assert found["N_low"] <= found["main"]["N"] <= found["N_high"]
    assert found["widest"] in {row["name"] for row in found["tried"]}
    assert all(set(row["shares"]) == {"ekk_Latn", "eng_Latn"} for row in found["tried"])
    assert "What other choices of the fits would give" in (tmp_path / "out" / "plan.html").read_text("utf-8")
