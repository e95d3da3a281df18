"""How many bytes of text a token is, by language and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.runs import RunTable
from isogloss.runs.names import canonical_name
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS, is_study
from isogloss.stores import local
from isogloss.transfer.cells import BYTES


@dataclass(frozen=True)
class TextBytes:
    """Bytes per token by (language, tokenizer); a tokenizer of None stands for all. `note` says where they are from."""

    values: Mapping[tuple[str, str | None], float]
    note: str = ""

    def of(self, language: str, tokenizer: str | None) -> float | None:
        return self.values.get((language, tokenizer), self.values.get((language, None)))


def find_bytes(table: RunTable, given: Mapping[str, float] | str | None, source: Any) -> TextBytes:
    """From a mapping by language, from the column named, from columns bytes_per_token:<language>, or from a study.

    A column is of its row's target and tokenizer. Of a study it is unique_bytes / unique_tokens where its exposure
    has both, else the evaluation text's: nats per token / (ln 2 x bits per byte). Raises InputError for an unknown
    column, and for numbers that are not positive.
    """
    if isinstance(given, str):
        return _from_column(table, given)
    if given is not None:
        return _checked({(canonical_name(k), None): float(v) for k, v in given.items()}, "as given")
    wide = {c: canonical_name(c.removeprefix(BYTES)) for c in table.frame.columns if c.startswith(BYTES)}
    if wide:
        return _from_wide(table, wide)
    source = local(source)
    if isinstance(source, str | Path) and is_study(Path(source)):
        return _from_study(Path(source))
    return TextBytes({})


def _from_column(table: RunTable, column: str) -> TextBytes:
    if column not in table.frame.columns:
        raise unknown_name("column", column, table.frame.columns, where="bytes_per_token")
    return _checked(_medians(table.frame.select(*_keys(table), bytes=column)), f"column {column!r} of each target")


def _from_wide(table: RunTable, wide: Mapping[str, str]) -> TextBytes:
    frames = [
        table.frame.select(*_keys(table)[1:], language=pl.lit(language), bytes=pl.col(column))
        for column, language in wide.items()
    ]
    return _checked(_medians(pl.concat(frames)), f"columns {BYTES}<language>")


def _keys(table: RunTable) -> list[pl.Expr]:
    tokenizer = "tokenizer" if "tokenizer" in table.frame.columns else pl.lit(None, pl.String)
    return [pl.col("target").alias("language"), (pl.col(tokenizer) if isinstance(tokenizer, str) else tokenizer)]


def _from_study(folder: Path) -> TextBytes:
    runs = pl.read_parquet(folder / RUNS)
    if "tokenizer" not in runs.columns:
        # Bytes per token are a tokenizer's.
        return TextBytes({})
    runs = runs.select("run_id", pl.col("tokenizer").cast(pl.String))
    exposure = pl.read_parquet(folder / EXPOSURE)
    if {"unique_bytes", "unique_tokens"} <= set(exposure.columns) and exposure["unique_bytes"].is_not_null().any():
        ratio = exposure.join(runs, on="run_id").select("language", "tokenizer", bytes=_ratio("unique_bytes"))
        return _checked(_medians(ratio), "unique_bytes / unique_tokens of the study's text")
    evals = pl.read_parquet(folder / EVALS)
    key = ["run_id", "tokens", "lr_phase", "language"]
    nats, bits = (evals.filter(pl.col("unit") == u).select(*key, "loss") for u in ("nats/token", "bits/byte"))
    both = nats.join(bits, on=key, suffix="_bits").join(runs, on="run_id")
    ratio = both.select("language", "tokenizer", bytes=pl.col("loss") / (np.log(2) * pl.col("loss_bits")))
    return _checked(_medians(ratio), "nats per token over bits per byte of the evaluation text")


def _ratio(column: str) -> pl.Expr:
    return pl.col(column) / pl.col("unique_tokens")


def _medians(frame: pl.DataFrame) -> dict[tuple[str, str | None], float]:
    grouped = frame.drop_nulls("bytes").group_by("language", "tokenizer").agg(pl.col("bytes").cast(pl.Float64).median())
    return {(language, tokenizer): value for language, tokenizer, value in grouped.iter_rows()}


def _checked(values: Mapping[tuple[str, str | None], float], note: str) -> TextBytes:
    for (language, _), value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"{value!r} bytes per token of {language}", where="bytes_per_token", hint="Above zero.")
    return TextBytes(values, f"bytes per token: {note}.")
