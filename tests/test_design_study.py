"""A design as the lab sees it: a study.toml that is laid out as it stands, and the verb that writes it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from isogloss.cli.design import design as verb
from isogloss.errors import InputError
from isogloss.planning.design import design
from isogloss.planning.design_answer import Design
from isogloss.planning.design_study import study_toml
from isogloss.report.designs import design_cards
from isogloss.sweeps.grid import TextFacts, jobs_of
from isogloss.sweeps.study import check_study
from isogloss.units import format_quantity

QUESTION = """title = "Two \\"near\\" languages"
budget = "1e20"
[languages.Estonian]
tokens = "1B"
[languages.Finnish]
tokens = "20B"
"""
BUDGET = 1e16


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("design") / "question.toml"
    path.write_text(QUESTION, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def answer(question: Path) -> Design:
    return design(question, BUDGET, truths=60)


def test_the_lab_trains_what_was_designed_and_nothing_else(answer: Design, tmp_path: Path):
    text = study_toml(answer, {code: {"text": f"{code}.txt"} for code in answer.languages})
    study = check_study(tomllib.loads(text), "study.toml")
    assert study.title == answer.title
    assert answer.setting.vocab_size is not None
    plenty = dict.fromkeys(answer.languages, 10**11)
    facts = TextFacts(plenty, {}, dict.fromkeys(answer.languages, "hash"), "hash", answer.setting.vocab_size)
    jobs = jobs_of(study, facts, tmp_path)
    wanted = {
        (r.run.N, seed, frozenset(answer.shares_of(r.run).items()), end)
        for r in answer.runs
        for seed in r.seeds
        for end in r.run.tokens
    }
    laid_out = {(float(j.spec.params_total), j.seed, frozenset(j.spec.shares.items()), e) for j in jobs for e in j.ends}
    assert laid_out == wanted
    assert len(jobs) == answer.count
    assert sum(j.flops for j in jobs) == pytest.approx(answer.flops, rel=1e-3)


def test_repeated_text_is_bounded_in_the_file(answer: Design):
    study = check_study(tomllib.loads(study_toml(answer, {c: {"text": "x"} for c in answer.languages})), "study.toml")
    bounded = [block.unique for block in study.runs if block.unique]
    expected = [answer.unique_of(r.run) for r in answer.runs if answer.unique_of(r.run)]
    assert bounded == expected
    for r in answer.runs:
        for code, most in answer.unique_of(r.run).items():
            assert answer.shares_of(r.run) == {code: 1.0}
            assert r.run.tokens[-1] == pytest.approx(16 * most, rel=0.05)


def test_answer_narrows_the_plan_within_its_budget(answer: Design):
    assert answer.flops <= BUDGET
    assert answer.after.mean < 0.5 * answer.before.mean
    assert answer.expected_after < answer.expected_before
    assert answer.to_halve is None or answer.to_halve > BUDGET
    gains = [r.gain for r in answer.runs]
    assert gains == sorted(gains, reverse=True)
    assert all(r.run.N <= answer.plan.N for r in answer.runs)


def test_warnings_say_that_the_law_is_extrapolated(answer: Design):
    largest = format_quantity(max(r.run.N for r in answer.runs), digits=2)
    assert f"the largest run has {largest} parameters" in answer.warnings[0]
    assert "law's form" in answer.warnings[0]


def test_same_seed_same_design(question: Path, answer: Design):
    again = design(question, BUDGET, truths=60)
    assert json.dumps(again.to_dict()) == json.dumps(answer.to_dict())


def test_cards_say_what_the_answer_says(answer: Design):
    narrowing, runs = design_cards(answer)
    assert format_quantity(answer.flops, "flops").split()[0] in narrowing.sentence
    assert runs.table is not None
    assert runs.table.height == len(answer.runs)
    assert runs.table["FLOPs, all seeds"].sum() == pytest.approx(answer.flops)
    for card in (narrowing, runs):
        assert card.chart is not None
        assert card.chart.to_dict()


# --- the verb -----------------------------------------------------------------------------------------------


def test_verb_writes_a_study_with_the_texts_that_it_found(question: Path, tmp_path: Path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "et.txt").write_text("Tere!\n", encoding="utf-8")
    verb(question, budget="1e16", output=tmp_path / "study", text=texts)
    said = capsys.readouterr().out
    assert {p.name for p in (tmp_path / "study").iterdir()} == {"study.toml", "design.json", "design.html"}
    raw = tomllib.loads((tmp_path / "study" / "study.toml").read_text(encoding="utf-8"))
    assert raw["languages"]["ekk_Latn"]["text"] == "../texts/et.txt"
    check_study(raw, "study.toml")
    assert "no text was found of fin_Latn" in said
    assert "expected regret falls from" in said
    saved = json.loads((tmp_path / "study" / "design.json").read_text(encoding="utf-8"))
    assert saved["regret"]["after"]["mean"] < saved["regret"]["before"]["mean"]
    with pytest.raises(InputError, match="there is a study here already"):
        verb(question, budget="1e16", output=tmp_path / "study")


def test_json_alone_writes_nothing(question: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    verb(question, budget="1e16", json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == 1
    assert np.isclose(sum(r["flops"] for r in answer["runs"]), answer["flops"])
    assert not list(tmp_path.iterdir())


def test_what_would_be_refused_is_refused_before_the_work(question: Path, tmp_path: Path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="is a file"):
        verb(question, budget="1e16", output=tmp_path / "file")
    with pytest.raises(InputError, match="no such folder"):
        verb(question, budget="1e16", output=tmp_path / "study", text=tmp_path / "absent")
    with pytest.raises(InputError, match="no such file"):
        verb(tmp_path / "absent.toml", budget="1e16", output=tmp_path / "study")


def test_one_language_gets_runs_of_it_alone():
    alone = {"budget": "1e20", "languages": {"Estonian": {"tokens": "30B"}}}
    answer = design(alone, 1e16, truths=40)
    assert {r.run.mixture.kind for r in answer.runs} <= {"monolingual", "repeated"}
    assert answer.expected_after < answer.expected_before
