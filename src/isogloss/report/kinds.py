"""What kinds of answers isogloss writes, and how a folder or file is known to hold one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    name: str
    marker: str
    """The file that says what a folder holds."""
    page: str
    """The page beside it, which holds the cards."""
    verb: str
    """What writes both."""


KINDS = (
    Kind("plan", "plan.json", "plan.html", "isogloss plan QUESTION -o FOLDER"),
    Kind("own plan", "given.json", "given.html", "isogloss plan QUESTION --given MIXTURE -o FOLDER"),
    Kind("two plans", "plans.json", "plans.html", "isogloss plan QUESTION OTHER -o FOLDER"),
    Kind("fit", "fit.json", "fit.html", "isogloss fit RUNS --law LAW -o FOLDER"),
    Kind("comparison", "compare.json", "compare.html", "isogloss compare RUNS -o FOLDER"),
    Kind("transfer", "transfer.json", "transfer.html", "isogloss transfer measure RUNS -o FOLDER"),
    Kind("transfer matrix", "evidence.csv", "transfer.html", "isogloss transfer predict (or fit) -o FOLDER"),
    Kind(
        "expansion",
        "expand.json",
        "expand.html",
        "isogloss expand (--languages 2x, or QUESTION --add LANGUAGE) -o FOLDER",
    ),
    Kind("crossover", "crossover.json", "crossover.html", "isogloss crossover LANGUAGE -o FOLDER"),
    Kind("design", "design.json", "design.html", "isogloss design QUESTION -o FOLDER"),
    Kind("runs", "runs.json", "runs.html", "isogloss runs show RUNS -o FOLDER"),
)
TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
REPORTABLE = (
    "isogloss reports folders of plan, fit, compare, transfer, expand, crossover, design and runs show; folders of "
    "studies and of imported runs; tables of runs or of transfer scores (.csv, .tsv, .parquet, .jsonl); and the pages "
    "(.html) and reports (.json) that it wrote."
)


def kinds_in(folder: Path) -> list[Kind]:
    """What a folder holds, several where a study has been designed and trained."""
    found = [kind for kind in KINDS if (folder / kind.marker).is_file()]
    # Beside measured curves, the scores are no answer of their own.
    measured = any(kind.name == "transfer" for kind in found)
    return [kind for kind in found if not (measured and kind.marker == "evidence.csv")]
