"""Transfer matrices from files and folders, and one laid over another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.files import new_file
from isogloss.runs.numbers import describe, missing, tidy_text, to_numbers
from isogloss.runs.source import READERS, load
from isogloss.stores import local, mirrored
from isogloss.transfer.matrix import TransferMatrix
from isogloss.transfer.pair import Per
from isogloss.transfer.scores import score_from_weight

PUBLISHED = "published"
# A folder of transfer holds its own scores, before any model filled the others, in this file, unless it was measured.
EVIDENCE = "evidence.csv"
MEASURED = "transfer.json"


def read_matrix(
    source: str | Path = PUBLISHED,
    *,
    anchor: float | None = None,
    per: Per = "token",
    cell: Mapping[str, str] | None = None,
) -> TransferMatrix:
    """The scores that a source itself holds: "published" (ATLAS's figure C.2), a folder that `isogloss transfer`
    wrote, or a table.

    A table (.csv, .tsv, .parquet, .jsonl) has a row per pair: target, source, `bts` (or `tau`), and if known `sd`, the
    standard error of the score, and `kind` ("measured" unless said). `anchor`, `per` and `cell` choose among scores of
    a folder of measured transfer. Raises InputError with file, row and column for what cannot be used.
    """
    path = Path(source if str(source) == PUBLISHED else local(source)).expanduser()
    if (path / MEASURED).is_file():
        from isogloss.transfer.measured import MeasuredTransfer

        return MeasuredTransfer.load(path).matrix(anchor, per, cell=cell)
    if anchor is not None or per != "token" or cell:
        hint = "Leave them out, or give a folder that `isogloss transfer measure` wrote."
        raise InputError("only measured transfer has anchors, units and cells", where=str(source), hint=hint)
    if str(source) == PUBLISHED:
        return TransferMatrix.published()
    if (path / EVIDENCE).is_file():
        return _table(path / EVIDENCE)
    if path.is_dir():
        hint = "Give a folder that `isogloss transfer` wrote; of a study, `isogloss transfer measure` makes one."
        raise InputError("holds no transfer scores", where=str(source), hint=hint)
    if not path.exists() and path.suffix.lower() not in READERS:
        hint = f'Say "{PUBLISHED}", or give a table or a folder that `isogloss transfer` wrote.'
        raise InputError("no such transfer matrix", where=str(source), hint=hint)
    return _table(path)


def write_matrix(matrix: TransferMatrix, path: str | Path) -> Path:
    """As a table that `read_matrix` reads, whole or not at all: target, source, bts, sd, kind."""
    path = mirrored(path)
    with new_file(path) as temporary:
        matrix_frame(matrix).write_csv(temporary)
    return path


def matrix_frame(matrix: TransferMatrix) -> pl.DataFrame:
    """One row per score; `sd` is null where it is not known."""
    target, source = np.nonzero(matrix.present())
    sd = np.full(matrix.bts.shape, np.nan) if matrix.sd is None else matrix.sd
    return pl.DataFrame(
        {
            "target": [matrix.languages[t] for t in target],
            "source": [matrix.languages[s] for s in source],
            "bts": matrix.bts[target, source],
            "sd": sd[target, source],
            "kind": matrix.kind[target, source].astype(str).tolist(),
        },
        schema={"target": pl.String, "source": pl.String, "bts": pl.Float64, "sd": pl.Float64, "kind": pl.String},
    ).with_columns(pl.col("sd").fill_nan(None))


def laid_over(own: TransferMatrix, base: TransferMatrix) -> TransferMatrix:
    """The scores of both; where both have one of a pair, `own`'s."""
    languages = tuple(dict.fromkeys((*own.languages, *base.languages)))
    size = len(languages)
    bts, sd, kind = np.full((size, size), np.nan), np.full((size, size), np.nan), np.full((size, size), "", object)
    for matrix in (base, own):
        at = np.array([languages.index(code) for code in matrix.languages], dtype=int)
        present = matrix.present()
        known = np.full(present.shape, np.nan) if matrix.sd is None else matrix.sd
        for whole, part in ((bts, matrix.bts), (sd, known), (kind, matrix.kind)):
            grid = np.ix_(at, at)
            whole[grid] = np.where(present, part, whole[grid])
    return TransferMatrix(languages, bts, kind, sd)


def _table(path: Path) -> TransferMatrix:
    raw, name = load(path)
    table = tidy_text(raw.rename({column: column.strip().casefold() for column in raw.columns}))
    for column in ("target", "source"):
        if column not in table.columns:
            raise InputError(
                f"has no column {column!r}", where=name, hint="Columns: target, source, bts or tau, and sd, kind."
            )
    found = [column for column in ("bts", "tau") if column in table.columns]
    if not found:
        raise InputError("has neither a column 'bts' nor 'tau'", where=name, hint="Give one score per row.")
    pairs = [_codes(table[column].cast(pl.String), name) for column in ("target", "source")]
    values = _numbers(table[found[0]], name)
    scores = values if found[0] == "bts" else _scores(values, name)
    _refuse_scores(scores, name)
    sd = _numbers(table["sd"], name, optional=True) if "sd" in table.columns else np.full(len(scores), np.nan)
    if (sd < 0).any():
        row = int(np.argmax(sd < 0))
        raise InputError(f"a standard error cannot be negative ({sd[row]:g})", where=_place(name, row, "sd"))
    kinds = table["kind"].cast(pl.String).fill_null("measured") if "kind" in table.columns else None
    languages = tuple(sorted({*pairs[0], *pairs[1]}))
    size = len(languages)
    bts, errors, kind = (
        np.full((size, size), fill, type_) for fill, type_ in ((np.nan, float), (np.nan, float), ("", object))
    )
    for row, (target, source) in enumerate(zip(*pairs, strict=True)):
        at = languages.index(target), languages.index(source)
        if target == source:
            raise InputError(f"{target} is its own source", where=_place(name, row, "source"), hint="Remove the row.")
        if kind[at]:
            hint = "Keep one row per pair."
            raise InputError(f"{source} -> {target} is there twice", where=_place(name, row, "target"), hint=hint)
        bts[at], errors[at], kind[at] = scores[row], sd[row], "measured" if kinds is None else kinds[row]
    return TransferMatrix(languages, bts, kind, errors)


def _codes(column: pl.Series, name: str) -> list[str]:
    codes: dict[str, str] = {}
    for row, cell in enumerate(column):
        if cell is None:
            raise InputError("is empty", where=_place(name, row, column.name), hint="Name a language.")
        if cell not in codes:
            try:
                codes[cell] = _languages.resolve(cell)
            except InputError as error:
                raise InputError(error.what, where=_place(name, row, column.name), hint=error.hint) from None
    return [codes[cell] for cell in column]


def _numbers(column: pl.Series, name: str, *, optional: bool = False) -> np.ndarray:
    numbers = to_numbers(column)
    absent = missing(column)
    bad = (numbers.is_null() | ~numbers.is_finite().fill_null(False)) & ~(absent if optional else pl.Series([False]))
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        what = f"is {describe(column[row])}, not a number"
        raise InputError(what, where=_place(name, row, column.name), hint="Remove the row, or give the number.")
    return numbers.fill_null(float("nan")).to_numpy().astype(float)


def _scores(weights: np.ndarray, name: str) -> np.ndarray:
    if (weights <= -1).any():
        row = int(np.argmax(weights <= -1))
        raise InputError(f"a weight must be above -1, got {weights[row]:g}", where=_place(name, row, "tau"))
    return np.asarray(score_from_weight(weights), float)


def _refuse_scores(scores: np.ndarray, name: str) -> None:
    if (scores >= 2).any():
        row = int(np.argmax(scores >= 2))
        hint = "BTS = 2 - D_bi/D_mono: 0 is neutral, 1 saves half of the tokens. A ratio D_mono/D_bi is not a BTS."
        raise InputError(f"a score must be below 2, got {scores[row]:g}", where=_place(name, row, "bts"), hint=hint)


def _place(name: str, row: int, column: str) -> str:
    return f"{name}, row {row + 1}, column {column!r}"
