"""Studies of many rows are linted some runs at a time: what is found must not depend on how many."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.runs.lint import Finding, fixed, lint_runs, write_fixed
from isogloss.runs.lint.study_checks import MOST_ROWS, StudyLint, lint_study
from isogloss.runs.study_table import EVALS, MANIFEST, SCHEMA_VERSION

# isogloss.runs.lint is a function, too, under which the package's modules cannot be named.
study_checks = sys.modules["isogloss.runs.lint.study_checks"]

STATUSES = ("finished", "finished", "finished", "killed", "diverged", "runing", "Failed", None)
PHASES = {"none": (None,), "some": ("stable", None), "final": ("stable", "stable", "final")}


def faulty(folder: Path, seed: int, phases: str, *, interleaved: bool = False) -> Path:
    """Nine runs of three languages with a fault of nearly every kind that curves and runs can have."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    runs, exposure, evals = [], [], []
    for i in range(9):
        name = f"run{i}"
        N = float(rng.choice([1e6, 2e6, 4e6]))
        size = {"params_total": N, "params_non_embedding": N * rng.choice([0.9, 1.1]), "vocab_size": 50}
        text = {"tokenizer": str(rng.choice(["a", "b"])), "status": STATUSES[int(rng.integers(len(STATUSES)))]}
        more = {"max_steps": int(rng.choice([8, 40])), "batch_tokens": 1e7, "init": (None, "old")[int(rng.integers(2))]}
        runs.append({"run_id": name, **size, **text, **more, "use": int(rng.integers(2))})
        total = float(rng.choice([1.0, 1.005, 1.2, 100.0]))
        for code, share in (("ekk_Latn", 0.25), ("fin_Latn", 0.75)):
            asked = {"share": None if i == 7 else share * total, "realised_share": share + rng.choice([0, 0.2])}
            exposure.append({"run_id": name, "language": code, **asked, "unique_tokens": 1e7})
        for code in ("ekk_Latn", "fin_Latn", "swh_Latin"):
            for step in range(1, 13):
                loss = 2 + 30 / step**0.5 * rng.choice([1, 1, 1, 1.5]) + rng.normal(0, 0.01)
                point = {"loss": float(rng.choice([loss, loss, loss, loss, np.nan])), "step": step}
                tokens = {"tokens": int(step * 1e7 * (0.1 if i == 2 and step > 6 else 1)), "unit": "nats/token"}
                phase = PHASES[phases][step % len(PHASES[phases])]
                evals.append({"run_id": name, **tokens, "lr_phase": phase, "language": code, **point})
        evals += [{**evals[-1], "loss": 3.25}] * int(rng.integers(3))
    # The last run is the first under another name.
    runs.append({**runs[0], "run_id": "copy"})
    exposure += [{**row, "run_id": "copy"} for row in exposure[:2]]
    evals += [{**row, "run_id": "copy"} for row in evals if row["run_id"] == "run0"]
    evals += [{**evals[0], "run_id": None}, {**evals[0], "unit": "bits/byte"}]
    runs.append({**runs[1], "run_id": "silent", "status": "finished"})
    table = pl.DataFrame(evals, infer_schema_length=None)
    if interleaved:
        table = table.sample(fraction=1, shuffle=True, seed=seed)
    pl.DataFrame(runs, infer_schema_length=None).write_parquet(folder / "runs.parquet")
    pl.DataFrame(exposure, infer_schema_length=None).write_parquet(folder / "exposure.parquet")
    table.write_parquet(folder / "evals.parquet")
    (folder / MANIFEST).write_text(json.dumps({"schema_version": SCHEMA_VERSION}), encoding="utf-8")
    return folder


def said(found: StudyLint) -> set[tuple]:
    # Names in messages and runs stand in the order in which they are met.
    def words(message: str) -> frozenset[str]:
        return frozenset(re.split(r"[.,:] ?", message))

    return {(f.code, f.severity, f.rows, f.count, frozenset(f.runs), f.cure, words(f.message)) for f in found.findings}


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("where", [(), ("steps>3",), ("lr_phase!=final", "target=fin")])
def test_what_is_found_does_not_depend_on_how_many_runs_are_held(tmp_path, phases, where):
    kinds: set[str] = set()
    for seed, batch_rows in ((0, 100), (1, 1)):
        folder = faulty(tmp_path / str(seed), seed, phases, interleaved=batch_rows == 100)
        try:
            whole = lint_study(folder, where, {}, None, batch_rows=10**9)
        except InputError:
            assert phases == "none"
            assert where[0].startswith("lr_phase")
            return
        parts = lint_study(folder, where, {}, None, batch_rows=batch_rows)
        assert said(parts) == said(whole)
        assert (parts.rows, parts.dropped, parts.notes) == (whole.rows, whole.dropped, whole.notes)
        assert {*parts.left_out} == {*whole.left_out}
        kinds |= {finding.code for finding in whole.findings}
    assert {"ghost", "diverged", "shares-sum", "nan-loss"} <= kinds
    if not where:
        wanted = {"copied-run", "duplicate", "conflicting-duplicate", "shares-realised", "counter-restart"}
        assert wanted | {"mixture-missing", "language-unknown", "no-run-id", "unknown-status"} <= kinds


def noisy(folder: Path, points: int = 600) -> Path:
    """Three runs of one language whose loss jumps at every second point, and one that does not."""
    folder.mkdir()
    steps = np.arange(1, points + 1)
    frames = []
    for i in range(4):
        loss = 3 + 1 / steps + 1.5 * (steps % 2 == 0) * (i < 3)
        columns = {"run_id": [f"run{i}"] * points, "tokens": steps * 1000, "language": ["fin_Latn"] * points}
        frames.append(pl.DataFrame({**columns, "loss": loss, "unit": ["nats/token"] * points}))
    pl.concat(frames).write_parquet(folder / "evals.parquet")
    ids = [f"run{i}" for i in range(4)]
    runs = {"run_id": ids, "params_total": [1e6, 2e6, 4e6, 8e6], "status": ["finished"] * 4}
    pl.DataFrame(runs).write_parquet(folder / "runs.parquet")
    pl.DataFrame({"run_id": ids, "language": ["fin_Latn"] * 4, "share": [1.0] * 4}).write_parquet(
        folder / "exposure.parquet"
    )
    (folder / MANIFEST).write_text(json.dumps({"schema_version": SCHEMA_VERSION}), encoding="utf-8")
    return folder


def spikes(folder: Path, points: int) -> Finding:
    return next(f for f in lint_runs(noisy(folder, points)).findings if f.code == "loss-spike")


def test_of_many_rows_the_first_are_named_and_all_are_counted(tmp_path, capsys):
    few, many = spikes(tmp_path / "few", 100), spikes(tmp_path / "many", 900)
    # The last point of each curve is a jump from which it does not come back.
    assert (len(few.rows), few.count) == (3 * 49, 3 * 49)
    assert (len(many.rows), many.count) == (MOST_ROWS, 3 * 449)
    assert many.rows == tuple(sorted(many.rows))
    assert many.runs == ("run0", "run1", "run2")
    assert "1347 rows" in many.message
    run(["runs", "lint", str(tmp_path / "many")])
    assert "loss-spike: 1347 rows of runs run0, run1, run2\n" in capsys.readouterr().out
    run(["runs", "lint", str(tmp_path / "many"), "--json"])
    found = json.loads(capsys.readouterr().out)["findings"]
    assert next(f["count"] for f in found if f["code"] == "loss-spike") == 1347


def test_rows_left_out_are_listed_up_to_a_number(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study_checks, "MOST_LEFT_OUT", 10)
    folder = noisy(tmp_path / "s", 100)
    report = lint_runs(folder, where="tokens>50000")
    assert (report.rows, report.dropped, len(report.left_out)) == (200, 200, 10)
    assert "conditions leave 200 rows out; the first 10 are listed." in report.notes
    run(["runs", "lint", str(folder), "--where", "tokens>50000"])
    assert "200 rows to fit, 200 left out" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fixed_study_has_the_rows_that_are_right(tmp_path, seed):
    folder = faulty(tmp_path / "s", seed, "none")
    evals = pl.read_parquet(folder / EVALS)
    evals = evals.with_columns(language=pl.col("language").replace({"fin_Latn": "fi"}))
    evals = pl.concat([evals, evals.sample(20, seed=seed)])
    evals.write_parquet(folder / EVALS)
    report = lint_runs(folder)
    changed = fixed(report)
    written = pl.read_parquet(write_fixed(changed, folder, tmp_path / "out") / EVALS)
    gone = {run for f in report.findings if f.code in ("ghost", "diverged") for run in f.runs}
    kept = evals.filter(~pl.col("run_id").is_in(gone).fill_null(False), pl.col("loss").is_finite().fill_null(False))
    kept = kept.unique(keep="first", maintain_order=True)
    assert written.equals(kept.with_columns(language=pl.col("language").replace({"fi": "fin_Latn"})))
    assert changed.rows[EVALS] == written.height
    changes = changed.changes.filter(pl.col("table") == EVALS)
    assert changes.filter(pl.col("now") == "row dropped").height == evals.height - kept.height
    assert set(changes["code"]) >= {"nan-loss", "duplicate", "language-names", "diverged"}


def test_a_study_without_any_evaluation(tmp_path):
    folder = noisy(tmp_path / "s")
    pl.read_parquet(folder / "evals.parquet").head(0).write_parquet(folder / "evals.parquet")
    report = lint_runs(folder)
    assert report.rows == 0
    assert {"ghost", "few-rows"} <= {f.code for f in report.findings}


def test_evals_that_are_damaged_behind_their_head(tmp_path):
    folder = noisy(tmp_path / "s")
    path = folder / "evals.parquet"
    raw = bytearray(path.read_bytes())
    raw[4:2000] = bytes(1996)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="cannot be read"):
        lint_runs(folder)
