"""How much text a language has, counted in tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import isfinite
from statistics import median
from typing import Literal

from isogloss.errors import InputError
from isogloss.languages.resolving import get
from isogloss.languages.table import SOURCES, UNRELATED, Language, all_languages

ENGLISH_BYTES_PER_TOKEN = 4.0
"""UniMax (Chung et al. 2023, arXiv:2304.09151) counts four characters to a token."""


@dataclass(frozen=True)
class TextEstimate:
    """Unique tokens of one language, and whether they were published or follow from an assumption."""

    tokens: int
    bytes: int | None
    bytes_per_token: float | None
    kind: Literal["published", "assumed"]
    source: str


def tokens_available(code: str, bytes_per_token: float | None = None) -> TextEstimate | None:
    """Unique tokens that the public inventory has for a language; None where no inventory names it.

    By default a token carries as much content as four bytes of English, so that in a language with byte
    premium b it takes 4 b bytes. Give your tokenizer's `bytes_per_token` if you know it. English is not in
    FineWeb2: its count is published in tokens, and `bytes_per_token` does not change it.
    """
    if bytes_per_token is not None and not (isfinite(bytes_per_token) and bytes_per_token > 0):
        raise InputError(f"bytes_per_token must be positive, got {bytes_per_token}", where="tokens_available")
    entry = get(code)
    if entry.utf8_bytes is None:
        return _published(entry)
    if bytes_per_token is None:
        premium, basis = _premium(entry)
        bytes_per_token = ENGLISH_BYTES_PER_TOKEN * premium
        how = f"a token carries as much content as 4 English bytes (arXiv:2304.09151); {basis}"
    else:
        how = "bytes per token as given"
    tokens = round(entry.utf8_bytes / bytes_per_token)
    source = f"{entry.utf8_bytes:,} UTF-8 bytes in FineWeb2 / {bytes_per_token:.3g} bytes per token: {how}"
    return TextEstimate(tokens, entry.utf8_bytes, bytes_per_token, "assumed", source)


def family_of(query: str) -> str | None:
    """The language family; None where unknown or where, as for isolates and creoles, it relates nothing."""
    family = get(query).family
    return None if family in UNRELATED else family


def _published(entry: Language) -> TextEstimate | None:
    if entry.madlad_tokens is None:
        return None
    return TextEstimate(entry.madlad_tokens, None, None, "published", SOURCES["madlad_tokens"])


def _premium(entry: Language) -> tuple[float, str]:
    """The byte premium to reckon with, and where it comes from."""
    if entry.byte_premium is not None:
        text = f"byte premium {entry.byte_premium:.3g} of {entry.premium_code} ({entry.premium_basis},"
        return entry.byte_premium, f"{text} arXiv:2403.00686)"
    medians = _median_premiums()
    if entry.script in medians:
        assumed = medians[entry.script]
        return assumed, f"byte premium assumed: {assumed:.3g}, the median of languages in {entry.script}"
    # A script without any premium is seldom Latin, so every script counts once, not every language.
    assumed = median(medians.values())
    return assumed, f"byte premium assumed: {assumed:.3g}, the median over scripts ({entry.script} has none)"


@cache
def _median_premiums() -> dict[str, float]:
    by_script: dict[str, list[float]] = {}
    for entry in all_languages():
        if entry.byte_premium is not None:
            by_script.setdefault(entry.script, []).append(entry.byte_premium)
    return {script: median(premiums) for script, premiums in by_script.items()}
