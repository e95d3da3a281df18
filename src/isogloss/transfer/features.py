"""What is known of a pair of languages before anything is measured: tree, place, grammar, script, text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.languages import relations
from isogloss.stores import local
from isogloss.transfer.overlap import read_text, text_overlap
from isogloss.transfer.uriel import KINDS, uriel_distances

SHORT_TEXT_BYTES = 20_000
# Scripts that do not part words, so that a "word" of theirs is a phrase.
_UNSPACED = {"Hani", "Hans", "Hant", "Jpan", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "same_script": "1 if both are written in one script (languages table)",
        "same_family": "1 if the languages table or Glottolog puts both in one family",
        "shared_depth": "shared nodes of the family tree / geometric mean of both lineages' nodes (Glottolog)",
        "log_distance": "ln(1 + km / 100) between the places of both (Glottolog)",
        "grammar_distance": "share of grammatical features that differ, of at least 30 known in both (Grambank 1.0.3)",
        "log_target_tokens": "ln of the tokens that public inventories have of the target (languages table)",
        "log_source_tokens": "ln of the tokens that public inventories have of the source (languages table)",
        "log_premium_ratio": "ln(byte premium of the source / of the target) (Arnett et al. 2024)",
        "ngram_similarity": "Bhattacharyya coefficient of byte n-grams, mean over n = 1 to 4 (texts given)",
        "ngram_coverage": "share of the target's byte 4-grams that occur in the source's text (texts given)",
        "word_coverage": "share of the target's words that occur in the source's text (texts given)",
        **{f"uriel_{kind}": f"angular distance of {kind} features (URIEL+, installed by the user)" for kind in KINDS},
    }
)


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Features of the ordered pairs among K languages."""

    languages: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    """`(targets, sources, features)`; NaN where unknown, and on the diagonal."""
    kinship: np.ndarray
    """`(K, K)`, positive semidefinite, 1 on the diagonal: `languages.relations.kinship`."""
    meanings: Mapping[str, str]
    """A few words and the source, by feature."""
    notes: tuple[str, ...]
    """What is unknown, and for which languages."""


def pair_features(
    languages: Sequence[str],
    *,
    texts: Mapping[str, str | Path] | None = None,
    uriel: bool = False,
    extra: Mapping[str, np.ndarray] | None = None,
) -> PairFeatures:
    """Features of every pair among these languages, in any spelling.

    `texts` gives a UTF-8 text file (plain, .gz, .xz, .bz2, .zst) by language, of which the first MiB is read; a
    language without one has NaN. `uriel` adds the distances of an installed `urielplus`. `extra` adds your own
    features by name, `(K, K)`, [target, source], in the order of `languages`, NaN where unknown.

    The difference of the two text sizes is left out: it is the sum of two columns that are there.
    """
    codes = _codes(languages)
    found = _packaged(codes)
    notes: list[str] = []
    if texts is not None:
        overlaps, remarks = _from_texts(codes, texts)
        found |= overlaps
        notes += remarks
    if uriel:
        distances = uriel_distances([code[:3] for code in codes])
        found |= {f"uriel_{kind}": values for kind, values in distances.items()}
    meanings = {name: MEANINGS[name] for name in found}
    for name, values in (extra or {}).items():
        if name in found:
            raise InputError(f"the name {name!r} is taken", where="extra", hint="Give your feature another name.")
        found[name] = _checked(name, values, len(codes))
        meanings[name] = "given by the user"
    values = np.stack([np.asarray(v, float) for v in found.values()], axis=-1)
    values[np.diag_indices(len(codes))] = np.nan
    notes = [*_unknown(codes, tuple(found), values), *notes]
    kinship = relations.kinship(codes)
    values.setflags(write=False)
    kinship.setflags(write=False)
    return PairFeatures(codes, tuple(found), values, kinship, MappingProxyType(meanings), tuple(notes))


def _codes(languages: Sequence[str]) -> tuple[str, ...]:
    if isinstance(languages, str):
        raise InputError(f"one name, {languages!r}, is no list", where="languages", hint="Give a list of languages.")
    codes = tuple(_languages.resolve(language) for language in languages)
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise InputError(
            f"{', '.join(repeated)} stands there more than once", where="languages", hint="Name each once."
        )
    if len(codes) < 2:
        raise InputError(f"pairs need two languages, got {len(codes)}", where="languages", hint="Name at least two.")
    return codes


# --- from the packaged tables ---------------------------------------------------------------------------------------


def _packaged(codes: tuple[str, ...]) -> dict[str, np.ndarray]:
    entries = [_languages.get(code) for code in codes]
    scripts = np.array([entry.script for entry in entries])
    kinship = relations.kinship(codes)
    tokens = np.log([_tokens(code) for code in codes])
    premium = np.log([np.nan if entry.byte_premium is None else entry.byte_premium for entry in entries])
    across = np.broadcast_to(tokens, kinship.shape)
    return {
        "same_script": (scripts[:, None] == scripts).astype(float),
        "same_family": _same_family(codes, kinship),
        "shared_depth": np.where(_placed(codes), kinship, np.nan),
        "log_distance": np.log1p(relations.distances_km(codes) / 100),
        "grammar_distance": relations.grammar_distances(codes),
        "log_target_tokens": across.T,
        "log_source_tokens": across,
        "log_premium_ratio": premium[None, :] - premium[:, None],
    }


def _tokens(code: str) -> float:
    estimate = _languages.tokens_available(code)
    return estimate.tokens if estimate and estimate.tokens else np.nan


def _placed(codes: tuple[str, ...]) -> np.ndarray:
    """`(K, K)`: both are languages whose descent, or lack of relatives, is known."""
    known = np.array([relations.has_lineage(code) for code in codes])
    return known[:, None] & known


def _same_family(codes: tuple[str, ...], kinship: np.ndarray) -> np.ndarray:
    """NaN where neither classification knows both families."""
    families = [_languages.family_of(code) for code in codes]
    listed = np.array([family or f"none: {code}" for family, code in zip(families, codes, strict=True)])
    known = np.array([_languages.get(code).family is not None for code in codes])
    same = (listed[:, None] == listed) | (kinship > 0)
    return np.where(same | (known[:, None] & known) | _placed(codes), same.astype(float), np.nan)


# --- from texts and the user ----------------------------------------------------------------------------------------


def _from_texts(codes: tuple[str, ...], texts: Mapping[str, str | Path]) -> tuple[dict[str, np.ndarray], list[str]]:
    paths: dict[str, Path] = {}
    for name, path in texts.items():
        code = _languages.resolve(name)
        if code not in codes:
            raise InputError(f"{name!r} ({code}) is not among the languages", where="texts", hint="Name it there too.")
        if code in paths:
            raise InputError(f"{code} has two texts", where="texts", hint="Give one file per language.")
        paths[code] = Path(local(path))
    if not paths:
        raise InputError("no text is given", where="texts", hint="Give a file per language, or leave texts out.")
    read = {code: read_text(path) for code, path in paths.items()}
    overlap = text_overlap(list(read.values()))
    here = [codes.index(code) for code in read]
    found = {}
    for name in ("ngram_similarity", "ngram_coverage", "word_coverage"):
        found[name] = np.full((len(codes), len(codes)), np.nan)
        found[name][np.ix_(here, here)] = getattr(overlap, name)
    unspaced = [i for i in here if _languages.get(codes[i]).script in _UNSPACED]
    found["word_coverage"][unspaced] = np.nan
    return found, _text_notes({code: len(text.encode()) for code, text in read.items()})


def _text_notes(sizes: dict[str, int]) -> list[str]:
    notes = []
    short = [code for code, size in sizes.items() if size < SHORT_TEXT_BYTES]
    if short:
        notes.append(f"texts under {SHORT_TEXT_BYTES:,} bytes, so overlap is rough: {_listed(short)}")
    least, most = min(sizes.values()), max(sizes.values())
    if most > 2 * least:
        notes.append(f"texts of {least:,} to {most:,} bytes read: coverage favours sources with longer ones")
    return notes


def _checked(name: str, values: np.ndarray, size: int) -> np.ndarray:
    where = f"extra {name!r}"
    try:
        array = np.array(values, float)
    except (TypeError, ValueError):
        raise InputError("is not an array of numbers", where=where, hint="Give floats, NaN where unknown.") from None
    if array.shape != (size, size):
        raise InputError(
            f"{size} languages need ({size}, {size}), got {array.shape}", where=where, hint="[target, source]."
        )
    if np.isinf(array).any():
        raise InputError("holds infinite values", where=where, hint="Use NaN where a value is unknown.")
    return array


# --- notes ----------------------------------------------------------------------------------------------------------


def _unknown(codes: tuple[str, ...], names: tuple[str, ...], values: np.ndarray) -> list[str]:
    """By what is unknown (languages all of whose pairs lack a value, then further pairs), the features."""
    notes: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        for what in _gaps(codes, np.isnan(values[..., i])):
            notes.setdefault(what, []).append(name)
    return [f"{', '.join(features)} unknown for {what}" for what, features in notes.items()]


def _gaps(codes: tuple[str, ...], missing: np.ndarray) -> list[str]:
    as_target, as_source = np.asarray(missing.all(axis=1)), np.asarray(missing.all(axis=0))
    if as_target.all() and as_source.all():
        return ["every pair"]
    lost = {
        "": as_target & as_source,
        " as targets": as_target & ~as_source,
        " as sources": as_source & ~as_target,
    }
    gaps = [
        f"{len(gone)} of {len(codes)}{role}: {_listed([codes[j] for j in gone])}"
        for role, gone in ((role, np.flatnonzero(who)) for role, who in lost.items())
        if len(gone)
    ]
    rest = missing & ~as_target[:, None] & ~as_source & ~np.eye(len(codes), dtype=bool)
    return [*gaps, f"{rest.sum():,} {'further ' if gaps else ''}pairs"] if rest.any() else gaps


def _listed(codes: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(codes[:most])
    return f"{shown} and {len(codes) - most} more" if len(codes) > most else shown
