"""Losses that are none, and losses that their neighbours contradict."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.lint import codes
from isogloss.runs.lint.compute import own_share
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.sheet import Sheet
from isogloss.units import LN2

OUTLIER_FACTOR = 2.0
LOW_FACTOR = 1.5
OUTLIER_PEERS = 5
# Comparing every row with every larger one takes time with the square of the rows.
OUTLIER_ROWS = 20_000


def nan(sheet: Sheet) -> Iterator[Found]:
    loss = sheet.frame["loss"]
    broken = loss.is_nan() | loss.is_infinite()
    judged = broken.fill_null(False).to_numpy() & sheet.used & ~sheet.ghost
    yield from codes.NAN_LOSS.finding(sheet, judged, "{rows} whose loss is NaN or infinite.")


def empty(sheet: Sheet) -> Iterator[Found]:
    none = sheet.frame["loss"].is_null().to_numpy() & ~sheet.unreadable("loss") & sheet.used & ~sheet.ghost
    yield from codes.NO_LOSS.finding(sheet, none, "{rows} without a loss.")


def uniform(sheet: Sheet) -> Iterator[Found]:
    if not sheet.has("vocab_size"):
        return
    unit = sheet.frame["unit"].fill_null("").to_numpy()
    scale = np.select([unit == "nats/token", unit == "bits/token"], [1.0, LN2], np.nan)
    above = sheet.array("loss") * scale > np.log(sheet.array("vocab_size"))
    judged = above & np.isfinite(sheet.array("loss")) & sheet.used & learnt(sheet)
    yield from codes.LOSS_ABOVE_UNIFORM.finding(sheet, judged, "{rows} with a loss above that of guessing.")


def unseen(sheet: Sheet) -> np.ndarray:
    """Rows whose language has no share in the run `(n,)`."""
    if not sheet.has("target") or not sheet.languages:
        return np.zeros(len(sheet), bool)
    return own_share(sheet) == 0


def learnt(sheet: Sheet) -> np.ndarray:
    """Rows that should know something of their language `(n,)`: the last point of each curve whose run has seen it."""
    seen = ~unseen(sheet)
    if not sheet.has("run_id", "tokens"):
        return seen
    D = pl.col("tokens")
    last = sheet.frame.select("tokens", g=pl.Series(sheet.curve)).select(last=(D.max().over("g") <= D).fill_null(True))
    return seen & (last["last"].to_numpy() | sheet.frame["run_id"].is_null().to_numpy())


def outliers(sheet: Sheet) -> Iterator[Found]:
    """Losses far above, or below, those of the runs that are at least as large and saw at least as many tokens."""
    size = next((c for c in ("params_total", "params_non_embedding") if sheet.has(c)), None)
    if size is None or not sheet.has("tokens"):
        return
    loss = sheet.array("loss")
    usable = np.isfinite(loss) & sheet.compared & np.isfinite(sheet.array(size)) & np.isfinite(sheet.array("tokens"))
    if (loss[usable] <= 0).any():
        return  # Several times the others' loss means nothing below zero.
    group = sheet.groups("target", "eval_set", "tokenizer", "unit")
    untrained = unseen(sheet)
    high, low = np.zeros(len(sheet), bool), np.zeros(len(sheet), bool)
    unchecked = False
    order = np.argsort(group[usable], kind="stable")
    at = np.flatnonzero(usable)[order]
    for members in np.split(at, np.flatnonzero(np.diff(group[at])) + 1):
        if len(members) > OUTLIER_ROWS:
            members = _ends(sheet, members)
        if len(members) > OUTLIER_ROWS:
            unchecked = True
            continue
        N, D, L = sheet.array(size)[members], sheet.array("tokens")[members], loss[members]
        # The loss of a language that a run never saw may be anything, and is no bound for that of one that did.
        seen = ~untrained[members]
        high[members[seen]] = _far_above_peers(N[seen], D[seen], L[seen])
        low[members[seen]] = _far_below_larger(N[seen], D[seen], L[seen])
    if unchecked:
        yield codes.OUTLIERS_UNCHECKED.of_table(
            f"losses were not searched for outliers: more than {OUTLIER_ROWS} rows of one target."
        )
    text = (
        f"the loss of {{rows}} is more than {OUTLIER_FACTOR:g} times the median of the runs "
        "that have at least that size and as many tokens."
    )
    yield from codes.HIGH_LOSS.finding(sheet, high, text)
    text = (
        f"the loss of {{rows}} is more than {LOW_FACTOR:g} times below the lowest of runs that are larger and longer."
    )
    yield from codes.LOW_LOSS.finding(sheet, low, text)


def _ends(sheet: Sheet, members: np.ndarray) -> np.ndarray:
    """The last point of each curve: of long curves, only these are compared."""
    frame = pl.DataFrame({"i": members, "g": sheet.curve[members], "D": sheet.array("tokens")[members]})
    return frame.sort("g", "D").group_by("g", maintain_order=True).last()["i"].to_numpy()


def _far_above_peers(N: np.ndarray, D: np.ndarray, loss: np.ndarray) -> np.ndarray:
    high = np.zeros(len(loss), dtype=bool)
    # No median is below the smallest loss, so the others need no search.
    for i in np.flatnonzero(loss > OUTLIER_FACTOR * loss.min(initial=np.inf)):
        peers = (N[i] <= N) & (D[i] <= D)
        peers[i] = False
        if peers.sum() >= OUTLIER_PEERS:
            high[i] = loss[i] > OUTLIER_FACTOR * np.median(loss[peers])
    return high


def _far_below_larger(N: np.ndarray, D: np.ndarray, loss: np.ndarray) -> np.ndarray:
    low = np.zeros(len(loss), dtype=bool)
    # A row that is not far below most of the table is not far below its larger part.
    for i in np.flatnonzero(loss * LOW_FACTOR < np.median(loss)) if len(loss) else ():
        larger = (N[i] <= N) & (D[i] <= D)
        larger[i] = False
        if larger.sum() >= OUTLIER_PEERS:
            low[i] = loss[i] * LOW_FACTOR < loss[larger].min()
    return low


CHECKS = (nan, empty, uniform, outliers)
BETWEEN_RUNS = (outliers,)
