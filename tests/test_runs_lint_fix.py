"""--fix: what is put right in a copy, what is only told, and that the table itself stays as it is."""

from __future__ import annotations

import json
import math

import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.runs import read_runs
from isogloss.runs.lint import Fixed, fixed, lint_runs, write_fixed
from isogloss.runs.lint.changes import DROPPED

GOOD = {
    "run": [f"r{i}" for i in range(9)],
    "N": ["1e8", "1e8", "1e8", "2e8", "2e8", "2e8", "4e8", "4e8", "4e8"],
    "D": ["1e9", "2e9", "4e9"] * 3,
    "loss": ["3.3", "3.1", "3.0", "3.1", "2.9", "2.8", "3.0", "2.8", "2.6"],
}


def fix(**changes) -> Fixed:
    table = dict(GOOD)
    for name, cells in changes.items():
        column = name.replace("__", ":")
        table[column] = [cells.get(i, v) for i, v in enumerate(table[column])] if isinstance(cells, dict) else cells
    return fixed(lint_runs(pl.DataFrame(table)))


def frame(answer: Fixed) -> pl.DataFrame:
    (table,) = answer.tables.values()
    assert isinstance(table, pl.DataFrame)
    return table


def listed(answer: Fixed) -> list[tuple]:
    return answer.changes.select("row", "column", "was", "now", "code").rows()


def test_a_good_table_only_gets_its_canonical_names():
    answer = fix()
    assert answer.changes.is_empty()
    assert answer.columns == {"run": "run_id", "N": "params_total", "D": "tokens"}
    assert frame(answer).rows() == pl.DataFrame(GOOD).rows()


@pytest.mark.parametrize(
    ("changes", "row", "code"),
    [
        ({"loss": {8: "nan"}}, 9, "nan-loss"),
        ({"loss": {8: None}}, 9, "no-loss"),
        ({"loss": {8: None}, "D": {8: None}}, 9, "ghost"),
        ({"status": ["finished"] * 8 + ["diverged"]}, 9, "diverged"),
    ],
)
def test_rows_that_are_dropped(changes, row, code):
    answer = fix(**changes)
    assert listed(answer) == [(row, "", "", DROPPED, code)]
    assert frame(answer)["run_id"].to_list() == GOOD["run"][:8]
    assert answer.dropped == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"status": ["finished"] * 8 + ["running"]},
        {"N": {2: "100"}},
        {"N": {2: "x"}},
        {"D": {2: None}},
        {"share__deu_Latn": [0.9] * 9, "share__fra_Latn": [0.8] * 9},
        {"share__deu_Latn": [1.2] * 9, "share__fra_Latn": [-0.2] * 9},
        {"unit": ["nats/token"] * 8 + ["bits/byte"]},
        {"unit": ["nats/token"] * 8 + ["furlongs"]},
    ],
)
def test_what_needs_a_decision_is_left_alone(changes):
    answer = fix(**changes)
    assert answer.changes.is_empty()
    assert frame(answer).height == 9


def test_only_whole_copies_are_dropped():
    copy = {k: [*v, v[0]] for k, v in GOOD.items()}
    answer = fixed(lint_runs(pl.DataFrame(copy)))
    assert listed(answer) == [(10, "", "", DROPPED, "duplicate")]
    other = fixed(lint_runs(pl.DataFrame({**copy, "seed": [*map(str, range(10))]})))
    assert other.changes.is_empty()


def test_shares():
    percent = fix(share__deu_Latn=["50"] * 9, share__fra_Latn=["50"] * 9)
    assert set(frame(percent)["share:deu_Latn"]) == {"0.5"}
    assert percent.counts() == {"shares-percent": 18}
    near = fix(share__deu_Latn=[0.5] * 8 + [0.51], share__fra_Latn=[0.5] * 8 + [0.505])
    assert frame(near)["share:deu_Latn"][8] == pytest.approx(0.51 / 1.015)
    assert [(row, column, code) for row, column, _, _, code in listed(near)] == [
        (9, "share:deu_Latn", "shares-sum"),
        (9, "share:fra_Latn", "shares-sum"),
    ]


def test_mixtures_as_json():
    answer = fix(mixture=['{"de": 0.5, "fr": 0.5}'] * 7 + ['{"de": 60, "fr": 40}', '{"de": 0.5, "fr": 0.51}'])
    mixtures = [json.loads(text) for text in frame(answer)["mixture"]]
    assert mixtures[0] == {"deu_Latn": 0.5, "fra_Latn": 0.5}
    assert mixtures[7] == {"deu_Latn": 0.6, "fra_Latn": 0.4}
    assert sum(mixtures[8].values()) == pytest.approx(1)
    assert answer.counts() == {"language-names": 7, "shares-percent": 1, "shares-sum": 1}


def test_languages_get_their_codes():
    answer = fix(lang=["de"] * 8 + ["deu_Latn"], share__de=[0.5] * 9, share__fr=[0.5] * 9)
    assert set(frame(answer)["target"]) == {"deu_Latn"}
    assert answer.changes["row"].to_list() == list(range(1, 9))
    assert answer.columns["share:de"] == "share:deu_Latn"


def test_bits_become_nats_where_that_is_all():
    bits = f"{2.6 / math.log(2)!r}"
    answer = fix(loss={8: bits}, unit=["nats/token"] * 8 + ["bits/token"], stderr=["0.1"] * 9)
    last = frame(answer).row(8, named=True)
    assert float(last["loss"]) == pytest.approx(2.6)
    assert float(last["stderr"]) == pytest.approx(0.1 * math.log(2))
    assert last["unit"] == "nats/token"
    assert lint_runs(frame(answer)).ok


def test_tokens_and_compute_that_are_known_otherwise():
    steps = [float(d) / 1e6 for d in GOOD["D"]]
    answer = fix(D={8: None}, steps=steps, batch_tokens=[1e6] * 9, C=[str(6e17)] * 8 + [None])
    last = frame(answer).row(8, named=True)
    assert float(last["tokens"]) == 4e9
    assert float(last["flops"]) == 6 * 4e8 * 4e9
    assert {code for *_, code in listed(answer)} == {"missing-value", "missing-flops"}
    bare = {k: v for k, v in GOOD.items() if k != "D"}
    made = fixed(lint_runs(pl.DataFrame({**bare, "steps": steps, "batch_tokens": [1e6] * 9})))
    assert frame(made)["tokens"].to_list() == [float(d) for d in GOOD["D"]]


def test_wide_tables_lose_a_cell_and_not_a_row():
    bare = {k: v for k, v in GOOD.items() if k != "loss"}
    table = {**bare, "eval/de/loss": GOOD["loss"], "eval/fr/loss": [*GOOD["loss"][:8], "nan"]}
    answer = fixed(lint_runs(pl.DataFrame(table)))
    assert frame(answer).height == 9
    assert frame(answer)["eval/fra_Latn/loss"][8] is None
    assert len(read_runs(frame(answer))) == 17


def test_a_column_called_row_is_kept():
    answer = fix(row=[str(i) for i in range(100, 109)], loss={8: "nan"})
    assert frame(answer)["row_in_file"].to_list() == [str(i) for i in range(100, 108)]


def test_a_fixed_table_needs_no_fix():
    table = {k: [*v, v[0]] for k, v in GOOD.items()} | {"share:de": ["50"] * 10, "share:fr": ["50"] * 10}
    once = frame(fixed(lint_runs(pl.DataFrame(table))))
    again = fixed(lint_runs(once))
    assert again.changes.is_empty()
    assert again.columns == {}
    assert len(read_runs(once)) == 9


@pytest.fixture
def path(tmp_path):
    table = {k: [*v, v[0]] for k, v in GOOD.items()}
    path = tmp_path / "runs.csv"
    pl.DataFrame(table).write_csv(path)
    return path


def test_a_folder_beside_the_table(path, capsys):
    before = path.read_bytes()
    assert run(["runs", "lint", str(path)]) == 1
    assert "duplicate: rows 1, 10" in capsys.readouterr().out
    assert run(["runs", "lint", str(path), "--fix", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["errors"] == 1
    assert answer["fixed"] == {
        **{"written": str(path.parent / "runs-fixed"), "dropped": 1, "changes": {"duplicate": 1}},
        "errors_left": [],
    }
    folder = path.parent / "runs-fixed"
    assert sorted(p.name for p in folder.iterdir()) == ["fixes.csv", "fixes.json", "runs.csv"]
    assert len(read_runs(folder / "runs.csv")) == 9
    changes = pl.read_csv(folder / "fixes.csv")
    assert changes.select("table", "row", "run_id", "now", "code").rows() == [
        ("runs.csv", 10, "r0", DROPPED, "duplicate")
    ]
    assert json.loads((folder / "fixes.json").read_text())["changes"] == {"duplicate": 1}
    assert path.read_bytes() == before
    # Its own output may be written anew.
    assert run(["runs", "lint", str(path), "--fix"]) == 0
    assert "1 row dropped" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_one_file(path, suffix, capsys):
    out = path.with_name(f"clean{suffix}")
    assert run(["runs", "lint", str(path), "--fix", "-o", str(out)]) == 0, capsys.readouterr().err
    assert len(read_runs(out)) == 9
    assert pl.read_csv(path.with_name("clean.fixes.csv")).height == 1


def test_an_error_that_is_left(path, capsys):
    table = pl.read_csv(path).with_columns(D=pl.when(pl.col("run") == "r3").then(-1.0).otherwise(pl.col("D")))
    table.write_csv(path)
    assert run(["runs", "lint", str(path), "--fix"]) == 1
    assert "Left for you to decide: out-of-range." in capsys.readouterr().out


def test_nothing_is_written_over(path, capsys):
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    for out in (path, path.parent, path.with_suffix(".xyz"), path.parent / "no" / "where.csv"):
        assert run(["runs", "lint", str(path), "--fix", "-o", str(out)]) == 2
    assert run(["runs", "lint", str(path), "-o", "new"]) == 2
    assert "--fix" in capsys.readouterr().err
    other = path.parent / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    assert run(["runs", "lint", str(path), "--fix", "-o", str(other)]) == 2
    assert {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
    with pytest.raises(InputError):
        write_fixed(fixed(lint_runs(path)), path, path)


def test_columns_are_named_once(path, capsys):
    table = pl.read_csv(path).rename({"N": "my_params"})
    table.write_csv(path)
    assert run(["runs", "lint", str(path), "--column", "N=my_params", "--fix"]) == 0, capsys.readouterr().err
    assert len(read_runs(path.parent / "runs-fixed" / "runs.csv").params()[0]) == 9


def test_wrong_options(path, capsys):
    for option in (["--column", "N"], ["--column", "N=none"], ["--unit", "furlongs"], ["--where", "nothing=1"]):
        assert run(["runs", "lint", str(path), *option]) == 2
        assert capsys.readouterr().err.startswith("isogloss: ")
