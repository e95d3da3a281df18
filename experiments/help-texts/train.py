"""Train what is not trained yet of every study in this folder, one after the other. It may be interrupted at any time.

python experiments/help-texts/train.py [--workers 2] [study ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
VOCABULARIES = ("multilingual", "eng_Latn", "por_Latn", "ekk_Latn", "cmn_Hani")
STUDIES = ("main", "disjoint", *(f"vocab/{name}" for name in VOCABULARIES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=STUDIES, help=f"some of {', '.join(STUDIES)}")
    parser.add_argument("--workers", help="processes; one a core unless said")
    asked = parser.parse_args()
    if not (HERE / "texts" / "help").is_dir():
        parser.error(f"there is no text: python {HERE / 'prepare.py'} {HERE / 'texts'}")
    more = ["--workers", asked.workers] if asked.workers else []
    for study in asked.studies:
        print(f"--- {study}", flush=True)
        done = subprocess.run([sys.executable, "-m", "isogloss", "study", "run", str(HERE / study), *more])
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
