"""ATLAS's Table 1 on simulated studies: held-out R² of laws by size, tokens, compute and mixture.

Every study has 50 languages, 8 of them evaluated, mixtures of 1 to 50 languages from even to very uneven, models of
10M to 8B parameters and three checkpoints a run. Each pair of languages has a transfer weight of its own, so that no
law here is the one that made the losses. Two kinds of world: with a capacity tax K^phi (phi = 0.11) and without.

    python benchmarks/table1.py [--seeds 3] [--phi 0 0.11] [--design full inventory] [--output ...]

Two designs. "full": every mixture at every size. "inventory", after the paper's own runs (its Table B.1): languages
alone and in pairs up to 1B parameters, larger models on mixtures of 30 languages or more alone.

Every law is compared on the same rows of a study; the results also hold the lead of K = exp(entropy of the shares)
over the plain count and over no K at all, on mixtures that no fit has seen.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from worlds import Runs, World, make_runs, make_world, measure

from isogloss import compare, read_runs
from isogloss.fitting.comparison import Comparison
from isogloss.laws import get_form

LAWS = ("chinchilla", "family", "atlas-own", "atlas-other", "atlas", "atlas-capacity", "k-law", "k-law-count")
SPLITS = ("random", "N", "D", "C", "M")
# Table 1 of arXiv:2510.22037, several languages: R², R²(N), R²(D), R²(C), R²(M).
PAPER = {
    "chinchilla": (0.64, -0.99, 0.72, 0.66, 0.61),
    "family": (0.67, -0.65, 0.73, 0.67, 0.70),
    "atlas-own": (0.70, -0.75, 0.80, 0.72, 0.64),
    "atlas-other": (0.98, 0.89, 0.97, 0.97, 0.66),
    "atlas": (0.98, 0.89, 0.96, 0.98, 0.82),
}
# Pairs of laws: K as entropy against no K and against K as a count, and the paper's own.
LEADS = (("atlas-capacity", "atlas"), ("k-law", "k-law-count"), ("atlas", "chinchilla"), ("atlas", "family"))
SIZES = np.array([1e7, 6e7, 3e8, 1e9, 3e9, 8e9])
TOKENS = (2e9, 2e10, 2e11)
LANGUAGES, EVALUATED = 50, 8
KS = (4, 8, 16, 30, 50)
EACH = 4
# Of the second design: models from this size on see this many languages at least.
LARGE, MANY = 2e9, 25


def study(phi: float, seed: int, design: str = "full") -> tuple[World, Runs]:
    world = make_world(LANGUAGES, seed=seed, phi=phi)
    runs = make_runs(sizes=SIZES.tolist(), tokens=TOKENS, mixtures=mixtures(seed), keep=0.5, seed=seed)
    # Sizes as nominal, so that the largest is held out whole.
    runs = replace(runs, N=SIZES[np.abs(np.log(runs.N[:, None] / SIZES)).argmin(1)])
    if design == "inventory":
        kept = (runs.N < LARGE) | ((runs.shares > 0).sum(1) >= MANY)
        number = np.unique(runs.run[kept], return_inverse=True)[1]
        runs = Runs(runs.N[kept], runs.D[kept], runs.shares[kept], number)
    return world, runs


def mixtures(seed: int) -> np.ndarray:
    """The evaluated languages alone and in pairs, and K languages of which up to four are evaluated."""
    rng = np.random.default_rng(seed)
    rows = [np.eye(LANGUAGES)[i] for i in range(EVALUATED)]
    for i in range(EVALUATED):
        for step in (1, 3):
            share = rng.choice([0.2, 0.5, 0.8])
            row = np.zeros(LANGUAGES)
            row[i], row[(i + step) % EVALUATED] = share, 1 - share
            rows.append(row)
    for K in KS:
        for _ in range(EACH):
            ours = rng.choice(EVALUATED, min(4, K), replace=False)
            rest = np.setdiff1d(np.arange(LANGUAGES), ours)
            chosen = np.concatenate([ours, rng.choice(rest, K - len(ours), replace=False)])
            row = np.zeros(LANGUAGES)
            row[chosen] = rng.dirichlet(np.full(K, rng.choice([0.5, 2.0, 50.0])))
            row[row < 1e-3] = 0
            rows.append(row / row.sum())
    return np.array(rows)


def one(phi: float, seed: int, design: str) -> dict[str, Any]:
    world, runs = study(phi, seed, design)
    table = read_runs(measure(world, runs, targets=range(EVALUATED), seed=seed), unit="nats/token")
    began, cpu = time.perf_counter(), time.process_time()
    answer = compare(table, LAWS, splits=SPLITS, starts=6, draws=500, seed=seed)
    return {
        "design": design,
        "phi": phi,
        "seed": seed,
        "rows": answer.rows,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "choice": answer.choice,
        "sentence": answer.sentence,
        "splits": {s.name: {"describes": s.describes, "rows": s.rows, "runs": s.runs} for s in answer.splits},
        "r2": {law: {s: answer.score(law, s)["r2"] for s in SPLITS} for law in LAWS},
        "median_r2": {law: {s: _median(answer, law, s) for s in SPLITS} for law in LAWS},
        "error": {law: {s: answer.score(law, s)["error"] for s in SPLITS} for law in LAWS},
        "ranking": [
            {"law": r.name, "mean": r.mean, "ahead": [r.ahead, r.ahead_low, r.ahead_high]} for r in answer.ranking
        ],
    }


def unseen_mixtures(phi: float, seed: int) -> dict[str, Any]:
    """R²(M) of ATLAS without K, with K as entropy and with K as a count."""
    counted = replace(get_form("atlas-capacity"), name="atlas-capacity-count", switches={"languages": "count"})
    world, runs = study(phi, seed)
    table = read_runs(measure(world, runs, targets=range(EVALUATED), seed=seed), unit="nats/token")
    answer = compare(table, ["atlas", "atlas-capacity", counted], splits=["M"], starts=6, draws=500, seed=seed)
    scores = {law.name: answer.score(law.name, "M") for law in answer.laws}
    return {
        "phi": phi,
        "seed": seed,
        "r2": {n: s["r2"] for n, s in scores.items()},
        "error": {n: s["error"] for n, s in scores.items()},
    }


def _median(answer: Comparison, law: str, split: str) -> float:
    """Over languages: one language's collapse moves the mean, which is the paper's, but not this."""
    cells = [r["r2"] for r in answer.by_language.to_dicts() if (r["law"], r["split"]) == (law, split)]
    return float(np.median(cells)) if cells else float("nan")


def summary(studies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By kind of world: mean R² and relative error over seeds, and the leads of LEADS with each seed's."""
    out = []
    for design, phi in dict.fromkeys((s["design"], s["phi"]) for s in studies):
        mine = [s for s in studies if (s["design"], s["phi"]) == (design, phi)]
        mean = {
            what: {law: {s: float(np.mean([m[what][law][s] for m in mine])) for s in SPLITS} for law in LAWS}
            for what in ("r2", "median_r2", "error")
        }
        leads = {f"{a} over {b}": {s: [m["r2"][a][s] - m["r2"][b][s] for m in mine] for s in SPLITS} for a, b in LEADS}
        out.append({"design": design, "phi": phi, "studies": len(mine), **mean, "leads": leads})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--phi", type=float, nargs="*", default=[0.0, 0.11])
    parser.add_argument("--design", nargs="*", default=["full", "inventory"])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "table1.json")
    given = parser.parse_args()
    studies: list[dict[str, Any]] = []
    of_K: list[dict[str, Any]] = []
    for design in given.design:
        for seed, phi in product(range(given.seeds), given.phi):
            studies.append(one(phi, seed, design))
            if design == "full":
                of_K.append(unseen_mixtures(phi, seed))
            answer = {
                "paper": PAPER,
                "laws": LAWS,
                "summary": summary(studies),
                "unseen_mixtures": of_K,
                "studies": studies,
            }
            given.output.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
            print(
                json.dumps({k: studies[-1][k] for k in ("design", "phi", "seed", "seconds", "cpu_seconds", "sentence")})
            )
    for kind in summary(studies):
        print(f"\n{kind['design']}, phi = {kind['phi']}: mean R² over {kind['studies']} studies (paper's in brackets)")
        for law in LAWS:
            paper = PAPER.get(law, ())
            cells = [f"{s} {kind['r2'][law][s]:6.3f}" for s in SPLITS]
            print(f"  {law:15s} {'  '.join(cells)}  {paper or ''}")


if __name__ == "__main__":
    main()
