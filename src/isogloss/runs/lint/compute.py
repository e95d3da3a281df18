"""Tokens, steps, compute and epochs against one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.columns import SHARE, UNIQUE
from isogloss.runs.lint import codes
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.sheet import Sheet
from isogloss.units import training_flops

FLOPS_FACTOR = 1.5
EPOCHS_TOLERANCE = 0.02
TOKENS_TOLERANCE = 0.05
UNIQUE_TOLERANCE = 0.1
# Rows that are merely in another order fall often; a counter that restarts falls once or a few times.
MOST_RESTARTS, LEAST_POINTS = 3, 6


def missing(sheet: Sheet) -> Iterator[Found]:
    """Known in every row or in none, as reading wants it."""
    judged = sheet.used & ~sheet.ghost
    for column in ("params_total", "params_non_embedding", "tokens", "target"):
        if not sheet.has(column):
            continue
        empty = sheet.frame[column].is_null().to_numpy() & ~sheet.unreadable(column)
        # Tokens that were taken from compute are told by the cells that they were taken from.
        derived = column == "tokens" and sheet.unread and "tokens" not in sheet.unread
        if not sheet.blank(column) and not derived:
            text = f"{{rows}} whose {sheet.name(column)} is empty."
            yield from codes.MISSING_VALUE.finding(sheet, empty & judged, text)
    if sheet.has("steps", "batch_tokens") and not sheet.has("tokens"):
        yield codes.NO_TOKENS.of_table("there is no column of tokens, but steps and batch_tokens.")
    if sheet.has("flops"):
        empty = sheet.frame["flops"].is_null().to_numpy() & ~sheet.unreadable("flops")
        if not sheet.blank("flops"):
            yield from codes.MISSING_FLOPS.finding(sheet, empty & judged, "{rows} whose flops are empty.")


def flops(sheet: Sheet) -> Iterator[Found]:
    sizes = [c for c in ("params_total", "params_non_embedding") if sheet.has(c)]
    if not sizes or not sheet.has("flops", "tokens"):
        return
    measured, D = sheet.array("flops"), sheet.array("tokens")
    expected = [training_flops(sheet.array(size), D) for size in sizes]
    if sheet.has("flops_per_token"):
        expected.append(sheet.array("flops_per_token") * D)
    # Attention and embeddings move C / 6ND by design: what comes closest to 1 is judged.
    ratios = np.abs(np.log(np.array([measured / C for C in expected])))
    nearest = np.fmin.reduce(ratios, axis=0)
    off = nearest > np.log(FLOPS_FACTOR)
    if off.any():
        text = f"flops of {{rows}} differ from 6 N D by more than {FLOPS_FACTOR:g} (up to {{extent}}) times."
        yield from codes.FLOPS_MISMATCH.finding(
            sheet, off, text, extent=(0.0, float(np.exp(np.nanmax(nearest)))), show=_greatest
        )


def steps(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has("steps", "batch_tokens", "tokens"):
        return
    D, batch = sheet.array("tokens"), sheet.array("batch_tokens")
    expected = sheet.array("steps") * batch
    off = np.abs(D - expected) > np.maximum(TOKENS_TOLERANCE * np.maximum(D, expected), 2 * batch)
    if off.any():
        worst = np.exp(np.nanmax(np.abs(np.log(D[off] / np.maximum(expected[off], 1.0)))))
        text = "tokens of {rows} are not steps x batch_tokens (up to {extent} times off)."
        yield from codes.TOKENS_MISMATCH.finding(sheet, off, text, extent=(0.0, float(worst)), show=_greatest)


def _greatest(_: float, high: float) -> str:
    return f"{high:.3g}"


def counters(sheet: Sheet) -> Iterator[Found]:
    """Tokens that fall while the steps of a run, or its rows in the file, go on."""
    if not sheet.has("run_id", "tokens"):
        return
    by_steps = sheet.has("steps")
    usable = sheet.frame["tokens"].is_not_null() & sheet.frame["run_id"].is_not_null()
    if by_steps:
        usable &= sheet.frame["steps"].is_not_null()
    columns = ["tokens", "loss", *(["steps"] if by_steps else [])]
    frame = sheet.frame.select(*columns, g=pl.Series(sheet.curve)).with_row_index("i")
    frame = frame.filter(usable).sort(["g", "steps"] if by_steps else ["g"], maintain_order=True)
    drop = pl.col("tokens") < pl.col("tokens").shift(1).over("g")
    if by_steps:
        # Points logged at one step have no order among them.
        drop &= pl.col("steps") > pl.col("steps").shift(1).over("g")
    frame = frame.with_columns(drop=drop.fill_null(False))
    if not by_steps:
        few = (pl.col("drop").sum().over("g") <= MOST_RESTARTS) & (pl.len().over("g") >= LEAST_POINTS)
        # The loss of a run that goes on does not go back with its counter; that of rows in another order does.
        first, last = pl.col("loss").first().over("g"), pl.col("loss").shift(1).over("g")
        goes_on = (pl.col("loss") < (first + last) / 2) & (pl.col("tokens") <= 2 * pl.col("tokens").min().over("g"))
        frame = frame.with_columns(back=pl.col("drop") & ~goes_on.fill_null(False))
        frame = frame.with_columns(pl.col("drop") & few & ~pl.col("back").any().over("g"))
    # What follows a restart lacks what was seen before it, to the end.
    frame = frame.with_columns(late=pl.col("drop").cum_max().over("g"))
    mask = np.zeros(len(sheet), bool)
    mask[frame.filter(pl.col("late"))["i"].to_numpy()] = True
    going = "steps" if by_steps else "rows"
    yield from codes.COUNTER_RESTART.finding(
        sheet, mask, f"tokens of {{rows}} follow a fall to fewer tokens, while {going} go on."
    )


def target_tokens(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has("target", "target_tokens", "tokens") or not sheet.languages:
        return
    share = own_share(sheet)
    stated, D = sheet.array("target_tokens"), sheet.array("tokens")
    expected = share * D
    off = np.abs(stated - expected) > np.maximum(TOKENS_TOLERANCE * np.maximum(stated, expected), 0.002 * D)
    text = "target_tokens of {rows} are not share x tokens."
    yield from codes.TARGET_TOKENS.finding(sheet, off & ~bad_mixture(sheet), text)


def own_share(sheet: Sheet) -> np.ndarray:
    """The share of each row's own target `(n,)`; NaN where it has no column."""
    share = np.full(len(sheet), np.nan)
    target = sheet.frame["target"].fill_null("")
    for name in sheet.languages:
        at = (target == name).to_numpy()
        share[at] = sheet.array(SHARE + name)[at]
    return share


def bad_mixture(sheet: Sheet) -> np.ndarray:
    """Rows whose shares do not sum to 1 and are told for that."""
    if not sheet.languages:
        return np.zeros(len(sheet), bool)
    return np.abs(np.nansum(sheet.matrix(SHARE), axis=1) - 1) > 0.02


def epochs(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has("tokens", "unique_tokens"):
        return
    passes = sheet.array("tokens") / sheet.array("unique_tokens")
    text = "{rows} with more unique tokens than tokens: less than one epoch."
    yield from codes.PARTIAL_EPOCH.finding(sheet, passes < 1, text)
    if sheet.has("epochs"):
        off = np.abs(sheet.array("epochs") / passes - 1) > EPOCHS_TOLERANCE
        text = f"epochs of {{rows}} differ from tokens / unique_tokens by more than {EPOCHS_TOLERANCE:.0%}."
        yield from codes.EPOCHS.finding(sheet, off, text)


def unique(sheet: Sheet) -> Iterator[Found]:
    parts = [c for c in sheet.frame.columns if c.startswith(UNIQUE)]
    if not parts or not sheet.has("unique_tokens"):
        return
    total, complete = np.zeros(len(sheet)), np.ones(len(sheet), bool)
    for name in sheet.languages or [c.removeprefix(UNIQUE) for c in parts]:
        trained = sheet.array(SHARE + name) > 0 if sheet.languages else np.ones(len(sheet), bool)
        tokens = sheet.array(UNIQUE + name)
        complete &= ~(trained & np.isnan(tokens))
        total += np.where(trained, np.nan_to_num(tokens), 0.0)
    off = (np.abs(sheet.array("unique_tokens") / np.where(total > 0, total, np.nan) - 1) > UNIQUE_TOLERANCE) & complete
    text = f"unique_tokens of {{rows}} differ from the sum over languages by more than {UNIQUE_TOLERANCE:.0%}."
    yield from codes.UNIQUE_MISMATCH.finding(sheet, off, text)


CHECKS = (missing, flops, steps, counters, target_tokens, epochs, unique)
