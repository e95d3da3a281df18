"""Comparison: the frozen answer of `compare`, with its tables as data frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.display import Shown
from isogloss.files import finite, new_folder
from isogloss.fitting.ranking import Ranked
from isogloss.fitting.splits import NotGiven
from isogloss.stores import mirrored

SCHEMA = 1
MARKER = "compare.json"


@dataclass(frozen=True)
class Compared:
    """One law as it was compared; `coefficients` is how many are fitted per language, the median over languages."""

    name: str
    source: str
    describes: str
    coefficients: float


@dataclass(frozen=True)
class Scored:
    """One split: how many `rows` and `runs` were scored, on which `languages`."""

    name: str
    describes: str
    rows: int
    runs: int
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Comparison(Shown):
    laws: tuple[Compared, ...]
    splits: tuple[Scored, ...]
    scores: pl.DataFrame
    """law, split, r2, r2_low, r2_high, error, error_low, error_high: means over languages; null if not scored."""
    by_language: pl.DataFrame
    """law, split, language, rows, runs, r2, r2_low, r2_high, error."""
    predictions: pl.DataFrame
    """law, split, row (of the file), run_id, target, loss, predicted: all that scores are made of; and low, high of the
    loss that the row may have, null in-sample and of languages fitted together."""
    ranking: tuple[Ranked, ...]
    ranked_on: tuple[str, ...]
    choice: str | None
    """The law to use; none if no law is usable."""
    sentence: str
    laws_left_out: Mapping[str, str]
    not_given: tuple[NotGiven, ...]
    """Splits that the runs cannot give."""
    languages_left_out: tuple[tuple[str, str, str], ...]
    """(split, language, reason)."""
    across: str
    level: float
    draws: int
    seed: int
    unit: str
    source: str
    rows: int
    rows_left_out: Mapping[str, int]
    """By reason."""
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.laws)} laws on {self.source}: {self.choice or 'none is usable'}>"

    def score(self, law: str, split: str) -> dict[str, Any]:
        """One cell of `scores`."""
        return self.scores.row(by_predicate=(pl.col("law") == law) & (pl.col("split") == split), named=True)

    def table(self, what: str = "r2") -> pl.DataFrame:
        """Laws as rows and splits as columns, of "r2" or "error"."""
        names = [s.name for s in self.splits]
        rows = [{"law": law.name} | {s: self.score(law.name, s)[what] for s in names} for law in self.laws]
        return pl.DataFrame(rows, schema={"law": pl.String, **dict.fromkeys(names, pl.Float64)})

    def to_dict(self) -> dict[str, Any]:
        """The whole answer but predictions, with the keys that `isogloss compare --json` documents."""
        return {
            "schema": SCHEMA,
            "choice": self.choice,
            "sentence": self.sentence,
            "laws": [asdict(law) for law in self.laws],
            "splits": [{**asdict(s), "languages": list(s.languages)} for s in self.splits],
            "scores": self.scores.to_dicts(),
            "by_language": self.by_language.to_dicts(),
            "ranking": [{**asdict(r), "told_apart": r.told_apart} for r in self.ranking],
            "ranked_on": list(self.ranked_on),
            "laws_left_out": dict(self.laws_left_out),
            "splits_not_given": {s.name: s.reason for s in self.not_given},
            "languages_left_out": [
                dict(zip(("split", "language", "reason"), item, strict=True)) for item in self.languages_left_out
            ],
            "across": self.across,
            "level": self.level,
            "draws": self.draws,
            "seed": self.seed,
            "unit": self.unit,
            "source": self.source,
            "rows": self.rows,
            "rows_left_out": dict(self.rows_left_out),
            "warnings": list(self.warnings),
        }

    def save(self, folder: str | Path, *, pages: Mapping[str, str] | None = None) -> Path:
        """Write compare.json, predictions.parquet and `pages` (file name to text) into `folder`, whole or not."""
        path = mirrored(folder)
        with new_folder(path, marker=MARKER) as temporary:
            (temporary / MARKER).write_text(json.dumps(finite(self.to_dict()), indent=1), encoding="utf-8")
            self.predictions.write_parquet(temporary / "predictions.parquet")
            for name, text in (pages or {}).items():
                (temporary / name).write_text(text, encoding="utf-8")
        return path
