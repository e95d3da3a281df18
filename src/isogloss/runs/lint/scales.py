"""Numbers that are possible one by one and not together: swapped columns, steps or seconds for tokens, perplexities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from isogloss.runs.lint import codes
from isogloss.runs.lint.compute import own_share
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.losses import learnt
from isogloss.runs.lint.sheet import Sheet

# Published runs lie between 0.01 (a large model on little data) and some ten thousand tokens per parameter.
FEWEST, MOST = 0.01, 1e6
# ln of 250,000: a model that guesses among the largest vocabularies is better.
PERPLEXITY = 12.4
TARGET_TOLERANCE = 0.03


def tokens_per_parameter(sheet: Sheet) -> Iterator[Found]:
    """Judged at the end of each run: its first points have few tokens by right."""
    size = next((c for c in ("params_total", "params_non_embedding") if sheet.has(c)), None)
    if size is None or not sheet.has("tokens"):
        return
    D = sheet.array("tokens")
    if sheet.has("run_id"):
        longest = pl.when(pl.col("run_id").is_null()).then("tokens").otherwise(pl.col("tokens").max().over("run_id"))
        D = sheet.frame.select(longest.alias("D"))["D"].fill_null(np.nan).to_numpy()
    ratio = D / sheet.array(size)
    judged = sheet.used & ~sheet.ghost
    for off, what in (
        (ratio < FEWEST, f"fewer than {FEWEST:g} tokens per parameter (down to {{extent}})"),
        (ratio > MOST, f"more than {MOST:,.0f} tokens per parameter (up to {{extent}})"),
    ):
        off &= judged & (ratio > 0)
        if off.any():
            show = _least if what.startswith("fewer") else _greatest
            extent = float(ratio[off].min()), float(ratio[off].max())
            yield from codes.TOKENS_PER_PARAMETER.finding(
                sheet, off, f"{{rows}} with {what}.", extent=extent, show=show
            )


def _least(low: float, _: float) -> str:
    return f"{low:.2g}"


def _greatest(_: float, high: float) -> str:
    return f"{high:.2g}"


def tokens_of_target(sheet: Sheet) -> Iterator[Found]:
    """Runs whose languages end at different tokens, and those in the proportion of their shares."""
    if not sheet.has("run_id", "target", "tokens") or not sheet.languages:
        return
    frame = sheet.frame.select("run_id", "target", "tokens", share=pl.Series(own_share(sheet)).fill_nan(None))
    ends = frame.filter(pl.Series(sheet.used & ~sheet.ghost), pl.col("share") > 0).drop_nulls()
    ends = ends.group_by("run_id", "target").agg(pl.col("tokens").max(), pl.col("share").last())

    def spread(values: pl.Expr) -> pl.Expr:
        return values.max() / values.min() - 1

    whole = pl.col("tokens") / pl.col("share")
    wrong = ends.group_by("run_id").agg(spread(pl.col("tokens")).alias("differ"), spread(whole).alias("whole"))
    wrong = wrong.filter(pl.col("differ") > 4 * TARGET_TOLERANCE, pl.col("whole") < TARGET_TOLERANCE)
    which = sheet.frame["run_id"].is_in(wrong["run_id"].implode()).fill_null(False)
    text = "{rows} of runs whose tokens differ from language to language as their shares do."
    yield from codes.TOKENS_OF_TARGET.finding(sheet, which, text)


def perplexities(sheet: Sheet) -> Iterator[Found]:
    if sheet.has("vocab_size"):
        return
    unit = sheet.frame["unit"].fill_null("")
    loss = sheet.array("loss")
    above = (unit == "nats/token").to_numpy() & np.isfinite(loss) & (loss > PERPLEXITY) & sheet.used & learnt(sheet)
    text = f"the loss of {{rows}} is above {PERPLEXITY:g}: worse than guessing with any vocabulary."
    yield from codes.LOSS_ABOVE_UNIFORM.finding(sheet, above, text)


CHECKS = (tokens_per_parameter, tokens_of_target, perplexities)
