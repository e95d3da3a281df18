"""Files and data frames as one polars frame of raw cells, row for row, or an error that names the place."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.runs.delimited import parse_delimited, tidy_header
from isogloss.stores import local

# What these libraries raise over a user's file is the file's fault, and becomes an InputError.
_LIBRARY_ERRORS = (pl.exceptions.PolarsError, ValueError, TypeError, OSError, OverflowError)


def load(source: Any) -> tuple[pl.DataFrame, str]:
    """The raw cells, and the name by which messages call the source: its file name, or "frame"."""
    if isinstance(source, (str, Path)):
        frame, name = _load_file(Path(local(source)))
    else:
        frame, name = _load_frame(source), "frame"
    if not frame.width:
        raise InputError("has no columns", where=name, hint="The first row must name the columns.")
    if frame.is_empty():
        raise InputError("has a header but no rows", where=name, hint="Check that the export is complete.")
    return frame.rename(dict(zip(frame.columns, tidy_header(frame.columns, name), strict=True))), name


def _load_file(path: Path) -> tuple[pl.DataFrame, str]:
    read = READERS.get(path.suffix.lower())
    try:
        path = path.expanduser()
        if path.is_dir():
            hint = "Give one file, such as runs.csv, or the folder of a study."
            raise InputError("is a folder, and no study's", where=str(path), hint=hint)
        if not path.exists():
            raise InputError("no such file", where=str(path), hint=_near_files(path))
        if read is None:
            raise unknown_name("file suffix", path.suffix, READERS, where=str(path))
        data = path.read_bytes()
    except RuntimeError as error:
        raise InputError("names no user's home", where=str(path), hint="Write the path out.") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    if not data.strip():
        raise InputError("is empty", where=path.name, hint="The first row must name the columns.")
    return read(data, path.name), path.name


def _near_files(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {str(folder)!r} either."
    files = [p.name for p in folder.iterdir() if p.suffix.lower() in READERS]
    return unknown_name("file", path.name, files).hint or f"Check the name; the folder {str(folder)!r} exists."


def _csv(data: bytes, name: str) -> pl.DataFrame:
    return parse_delimited(data, name, ",")


def _tsv(data: bytes, name: str) -> pl.DataFrame:
    return parse_delimited(data, name, "\t")


def _parquet(data: bytes, name: str) -> pl.DataFrame:
    if not (data.startswith(b"PAR1") and data.endswith(b"PAR1")):
        hint = "Was the copy cut short? A text table should be called .csv, .tsv or .jsonl."
        raise InputError("is not a Parquet file, or an incomplete one", where=name, hint=hint)
    try:
        return pl.read_parquet(io.BytesIO(data))
    except _LIBRARY_ERRORS as error:
        raise InputError(f"is a damaged Parquet file ({_first_line(error)})", where=name) from error


def _jsonl(data: bytes, name: str) -> pl.DataFrame:
    try:
        return pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
    except _LIBRARY_ERRORS:
        return _jsonl_by_line(data, name)


def _jsonl_by_line(data: bytes, name: str) -> pl.DataFrame:
    """The slow way: finds the line at fault, and takes the NaN and Infinity that trackers write."""
    records: list[dict[str, Any]] = []
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            hint = "Each line must be one JSON object."
            raise InputError(
                f"is not JSON ({_first_line(error)})", where=f"{name}, line {number}", hint=hint
            ) from error
        if not isinstance(record, dict):
            what = f"is a JSON {type(record).__name__}, not an object"
            raise InputError(what, where=f"{name}, line {number}", hint='Write {"N": 1e9, "D": 2e10, "loss": 2.5}.')
        records.append(record)
    names = dict.fromkeys(key for record in records for key in record)
    return pl.DataFrame([_series(key, [record.get(key) for record in records], name) for key in names])


READERS: Mapping[str, Callable[[bytes, str], pl.DataFrame]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
}


def _load_frame(source: Any) -> pl.DataFrame:
    import narwhals as nw

    try:
        frame = nw.from_native(source)
        eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    except nw.exceptions.DuplicateError as error:
        raise _duplicates(source) from error
    except (TypeError, nw.exceptions.NarwhalsError) as error:
        what = f"cannot read runs from a {type(source).__name__}"
        hint = "Give a path, or a data frame: polars, pandas, pyarrow or any that narwhals knows."
        raise InputError(what, where="source", hint=hint) from error
    try:
        frame = eager.to_polars()
    except nw.exceptions.DuplicateError as error:
        raise _duplicates(source) from error
    except _LIBRARY_ERRORS:
        # Columns of mixed Python objects, which pandas allows and Arrow does not.
        columns = {str(name): eager[name].to_list() for name in eager.columns}
        frame = pl.DataFrame([_series(name, values, "frame") for name, values in columns.items()])
    objects = [name for name, dtype in frame.schema.items() if dtype == pl.Object]
    return frame.with_columns(_series(name, frame[name].to_list(), "frame") for name in objects)


def _series(name: str, values: list[Any], source: str) -> pl.Series:
    """Values of one type, or else their text. Objects and lists become JSON: a column of structs would keep
    only the keys of the first."""
    if any(isinstance(value, (dict, list)) for value in values):
        values = [json.dumps(v, default=str) if isinstance(v, (dict, list)) else v for v in values]
    try:
        column = pl.Series(name, values)
        if column.dtype != pl.Object:
            return column
    except _LIBRARY_ERRORS:
        pass
    except BaseException as error:
        # The binding's panics derive from BaseException; real interrupts must pass.
        if type(error).__name__ != "PanicException":
            raise
        raise InputError("holds values of no common type", where=f"{source}, column {name!r}") from error
    # Only nan differs from itself; pandas writes it for an empty cell.
    texts = [None if value is None or value != value else str(value) for value in values]
    return pl.Series(name, texts, dtype=pl.String)


def _duplicates(source: Any) -> InputError:
    """narwhals will not open a frame with two columns of one name: say which, in our own words."""
    # A pyarrow table's `columns` are its data.
    names = getattr(source, "column_names", None) or getattr(source, "columns", ())
    try:
        tidy_header(map(str, names), "frame")
    except InputError as error:
        return error
    return InputError("two columns have one name", where="frame", hint="Rename or remove one of them.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
