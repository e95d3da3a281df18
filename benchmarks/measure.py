"""What the benchmarks share: medians over repeats, cold processes, and where results are written."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
# Running processes when the benchmark began, and how many disturb it.
BUSY = 0.7
LOAD_BEFORE = round(os.getloadavg()[0], 2)


@dataclass
class Row:
    """One measurement. `seconds` is the median over repeats; `notes` says what the time holds."""

    what: str
    seconds: float | None
    fastest: float | None = None
    slowest: float | None = None
    repeats: int = 0
    objective: float | None = None
    notes: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def timed(what: str, work: Callable[[], Any], *, repeats: int, notes: str = "") -> tuple[Row, Any]:
    """The median wall-clock time of `work`, and its last result."""
    times, result = [], None
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begin)
    return Row(what, statistics.median(times), min(times), max(times), repeats, notes=notes), result


def cold(arguments: Sequence[str | Path], *, cache: Path, folder: Path) -> str:
    """Standard output of `isogloss` in a process of its own, with `cache` as its cache folder."""
    environment = {k: v for k, v in os.environ.items() if k not in ("JAX_COMPILATION_CACHE_DIR", "ISOGLOSS_CACHE_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", "from isogloss.cli import main; main()", *map(str, arguments)],
        env={**environment, "ISOGLOSS_CACHE_DIR": str(cache)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"isogloss {' '.join(map(str, arguments))} failed:\n{done.stderr}")
    return done.stdout


def setting() -> dict[str, Any]:
    """What the numbers depend on, and nothing that names a machine."""
    packages = {name: version(name) for name in ("isogloss", "jax", "numpy", "scipy")}
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_before": LOAD_BEFORE,
        "python": platform.python_version(),
        **packages,
    }


def show(title: str, rows: Sequence[Row]) -> None:
    print(f"\n{title}")
    if LOAD_BEFORE > BUSY:
        print(f"The machine was busy before this began (load {LOAD_BEFORE}): repeat it when it is idle.")
    width = max(len(row.what) for row in rows)
    print(f"{'':{width}}  {'median s':>10}  {'fastest':>9}  {'slowest':>9}  {'n':>2}  {'objective':>14}  notes")
    for row in rows:
        times = [_seconds(t) for t in (row.seconds, row.fastest, row.slowest)]
        objective = "" if row.objective is None else f"{row.objective:.8g}"
        print(
            f"{row.what:{width}}  {times[0]:>10}  {times[1]:>9}  {times[2]:>9}  {row.repeats or '':>2}"
            f"  {objective:>14}  {row.notes}"
        )


def write(name: str, rows: Sequence[Row]) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    answer = {"setting": setting(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    print(f"\nWrote benchmarks/results/{path.name}")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value < 1 else f"{value:.2f}"
