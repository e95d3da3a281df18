"""Studies, run by the lab or imported: runs without evaluations, what they saw, and their points."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.runs import read_runs
from isogloss.runs.lint import Finding, fixed, lint_runs, write_fixed
from isogloss.runs.study_table import EVALS, EXPOSURE, MANIFEST, RUNS, SCHEMA_VERSION

SIZES = (1e6, 2e6, 4e6, 8e6)
POINTS = (1e8, 2e8, 4e8, 8e8)


def study(folder: Path, **status: str) -> Path:
    """Four runs of Estonian and Finnish, four points on the trunk and a finished model each."""
    folder.mkdir(exist_ok=True)
    runs, exposure, evals = [], [], []
    for i, N in enumerate(SIZES):
        name = f"run{i}"
        runs.append({"run_id": name, "params_total": int(N), "status": status.get(name, "finished")})
        for code, share in (("ekk_Latn", 0.25), ("fin_Latn", 0.75)):
            seen = share * POINTS[-1]
            row = {"run_id": name, "language": code, "share": share, "realised_share": share + 0.001, "tokens": seen}
            exposure.append({**row, "unique_tokens": 1e8, "epochs": seen / 1e8})
            for D, phase in (*((D, "stable") for D in POINTS), (POINTS[-1], "final")):
                loss = 1 + 30 / N**0.3 + 800 / (D * share) ** 0.5 - 0.1 * (phase == "final")
                row = {"run_id": name, "tokens": int(D), "lr_phase": phase, "language": code, "documents": 100}
                evals += [{**row, "loss": loss, "unit": "bits/byte"}, {**row, "loss": 3 * loss, "unit": "nats/token"}]
    write(folder, runs=pl.DataFrame(runs), exposure=pl.DataFrame(exposure), evals=pl.DataFrame(evals))
    (folder / MANIFEST).write_text(json.dumps({"schema_version": SCHEMA_VERSION, "others": []}), encoding="utf-8")
    return folder


def write(folder: Path, **tables: pl.DataFrame) -> None:
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")


def found(folder: Path) -> dict[str, Finding]:
    return {f.code: f for f in lint_runs(folder).findings}


def test_a_good_study(tmp_path):
    folder = study(tmp_path / "s")
    assert found(folder).keys() == {"one-D"}
    report = lint_runs(folder)
    assert (report.unit, report.rows) == ("bits/byte", 40)
    assert lint_runs(folder, unit="nats/token").unit == "nats/token"


def test_runs_that_have_no_evaluation(tmp_path):
    folder = study(tmp_path / "s", run1="planned", run2="diverged")
    evals = pl.read_parquet(folder / EVALS).filter(~pl.col("run_id").is_in(["run0", "run1", "run2"]))
    write(folder, evals=evals)
    findings = found(folder)
    assert (findings["ghost"].runs, findings["ghost"].rows, findings["ghost"].severity) == (("run0",), (), "error")
    assert findings["unfinished"].runs == ("run1",)
    assert "1 planned" in findings["unfinished"].message
    assert findings["diverged"].runs == ("run2",)


def test_runs_whose_points_are_not_read(tmp_path):
    findings = found(study(tmp_path / "s", run1="killed", run3="diverged"))
    assert findings["unfinished"].runs == ("run1",)
    assert findings["diverged"].runs == ("run3",)


def test_rows_are_those_of_evals(tmp_path):
    folder = study(tmp_path / "s")
    evals = pl.read_parquet(folder / EVALS).with_row_index("row", offset=1)
    chosen = evals.filter(pl.col("run_id") == "run2", pl.col("unit") == "bits/byte", pl.col("lr_phase") == "final")
    rows = chosen["row"].to_list()
    broken = evals.with_columns(loss=pl.when(pl.col("row").is_in(rows)).then(float("nan")).otherwise(pl.col("loss")))
    write(folder, evals=broken.drop("row"))
    assert found(folder)["nan-loss"].rows == tuple(rows)


def test_what_the_runs_saw(tmp_path):
    folder = study(tmp_path / "s")
    exposure = pl.read_parquet(folder / EXPOSURE)
    first = pl.col("run_id") == "run0"
    off = pl.when(first).then(pl.lit(0.5)).otherwise(pl.col("realised_share"))
    write(folder, exposure=exposure.with_columns(off.alias("realised_share")))
    assert found(folder)["shares-realised"].runs == ("run0",)
    write(folder, exposure=exposure.with_columns(epochs=pl.when(first).then(1.0).otherwise(pl.col("epochs"))))
    assert found(folder)["epochs-mismatch"].runs == ("run0",)
    write(folder, exposure=exposure.with_columns(share=pl.when(first).then(0.85).otherwise(pl.col("share"))))
    assert found(folder)["shares-sum"].runs == ("run0",)


def test_texts_that_differ(tmp_path):
    folder = study(tmp_path / "s")
    evals = pl.read_parquet(folder / EVALS)
    documents = pl.when(pl.col("run_id") == "run3").then(50).otherwise(pl.col("documents"))
    write(folder, evals=evals.with_columns(documents.alias("documents")))
    assert found(folder)["mixed-eval-set"].runs == ("run3",)


def test_an_imported_study_without_phases(tmp_path):
    folder = study(tmp_path / "s")
    evals = pl.read_parquet(folder / EVALS).filter(pl.col("lr_phase") == "stable", pl.col("unit") == "nats/token")
    write(folder, evals=evals.with_columns(lr_phase=pl.lit(None, pl.String)))
    report = lint_runs(folder)
    assert report.unit == "nats/token"
    codes = {f.code: f for f in report.findings}
    assert codes["lr-phase-unknown"].runs == ("run0", "run1", "run2", "run3")
    assert report.ok


def test_a_fixed_study_is_a_study(tmp_path, capsys):
    folder = study(tmp_path / "s", run3="diverged")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    evals = pl.read_parquet(folder / EVALS)
    percent = pl.read_parquet(folder / EXPOSURE).with_columns(share=100 * pl.col("share"))
    write(folder, evals=pl.concat([evals, evals.head(1)]), exposure=percent)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert run(["runs", "lint", str(folder), "--fix", "-o", str(tmp_path / "clean")]) == 0, capsys.readouterr().err
    clean = tmp_path / "clean"
    assert {p.name for p in clean.iterdir()} == {RUNS, EXPOSURE, EVALS, MANIFEST, "fixes.csv", "fixes.json"}
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    table = read_runs(clean)
    assert set(table.frame["run_id"]) == {"run0", "run1", "run2"}
    assert table.shares()[1][0].tolist() == [0.25, 0.75]
    manifest = json.loads((clean / MANIFEST).read_text())
    assert manifest["runs"] == {"finished": 3}
    assert manifest["sha256"][EVALS] == hashlib.sha256((clean / EVALS).read_bytes()).hexdigest()
    changes = pl.read_csv(clean / "fixes.csv")
    counts = {row[:2]: row[2] for row in changes.group_by("table", "code").len().iter_rows()}
    # One run, its two languages and its twenty points; six shares of the runs that stay; one copied point.
    assert counts == {
        **{(RUNS, "diverged"): 1, (EXPOSURE, "diverged"): 2, (EVALS, "diverged"): 20},
        **{(EXPOSURE, "shares-percent"): 6, (EVALS, "duplicate"): 1},
    }


def test_a_study_is_never_fixed_in_place(tmp_path):
    folder = study(tmp_path / "s")
    for out in (folder, tmp_path):
        with pytest.raises(InputError, match="holds the table"):
            write_fixed(fixed(lint_runs(folder)), folder, out)


def test_wrong_input(tmp_path):
    folder = study(tmp_path / "s")
    with pytest.raises(InputError, match="own names"):
        lint_runs(folder, columns={"N": "params_total"})
    with pytest.raises(InputError, match="no losses in bits/token"):
        lint_runs(folder, unit="bits/token")
    (folder / EXPOSURE).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        lint_runs(folder)
    (folder / EXPOSURE).unlink()
    with pytest.raises(InputError, match=f"no {EXPOSURE}"):
        lint_runs(folder)
