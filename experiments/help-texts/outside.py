"""Measure models of main/ on text of other kinds: prose, and the Universal Declaration of Human Rights.

python experiments/help-texts/outside.py     needs models that were trained here (train.py), and texts/ of prepare.py

Writes prose.parquet and declaration.parquet into the package, beside the run tables.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from train import HERE, TABLES

from isogloss.languages import resolve
from isogloss.sweeps.layout import end_folder, read_jobs
from isogloss.sweeps.measure import measure
from isogloss.training.job import Job

STUDY = HERE / "main"
# Models of one language, and of all; of these the largest is also read in all languages of the declaration.
SMALLEST, ALL = 300_000, 14
BYTES = 24_000


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    here = [job for job in read_jobs(STUDY) if end_folder(STUDY, job.run_id, job.ends[-1]).is_dir()]
    plenty = [job for job in here if min((job.spec.unique_tokens or {"": 1e9}).values()) > 500_000]
    chosen = [j for j in plenty if len(j.spec.shares) in (1, ALL) and j.spec.params_non_embedding > SMALLEST]
    if not any(len(job.spec.shares) == ALL for job in chosen):
        raise SystemExit("no model of all languages was trained here: python experiments/help-texts/train.py main")
    names = {name for job in chosen for name in job.spec.shares}
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((HERE / "texts" / "prose").iterdir()):
            if resolve(path.name.partition(".")[0]) in names:
                (Path(folder) / path.name).symlink_to(path)
        _measure("prose", Path(folder), chosen)
    last = max((j for j in chosen if len(j.spec.shares) == ALL), key=lambda j: (j.spec.params_total, j.ends[-1]))
    _measure("declaration", HERE / "texts" / "declaration", [last])


def _measure(name: str, texts: Path, jobs: list[Job]) -> None:
    def progress(done: int, of: int) -> None:
        print(f"\r{name}: {done} of {of} models", end="", flush=True)

    ids = [job.run_id for job in jobs]
    made = measure(STUDY, texts, name=name, bytes=BYTES, runs=ids, longest=name == "declaration", progress=progress)
    print(f", {len(made.languages)} languages")
    TABLES.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made.table, TABLES / f"{name}.parquet")


if __name__ == "__main__":
    main()
