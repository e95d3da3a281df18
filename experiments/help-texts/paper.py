"""Everything in docs/first-study.md from the run tables: numbers, figures and text.

python experiments/help-texts/paper.py [question ...] [--studies]

    --studies   read the folders in which the runs are trained, and not the tables of the package

Numbers go to results/, one JSON file a question; figures to docs/images/first-study; the text is filled from
first-study.md.j2, once all questions have been answered.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import tempfile
import time
from pathlib import Path

from page import page
from questions.tables import Tables, published
from train import HERE

from isogloss.errors import InputError
from isogloss.files import finite, write_text
from isogloss.report import gather, save

QUESTIONS = (
    "texts",
    "cost",
    "noise",
    "table1",
    "transfer",
    "disjoint",
    "outside",
    "capacity",
    "repetition",
    "crossing",
    "ladder",
    "vocabulary",
    "confirmed",
    "planned",
    "cut",
)
RESULTS = HERE / "results"
DOCS = HERE.parent.parent / "docs"
FIGURES = DOCS / "images" / "first-study"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", default=QUESTIONS, help=", ".join(QUESTIONS))
    parser.add_argument("--studies", action="store_true")
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    place = (lambda part: HERE / part.replace("vocab-", "vocab/")) if asked.studies else published
    for question in asked.questions:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            answer = importlib.import_module(f"questions.{question}").answer(Tables(place, Path(folder)))
            _draw(question, sorted(Path(folder).glob("*.html")))
        write_text(RESULTS / f"{question}.json", json.dumps(finite(answer), indent=1, default=str) + "\n")
        print(f"{question}: {time.monotonic() - began:.0f} s", flush=True)
    missing = [question for question in QUESTIONS if not (RESULTS / f"{question}.json").exists()]
    if missing:
        print(f"docs/first-study.md is not written: not yet answered are {', '.join(missing)}")
        return
    answers = {question: json.loads((RESULTS / f"{question}.json").read_text("utf-8")) for question in QUESTIONS}
    write_text(DOCS / "first-study.md", page(HERE / "first-study.md.j2", answers, FIGURES))


def _draw(question: str, pages: list[Path]) -> None:
    """The figures of the saved pages, as `isogloss report --format svg` writes them."""
    target = FIGURES / question
    shutil.rmtree(target, ignore_errors=True)
    if pages:
        target.parent.mkdir(parents=True, exist_ok=True)
        save(gather(pages), target, format="svg")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"{error}") from None
