"""Where an import reads and writes: paths that hold several kinds, and two imports into one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imports import MAP, FakeSource, curve
from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.runs.importing import faster_way, import_runs, other_kinds
from isogloss.runs.importing.lock import LOCK, locked

MIXED = {"losses": {"eval_sw_loss": {"unit": "nats/token", "language": "sw"}}, "tokens": {"per_step": "1000"}}


def both(folder: Path) -> Path:
    """A Trainer's state, logs beside it, and TensorBoard's file of events."""
    (folder / "logs").mkdir(parents=True)
    history = [{"step": s, "eval_sw_loss": 3 + 10 / s} for s in (10, 20)]
    state = {"log_history": history, "global_step": 20, "max_steps": 20}
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    (folder / "logs" / "more.jsonl").write_text('{"step": 1, "eval_sw_loss": 9}\n', encoding="utf-8")
    (folder / "logs" / "events.out.tfevents.1.host").write_bytes(b"")
    return folder


def test_other_kinds_are_named_with_how_to_read_them(tmp_path, capsys):
    folder = both(tmp_path / "x")
    report = import_runs(folder, tmp_path / "s", MIXED)
    (note,) = (note for note in report.notes if "also holds" in note)
    assert note.startswith(
        f"{folder} is read as trainer_state.json. It also holds TensorBoard files, JSONL or CSV files"
    )
    assert f"tensorboard:{folder} or logs:{folder}" in note
    assert note in json.loads((tmp_path / "s" / "import.json").read_text(encoding="utf-8"))["notes"]
    assert report.read == 2
    # What a prefix names is what was meant.
    report = import_runs(f"logs:{folder}", tmp_path / "logs", MIXED)
    assert not any("also holds" in note for note in report.notes)
    assert report.read == 1
    run(["runs", "import", str(folder), "--guess"])
    assert f"isogloss: {note}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("mlflow:http://localhost:5000", True),
        ("mlflow:https://127.0.0.1", True),
        ("mlflow:http://tracker.example:5000", False),
        ("mlflow:http://[", False),
        ("mlruns", False),
    ],
)
def test_a_server_of_this_machine_is_better_read_in_place(source, told):
    assert bool(faster_way(source)) == told


def test_an_address_of_sqlite_is_no_remote_store(tmp_path, capsys):
    assert run(["runs", "import", f"sqlite:///{tmp_path}/none.db", "-o", str(tmp_path / "s")]) == 2
    assert "no such MLflow store" in capsys.readouterr().err


def test_one_kind_and_no_folder(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 1, "loss": 9}\n', encoding="utf-8")
    assert other_kinds(tmp_path) is None
    assert other_kinds(tmp_path / "a.jsonl") is None
    assert other_kinds("wandb:entity/project") is None


# --- the lock --------------------------------------------------------------------------------------------


def owner(**other) -> dict:
    with locked(Path(os.environ["PYTEST_LOCK"])):
        return {**json.loads((Path(os.environ["PYTEST_LOCK"]) / LOCK).read_text(encoding="utf-8")), **other}


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PYTEST_LOCK", str(tmp_path / "elsewhere"))
    return tmp_path / "s"


def gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_import_into_a_folder_is_refused(out):
    refused: list[InputError] = []

    def second(_: str) -> None:
        with pytest.raises(InputError, match="another import is at work in it") as caught:
            import_runs(FakeSource([curve()]), out, MAP)
        refused.append(caught.value)

    report = import_runs(FakeSource([curve()], failing=second), out, MAP)
    assert report.losses == 10
    assert f"process {os.getpid()} on" in str(refused[0])
    assert str(out / LOCK) in str(refused[0])
    assert not (out / LOCK).exists()
    import_runs(FakeSource([curve()]), out, MAP)


def test_the_lock_of_a_dead_process_is_taken_over(out):
    dead = owner(pid=gone())
    out.mkdir()
    (out / LOCK).write_text(json.dumps(dead), encoding="utf-8")
    assert import_runs(FakeSource([curve()]), out, MAP).losses == 10
    assert not list(out.glob(f"{LOCK}*"))


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1}', '{"pid": "x", "machine": "y"}'])
def test_a_lock_that_may_be_alive_stays(out, text):
    out.mkdir()
    (out / LOCK).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="another import"):
        import_runs(FakeSource([curve()]), out, MAP)
    assert (out / LOCK).read_text(encoding="utf-8") == text


def test_a_lock_of_another_machine_stays(out):
    out.mkdir()
    (out / LOCK).write_text(json.dumps(owner(pid=gone(), machine="far id")), encoding="utf-8")
    with pytest.raises(InputError, match="on far"):
        import_runs(FakeSource([curve()]), out, MAP)


def test_nothing_is_left_of_an_import_that_fails_at_once(tmp_path):
    with pytest.raises(InputError, match="holds no runs"):
        import_runs(FakeSource([]), tmp_path / "a" / "s", MAP)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        import_runs(FakeSource([curve()]), tmp_path / "file" / "s", MAP)
