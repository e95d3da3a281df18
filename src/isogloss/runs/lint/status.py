"""Runs that must not enter a fit, rows that are there twice, and runs that share a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from isogloss.runs.columns import SHARE
from isogloss.runs.lint import codes
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.sheet import NEVER_RAN, STOPPED, Sheet
from isogloss.runs.read import FINISHED

FLAGS = ("use", "keep", "include", "in_fit", "in_published_fit")

# A run may end a little early: schedulers round steps down.
COMPLETE = 0.98
_PLANNED = (("steps", "max_steps"), ("tokens", "max_tokens"))
# What a run has only one of.
_FIXED = ("params_total", "params_non_embedding", "vocab_size", "tokenizer", "shape", "d_model", "layers")


def ghosts(sheet: Sheet) -> Iterator[Found]:
    said = sheet.ghost & ~sheet.used
    yield from codes.GHOST.finding(sheet, said, "{rows} of runs that never ran, by their status.", severity="warning")
    yield from codes.GHOST.finding(
        sheet, sheet.ghost & sheet.used, "{rows} without loss and tokens: listed, never ran."
    )


def unfinished(sheet: Sheet) -> Iterator[Found]:
    short = {f"fewer {c} than {sheet.name(m)}": _short(sheet, c, m) for c, m in _PLANNED}
    stopped = _has_status(sheet, STOPPED)
    if stopped.any() or any(which.any() for which in short.values()):
        said = sorted(set(sheet.frame["status"].filter(pl.Series(stopped)))) if stopped.any() else []
        names = (*(f"status {word}" for word in said), *(text for text, which in short.items() if which.any()))
        yield from codes.UNFINISHED.finding(
            sheet,
            np.logical_or.reduce([stopped, *short.values()]),
            "{rows} of unfinished runs: {names}.",
            names=names,
            most_names=9,
        )


def _short(sheet: Sheet, counter: str, planned: str) -> np.ndarray:
    if not sheet.has(counter, planned, "run_id"):
        return np.zeros(len(sheet), bool)
    reached = sheet.frame.select(pl.col(counter).max().over("run_id"))[counter].fill_null(np.nan).to_numpy()
    return (reached < COMPLETE * sheet.array(planned)) & sheet.used & ~sheet.ghost


def diverged(sheet: Sheet) -> Iterator[Found]:
    yield from codes.DIVERGED.finding(sheet, _has_status(sheet, ("diverged",)), "{rows} with status diverged.")


def unknown_status(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has("status"):
        return
    known = (*FINISHED, *STOPPED, *NEVER_RAN, "diverged")
    unknown = (~sheet.status.is_in(known)).fill_null(False)
    if unknown.any():
        names = tuple(repr(s) for s in sheet.frame["status"].filter(unknown).unique(maintain_order=True))
        text = "{rows} with the unknown status {names}."
        yield from codes.UNKNOWN_STATUS.finding(sheet, unknown, text, names=names, most_names=4)


def _has_status(sheet: Sheet, words: tuple[str, ...]) -> np.ndarray:
    if not sheet.has("status"):
        return np.zeros(len(sheet), bool)
    return sheet.status.is_in(words).fill_null(False).to_numpy()


def flagged(sheet: Sheet) -> Iterator[Found]:
    for column in FLAGS:
        if not sheet.has(column):
            continue
        values = sheet.frame[column]
        truth = values.dtype == pl.Boolean
        if values.dtype == pl.String:
            lower = values.str.to_lowercase()
            truth = bool(lower.drop_nulls().is_in(["true", "false"]).all())
            zero = lower.is_in(["false", "0", "0.0"]).fill_null(False)
        elif truth or values.dtype.is_numeric():
            zero = (values.cast(pl.Float64) == 0).fill_null(False)
        else:
            continue
        shown, kept = ("false", "true") if truth else ("0", "1")
        cure = f"--where {column}={kept} leaves them out."
        yield from codes.FLAGGED.finding(sheet, zero, f"{{rows}} with {column}={shown}.", cure)


def nameless(sheet: Sheet) -> Iterator[Found]:
    if sheet.has("run_id") and not sheet.blank("run_id"):
        yield from codes.NO_RUN_ID.finding(sheet, sheet.frame["run_id"].is_null(), "{rows} without a run_id.")


def duplicates(sheet: Sheet) -> Iterator[Found]:
    """Rows for one run, target, evaluation set and point in training: the same loss twice, or two losses."""
    if not sheet.has("run_id"):
        return
    key = [c for c in ("run_id", "target", "tokens", "eval_set") if sheet.has(c)]
    counted = [*key, *(c for c in ("steps",) if sheet.has(c)), "unit"]
    # The phase tells a finished model from the point of its trunk at the same tokens.
    counted += [c for c in ("lr_phase",) if sheet.has(c)]
    known = pl.Series(sheet.used & ~sheet.ghost) & sheet.frame["run_id"].is_not_null()
    if "tokens" in key:
        known &= sheet.frame["tokens"].is_not_null()
    # Of many rows few share curve and point: only those are compared column by column.
    points = {c: sheet.frame[c] for c in ("tokens", "steps") if sheet.has(c)}
    known &= pl.DataFrame({"curve": sheet.curve, **points}).hash_rows().is_duplicated()
    frame = sheet.frame.filter(known)
    counts = frame.select(repeated=pl.len().over(counted) > 1, same=pl.len().over([*counted, "loss"]) > 1)
    if not counts["repeated"].any():
        return
    at = known.arg_true()
    for which, code, text in (
        (counts["same"], codes.DUPLICATE, "{rows} with the %s and loss of another."),
        (counts["repeated"] & ~counts["same"], codes.CONFLICTING, "{rows} with the %s of another, but another loss."),
    ):
        mask = np.zeros(len(sheet), bool)
        mask[at.filter(which).to_numpy()] = True
        yield from code.finding(sheet, mask, text % ", ".join(key))


def copied_runs(sheet: Sheet) -> Iterator[Found]:
    """The same loss to its last digit in another run of the same size and length."""
    key = copied_key(sheet.frame.columns)
    if not sheet.has("run_id") or not {"tokens"} & {*key}:
        return
    loss = sheet.frame["loss"]
    frame = sheet.frame.filter(pl.col("used") & precise(pl.col("loss")))
    # Few losses are shared at all: only among those are the other columns compared.
    frame = frame.filter(pl.col("loss").is_duplicated())
    if frame.is_empty():
        return
    runs = pl.col("run_id").n_unique().over([*key, "loss", "unit"])
    copied = frame.filter(runs > 1)
    mask = sheet.frame["row"].is_in(copied["row"].implode()) & loss.is_in(copied["loss"].implode())
    names = tuple(copied["run_id"].drop_nulls().unique(maintain_order=True).to_list())
    text = "{rows} with the loss of another run: {names}."
    yield from codes.COPIED_RUN.finding(sheet, mask, text, names=names, most_names=4)


def copied_key(columns: Iterable[str]) -> list[str]:
    """Columns that are equal in a run and its copy."""
    columns = list(columns)
    key = [c for c in ("params_total", "params_non_embedding", "tokens", "target", "eval_set") if c in columns]
    return key + [c for c in columns if c.startswith(SHARE)]


def precise(loss: pl.Expr) -> pl.Expr:
    """Losses of so many digits that two runs hardly ever share one."""
    return (loss.is_finite() & ((loss * 1e3 - (loss * 1e3).round()).abs() > 1e-6)).fill_null(False)


def run_conflicts(sheet: Sheet) -> Iterator[Found]:
    columns = [c for c in _FIXED if sheet.has(c)]
    if not sheet.has("run_id") or not columns:
        return
    several = [(pl.col(c).drop_nulls().n_unique() > 1).alias(c) for c in columns]
    runs = sheet.frame.filter(pl.col("run_id").is_not_null()).group_by("run_id").agg(several)
    runs = runs.filter(pl.any_horizontal(columns))
    if runs.height:
        which = sheet.frame["run_id"].is_in(runs["run_id"].implode()).fill_null(False)
        named = ", ".join(sheet.name(c) for c in columns if runs[c].any())
        yield from codes.RUN_CONFLICT.finding(sheet, which, f"{{rows}} of runs with more than one {named}.")


CHECKS = (ghosts, unfinished, diverged, unknown_status, flagged, nameless, duplicates, copied_runs, run_conflicts)
BETWEEN_RUNS = (copied_runs,)
