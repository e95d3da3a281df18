"""The packaged language table: codes, families, text inventory, byte premiums."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isogloss.languages.scripts import SCRIPT_NAMES

SOURCES: dict[str, str] = {
    "words, documents, utf8_bytes": (
        "FineWeb2, fineweb2-language-distribution.csv, kept training text of 1,913 language-script pairs"
        " (Penedo et al. 2025, arXiv:2506.20920); 43 of the pairs are undetermined languages (und_*)"
    ),
    "byte_premium, char_premium, bytes_per_char": (
        "1,155 premiums relative to English (Arnett et al. 2024, arXiv:2403.00686),"
        " byte-premium-tool all_merged_20240223.tsv"
    ),
    "madlad_tokens": "unique tokens in MADLAD-400 as published in ATLAS, arXiv:2510.22037, Table C.1",
    "name, family": (
        "FineWeb2, else the IANA language subtag registry and the byte premium table;"
        " families in FineWeb2's prevailing spelling"
    ),
    "aliases": "IANA language subtag registry and Unicode CLDR, as packaged in langcodes",
}

_PACKAGED = Path(__file__).parent / "data" / "languages.csv"

# What FineWeb2 writes in its family column without claiming that the languages are related.
UNRELATED = {"Language isolate", "Creole", "Pidgin", "Mixed language", "Artificial Language"}


@dataclass(frozen=True)
class Premium:
    """How many bytes (characters) a text takes, relative to its English translation."""

    code: str
    basis: str
    byte_premium: float
    char_premium: float
    bytes_per_char: float


@dataclass(frozen=True)
class Language:
    """One language in one script. None means: not published, never zero."""

    code: str
    name: str
    family: str | None
    script: str
    words: int | None
    documents: int | None
    utf8_bytes: int | None
    byte_premium: float | None
    char_premium: float | None
    bytes_per_char: float | None
    premium_basis: str | None
    """The parallel text behind the premium: flores, nllb or bible, best first."""
    premium_code: str | None = None
    """The code that the premium was published under."""
    other_premiums: tuple[Premium, ...] = ()
    """Published for the same language under another code, or on a weaker basis."""
    madlad_tokens: int | None = None
    aliases: tuple[str, ...] = ()

    @property
    def iso639_3(self) -> str:
        return self.code[:3]

    @property
    def script_name(self) -> str:
        return SCRIPT_NAMES[self.script]

    @property
    def short_name(self) -> str:
        """The name without what stands in brackets: `Swahili`, `Modern Greek`."""
        return self.name.split(" (")[0]

    @property
    def undetermined(self) -> bool:
        """Text in a known script whose language FineWeb2 could not tell."""
        return self.iso639_3 == "und"


@cache
def table() -> dict[str, Language]:
    """Every row by its canonical code, most text first, undetermined languages included."""
    with _PACKAGED.open(encoding="utf-8", newline="") as file:
        return {row["code"]: language_from_row(row) for row in csv.DictReader(file)}


def all_languages(*, undetermined: bool = False) -> tuple[Language, ...]:
    """Every language, most text first; FineWeb2's 43 undetermined ones (`und_*`) only when asked for."""
    return tuple(entry for entry in table().values() if undetermined or not entry.undetermined)


def language_from_row(row: dict[str, str]) -> Language:
    return Language(
        code=row["code"],
        name=row["name"],
        family=row["family"] or None,
        script=row["code"][4:],
        words=_count(row["words"]),
        documents=_count(row["documents"]),
        utf8_bytes=_count(row["utf8_bytes"]),
        byte_premium=_ratio(row["byte_premium"]),
        char_premium=_ratio(row["char_premium"]),
        bytes_per_char=_ratio(row["bytes_per_char"]),
        premium_basis=row["premium_basis"] or None,
        premium_code=row["premium_code"] or (row["code"] if row["byte_premium"] else None),
        other_premiums=tuple(_premium(text) for text in _split(row["other_premiums"])),
        madlad_tokens=_count(row["madlad_tokens"]),
        aliases=_split(row["aliases"]),
    )


def _premium(text: str) -> Premium:
    code, basis, *ratios = text.split()
    byte_premium, char_premium, bytes_per_char = map(float, ratios)
    return Premium(code, basis, byte_premium, char_premium, bytes_per_char)


def _count(text: str) -> int | None:
    return int(text) if text else None


def _ratio(text: str) -> float | None:
    return float(text) if text else None


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(";")) if text else ()
