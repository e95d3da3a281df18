"""Parameters against the architecture that they are said to count."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.architecture import Architecture
from isogloss.runs.lint import codes
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.sheet import Sheet

TOLERANCE = 0.05
COUNTS = ("params_total", "params_non_embedding")
_WIDTHS = ("layers", "d_model", "d_ff", "heads", "kv_heads", "d_head", "vocab_size")
_PARTS = (*_WIDTHS, "tied", "context_length", "shape")
_SHAPE = re.compile(r"L(\d+)-d(\d+)-f(\d+)-h(\d+)(?::(\d+))?x(\d+)-v(\d+)(-untied)?")

Range = tuple[float, float]


def parameters(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has(*COUNTS):
        return
    more = sheet.array("params_non_embedding") > sheet.array("params_total")
    message = "{rows} with more non-embedding parameters than parameters in total."
    yield from codes.PARAMS_ORDER.finding(sheet, more, message)


def architecture(sheet: Sheet) -> Iterator[Found]:
    """Against each size that the layers, widths and vocabulary of the row allow, with what is not said left open."""
    counts = [c for c in COUNTS if sheet.has(c)]
    if not counts or sheet.has("experts") or not (sheet.has("layers", "d_model") or sheet.has("shape")):
        return
    columns = [*(c for c in _PARTS if sheet.has(c)), *counts]
    distinct = sheet.frame.select(columns).unique(maintain_order=True)
    verdicts = [_judge(row) for row in distinct.iter_rows(named=True)]
    judged = distinct.with_columns(__verdict=pl.Series(verdicts, dtype=pl.Int8))
    verdict = sheet.frame.join(judged, on=columns, how="left", nulls_equal=True, maintain_order="left")["__verdict"]
    swapped = np.zeros(len(sheet), bool)
    if len(counts) == 2:
        swapped = sheet.array(COUNTS[1]) > sheet.array(COUNTS[0])
    message = "{rows} whose N is neither count of the architecture beside it."
    yield from codes.PARAMS_MISMATCH.finding(sheet, (verdict == 2) & ~pl.Series(swapped), message)
    message = "{rows} whose N is the other count of the architecture beside it."
    yield from codes.PARAMS_WHICH.finding(sheet, (verdict == 1) & ~pl.Series(swapped), message)


def _judge(row: dict) -> int:
    """0 as it should be or not to be told, 1 the other count, 2 neither."""
    if (ranges := _sizes(row)) is None:
        return 0
    inner, totals = ranges
    worst = 0
    for column, right, other in (("params_total", totals, inner), ("params_non_embedding", inner, totals)):
        N = row.get(column)
        if N is None or _inside(N, right):
            continue
        if not totals:
            worst = max(worst, 2 if inner[0][0] * (1 - TOLERANCE) > N else 0)
        else:
            worst = max(worst, 1 if _inside(N, other) else 2)
    return worst


def _inside(N: float, ranges: list[Range]) -> bool:
    return any(low * (1 - TOLERANCE) <= N <= high * (1 + TOLERANCE) for low, high in ranges)


def _sizes(row: dict) -> tuple[list[Range], list[Range]] | None:
    """What the model may count without embeddings and in total, as ranges; no total where the vocabulary is unknown."""
    if match := _SHAPE.fullmatch(str(row.get("shape") or "")):
        *numbers, untied = match.groups()
        layers, d_model, d_ff, heads, kv_heads, d_head, vocab = (int(n) if n else None for n in numbers)
        row = {**row, "layers": layers, "d_model": d_model, "d_ff": d_ff, "heads": heads, "kv_heads": kv_heads}
        row |= {"d_head": d_head, "vocab_size": vocab, "tied": untied is None}
    part = {name: _whole(row.get(name)) for name in (*_WIDTHS, "context_length")}
    if not (part["layers"] and part["d_model"]):
        return None
    layers, d_model = part["layers"], part["d_model"]
    heads = part["heads"] or max(d_model // 64, 1)
    d_head = part["d_head"] or max(d_model // heads, 1)
    kv_heads = [part["kv_heads"]] if part["kv_heads"] else [heads, 1]
    d_ff, vocab = part["d_ff"] or 4 * d_model, part["vocab_size"]
    models = [
        Architecture(layers, d_model, d_ff, heads, d_head, vocab or 1, kv_heads=k, tied=True)
        for k in kv_heads
        if heads % k == 0
    ]
    if not models:
        return None
    # A feed-forward block may have two matrices or three; other norms and biases are within the tolerance.
    two = [m.params_non_embedding - m.params_feed_forward // 3 for m in models]
    inner = (float(min(two)), float(max(m.params_non_embedding for m in models)))
    if not vocab:
        return [inner], []
    embedding, positions = vocab * d_model, part["context_length"] * d_model
    tied = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}.get(
        str(row.get("tied")).lower()
    )
    copies = [1, 2] if tied is None else [1 if tied else 2]
    return [inner], [(inner[0] + n * embedding, inner[1] + n * embedding + positions) for n in copies]


def _whole(value: float | None) -> int:
    """A count of the architecture; 0 where it is not known or cannot be one."""
    return int(value) if value is not None and 1 <= value < 1e8 else 0


CHECKS = (parameters, architecture)
