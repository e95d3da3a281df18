"""Plain logs and study folders as sources, and the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from imports import MAP, FakeSource, curve
from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.runs import read_runs
from isogloss.runs.importing import guess_mapping, import_runs, open_source
from isogloss.runs.importing.source_logs import Logs

LOSSES = {"losses": {"eval/{language}/loss": "nats/token"}, "tokens": {"metric": "tokens"}}


def rows(last: int = 50) -> list[dict[str, float]]:
    return [
        {"step": s, "tokens": 1000 * s, "eval/sw/loss": 3 + 1 / s, "eval/en/loss": 3.5} for s in range(10, last + 1, 10)
    ]


def jsonl(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def read_one(path: Path):
    (entry,) = Logs(path).entries()
    return entry.read()


def test_a_folder_of_runs_with_their_settings(tmp_path):
    for name in ("a", "b"):
        jsonl(tmp_path / "logs" / name / "metrics.jsonl", rows())
        (tmp_path / "logs" / name / "config.json").write_text(json.dumps({"model": {"N": 1e8}, "seed": 1}))
    pl.DataFrame(rows()).with_columns(size=pl.lit("big")).write_csv(tmp_path / "logs" / "c.csv")
    runs = [e.read() for e in Logs(tmp_path / "logs").entries()]
    assert [(r.key, r.name) for r in runs] == [("a/metrics.jsonl", "a"), ("b/metrics.jsonl", "b"), ("c.csv", "c")]
    assert runs[0].config["model.N"] == 1e8
    assert runs[2].config["size"] == "big"
    assert runs[2].metrics["eval/sw/loss"].step.tolist() == [10, 20, 30, 40, 50]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_one_file_of_several_runs_is_read_again_by_run(tmp_path, suffix):
    path = tmp_path / f"all{suffix}"

    def write(*names: str) -> None:
        frame = pl.DataFrame([{"run": n, "N": 1e8, "status": "finished", **r} for n in names for r in rows()])
        if suffix == ".jsonl":
            frame.write_ndjson(path)
        else:
            frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")

    write("a", "b")
    mapping = {**LOSSES, "run": {"params_total": "N"}}
    assert import_runs(path, tmp_path / "s", mapping).new == 2
    write("a", "b", "c")
    report = import_runs(path, tmp_path / "s", mapping)
    assert (report.new, report.changed, report.known) == (1, 0, 2)
    assert [r.run_id for r in report.runs] == ["a", "b", "c"]
    assert report.statuses() == {"finished": 3}
    assert len(read_runs(tmp_path / "s")) == 6


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_run_that_is_being_written(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    text = "".join(json.dumps(r) + "\n" for r in rows()) if suffix == ".jsonl" else pl.DataFrame(rows()).write_csv()
    path.write_text(text[:-9])
    report = import_runs(path, tmp_path / "s", LOSSES)
    assert report.losses == 8
    assert report.lost == 1
    assert "the last, is half-written" in report.troubles[0]["what"]
    path.write_text(text)
    report = import_runs(path, tmp_path / "s", LOSSES)
    assert (report.losses, report.changed, list(report.troubles)) == (10, 1, [])


def test_lines_that_are_no_rows_are_counted(tmp_path):
    path = jsonl(tmp_path / "run.jsonl", rows())
    path.write_text(
        "epoch 1 of 3\n" + path.read_text() + '[1, 2]\n{"step": 60, "tokens": NaN, "eval/sw/loss": Infinity}\n'
    )
    report = import_runs(path, tmp_path / "s", LOSSES)
    assert report.lost == 2
    assert "2 lines cannot be read: 1, 7" in report.troubles[0]["what"]
    assert report.reasons() == {"not a number": 2}
    assert report.runs[0].status == "diverged"


def test_a_header_written_again_and_cells_left_empty(tmp_path):
    text = "step;eval/sw/loss;tokens\n1;3;10\n2;;20\nstep;eval/sw/loss;tokens\n3;2;30\n4;2\n"
    (tmp_path / "r.csv").write_text(text)
    report = import_runs(tmp_path / "r.csv", tmp_path / "s", LOSSES)
    assert report.losses == 2
    assert report.lost == 1


def test_metric_and_value_columns(tmp_path):
    long = [
        {"step": s, "metric": m, "value": v} for s in (1, 2) for m, v in (("eval/sw/loss", 3.0), ("tokens", 5.0 * s))
    ]
    found = read_one(jsonl(tmp_path / "r.jsonl", long))
    assert {n: s.value.tolist() for n, s in found.metrics.items()} == {"eval/sw/loss": [3, 3], "tokens": [5, 10]}


def test_text_where_numbers_belong_is_a_number_or_counted(tmp_path):
    losses = [3.0, "NaN", "2.5", "broken", None]
    found = read_one(jsonl(tmp_path / "r.jsonl", [{"step": s, "loss": v, "note": "x"} for s, v in enumerate(losses)]))
    assert found.metrics["loss"].value.tolist() == pytest.approx([3, np.nan, 2.5], nan_ok=True)
    assert [(t.what, t.lost) for t in found.troubles] == [("loss is text where a number belongs", 1)]
    assert found.config["note"] == "x"


def test_a_column_of_languages_names_the_losses(tmp_path):
    rows = [
        {"step": s, "language": language, "loss": loss / s, "tokens": 1e6 * s, "n_params": 1e7, "unit": "bpb"}
        for s in (1, 2)
        for language, loss in (("sw", 3.0), ("en", 2.0))
    ]
    found = read_one(jsonl(tmp_path / "r.jsonl", rows))
    assert {n: found.metrics[n].value.tolist() for n in ("loss/sw", "loss/en")} == {
        "loss/sw": [3, 1.5],
        "loss/en": [2, 1],
    }
    report = import_runs(tmp_path / "r.jsonl", tmp_path / "s")
    assert (report.losses, report.languages) == (4, ["eng_Latn", "swh_Latn"])
    assert "bits/byte" in (tmp_path / "s" / "map.toml").read_text()
    one = read_one(jsonl(tmp_path / "q.jsonl", [row for row in rows if row["language"] == "sw"]))
    assert one.config["language"] == "sw"
    assert "loss" in one.metrics


def test_without_steps_rows_are_counted_and_it_is_said(tmp_path):
    found = read_one(jsonl(tmp_path / "r.jsonl", [{"loss": 3.0}, {"loss": 2.0}]))
    assert found.metrics["loss"].step.tolist() == [0, 1]
    assert "no column of steps" in found.troubles[0].what
    found = read_one(jsonl(tmp_path / "q.jsonl", [{"loss": 3.0, "step": 5}, {"loss": 2.0}]))
    assert found.troubles[0].lost == 1
    assert found.metrics["loss"].step.tolist() == [5]


def test_empty_files_and_folders(tmp_path):
    (tmp_path / "r.jsonl").touch()
    jsonl(tmp_path / "q.jsonl", rows())
    assert import_runs(f"logs:{tmp_path}", tmp_path.parent / "s", LOSSES).statuses() == {"unknown": 1, "ghost": 1}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no \.jsonl or \.csv"):
        import_runs(f"logs:{tmp_path / 'empty'}", tmp_path / "t", LOSSES)


def test_numbers_beyond_every_range(tmp_path):
    big = "1" + "0" * 400
    (tmp_path / "r.jsonl").write_text(
        f'{{"step": 1, "a": {big}}}\n{{"step": {big}, "a": 1}}\n{{"step": 1e999, "a": 2}}\n'
    )
    found = read_one(tmp_path / "r.jsonl")
    assert found.metrics["a"].value.tolist() == [float("inf")]
    assert found.troubles[0].lost == 2


def test_a_file_that_is_gone_since_it_was_listed(tmp_path):
    for name in "ab":
        jsonl(tmp_path / "logs" / f"{name}.jsonl", rows())

    class Losing(Logs):
        def entries(self):
            for entry in list(super().entries()):
                (tmp_path / "logs" / "b.jsonl").unlink(missing_ok=True)
                yield entry

    report = import_runs(Losing(tmp_path / "logs"), tmp_path / "s", LOSSES)
    assert [r.run_id for r in report.runs] == ["a"]
    assert "No such file" in report.troubles[0]["what"]


def test_settings_that_are_half_written(tmp_path):
    jsonl(tmp_path / "r" / "log.jsonl", rows())
    (tmp_path / "r" / "config.json").write_text('{"N": ')
    found = read_one(tmp_path / "r" / "log.jsonl")
    assert "settings cannot be read" in found.troubles[0].what
    assert len(found.metrics["tokens"]) == 5


# --- a study as a source -----------------------------------------------------------------------------------


def test_a_study_is_imported_as_it_stands(tmp_path):
    steps = {"learning_rate": {"metric": "tokens"}, "extra": {"kind": "kind"}}
    import_runs(FakeSource([curve("a", kind="x"), curve("b", seed=2, kind="y")]), tmp_path / "s", {**MAP, **steps})
    report = import_runs(tmp_path / "s", tmp_path / "t")
    assert report.losses == 20
    assert not report.reasons()
    assert not report.guessed
    for name, keys in (("evals", ["run_id", "language", "tokens"]), ("exposure", ["run_id", "language"])):
        one, two = (
            pl.read_parquet(tmp_path / f / f"{name}.parquet").drop("step", "metric", strict=False) for f in "st"
        )
        assert one.sort(keys).equals(two.sort(keys)), name
    one, two = (pl.read_parquet(tmp_path / f / "runs.parquet").drop("source") for f in "st")
    assert one.equals(two)
    assert import_runs(tmp_path / "s", tmp_path / "t").known == 2
    assert "@final/{language}" in guess_mapping(open_source(tmp_path / "s")).toml


def test_a_study_keeps_phases_and_errors_of_one_point(tmp_path):
    """A study of the lab has a stable and a final model at the same tokens."""
    folder = tmp_path / "lab"
    folder.mkdir()
    base = {"run_id": "r", "tokens": 1000, "language": "swh_Latn", "unit": "bits/byte"}
    points = [
        {**base, "lr_phase": "stable", "loss": 1.2, "stderr": 0.1},
        {**base, "lr_phase": "final", "loss": 1.1, "stderr": None},
    ]
    pl.DataFrame(points).write_parquet(folder / "evals.parquet")
    pl.DataFrame([{"run_id": "r", "params_total": 10, "status": "killed"}]).write_parquet(folder / "runs.parquet")
    exposure = pl.DataFrame([{"run_id": "r", "language": "swh_Latn", "share": 1.0, "unique_tokens": 500.0}])
    exposure.write_parquet(folder / "exposure.parquet")
    (folder / "manifest.json").write_text('{"schema_version": 1}')
    import_runs(folder, tmp_path / "t")
    found = pl.read_parquet(tmp_path / "t" / "evals.parquet").select("lr_phase", "loss", "stderr", "tokens")
    assert sorted(found.rows()) == [("final", 1.1, None, 1000), ("stable", 1.2, 0.1, 1000)]
    table = read_runs(tmp_path / "t")
    assert table.frame["loss"].to_list() == [1.1]
    assert table.frame["unique:swh_Latn"].to_list() == [500.0]


# --- naming sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wnadb:team/project", "Did you mean 'wandb'"),
        ("logs:", "names no place"),
        ("logs:/nowhere/at/all", "no such file"),
        ("/nowhere/at/all", "no such file or folder"),
        ("http://host:5000/?key=secret", "mlflow:http://host:5000/"),
    ],
)
def test_sources_that_cannot_be_opened(text, said):
    with pytest.raises(InputError, match=said) as caught:
        open_source(text)
    assert "secret" not in str(caught.value)


def test_a_folder_without_runs(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(InputError, match="holds no runs that isogloss can read"):
        open_source(tmp_path)


# --- the command ------------------------------------------------------------------------------------------


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "logs" / "a.jsonl", [{**r, "acc": 0.5} for r in rows()])
    assert run(["runs", "import", "logs", "--guess"]) == 0
    out, err = capsys.readouterr()
    assert '"eval/{language}/loss" = ""' in out
    assert "to be filled in: the unit" in err
    Path("map.toml").write_text(out.replace('loss" = ""', 'loss" = "nats/token"'))
    assert run(["runs", "import", "logs", "-o", "s", "--map", "map.toml"]) == 0
    out, _ = capsys.readouterr()
    assert "1 runs (1 new" in out
    assert "acc" in out
    assert "not mapped" in out
    assert "Next: isogloss runs lint s" in out
    assert run(["runs", "import", "logs", "-o", "s", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["known"], answer["totals"]["losses"]) == (1, 10)
    docs = (Path(__file__).parents[1] / "docs" / "import.md").read_text(encoding="utf-8")
    for key in (*answer, *answer["totals"], *answer["runs"][0], *answer["runs"][0]["metrics"][0]):
        assert f"`{key}`" in docs, f"import.md does not document {key}"
    assert answer["totals"]["left_out"] == {"not mapped": 5}
    assert run(["runs", "import", "logs", "--guess", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"]
    assert run(["runs", "import", "logs"]) == 2
    assert "--guess for a mapping" in capsys.readouterr().err
    shutil.rmtree("s")
    assert run(["runs", "import", "logs", "-o", "s"]) == 2
    assert "the unit of eval/{language}/loss" in capsys.readouterr().err


def test_interrupted_it_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    from isogloss.runs.importing import source_logs

    for name in "ab":
        jsonl(tmp_path / "logs" / f"{name}.jsonl", rows())
    (tmp_path / "map.toml").write_text('losses."eval/{language}/loss" = "bpb"\ntokens.metric = "tokens"\n')
    read = source_logs.LogFile.read

    def stop(entry):
        if entry.key == "b.jsonl":
            raise KeyboardInterrupt
        return read(entry)

    monkeypatch.setattr(source_logs.LogFile, "read", stop)
    command = [
        "runs",
        "import",
        f"logs:{tmp_path / 'logs'}",
        "-o",
        str(tmp_path / "s"),
        "--map",
        str(tmp_path / "map.toml"),
    ]
    assert run(command) == 130
    assert "1 of 2 runs are read and kept; the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(source_logs.LogFile, "read", read)
    assert run([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["known"], answer["new"]) == (1, 1)
