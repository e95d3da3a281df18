"""A study comes out the same from every executor, and whatever happens to its workers."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from isogloss.errors import InputError
from isogloss.sweeps import worker
from isogloss.sweeps.claims import Claims, holder
from isogloss.sweeps.executors import crew as crew_module
from isogloss.sweeps.executors import local as local_module
from isogloss.sweeps.executors.crew import supervise
from isogloss.sweeps.executors.local import LocalCrew
from isogloss.sweeps.layout import run_folder, write_jobs
from isogloss.sweeps.prepared import Prepared, prepare
from isogloss.sweeps.run import run
from isogloss.sweeps.status import survey
from isogloss.sweeps.workbench import Workbench
from studies import BATCH, assert_same_tables, block, tables, tiny_study

pytest.importorskip("torch", reason="training needs torch: pip install 'isogloss[train]'")

# Ray starts its processes by a fork, which JAX remarks on where another test has loaded it.
# Processes that are begun and killed take minutes.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")]

HAS_RAY = find_spec("ray") is not None
WITHOUT_RAY = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed: pip install 'isogloss[cluster]'")
RAY = pytest.param("ray", marks=WITHOUT_RAY)

SEEDS = [block(seeds=[0, 1])]
LONGER = [block(seeds=[0, 1], tokens=[20 * BATCH, 32 * BATCH])]
# Long enough that a worker is caught in the middle of it.
LONG = [block(tokens=[150 * BATCH])]
OFTEN = {"machine__checkpoint_seconds": 0.02}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for all tests of this file: it takes seconds to start."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def started(request) -> None:
    if "ray" in request.node.name and HAS_RAY:
        request.getfixturevalue("ray_here")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[[Sequence[dict]], Path]:
    """The folder of a study of these runs, trained at once and in this process."""
    made: dict[str, Path] = {}

    def of(runs: Sequence[dict]) -> Path:
        if str(runs) not in made:
            folder = tiny_study(tmp_path_factory.mktemp("undisturbed"), runs=runs)
            run(prepare(folder), executor="inline")
            made[str(runs)] = folder
        return made[str(runs)]

    return of


def times(folder: Path) -> dict[str, int]:
    """When each file of the runs was written."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.glob("runs/**/*") if p.is_file()}


def assert_kept(before: dict[str, int], after: dict[str, int]) -> None:
    assert {k: v for k, v in after.items() if k in before} == before


def prepared_again(folder: Path, **changes: Any) -> Prepared:
    return prepare(tiny_study(folder, **changes))


# --- one contract -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["inline", "local", RAY])
def test_every_executor_keeps_the_contract(tmp_path, executor, undisturbed):
    prepared = prepared_again(tmp_path, runs=[block()])
    bad = run_folder(tmp_path, prepared.jobs[1].run_id)
    (bad / "trunk-00000003").mkdir(parents=True)
    (bad / "trunk-00000003" / "state.json").write_text("{")

    # A run that fails does not stop the others.
    assert run(prepared, executor=executor)["runs"] == {"finished": 2, "failed": 1}
    (failed,) = [r for r in survey(tmp_path, prepared.jobs).runs if r.state == "failed"]
    assert failed.run_id == prepared.jobs[1].run_id
    assert "damaged checkpoint" in (failed.error or "")

    # It is tried again, as are new seeds, and nothing else is.
    before = {path: written for path, written in times(tmp_path).items() if failed.run_id not in path}
    shutil.rmtree(bad / "trunk-00000003")
    assert run(prepared_again(tmp_path, runs=SEEDS), executor=executor, workers=1)["runs"] == {"finished": 6}
    assert_kept(before, times(tmp_path))
    assert_same_tables(tmp_path, undisturbed(SEEDS))

    # What is done is done.
    before = times(tmp_path)
    run(prepared_again(tmp_path, runs=SEEDS), executor=executor)
    assert times(tmp_path) == before

    # A longer budget leaves the models of the shorter as they are.
    before = {k: v for k, v in times(tmp_path).items() if "/ends/" in k}
    run(prepared_again(tmp_path, runs=LONGER), executor=executor, workers=1)
    assert_kept(before, times(tmp_path))
    assert_same_tables(tmp_path, undisturbed(LONGER))


def test_a_longer_budget_goes_on_from_a_kept_trunk(tmp_path, undisturbed, monkeypatch):
    short, long = [block()], [block(tokens=[20 * BATCH, 32 * BATCH])]
    run(prepared_again(tmp_path, runs=short, machine__keep_trunk=True), executor="inline")
    first: list[int] = []
    monkeypatch.setattr(Workbench, "train", _noting(Workbench.train, first))
    run(prepared_again(tmp_path, runs=long, machine__keep_trunk=True), executor="inline")
    assert first == [16, 16, 16]
    assert_same_tables(tmp_path, undisturbed(long))


def _noting(train: Callable, first: list[int]) -> Callable:
    from isogloss.training.loop import position

    def noted(self, jobs, claims):
        first.extend(position(run_folder(self.folder, job.run_id), job.end_steps).trunk for job in jobs)
        train(self, jobs, claims)

    return noted


# --- workers that die -------------------------------------------------------------------------------------

# Runs the worker, and kills it with its tenth checkpoint: before, in the middle of, or after writing it. Three die.
_DYING = """
import os, signal, sys
from pathlib import Path
from isogloss.sweeps.worker import main
from isogloss.training import checkpoint, loop

folder = Path(sys.argv[1])
save_next, save_file = loop.save_next, checkpoint.save_file
saves, fate = 0, None

def draw_fate():
    for kind in ("before", "middle", "after"):
        try:
            (folder / "deaths" / kind).mkdir()
        except FileExistsError:
            continue
        return kind

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying_save_next(*arguments):
    global saves, fate
    saves += 1
    fate = draw_fate() if saves == 10 else None
    if fate == "before":
        die()
    save_next(*arguments)
    if fate == "after":
        die()

def dying_save_file(tensors, path):
    save_file(tensors, path)
    if fate == "middle":
        os.truncate(path, 100)
        die()

loop.save_next, checkpoint.save_file = dying_save_next, dying_save_file
sys.exit(main(sys.argv[1:]))
"""


def stand_in(folder: Path, command: str) -> str:
    """An interpreter that is run as `python -P -m isogloss.sweeps.worker ...` and does something else."""
    path = folder / "stand-in"
    path.write_text(f'#!/bin/sh\nshift 3\n{command} "$@"\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_workers_killed_around_their_checkpoints_change_nothing(tmp_path, undisturbed, monkeypatch):
    study = tmp_path / "study"
    prepared = prepared_again(study, runs=[block()], machine__checkpoint_seconds=1e-6)
    (study / "deaths").mkdir()
    script = tmp_path / "dying.py"
    script.write_text(_DYING, encoding="utf-8")
    monkeypatch.setattr(local_module.sys, "executable", stand_in(tmp_path, f"exec {sys.executable} {script}"))
    run(prepared, executor="local", workers=2)
    assert {path.name for path in (study / "deaths").iterdir()} == {"before", "middle", "after"}
    assert not list(study.glob("runs/*/.*"))
    assert_same_tables(study, undisturbed([block()]))


class Killer(threading.Thread):
    """Kills holders of claims that have a checkpoint, so many times."""

    def __init__(self, folder: Path, times: int):
        super().__init__(daemon=True)
        self.folder, self.times, self.killed = folder, times, []

    def run(self) -> None:
        end = time.monotonic() + 60
        while len(self.killed) < self.times and time.monotonic() < end:
            for path in self.folder.glob("runs/*/trunk-*"):
                pid = (holder(path.parent) or {}).get("pid")
                if pid is not None and pid not in self.killed:
                    os.kill(pid, signal.SIGKILL)
                    self.killed.append(pid)
                    break
            time.sleep(0.01)


@WITHOUT_RAY
def test_workers_killed_on_ray_change_nothing(tmp_path, undisturbed):
    prepared = prepared_again(tmp_path, runs=LONG, **OFTEN)
    killer = Killer(tmp_path, times=2)
    killer.start()
    assert run(prepared, executor="ray", workers=2)["runs"] == {"finished": 3}
    killer.join()
    assert len(killer.killed) == 2
    assert_same_tables(tmp_path, undisturbed(LONG))


def test_a_run_in_dead_hands_elsewhere_is_waited_for_and_taken_over(tmp_path, undisturbed, monkeypatch):
    prepared = prepared_again(tmp_path, runs=[block()])
    write_jobs(tmp_path, prepared.jobs, prepared.study)
    held = run_folder(tmp_path, prepared.jobs[0].run_id)
    held.mkdir(parents=True)
    (held / "claim-00000").write_text('{"name": "far", "machine": "another one", "pid": 1}')
    monkeypatch.setattr(worker, "_POLL_SECONDS", 0.05)
    claims = Claims(timeout=1.0)
    assert worker.work(tmp_path, claims=claims) == 0
    claims.close()
    run(prepared, executor="inline")
    assert_same_tables(tmp_path, undisturbed([block()]))


def test_a_worker_that_slept_while_its_run_was_taken_writes_nothing(tmp_path, monkeypatch):
    prepared = prepared_again(tmp_path, runs=[block(languages=["ekk"])])
    write_jobs(tmp_path, prepared.jobs, prepared.study)
    folder = run_folder(tmp_path, prepared.jobs[0].run_id)
    measured: list[bytes] = []
    evaluate = Workbench.evaluator

    def slow(self, job, claims):
        real = evaluate(self, job, claims)

        def measure(model):
            if measured or not (folder / "rows.json").exists():
                return real(model)
            # Another worker takes the run while this one sleeps in the middle of a measurement.
            (folder / "claim-00001").write_text('{"name": "far", "machine": "another one", "pid": 1}')
            measured.append((folder / "rows.json").read_bytes())
            return real(model)

        return measure

    monkeypatch.setattr(Workbench, "evaluator", slow)
    monkeypatch.setattr(worker, "_more_may_come", lambda *_: False)
    claims = Claims()
    assert worker.work(tmp_path, claims=claims) == 0
    claims.close()
    assert measured == [(folder / "rows.json").read_bytes()]
    assert (holder(folder) or {})["name"] == "far"


# --- when nothing can go on -------------------------------------------------------------------------------


def test_workers_that_break_stop_the_study_with_what_they_said(tmp_path, monkeypatch):
    study = tmp_path / "study"
    prepared = prepared_again(study)
    monkeypatch.setattr(local_module.sys, "executable", stand_in(tmp_path, "echo no such library >&2; exit 1 #"))
    with pytest.raises(InputError, match="workers end before they begin:\nno such library"):
        run(prepared, executor="local", workers=1)
    assert tables(study)


def test_what_an_earlier_worker_said_is_not_told_again(tmp_path, monkeypatch):
    study = tmp_path / "study"
    prepared = prepared_again(study)
    for said in ("the first", "the second"):
        monkeypatch.setattr(local_module.sys, "executable", stand_in(tmp_path, f"echo {said}; exit 2 #"))
        with pytest.raises(InputError) as caught:
            run(prepared, executor="local", workers=1)
        assert str(caught.value) == said


@WITHOUT_RAY
def test_tasks_that_break_stop_the_study_on_ray(tmp_path):
    import ray

    from isogloss.sweeps.executors.ray import RayCrew

    def broken(folder: str, name: str, peers: int) -> tuple[int, str]:
        raise ImportError(f"no such library for {name}, one of {peers}, in {folder}")

    prepared = prepared_again(tmp_path)
    write_jobs(tmp_path, prepared.jobs, prepared.study)
    crew = RayCrew(tmp_path, 1)
    crew._task = ray.remote(max_retries=0)(broken)
    with pytest.raises(InputError, match="no such library"):
        supervise(crew, lambda: None)


@WITHOUT_RAY
def test_a_folder_that_the_cluster_does_not_see_is_said_on_ray(tmp_path):
    from isogloss.sweeps.executors.ray import RayCrew

    with pytest.raises(InputError, match="where every machine of the cluster sees it"):
        supervise(RayCrew(tmp_path / "nowhere", 1), lambda: None)


@pytest.mark.parametrize("place", ["checkpoint", "rows"])
def test_a_full_disk_stops_the_worker_and_frees_its_run(tmp_path, monkeypatch, place):
    from isogloss.training import checkpoint, rows

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    prepared = prepared_again(tmp_path)
    write_jobs(tmp_path, prepared.jobs, prepared.study)
    monkeypatch.setattr(*{"checkpoint": (checkpoint, "save_file"), "rows": (rows, "write_text")}[place], full)
    code, said = worker.run_worker(tmp_path)
    assert code == worker.CANNOT_GO_ON
    assert "the disk is full" in said
    assert not any(holder(run_folder(tmp_path, job.run_id)) for job in prepared.jobs)
    assert not list(tmp_path.glob("runs/*/failed.json"))


def test_a_disk_too_full_for_the_table_still_says_why_the_study_stopped(tmp_path, monkeypatch):
    from isogloss.sweeps import run as module
    from isogloss.training import rows

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    prepared = prepared_again(tmp_path)
    monkeypatch.setattr(rows, "write_text", full)
    monkeypatch.setattr(module, "collect", full)
    with pytest.raises(InputError, match="the disk is full"):
        run(prepared, executor="inline")


def test_a_run_that_kills_its_workers_is_marked_failed_and_others_go_on(tmp_path, monkeypatch):
    study = tmp_path / "study"
    prepared = prepared_again(study, runs=[block(languages=["ekk", "fin"])])
    write_jobs(study, prepared.jobs, prepared.study)
    bad = prepared.jobs[0].run_id
    script = tmp_path / "dying.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\nfrom isogloss.sweeps.claims import Claims\n"
        f"folder = Path(sys.argv[1]) / 'runs' / '{bad}'\n"
        "if (folder / 'failed.json').exists():\n    sys.exit(0)\n"
        "Claims(sys.argv[3]).take(folder)\nos.kill(os.getpid(), 9)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(local_module.sys, "executable", stand_in(tmp_path, f"exec {sys.executable} {script}"))
    monkeypatch.setattr(crew_module, "_POLL_SECONDS", 0.02)
    supervise(LocalCrew(study, 1), lambda: None)
    (failed,) = [r for r in survey(study, prepared.jobs).runs if r.state == "failed"]
    assert failed.run_id == bad
    assert "its workers died 10 times" in (failed.error or "")


# --- the one who looks after them -------------------------------------------------------------------------


def start_study(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", "from isogloss.cli import main; main()", "study", "run", str(folder)]
    command += ["--workers", "1"]
    # A group of its own, as a terminal gives it: Ctrl-C goes to all in it.
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def workers_at_work(folder: Path) -> set[int]:
    """The process ids of those whose run has a checkpoint."""
    owners = [holder(path.parent) for path in folder.glob("runs/*/trunk-*")]
    return {owner["pid"] for owner in owners if owner}


def until(condition: Callable[[], Any], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    try:
        # A process whose end nobody has asked after is still listed.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_study_is_killed_and_interrupted_and_goes_on(tmp_path, undisturbed):
    prepare(tiny_study(tmp_path, runs=LONG, **OFTEN))
    study = start_study(tmp_path)
    assert until(lambda: workers_at_work(tmp_path))
    pids = workers_at_work(tmp_path)
    study.kill()
    study.communicate()
    assert until(lambda: not any(is_running(pid) for pid in pids), 20)
    assert until(lambda: not any(holder(p) for p in tmp_path.glob("runs/*")), 1)

    study = start_study(tmp_path)
    assert until(lambda: workers_at_work(tmp_path))
    os.killpg(study.pid, signal.SIGINT)
    _, said = study.communicate(timeout=30)
    assert study.returncode == 130
    assert b"Traceback" not in said
    assert not any(holder(p) for p in tmp_path.glob("runs/*"))
    assert set(tables(tmp_path)["runs.parquet"]["status"]) <= {"finished", "killed", "planned"}

    run(prepared_again(tmp_path, runs=LONG), executor="inline")
    assert_same_tables(tmp_path, undisturbed(LONG))
