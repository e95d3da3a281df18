"""The user's own mixture: a CSV of languages and shares, read for the languages of a question."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import InputError, suggest
from isogloss.planning.question import Question
from isogloss.stores import local

COLUMNS = ("language", "share")
# Shares whose sum is this close to 1 were rounded; beyond it something is missing or is there twice.
ROUNDED = 0.01


@dataclass(frozen=True, eq=False)
class Mixture:
    """`shares` `(K,)` in the order of the question's languages, which sum to 1; `total` is their sum as written."""

    shares: np.ndarray
    total: float
    where: str


def read_mixture(source: str | Path | Mapping[str, float], question: Question) -> Mixture:
    """A mixture from a CSV with the columns language and share, or from a mapping.

    Lines of the CSV that start with # are left out; languages of the question that it lacks have share 0. Raises
    InputError, naming the row, for an unknown language, one that the question lacks or that is there twice, a share
    that is no number of 0 or more, and shares whose sum is more than 1 % off 1.
    """
    if isinstance(source, Mapping):
        where = "given mixture"
        rows = [(f"{where}, {name}", str(name), str(share)) for name, share in source.items()]
    else:
        where = str(source)
        rows = list(_rows(Path(local(source))))
    found: dict[str, float] = {}
    for place, name, share in rows:
        code = _language(name, question, place)
        if code in found:
            raise InputError(f"{name!r} ({code}) is there twice", where=place, hint="Keep one row of each language.")
        found[code] = _share(share, place)
    total = math.fsum(found.values())
    if not abs(total - 1) <= ROUNDED:
        per_cent = " They look like per cent: write 0.75 for 75 %." if abs(total - 100) <= 1 else ""
        raise InputError(
            f"the shares sum to {total:.6g}, not 1",
            where=where,
            hint=f"Shares are parts of all training tokens; every language trained on must be there.{per_cent}",
        )
    shares = np.array([found.get(code, 0.0) for code in question.languages])
    return Mixture(shares / shares.sum(), total, where)


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, language and share of each row; rows are counted as the lines of the file."""
    lines = list(enumerate(_text(path).splitlines(), start=1))
    kept = [(number, line) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not kept:
        raise InputError("no rows", where=str(path), hint="Give a header, language,share, and a row per language.")
    header = [cell.strip().casefold() for cell in next(csv.reader([kept[0][1]]))]
    for column in COLUMNS:
        if column not in header:
            raise InputError(
                f"no column {column!r} in the header ({', '.join(header)})",
                where=f"{path}, line {kept[0][0]}",
                hint="The header is language,share.",
            )
    for number, line in kept[1:]:
        place = f"{path}, line {number}"
        cells = next(csv.reader([line]))
        if len(cells) != len(header):
            raise InputError(f"{len(cells)} cells under {len(header)} columns: {line.strip()!r}", where=place)
        yield place, cells[header.index("language")].strip(), cells[header.index("share")].strip()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), hint="Give a CSV with columns language,share.") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=str(path), hint="Save it as UTF-8.") from None


def _language(name: str, question: Question, place: str) -> str:
    try:
        code = _languages.resolve(name)
    except InputError as error:
        raise InputError(error.what, where=place, hint=error.hint) from None
    if code in question.languages:
        return code
    near = suggest(code, question.languages, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise InputError(
        f"{name!r} ({code}) is not among the question's languages",
        where=place,
        hint=f"{hint}Add it to the question, with weight = 0 if it only helps the others.",
    )


def _share(text: str, place: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not (math.isfinite(share) and share >= 0):
        raise InputError(f"the share {text!r} is no number of 0 or more", where=place, hint="Write 0.75 for 75 %.")
    return share
