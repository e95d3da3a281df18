"""TensorBoard as a source: event files that torch wrote, whole, cut short, damaged and restarted."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.runs.importing import import_runs
from isogloss.runs.importing.event_file import masked_crc32c, read_events
from isogloss.runs.importing.logged import LoggedRun, Trouble
from isogloss.runs.importing.source_tensorboard import TensorBoard, holds

WRITE = """
import json, sys
import numpy as np
from torch.utils.tensorboard import SummaryWriter
root = sys.argv[1]
w = SummaryWriter(f"{root}/whole")
for s in range(400):
    w.add_scalar("train/loss", 3 / (s + 1), s)
    w.add_scalar("eval/sw/loss", 2.0 + s, s * 1000)
    w.add_scalar("eval/de/loss", 1.0 + s, s * 1000)
    w.add_scalar("tensor", s, s, new_style=True)
for s in range(20):
    w.add_scalar("big", s, 10**7 * s)
for s, v in ((5, float("nan")), (3, float("inf")), (4, float("-inf")), (-2, 1.0)):
    w.add_scalar("odd", v, s)
w.add_histogram("weights", np.arange(10.0), 1)
w.add_histogram("weights", np.arange(10.0), 2)
w.add_text("args", json.dumps({"learning_rate": 0.1, "model": {"n": 5}}))
w.add_text("note", "hello")
w.add_hparams({"batch": 4, "name": "x"}, {"best": 1.5}, run_name="settings")
w.close()
w = SummaryWriter(f"{root}/restarted")
for s in range(10):
    w.add_scalar("loss", 10.0 + s, s)
    w.add_scalar("other", 1.0, s)
w.close()
w = SummaryWriter(f"{root}/restarted", purge_step=6, filename_suffix=".2")
for s in range(6, 12):
    w.add_scalar("loss", 20.0 + s, s)
w.close()
SummaryWriter(f"{root}/ghost").close()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("events")
    done = subprocess.run([sys.executable, "-c", WRITE, str(path)], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return path


@pytest.fixture(scope="module")
def runs(folder) -> dict[str, LoggedRun]:
    return {entry.key: entry.read() for entry in TensorBoard(folder).entries()}


def test_every_point_of_every_kind(runs):
    assert list(runs) == ["ghost", "restarted", "whole"]
    metrics = runs["whole"].metrics
    assert metrics["train/loss"].step.tolist() == list(range(400))
    assert metrics["train/loss"].value == pytest.approx(3 / np.arange(1, 401), rel=1e-6)
    for name, first in (("eval/sw/loss", 2.0), ("eval/de/loss", 1.0)):
        assert metrics[name].step.tolist() == [1000 * s for s in range(400)]
        assert metrics[name].value.tolist() == [first + s for s in range(400)]
    assert metrics["tensor"].value.tolist() == list(range(400))
    assert metrics["big"].step.tolist() == [10**7 * s for s in range(20)]
    assert (metrics["big"].time > 1.6e9).all()
    odd = metrics["odd"]
    assert odd.step.tolist() == [5, 3, 4, -2]
    assert math.isnan(odd.value[0])
    assert odd.value[1:].tolist() == [math.inf, -math.inf, 1]
    assert not runs["ghost"].metrics


def test_every_record_is_read_as_the_library_reads_it(folder):
    """TensorBoard's own loader, record by record, against the tables."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    (file,) = (folder / "whole").glob("*tfevents*")
    expected: dict[str, list[tuple[int, float, float]]] = {}
    for event in LegacyEventFileLoader(str(file)).Load():
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                row = (event.step, event.wall_time, value.simple_value)
                expected.setdefault(value.tag, []).append(row)
    run = next(e for e in TensorBoard(file).entries()).read()
    for tag, rows in expected.items():
        series = run.metrics[tag]
        assert series.time is not None
        found = np.stack([series.step, series.time, series.value], axis=1)
        np.testing.assert_array_equal(found, np.asarray(rows, float))
    assert sum(map(len, expected.values())) == 3 * 400 + 20 + 4


def test_settings_and_values_that_are_no_numbers(runs):
    whole = runs["whole"]
    assert whole.config == {"args.learning_rate": 0.1, "args.model.n": 5, "batch": 4.0, "name": "x"}
    assert whole.status == "finished"
    assert whole.metrics["best"].value.tolist() == [1.5]
    (trouble,) = whole.troubles
    assert trouble.lost == 3
    assert "weights (2), note/text_summary (1)" in trouble.what


def test_a_restart_replaces_later_steps(runs):
    run = runs["restarted"]
    assert run.metrics["loss"].step.tolist() == [*range(6), *range(6, 12)]
    assert run.metrics["loss"].value.tolist() == [*range(10, 16), *range(26, 32)]
    assert run.metrics["other"].step.tolist() == list(range(6))
    (trouble,) = run.troubles
    assert trouble.lost == 8
    assert "8 points were logged before a restart" in trouble.what


def counted(file: Path) -> tuple[int, list[Trouble]]:
    troubles: list[Trouble] = []
    events = read_events(file, troubles)
    tables = sum(len(part[0]) for parts in events.scalars.values() for part in parts)
    return tables + len(events.others), troubles


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    (file,) = (folder / "whole").glob("*tfevents*")
    return Path(shutil.copy(file, tmp_path / file.name))


def test_a_file_cut_short_is_read_up_to_the_cut(copied):
    data = copied.read_bytes()
    borders = [0]
    while borders[-1] < len(data):
        borders.append(borders[-1] + 16 + int.from_bytes(data[borders[-1] : borders[-1] + 8], "little"))
    counts = []
    for size in range(0, len(data), len(data) // 60):
        copied.write_bytes(data[:size])
        count, troubles = counted(copied)
        counts.append(count)
        last = max(at for at in borders if at <= size)
        assert count == borders.index(last)
        assert [t.what for t in troubles] == [
            f"ends within a record at byte {last}: everything before it is read" for _ in range(last < size)
        ]
    assert len(set(counts)) > 30
    copied.write_bytes(data[:-1])
    count, troubles = counted(copied)
    assert len(troubles) == 1
    copied.write_bytes(data)
    assert counted(copied) == (count + 1, [])


@pytest.mark.parametrize("at", [0, 9, 13, 5000, -3, -40])
def test_damage_is_found_wherever_it_is(copied, at):
    data = bytearray(copied.read_bytes())
    whole, _ = counted(copied)
    data[at] ^= 0x10
    copied.write_bytes(data)
    count, (trouble,) = counted(copied)
    assert "is damaged at byte" in trouble.what
    told = int(trouble.what.split("byte ")[1].split(":")[0])
    assert told <= at % len(data) < told + 3000
    assert count < whole


def test_checksums_as_the_format_defines_them():
    # RFC 3720, B.4: of 32 bytes of zeros 0x8a9136aa, of 32 bytes of ones 0x62a8ab43; masked as TFRecord does it.
    rows = np.stack([np.zeros(32, np.uint8), np.full(32, 255, np.uint8)])
    expected = [((c >> 15 | c << 17) + 0xA282EAD8) % 2**32 for c in (0x8A9136AA, 0x62A8AB43)]
    assert masked_crc32c(rows).tolist() == expected


def test_versions_change_with_the_files(folder, copied):
    before = [(e.key, e.version) for e in TensorBoard(folder).entries()]
    assert before == [(e.key, e.version) for e in TensorBoard(folder).entries()]
    (entry,) = TensorBoard(copied.parent).entries()
    old = entry.version
    copied.write_bytes(copied.read_bytes()[:-1])
    assert entry.version != old
    (copied.parent / "hparams.yaml").write_text("model:\n  n: 7\n")
    (entry,) = TensorBoard(copied.parent).entries()
    assert entry.read().config["model.n"] == 7
    (copied.parent / "hparams.yaml").write_text("model: [")
    assert any("cannot be read" in t.what for t in entry.read().troubles)


def test_what_holds_runs(folder, tmp_path):
    assert holds(folder)
    assert not holds(tmp_path)
    with pytest.raises(InputError, match="holds no event files"):
        list(TensorBoard(tmp_path).entries())
    (tmp_path / "events.out.tfevents.1.host").touch()
    (entry,) = TensorBoard(tmp_path).entries()
    assert not entry.read().metrics


def test_imported_and_then_more(folder, tmp_path):
    """Through the importer, found by its content: every point is accounted for, and only what is new is read again."""
    logs = Path(shutil.copytree(folder, tmp_path / "logs"))
    mapping = {"losses": {"eval/{language}/loss": "nats/token"}, "tokens": {"per_step": 10}}
    (file,) = (logs / "whole").glob("*tfevents*")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    first = import_runs(logs, tmp_path / "s", mapping)
    assert first.statuses() == {"unknown": 1, "finished": 1, "ghost": 1}
    assert first.lost == 8
    file.write_bytes(data)
    second = import_runs(logs, tmp_path / "s", mapping)
    assert (second.changed, second.known) == (1, 2)
    assert second.read == 4 * 400 + 20 + 4 + 1 + 12 + 6
    assert second.losses > first.losses > 0
    assert second.lost == 8 + 3
    assert import_runs(logs, tmp_path / "s", mapping).known == 3
