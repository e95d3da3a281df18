"""Curves thinned for a picture: in each bin of the logarithm of tokens the lowest and the highest point stay, so that a
spike of a single point is still seen; and the first and the last of the curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

LEAST_BINS, MOST_BINS = 12, 120
KEY = ("run", "target", "curve")


@dataclass(frozen=True, eq=False)
class Thinned:
    """`frame`: run, target, curve, tokens, loss, sorted. `points` that these curves
    have, `curves` drawn of `of`."""

    frame: pl.DataFrame
    points: int
    curves: int
    of: int


def thin(points: pl.LazyFrame, curves: pl.DataFrame, *, of: int, most: int) -> Thinned:
    """The points of `curves` (columns run, target and curve), about `most` in all."""
    bins = min(MOST_BINS, max(LEAST_BINS, math.floor(most / (2 * max(1, curves.height)))))
    place = pl.col("tokens").log()
    span = (place.max() - place.min()).over(KEY)
    place_of = ((place - place.min().over(KEY)) / pl.when(span > 0).then(span).otherwise(1.0) * bins).floor()
    chosen = points.join(curves.select(KEY).lazy(), on=KEY, how="semi").collect(engine="streaming")

    def point(at: pl.Expr) -> pl.Expr:
        return pl.struct(pl.col("tokens").get(at), pl.col("loss").get(at))

    loss, tokens = pl.col("loss"), pl.col("tokens")
    extremes = (
        chosen.with_columns(bin=place_of)
        .group_by(*KEY, "bin")
        .agg(low=point(loss.arg_min()), high=point(loss.arg_max()))
    )
    ends = chosen.group_by(KEY).agg(low=point(tokens.arg_min()), high=point(tokens.arg_max()))
    both = pl.concat([extremes.drop("bin"), ends])
    kept = pl.concat([both.select(*KEY, point=c).unnest("point") for c in ("low", "high")])
    return Thinned(kept.unique().sort("target", "run", "curve", "tokens", "loss"), chosen.height, curves.height, of)


def sample(curves: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most `most` rows of a frame of curve, N and D, evenly over sizes and lengths; always the same ones."""
    ordered = curves.sort("N", "D", "curve", nulls_last=True)
    if ordered.height <= most:
        return ordered
    return ordered[[round(i * (ordered.height - 1) / (most - 1)) for i in range(most)]]
