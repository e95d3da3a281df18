"""TensorBoard's event files: records of protobuf in TFRecord framing, their scalars decoded many at a time.

A record is its length (8 bytes), the length's masked CRC-32C (4), the data, and the data's masked CRC-32C (4):
https://www.tensorflow.org/tutorials/load_data/tfrecord. The data is an Event of tensorboard's event.proto. Writers log
millions of events that differ in time, step and value only, so those of one length are decoded as rows of a table,
and a library decodes one of each kind, to check that the table is read right, and everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Trouble
from isogloss.runs.importing.source_parts import library

_LENGTH = Struct("<Q")
# Rows decoded at once, to bound memory.
_CHUNK = 100_000
# Events of one kind from which a table pays.
_FEW = 8


@dataclass
class Events:
    """What a file holds: scalars as (place of the record, step, time, value) by tag, and all other events."""

    scalars: dict[str, list[tuple[np.ndarray, ...]]] = field(default_factory=dict)
    others: list[tuple[int, Any]] = field(default_factory=list)

    def add(self, tag: str, place: np.ndarray, step: np.ndarray, time: np.ndarray, value: np.ndarray) -> None:
        self.scalars.setdefault(tag, []).append((place, step, time, value))


def read_events(file: Path, troubles: list[Trouble]) -> Events:
    """Everything up to the end, or to the first damage, which is a Trouble that says at which byte."""
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(file)) from error
    proto = library("tensorboard.compat.proto.event_pb2", "TensorBoard's files")
    starts, lengths, end = _frames(data)
    good = _checked(data, starts, lengths)
    head = data[end : end + 12]
    if good < len(starts) or (len(head) == 12 and not _checked(data, np.asarray([end + 12]), np.asarray([-4]))):
        at = int(starts[good]) - 12 if good < len(starts) else end
        what = f"is damaged at byte {at}: everything before it is read"
        troubles.append(Trouble(str(file), what, "Copy the file again if you can; what follows cannot be found."))
        starts, lengths = starts[:good], lengths[:good]
    elif end < len(data):
        what = f"ends within a record at byte {end}: everything before it is read"
        troubles.append(Trouble(str(file), what, "Import again once the run has gone on."))
    events = Events()
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for at in range(0, len(places), _CHUNK):
            part = places[at : at + _CHUNK]
            _decode(_rows(data, starts[part], int(length)), part, proto.Event, events)
    events.others.sort(key=lambda item: item[0])
    return events


def _frames(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Where each record's data begins, how long it is, and where whole records end."""
    raw, size, at = data.data, len(data), 0
    unpack = _LENGTH.unpack_from
    starts: list[int] = []
    while at + 16 <= size:
        following = at + 16 + unpack(raw, at)[0]
        if following > size:
            break
        starts.append(at + 12)
        at = following
    found = np.asarray(starts, np.int64)
    return found, np.diff(np.append(found, at + 12)) - 16, at


def _rows(data: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """`(n, width)` bytes: those from each start on."""
    if not width or not len(starts):
        return np.empty((len(starts), width), np.uint8)
    return np.lib.stride_tricks.sliding_window_view(data, width)[starts]


# --- checksums ----------------------------------------------------------------------------------------------


def _table() -> np.ndarray:
    """CRC-32C (Castagnoli), byte by byte, reflected."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(0x82F63B78), crc >> 1)
    return crc.astype(np.uint32)


_CRC = _table()


def masked_crc32c(rows: np.ndarray) -> np.ndarray:
    """Of each row of bytes, `(n, width)` to `(n,)`, masked as TFRecord does it."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = _CRC[(crc ^ column) & 0xFF] ^ (crc >> np.uint32(8))
    crc = ~crc
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _checked(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> int:
    """How many records there are before the first whose checksums are wrong; of a length below 0, only that one's."""
    right = np.ones(len(starts), bool)
    for at in range(0, len(starts), _CHUNK):
        part = slice(at, at + _CHUNK)
        head = _rows(data, starts[part] - 12, 12)
        right[part] = masked_crc32c(head[:, :8]) == head[:, 8:].copy().view("<u4")[:, 0]
    for length in np.unique(lengths[lengths >= 0]):
        places = np.flatnonzero(right & (lengths == length))
        for at in range(0, len(places), _CHUNK):
            part = places[at : at + _CHUNK]
            rows = _rows(data, starts[part], int(length) + 4)
            right[part] = masked_crc32c(rows[:, :-4]) == rows[:, -4:].copy().view("<u4")[:, 0]
    wrong = np.flatnonzero(~right)
    return int(wrong[0]) if len(wrong) else len(starts)


# --- decoding -----------------------------------------------------------------------------------------------


def _decode(rows: np.ndarray, places: np.ndarray, event: Any, events: Events) -> None:
    """Records of one length: as tables where many are alike, else one by one."""
    left = np.ones(len(rows), bool)
    for mask, at, step in _shapes(rows):
        for same, tag in _kinds(rows, mask, at, event):
            time = rows[same, 1:9].copy().view("<f8")[:, 0]
            value = rows[same, -4:].copy().view("<f4")[:, 0].astype(float)
            events.add(tag, places[same], step[same], time, value)
            left[same] = False
    for i in np.flatnonzero(left):
        events.others.append((int(places[i]), event.FromString(rows[i].tobytes())))


def _shapes(rows: np.ndarray) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Rows that begin with a time and a step, by where the summary begins: a mask, that place, and all steps.

    0x09 is the tag of Event.wall_time, a double; 0x10 of Event.step, a varint, left out where it is zero; 0x2a of
    Event.summary; 0x15 of Value.simple_value, a float, here the last field.
    """
    if rows.shape[1] < 20:
        return
    scalar = (rows[:, 0] == 0x09) & (rows[:, -5] == 0x15)
    none = np.zeros(len(rows), np.int64)
    yield scalar & (rows[:, 9] == 0x2A), 9, none
    step = none.copy()
    going = scalar & (rows[:, 9] == 0x10)
    for k in range(min(9, rows.shape[1] - 16)):
        byte = rows[:, 10 + k]
        step |= np.where(going, (byte & 0x7F).astype(np.int64) << (7 * k), 0)
        done = going & (byte < 0x80)
        yield done & (rows[:, 11 + k] == 0x2A), 11 + k, step
        going &= ~done
        if not going.any():
            return


def _kinds(rows: np.ndarray, mask: np.ndarray, at: int, event: Any) -> Iterator[tuple[np.ndarray, str]]:
    """Among masked rows, those with the same bytes between step and value, and their tag."""
    chosen = np.flatnonzero(mask)
    while len(chosen) >= _FEW:
        head = rows[chosen[0], at:-4]
        alike = (rows[chosen, at:-4] == head).all(axis=1)
        same, chosen = chosen[alike], chosen[~alike]
        if len(same) >= _FEW and (tag := _tag(rows[same[0]], event)) is not None:
            yield same, tag
        elif len(same) < _FEW and len(chosen) > 50 * _FEW:
            # Many kinds of few events each: taken one by one they are read sooner.
            return


def _tag(row: np.ndarray, event: Any) -> str | None:
    """The tag of a record that is one scalar and nothing else, whose value is its last four bytes."""
    found = []
    for value in (0.5, -3.0):
        changed = row.copy()
        changed[-4:] = np.frombuffer(np.float32(value).tobytes(), np.uint8)
        one = event.FromString(changed.tobytes())
        values = one.summary.value
        if len(values) != 1 or values[0].simple_value != value:
            return None
        found.append(values[0].tag)
    return found[0]
