"""Two plans side by side, tables that fit any terminal, and how an answer is got again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from isogloss.cli.main import run
from isogloss.cli.plan_view import print_fitted
from isogloss.errors import InputError
from isogloss.planning.beside import Beside, beside
from isogloss.report.plan_beside import beside_cards
from isogloss.report.plan_reproduce import reproduce

TWO = {"budget": "1e20", "languages": {"Estonian": {}, "English": {"weight": 0.5}}}
# The same languages in another order, with four times the compute.
MORE = {"budget": "4e20", "languages": {"English": {"weight": 0.5}, "Estonian": {}}}
OTHER = {"budget": "1e20", "languages": {"Estonian": {}, "Finnish": {}}, "limits": {"max_epochs": 2}}


@pytest.fixture(scope="module")
def paired() -> Beside:
    return beside(TWO, MORE, names=("small", "large"), draws=20)


@pytest.fixture(scope="module")
def unpaired() -> Beside:
    return beside(TWO, OTHER, names=("with English", "with Finnish"), draws=20)


def test_the_same_draws_judge_both(paired: Beside) -> None:
    a, b = (p.uncertainty for p in paired.plans)
    assert a is not None
    assert b is not None
    assert paired.paired
    assert paired.plans[0].languages == paired.plans[1].languages
    for row in paired.languages:
        i = paired.plans[0].languages.index(row.code)
        drawn = b.loss[:, i] / a.loss[:, i] - 1
        assert row.change.low == pytest.approx(np.quantile(drawn, 0.1))
        assert row.change.value == pytest.approx(row.losses[1].value / row.losses[0].value - 1)
        assert row.better == "large"
    assert paired.mean is not None
    assert paired.mean.high is not None
    assert paired.mean.high < 0


def test_losses_in_two_units_are_not_compared(tmp_path: Path) -> None:
    rows = "run,N,D,share_est,share_eng,target,loss\n"
    rows += "".join(f"r{i},{n}e6,{50 * n}e6,{p},{1 - p},est,{3 + 9 / n:.3f}\n" for i, (n, p) in enumerate(RUNS))
    (tmp_path / "runs.csv").write_text(rows)
    found = beside(TWO, {**TWO, "runs": str(tmp_path / "runs.csv")}, names=("before", "after"), draws=10)
    assert not found.paired
    assert found.mean is None
    assert [row.better for row in found.languages] == [None, None]
    assert any("different units" in note for note in found.notes)


RUNS = [(10, 1.0), (20, 1.0), (40, 1.0), (10, 0.5), (20, 0.5), (40, 0.5)]


def test_pairing_narrows_the_change(paired: Beside) -> None:
    """What both plans do not know alike cancels: the change is surer than either loss."""
    row = next(r for r in paired.languages if r.code == "ekk_Latn")
    widths = [e.high - e.low for e in row.losses if e.low is not None and e.high is not None]
    assert row.change.low is not None
    assert row.change.high is not None
    assert row.change.high - row.change.low < min(widths) / row.losses[0].value / 2


def test_what_differs_is_listed_and_nothing_else(paired: Beside, unpaired: Beside) -> None:
    assert [(d.key, d.first, d.second) for d in paired.differences] == [("budget.flops", "1e+20", "4e+20")]
    found = {d.key: (d.first, d.second) for d in unpaired.differences}
    assert found == {
        "languages.eng_Latn": ("in it", "-"),
        "languages.fin_Latn": ("-", "in it"),
        "limits.max_epochs": ("4", "2"),
    }


def test_other_languages_are_not_paired(unpaired: Beside) -> None:
    assert not unpaired.paired
    assert [row.code for row in unpaired.languages] == ["ekk_Latn"]
    assert unpaired.mean is None
    assert any("independent" in note for note in unpaired.notes)
    (row,) = unpaired.languages
    assert row.better is None, "two draws that know little of Estonian cannot tell the plans apart"


def test_a_question_beside_itself_differs_in_nothing() -> None:
    same = beside(TWO, TWO, names=("a", "b"), draws=0)
    assert same.differences == ()
    assert {row.better for row in same.languages} == {None}
    assert "not told apart" in same.sentence
    assert any("point estimates" in note for note in same.notes)
    with pytest.raises(InputError, match="both plans are called 'a'"):
        beside(TWO, TWO, names=("a", "a"))


def test_cards_repeat_the_numbers(paired: Beside) -> None:
    cards = {card.id: card for card in beside_cards(paired)}
    assert list(cards) == ["answer", "differences", "shares", "losses", "evidence-1", "evidence-2"]
    shares = cards["shares"].table
    assert shares is not None
    assert shares["Share, large, %"].to_list() == [row.shares[1] for row in paired.languages]
    assert "Large is better for" in cards["losses"].sentence


# --- the shell --------------------------------------------------------------------------------------

QUESTION = 'budget = "{}"\n[languages.Estonian]\n[languages.English]\nweight = 0.5\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, budget in (("a", "1e20"), ("b", "2e20")):
        Path(f"{name}.toml").write_text(QUESTION.format(budget), encoding="utf-8")
    return tmp_path


def test_from_the_shell(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "a.toml", "b.toml", "--draws", "0"]) == 0
    out = capsys.readouterr().out
    for part in ("budget.flops", "Estonian (ekk_Latn)", "better for"):
        assert part in out
    folder = here / "a-b-plans"
    assert {p.name for p in folder.iterdir()} == {"plans.json", "plans.html"}
    assert run(["plan", "a.toml", "b.toml", "--draws", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((folder / "plans.json").read_text(encoding="utf-8"))
    assert [p["C"] for p in found["plans"]] == pytest.approx([1e20, 2e20])
    assert [i["path"] for i in found["reproduce"]["inputs"]] == ["a.toml", "b.toml"]


def test_hashes_are_of_what_was_read(here: Path) -> None:
    table = here / "scores.csv"
    table.write_text("target,source,bts\nekk_Latn,eng_Latn,0.5\n", encoding="utf-8")
    text = QUESTION.format("1e20") + '[assumptions]\ntransfer = "scores.csv"\n'
    (here / "c.toml").write_text(text, encoding="utf-8")
    made = reproduce([Path("c.toml")], seed=3)
    assert made.command == "isogloss plan c.toml --seed 3"
    hashes = {i.what: i.sha256 for i in made.inputs}
    for what, path in (("question", here / "c.toml"), ("transfer", table)):
        assert hashes[what] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.versions.keys() == {"isogloss", "jax", "numpy", "python"}


# --- tables -----------------------------------------------------------------------------------------

HEADERS = ["language", "evidence", "share", "best share, 80%", "tokens", "text", "epochs", "loss", "loss, 80%"]
ROW = ["predicted", "12.3%", "10.1% - 14.2%", "123B", "1.23T", "0.10", "2.1234", "2.012 - 2.345"]
LONG = "Central Kurdish, a name as long as some are (ckb_Arab)"


@pytest.mark.parametrize("width", [40, 60, 80, 117, 200])
@pytest.mark.parametrize("count", [1, 40])
def test_no_column_is_lost_at_any_width(
    monkeypatch: pytest.MonkeyPatch, width: int, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"Language {i} (abc_Latn)" for i in range(count - 1)] + [LONG]
    print_fitted("", HEADERS, [[name, *ROW] for name in names], text=2, intervals=[3, 8])
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    tables = out.count("language")
    for cell in ROW:
        assert out.count(cell) == count, f"{cell} at {width} columns"
    for name in names[:-1]:
        assert out.count(name.split(" (")[0] + " ") == tables
    assert out.count("(ckb_Arab)") == tables
    assert (tables == 1) == (width >= 160)
