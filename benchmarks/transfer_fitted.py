"""Whether weights of a joint fit, drawn to what is predicted of their pairs, are nearer to the truth.

    python benchmarks/transfer_fitted.py [--worlds 16]

Worlds of eight languages, each alone and with three sources, 16 rows a language with noise of 2 %; half of the other
pairs were measured elsewhere, with errors of 0.1. Rows are distinct runs, or two correlated checkpoints a run; the
prediction is right, or every score of it is off by a factor that moves y by 0.25.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from measure import Row, write
from worlds import World, alone, make_runs, make_world, measure

from isogloss.fitting import LanguageFits, fit_languages
from isogloss.runs import read_runs
from isogloss.transfer import FittedTransfer, PairFeatures, TransferMatrix, fitted, predict

WAYS = ("the fit", "the prediction", "both")
OFF = 0.25


@dataclass(frozen=True)
class Study:
    seed: int
    world: World
    matrix: TransferMatrix
    """Scores measured elsewhere, of other pairs."""
    features: PairFeatures
    sources: dict[str, list[str]]

    def truth(self, found: FittedTransfer) -> np.ndarray:
        place = {name: i for i, name in enumerate(self.world.names)}
        return np.array([self.world.tau[place[t], place[s]] for t, s in found.pairs])


def made(seed: int, languages: int = 8, per_language: int = 3) -> Study:
    """log(1 + tau) of a feature, a target's and a source's effect, and the pair's own part. Half of the pairs that
    no run holds are measured, with errors of 0.1."""
    rng = np.random.default_rng([seed, 5])
    world = make_world(languages, seed=seed, text=(1e15, 1e16))
    shape = (languages, languages)
    closeness = rng.normal(size=shape)
    closeness = (closeness + closeness.T) / np.sqrt(2)
    u = 0.1 + 0.1 * closeness + 0.08 * rng.normal(size=(languages, 1)) + 0.06 * rng.normal(size=languages)
    tau = np.expm1(u + 0.06 * rng.normal(size=shape))
    np.fill_diagonal(tau, 0.0)
    world = replace(world, tau=tau)
    here = np.zeros(shape, dtype=bool)
    for step in range(1, per_language + 1):
        here[np.arange(languages), (np.arange(languages) + step) % languages] = True
    seen = (rng.random(shape) < 1 / 2) & ~here & ~np.eye(languages, dtype=bool)
    scores = np.where(seen, 2 * tau / (1 + tau) + 0.1 * rng.normal(size=shape), np.nan)
    features = PairFeatures(world.names, ("closeness",), closeness[..., None], np.eye(languages), {"closeness": ""}, ())
    matrix = TransferMatrix(
        world.names, scores, np.where(seen, "measured", "").astype(object), np.where(seen, 0.1, np.nan)
    )
    sources = {world.names[i]: [world.names[j] for j in np.flatnonzero(here[i])] for i in range(languages)}
    return Study(seed, world, matrix, features, sources)


def fits_of(
    study: Study, *, noise: float = 0.02, sizes: int = 2, draws: int = 600, split: bool = True, **options: object
) -> LanguageFits:
    """Each language alone and in pairs, at a few sizes and at two numbers of tokens."""
    world = study.world
    rows = []
    for target, sources in study.sources.items():
        for source in sources:
            row = np.zeros(len(world.names))
            row[world.names.index(target)] = row[world.names.index(source)] = 0.5
            rows.append(row)
    runs = make_runs(
        sizes=np.geomspace(1e8, 2e9, sizes),
        tokens=[4e9, 6e10],
        mixtures=np.concatenate([alone(world), rows]),
        seed=study.seed,
    )
    if split:
        runs = replace(runs, run=np.arange(len(runs.N)))
    targets = [world.names.index(name) for name in study.sources]
    frame = measure(world, runs, targets=targets, noise=noise, seed=study.seed)
    # A run is evaluated on the language that asked for it only.
    own = [
        all(row[f"share:{n}"] == 0 for n in world.names if n not in (row["target"], *study.sources[row["target"]]))
        for row in frame.iter_rows(named=True)
    ]
    table = read_runs(frame.filter(own), unit="nats/token")
    settings = {"sources": study.sources, "starts": 2, "draws": draws, **options}
    return fit_languages("atlas", table, **settings)  # type: ignore[arg-type]


def judged(study: Study, *, split: bool, off: float) -> np.ndarray:
    """Squared error, and share inside the 90 % interval, `(ways, 2)`."""
    # y = -log(2 - BTS)
    matrix = replace(study.matrix, bts=2 - (2 - study.matrix.bts) * np.exp(off))
    found = fitted(fits_of(study, split=split), predict(matrix, study.world.names, features=study.features))
    truth = study.truth(found)
    ways = (
        (found.fit, found.fit_low, found.fit_high),
        (found.predicted, found.predicted_low, found.predicted_high),
        (found.tau, found.low, found.high),
    )
    return np.array([[((v - truth) ** 2).mean(), ((low <= truth) & (truth <= high)).mean()] for v, low, high in ways])


def rows_of(worlds: int) -> Iterator[Row]:
    for split in (True, False):
        for off in (0.0, OFF):
            begin = time.perf_counter()
            each = np.array([judged(made(seed), split=split, off=off) for seed in range(worlds)])
            of_runs = "distinct runs" if split else "two correlated checkpoints a run"
            details = {
                way: {"rmse": float(np.sqrt(each[:, k, 0].mean())), "coverage": float(each[:, k, 1].mean())}
                for k, way in enumerate(WAYS)
            }
            details["both is nearer than"] = {
                way: float((each[:, 2, 0] < each[:, k, 0]).mean()) for k, way in enumerate(WAYS[:2])
            }
            what = f"{of_runs}, prediction {f'off by {off:g}' if off else 'right'}"
            yield Row(what, time.perf_counter() - begin, repeats=worlds, details=details)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=16)
    found = []
    for row in rows_of(parser.parse_args().worlds):
        print(f"\n{row.what} ({row.repeats} worlds, {row.seconds or 0:.0f} s)")
        for way, values in row.details.items():
            print(f"  {way:20}", "  ".join(f"{k} {v:.3f}" for k, v in values.items()), flush=True)
        found.append(row)
    write("transfer_fitted", found)


if __name__ == "__main__":
    main()
