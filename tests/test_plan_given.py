"""The user's own plan: the mixture that is read, its loss and regret, and what changing it buys."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.planning import Plan, plan, read_question
from isogloss.planning.allocate import Allocator
from isogloss.planning.evidence import ground
from isogloss.planning.given import GivenPlan, evaluate_given
from isogloss.planning.given_mixture import read_mixture
from isogloss.planning.given_savings import LEAST, Evaluator
from isogloss.report.plan_given import given_cards

TWO = {"budget": "1e20", "languages": {"Estonian": {}, "English": {"weight": 0.5}}}
MIX = {"Estonian": 0.3, "English": 0.7}


@pytest.fixture(scope="module")
def two() -> Plan:
    return plan(TWO, draws=20)


@pytest.fixture(scope="module")
def given(two: Plan) -> GivenPlan:
    return evaluate_given(TWO, MIX, N=2 * two.N, D=two.D / 2, draws=20)


def csv(folder: Path, text: str) -> Path:
    path = folder / "mixture.csv"
    path.write_text(text, encoding="utf-8")
    return path


# --- the mixture ------------------------------------------------------------------------------------


def test_comments_names_and_codes_are_read(tmp_path: Path) -> None:
    path = csv(tmp_path, "# who, where\n\nLanguage, Share\nEnglish,0.25\n# and\nekk_Latn,0.75\n")
    assert read_mixture(path, read_question(TWO)).shares == pytest.approx([0.75, 0.25])


def test_rounded_shares_are_scaled_and_said(tmp_path: Path) -> None:
    found = read_mixture(csv(tmp_path, "language,share\nest,0.7\neng,0.295\n"), read_question(TWO))
    assert found.shares.sum() == pytest.approx(1)
    assert found.total == pytest.approx(0.995)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("language,share\nEstonian,0.7\nEnglish,0.2\n", ["sum to 0.9", "not 1"]),
        ("language,share\nEstonian,70\nEnglish,30\n", ["sum to 100", "0.75 for 75 %"]),
        ("language,share\nEstonian,0.7\nFinnish,0.3\n", ["line 3", "'Finnish' (fin_Latn)", "weight = 0"]),
        ("# c\nlanguage,share\nEstonain,1\n", ["line 3", "'Estonain'", "Estonian"]),
        ("language,share\nEstonian,0.5\nest,0.5\n", ["line 3", "ekk_Latn", "twice"]),
        ("language,share\nEstonian,much\n", ["line 2", "'much'"]),
        ("language,share\nEstonian,nan\n", ["line 2", "'nan'"]),
        ("language,share\nEstonian,-0.1\nEnglish,1.1\n", ["line 2", "'-0.1'"]),
        ("language,share\nEstonian\n", ["line 2", "1 cells"]),
        ("code,part\nEstonian,1\n", ["line 1", "'language'"]),
        ("# nothing\n", ["no rows"]),
    ],
)
def test_mixtures_that_are_refused(tmp_path: Path, text: str, told: list[str]) -> None:
    path = csv(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_mixture(path, read_question(TWO))
    for part in (str(path), *told):
        assert part in str(error.value)


def test_a_mixture_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no such file"):
        read_mixture("no.csv", read_question(TWO))


# --- the evaluation ---------------------------------------------------------------------------------


def test_the_plan_given_back_has_its_own_loss_and_regret(two: Plan) -> None:
    """The plan's own mixture, N and D: the same loss, the same draws, and nothing to change."""
    mixture = dict(zip(two.languages, two.shares.tolist(), strict=True))
    same = evaluate_given(TWO, mixture, draws=20)
    assert two.uncertainty is not None
    assert same.drawn_loss is not None
    assert (same.N, same.D) == (two.N, two.D)
    assert same.loss == pytest.approx(two.loss, rel=1e-9)
    assert same.drawn_loss == pytest.approx(two.uncertainty.loss, rel=1e-9)
    assert same.regret == pytest.approx(two.uncertainty.regret, abs=1e-9)
    for change in same.changes:
        assert abs(change.saves_loss.value) < 2e-5
        assert "nothing to change" in change.words
    assert same.breaks == ()


def test_changes_are_ordered_as_they_free_more(given: GivenPlan) -> None:
    saved = {c.free: c.saves_loss.value for c in given.changes}
    assert 0 < saved["mixture"] < saved["everything"]
    assert 0 < saved["size"] < saved["everything"]
    for change in given.changes:
        assert pytest.approx(given.C) == 6 * change.N * change.D
        assert change.mean_loss == pytest.approx(given.mean_loss.value * (1 - change.saves_loss.value))
    mixture, size = given.change("mixture"), given.change("size")
    assert mixture is not None
    assert size is not None
    assert mixture.N == given.N
    assert pytest.approx(given.D) == mixture.D
    assert size.shares == pytest.approx(given.shares)
    assert "more Estonian: 30 % -> " in mixture.words
    assert "smaller: " in size.words


def test_the_best_mixture_and_size_are_those_of_a_dense_grid(given: GivenPlan) -> None:
    asked = read_question(TWO)
    basis = ground(asked)
    C, ceiling = given.C, math.log(asked.assumptions.vocabulary)
    evaluator = Evaluator(Allocator(basis.law, basis.text, basis.weights, C, ceiling), None, 0.8)
    mixture, size = given.change("mixture"), given.change("size")
    assert mixture is not None
    assert size is not None
    shares = [np.array([p, 1 - p]) for p in np.linspace(0.01, 0.99, 197)]
    mixtures = [evaluator.mean(given.N, given.D, p) for p in shares if p[0] * given.D <= 4 * basis.U[0]]
    assert mixture.mean_loss <= min(mixtures) * (1 + 1e-5)
    sizes = [evaluator.mean(N, C / (6 * N), given.shares) for N in given.N * np.geomspace(0.1, 10, 201)]
    assert size.mean_loss <= min(sizes) * (1 + 1e-5)


def test_compute_saved_reaches_the_same_loss(given: GivenPlan) -> None:
    mixture = given.change("mixture")
    assert mixture is not None
    left = 1 - mixture.saves_compute.value
    assert LEAST < left < 1
    shares = dict(zip(given.languages, mixture.shares.tolist(), strict=True))
    cheaper = evaluate_given(TWO, shares, N=mixture.N, D=mixture.D * left, draws=0)
    assert cheaper.mean_loss.value == pytest.approx(given.mean_loss.value, rel=1e-3)


def test_regret_is_against_the_best_at_the_given_compute(given: GivenPlan) -> None:
    assert given.regret is not None
    assert (given.regret > -1e-5).all()
    assert pytest.approx(given.C) == given.best.C
    low, high = given.mean_loss.low, given.mean_loss.high
    assert low is not None
    assert high is not None
    assert low < given.mean_loss.value < high


def test_another_compute_and_broken_limits_are_said() -> None:
    text = {**TWO, "languages": {"Estonian": {"tokens": "1B"}, "English": {"min_share": 0.2}}}
    found = evaluate_given(text, {"Estonian": 0.9, "English": 0.1}, N="300M", D="20B", draws=0)
    assert any("0.36 times the question's budget" in note for note in found.notes)
    assert [b for b in found.breaks if "Estonian is seen 18 times, above its cap of 4" in b]
    assert [b for b in found.breaks if "English has 10 %, below its minimum share of 20 %" in b]
    assert found.regret is None
    assert found.mean_loss.low is None


def test_targets_and_tokens_served_are_left_out() -> None:
    """The best plan is then the one of least mean loss at the given training compute, and not the question's own."""
    plain = evaluate_given(TWO, MIX, N="300M", D="20B", draws=0)
    for budget in ({"target": {"Estonian": 1.2}}, {"flops": "1e20", "served_tokens": "1T"}):
        found = evaluate_given({**TWO, "budget": budget}, MIX, N="300M", D="20B", draws=0)
        assert pytest.approx(plain.best.N, rel=1e-6) == found.best.N
        assert found.asked_C is None
        assert any("without targets" in note for note in found.notes)


def test_another_objective_is_refused() -> None:
    with pytest.raises(InputError, match="not judged by the worst loss yet"):
        evaluate_given({**TWO, "objective": {"languages": "worst"}}, MIX, N="300M", D="20B", draws=0)


def test_a_given_plan_that_no_text_feeds() -> None:
    little = {"budget": "1e20", "languages": {"Estonian": {"tokens": "1M"}}, "limits": {"max_params": "1B"}}
    with pytest.raises(InputError, match="no plan within the question's limits spends"):
        evaluate_given(little, {"Estonian": 1.0}, N="1B", D="20B", draws=0)


def test_cards_repeat_the_numbers(given: GivenPlan) -> None:
    answer, changes, languages, _ = given_cards(given)
    assert answer.table is not None
    assert changes.table is not None
    assert languages.table is not None
    for change in given.changes:
        assert any(change.words[1:] in text for text in answer.table["Answer"])
    assert changes.table["Mean loss"].to_list() == [c.mean_loss for c in given.changes]
    assert sorted(languages.table["Share, yours, %"]) == pytest.approx(sorted(given.shares))


# --- the shell --------------------------------------------------------------------------------------

QUESTION = 'budget = "1e20"\n[languages.Estonian]\n[languages.English]\nweight = 0.5\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("question.toml").write_text(QUESTION, encoding="utf-8")
    csv(tmp_path, "language,share\nEstonian,0.4\nEnglish,0.6\n")
    return tmp_path


def test_from_the_shell(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "question.toml", "--given", "mixture.csv", "--N", "500M", "--D", "40B", "--draws", "0"]
    assert run(command) == 0
    out = capsys.readouterr().out
    for part in ("Your plan: 500M parameters on 40B tokens", "at the same N and D: more Estonian", "everything free"):
        assert part in out
    assert {p.name for p in (here / "question-given").iterdir()} == {"given.json", "given.html"}
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((here / "question-given" / "given.json").read_text(encoding="utf-8"))
    assert found["given"]["C"] == pytest.approx(1.2e20)
    assert found["changes"].keys() == {"mixture", "size", "everything"}
    assert [i["what"] for i in found["reproduce"]["inputs"]] == ["question", "mixture"]
    assert "--given mixture.csv --N 500M --D 40B --draws 0" in found["reproduce"]["command"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--N", "8B"], "--given"),
        (["--given", "mixture.csv", "--N", "8 GB"], "N"),
        (["--given", "nothing.csv"], "no such file"),
        (["question.toml", "--given", "mixture.csv"], "one question"),
        (["--given", "mixture.csv", "--picture", "a.png"], "--picture"),
    ],
)
@pytest.mark.usefixtures("here")
def test_options_that_do_not_go_together(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "question.toml", *options]) == 2
    assert told in capsys.readouterr().err
