"""The protocol by which workers share a study: each run has one owner, and a dead owner gives way."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isogloss.sweeps import claims as module
from isogloss.sweeps.claims import Claim, Claims, LostError, free, holder

ELSEWHERE = {"name": "far", "machine": "another one", "pid": 1}
Make = Callable[..., Claims]


@pytest.fixture
def make() -> Iterator[Make]:
    """Workers in this process, each with its own heartbeat, closed at the end."""
    made: list[Claims] = []

    def new(name: str = "", timeout: float = 120.0) -> Claims:
        made.append(Claims(name, timeout=timeout))
        return made[-1]

    yield new
    for claims in made:
        claims.close()


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """What `time.monotonic` of the module says; the heartbeat does not go by it."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def taken(claims: Claims, folder: Path) -> Claim:
    claim = claims.take(folder)
    assert claim is not None
    return claim


def write_claim(folder: Path, generation: int, record: dict | None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"claim-{generation:05d}"
    path.write_text("" if record is None else json.dumps(record), encoding="utf-8")
    return path


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# --- taking and releasing ---------------------------------------------------------------------------------


def test_of_two_workers_one_wins(tmp_path, make):
    first, second = make("first"), make("second")
    taken(first, tmp_path / "run").check()
    assert second.take(tmp_path / "run") is None
    owner = holder(tmp_path / "run")
    assert owner is not None
    assert owner["name"] == "first"


def test_a_worker_does_not_take_what_it_holds_itself(tmp_path, make):
    claims = make()
    taken(claims, tmp_path)
    assert claims.take(tmp_path) is None


def test_a_released_run_is_free_at_once_and_its_generation_goes_up(tmp_path, make):
    first, second = make(), make()
    claim = taken(first, tmp_path)
    first.release(claim)
    assert holder(tmp_path) is None
    assert taken(second, tmp_path).path.name == "claim-00001"
    assert [p.name for p in tmp_path.iterdir()] == ["claim-00001"]


def test_closing_releases_all(tmp_path, make):
    first, second = make(), make()
    for name in "ab":
        taken(first, tmp_path / name)
    first.close()
    assert all(second.take(tmp_path / name) for name in "ab")


def test_a_folder_that_hides_its_claims_while_it_is_listed_is_not_taken_twice(tmp_path, make, monkeypatch):
    first, second = make(), make()
    taken(first, tmp_path).release()
    held = taken(first, tmp_path)
    seen = iter([None])
    monkeypatch.setattr(module, "_latest", lambda _: next(seen, held.path))
    assert second.take(tmp_path) is None
    assert [p.name for p in tmp_path.glob("claim-*")] == [held.path.name]


def _race(folder: Path, runs: int, barrier, results) -> None:
    claims = Claims(str(os.getpid()))
    barrier.wait()
    won = [i for i in range(runs) if claims.take(folder / str(i))]
    results.put(won)
    # Nobody leaves before all have looked: a process that is gone holds nothing.
    barrier.wait()


@pytest.mark.slow
@pytest.mark.parametrize("before", ["nothing", "dead claims"])
def test_of_many_processes_racing_for_many_runs_each_run_goes_to_one(tmp_path, before):
    runs, processes = 200, 6
    if before == "dead claims":
        gone = {"name": "dead", "machine": module.machine(), "pid": dead_pid()}
        for i in range(runs):
            write_claim(tmp_path / str(i), 7, gone)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    started = [context.Process(target=_race, args=(tmp_path, runs, barrier, results)) for _ in range(processes)]
    for process in started:
        process.start()
    won = [results.get(timeout=60) for _ in started]
    for process in started:
        process.join(60)
    assert sorted(run for part in won for run in part) == list(range(runs))
    assert [p.exitcode for p in started] == [0] * processes


# --- death ------------------------------------------------------------------------------------------------


def test_a_dead_process_of_this_machine_gives_way_at_once(tmp_path, make):
    write_claim(tmp_path, 3, {"name": "dead", "machine": module.machine(), "pid": dead_pid()})
    assert holder(tmp_path) is None
    assert taken(make(), tmp_path).path.name == "claim-00004"


def test_the_process_ids_of_another_machine_mean_nothing_here(tmp_path, make):
    write_claim(tmp_path, 0, {**ELSEWHERE, "pid": dead_pid()})
    assert make().take(tmp_path) is None


def test_a_silent_claim_from_elsewhere_gives_way_only_after_the_observers_time(tmp_path, make, clock):
    path = write_claim(tmp_path, 0, ELSEWHERE)
    # A clock far behind ours: only that the file does not change counts.
    os.utime(path, (1, 1))
    claims = make()
    assert claims.take(tmp_path) is None
    clock[0] += 119
    assert claims.take(tmp_path) is None
    clock[0] += 2
    taken(claims, tmp_path)


def test_a_sign_of_life_begins_the_wait_anew(tmp_path, make, clock):
    path = write_claim(tmp_path, 0, ELSEWHERE)
    claims = make()
    assert claims.take(tmp_path) is None
    clock[0] += 100
    os.utime(path, (5, 5))
    assert claims.take(tmp_path) is None
    clock[0] += 100
    assert claims.take(tmp_path) is None
    clock[0] += 21
    taken(claims, tmp_path)


@pytest.mark.parametrize("text", ["", '{"name": "ha', "[]"])
def test_a_half_written_claim_is_respected_and_outwaited(tmp_path, make, clock, text):
    (tmp_path / "claim-00000").write_text(text, encoding="utf-8")
    claims = make()
    assert claims.take(tmp_path) is None
    assert holder(tmp_path) is None
    clock[0] += 121
    taken(claims, tmp_path)


def test_a_sleeper_finds_that_it_lost_the_run_and_leaves_it_alone(tmp_path, make, clock):
    sleeper, observer = make("sleeper"), make("observer")
    claim = taken(sleeper, tmp_path)
    claim.path.write_text(json.dumps(ELSEWHERE), encoding="utf-8")
    assert observer.take(tmp_path) is None
    clock[0] += 121
    later = taken(observer, tmp_path)
    with pytest.raises(LostError):
        claim.check()
    sleeper.release(claim)
    later.check()
    assert [p.name for p in tmp_path.glob("claim-*")] == [later.path.name]


def test_who_knows_that_a_worker_is_dead_frees_its_run_and_no_other(tmp_path, make):
    write_claim(tmp_path, 0, ELSEWHERE)
    assert not free(tmp_path, "near")
    assert free(tmp_path, "far")
    assert not free(tmp_path, "far")
    taken(make(), tmp_path)
    assert not free(tmp_path / "nothing here", "far")


# --- signs of life ----------------------------------------------------------------------------------------


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_held_claim_is_touched_and_a_released_one_is_not(tmp_path, make):
    claims = make(timeout=0.4)
    claim = taken(claims, tmp_path)
    os.utime(claim.path, (1, 1))
    assert until(lambda: claim.path.stat().st_mtime > 1)
    claims.release(claim)
    time.sleep(0.1)
    os.utime(claim.path, (1, 1))
    time.sleep(0.2)
    assert claim.path.stat().st_mtime == 1


def test_a_claim_that_was_taken_away_does_not_stop_the_signs_of_life_of_others(tmp_path, make):
    claims = make(timeout=0.4)
    lost, kept = taken(claims, tmp_path / "a"), taken(claims, tmp_path / "b")
    lost.path.unlink()
    os.utime(kept.path, (1, 1))
    assert until(lambda: kept.path.stat().st_mtime > 1)
