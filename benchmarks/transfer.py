"""Whether unmeasured transfer scores are predicted better than by means and forests, and with honest intervals.

    python benchmarks/transfer.py [--worlds 60] [--first 0] [--jobs 2] [--only SECTION] [--trusted] [--quick]

Simulated: 20 real languages a world, with their real features, and scores made of script, family, targets, sources, a
smooth function of distance and grammar, and what is of the pair alone; 5, 10 or 20 % of the pairs are measured, with
standard errors of 0.05 to 0.2 (checkpoint noise of 0.008 to 0.019 bits per byte where a tenfold of tokens brings
0.25) that are themselves known to 20 %, and for a fifth of the cells not at all. Whole languages are left out as
target, as source, and both; predictions are judged against the true scores. Beside the worlds that the model
describes are worlds that it does not: heavy tails, no kinship and no script, targets that multiply sources, and one
direction unlike the other. ATLAS's forest has its own features for every pair, the left-out language's too: gains by
adaptation of target and of source, their difference, and a fine-tuning delta of the pair, each correlating at about
0.7 with the truth. So the model is judged three times: with its own features of languages, with ATLAS's, and with
all; and the forest twice, with either.

Published: the 72 measured scores of ATLAS's matrix. Needs scikit-learn for the forest.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import polars as pl
from measure import RESULTS, Row, timed, write

from isogloss import languages
from isogloss.transfer import TransferMatrix
from isogloss.transfer.baselines import BASELINES, forest_there
from isogloss.transfer.features import PairFeatures, pair_features
from isogloss.transfer.matrix import relations
from isogloss.transfer.mixture import score_of
from isogloss.transfer.prediction import predict
from isogloss.transfer.suggestion import suggest
from isogloss.transfer.validation import FOREST, MODEL, validate

KINDS = ("as assumed", "heavy tails", "no kinship", "multiplied", "one way")
SHARES = (0.05, 0.10, 0.20)
SIZE, LEFT_OUT = 20, 2
# By the features that it has.
FORESTS = {"own": "forest, own features", "ATLAS's": "forest, ATLAS's features"}


@dataclass(frozen=True, eq=False)
class World:
    kind: str
    share: float
    matrix: TransferMatrix
    truth: np.ndarray
    features: PairFeatures
    atlas: PairFeatures
    """The features of ATLAS's forest."""


def make_world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    kind, share = KINDS[seed % len(KINDS)], SHARES[seed // len(KINDS) % len(SHARES)]
    known = [entry.code for entry in languages.all_languages() if entry.utf8_bytes and entry.utf8_bytes > 1e9]
    codes = sorted(rng.choice(known, SIZE, replace=False).tolist())
    features = pair_features(codes)
    target, source, pair, rest = _parts(rng, kind, features)
    y = -0.82 + rest + target[:, None] + source + pair
    truth = score_of(y)
    off_diagonal = np.flatnonzero(~np.eye(SIZE, dtype=bool).ravel())
    seen = np.zeros(SIZE * SIZE, dtype=bool)
    seen[rng.choice(off_diagonal, round(share * len(off_diagonal)), replace=False)] = True
    seen = seen.reshape(SIZE, SIZE)
    error = np.exp(rng.uniform(np.log(0.05), np.log(0.2), truth.shape))
    bts = np.where(seen, np.minimum(truth + error * rng.normal(size=truth.shape), 1.95), np.nan)
    stated = error * np.exp(0.2 * rng.normal(size=truth.shape))
    sd = np.where(seen & (rng.random(truth.shape) > 0.2), stated, np.nan)
    matrix = TransferMatrix(tuple(codes), bts, np.where(seen, "measured", "").astype(object), sd)
    return World(kind, share, matrix, truth, features, _atlas(rng, features, target, source, y))


def _parts(rng: np.random.Generator, kind: str, features: PairFeatures) -> tuple[np.ndarray, ...]:
    """Effects of targets and sources, what is of the pair alone, and what features explain; all in y."""

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_t(3, shape) / np.sqrt(3) if kind == "heavy tails" else rng.normal(size=shape)

    kin = 0.0 if kind == "no kinship" else 0.5
    root = np.linalg.cholesky(features.kinship + 1e-9 * np.eye(SIZE))
    # Scales differ between worlds, by a factor of about 2.
    scale = np.exp(0.35 * rng.normal(size=6)) * (0.10, 0.07, 0.05, 0.07, 0.04, 0.05)
    target, source = (
        s * (np.sqrt(1 - kin) * noise(SIZE) + np.sqrt(kin) * root @ noise(SIZE)) for s in scale[:2].tolist()
    )
    pair = noise(SIZE, SIZE)
    pair = scale[2] * (
        pair if kind == "one way" else (np.sqrt(0.6) * (pair + pair.T) + np.sqrt(0.8) * noise(SIZE, SIZE)) / np.sqrt(2)
    )
    relation = relations(features.languages)
    related = scale[3] * (relation >= 2) + scale[4] * (relation % 2)
    rest = (0.0 if kind == "no kinship" else related) + scale[5] * _smooth(rng, features)
    if kind == "multiplied":
        # Languages that are hurt are hurt by the unhelpful most.
        rest = rest + 10 * np.outer(target, source - source.mean())
    return target, source, pair, rest


def _smooth(rng: np.random.Generator, features: PairFeatures) -> np.ndarray:
    """A wave over distance and grammar, of variance 1 over pairs."""
    columns = []
    for name in ("log_distance", "grammar_distance"):
        column = features.values[..., features.names.index(name)]
        columns.append(np.nan_to_num((column - np.nanmean(column)) / np.nanstd(column)))
    direction = rng.normal(size=2)
    wave = np.sin(columns[0] * direction[0] + columns[1] * direction[1] + rng.uniform(0, 2 * np.pi))
    pairs = ~np.eye(SIZE, dtype=bool)
    return (wave - wave[pairs].mean()) / wave[pairs].std()


def _atlas(
    rng: np.random.Generator, features: PairFeatures, target: np.ndarray, source: np.ndarray, y: np.ndarray
) -> PairFeatures:
    def noisy(values: np.ndarray) -> np.ndarray:
        return values + values.std() * rng.normal(size=values.shape)

    pairs = ~np.eye(SIZE, dtype=bool)
    gained, given = noisy(target)[:, None] + np.zeros((SIZE, SIZE)), noisy(source) + np.zeros((SIZE, SIZE))
    delta = y + y[pairs].std() * rng.normal(size=y.shape)
    values = np.stack([gained, given, gained - given, delta], axis=-1)
    names = ("target_gain", "source_gain", "gain_difference", "fine_tuning_delta")
    return replace(features, names=names, values=values, meanings=dict.fromkeys(names, "simulated"))


def together(one: PairFeatures, other: PairFeatures) -> PairFeatures:
    values = np.concatenate([one.values, other.values], axis=-1)
    return replace(one, names=(*one.names, *other.names), values=values)


def judged(seed: int) -> pl.DataFrame:
    """Held-out cells of one world, and what each method predicts of them."""
    world = make_world(seed)
    out = np.random.default_rng(seed).choice(world.matrix.languages, LEFT_OUT, replace=False).tolist()
    frames = []
    every = together(world.features, world.atlas)
    labels = [pl.lit(seed).alias("world"), pl.lit(world.kind).alias("kind"), pl.lit(world.share).alias("share")]
    for given, features in (("own", world.features), ("ATLAS's", world.atlas), ("all", every)):
        found = validate(
            world.matrix,
            features=features,
            leave=("target", "source", "both"),
            languages=out,
            truth=world.truth,
            with_forest=given in FORESTS,
        )
        frames.append(found.cells.with_columns(*labels, features=pl.lit(given)))
    # The cells are the same, whatever the features: every frame has both forests beside.
    there = {name: frame[FOREST] for name, frame in zip(FORESTS, frames, strict=False) if FOREST in frame.columns}
    forests = [values.alias(FORESTS[name]) for name, values in there.items()]
    return pl.concat([frame.drop(FOREST, strict=False).with_columns(*forests) for frame in frames])


# --- the answer -----------------------------------------------------------------------------------------------


def summary(held: pl.DataFrame) -> dict[str, dict[str, float]]:
    """By method, rmse over all cells, R2 about each world's mean, and in how many worlds the model's rmse is the
    lower one; of the model's intervals the coverage, and its standard error from the worlds' differences."""
    methods = [MODEL, *BASELINES, *(name for name in FORESTS.values() if name in held.columns)]
    square = {m: (pl.col(m) - pl.col("score")) ** 2 for m in methods}
    inside = (pl.col("low") <= pl.col("score")) & (pl.col("score") <= pl.col("high"))
    worlds = held.group_by("world").agg(
        *(e.mean().alias(m) for m, e in square.items()),
        pl.col("score").var(ddof=0).alias("variance"),
        inside.mean().alias("inside"),
    )
    out: dict[str, dict[str, float]] = {}
    for method in methods:
        error = worlds[method].to_numpy()
        out[method] = {
            "rmse": float(np.sqrt(held.select(square[method].mean()).item())),
            "r2": float(1 - error.sum() / worlds["variance"].sum()),
        }
        if method != MODEL:
            out[method]["model_better"] = float((worlds[MODEL].to_numpy() < error).mean())
    out[MODEL]["coverage"] = float(held.select(inside.mean()).item())
    out[MODEL]["coverage_error"] = float(worlds["inside"].to_numpy().std(ddof=1) / np.sqrt(max(worlds.height, 2)))
    out[MODEL]["width"] = float(held.select((pl.col("high") - pl.col("low")).mean()).item())
    return out


def simulated(worlds: range, jobs: int) -> Iterator[Row]:
    begin, frames = time.perf_counter(), []
    # The workers are started anew, to read this: their matrices are too small for threads.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for i, frame in enumerate(pool.map(judged, worlds)):
            frames.append(frame)
            if (i + 1) % 5 == 0:
                print(f"  {i + 1} of {len(worlds)} worlds, {time.perf_counter() - begin:.0f} s", flush=True)
    held = pl.concat(frames)
    seconds = time.perf_counter() - begin
    for given in (*FORESTS, "all"):
        some = held.filter(features=given)
        cuts: list[tuple[str, pl.DataFrame]] = [("", some)]
        cuts += [(f", {way} left out", some.filter(left_out=way)) for way in ("target", "source", "both")]
        cuts += [(f", {kind}", some.filter(kind=kind)) for kind in KINDS]
        cuts += [(f", {share:.0%} measured", some.filter(share=share)) for share in SHARES]
        for name, cut in cuts:
            if cut.height:
                yield Row(f"{given} features{name}", seconds, repeats=cut["world"].n_unique(), details=summary(cut))


def published(trusts: tuple[float, ...]) -> Iterator[Row]:
    """ATLAS's measured scores, with the forest's scores of other pairs unused, or used a little."""
    for trust in trusts:
        row, found = timed(
            f"published, measured scores, trust {trust:g}",
            lambda trust=trust: validate(TransferMatrix.published(), trust_predicted=trust, with_forest=not trust),
            repeats=1,
        )
        methods = found.scores if not trust else found.scores.filter(method=MODEL)
        for (way,), scores in methods.group_by("left_out", maintain_order=True):
            details = {
                r.pop("method"): {k: v for k, v in r.items() if v is not None}
                for r in scores.drop("left_out").to_dicts()
            }
            yield replace(row, what=f"{row.what}, {way} left out", details=details)


def hundred(repeats: int) -> Iterator[Row]:
    """Cells with their intervals, features included: of 5, 100 (9,900 cells) and 400 languages."""
    matrix = TransferMatrix.published()
    more = [e.code for e in languages.all_languages() if e.utf8_bytes]
    codes = list(dict.fromkeys([*matrix.languages, *more]))
    for count, again in ((5, repeats), (400, 1)):
        some = codes[:count]
        what = f"predict {count} languages from 72 scores"
        yield timed(what, lambda some=some: predict(matrix, some), repeats=again)[0]
    codes = codes[:100]
    row, found = timed("predict 100 languages from 72 scores", lambda: predict(matrix, codes), repeats=repeats)
    yield row
    yield timed("suggest 10 pairs of 9,900", lambda: suggest(found, count=10), repeats=repeats)[0]
    full = replace(matrix, kind=np.where(matrix.kind == "predicted", "measured", matrix.kind))
    yield timed("predict 100 languages from 1,406 scores", lambda: predict(full, codes), repeats=repeats)[0]


def kept(rows: list[Row]) -> list[Row]:
    """The rows of earlier runs that these do not replace."""
    path = RESULTS / "transfer.json"
    if not path.exists():
        return []
    new = {row.what for row in rows}
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"] if row["what"] not in new]


def show(rows: list[Row]) -> None:
    for row in rows:
        print(f"\n{row.what} ({row.repeats} repeats, {row.seconds or 0:.1f} s)")
        for method, scores in row.details.items():
            print(f"  {method:18}", "  ".join(f"{k} {v:.3f}" for k, v in scores.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="the first world, so that other worlds can be seen")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="three worlds, and nothing is written")
    parser.add_argument("--only", choices=("simulated", "published", "predict"), help="the rest stays as it was")
    parser.add_argument("--trusted", action="store_true", help="published scores with the forest's too: minutes more")
    asked = parser.parse_args()
    if not forest_there():
        print("scikit-learn is not installed: no forest beside.")
    worlds = range(asked.first, asked.first + (3 if asked.quick else asked.worlds))
    sections = {
        "simulated": simulated(worlds, asked.jobs),
        "predict": hundred(1 if asked.quick else 3),
        "published": published((0.0, 0.001) if asked.trusted else (0.0,)),
    }
    for name, section in sections.items():
        if asked.only not in (None, name):
            continue
        print(f"{name} ...", flush=True)
        found = list(section)
        show(found)
        if not asked.quick:
            write("transfer", [*kept(found), *found])


if __name__ == "__main__":
    main()
