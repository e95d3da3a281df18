"""How fast runs come out of trackers, with how much memory, and whether every logged point arrives.

    python benchmarks/import_speed.py [--runs 200] [--points 5000] [--only mlflow wandb tensorboard server]
                                      [--server-runs 4] [--read-only]

Stores of RUNS runs with POINTS steps of 12 metrics each are made in a temporary folder:

* mlflow: MLflow makes the SQLite database and its tables; the rows are put in by bulk SQL, as logging 12 million points
  through its client would take hours. It is read while MLflow's server runs on it.
* wandb, tensorboard: the first run is logged by the library itself (wandb offline; torch's SummaryWriter); the others
  are copies of its file under other names.
* server: the first SERVER_RUNS runs of the database through MLflow's server (its Flask application in one process), by
  its REST API. By far the slowest way: the server gives out 25,000 points at most at once, as JSON.

Each store is read in a process of its own, whose peak memory is told: "read" takes
every run out of its source; "import" is import_runs to the study folder. Both must account for every point, or the
benchmark fails; it also does where a store takes over 20 minutes. Times include the import of the tracker's library.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Row, show, write

LANGUAGES = ("deu", "fra", "swh", "fin", "ekk", "lav", "ita", "spa", "por", "pol")
METRICS = (*(f"eval/{language}/loss" for language in LANGUAGES), "tokens", "lr")
# Seconds for one store to be made or read: several times what the slowest takes. And for a server to start.
LIMIT, START = 1200, 180
QUIET = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def values(step: int) -> dict[str, float]:
    losses = {f"eval/{language}/loss": 3 + 5 / (step + 1 + i) for i, language in enumerate(LANGUAGES)}
    return {**losses, "tokens": 524288.0 * (step + 1), "lr": 1e-3}


HEAD = f"import json, sys, time\nLANGUAGES = {LANGUAGES!r}\n{inspect.getsource(values)}"
WANDB = f"""{HEAD}
import wandb
run = wandb.init(project="p", dir=sys.argv[1], id="first", config={{"n_params": 1000000}})
for step in range(int(sys.argv[2])):
    run.log(values(step))
run.finish()
"""
TENSORBOARD = f"""{HEAD}
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1])
writer.add_text("args", json.dumps({{"n_params": 1000000}}))
for step in range(int(sys.argv[2])):
    for name, value in values(step).items():
        writer.add_scalar(name, value, step)
writer.close()
"""
MLFLOW = """
import sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.create_experiment("study")
for i in range(int(sys.argv[2])):
    run = client.create_run(experiment, run_name=f"run-{i:03d}")
    client.log_param(run.info.run_id, "n_params", 1000000 + i)
    client.set_terminated(run.info.run_id)
"""
SERVE = """
import os, sys
os.environ["_MLFLOW_SERVER_FILE_STORE"], os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = sys.argv[1:3]
from mlflow.server import app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[3]), app, threaded=True)
"""
PEAK = """
import json, resource, sys, time
from pathlib import Path

def peak():
    # Where the system tells it, of this program alone: ru_maxrss begins with what the calling process had.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
READ = (
    PEAK
    + """
begin, cpu = time.perf_counter(), time.process_time()
from isogloss.runs.importing import open_source
place, most = sys.argv[1], int(sys.argv[3])
points, runs, last, troubles = 0, 0, 0.0, 0
for entry in open_source(place).entries():
    if runs == most:
        break
    run = entry.read()
    runs += 1
    points += sum(map(len, run.metrics.values()))
    last += float(run.metrics["tokens"].value[-1])
    troubles += len(run.troubles)
answer = {"points": points, "runs": runs, "last": last, "troubles": troubles}
seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
memory = peak()
print(json.dumps({**answer, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": memory}))
"""
)
IMPORT = (
    PEAK
    + """
begin, cpu = time.perf_counter(), time.process_time()
from isogloss.runs.importing import import_runs
size = "args.n_params" if sys.argv[4] == "tensorboard" else "n_params"
mapping = {"losses": {"eval/{language}/loss": "nats/token"}, "tokens": {"metric": "tokens"},
           "run": {"params_total": size}, "learning_rate": {"metric": "lr"}}
report = import_runs(sys.argv[1], sys.argv[2], mapping)
answer = {"points": report.read, "runs": len(report.runs), "losses": report.losses, "left_out": report.reasons(),
          "troubles": len(report.troubles)}
seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
memory = peak()
print(json.dumps({**answer, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": memory}))
"""
)


def python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    try:
        done = subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"not done in {LIMIT} s: {command[3:]}") from None
    if done.returncode:
        raise SystemExit(f"failed:\n{done.stderr}")
    return done.stdout


# --- stores --------------------------------------------------------------------------------------------------


def make_wandb(folder: Path, runs: int, points: int) -> str:
    python(WANDB, folder, points)
    (file,) = folder.rglob("*.wandb")
    for i in range(1, runs):
        copy = folder / "wandb" / f"offline-run-20250101_{i:06d}-r{i}" / f"run-r{i}.wandb"
        copy.parent.mkdir()
        shutil.copyfile(file, copy)
    return str(folder)


def make_tensorboard(folder: Path, runs: int, points: int) -> str:
    python(TENSORBOARD, folder / "run-0", points)
    (file,) = folder.rglob("*tfevents*")
    for i in range(1, runs):
        (folder / f"run-{i}").mkdir()
        shutil.copyfile(file, folder / f"run-{i}" / file.name)
    return str(folder)


def make_mlflow(folder: Path, runs: int, points: int) -> str:
    path = folder / "mlflow.db"
    python(MLFLOW, f"sqlite:///{path}", runs)
    connection = sqlite3.connect(path)
    for setting in ("synchronous = off", "journal_mode = off", "cache_size = -1000000"):
        connection.execute(f"pragma {setting}")
    keys = connection.execute("select run_uuid from runs order by start_time, name").fetchall()
    # One run after the other, in milliseconds.
    for i, (key,) in enumerate(keys):
        begin = 1_700_000_000_000 + 10_000_000 * i
        rows = [
            (name, value, begin + step, key, step) for step in range(points) for name, value in values(step).items()
        ]
        into = "(key, value, timestamp, run_uuid, step, is_nan) values (?, ?, ?, ?, ?, 0)"
        connection.executemany(f"insert into metrics {into}", rows)
        connection.executemany(f"insert into latest_metrics {into}", rows[-len(METRICS) :])
        connection.commit()
    connection.close()
    return str(path)


MAKERS = {"mlflow": make_mlflow, "wandb": make_wandb, "tensorboard": make_tensorboard}


@contextmanager
def serving(database: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, f"sqlite:///{database}", str(database.parent), str(port)]
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(command, env={**os.environ, **QUIET}, stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START
        while running.poll() is None and time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        else:
            raise SystemExit("MLflow's server does not start")
        yield address
    finally:
        running.terminate()
        running.wait(timeout=60)


# --- measurements --------------------------------------------------------------------------------------------


def measured(code: str, what: str, place: str, out: Path, runs: int, points: int, kind: str) -> Row:
    found = json.loads(python(code, place, out, runs, kind).splitlines()[-1])
    expected = runs * points * len(METRICS)
    if (found["points"], found["runs"]) != (expected, runs):
        raise SystemExit(f"{what}: {found['points']} of {expected} points in {found['runs']} of {runs} runs")
    if "last" in found and found["last"] != runs * 524288.0 * points:
        raise SystemExit(f"{what}: the last values of tokens add up to {found['last']}")
    if "losses" in found and found["losses"] != runs * points * len(LANGUAGES):
        raise SystemExit(f"{what}: {found['losses']} losses in the study, {found['left_out']} left out")
    notes = f"{expected:,} points, {found['cpu_seconds']:.1f} s of CPU, peak {found['peak_bytes'] / 1e6:.0f} MB"
    print(f"{what}: {found['seconds']:.1f} s, {notes}", flush=True)
    return Row(what, found["seconds"], repeats=1, notes=notes, details=found)


def make(kind: str, folder: Path, options: argparse.Namespace) -> str:
    begin = time.perf_counter()
    folder.mkdir()
    place = MAKERS[kind](folder, options.runs, options.points)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    print(f"{kind}: made {size / 1e6:.0f} MB in {time.perf_counter() - begin:.0f} s", flush=True)
    return place


def measure_store(kind: str, place: str, options: argparse.Namespace) -> Iterator[Row]:
    for name, code in {"read": READ, "import": IMPORT}.items():
        if name == "read" or not options.read_only:
            with tempfile.TemporaryDirectory() as out:
                yield measured(code, f"{kind}: {name}", place, Path(out), options.runs, options.points, kind)


def measure_all(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    for kind in ("wandb", "tensorboard"):
        if kind in options.only:
            yield from measure_store(kind, make(kind, folder / kind, options), options)
            shutil.rmtree(folder / kind)
    if not {"mlflow", "server"} & set(options.only):
        return
    place = make("mlflow", folder / "mlflow", options)
    with serving(Path(place)) as address:
        if "mlflow" in options.only:
            yield from measure_store("mlflow", place, options)
        if "server" in options.only:
            runs = min(options.server_runs, options.runs)
            what = f"server: read {runs} runs"
            yield measured(READ, what, f"mlflow:{address}", folder, runs, options.points, "server")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--only", nargs="*", choices=[*MAKERS, "server"], default=[*MAKERS, "server"])
    parser.add_argument("--server-runs", type=int, default=4)
    parser.add_argument("--read-only", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = list(measure_all(Path(temporary), options))
    show(f"Out of trackers: {options.runs} runs of {options.points:,} steps of {len(METRICS)} metrics", rows)
    full = options.runs >= 200 and options.points >= 5000 and not options.read_only
    if full and {*options.only} == {*MAKERS, "server"}:
        write("import_speed", rows)


if __name__ == "__main__":
    main()
