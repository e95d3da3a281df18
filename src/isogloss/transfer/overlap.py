"""How much the texts of languages overlap: in byte n-grams, as a byte-level model sees them, and in words."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from isogloss.errors import InputError

READ_BYTES = 2**20
"""Read of each text, from its beginning."""
ORDERS = (1, 2, 3, 4)
# 3-grams and 4-grams are hashed: a megabyte of text has some 10^5 of them, so at most a few per cent share a bucket.
_BUCKETS_LOG2 = 22
_WITHIN_WORDS = "'’\u200c\u200d"  # apostrophes, and the joiners of Indic and Arabic scripts
_KNUTH = np.uint32(2654435761)


@dataclass(frozen=True, eq=False)
class TextOverlap:
    """Overlap among K texts; each array `(K, K)`, [target, source], 0 to 1, 1 on the diagonal.

    The coverages rise with the length of the source's text: give texts of about equal length.
    """

    ngram_similarity: np.ndarray
    """Bhattacharyya coefficient of the byte n-gram distributions, mean over n = 1 to 4; symmetric."""
    ngram_coverage: np.ndarray
    """Share of the target's byte 4-grams (running) that occur in the source's text."""
    word_coverage: np.ndarray
    """Share of the target's running words that occur in the source's text; words are what blanks part."""


def read_text(path: Path, *, most_bytes: int = READ_BYTES) -> str:
    """The beginning of a UTF-8 text file, plain or .gz, .xz, .bz2, .zst; InputError if it is none, or empty."""
    try:
        with path.open("rb") as raw, _opener(path)(raw) as file:
            data = file.read(most_bytes)
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise _broken(path, error) from None
    except OSError as error:
        if error.errno is None:
            raise _broken(path, error) from None
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), hint="Check the path.") from None
    except Exception as error:
        if type(error).__name__ == "ZstdError":  # of a library that need not be there
            raise _broken(path, error) from None
        raise
    try:
        # The limit may cut the last character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=len(data) < most_bytes)
    except UnicodeDecodeError as error:
        what = f"byte {error.start} (0x{error.object[error.start]:02x}) is not UTF-8"
        raise InputError(what, where=str(path), hint="Save the file as UTF-8.") from None
    if not text.strip():
        raise InputError(
            "holds no text", where=str(path), hint="Give a file with text of the language, or leave it out."
        )
    return text


def text_overlap(texts: Sequence[str]) -> TextOverlap:
    """Overlap of every text with every other; memory and time grow with the bytes in all."""
    data = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    similarity = np.zeros((len(texts), len(texts)))
    counts = sparse.csr_matrix((len(texts), 1))
    for order in ORDERS:
        counts = _stacked([_ngrams(bytes_, order) for bytes_ in data])
        root = _shares(counts)
        root.data = np.sqrt(root.data)
        similarity += (root @ root.T).toarray() / len(ORDERS)
    return TextOverlap(
        _unit(similarity), _unit(_coverage(counts)), _unit(_coverage(_word_counts([_words(text) for text in texts])))
    )


Sparse = tuple[np.ndarray, np.ndarray]
"""Places, ascending, and how often each occurs."""


def _ngrams(data: np.ndarray, order: int) -> Sparse:
    windows = max(len(data) - order + 1, 0)
    keys = np.zeros(windows, np.uint32)
    for offset in range(order):
        keys = (keys << np.uint32(8)) | data[offset : offset + windows]
    if order > 2:
        keys = (keys * _KNUTH) >> np.uint32(32 - _BUCKETS_LOG2)  # wraps, as meant
    return np.unique(keys, return_counts=True)


def _words(text: str) -> Counter[str]:
    """Running words by folded form. Marks stay with their letters: they are vowels in many scripts."""
    pieces = Counter(text.split())  # cleaning each distinct piece once is several times quicker than the text
    letters = {c for piece in pieces for c in piece}
    parting = {ord(c): " " for c in letters if unicodedata.category(c)[0] not in "LM" and c not in _WITHIN_WORDS}
    words: Counter[str] = Counter()
    for piece, times in pieces.items():
        for word in piece.casefold().translate(parting).split():
            words[word] += times
    return words


def _word_counts(words: Sequence[Counter[str]]) -> sparse.csr_matrix:
    index: dict[str, int] = {}
    rows = [np.array([index.setdefault(word, len(index)) for word in counted], np.int64) for counted in words]
    values = [np.fromiter(counted.values(), np.int64, len(counted)) for counted in words]
    return _stacked(list(zip(rows, values, strict=True)))


def _stacked(rows: Sequence[Sparse]) -> sparse.csr_matrix:
    """`(K, places)` of counts."""
    indices = np.concatenate([places for places, _ in rows]).astype(np.int64)
    data = np.concatenate([counts for _, counts in rows]).astype(float)
    starts = np.cumsum([0, *(len(places) for places, _ in rows)])
    width = int(indices.max()) + 1 if len(indices) else 1
    return sparse.csr_matrix((data, indices, starts), shape=(len(rows), width))


def _shares(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    total = np.asarray(counts.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1)) @ counts)


def _coverage(counts: sparse.csr_matrix) -> np.ndarray:
    present = counts.copy()
    present.data = np.ones_like(present.data)
    covered = (_shares(counts) @ present.T).toarray()
    covered[np.asarray(counts.sum(axis=1)).ravel() == 0] = np.nan  # no word, or fewer than four bytes
    return covered


def _unit(values: np.ndarray) -> np.ndarray:
    """Within 0 to 1 despite rounding."""
    return np.clip(values, 0, 1)


def _opener(path: Path) -> Callable[[Any], Any]:
    return _OPENERS.get(path.suffix.lower(), lambda raw: raw)


def _zstandard(raw: Any) -> Any:
    try:
        library = import_module("zstandard")
    except ImportError:
        hint = "Install it: pip install zstandard, or give the text as plain text, .gz or .xz."
        raise InputError("reading .zst files needs zstandard", where=raw.name, hint=hint) from None
    return library.ZstdDecompressor().stream_reader(raw, read_across_frames=True)


_OPENERS: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".xz": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
    ".zst": _zstandard,
}


def _broken(path: Path, error: Exception) -> InputError:
    return InputError(f"cannot be decompressed: {error}", where=str(path), hint="Fetch or make it again.")
