"""What a token is worth when its text is seen again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from isogloss import RunTable, fit_languages
from isogloss.report import save
from questions.tables import Tables, kept, shares_of, unique_of

# At which little text was tried.
SIZE = 332_448
# Seen ten times in the longest runs.
TENFOLD = 400_000.0


def answer(tables: Tables) -> dict[str, Any]:
    alone = kept(tables.main, [len(one) == 1 for one in shares_of(tables.main)])
    repeated = {t for t, u in zip(alone.frame["target"], unique_of(alone), strict=True) if u and u < 500_000}
    table = kept(alone, alone.frame["target"].is_in(sorted(repeated)).to_list())
    out: dict[str, Any] = {"languages": sorted(repeated), **_losses(table)}
    for law in ("data-constrained", "atlas-own"):
        fits = fit_languages(law, table, params="non_embedding", across="pooled")
        save(fits, tables.out / f"repetition-{law}.html")
        out["level"] = next(iter(fits.fits.values())).level
        out[law] = {
            language: {e.name: [e.value, e.low, e.high] for e in found.coefficients}
            for language, found in fits.fits.items()
        }
    return out


def _losses(table: RunTable) -> dict[str, Any]:
    """By language and unique text the losses after so many tokens, of the size that has most; means over seeds."""
    frame = table.frame.with_columns(U=pl.Series(unique_of(table))).filter(pl.col("params_non_embedding") == SIZE)
    means = frame.group_by("target", "U", "tokens").agg(pl.col("loss").mean())
    tokens = sorted(means["tokens"].unique())
    curves = []
    for (target, U), one in sorted(means.group_by("target", "U")):
        seen = dict(one.select("tokens", "loss").iter_rows())
        losses = [seen.get(count) for count in tokens]
        curves.append({"target": target, "U": U, "losses": losses, "turns": _turn(U, seen)})
    return {"shown": SIZE, "tokens": tokens, "curves": curves, "ten_epochs": _ten_epochs(curves)}


def _turn(U: float, seen: Mapping[float, float]) -> dict[str, float | None]:
    """Epochs after which the loss is least, and the next at which it is higher; None where it still falls."""
    counts = sorted(seen)
    best = min(counts, key=seen.__getitem__)
    after = counts[counts.index(best) + 1 :]
    return {"least_at": best / U, "higher_at": after[0] / U if after else None}


def _ten_epochs(curves: list[dict[str, Any]]) -> dict[str, float]:
    """What ten epochs of 400,000 bytes lose against as many tokens of all the text there is, two or three epochs."""
    lost = {}
    for target in sorted({one["target"] for one in curves}):
        losses = {one["U"]: one["losses"][-1] for one in curves if one["target"] == target}
        lost[target] = losses[TENFOLD] - losses[max(losses)]
    return lost
