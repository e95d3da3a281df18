"""crossover from the shell: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isogloss.cli.crossover import crossover
from isogloss.cli.main import app, run
from test_crossover import runs

if "crossover" not in list(app):
    app.command(crossover)

ESTONIAN = ("crossover", "Estonian", "--params", "2B")


def said(capsys: pytest.CaptureFixture[str], *command: str) -> dict:
    assert run([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_prints_the_answer_with_evidence_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ESTONIAN, "--checkpoint", "gemma-3-1b"]) == 0
    out = capsys.readouterr().out
    for words in (
        "scratch overtakes continuing from gemma-3-1b",
        "no measured law",
        "crossing.exposure",
        "Read before",
    ):
        assert words in out


def test_json_has_the_crossing_and_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    answer = said(capsys, *ESTONIAN, "--flops", "1e20")
    crossing = answer["crossing"]
    assert crossing["low"] < crossing["C"] < crossing["high"]
    assert [way["name"] for way in answer["ways"]] == ["scratch", "continue", "grow", "merge"]
    assert answer["continue_is_better"] > 0.9


def test_an_own_checkpoint_is_described_by_options(capsys: pytest.CaptureFixture[str]) -> None:
    own = ("--checkpoint-params", "2B", "--checkpoint-tokens", "1T", "--share", "0.02", "--tokenizer", "same")
    answer = said(capsys, *ESTONIAN, *own, "--checkpoint", "ours")
    assert answer["checkpoint"]["mixture"] == {"ekk_Latn": 0.02}
    assert answer["start"] == "ours"
    changed = said(capsys, *ESTONIAN, "--checkpoint", "gemma-3-1b", "--share", "0.001")
    assert changed["checkpoint"]["mixture"] == {"ekk_Latn": 0.001}


def test_the_list_names_every_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["crossover", "--list"]) == 0
    out = capsys.readouterr().out
    assert "gemma-3-1b" in out
    assert "xglm-564m" in out
    assert {c["name"] for c in said(capsys, "crossover", "--list")["checkpoints"]} >= {"bloom-1b7", "salamandra-2b"}


def test_a_folder_gets_the_page_and_the_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert run([*ESTONIAN, "--checkpoint", "gemma-3-1b", "-o", str(folder)]) == 0
    assert {p.name for p in folder.iterdir()} == {"crossover.json", "crossover.html"}
    page = (folder / "crossover.html").read_text(encoding="utf-8")
    for words in ("Estonian: where to start", "The crossing at other sizes", "What this rests on", "Gemma team"):
        assert words in page
    assert run([*ESTONIAN, "-o", str(folder)]) == 0  # its own folder may be replaced


def test_own_runs_are_fitted_and_drawn(tmp_path: Path) -> None:
    table, folder = tmp_path / "runs.csv", tmp_path / "out"
    runs().write_csv(table)
    assert run(["crossover", "et", "--runs", str(table), "--draws", "100", "-o", str(folder)]) == 0
    page = (folder / "crossover.html").read_text(encoding="utf-8")
    assert "continued" in page
    assert "fitted to 16 rows" in page
    answer = json.loads((folder / "crossover.json").read_text(encoding="utf-8"))
    assert answer["crossing"]["status"] == "crosses"
    assert answer["start"] == "ckpt"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("crossover",), "no language"),
        (("crossover", "Estonian"), "neither size"),
        (("crossover", "Estnian", "--params", "2B"), "Estonian"),
        ((*ESTONIAN, "--checkpoint", "gema-3-1b"), "gemma-3-1b"),
        ((*ESTONIAN, "--share", "0.1"), "neither name nor size"),
        ((*ESTONIAN, "--runs", "nothing.csv"), "nothing.csv"),
    ],
)
def test_bad_input_is_one_message(command: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    assert words in capsys.readouterr().err
