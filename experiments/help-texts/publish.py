"""Put the run tables of the studies in this folder into the package, as far as they are trained.

python experiments/help-texts/publish.py
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
from train import HERE, STUDIES

TARGET = HERE.parent.parent / "src" / "isogloss" / "datasets" / "help-texts"
TABLES = ("runs.parquet", "exposure.parquet", "evals.parquet")


def main() -> None:
    for study in STUDIES:
        folder = HERE / study
        if not (folder / "jobs.json").exists():
            continue
        subprocess.run([sys.executable, "-m", "isogloss", "study", "collect", str(folder)], check=True)
        publish(folder, TARGET / study.replace("/", "-"))


def publish(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    runs = pl.read_parquet(folder / "runs.parquet").filter(pl.col("status") == "finished")
    known = pl.col("run_id").is_in(runs["run_id"].implode())
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["runs"], manifest["others"] = {"finished": runs.height}, []
    for name in TABLES:
        # Of bytes, nats per token are bits per byte times ln 2.
        frame = pl.read_parquet(folder / name).filter(known)
        if name == "evals.parquet":
            frame = frame.filter(pl.col("unit") != "nats/token")
            manifest["evals"] = frame.height
        frame.write_parquet(target / name, compression="zstd", compression_level=19)
        manifest["sha256"][name] = hashlib.sha256((target / name).read_bytes()).hexdigest()
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(folder / "study.toml", target / "study.toml")
    size = sum(f.stat().st_size for f in target.iterdir())
    print(f"{target.name}: {runs.height} runs, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
