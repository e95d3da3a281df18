"""Remote stores: what lies at a URL is read and written as if it lay here, and secrets are never told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from isogloss import read_runs, stores
from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.files import check_folder, new_file, new_folder
from isogloss.fitting import fit, load_fit
from isogloss.planning import plan, read_question
from isogloss.runs.lint import lint_runs
from isogloss.transfer import TransferMatrix, read_matrix, write_matrix

fsspec = pytest.importorskip("fsspec")

CSV = "run_id,N,D,loss\n" + "".join(
    f"r{i}{j},{n:.0f},{d:.0f},{1.7 + 400 / n**0.34 + 2000 / d**0.37:.6f}\n"
    for i, n in enumerate((1e8, 3e8, 1e9, 3e9))
    for j, d in enumerate((2e9, 6e9, 2e10, 6e10))
)
QUESTION = 'budget = 1e20\nlanguages = ["Estonian", "Finnish"]\n'


@pytest.fixture
def runs(memory: Any) -> str:
    memory.pipe_file("/bucket/runs.csv", CSV.encode())
    return "memory://bucket/runs.csv"


def study(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = list(pl.read_csv(CSV.encode()).iter_rows(named=True))
    same = {"status": "finished", "source": "x"}
    pl.DataFrame([{"run_id": r["run_id"], "params_total": float(r["N"]), **same} for r in rows]).write_parquet(
        folder / "runs.parquet"
    )
    exposure = {"language": "ekk_Latn", "share": 1.0, "tokens": 1e9, "unique_tokens": 1e10, "epochs": 0.1}
    pl.DataFrame([{"run_id": r["run_id"], **exposure} for r in rows]).write_parquet(folder / "exposure.parquet")
    point = {"language": "ekk_Latn", "unit": "nats/token", "lr_phase": "final"}
    evals = [{"run_id": r["run_id"], "tokens": float(r["D"]), "loss": r["loss"], **point} for r in rows]
    pl.DataFrame(evals).write_parquet(folder / "evals.parquet")
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1}), encoding="utf-8")


# --- reading ------------------------------------------------------------------------------------------------


def test_a_table_is_read_and_called_by_its_url(runs: str) -> None:
    table = read_runs(runs)
    assert len(table) == 16
    assert table.source == "runs.csv"
    assert lint_runs(runs).rows == 16


def test_a_path_that_was_a_url_is_one_again(runs: str) -> None:
    assert len(read_runs(Path(runs))) == 16


def test_a_changed_object_is_read_anew(runs: str, memory: Any) -> None:
    read_runs(runs)
    memory.pipe_file("/bucket/runs.csv", "".join(CSV.splitlines(keepends=True)[:6]).encode())
    assert len(read_runs(runs)) == 5


def test_a_study_is_read_without_its_checkpoints(memory: Any, tmp_path: Path) -> None:
    study(tmp_path / "s")
    memory.put(str(tmp_path / "s"), "/bucket/s", recursive=True)
    memory.pipe_file("/bucket/s/runs/r00/model.bin", b"x" * 1000)
    assert len(read_runs("memory://bucket/s")) == 16
    assert not (stores.mirrored("memory://bucket/s") / "runs").exists()


def test_what_a_remote_question_names_is_found_beside_it(memory: Any, runs: str) -> None:
    memory.pipe_file("/bucket/asked/q.toml", f'runs = "../runs.csv"\n{QUESTION}'.encode())
    memory.pipe_file("/bucket/asked/far.toml", f'runs = "{runs}"\n{QUESTION}'.encode())
    for name in ("q", "far"):
        found = read_question(f"memory://bucket/asked/{name}.toml").runs
        assert found is not None
        assert Path(found).read_text(encoding="utf-8") == CSV


def test_a_local_question_may_name_a_remote_table(runs: str, tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(f'runs = "{runs}"\n{QUESTION}', encoding="utf-8")
    found = read_question(tmp_path / "q.toml").runs
    assert found is not None
    assert Path(found).read_text(encoding="utf-8") == CSV


# --- writing ------------------------------------------------------------------------------------------------


def test_fits_matrices_and_plans_go_there_and_back(memory: Any, runs: str) -> None:
    fitted = fit("chinchilla", runs, starts=8, draws=0)
    fitted.save("memory://bucket/fit")
    assert load_fit("memory://bucket/fit").objective == fitted.objective
    write_matrix(TransferMatrix.published(), "memory://bucket/matrix.csv")
    assert read_matrix("memory://bucket/matrix.csv").languages == TransferMatrix.published().languages
    plan({"budget": 1e20, "languages": ["Estonian", "Finnish"]}, draws=0).save("memory://bucket/plan.json")
    assert json.loads(memory.cat_file("/bucket/plan.json"))["schema"] == 1


def test_a_table_is_written_there(runs: str) -> None:
    read_runs(runs).write("memory://bucket/copy.parquet")
    assert read_runs("memory://bucket/copy.parquet").equals(read_runs(runs))


def test_a_folder_is_sent_marker_last_and_replaces_what_was_there(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    put = type(memory).put_file
    monkeypatch.setattr(type(memory), "put_file", lambda self, a, b, **k: (order.append(b), put(self, a, b, **k))[1])
    for names in (["a.txt", "m.json", "z.txt"], ["m.json"]):
        order.clear()
        with new_folder(stores.mirrored("memory://bucket/out"), marker="m.json") as folder:
            for name in names:
                (folder / name).write_text("{}", encoding="utf-8")
        assert order[-1].endswith("m.json")
    assert memory.find("/bucket/out") == ["/bucket/out/m.json"]


def test_what_is_made_inside_a_folder_is_sent_with_it_and_only_so(memory: Any) -> None:
    with new_folder(stores.mirrored("memory://bucket/out"), marker="m.json") as folder:
        with new_folder(folder / "et", marker="m.json") as inner, new_file(inner / "a.txt") as file:
            file.write_text("a", encoding="utf-8")
        (folder / "m.json").write_text("{}", encoding="utf-8")
        assert memory.find("/") == []
    assert memory.find("/") == ["/bucket/out/et/a.txt", "/bucket/out/m.json"]


def test_what_fails_is_not_sent(memory: Any) -> None:
    with pytest.raises(ZeroDivisionError), new_file(stores.mirrored("memory://bucket/x.txt")) as file:
        file.write_text(str(1 / 0), encoding="utf-8")
    assert not memory.exists("/bucket/x.txt")


def test_a_folder_of_others_is_refused(memory: Any) -> None:
    memory.pipe_file("/bucket/theirs/thesis.tex", b"x")
    with pytest.raises(InputError, match="holds other objects"):
        check_folder(stores.mirrored("memory://bucket/theirs"), marker="fit.json")


# --- the command line ---------------------------------------------------------------------------------------


def test_verbs_take_urls_and_say_urls(
    runs: str, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = []
    for words in (
        ["runs", "lint", runs],
        ["runs", "show", runs, "-o", "memory://bucket/shown"],
        ["runs", "lint", runs, "--fix"],
        ["fit", runs, "--law", "chinchilla", "--starts", "8", "--draws", "0", "--output=memory://bucket/fit"],
        ["predict", "memory://bucket/fit", "N=1e9", "D=2e10"],
    ):
        assert run(words) == 0, words
        said.append(capsys.readouterr().out)
    assert "Wrote memory://bucket/shown/" in said[1]
    assert memory.exists("/bucket/shown/runs.html")
    assert memory.exists("/bucket/runs-fixed/fixes.json")
    local = str(stores.mirrored(runs).parent.parent)
    assert local not in "".join(said)
    assert all(local.encode() not in memory.cat_file(f) for f in memory.find("/bucket"))
    assert list(tmp_path.iterdir()) == []


def test_plans_say_the_url_they_can_be_made_again_from(
    memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    memory.pipe_file("/bucket/q.toml", QUESTION.encode())
    assert run(["plan", "memory://bucket/q.toml", "--draws", "0"]) == 0
    made = json.loads((tmp_path / "q-plan" / "plan.json").read_text(encoding="utf-8"))["reproduce"]
    assert made["command"].startswith("isogloss plan memory://bucket/q.toml")
    assert made["inputs"][0]["path"] == "memory://bucket/q.toml"


# --- the web ------------------------------------------------------------------------------------------------


def test_files_and_folders_of_a_web_server(site: tuple[Path, str, list[str]]) -> None:
    folder, address, _ = site
    (folder / "runs.csv").write_text(CSV, encoding="utf-8")
    study(folder / "s")
    assert len(read_runs(f"{address}/runs.csv")) == 16
    assert len(read_runs(f"{address}/s")) == 16


def test_all_that_a_web_server_has(
    site: tuple[Path, str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, address, _ = site
    (folder / "runs.csv").write_text(CSV, encoding="utf-8")
    pl.read_csv(CSV.encode()).write_parquet(folder / "runs.parquet")
    (folder / "q.toml").write_text(f'runs = "runs.parquet"\n{QUESTION}', encoding="utf-8")
    fit("chinchilla", read_runs(folder / "runs.csv"), starts=8, draws=0).save(folder / "fit")
    assert len(read_runs(f"{address}/runs.parquet")) == 16
    assert Path(str(read_question(f"{address}/q.toml").runs)).read_bytes() == (folder / "runs.parquet").read_bytes()
    assert load_fit(f"{address}/fit").law.name == "chinchilla"
    loss = '[losses]\nloss = { language = "ekk_Latn", unit = "nats/token" }\n'
    mapping = f'{loss}[tokens]\nmetric = "D"\n[run]\nparams_total = "N"\n'
    (folder / "map.toml").write_text(mapping, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs.csv").write_text(CSV, encoding="utf-8")
    assert run(["runs", "import", "logs.csv", "--map", f"{address}/map.toml", "-o", "s"]) == 0, capsys.readouterr().err
    assert len(read_runs(tmp_path / "s")) == 16


def test_a_mapping_in_a_store(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.pipe_file("/bucket/map.toml", b"[losses]\nloss = 3\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs.csv").write_text(CSV, encoding="utf-8")
    for words in (["--map", "memory://bucket/map.toml"], ["--map=memory://bucket/map.toml"]):
        assert run(["runs", "import", "logs.csv", *words, "-o", "s"]) == 2
        assert "memory://bucket/map.toml" in capsys.readouterr().err


def test_a_token_is_sent_and_never_told(
    site: tuple[Path, str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, address, asked = site
    (folder / "runs.csv").write_text(CSV, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["runs", "show", f"{address}/runs.csv?token=hush", "-o", "out"]) == 0
    assert any("token=hush" in path for path in asked)
    for words in (["missing.csv"], ["secret.csv"]):
        assert run(["runs", "lint", f"{address}/{words[0]}?token=hush"]) == 2
    said = capsys.readouterr()
    assert "hush" not in said.out + said.err
    assert f"{address}/missing.csv: no such object" in said.err
    assert f"{address}/secret.csv: no permission" in said.err
    assert all("hush" not in f.read_text(encoding="utf-8") for f in (tmp_path / "out").iterdir())


def test_the_web_is_not_written(site: tuple[Path, str, list[str]]) -> None:
    with pytest.raises(InputError, match="can be read, not written"):
        check_folder(stores.mirrored(f"{site[1]}/out"), marker="x.json")


def test_nobody_there() -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(InputError, match="does not answer") as told:
        read_runs("http://user:hush@127.0.0.1:9/runs.csv?token=hush")
    assert "hush" not in str(told.value)


# --- what can go wrong ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("memory")
def test_no_such_object() -> None:
    with pytest.raises(InputError, match=r"^memory://bucket/none\.csv: no such object"):
        read_runs("memory://bucket/none.csv")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError("https://x/?sig=hush"), "no permission"),
        (type("NoCredentialsError", (Exception,), {})("hush"), "no permission"),
        (ConnectionError("cannot reach memory://bucket/runs.csv?sig=hush"), "does not answer"),
        (RuntimeError("broke at memory://user:hush@bucket/runs.csv"), "cannot be read: RuntimeError"),
    ],
)
def test_what_a_store_raises_is_said_in_words(
    runs: str, memory: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(type(memory), "isfile", fail)
    with pytest.raises(InputError, match=said) as told:
        read_runs(runs)
    assert "hush" not in str(told.value)


def test_an_unknown_store_and_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown kind of store foo://"):
        read_runs("foo://bucket/runs.csv")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"needs s3fs, which is not installed\n.*isogloss\[remote\]"):
        read_runs("s3://bucket/runs.csv")
    with pytest.raises(InputError, match="names no object"):
        read_runs("s3://")


def test_local_paths_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    for source in (tmp_path / "a.csv", str(tmp_path / "a.csv")):
        assert stores.local(source) == source
    assert stores.url_of(tmp_path / "a.csv") is None
