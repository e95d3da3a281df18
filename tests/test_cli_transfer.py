"""transfer from the shell: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from isogloss.cli.main import run
from test_transfer_measured import DE, EN, FR, pair
from test_transfer_measured import run as simulated


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three languages in a table, measured: English helps German (tau 0.35) and hurts French (-0.2) a little."""
    place = tmp_path_factory.mktemp("transfer")
    runs = [
        *pair(0.35, noise=(0.002, 0.001)),
        simulated("fr", {FR: 1.0}, target=FR, noise=(0.002, 0.001)),
        simulated("fr-en", {FR: 0.5, EN: 0.5}, target=FR, tau=-0.2, noise=(0.002, 0.001)),
        simulated("fr-de-cool", {FR: 0.5, DE: 0.5}, target=FR, tau=0.5, lr_phase="final"),
    ]
    frame = pl.concat(runs, how="diagonal_relaxed")
    shares = [c for c in frame.columns if c.startswith("share:")]
    frame.with_columns(pl.col(shares).fill_null(0.0)).write_csv(place / "runs.csv")
    assert run(["transfer", "measure", str(place / "runs.csv"), "-o", str(place / "m")]) == 0
    return place


def said(capsys: pytest.CaptureFixture[str], *command: str) -> dict:
    assert run(["transfer", *command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_measure_writes_a_folder_and_its_page(folder: Path):
    assert {p.name for p in (folder / "m").iterdir()} == {"transfer.json", "curves.parquet", "transfer.html"}
    page = (folder / "m" / "transfer.html").read_text(encoding="utf-8")
    for words in ("English → German", "What was refused", "cooling", "Scores over anchors"):
        assert words in page


def test_measure_prints_scores_and_refusals(folder: Path, capsys: pytest.CaptureFixture[str]):
    answer = said(capsys, "measure", str(folder / "runs.csv"))
    scores = {(p["target"], p["source"]): p["score"] for p in answer["pairs"]}
    assert set(scores) == {(DE, EN), (FR, EN)}
    for pair_, tau in (((DE, EN), 0.35), ((FR, EN), -0.2)):
        assert scores[pair_]["tau_low"] < tau < scores[pair_]["tau_high"]
    assert any(r["source"] == DE and "cool" in r["reason"] for r in answer["refused"])
    assert run(["transfer", "measure", str(folder / "runs.csv"), "--anchor", "1e13", "-o", str(folder / "m")]) == 0
    assert "only" in capsys.readouterr().out


def test_predict_fills_other_languages(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "p"
    answer = said(capsys, "predict", str(folder / "m"), "--languages", "de,en,fr,nl", "-o", str(out))
    rows = {(r["target"], r["source"]): r for r in answer["scores"]}
    assert len(rows) == 12
    assert rows[DE, EN]["kind"] == "measured"
    assert rows["nld_Latn", EN]["kind"] == "predicted"
    assert all(r["low"] < r["bts"] < r["high"] for r in rows.values())
    assert {p.name for p in out.iterdir()} == {"scores.csv", "evidence.csv", "transfer.html"}
    # What was measured is kept apart from what was made of it: reading the folder again does not use it twice.
    evidence = pl.read_csv(out / "evidence.csv").filter(pl.col("kind") == "measured")
    assert set(zip(evidence["target"], evidence["source"], strict=True)) == {(DE, EN), (FR, EN)}


@pytest.mark.slow
def test_predict_says_how_good_it_is(capsys: pytest.CaptureFixture[str]):
    answer = said(capsys, "predict", "--languages", "es,pt", "--validate")
    assert {r["left_out"] for r in answer["validation"]} == {"pair", "target", "source", "both"}
    assert "row mean" in {r["method"] for r in answer["validation"]}


def test_suggest_pays_for_a_pair_once(capsys: pytest.CaptureFixture[str]):
    command = ("suggest", "--languages", "et,fi,en", "--params", "200M", "--tokens", "1B", "--count", "4")
    answer = said(capsys, *command)
    flops = 6 * 2e8 * 1e9
    assert answer["flops_per_pair"] == flops
    first, *rest = answer["suggestions"]
    assert first["flops"] == pytest.approx(1.5 * flops)
    left = [s["left"] for s in (first, *rest)]
    assert left == sorted(left, reverse=True)
    back = [s for s in rest if (s["target"], s["source"]) == (first["source"], first["target"])]
    assert all(s["flops"] <= 0.5 * flops * (1 + 1e-9) for s in back)


def test_show_is_the_published_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["transfer", "show", "--picture", "m.png"]) == 0
    page = Path("transfer.html").read_text(encoding="utf-8")
    for words in ("figure C.2", "random forest", "72 measured", "Script and family", "Is help mutual?"):
        assert words in page
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")
    assert "Which language helps which" in capsys.readouterr().out
    answer = said(capsys, "show")
    assert len(answer["scores"]) == 1406


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "nothing.csv"], ["no such file"]),
        (["show", "pubished"], ["published"]),
        (["show", "-o", "page.txt"], [".html"]),
        (["predict", "--languages", "Klingonese"], ["Klingonese"]),
        (["predict", "--languages", "de,German"], ["more than once"]),
        (["predict", "--languages", "de"], ["two languages"]),
        (["suggest", "--languages", "de"], ["two languages"]),
        (["predict", "--text", "de"], ["--text"]),
        (["predict", "--level", "2"], ["level"]),
        (["suggest", "--params", "many"], ["many"]),
        (["suggest", "--count", "0"], ["count"]),
        (["measure", "nothing.csv"], ["nothing.csv"]),
        (["predict", "--cell", "a=b"], ["cells"]),
    ],
)
def test_bad_input_is_one_message(
    command: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert run(["transfer", *command]) == 2
    told = capsys.readouterr().err
    assert told.startswith("isogloss: ")
    assert "Traceback" not in told
    for word in words:
        assert word in told
    assert list(tmp_path.iterdir()) == []


def test_one_score_is_shown_without_summing_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "one.csv").write_text("target,source,bts\net,fi,0.4\n", encoding="utf-8")
    assert run(["transfer", "show", str(tmp_path / "one.csv"), "-o", str(tmp_path / "one.html")]) == 0
    told = capsys.readouterr().out
    assert "Finnish helps Estonian most." in told
    for nonsense in ("1 target", "0 pairs", "0.00", "of 1 pairs"):
        assert nonsense not in told


def test_a_folder_of_others_is_not_written_into(folder: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    assert run(["transfer", "measure", str(folder / "runs.csv"), "-o", str(tmp_path)]) == 2
    assert run(["transfer", "predict", "-o", str(tmp_path)]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
