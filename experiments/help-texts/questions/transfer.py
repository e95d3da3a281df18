"""Who helps whom: scores of pairs from curves, weights of one fit of all mixtures, and what predicts them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from isogloss import fit_languages, read_runs
from isogloss.languages.table import table as languages_table
from isogloss.report import save
from isogloss.transfer import MeasuredTransfer, TransferMatrix, measure, pair_features
from questions.tables import Tables, kept, plenty, scratch, shares_of

# Of the languages' names, for the p values of what predicts a score.
PERMUTATIONS = 2000


def answer(tables: Tables) -> dict[str, Any]:
    curves = plenty(scratch(read_runs(tables.place("main"), where="lr_phase=stable")))
    found = measure(kept(curves, [len(one) <= 2 and min(one.values()) > 0.45 for one in shares_of(curves)]))
    folder = tables.out / "transfer"
    found.save(folder)
    save(found, tables.out / "transfer.html")
    fits = fit_languages("atlas-equal", tables.main, params="non_embedding", across="pooled")
    fits.save(tables.out / "atlas")
    save(fits, tables.out / "atlas.html")
    scores = [_score(found, p.target, p.source) for p in found.pairs]
    return {
        "pairs": len(found.pairs),
        "refused": len(found.refused),
        "scores": scores,
        "above_zero": sum(s["bts"] > 0 for s in scores),
        "helping": sum(s["low"] > 0 for s in scores),
        "harming": sum(s["high"] < 0 for s in scores),
        "both_ways": _both_ways(scores),
        "variance": _variance(scores),
        "published": _published(),
        "predictors": _predictors(scores),
        "permutations": PERMUTATIONS,
        "weights": _weights(fits, scores),
    }


def _score(found: MeasuredTransfer, target: str, source: str) -> dict[str, Any]:
    score = found.at(target, source)
    return {
        "target": target,
        "source": source,
        "anchor": score.anchor,
        "bts": score.bts,
        "low": score.bts_low,
        "high": score.bts_high,
        "sd": score.bts_sd,
        "tau": score.tau,
    }


def _both_ways(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Is who helps also who is helped? Correlation of the two directions of a pair."""
    by_pair = {(s["target"], s["source"]): s["bts"] for s in scores}
    names = sorted({s["target"] for s in scores})
    both = [(by_pair[a, b], by_pair[b, a]) for a, b in combinations(names, 2) if {(a, b), (b, a)} <= set(by_pair)]
    return {
        "pairs": len(both),
        "correlation": float(np.corrcoef(np.array(both).T)[0, 1]) if len(both) > 2 else float("nan"),
    }


def _variance(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Of the scores, by target alone, by source alone, and what both leave; and the variance that the intervals claim.

    The curve of a target alone is common to all of its scores, and so is its error.
    """
    bts = np.array([s["bts"] for s in scores])
    names = sorted({s["target"] for s in scores})

    def columns(key: str) -> np.ndarray:
        return np.array([[s[key] == name for name in names] for s in scores], float)

    def explained(by: np.ndarray) -> float:
        left = bts - by @ np.linalg.lstsq(by, bts, rcond=None)[0]
        return float(1 - left.var() / bts.var())

    return {
        "sd": float(bts.std()),
        "target": explained(columns("target")),
        "source": explained(columns("source")),
        "rest": 1 - explained(np.hstack([columns("target"), columns("source")])),
        "noise": float(np.mean([s.get("sd", np.nan) ** 2 for s in scores]) / bts.var()),
    }


def _published() -> dict[str, Any]:
    """The same of ATLAS's scores that were measured (2B parameters, 42B tokens)."""
    matrix = TransferMatrix.published()
    places = zip(*np.nonzero(matrix.kind == "published"), strict=True)
    names = matrix.languages
    scores = [{"target": names[t], "source": names[s], "bts": float(matrix.bts[t, s])} for t, s in places]
    split = {key: value for key, value in _variance(scores).items() if key != "noise"}
    helping = sum(s["bts"] > 0 for s in scores)
    return {"scores": len(scores), "helping": helping, "both_ways": _both_ways(scores), "variance": split}


def _predictors(scores: list[dict[str, Any]]) -> dict[str, Any]:
    names = sorted({s["target"] for s in scores} | {s["source"] for s in scores})
    known = languages_table()
    features = pair_features(names)
    bts = np.array([s["bts"] for s in scores])
    out: dict[str, Any] = {}
    kinds = {
        "one family and script": lambda a, b: known[a].family == known[b].family and a[-4:] == b[-4:],
        "one family": lambda a, b: known[a].family == known[b].family and a[-4:] != b[-4:],
        "one script": lambda a, b: known[a].family != known[b].family and a[-4:] == b[-4:],
        "neither": lambda a, b: known[a].family != known[b].family and a[-4:] != b[-4:],
    }
    for kind, holds in kinds.items():
        those = bts[[holds(s["target"], s["source"]) for s in scores]]
        out[kind] = {"pairs": len(those), "mean": float(those.mean()) if len(those) else None}
    at = {name: i for i, name in enumerate(names)}
    target, source = (np.array([at[s[side]] for s in scores]) for side in ("target", "source"))
    left = bts - _means(target, source, bts)
    relabelled = [np.random.default_rng(i).permutation(len(names)) for i in range(PERMUTATIONS)]
    for name, values in zip(features.names, np.moveaxis(features.values, -1, 0), strict=True):
        if np.ptp(values[target, source][np.isfinite(values[target, source])]) == 0:
            continue
        ranks = []
        for wanted in (bts, left):
            rank = _rank(values[target, source], wanted)
            # 182 scores of fourteen languages are not 182 facts: what would chance say if the languages were others?
            chance = [abs(_rank(values[order[target], order[source]], wanted)) for order in relabelled]
            ranks.append([rank, (1 + sum(one >= abs(rank) for one in chance)) / (1 + len(chance))])
        out[f"rank correlation with {name}"] = {"scores": ranks[0], "pairs_own": ranks[1]}
    return out


def _rank(feature: np.ndarray, wanted: np.ndarray) -> float:
    return float(spearmanr(feature, wanted, nan_policy="omit").statistic)


def _means(target: np.ndarray, source: np.ndarray, bts: np.ndarray) -> np.ndarray:
    """What a mean of each target and one of each source say of the scores `(n,)`."""
    by = np.hstack([np.eye(target.max() + 1)[target], np.eye(source.max() + 1)[source]])
    return by @ np.linalg.lstsq(by, bts, rcond=None)[0]


def _weights(fits: Any, scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The weights of the joint fit beside those of the pairs."""
    measured = {(s["target"], s["source"]): s["tau"] for s in scores}
    both = [
        (e.value, measured[language, e.name[4:-1]])
        for language, one in fits.fits.items()
        for e in one.coefficients
        if e.name.startswith("tau[") and (language, e.name[4:-1]) in measured
    ]
    if len(both) < 3:
        return {"pairs": len(both)}
    return {"pairs": len(both), "rank_correlation": _rank(*np.array(both).T)}
