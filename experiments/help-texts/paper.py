"""Everything in docs/first-study.md from the run tables: numbers, figures and text.

python experiments/help-texts/paper.py [question ...] [--studies]

    --studies   read the folders in which the runs are trained, and not the tables of the package

Numbers go to results/, one JSON file a question, and the figures that the text shows to docs/images/first-study. The
text is filled from first-study.md.j2, without the sections of questions that are not yet answered.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

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
    answers = {question: _answered(question) for question in QUESTIONS}
    if missing := [question for question, answer in answers.items() if not answer]:
        print(f"not yet answered, and not in docs/first-study.md: {', '.join(missing)}")
    text = page(HERE / "first-study.md.j2", answers, FIGURES)
    write_text(DOCS / "first-study.md", text)
    for path in (*FIGURES.rglob("*.svg"), *FIGURES.rglob("figures.json")):
        if path.relative_to(DOCS).as_posix() not in text:
            path.unlink()


def _answered(question: str) -> Any:
    path = RESULTS / f"{question}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


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
