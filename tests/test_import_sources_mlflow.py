"""MLflow as a source: stores that the mlflow library wrote, as files, as SQLite, and behind its server."""

from __future__ import annotations

import http.server
import math
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.runs.importing import import_runs, mlflow_database
from isogloss.runs.importing.source_mlflow import Mlflow, holds

WRITE = """
import math, sys, time
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.create_experiment("study")
now = int(time.time() * 1000)
def run(name, points, status="FINISHED"):
    key = client.create_run(experiment, run_name=name, tags={"team": "x"}).info.run_id
    loss = [Metric("eval/sw/loss", v, now + i, s) for i, (s, v) in enumerate(points)]
    tokens = [Metric("tokens", 1000.0 * s, now + i, s) for i, (s, _) in enumerate(points)]
    params = {"lr": "0.001", "model": "{'n': 5, 'tied': True}", "data/mix": "half", "a": "nan"}
    client.log_batch(key, loss + tokens, [Param(*pair) for pair in params.items()])
    if status:
        client.set_terminated(key, status)
    return key
run("whole", [(s, 3 - 0.1 * s) for s in range(5)])
run("odd", [(0, 3.0), (7, math.nan), (5, math.inf), (6, -math.inf), (5, 2.5)], "FAILED")
run("running", [(0, 3.0)], None)
run("ghost", [])
run("killed", [(0, 1.0)], "KILLED")
client.delete_run(run("deleted", [(0, 1.0)]))
"""
# The server's own application; the command `mlflow server` needs far more libraries.
SERVE = """
import os, sys
os.environ["_MLFLOW_SERVER_FILE_STORE"] = sys.argv[1]
os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = sys.argv[2]
from mlflow.server import app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[3]), app, threaded=True)
"""
QUIET = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}


def wrote(uri: str, folder: Path) -> None:
    command = [sys.executable, "-c", WRITE, uri]
    done = subprocess.run(command, env={**os.environ, **QUIET}, cwd=folder, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "mlruns"
    wrote(folder.as_uri(), folder.parent)
    return folder


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    wrote(f"sqlite:///{path}", path.parent)
    return path


@pytest.fixture(scope="module")
def server(database, tmp_path_factory) -> Iterator[str]:
    copy = tmp_path_factory.mktemp("server") / "mlflow.db"
    shutil.copy(database, copy)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, f"sqlite:///{copy}", str(copy.parent), str(port)]
    running = subprocess.Popen(command, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert running.poll() is None, running.communicate()[1].decode()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        running.terminate()
        running.communicate(timeout=30)


@pytest.fixture(params=["folder", "file", "database", "sqlite", "server"])
def place(request) -> str:
    """The same runs in every kind of store."""
    if request.param == "server":
        return request.getfixturevalue("server")
    if request.param in ("folder", "file"):
        store = request.getfixturevalue("store")
        return str(store) if request.param == "folder" else store.as_uri()
    database = request.getfixturevalue("database")
    return str(database) if request.param == "database" else f"sqlite:///{database}"


def read(text: str) -> dict[str, Any]:
    return {entry.read().name: entry.read() for entry in Mlflow(text).entries()}


def test_every_kind_of_store_gives_the_same(place):
    source = Mlflow(place)
    entries = list(source.entries())
    runs = {run.name: run for run in (entry.read() for entry in entries)}
    assert {name: run.status for name, run in runs.items()} == {
        "whole": "finished",
        "odd": "failed",
        "running": "running",
        "ghost": "finished",
        "killed": "killed",
    }
    whole = runs["whole"]
    assert whole.config == {
        "lr": 0.001,
        "model.n": 5,
        "model.tied": True,
        "data/mix": "half",
        "a": "nan",
        "tags.team": "x",
        "experiment": "study",
    }
    assert whole.metrics["eval/sw/loss"].step.tolist() == [0, 1, 2, 3, 4]
    assert whole.metrics["eval/sw/loss"].value == pytest.approx([3, 2.9, 2.8, 2.7, 2.6])
    times = whole.metrics["tokens"].time
    assert times is not None
    assert (np.abs(times - time.time()) < 3600).all()
    odd = runs["odd"].metrics["eval/sw/loss"]
    assert odd.step.tolist() == [0, 7, 5, 6, 5]
    assert math.isnan(odd.value[1])
    assert odd.value[[0, 2, 3, 4]].tolist() == [3, math.inf, -math.inf, 2.5]
    assert not runs["ghost"].metrics
    (trouble,) = source.troubles
    assert "1 runs are deleted in MLflow and left out: deleted" in trouble.what
    assert [(e.key, e.version) for e in entries] == [(e.key, e.version) for e in Mlflow(place).entries()]


def test_what_is_known_by_its_content(store, database, tmp_path):
    assert holds(store)
    assert holds(store.parent)
    assert holds(database)
    assert holds(database.parent)
    assert not holds(tmp_path)
    sqlite3.connect(tmp_path / "other.db").execute("create table x (y)").connection.close()
    assert not holds(tmp_path / "other.db")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sqlite:////nowhere/x.db", "no such MLflow store"),
        ("databricks", "cannot read"),
        ("http://[host", "is no address"),
        ("http://user:secret@host:700000", "is no address"),
        ("postgresql://user:secret@host/db", "cannot read: postgresql"),
    ],
)
def test_stores_that_are_none(text, said):
    with pytest.raises(InputError, match=said) as caught:
        Mlflow(text)
    assert "secret" not in str(caught.value)


def test_other_databases_and_folders(tmp_path):
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table x (y)")
    other.close()
    with pytest.raises(InputError, match="no such table"):
        list(Mlflow(str(tmp_path / "other.db")).entries())
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\x00" + b"nonsense" * 300)
    with pytest.raises(InputError, match=r"is damaged|cannot be read"):
        list(Mlflow(str(tmp_path / "broken.db")).entries())
    with pytest.raises(InputError, match="is no MLflow store"):
        Mlflow(str(tmp_path))


# --- while it is written -------------------------------------------------------------------------------------


def test_a_locked_database_is_waited_for_and_named(database, tmp_path, monkeypatch):
    path = Path(shutil.copy(database, tmp_path / "store.db"))
    source = Mlflow(str(path))
    (entry, *_) = source.entries()
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("begin exclusive")
    monkeypatch.setattr(mlflow_database, "PATIENCE", 0.2)
    assert holds(path)
    for work in (entry.read, lambda: list(Mlflow(str(path)).entries())):
        with pytest.raises(InputError, match="is locked: another program") as caught:
            work()
        assert "mlflow:http://" in str(caught.value)
    monkeypatch.setattr(mlflow_database, "PATIENCE", 30)
    released = threading.Timer(0.5, lambda: writer.execute("rollback"))
    released.start()
    assert entry.read().metrics
    released.join()
    writer.close()


def test_a_database_with_a_write_ahead_log(database, tmp_path):
    """What stands in the log only is read, and nothing is written."""
    path = Path(shutil.copy(database, tmp_path))
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("pragma journal_mode=wal")
    (entry, *_) = Mlflow(str(path)).entries()
    before = {entry.key: entry.version for entry in Mlflow(str(path)).entries()}
    writer.execute(
        "insert into metrics (key, value, timestamp, run_uuid, step, is_nan) values ('tokens', 9, 1, ?, 9, 0)",
        (entry.key,),
    )
    content = path.read_bytes()
    after = {entry.key: entry.version for entry in Mlflow(str(path)).entries()}
    assert [key for key in before if before[key] != after[key]] == [entry.key]
    assert entry.read().metrics["tokens"].step[-1] == 9
    assert path.read_bytes() == content
    writer.close()


def test_a_metric_file_that_is_half_written(store, tmp_path):
    shutil.copytree(store, tmp_path / "mlruns")
    entry = next(e for e in Mlflow(str(tmp_path / "mlruns")).entries() if e.read().name == "whole")
    (path,) = (tmp_path / "mlruns").rglob(f"{entry.key}/metrics/tokens")
    data = path.read_bytes()
    old = entry.version
    path.write_bytes(b"what is this\n" + data[:-1])
    run = entry.read()
    assert entry.version != old
    assert run.metrics["tokens"].step.tolist() == [0, 1, 2, 3]
    assert sorted(t.what for t in run.troubles) == [
        "1 lines cannot be read: 1",
        "the last line is half-written: everything before it is read",
    ]
    path.write_bytes(data + b"1700000000000 5000.0 5\n")
    assert entry.read().metrics["tokens"].step.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_run_whose_meta_is_half_written(store, tmp_path):
    shutil.copytree(store, tmp_path / "mlruns")
    path = next((tmp_path / "mlruns").glob("*/*/meta.yaml"))
    path.write_bytes(b"")
    bare = tmp_path / "mlruns" / path.parent.parent.name / "bare"
    (bare / "metrics").mkdir(parents=True)
    source = Mlflow(str(tmp_path / "mlruns"))
    count = len(list(source.entries()))
    assert count in (4, 5)
    assert any("half-written" in t.what for t in source.troubles)
    assert [t.where for t in source.troubles if "without meta.yaml" in t.what] == [str(bare)]


# --- servers -------------------------------------------------------------------------------------------------


def test_pages_are_followed(server, monkeypatch):
    from isogloss.runs.importing import mlflow_server

    monkeypatch.setattr(mlflow_server, "_PAGE", 2)
    monkeypatch.setattr(mlflow_server, "_RUNS_PAGE", 2)
    runs = read(server)
    assert len(runs) == 5
    assert sorted(runs["odd"].metrics["eval/sw/loss"].step.tolist()) == [0, 5, 5, 6, 7]


def test_a_server_that_is_down():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="no MLflow server can be reached") as caught:
        list(Mlflow(f"http://me:secret@127.0.0.1:{port}/#/experiments/1?x=secret").entries())
    assert "secret" not in str(caught.value)


@pytest.fixture
def answering() -> Iterator[tuple[str, list[tuple[int, bytes]], list[str]]]:
    """A server that gives one answer to everything, and keeps what it was sent."""
    answers, heard = [(401, b"")], list[str]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(self.headers.get("Authorization") or "")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(answers[0][0])
            self.send_header("Content-Length", str(len(answers[0][1])))
            self.end_headers()
            self.wfile.write(answers[0][1])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_address[1]}", answers, heard
        running.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "asks for a login .401."),
        (403, b"", "asks for a login .403."),
        (200, b"<html>", "answers 200 to experiments/search"),
        (500, b'{"message": "database is locked"}', "answers 500 to experiments/search: database is locked"),
        (404, b"not found", "answers 404"),
    ],
)
def test_servers_that_do_not_answer_as_they_should(answering, status, body, said, monkeypatch):
    host, answers, heard = answering
    answers[0] = (status, body)
    source = Mlflow(f"http://me:secret@{host}/")
    with pytest.raises(InputError, match=said) as caught:
        list(source.entries())
    assert heard[-1].startswith("Basic ")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    with pytest.raises(InputError, match=said) as second:
        list(Mlflow(f"http://{host}").entries())
    assert heard[-1] == "Bearer secret"
    for text in (str(caught.value), str(second.value), source.said):
        assert "secret" not in text


def test_imported_and_then_more(database, tmp_path):
    path = Path(shutil.copy(database, tmp_path))
    mapping = {"losses": {"eval/{language}/loss": "bits/byte"}, "tokens": {"metric": "tokens"}}
    report = import_runs(path, tmp_path / "s", mapping)
    assert report.statuses() == {"finished": 1, "failed": 1, "running": 1, "ghost": 1, "killed": 1}
    assert report.read == 2 * (5 + 5 + 1 + 1)
    writer = sqlite3.connect(path)
    (key,) = writer.execute("select run_uuid from runs where name = 'running'").fetchone()
    into = "insert into metrics (key, value, timestamp, run_uuid, step, is_nan) values (?, ?, 1, ?, 1, 0)"
    writer.executemany(into, [("tokens", 1000.0, key), ("eval/sw/loss", 2.0, key)])
    writer.commit()
    writer.close()
    again = import_runs(path, tmp_path / "s", mapping)
    assert (again.changed, again.known, again.read) == (1, 4, report.read + 2)
