"""Train what is not trained yet of every study in this folder, one after the other. It may be interrupted at any time.

python experiments/help-texts/train.py [--workers 2] [--published] [study ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from restore import restore

HERE = Path(__file__).parent
VOCABULARIES = ("multilingual", "eng_Latn", "por_Latn", "ekk_Latn", "cmn_Hani")
# `confirm` and `planned` come last: predict.py and plan_mixtures.py need the runs of main.
STUDIES = ("main", "disjoint", *(f"vocab/{name}" for name in VOCABULARIES), "confirm", "planned")
TABLES = HERE.parent.parent / "src" / "isogloss" / "datasets" / "help-texts"


def table_of(study: str) -> Path:
    """The study's run table in the package."""
    return TABLES / study.replace("/", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=STUDIES, help=f"some of {', '.join(STUDIES)}")
    parser.add_argument("--workers", help="processes; one a core unless said")
    taken = "count the runs of the published tables as trained, and train the others"
    parser.add_argument("--published", action="store_true", help=taken)
    asked = parser.parse_args()
    if not (HERE / "texts" / "help").is_dir():
        parser.error(f"there is no text: python {HERE / 'prepare.py'} {HERE / 'texts'}")
    more = ["--workers", asked.workers] if asked.workers else []
    for study in asked.studies:
        print(f"--- {study}", flush=True)
        if not (HERE / study / "study.toml").exists():
            print("is not planned yet: python experiments/help-texts/plan_mixtures.py", flush=True)
            continue
        if asked.published and table_of(study).is_dir():
            print(f"{restore(HERE / study, table_of(study))} runs are taken from {table_of(study)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "isogloss", "study", "run", str(HERE / study), *more])
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
