"""Every verb from the shell: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss import __version__
from isogloss.cli.main import run
from isogloss.cli.output import print_json
from isogloss.errors import FitError, PlanError
from simulate import atlas, chinchilla

QUESTION = """
title = "Two languages"
budget = "1e21"
[languages.Estonian]
[languages.English]
"""
QUICK = ["--starts", "8", "--draws", "20"]
FIT_FILES = {"fit.json", "draws.parquet", "rows.parquet", "fit.html"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a run table and a question."""
    monkeypatch.chdir(tmp_path)
    chinchilla().frame(noise=3e-3).write_csv("runs.csv")
    Path("question.toml").write_text(QUESTION, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fits")
    chinchilla().frame(noise=3e-3).write_csv(folder / "runs.csv")
    assert run(["fit", str(folder / "runs.csv"), "--law", "chinchilla", "-o", str(folder / "fit"), *QUICK]) == 0
    return folder / "fit"


def strict(text: str) -> Any:
    """The one JSON document that `text` is: nothing beside it, no NaN, no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return strict(captured.out)


def listed(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


# --- JSON -------------------------------------------------------------------------------------------


def test_fit_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "fit", "runs.csv", "--law", "chinchilla", "--where", "D<5e11", "--flops", "1e23", *QUICK)
    assert found["law"] == "chinchilla"
    assert list(found["coefficients"]) == ["E", "A", "alpha", "B", "beta"]
    for values in found["coefficients"].values():
        assert values["low"] <= values["value"] <= values["high"]
    assert found["objective"] > 0
    assert found["status"] in ("good", "weak", "doubtful")
    assert found["rows_used"] + len(found["rows_left_out"]) == 42
    assert found["rows_left_out"][0].keys() == {"row", "run_id", "reason"}
    assert (found["draws"], found["starts"], found["level"]) == (20, 8, 0.9)
    assert found["optimum_at"][0]["C"] == 1e23
    assert listed(here) == {"runs.csv", "question.toml"}


def test_predict_json(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "predict", str(fitted), "N=1B", "D=2e10,40B")
    assert [(row["N"], row["D"]) for row in found["rows"]] == [(1e9, 2e10), (1e9, 4e10)]
    for row in found["rows"]:
        assert row["low"] < row["loss"] < row["high"]
    assert found["unit"] == "nats/token"
    assert found["law"] == "chinchilla"


def test_plan_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "plan", "question.toml")
    wanted = {"N", "D", "C", "shares", "epochs", "loss", "alternatives", "evidence", "warnings"}
    assert wanted <= found.keys()
    assert found["title"] == "Two languages"
    assert found["C"] == pytest.approx(6 * found["N"] * found["D"]) == 1e21
    assert found["shares"].keys() == {"ekk_Latn", "eng_Latn"} == found["loss"].keys() == found["epochs"].keys()
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert found["alternatives"].keys() == {"uniform", "proportional", "temperature", "unimax"}
    assert listed(here) == {"runs.csv", "question.toml"}


def test_a_plan_says_how_it_is_made_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = answer(capsys, "plan", "question.toml", "--draws", "0")["reproduce"]
    assert made["command"] == "isogloss plan question.toml --draws 0"
    (read,) = made["inputs"]
    text = (here / "question.toml").read_bytes()
    assert read == {"what": "question", "path": "question.toml", "sha256": hashlib.sha256(text).hexdigest()}
    assert made["versions"]["isogloss"] == __version__


def test_many_languages_keep_their_names_on_a_narrow_terminal(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["Norwegian Bokmål", "Northern Kurdish", "Scottish Gaelic", "Chinese", "Estonian", "Latvian", "Finnish"]
    (here / "many.toml").write_text(f'budget = "1e20"\nlanguages = {json.dumps(names)}\n', encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["plan", "many.toml", "--draws", "10"]) == 0
    table = capsys.readouterr().out.partition("What binds")[0]
    for code in ("nob_Latn", "kmr_Latn", "gla_Latn", "cmn_Hani", "ekk_Latn", "lvs_Latn", "fin_Latn"):
        assert table.count(f"({code})") >= 2, "once beside its numbers, once beside its intervals"
    # Sentences are broken by the terminal itself.
    assert max(map(len, table.partition("Evidence for N")[2].splitlines()[1:])) <= 80


def test_what_is_not_finite_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has neither infinity nor NaN: readers in other languages stop at one."""
    print_json({"high": float("inf"), "rows": [{"loss": float("nan")}], "names": ("Võro",)})
    printed = capsys.readouterr().out
    assert strict(printed) == {"high": None, "rows": [{"loss": None}], "names": ["Võro"]}
    assert "Võro" in printed


def test_expand_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "expand", "--languages", "10->20")
    assert found["N_factor"] == pytest.approx(1.18, abs=0.005)
    assert found["D_factor"] == pytest.approx(1.66, abs=0.005)
    assert found["C_factor"] == pytest.approx(found["N_factor"] * found["D_factor"])


def test_knowledge_json(capsys: pytest.CaptureFixture[str]) -> None:
    laws = answer(capsys, "laws", "chinchilla")["laws"]
    assert {"chinchilla/hoffmann2022", "chinchilla/besiroglu2024"} <= {entry["id"] for entry in laws}
    assert all(entry["source"] for entry in laws)
    languages = answer(capsys, "languages", "swahili", "--limit", "2")["languages"]
    assert languages[0]["code"] == "swh_Latn"
    assert languages[0]["text"]["tokens"] > 0
    assert len(languages) <= 2


def test_lint_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chinchilla().frame().with_columns(N=pl.lit(1e9)).write_csv("one_size.csv")
    found = answer(capsys, "runs", "lint", "one_size.csv")
    assert found["rows"] == 42
    assert "one-N" in {f["code"] for f in found["findings"]}
    assert all(f["message"] and f["cure"] for f in found["findings"])
    assert listed(here) == {"runs.csv", "question.toml", "one_size.csv"}


def test_json_writes_where_it_is_asked_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = answer(capsys, "fit", "runs.csv", "--law", "chinchilla", "-o", "out", *QUICK)
    assert listed(here / "out") == FIT_FILES
    saved = strict((here / "out" / "fit.json").read_text(encoding="utf-8"))
    assert saved == {k: v for k, v in printed.items() if k not in ("lint", "optimum_at")}
    printed = answer(capsys, "plan", "question.toml", "-o", "the-plan")
    assert strict((here / "the-plan" / "plan.json").read_text(encoding="utf-8")) == printed


# --- files and tables -------------------------------------------------------------------------------


def test_fit_prints_and_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", "runs.csv", "--law", "chinchilla", *QUICK]) == 0
    out = capsys.readouterr().out
    for name in ("E", "alpha", "beta", "Status: ", "Compute-optimal", "Rows left out: none"):
        assert name in out
    assert listed(here) == {"runs.csv", "question.toml", "runs-chinchilla-fit"}
    assert listed(here / "runs-chinchilla-fit") == FIT_FILES
    draws = pl.read_parquet("runs-chinchilla-fit/draws.parquet")
    assert draws.shape == (20, 5)
    assert pl.read_parquet("runs-chinchilla-fit/rows.parquet").height == 42
    assert "<html" in Path("runs-chinchilla-fit/fit.html").read_text(encoding="utf-8")


def test_plan_prints_and_writes_and_writes_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run(["plan", "question.toml"]) == 0
        out = capsys.readouterr().out
        for name in ("Two languages", "ekk_Latn", "What binds", "unimax", "Read before use"):
            assert name in out
        assert listed(here) == {"runs.csv", "question.toml", "question-plan"}
        assert listed(here / "question-plan") == {"plan.json", "plan.html"}


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_plan_has_a_picture(here: Path, suffix: str) -> None:
    picture = here / f"plan{suffix}"
    assert run(["plan", "question.toml", "--json", "--picture", str(picture)]) == 0
    assert picture.stat().st_size > 1000
    assert listed(here) == {"runs.csv", "question.toml", picture.name}


def test_predict_of_a_table(fitted: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "predict", str(fitted), "--runs", "runs.csv")
    observed = pl.read_csv("runs.csv")
    predicted = np.array([row["loss"] for row in found["rows"]])
    assert len(predicted) == observed.height
    assert predicted == pytest.approx(observed["loss"].to_numpy(), rel=0.02)
    observed.drop("loss").write_csv("planned.csv")
    assert answer(capsys, "predict", str(fitted), "--runs", "planned.csv") == found
    assert listed(here) == {"runs.csv", "question.toml", "planned.csv"}


@pytest.mark.usefixtures("here")
def test_predict_asks_for_a_value_per_source(capsys: pytest.CaptureFixture[str]) -> None:
    """With two sources, D_sources=1e9,2e9 is one row, and no grid."""
    design = atlas()
    design.frame().write_csv("mixtures.csv")
    sources = [option for s in design.options["sources"] for option in ("--source", s)]
    held = [option for name, value in design.truth.items() if name != "E" for option in ("--fix", f"{name}={value}")]
    assert run(["fit", "mixtures.csv", "--law", "atlas", *sources, *held, *QUICK, "-o", "fit", "--json"]) == 0
    capsys.readouterr()
    points = ["N=1e9", "D_target=2e9", "U_target=2e9", "D_other=1e9", "U_other=1e9", "K=3", "U_sources=1e10"]
    losses = []
    for each in ("1e9,2e9", "2e9,1e9", "1e9,1e9", "1e9"):
        assert run(["predict", "fit", *points, f"D_sources={each}", "--json"]) == 0
        (row,) = strict(capsys.readouterr().out)["rows"]
        losses.append(row["loss"])
    assert losses[0] != losses[1]
    assert losses[2] == losses[3]
    assert run(["predict", "fit", *points, "D_sources=1e9,2e9,3e9"]) == 2
    assert "3 values, and the fit 2 sources" in capsys.readouterr().err


# --- how it ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fit", "--help"], ["runs"]], ids=str)
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert "Usage: isogloss" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("error", [PlanError("no plan"), FitError("no fit")], ids=["plan", "fit"])
def test_no_answer_ends_with_3(
    here: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("isogloss.planning.plan", fail)
    assert run(["plan", "question.toml"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"isogloss: {error}\n"
    assert listed(here) == {"runs.csv", "question.toml"}


def test_an_interrupt_ends_with_130(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("isogloss.planning.plan", interrupted)
    assert run(["plan", "question.toml"]) == 130
    captured = capsys.readouterr()
    assert "interrupted" in captured.err
    assert captured.out == ""
    assert listed(here) == {"runs.csv", "question.toml"}


# --- as its own process -----------------------------------------------------------------------------


def shell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from isogloss.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_a_process_answers(here: Path) -> None:
    done = shell(here, "fit", "runs.csv", "--law", "chinchilla", "--json", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert strict(done.stdout)["law"] == "chinchilla"
    assert listed(here) == {"runs.csv", "question.toml"}


def test_a_process_refuses(here: Path) -> None:
    done = shell(here, "plan", "questoin.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("isogloss: questoin.toml: no such file")
    assert "Traceback" not in done.stderr
    done = shell(here, "fit", "runs.csv", "--law", "chinchila")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'chinchilla'" in done.stderr


def test_a_closed_pipe_is_no_error(here: Path) -> None:
    command = f'"{sys.executable}" -c "from isogloss.cli import main; main()" laws --json | head -c 10'
    done = subprocess.run(command, shell=True, cwd=here, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == '{\n "laws": '[:10]
    assert done.stderr == ""
