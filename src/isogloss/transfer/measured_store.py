"""Measured transfer on disk: transfer.json for what it says, curves.parquet for the anchors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.files import new_folder
from isogloss.stores import local, mirrored
from isogloss.transfer.inversion import Inversion
from isogloss.transfer.measured import MeasuredTransfer
from isogloss.transfer.pair import PairTransfer
from isogloss.transfer.pairs import Refused

MARKER, CURVES = "transfer.json", "curves.parquet"
SCHEMA = 1
_ARRAYS = ("anchors", "sigma", "sigma_low", "sigma_high", "sigma_sd", "tokens_per_loss")


def save_measured(measured: MeasuredTransfer, folder: str | Path, pages: Mapping[str, str]) -> Path:
    """Write `measured` into `folder`, whole or not at all, and `pages` beside."""
    path = mirrored(folder)
    said = {
        "schema": SCHEMA,
        **{name: getattr(measured, name) for name in ("source", "unit", "level", "notes")},
        "problems": dict(measured.problems),
        "refused": [asdict(r) for r in measured.refused],
        "pairs": [_pair_said(p) for p in measured.pairs],
    }
    columns = {name: [v for p in measured.pairs for v in getattr(p.inversion, name)] for name in _ARRAYS}
    number = [i for i, p in enumerate(measured.pairs) for _ in p.anchors]
    curves = pl.DataFrame({"pair": number, **columns}, schema={"pair": pl.Int64, **dict.fromkeys(_ARRAYS, pl.Float64)})
    with new_folder(path, marker=MARKER) as temporary:
        (temporary / MARKER).write_text(json.dumps(said, indent=1, ensure_ascii=False), encoding="utf-8")
        curves.write_parquet(temporary / CURVES)
        for name, page in pages.items():
            (temporary / name).write_text(page, encoding="utf-8")
    return path


def load_measured(folder: str | Path) -> MeasuredTransfer:
    """Raises InputError if the folder is not whole, damaged, or of another schema."""
    path = Path(local(folder))
    for name in (MARKER, CURVES):
        if not (path / name).is_file():
            hint = "Give a folder that MeasuredTransfer.save wrote, or measure again."
            raise InputError(f"no measured transfer in {path}: {name} is not there", hint=hint)
    try:
        said = json.loads((path / MARKER).read_text(encoding="utf-8"))
        curves = pl.read_parquet(path / CURVES)
        schema = said["schema"]
        if schema == SCHEMA:
            return _from_said(said, curves)
    except (ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as broken:
        raise InputError(f"is damaged: {broken!r}", where=str(path), hint="Measure again.") from None
    raise InputError(f"schema {schema!r}, not {SCHEMA}", where=str(path), hint="Measure again.")


def _pair_said(pair: PairTransfer) -> dict[str, Any]:
    names = ("target", "source", "cell", "share", "noise", "points", "runs", "bytes_per_token", "notes")
    return {**{name: getattr(pair, name) for name in names}, "anchor": pair.anchor}


def _from_said(said: dict[str, Any], curves: pl.DataFrame) -> MeasuredTransfer:
    pairs = tuple(_pair(p, curves.filter(pl.col("pair") == i)) for i, p in enumerate(said["pairs"]))
    refused = tuple(Refused(**{**r, "runs": tuple(r["runs"]), "cell": _cell(r["cell"])}) for r in said["refused"])
    rest = {name: said[name] for name in ("problems", "source", "unit", "level")}
    return MeasuredTransfer(pairs=pairs, refused=refused, notes=tuple(said["notes"]), **rest)


def _pair(said: dict[str, Any], curve: pl.DataFrame) -> PairTransfer:
    arrays: dict[str, np.ndarray] = {name: curve[name].to_numpy() for name in _ARRAYS}
    if not len(arrays["anchors"]):
        raise ValueError(f"no anchors of {said['source']} -> {said['target']}")
    mono, pair = said["runs"]
    text = said["bytes_per_token"]
    return PairTransfer(
        target=said["target"],
        source=said["source"],
        cell=_cell(said["cell"]),
        share=said["share"],
        inversion=Inversion(**arrays, default=said["anchor"]),
        noise=said["noise"],
        points=(said["points"][0], said["points"][1]),
        runs=(tuple(mono), tuple(pair)),
        bytes_per_token=(text[0], text[1]) if text else None,
        notes=tuple(said["notes"]),
    )


def _cell(pairs: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in pairs)
