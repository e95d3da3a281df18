"""Losses in bits among losses in nats, where nothing says so: they stand off all others by the factor ln 2."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.lint import codes
from isogloss.runs.lint.compute import own_share
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.sheet import Sheet
from isogloss.units import LN2

_OFF = -float(np.log(LN2))
# Of log loss: how far from ln 2 a bit may stand, how close to their trend the others are, and that nothing is between.
NEAR, CLOSE = 0.07, 0.15
LEAST_ROWS, MOST_ROWS, MOST_OFF = 12, 20_000, 0.4


def bits_among_nats(sheet: Sheet) -> Iterator[Found]:
    """Against the trend of log loss with log N, log D and log share, per target."""
    size = next((c for c in ("params_total", "params_non_embedding") if sheet.has(c)), None)
    if size is None or not sheet.has("tokens"):
        return
    loss, N, D = sheet.array("loss"), sheet.array(size), sheet.array("tokens")
    share = own_share(sheet) if sheet.has("target") and sheet.languages else np.ones(len(sheet))
    unit = sheet.frame["unit"].is_in(["nats/token", "bits/token", "nats/byte", "bits/byte"]).fill_null(False).to_numpy()
    usable = sheet.compared & unit & np.isfinite(loss) & (loss > 0) & (N > 0) & (D > 0) & (share > 0)
    group = sheet.groups("target", "eval_set", "tokenizer", "unit", "lr_phase")
    off, judged = np.zeros(len(sheet), bool), np.zeros(len(sheet), bool)
    at = np.flatnonzero(usable)
    at = at[np.argsort(group[at], kind="stable")]
    for members in np.split(at, np.flatnonzero(np.diff(group[at])) + 1):
        if LEAST_ROWS <= len(members) <= MOST_ROWS:
            columns = np.log(np.stack([N[members], D[members], share[members]], axis=1))
            off[members] = _apart(columns, np.log(loss[members]))
            judged[members] = True
    if sheet.has("run_id") and off.any():
        # A run logs all its losses in one unit.
        frame = sheet.frame.select("run_id", off=pl.Series(off), judged=pl.Series(judged))
        off &= frame.select((pl.col("off") | ~pl.col("judged")).all().over("run_id"))["off"].to_numpy()
    text = "the loss of {rows} stands 1.44 times off what their N and D give in the other rows: bits beside nats?"
    yield from codes.OTHER_UNIT.finding(sheet, off, text)


def _apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows that stand ln 2 off the trend of the others `(n,)`; none where there is no clear gap between the two."""
    if np.ptp(y) < _OFF - NEAR:
        return np.zeros(len(y), bool)
    x = x[:, np.ptp(x, axis=0) > 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    for features in (x, np.hstack([x, x**2])):
        design = np.hstack([np.ones((len(x), 1)), features])
        if len(y) < 3 * design.shape[1]:
            continue
        rest = y - design @ _least_absolute(design, y)
        apart = np.abs(np.abs(rest) - _OFF) < NEAR
        close = np.abs(rest) < CLOSE
        one_side = len({*np.sign(rest[apart])}) == 1
        if one_side and apart.mean() <= MOST_OFF and (apart | close | (np.abs(rest) > 2 * _OFF)).all():
            return apart
    return np.zeros(len(y), bool)


def _least_absolute(design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients of the least sum of absolute residuals, by weights: those off the trend do not bend it."""
    weights = np.ones(len(y))
    coefficients = np.zeros(design.shape[1])
    for _ in range(50):
        weighted = design * weights[:, None]
        before = coefficients
        coefficients = np.linalg.lstsq(weighted.T @ design, weighted.T @ y, rcond=None)[0]
        if np.abs(coefficients - before).max() < 1e-5:
            break
        weights = 1 / np.maximum(np.abs(y - design @ coefficients), 1e-4)
    return coefficients


CHECKS = (bits_among_nats,)
