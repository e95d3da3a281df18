"""Runs with several points: spikes, collapses, and losses that end above where they began."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.lint import codes
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.losses import unseen
from isogloss.runs.lint.sheet import Sheet

SPIKE = 1.2
BACK = 1.1
ABOVE = 1.02
LEAST_POINTS = 4


def shapes(sheet: Sheet) -> Iterator[Found]:
    """Of each curve by tokens: points above the lowest so far that come back, or that do not."""
    if not sheet.has("run_id", "tokens"):
        return
    loss, D = sheet.array("loss"), sheet.array("tokens")
    units = sheet.frame["unit"].fill_null("metric")
    usable = np.isfinite(loss) & np.isfinite(D) & (loss > 0) & ~units.is_in(["metric", "unigram-normalised"]).to_numpy()
    usable &= sheet.used & sheet.frame["run_id"].is_not_null().to_numpy()
    # The loss of a language that is not trained on may do anything.
    usable &= ~unseen(sheet)
    frame = pl.DataFrame({"i": np.arange(len(sheet)), "g": sheet.curve, "D": D, "loss": loss}).filter(pl.Series(usable))
    frame = frame.filter(pl.len().over("g") >= LEAST_POINTS).sort("g", "D", maintain_order=True)
    if frame.is_empty():
        return
    value = pl.col("loss")
    frame = frame.with_columns(
        lowest=value.cum_min().shift(1).over("g"),
        later=value.cum_min(reverse=True).over("g"),
        first=value.first().over("g"),
        last=value.last().over("g"),
    )
    high = pl.col("loss") > SPIKE * pl.col("lowest")
    back = pl.col("later") <= BACK * pl.col("lowest")
    diverged = pl.col("last") > ABOVE * pl.col("first")
    # Above the start and not back below it.
    above = diverged & (pl.col("later") > pl.col("first"))
    frame = frame.with_columns(
        spike=high & back & ~above,
        above=above & (pl.col("loss") > pl.col("first")),
        # From the jump to the end, whatever is learnt again on the way.
        rises=high.cum_max().over("g") & (value > BACK * pl.col("lowest")) & ~back & ~diverged,
    )
    for name, code, text in (
        ("above", codes.LOSS_ABOVE_START, "{rows} of curves that end above their first value."),
        (
            "spike",
            codes.LOSS_SPIKE,
            f"the loss of {{rows}} is more than {SPIKE:g} times above the lowest loss before, and back later.",
        ),
        (
            "rises",
            codes.LOSS_RISES,
            f"{{rows}} of curves that jump more than {SPIKE:g} times above their lowest loss and stay up.",
        ),
    ):
        mask = np.zeros(len(sheet), bool)
        mask[frame.filter(pl.col(name))["i"].to_numpy()] = True
        yield from code.finding(sheet, mask, text)


CHECKS = (shapes,)
