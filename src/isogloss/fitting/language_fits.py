"""LanguageFits: the frozen answer of `fit_languages`, one Fit for each language and what they have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.display import Shown
from isogloss.errors import InputError, unknown_name
from isogloss.files import finite, new_folder
from isogloss.fitting.result import Fit
from isogloss.fitting.store import load_fit, save_fit
from isogloss.runs import LeftOut, RunTable
from isogloss.runs.names import canonical_name
from isogloss.stores import local, mirrored

SCHEMA = 1
MARKER = "fit.json"
TYPICAL = "typical"


@dataclass(frozen=True)
class LanguageFits(Shown):
    fits: Mapping[str, Fit]
    across: str
    """"pooled", "separate" or "tied"."""
    tied: tuple[str, ...]
    """Coefficients that are one for all languages."""
    typical: Fit | None
    """The law of a language that is not among these, where languages were pooled."""
    own: Mapping[str, Mapping[str, float]]
    """How much of each coefficient comes from the language's own rows: 1 is all, 0 none. Of tied ones, 1."""
    spread: Mapping[str, float]
    """How far languages differ in each pooled coefficient: a standard deviation, of logarithms of positive ones,
    and of the terms at the runs' typical N and D instead of A and B."""
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.fits)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __getitem__(self, language: str) -> Fit:
        """The fit of a language, under any spelling of it."""
        name = language if language in self.fits else canonical_name(language)
        if name not in self.fits:
            raise unknown_name("language of these fits", language, self.fits)
        return self.fits[name]

    def __repr__(self) -> str:
        any_fit = next(iter(self.fits.values()))
        return f"<LanguageFits {any_fit.law.name} to {any_fit.source}: {len(self)} languages, {self.across}>"

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.fits)

    def summary(self) -> pl.DataFrame:
        """One row per language and coefficient: value, interval, and how much of it is the language's own."""
        rows = [
            {
                "language": language,
                "rows": fit.rows.height,
                **{k: v for k, v in asdict(e).items() if k != "meaning"},
                "own": self._own(language, e.name, i),
            }
            for language, fit in self.fits.items()
            for i, e in enumerate(fit.coefficients)
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def predict_runs(self, runs: RunTable | Any, *, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
        """As `Fit.predict_runs`, each row by the fit of its target; targets without a fit have no row."""
        from isogloss.fitting.predicting import predict_languages

        return predict_languages(self.fits, runs, columns)

    def _own(self, language: str, name: str, index: int) -> float | None:
        """Sources are numbered among what is pooled, and named in a language's fit."""
        own = self.own.get(language, {})
        if name in own or "[" not in name:
            return own.get(name)
        fit = self.fits[language]
        before = [e.name for e in fit.coefficients[: index + 1] if e.name.split("[")[0] == name.split("[")[0]]
        return own.get(f"{name.split('[')[0]}[{len(before)}]")

    def folder(self, language: str) -> str:
        """The name of a language's folder in what `save` writes."""
        return folder_of(language)

    def to_dict(self) -> dict[str, Any]:
        """The whole answer but draws and rows, with the keys that `isogloss fit --json` documents."""
        return {
            "schema": SCHEMA,
            "across": self.across,
            "tied": list(self.tied),
            "spread": dict(self.spread),
            "own": {language: dict(own) for language, own in self.own.items()},
            "languages": {language: fit.to_dict() for language, fit in self.fits.items()},
            "typical": self.typical.to_dict() if self.typical else None,
            "rows_left_out": [asdict(r) for r in self.left_out],
            "warnings": list(self.warnings),
        }

    def save(self, folder: str | Path, *, pages: Mapping[str, str] | None = None) -> Path:
        """Write fit.json, and a folder of `Fit.save` for each language, whole or not at all."""
        path = mirrored(folder)
        everything = self.to_dict()
        kept = {k: v for k, v in everything.items() if k not in ("languages", "typical")}
        kept["languages"] = list(self.fits)
        kept["typical"] = self.typical is not None
        with new_folder(path, marker=MARKER) as temporary:
            (temporary / MARKER).write_text(json.dumps(finite(kept), indent=1), encoding="utf-8")
            for language, fit in self.fits.items():
                save_fit(fit, temporary / folder_of(language))
            if self.typical is not None:
                save_fit(self.typical, temporary / TYPICAL)
            for name, text in (pages or {}).items():
                (temporary / name).write_text(text, encoding="utf-8")
        return path


def load_languages(folder: str | Path) -> LanguageFits:
    """Read what `LanguageFits.save` wrote. Raises InputError if it is not whole, damaged, or of another schema."""
    path = Path(local(folder))
    try:
        saved = json.loads((path / MARKER).read_text(encoding="utf-8"))
        if saved["schema"] != SCHEMA:
            raise InputError(f"schema {saved['schema']} of these fits is not {SCHEMA}", where=str(path))
        return LanguageFits(
            fits={language: load_fit(path / folder_of(language)) for language in saved["languages"]},
            across=saved["across"],
            tied=tuple(saved["tied"]),
            typical=load_fit(path / TYPICAL) if saved["typical"] else None,
            own=saved["own"],
            spread=saved["spread"],
            left_out=tuple(LeftOut(**r) for r in saved["rows_left_out"]),
            warnings=tuple(saved["warnings"]),
        )
    except OSError:
        raise InputError(f"no fits in {path}: {MARKER} is not there", hint="Fit again.") from None
    except (ValueError, KeyError, TypeError) as broken:
        raise InputError(f"the fits are damaged: {broken!r}", where=str(path), hint="Fit again.") from None


def folder_of(language: str) -> str:
    """A target may be any text; a folder's name may not."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in language) or "_"
