"""Uploaded bytes as a frame: parsed in memory, by readers that run nothing, within limits."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.runs.source import READERS, load
from isogloss.web.settings import Limits

SMALLER = "Cut it down, or use the command line: isogloss fit, isogloss runs lint."


def read_table(name: str, data: bytes, limits: Limits) -> pl.DataFrame:
    """The raw cells of an uploaded table, as strings where they are text. What pandas adds to Parquet is not looked at.

    Raises InputError for a suffix that is none of ours, a file that is damaged, and one beyond the limits.
    """
    name = PurePosixPath(name.replace("\\", "/")).name
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in READERS:
        raise unknown_name("file suffix", suffix or name, READERS, where=name)
    check_bytes(name, len(data), limits)
    if not data.strip():
        raise InputError("is empty", where=name, hint="The first row must name the columns.")
    if suffix == ".parquet":
        _check_parquet(name, data, limits)
    elif suffix in (".csv", ".tsv"):
        header = data[:1_000_000].split(b"\n", 1)[0]
        _check_size(data.count(b"\n"), header.count(b"," if suffix == ".csv" else b"\t") + 1, name, limits)
    else:
        _check_size(data.count(b"\n"), 0, name, limits)
    try:
        raw = READERS[suffix](data, name)
    except RecursionError:
        raise InputError("is nested too deeply", where=name, hint="Give one flat record per line.") from None
    _check_size(raw.height, raw.width, name, limits)
    frame, _ = load(raw)
    return frame


def check_bytes(name: str, size: int, limits: Limits) -> None:
    """InputError for a file of more bytes than the page takes."""
    if size > limits.megabytes * 1_000_000:
        raise _too_much(f"{size / 1e6:,.0f} MB", f"{limits.megabytes} MB", name)


def _check_size(rows: int, columns: int, name: str, limits: Limits) -> None:
    if columns > limits.columns:
        raise _too_much(f"{columns:,} columns", f"{limits.columns:,}", name)
    if rows > limits.rows + 1:
        raise _too_much(f"{rows:,} rows", f"{limits.rows:,}", name)


def _check_parquet(name: str, data: bytes, limits: Limits) -> None:
    """Sizes as the file's own footer has them, before anything is unpacked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        hint = "Was the copy cut short? A text table should be called .csv, .tsv or .jsonl."
        raise InputError("is not a Parquet file, or an incomplete one", where=name, hint=hint) from error
    _check_size(footer.num_rows, footer.num_columns, name, limits)
    unpacked = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups)) / 1e6
    if unpacked > limits.unpacked_megabytes:
        raise _too_much(f"{unpacked:,.0f} MB unpacked", f"{limits.unpacked_megabytes:,} MB", name)


def _too_much(what: str, limit: str, name: str) -> InputError:
    return InputError(f"has {what}; this page takes {limit}", where=name, hint=SMALLER)
