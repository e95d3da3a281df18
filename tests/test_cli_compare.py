"""compare from the shell: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from isogloss.cli.main import run
from simulate import family

DOCS = Path(__file__).parents[1] / "docs"
QUICK = ["--starts", "4", "--draws", "50"]
BOTH = ["--laws", "chinchilla,family"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and what compare made of it."""
    place = tmp_path_factory.mktemp("compared")
    family().frame(noise=3e-3).write_csv(place / "runs.csv")
    command = ["compare", str(place / "runs.csv"), "--unit", "nats/token", *BOTH, *QUICK, "-o", str(place / "out")]
    assert run(command) == 0
    return place


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "runs.csv", tmp_path)
    return tmp_path


def saved(folder: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "out" / "compare.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_it_writes_a_folder(folder: Path):
    assert {p.name for p in (folder / "out").iterdir()} == {"compare.json", "compare.html", "predictions.parquet"}
    answer = saved(folder)
    assert answer["choice"] == "family"
    assert {s["name"] for s in answer["splits"]} == {"in-sample", "random", "N", "D", "C"}
    assert "3" in answer["splits_not_given"]["M"]
    rows = pl.read_parquet(folder / "out" / "predictions.parquet")
    assert set(rows["law"]) == {"chinchilla", "family"}


def test_the_page_shows_every_split_and_law(folder: Path):
    page = (folder / "out" / "compare.html").read_text(encoding="utf-8")
    for words in ("Held-out R²", "the largest models (N)", "family", "Which law to use", "By language"):
        assert words in page
    assert "http://" not in re.sub(r"http://www\.w3\.org", "", page.split("<script")[0])


def test_it_prints_scores_the_choice_and_what_was_left_out(here: Path, capsys: pytest.CaptureFixture[str]):
    command = ["compare", "runs.csv", "--unit", "nats/token", "--laws", "chinchilla,data-constrained", "--per-language"]
    assert run([*command, "--splits", "N,M", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "chinchilla has mean held-out R²" in out
    assert "Median relative error" in out
    assert "R² by language" in out
    assert "deu_Latn" in out
    assert "Split M is not given" in out
    assert "Not compared: data-constrained" in out
    assert not list(here.glob("*/"))


def test_json_is_one_documented_object(folder: Path, capsys: pytest.CaptureFixture[str]):
    command = ["compare", str(folder / "runs.csv"), "--unit", "nats/token", "--laws", "chinchilla", "--json"]
    assert run([*command, *QUICK]) == 0
    answer = json.loads(capsys.readouterr().out)
    text = (DOCS / "json.md").read_text(encoding="utf-8").split("## `compare`")[1].split("\n## ")[0]
    keys = {*answer, *answer["laws"][0], *answer["splits"][0], *answer["scores"][0], *answer["ranking"][0]}
    for key in {*keys, *answer["by_language"][0]}:
        assert f"`{key}`" in text, f"json.md does not document {key}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--laws", "famly"], "family"),
        (["--laws", "data-constrained"], "no column unique_tokens"),
        (["--laws", "chinchilla", "--splits", "K"], "split"),
        (["--laws", "chinchilla", "--splits", "M"], "mixtures of several languages"),
        (["--laws", "chinchilla", "--share", "0.9"], "held-out share"),
        (["--laws", "chinchilla", "--target", "fr"], "target"),
        (["--laws", "atlas", "--source", "elvish"], "elvish"),
        (["--laws", "chinchilla", "--objective", "hubr"], "huber-log"),
    ],
)
def test_bad_input_ends_with_2_and_says_so(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
):
    assert run(["compare", "runs.csv", "--unit", "nats/token", *options]) == 2
    assert said in capsys.readouterr().err
    assert {p.name for p in here.iterdir()} == {"runs.csv"}


def test_a_folder_of_others_is_not_overwritten(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("keep", encoding="utf-8")
    assert run(["compare", "runs.csv", *BOTH, "-o", "mine"]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (here / "mine" / "notes.txt").read_text(encoding="utf-8") == "keep"
