"""How long linting, fixing and showing runs takes, with how much memory, against merely reading the same file.

    python benchmarks/lint_speed.py [--quick]

* A table of 1,000,000 rows, curves of 333 runs in three languages, as Parquet and as CSV.
* A study of 11 million evaluations: 200 runs x 5,000 points x 11 languages. Linted, and fixed into a new folder.
* A study of 300 runs x 5,000 points of one language: the page of `isogloss runs show`.

Each is done REPEATS times, each time in a process of its own: medians of the time after imports, and the highest peak
memory, imports counted. "polars reads it" is read_csv or read_parquet of the table or of the study's evaluations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from import_speed import PEAK, python
from measure import Row, show, write

REPEATS = 3
LANGUAGES = ("deu", "fra", "swh", "fin", "ekk", "lav", "ita", "spa", "por", "pol", "ces")
CODES = [f"{name}_Latn" for name in LANGUAGES]
BATCH = 524_288

TIMED = (
    PEAK
    + """
{imports}
place, out = sys.argv[1:3]
begin, cpu = time.perf_counter(), time.process_time()
{work}
seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
print(json.dumps({{"answer": answer, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak() / 1e6}}))
"""
)
LINT = "from isogloss.runs.lint import fixed, lint_runs, write_fixed"
SHOW = "from isogloss.report.runs_page import runs_page\nfrom isogloss.runs.overview import overview"
WORK = {
    "read .csv": ("import polars as pl", "answer = pl.read_csv(place).height"),
    "read .parquet": ("import polars as pl", "answer = pl.read_parquet(place, glob=False).height"),
    "lint": (LINT, "report = lint_runs(place); answer = {f.code: f.count for f in report.findings}"),
    "fix": (LINT, "report = lint_runs(place); answer = write_fixed(fixed(report), Path(place), Path(out)).name"),
    "show": (SHOW, "answer = len(runs_page(overview(place), 'Runs'))"),
}


def curves(run: int, N: float, points: int, codes: list[str]) -> pl.DataFrame:
    """A run's losses at evenly spaced points, language by language, all of them falling."""
    rng = np.random.default_rng(run)
    tokens = np.repeat(np.arange(1, points + 1) * 50 * BATCH, len(codes))
    loss = (2 + 400 / N**0.34 + 900 / (tokens / len(codes)) ** 0.3) * np.exp(rng.normal(0, 0.002, len(tokens)))
    columns = {"run_id": pl.lit(f"run-{run:04d}"), "unit": pl.lit("nats/token"), "lr_phase": pl.lit("stable")}
    frame = pl.DataFrame({"tokens": tokens, "language": codes * points, "loss": loss})
    return frame.with_columns(**columns)


def make_table(folder: Path, rows: int) -> dict[str, Path]:
    codes, points = CODES[:3], 1000
    runs = max(rows // (len(codes) * points), 1)
    frames = []
    for run, N in enumerate(np.geomspace(5e7, 2e9, runs).round()):
        shares = {f"share:{code}": pl.lit(1 / len(codes)) for code in codes}
        size = {"params_total": pl.lit(N), "batch_tokens": pl.lit(BATCH), "status": pl.lit("finished")}
        own = {"steps": pl.col("tokens") // BATCH, "flops": 6 * N * pl.col("tokens")}
        frames.append(curves(run, N, points, codes).with_columns(**size, **own, **shares))
    table = pl.concat(frames).rename({"language": "target"})
    paths = {suffix: folder / f"table{suffix}" for suffix in (".parquet", ".csv")}
    table.write_parquet(paths[".parquet"])
    table.write_csv(paths[".csv"])
    return paths


def make_study(folder: Path, runs: int, points: int, codes: list[str]) -> Path:
    folder.mkdir()
    sizes = np.geomspace(5e7, 2e9, runs).round()
    ids = [f"run-{run:04d}" for run in range(runs)]
    pl.concat([curves(run, N, points, codes) for run, N in enumerate(sizes)]).write_parquet(folder / "evals.parquet")
    pl.DataFrame({"run_id": ids, "params_total": sizes, "status": "finished"}).write_parquet(folder / "runs.parquet")
    exposure = [{"run_id": i, "language": code, "share": 1 / len(codes)} for i in ids for code in codes]
    pl.DataFrame(exposure).write_parquet(folder / "exposure.parquet")
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "parts": []}), encoding="utf-8")
    return folder


def measured(what: str, work: str, place: Path, repeats: int) -> Row:
    imports, statement = WORK[work]
    answers = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as out:
            code = TIMED.format(imports=imports, work=statement)
            answers.append(json.loads(python(code, place, Path(out) / "out").splitlines()[-1]))
    times = [answer["seconds"] for answer in answers]
    peak = max(answer["peak_mb"] for answer in answers)
    cpu = statistics.median(answer["cpu_seconds"] for answer in answers)
    notes = f"peak {peak:.0f} MB, {cpu:.2f} s of CPU"
    details = {"peak_mb": peak, "cpu_seconds": cpu, "answer": answers[0]["answer"]}
    print(f"{what}: {statistics.median(times):.2f} s, {notes}", flush=True)
    return Row(what, statistics.median(times), min(times), max(times), repeats, notes=notes, details=details)


def against_reading(what: str, verbs: list[str], place: Path, repeats: int) -> list[Row]:
    """Reading the file, and each verb on it with how many times longer it takes."""
    file = place / "evals.parquet" if place.is_dir() else place
    read = measured(f"{what}: polars reads it", f"read {file.suffix}", file, repeats)
    rows = [read]
    for verb in verbs:
        row = measured(f"{what}: {verb}", verb, place, repeats)
        assert row.seconds
        assert read.seconds
        row.details["times_reading"] = row.seconds / read.seconds
        row.notes += f"; {row.seconds / read.seconds:.1f} times reading"
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the size, once, and nothing is written")
    asked = parser.parse_args()
    by, repeats = (50, 1) if asked.quick else (1, REPEATS)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for suffix, path in make_table(folder, 1_000_000 // by).items():
            found += against_reading(f"{suffix[1:]} table", ["lint"], path, repeats)
        study = make_study(folder / "study", 200, 5000 // by, CODES)
        found += against_reading(f"study of {200 * 5000 // by * len(CODES):,}", ["lint", "fix"], study, repeats)
        runs = make_study(folder / "runs", 300, 5000 // by, CODES[:1])
        found += against_reading("300 runs", ["show"], runs, repeats)
    show("Linting, fixing and showing runs", found)
    if not asked.quick:
        write("lint_speed", found)


if __name__ == "__main__":
    main()
