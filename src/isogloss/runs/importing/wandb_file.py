"""The .wandb file: records of protobuf in the framing of LevelDB's log, as the wandb library writes it.

Format: https://github.com/google/leveldb/blob/main/doc/log_format.md, with zlib's CRC-32 and a header of 7 bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Any

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Columns, Trouble
from isogloss.runs.importing.source_parts import NotScalars, library

MAGIC = b":W&B"
_HEADER, _BLOCK = 7, 32768
_FRAME = Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_SEEDS = {kind: zlib.crc32(bytes([kind])) for kind in (_FULL, _FIRST, _MIDDLE, _LAST)}
# Tags of what a record may be; they come after its number.
_HISTORY, _SUMMARY, _CONFIG = 0x12, 0x1A, 0x2A
_OWN = frozenset({"_step", "_timestamp", "_runtime"})


@dataclass
class Pieces:
    """A run as its records say it, gathered over its files."""

    columns: Columns = field(default_factory=Columns)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    # A run whose file has no end yet.
    status: str = "running"
    last_step: int = 0
    rows: int = 0
    not_scalars: NotScalars = field(default_factory=NotScalars)
    troubles: list[Trouble] = field(default_factory=list)


def messages() -> Any:
    """wandb's own protobuf classes."""
    return library("wandb.proto.wandb_internal_pb2", "Weights & Biases")


def read_file(file: Path, pb: Any, pieces: Pieces) -> None:
    """Add what a file holds. What is cut short or damaged is a Trouble, and everything else is read."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(file)) from error
    if not data:
        pieces.troubles.append(Trouble(str(file), "is empty", "Import again once the run has logged."))
        return
    if data[:4] != MAGIC:
        pieces.troubles.append(Trouble(str(file), "is no .wandb file: its first bytes are not :W&B"))
        return
    record = pb.Record()
    pieces.status = "running"
    for payload in _records(data, file, pieces.troubles):
        kind = _kind(payload)
        if kind == _SUMMARY and not _set_by_hand(payload):
            continue
        # Tags of two bytes, which begin so, are of rare records, or stand before what the record is.
        if kind < 0x80 and kind not in (_HISTORY, _SUMMARY, _CONFIG):
            continue
        try:
            record.ParseFromString(payload)
        except Exception:
            # DecodeError stands elsewhere from release to release of protobuf.
            pieces.troubles.append(Trouble(str(file), "a record cannot be decoded", "Is it of a newer wandb?", 1))
            continue
        _take(record, pieces)


def _take(record: Any, pieces: Pieces) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "history":
        _row(record.history, pieces)
    elif kind == "summary":
        _update(pieces.summary, record.summary)
    elif kind == "config":
        _update(pieces.config, record.config)
    elif kind == "run":
        _update(pieces.config, record.run.config)
        pieces.name = record.run.display_name or pieces.name
    elif kind == "exit":
        pieces.status = "failed" if record.exit.exit_code else "finished"


def _row(history: Any, pieces: Pieces) -> None:
    """One step's values; without `_step` rows are counted."""
    names: list[str] = []
    values: list[float] = []
    step, time = (history.step.num if history.HasField("step") else None), float("nan")
    odd: list[tuple[str, str]] = []
    for item in history.item:
        path = item.nested_key
        name = (path[0] if len(path) == 1 else ".".join(path)) if path else item.key
        text = item.value_json
        try:
            value = float(text)
        except ValueError:
            odd.append((name, text))
            continue
        if name in _OWN:
            if name == "_step":
                step = int(value)
            elif name == "_timestamp":
                time = value
            continue
        names.append(name)
        values.append(value)
    if step is None:
        step = pieces.last_step + 1 if pieces.rows else 0
    pieces.last_step = step
    pieces.rows += 1
    media = _odd(odd, names, values, pieces) if odd else ()
    steps, logged, times = pieces.columns.steps, pieces.columns.values, pieces.columns.times
    for name, value in zip(names, values, strict=True):
        if media and name.rpartition(".")[0] in media:
            continue
        if name not in steps:
            steps[name], logged[name], times[name] = [], [], []
        steps[name].append(step)
        logged[name].append(value)
        times[name].append(time)


def _odd(odd: Iterable[tuple[str, str]], names: list[str], values: list[float], pieces: Pieces) -> set[str]:
    """Values that are no numbers: media count once, whatever they consist of. Returns the names of media."""
    odd = list(odd)
    media = {name.removesuffix("._type") for name, _ in odd if name.endswith("._type")}
    for name in media:
        pieces.not_scalars.add(name)
    for name, text in odd:
        if name.rpartition(".")[0] in media or text == "null":
            continue
        if text.startswith("{"):
            # Older releases write nested values as one text.
            for inner, value in nested({name: json.loads(text)}):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    names.append(inner)
                    values.append(float(value))
                else:
                    pieces.not_scalars.add(inner)
        else:
            pieces.not_scalars.add(name)
    return media


def nested(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names joined by "." and values; media, which have a `_type`, are one value."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and "_type" not in value:
            yield from nested(value, f"{name}.")
        else:
            yield name, value


def _update(settings: dict[str, Any], change: Any) -> None:
    for item in change.update:
        path = list(item.nested_key) or [item.key]
        inner = settings
        for key in path[:-1]:
            if not isinstance(inner.get(key), dict):
                inner[key] = {}
            inner = inner[key]
        try:
            inner[path[-1]] = json.loads(item.value_json)
        except ValueError:
            inner[path[-1]] = item.value_json
    for item in change.remove:
        path = list(item.nested_key) or [item.key]
        inner: Any = settings
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(path[-1], None)


def _kind(payload: bytes) -> int:
    """The tag after a record's number, without decoding the record: most are of no interest."""
    if payload[:1] == b"\x08":
        return payload[_after_varint(payload, 1)]
    # Without a number first the order of fields is another: such a record is decoded.
    return 0xFF


def _after_varint(payload: bytes, at: int) -> int:
    end = len(payload) - 1
    while at < end and payload[at] & 0x80:
        at += 1
    return min(at + 1, end)


def _set_by_hand(payload: bytes) -> bool:
    """Whether a summary says a value that the run set itself.

    The library writes after every step what the history says already, by nested keys; decoding that again would cost
    as much as the history. What a run sets comes by plain keys, as everything did in older releases.
    """
    at = _after_varint(payload, _after_varint(payload, 1) + 1)
    # Tag and length of the first update, then the tag of its key.
    at = _after_varint(payload, at + 1)
    return payload[at] != 0x12


def _records(data: bytes, file: Path, troubles: list[Trouble]) -> Iterator[bytes]:
    """The payloads of whole records, in order. A damaged block is left out up to its end."""
    at, size = _HEADER, len(data)
    # Pieces of a record that goes over blocks. The first may be empty: it fits where only its header does.
    held: list[bytes] | None = None
    crc32, unpack = zlib.crc32, _FRAME.unpack_from
    while at < size:
        room = _BLOCK - at % _BLOCK
        if room < _HEADER:
            at += room
            continue
        if at + _HEADER > size:
            break
        checksum, length, kind = unpack(data, at)
        end = at + _HEADER + length
        if end > size and length + _HEADER <= room:
            break
        if kind not in _SEEDS or length + _HEADER > room or crc32(data[at + 7 : end], _SEEDS[kind]) != checksum:
            what = f"is damaged at byte {at}: the rest of its block of 32 kB cannot be read"
            troubles.append(Trouble(str(file), what, "Everything else is read. Copy the file again if you can."))
            at, held = at + room, None
            continue
        payload = data[at + 7 : end]
        if kind == _FULL:
            yield payload
        elif kind == _FIRST:
            held = [payload]
        elif held is not None:
            held.append(payload)
            if kind == _LAST:
                yield b"".join(held)
                held = None
        at = end
    if at < size or held is not None:
        what = f"ends within a record at byte {min(at, size)}: everything before it is read"
        troubles.append(Trouble(str(file), what, "Import again once the run has gone on."))
