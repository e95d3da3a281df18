"""Whether partial pooling predicts held-out losses better than separate fits and one common fit.

    python benchmarks/pooling.py [--quick]

Two tables. Simulated: 30 languages with 4 to 40 runs each and Chinchilla laws of their own; predictions are judged
against the true losses within the range of the runs and at ten times the compute. Real: byte_transfer.csv in
ISOGLOSS_DATA (default: ../shared/data beside the repository), byte models of ten target languages after pretraining
in none, English, Russian, Chinese or Portuguese, at six amounts of text: each target and start is a "language" with a
saturating law of its own, four random points are fitted and the others predicted.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from measure import ROOT, Row, timed, write
from worlds import make_world

from isogloss.fitting.languages import Across, fit_languages
from isogloss.runs import RunTable, read_runs

WAYS: tuple[Across, ...] = ("separate", "tied", "pooled")
Errors = dict[str, np.ndarray]


# --- simulated ------------------------------------------------------------------------------------------------


def simulated(
    seed: int, languages: int = 30, noise: float = 0.005, runs: tuple[int, int] = (4, 40)
) -> tuple[RunTable, Any]:
    """Runs of languages that are trained alone, few to many each, with heavy-tailed noise; and their world."""
    world = make_world(languages, seed=seed, text=(1e15, 1e16))
    rng = np.random.default_rng(seed)
    frames = []
    for i, name in enumerate(world.names):
        count = round(float(np.exp(rng.uniform(*np.log(runs)))))
        N = np.exp(rng.uniform(np.log(3e7), np.log(3e9), count))
        D = N * np.exp(rng.uniform(np.log(5), np.log(100), count))
        error = noise * rng.standard_t(3, count) / np.sqrt(3)
        ids = [f"{name}-{k}" for k in range(count)]
        loss = world.loss(i, N, tokens_of(D, i, languages)) * np.exp(error)
        frames.append(pl.DataFrame({"run_id": ids, "target": name, "params_total": N, "tokens": D, "loss": loss}))
    return read_runs(pl.concat(frames), unit="nats/token"), world


def tokens_of(D: np.ndarray, language: int, languages: int) -> np.ndarray:
    tokens = np.zeros((len(D), languages))
    tokens[:, language] = D
    return tokens


def points(where: str) -> tuple[np.ndarray, np.ndarray]:
    """N and D within the runs' range, or at ten times its compute."""
    sizes, ratios = (np.geomspace(3e7, 3e9, 6), np.geomspace(5, 100, 5)) if where == "inside" else ([9.5e9], [10, 30])
    N, ratio = (a.ravel() for a in np.meshgrid(sizes, ratios))
    return N, N * ratio


def simulated_errors(seed: int, starts: int) -> dict[str, Errors]:
    table, world = simulated(seed)
    out: dict[str, Errors] = {"inside": {}, "ten times the compute": {}}
    for across in WAYS:
        fits = fit_languages("chinchilla", table, across=across, starts=starts, draws=0)
        for where, errors in out.items():
            N, D = points(where)
            found = []
            for name in world.names:
                i = world.names.index(name)
                # Of fewer rows than coefficients no separate law can be fitted.
                predicted = fits[name].point(N=N, D=D) if name in fits.fits else np.full(len(N), np.nan)
                found.append(np.log(predicted / world.loss(i, N, tokens_of(D, i, len(world.names)))))
            errors[across] = np.array(found)
    return out


# --- byte_transfer --------------------------------------------------------------------------------------------


def byte_transfer() -> pl.DataFrame | None:
    folder = Path(os.environ.get("ISOGLOSS_DATA", ROOT.parent / "shared" / "data"))
    path = folder / "byte_transfer.csv"
    if not path.is_file():
        return None
    frame = pl.read_csv(path).filter(pl.col("target_tokens") > 0)
    name = pl.col("target") + " after " + pl.col("source_language")
    return frame.select("run_id", "target_tokens", "loss", target=name, params_total=pl.lit(7e7))


def transfer_errors(frame: pl.DataFrame, seed: int, starts: int, kept: int = 4) -> Errors:
    """Log errors of the points that were not among the `kept` of each target and start."""
    rng = np.random.default_rng(seed)
    shuffled = frame.with_columns(order=pl.lit(rng.random(frame.height)))
    rank = pl.col("order").rank("ordinal").over("target")
    enough = pl.len().over("target") > kept
    train, held = shuffled.filter((rank <= kept) & enough), shuffled.filter((rank > kept) & enough)
    table = read_runs(train.drop("order"), unit="nats/byte")
    out: Errors = {}
    for across in WAYS:
        fits = fit_languages("falling", table, across=across, columns={"x": "target_tokens"}, starts=starts, draws=0)
        errors = []
        for (name,), rows in held.group_by("target", maintain_order=True):
            predicted = fits[str(name)].point(x=rows["target_tokens"].to_numpy().astype(float))
            errors += np.log(predicted / rows["loss"].to_numpy()).tolist()
        out[across] = np.array(errors)
    return out


# --- the answer -----------------------------------------------------------------------------------------------


def summary(errors: list[Errors]) -> dict[str, Any]:
    """Root mean square and median size of log errors where every way has a prediction, and in how many repeats
    pooling has the smaller rms; and pooling's errors where separate fits have none."""
    known = [~np.isnan(e["separate"]) for e in errors]
    rms = {
        way: np.array([np.sqrt((e[way][k] ** 2).mean()) for e, k in zip(errors, known, strict=True)]) for way in WAYS
    }
    alone = np.concatenate([e["pooled"][~k] for e, k in zip(errors, known, strict=True)])
    out: dict[str, Any] = {}
    for way in WAYS:
        everything = np.abs(np.concatenate([e[way][k] for e, k in zip(errors, known, strict=True)]))
        out[way] = {
            "rms": float(np.sqrt((everything**2).mean())),
            "median": float(np.median(everything)),
            "p95": float(np.quantile(everything, 0.95)),
        }
        if way != "pooled":
            out[way]["repeats_where_pooled_is_better"] = f"{int((rms['pooled'] < rms[way]).sum())} of {len(errors)}"
    if len(alone):
        out["pooled"]["where_separate_has_none"] = {"points": len(alone), "rms": float(np.sqrt((alone**2).mean()))}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and nothing is written")
    asked = parser.parse_args()
    repeats = 2 if asked.quick else 6
    rows = []
    row, found = timed("simulated", lambda: [simulated_errors(s, 16) for s in range(repeats)], repeats=1)
    for where in found[0]:
        rows.append(
            Row(f"simulated, {where}", row.seconds, repeats=repeats, details=summary([f[where] for f in found]))
        )
    frame = byte_transfer()
    if frame is None:
        print("byte_transfer.csv is not there: set ISOGLOSS_DATA to the folder of the public run tables.")
    else:
        row, errors = timed("", lambda: [transfer_errors(frame, s, 16) for s in range(repeats)], repeats=1)
        rows.append(Row("byte_transfer, 4 points kept", row.seconds, repeats=repeats, details=summary(errors)))
    for row in rows:
        print(f"\n{row.what} ({row.repeats} repeats, {row.seconds:.0f} s)")
        for way, scores in row.details.items():
            print(
                f"  {way:9}",
                "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in scores.items()),
            )
    if not asked.quick:
        write("pooling", rows)


if __name__ == "__main__":
    main()
