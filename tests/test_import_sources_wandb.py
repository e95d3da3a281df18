"""Weights & Biases as a source: runs that the wandb library wrote offline, and what keeps the API from being read."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isogloss.errors import InputError
from isogloss.runs.importing import import_runs, source_wandb
from isogloss.runs.importing.source_wandb import WandbApi, WandbOffline, holds

WRITE = """
import math, sys
import numpy as np, wandb
def run(name, **more):
    return wandb.init(project="p", dir=sys.argv[1], name=name, id=name, **more)
r = run("whole", config={"model": {"n_params": 1000}, "lr": 1e-3, "sizes": [1, 2]})
for s in range(5):
    r.log({"train/loss": 3 / (s + 1), "eval": {"sw": {"loss": 2.0}}, "hist": wandb.Histogram(np.arange(5.0)),
           "text": "hello", "flag": True, "odd": [math.nan, math.inf, -math.inf, 1, 2][s]})
r.log({"train/tokens": 123}, step=50)
r.summary["best/sw"] = 0.5
r.config.update({"late": 1})
r.finish()
r = run("long")
for s in range(3000):
    r.log({f"m{i}": s + i / 7 for i in range(12)})
r.finish()
run("ghost").finish()
r = run("summary-only")
r.summary.update({"eval": {"sw": 1.25}, "note": "x"})
r.finish()
r = run("resumed")
r.log({"loss": 3.0}, step=1)
r.finish()
r = run("resumed", resume="allow")
r.log({"loss": 2.0}, step=2)
r.finish()
run("crashed").log({"loss": 1.0})
raise RuntimeError
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Runs of the real library, in a process of its own."""
    path = tmp_path_factory.mktemp("wandb")
    settings = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(path), "WANDB_API_KEY": ""}
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(path)], env={**os.environ, **settings}, capture_output=True, timeout=300
    )
    assert done.returncode == 1, done.stderr.decode()
    return path


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    """The whole run's file alone, to be damaged."""
    (file,) = folder.rglob("run-whole.wandb")
    return Path(shutil.copy(file, tmp_path / file.name))


def read(path: Path) -> dict[str, Any]:
    return {entry.key.rsplit("/", 1)[-1]: entry.read() for entry in WandbOffline(path).entries()}


@pytest.fixture(scope="module")
def runs(folder) -> dict[str, Any]:
    return read(folder)


def test_every_point_with_its_step(runs):
    whole = runs["whole"]
    assert (whole.name, whole.status) == ("whole", "finished")
    assert whole.config == {"model.n_params": 1000, "lr": 1e-3, "sizes": [1, 2], "late": 1}
    found = {name: (s.step.tolist(), s.value.tolist()) for name, s in whole.metrics.items() if name != "odd"}
    assert found == {
        "train/loss": ([0, 1, 2, 3, 4], [3 / (s + 1) for s in range(5)]),
        "eval.sw.loss": ([0, 1, 2, 3, 4], [2.0] * 5),
        "train/tokens": ([50], [123.0]),
        # Set in the summary and never logged: a point at the last step.
        "best/sw": ([50], [0.5]),
    }
    odd = whole.metrics["odd"].value
    assert math.isnan(odd[0])
    assert odd[1:].tolist() == [math.inf, -math.inf, 1, 2]
    assert (whole.metrics["train/loss"].time > 1.6e9).all()


def test_values_that_are_no_numbers_are_counted(runs):
    (trouble,) = runs["whole"].troubles
    assert trouble.lost == 15
    assert "flag (5), hist (5), text (5)" in trouble.what


def test_a_long_run_loses_nothing(runs):
    """Records go over the borders of blocks, and some begin where only their header fits."""
    metrics = runs["long"].metrics
    assert len(metrics) == 12
    for i in range(12):
        assert metrics[f"m{i}"].step.tolist() == list(range(3000))
        assert metrics[f"m{i}"].value[2999] == pytest.approx(2999 + i / 7, rel=1e-12)
    assert not runs["long"].troubles


def test_runs_that_did_not_go_as_they_should(runs):
    assert (runs["crashed"].status, len(runs["crashed"].metrics["loss"])) == ("failed", 1)
    assert (runs["ghost"].status, dict(runs["ghost"].metrics)) == ("finished", {})
    only = runs["summary-only"]
    assert {name: s.value.tolist() for name, s in only.metrics.items()} == {"eval.sw": [1.25]}
    assert "has no history: 1 values" in only.troubles[0].what
    assert runs["resumed"].metrics["loss"].step.tolist() == [1, 2]


def test_versions_change_with_the_file(folder, copied):
    before = [(e.key, e.version) for e in WandbOffline(folder).entries()]
    assert before == [(e.key, e.version) for e in WandbOffline(folder).entries()]
    (entry,) = WandbOffline(copied).entries()
    old = entry.version
    copied.write_bytes(copied.read_bytes() + b"x")
    (entry,) = WandbOffline(copied).entries()
    assert entry.version != old


def test_a_run_that_is_being_written(copied):
    """Cut anywhere, what stands before is read, the cut is told with its byte, and the whole file gives more."""
    data = copied.read_bytes()
    counts = []
    for size in range(8, len(data), 97):
        copied.write_bytes(data[:size])
        (run,) = read(copied).values()
        counts.append(sum(map(len, run.metrics.values())))
        assert run.status in ("running", "finished")
        cuts = [t for t in run.troubles if "ends within a record at byte" in t.what]
        assert len(cuts) <= 1
    assert counts == sorted(counts)
    assert counts[0] == 0
    copied.write_bytes(data)
    (run,) = read(copied).values()
    assert sum(map(len, run.metrics.values())) == 17 >= counts[-1]


def test_a_cut_names_its_byte(copied):
    data = copied.read_bytes()
    copied.write_bytes(data[:-1])
    (run,) = read(copied).values()
    place = next(t for t in run.troubles if "ends within" in t.what)
    # The last record is the run's end: 7 bytes of header and its data.
    at = int(place.what.split("byte ")[1].split(":")[0])
    assert 7 + int.from_bytes(data[at + 4 : at + 6], "little") == len(data) - at
    assert run.status == "running"


def test_damage_in_the_middle_loses_a_block_only(folder, tmp_path):
    (file,) = folder.rglob("run-long.wandb")
    data = bytearray(file.read_bytes())
    data[100_000] ^= 0xFF
    (tmp_path / "run-long.wandb").write_bytes(data)
    (run,) = read(tmp_path / "run-long.wandb").values()
    lost = 3000 - len(run.metrics["m0"])
    assert 0 < lost < 3000 * 2 * 32768 / len(data) + 2
    assert any("is damaged at byte" in t.what for t in run.troubles)
    assert run.status == "finished"


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (b"SQLite format 3", "no .wandb file")])
def test_files_that_are_none(tmp_path, data, said):
    (tmp_path / "run-x.wandb").write_bytes(data)
    (run,) = read(tmp_path).values()
    assert not run.metrics
    assert said in run.troubles[0].what


def test_what_holds_runs(folder, tmp_path):
    assert holds(folder)
    assert holds(next(folder.rglob("*.wandb")))
    assert not holds(tmp_path)
    with pytest.raises(InputError, match=r"holds no \.wandb file"):
        list(WandbOffline(tmp_path).entries())


# --- through the API -----------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_asked(tmp_path):
    """In a process with the real library and a closed terminal: a prompt would fail or hang."""
    code = (
        "from isogloss.errors import InputError\nfrom isogloss.runs.importing.source_wandb import WandbApi\n"
        "try:\n    list(WandbApi('team/project').entries())\nexcept InputError as error:\n    print(error)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    environment |= {"NETRC": str(tmp_path / "none"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
    )
    said = done.stdout.decode()
    assert "there is no key" in said, done.stderr.decode()
    assert "wandb login" in said


@pytest.mark.parametrize("text", ["project", "a/b/c/d", "team//x"])
def test_names_that_are_no_project(text):
    with pytest.raises(InputError, match="entity/project"):
        list(WandbApi(text).entries())


class FakeRun:
    """A run as wandb.Api gives it; the service itself cannot be run here."""

    id, name, state, path = "r1", "one", "crashed", ("team", "p", "r1")
    config = {"model": {"N": 5}, "_wandb": {}}  # noqa: RUF012
    summary_metrics = {"loss": 2.0, "final": {"sw": 1.5}, "_step": 7}  # noqa: RUF012
    historyLineCount = 4

    def scan_history(self):
        yield {"_step": 0, "_timestamp": 5.0, "loss": 3.0, "eval": {"sw": "NaN"}, "image": {"_type": "image"}}
        yield {"_step": 7, "_timestamp": 6.0, "loss": 2.0, "eval": None}
        yield {"loss": 1.0}


def test_a_history_of_the_api(monkeypatch):
    api = SimpleNamespace(runs=lambda *_, **__: [FakeRun()], run=lambda _: FakeRun())
    monkeypatch.setattr(source_wandb, "_api", lambda: api)
    (entry,) = WandbApi("team/p").entries()
    run = entry.read()
    assert (run.key, run.name, run.status, run.config) == ("r1", "one", "failed", {"model.N": 5})
    assert run.metrics["loss"].step.tolist() == [0, 7, 8]
    assert math.isnan(run.metrics["eval.sw"].value[0])
    assert run.metrics["final.sw"].value.tolist() == [1.5]
    assert run.troubles[0].lost == 1
    assert run.troubles[1].what == "3 of 4 rows of its history were given out"
    assert [e.key for e in WandbApi("team/p/r1").entries()] == ["r1"]
    assert entry.version
    monkeypatch.setattr(FakeRun, "state", "running")
    assert not entry.version


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("Could not find project p"), "cannot be read: Could not find project"),
        (ConnectionError("HTTPSConnectionPool: Max retries"), "cannot be read"),
        (ValueError("HTTP 401: user is not logged in"), "refuses the login"),
        (ValueError("no such thing: hidden-key"), "no such thing: \\.\\.\\."),
    ],
)
def test_errors_of_the_api(monkeypatch, error, said):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("WANDB_API_KEY", "hidden-key")
    monkeypatch.setattr(source_wandb, "_api", lambda: SimpleNamespace(runs=fail))
    with pytest.raises(InputError, match=said):
        list(WandbApi("team/p").entries())


def test_imported_with_what_was_left_out(folder, tmp_path):
    mapping = {"losses": {"eval.{language}.loss": "bits/byte"}, "tokens": {"per_step": 1000}}
    report = import_runs(folder, tmp_path / "s", mapping)
    assert report.statuses() == {"finished": 4, "failed": 1, "ghost": 1}
    # The point at step 0 has no tokens.
    assert (report.losses, report.reasons()["at zero tokens"], report.lost) == (4, 1, 15)
    assert import_runs(folder, tmp_path / "s", mapping).known == 6
