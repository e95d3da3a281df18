"""A user's own law: from its file to a fit, saved and loaded; and what is wrong with a file is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.fitting import fit, load_fit
from isogloss.laws import check_law, get_form
from isogloss.laws.own import load_law

DOCS = Path(__file__).parents[1] / "docs" / "laws.md"
TRUTH = {"E": 1.7, "A": 300.0, "alpha": 0.33, "B": 900.0, "beta": 0.35, "c": 0.4}

HOURS = """
from isogloss import Law, coefficient
from isogloss.numerics import jnp

class Hours(Law, name="hours", source="test"):
    E = coefficient("floor", log=False, of_loss=True, start=(0.1, 0.9))
    B = coefficient("speech term", of_loss=True, scales={"hours": "beta"})
    beta = coefficient("speech exponent", upper=3.0)

    def loss(self, hours):
        return FORMULA
"""


def documented() -> str:
    """The law that the documentation gives."""
    found = re.search(r"## Your own law.*?```python\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.S | re.M)
    assert found
    return found[1]


def runs() -> pl.DataFrame:
    N, D, noise = (a.ravel() for a in np.meshgrid(np.geomspace(3e7, 3e9, 4), np.geomspace(1e9, 1e11, 4), [0, 0.1, 0.4]))
    t = TRUTH
    loss = t["E"] + t["A"] / N ** t["alpha"] + t["B"] / D ** t["beta"] + t["c"] * noise
    return pl.DataFrame({"N": N, "D": D, "noise": noise, "loss": loss})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mylaw.py").write_text(documented(), encoding="utf-8")
    runs().write_csv("runs.csv")
    return tmp_path


def hours(formula: str) -> None:
    Path("speech.py").write_text(HOURS.replace("FORMULA", formula), encoding="utf-8")


def speech() -> pl.DataFrame:
    x = np.geomspace(1, 1e4, 12)
    return pl.DataFrame({"hours": x, "loss": 0.1 + 0.9 / x**0.4})


# --- from the file to the fit -----------------------------------------------------------------------


def test_the_documented_law_is_fitted_saved_loaded_and_refused_when_it_changed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--starts", "16", "--draws", "0", "-o", "fit", "--json"]
    assert run(["fit", "runs.csv", "--law", "mylaw.py:WithNoise", *options]) == 0, capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    assert {k: v["value"] for k, v in answer["coefficients"].items()} == pytest.approx(TRUTH, rel=1e-4)
    assert answer["law_file"]["reference"] == f"{here / 'mylaw.py'}:WithNoise"
    expected = 1.7 + 300 / 1e9**0.33 + 900 / 1e10**0.35 + 0.4 * 0.2
    assert run(["predict", "fit", "N=1e9", "D=1e10", "noise=0.2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["loss"] == pytest.approx(expected, rel=1e-6)
    assert run(["predict", "fit", "--runs", "runs.csv", "--json"]) == 0
    predicted = [row["loss"] for row in json.loads(capsys.readouterr().out)["rows"]]
    assert predicted == pytest.approx(runs()["loss"].to_list(), rel=1e-5)

    (here / "mylaw.py").write_text(documented().replace("upper=3.0", "upper=2.0"), encoding="utf-8")
    assert run(["predict", "fit", "N=1e9", "D=1e10", "noise=0.2"]) == 2
    assert "not as it was when this law was fitted" in capsys.readouterr().err
    (here / "mylaw.py").unlink()
    with pytest.raises(InputError, match=r"no file .*mylaw\.py"):
        load_fit("fit")


@pytest.mark.usefixtures("here")
def test_the_documented_law_passes_the_suite() -> None:
    law = load_law("mylaw.py:WithNoise")
    check_law(law(**TRUTH), columns={"noise": (1e-3, 1.0)})


@pytest.mark.usefixtures("here")
def test_the_same_text_is_the_same_class() -> None:
    first = load_law("mylaw.py:WithNoise")
    assert load_law("./mylaw.py:WithNoise") is first
    Path("mylaw.py").write_text(documented() + "\n", encoding="utf-8")
    assert load_law("mylaw.py:WithNoise") is not first


@pytest.mark.usefixtures("here")
def test_an_own_column_may_have_another_name(capsys: pytest.CaptureFixture[str]) -> None:
    hours("self.E + self.B / hours**self.beta")
    speech().rename({"hours": "h", "loss": "wer"}).write_csv("speech.csv")
    named = ["--column", "hours=h", "--column", "loss=wer", "--unit", "metric"]
    options = ["--starts", "16", "--draws", "20", "-o", "fit"]
    assert run(["fit", "speech.csv", "--law", "speech.py:Hours", *named, *options]) == 0, capsys.readouterr().err
    assert "N = params" not in capsys.readouterr().out
    found = {e.name: e.value for e in load_fit("fit").coefficients}
    assert found == pytest.approx({"E": 0.1, "B": 0.9, "beta": 0.4}, rel=1e-4)


# --- what is wrong with it --------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("law", "says"),
    [
        ("nowhere.py:MyLaw", r"no file nowhere\.py"),
        ("mylaw.py:WithNoize", "Did you mean 'WithNoise'"),
        ("mylaw.py", r"Say mylaw\.py:WithNoise"),
        ("mylaw.py:Law", "Law is no law"),
        ("other.py:Plain", "Plain is no law"),
        ("broken.py:Law", r"broken\.py, line 2: .*1 / 0(.|\n)*ZeroDivisionError|line 2: 1 / 0: ZeroDivisionError"),
        ("syntax.py:Law", r"syntax\.py, line 2: def"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(law: str, says: str) -> None:
    Path("other.py").write_text("class Plain:\n    pass\n", encoding="utf-8")
    Path("broken.py").write_text("x = 1\n1 / 0\n", encoding="utf-8")
    Path("syntax.py").write_text("x = 1\ndef\n", encoding="utf-8")
    with pytest.raises(InputError, match=says):
        get_form(law)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("self.E + self.B / minutes**self.beta", r"line 11: .*minutes(.|\n)*NameError"),
        ("jnp.log(-hours) * self.E + self.B * self.beta", "loss of Hours is not finite at hours"),
        ("(self.E + self.B / hours**self.beta).sum()", "one loss for each row"),
        ("0.1 + 0.9 / hours**0.4", "depends on none of its coefficients"),
        ("self.E + float(self.B) / hours**self.beta", r"line 11: (.|\n)*must be a formula"),
    ],
)
def test_a_formula_that_cannot_be_fitted_is_refused_before_the_search(formula: str, says: str) -> None:
    hours(formula)
    with pytest.raises(InputError, match=says):
        fit("speech.py:Hours", speech(), starts=2, draws=0)


@pytest.mark.usefixtures("here")
def test_a_column_that_the_table_lacks_is_named() -> None:
    hours("self.E + self.B / hours**self.beta")
    with pytest.raises(InputError, match="law hours needs hours, and there is no column hours") as caught:
        fit("speech.py:Hours", speech().rename({"hours": "h"}), starts=2, draws=0)
    assert "--column hours=your_column" in str(caught.value)
    with pytest.raises(InputError, match="needs numbers for hours"):
        fit("speech.py:Hours", speech().with_columns(hours=pl.lit("many")), starts=2, draws=0)
    with pytest.raises(InputError, match="column of law hours 'hour'"):
        fit("speech.py:Hours", speech(), columns={"hour": "hours"}, starts=2, draws=0)
