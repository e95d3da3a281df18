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
from train import HERE, STUDIES, table_of

TABLES = ("runs.parquet", "exposure.parquet", "evals.parquet")


def main() -> None:
    for study in STUDIES:
        folder = HERE / study
        if not (folder / "jobs.json").exists():
            continue
        subprocess.run([sys.executable, "-m", "isogloss", "study", "collect", str(folder)], check=True)
        publish(folder, table_of(study))


def publish(folder: Path, target: Path) -> None:
    """Finished runs of this folder, and those published before that this folder has not trained."""
    target.mkdir(parents=True, exist_ok=True)
    asked = pl.read_parquet(folder / "runs.parquet")
    runs = asked.filter(pl.col("status") == "finished")
    ours = pl.col("run_id").is_in(runs["run_id"].implode())
    theirs = pl.col("run_id").is_in(asked["run_id"].implode()) & ~ours
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in TABLES:
        frame = pl.read_parquet(folder / name).filter(ours)
        if name == "evals.parquet" and folder.parent.name != "vocab":
            # Of bytes, nats per token are bits per byte times ln 2.
            frame = frame.filter(pl.col("unit") != "nats/token")
        if (target / name).exists():
            frame = pl.concat([pl.read_parquet(target / name).filter(theirs), frame], how="vertical_relaxed")
        frame.write_parquet(target / name, compression="zstd", compression_level=19)
        if name == "runs.parquet":
            manifest["runs"], manifest["others"] = {"finished": frame.height}, []
        if name == "evals.parquet":
            manifest["evals"] = frame.height
        manifest["sha256"][name] = hashlib.sha256((target / name).read_bytes()).hexdigest()
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(folder / "study.toml", target / "study.toml")
    size = sum(f.stat().st_size for f in target.iterdir())
    print(f"{target.name}: {manifest['runs']['finished']} runs, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
