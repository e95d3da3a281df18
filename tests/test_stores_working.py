"""Studies and imports in a store: worked on here, sent there while they go on, and taken up again elsewhere."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from isogloss import read_runs, stores
from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.runs.importing import guess_mapping, import_runs, open_source
from isogloss.stores import looking, working
from isogloss.stores.working import LOCK, STALE_SECONDS, _Lock
from studies import BATCH, LANGUAGES, block, tiny_study

pytest.importorskip("fsspec")

MAPPING = """
[losses]
"eval/{language}/loss" = { unit = "nats/token" }
[tokens]
metric = "tokens"
[run]
params_total = "N"
"""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes this store."""
    made = _Lock.__init__
    monkeypatch.setattr(_Lock, "__init__", lambda self, url: made(self, url, pause=0.0))


def log(steps: int, start: float = 4.0) -> bytes:
    rows = [{"N": 1e6, "tokens": 1000.0 * i, "eval/ekk_Latn/loss": start - 0.1 * i} for i in range(1, steps + 1)]
    return "\n".join(map(json.dumps, rows)).encode()


# --- a folder that is worked in ---------------------------------------------------------------------------------


def test_what_is_written_is_sent_while_the_work_goes_on_and_what_is_removed_goes(memory: Any) -> None:
    with working("memory://bucket/s", seconds=0.05) as folder:
        folder.mkdir()
        (folder / "study.toml").write_text("a", encoding="utf-8")
        _wait(lambda: memory.exists("/bucket/s/study.toml"))
        (folder / "study.toml").write_text("ab", encoding="utf-8")
        (folder / ".half").write_text("x", encoding="utf-8")
        (folder / "runs").mkdir()
        (folder / "runs" / "claim-00001").write_text("x", encoding="utf-8")
        (folder / "runs" / "a.json").write_text("x", encoding="utf-8")
        _wait(lambda: memory.cat_file("/bucket/s/study.toml") == b"ab" and memory.exists("/bucket/s/runs/a.json"))
        (folder / "runs" / "a.json").unlink()
        _wait(lambda: not memory.exists("/bucket/s/runs/a.json"))
        assert memory.exists(f"/bucket/s/{LOCK}")
    assert memory.find("/bucket/s") == ["/bucket/s/study.toml"]


@pytest.mark.usefixtures("memory")
def test_an_error_loses_nothing_and_the_next_begins_there() -> None:
    with pytest.raises(ZeroDivisionError), working("memory://bucket/s") as folder:  # noqa: PT012
        folder.mkdir()
        (folder / "study.toml").write_text("a", encoding="utf-8")
        raise ZeroDivisionError
    with working("memory://bucket/s") as folder:
        assert (folder / "study.toml").read_text(encoding="utf-8") == "a"


def test_two_at_once_are_refused_and_a_dead_lock_is_taken_over(memory: Any) -> None:
    memory.pipe_file("/bucket/s/study.toml", b"a")
    there = {"machine": "node7", "pid": 12, "key": "k"}
    memory.pipe_file(f"/bucket/s/{LOCK}", json.dumps({**there, "renewed": time.time() - 5}).encode())
    with pytest.raises(InputError, match=r"memory://bucket/s: is worked in by node7 \(process 12, 5 s ago\)"):
        working("memory://bucket/s").__enter__()
    with looking("memory://bucket/s") as folder:
        assert (folder / "study.toml").exists()
    memory.pipe_file(f"/bucket/s/{LOCK}", json.dumps({**there, "renewed": time.time() - STALE_SECONDS - 1}).encode())
    with working("memory://bucket/s"):
        assert json.loads(memory.cat_file(f"/bucket/s/{LOCK}"))["pid"] == os.getpid()
    assert not memory.exists(f"/bucket/s/{LOCK}")


def test_who_was_thought_dead_sends_nothing_more_and_keeps_its_copy(memory: Any) -> None:
    lost = pytest.raises(InputError, match="not everything was sent: node8 has taken the folder over")
    with lost as told, working("memory://bucket/s") as folder:
        folder.mkdir()
        (folder / "study.toml").write_text("mine", encoding="utf-8")
        memory.pipe_file(f"/bucket/s/{LOCK}", json.dumps({"machine": "node8", "key": "other"}).encode())
    assert not memory.exists("/bucket/s/study.toml")
    kept = Path(str(told.value.hint).split("kept in ")[1].split(":")[0])
    assert (kept / "study.toml").read_text(encoding="utf-8") == "mine"


def test_a_store_that_fails_is_tried_again(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put, failures = type(memory).put_file, iter([True, True])

    def shaky(self: Any, *args: Any, **kwargs: Any) -> None:
        if next(failures, False):
            raise ConnectionError("reset")
        put(self, *args, **kwargs)

    monkeypatch.setattr(type(memory), "put_file", shaky)
    with working("memory://bucket/s", seconds=0.05) as folder:
        folder.mkdir()
        (folder / "study.toml").write_text("a", encoding="utf-8")
        _wait(lambda: memory.exists("/bucket/s/study.toml"))
    said = capsys.readouterr().err
    assert said.count("does not answer: reset") == 1
    assert "tried again" in said


def test_a_folder_of_others_is_refused_before_it_is_fetched(memory: Any) -> None:
    memory.pipe_file("/bucket/theirs/thesis.tex", b"x")
    with pytest.raises(InputError, match="holds other objects"):
        working("memory://bucket/theirs").__enter__()


def test_a_local_folder_is_itself(tmp_path: Path) -> None:
    with working(tmp_path) as folder, looking(tmp_path) as same:
        assert folder == same == tmp_path


# --- studies ------------------------------------------------------------------------------------------------


def test_a_study_in_a_store_is_trained_looked_at_and_gone_on_with(
    memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    texts = {code: {"text": f"../texts/{code}.t?t"} for code in LANGUAGES[:2]}
    tiny_study(tmp_path / "s", languages=texts)
    memory.put(str(tmp_path / "s" / "texts"), "/bucket/texts", recursive=True)
    memory.put_file(str(tmp_path / "s" / "study.toml"), "/bucket/s/study.toml")
    train = ["study", "run", "memory://bucket/s", "--executor", "inline", "--json"]
    assert run(train) == 0, capsys.readouterr().err
    assert len(read_runs("memory://bucket/s")) > 0
    assert memory.glob("/bucket/s/runs/*/ends/*/model.safetensors")
    assert not memory.glob("/bucket/s/runs/*/claim-*")
    first = {name: memory.info(name)["created"] for name in memory.glob("/bucket/s/runs/*/ends/*/model.safetensors")}
    # Another seed, from a process that knows nothing of the first: what is finished there is not trained again.
    runs = [block(tokens=[20 * BATCH]), block(seeds=[1])]
    tiny_study(tmp_path / "s", languages=texts, runs=runs)
    memory.put_file(str(tmp_path / "s" / "study.toml"), "/bucket/s/study.toml")
    capsys.readouterr()
    assert run(train) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["runs"]["finished"] == 4
    assert {name: memory.info(name)["created"] for name in first} == first
    assert run(["study", "status", "memory://bucket/s"]) == 0
    assert "4 finished" in capsys.readouterr().out
    assert str(stores.mirrored("memory://bucket/s")) not in _all_text(memory)


def test_many_processes_need_one_folder(memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_study(tmp_path / "s")
    memory.put_file(str(tmp_path / "s" / "study.toml"), "/bucket/s/study.toml")
    assert run(["study", "run", "memory://bucket/s", "--executor", "ray"]) == 2
    assert "memory://bucket/s: is remote, and the processes of ray need one folder" in capsys.readouterr().err


def test_a_new_study_in_a_store_names_texts_of_a_store(memory: Any, capsys: pytest.CaptureFixture[str]) -> None:
    memory.pipe_file("/bucket/texts/et.txt", b"tere")
    words = ["study", "new", "memory://bucket/s", "--languages", "et,fi", "--text", "memory://bucket/texts"]
    assert run(words) == 0, capsys.readouterr().err
    assert 'text = "memory://bucket/texts/et.txt"' in memory.cat_file("/bucket/s/study.toml").decode()
    assert "isogloss study dry-run memory://bucket/s" in capsys.readouterr().out
    assert run(words) == 2
    assert "there is a study here already" in capsys.readouterr().err


@pytest.mark.usefixtures("memory")
def test_no_text_at_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    tiny_study(tmp_path / "s", languages={"ekk": {"text": "memory://bucket/none-*.txt"}})
    assert run(["study", "dry-run", str(tmp_path / "s")]) == 2
    assert "memory://bucket/none-*.txt: no such file" in capsys.readouterr().err


# --- imports ------------------------------------------------------------------------------------------------


def test_logs_of_a_store_into_a_store_and_later_only_what_is_new(memory: Any) -> None:
    for name in ("a", "b"):
        memory.pipe_file(f"/bucket/logs/{name}.jsonl", log(20))
    memory.pipe_file("/bucket/map.toml", MAPPING.encode())

    def again() -> Any:
        return import_runs("memory://bucket/logs", "memory://bucket/s", "memory://bucket/map.toml")

    first = again()
    assert (first.new, first.kept) == (2, 80)
    same = again()
    assert (same.new, same.changed, same.known) == (0, 0, 2)
    memory.pipe_file("/bucket/logs/a.jsonl", log(30))
    memory.pipe_file("/bucket/logs/c.jsonl", log(20))
    later = again()
    assert (later.new, later.changed, later.known) == (1, 1, 1)
    assert len(read_runs("memory://bucket/s")) == 3
    assert str(stores.mirrored("memory://bucket/logs")) not in _all_text(memory)
    sources = pl.read_parquet(memory.cat_file("/bucket/s/runs.parquet"))["source"].unique().to_list()
    assert sources == ["logs: memory://bucket/logs"]


def test_a_kind_before_an_address_and_a_guess(memory: Any, capsys: pytest.CaptureFixture[str]) -> None:
    memory.pipe_file("/bucket/logs/a.jsonl", log(20))
    assert open_source("logs:memory://bucket/logs").said.startswith("logs: ")
    assert "memory://bucket/logs" in guess_mapping(open_source("memory://bucket/logs")).toml
    assert run(["runs", "import", "--guess", "logs:memory://bucket/logs"]) == 0
    assert "memory://bucket/logs" in capsys.readouterr().out


def test_a_log_of_a_web_server(site: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    folder, address, _ = site
    (folder / "a.jsonl").write_bytes(log(20))
    (tmp_path / "map.toml").write_text(MAPPING, encoding="utf-8")
    for source in (f"{address}/a.jsonl", f"logs:{address}/a.jsonl"):
        again = import_runs(source, tmp_path / "s", tmp_path / "map.toml")
        assert len(again.runs) == 1
    with pytest.raises(InputError, match="an address of no known kind"):
        open_source(f"{address}/project")
    with pytest.raises(InputError, match="can be read, not written"):
        import_runs(folder / "a.jsonl", f"{address}/s", tmp_path / "map.toml")


def test_a_failed_import_leaves_nothing_in_the_store(memory: Any) -> None:
    memory.pipe_file("/bucket/logs/a.jsonl", b"{}\n")
    with pytest.raises(InputError):
        import_runs("memory://bucket/logs", "memory://bucket/s")
    assert memory.find("/bucket") == ["/bucket/logs/a.jsonl"]


def _wait(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end, "not sent"
        time.sleep(0.01)


def _all_text(memory: Any) -> str:
    texts = (".json", ".toml", ".jsonl", ".csv", ".html")
    return "".join(memory.cat_file(f).decode() for f in memory.find("/bucket") if f.endswith(texts))
