"""CSV and TSV as text cells. Fast when every record is well formed, else slowly to the record at fault."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable

import numpy as np
import polars as pl

from isogloss.errors import InputError

_NEWLINE, _RETURN, _QUOTE = b"\n"[0], b"\r"[0], b'"'[0]


def parse_delimited(data: bytes, name: str, separator: str) -> pl.DataFrame:
    """Every cell as text, null where empty. The first record names the columns; blank lines do not count."""
    text = _decode(data, name)
    first = text[: text.find("\n") + 1 or None]
    if separator not in first and separator == "," and (";" in first or "\t" in first):
        separator = ";" if ";" in first else "\t"
    data = text.encode()
    header, body = _split_header(text, data, name, separator)
    frame = _parse_fast(body, header, separator) if body else None
    return frame if frame is not None else _parse_slowly(text, header, name, separator)


def _decode(data: bytes, name: str) -> str:
    """Text without byte order mark and blank ends, lines ending in line feeds."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        what = f"is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}, line {line}"
        hint = (
            "It looks like UTF-16; save it as UTF-8." if utf16 else "Save it as UTF-8, for example from a text editor."
        )
        raise InputError(what, where=name, hint=hint) from error
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        text = text if "\n" in text else text.replace("\r", "\n")
    return text.strip("\n") + "\n"


def _split_header(text: str, data: bytes, name: str, separator: str) -> tuple[list[str], bytes]:
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator)
    try:
        header = next(reader)
    except csv.Error as error:
        raise InputError(f"has no readable header ({error})", where=name) from error
    header = tidy_header(header, name)
    end = 0
    for _ in range(reader.line_num):
        end = data.index(b"\n", end) + 1
    return header, data[end:]


def tidy_header(names: Iterable[str], source: str) -> list[str]:
    """Column names without spaces around them; a nameless one, like pandas' index, named by position."""
    tidy = [name.strip() or f"unnamed_{i}" for i, name in enumerate(names, start=1)]
    repeated = [name for name, count in Counter(tidy).items() if count > 1]
    if repeated:
        listed = ", ".join(map(repr, repeated))
        what = f"two columns are called {listed}"
        raise InputError(what, where=source, hint="Rename or remove one of them.")
    return tidy


def _parse_fast(body: bytes, header: list[str], separator: str) -> pl.DataFrame | None:
    """None unless every record has as many fields as the header and quotes stand where they should."""
    cells = np.frombuffer(body, dtype=np.uint8)
    newlines, separators = cells == _NEWLINE, cells == ord(separator)
    if b'"' in body:
        # Modulo 256 keeps the parity of the quotes so far: odd means inside a quoted field.
        outside = np.cumsum(cells == _QUOTE, dtype=np.uint8) % 2 == 0
        newlines, separators = newlines & outside, separators & outside
    ends = np.flatnonzero(newlines)
    fields = np.diff(np.searchsorted(np.flatnonzero(separators), ends), prepend=0) + 1
    blank = np.diff(ends, prepend=-1) == 1
    if not len(ends) or ends[-1] != len(cells) - 1 or (fields != len(header)).any() or blank.any():
        return None
    try:
        frame = pl.read_csv(
            io.BytesIO(body),
            has_header=False,
            separator=separator,
            schema=dict.fromkeys(header, pl.String),
        )
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.height == len(ends) else None


def _parse_slowly(text: str, header: list[str], name: str, separator: str) -> pl.DataFrame:
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator)
    rows: list[list[str]] = []
    try:
        next(reader)
        for record in reader:
            if not any(cell.strip() for cell in record) and len(record) <= 1:
                continue
            rows.append(record)
            if len(record) != len(header):
                what = f"has {len(record)} fields, but the header names {len(header)} columns"
                hint = "Quote fields that contain the separator; check for a cut or merged line."
                raise InputError(what, where=f"{name}, row {len(rows)} (line {reader.line_num})", hint=hint)
    except csv.Error as error:
        raise InputError(f"cannot be read ({error})", where=f"{name}, line {reader.line_num}") from error
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    series = [pl.Series(c, cells, dtype=pl.String) for c, cells in zip(header, columns, strict=True)]
    return pl.DataFrame(series)
