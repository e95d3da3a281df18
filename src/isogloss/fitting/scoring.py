"""From the predictions of several laws to their scores, on rows that all of them predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.fitting.comparison import Compared, Comparison, Scored
from isogloss.fitting.held_out import HeldOut, Prediction, Setting
from isogloss.fitting.ranking import rank
from isogloss.fitting.scores import FEWEST_RUNS, Observed, Scores, draw_runs, interval, score
from isogloss.fitting.splits import NotGiven, Split, run_numbers
from isogloss.runs import RunTable

# What a prediction that is no finite number counts as, in losses.
BEYOND = 1e6
# A law that has predictions for less than this part of the languages that another law has is not scored on a split;
# a language that a scored law cannot predict is left out for all.
ENOUGH = 0.5

By = dict[tuple[str, str], Prediction]


def scored(
    table: RunTable,
    given: Sequence[Split],
    not_given: Sequence[NotGiven],
    held: Mapping[str, HeldOut],
    laws_out: Mapping[str, str],
    rows_out: Mapping[str, int],
    setting: Setting,
    draws: int,
    level: float,
) -> Comparison:
    loss, run = table.frame["loss"].cast(float).to_numpy(), run_numbers(table)
    times = draw_runs(int(run.max()) + 1, draws, np.random.default_rng(setting.seed))
    by_law: dict[str, dict[str, Scores]] = {name: {} for name in held}
    refused, missing, warnings = list(not_given), [], []
    used: list[Scored] = []
    means, each = [], []
    for split in given:
        found, common, out = _comparable(split, table.targets, held, loss, run)
        missing += [(split.name, target, why) for target, why in out.items()]
        if not common:
            refused.append(NotGiven(split.name, "no language has enough held-out rows to score"))
            continue
        runs = len({r for o in common.values() for r in o.run})
        used.append(Scored(split.name, split.describes, sum(len(o.loss) for o in common.values()), runs, tuple(common)))
        if runs < FEWEST_RUNS and draws:
            warnings.append(f"{split.name}: {runs} held-out runs are too few for intervals.")
        drawn = times if runs >= FEWEST_RUNS else times[:0]
        for name in held:
            if name in {law for law, _ in found}:
                predicted = [_finite(found[name, target], loss) for target in common]
                by_law[name][split.name] = score(list(common.values()), predicted, drawn)
            result = by_law[name].get(split.name)
            means.append({"law": name, "split": split.name, **_means(result, level)})
            each += [] if result is None else _rows(name, split.name, result, common, level)
    if not used:
        raise InputError(f"no split can be scored: {refused[-1].reason}", where=table.source)
    outside = [s.name for s in given if not s.in_sample and s.name in [u.name for u in used]]
    whole = {name: of_law for name, of_law in by_law.items() if all(s in of_law for s in outside)}
    if partly := [name for name in by_law if name not in whole]:
        warnings.append(f"not ranked, for want of a score on some split: {', '.join(partly)}.")
    ranking = rank(whole, {name: one.free for name, one in held.items()}, outside, level)
    return Comparison(
        laws=tuple(Compared(n, h.form.law.source, h.form.describes, h.free) for n, h in held.items()),
        splits=tuple(used),
        scores=pl.DataFrame(means, schema=_MEANS),
        by_language=pl.DataFrame(each, schema=_EACH),
        predictions=_predictions(table, held, loss),
        ranking=ranking.laws,
        ranked_on=ranking.splits,
        choice=ranking.choice,
        sentence=ranking.sentence,
        laws_left_out=dict(laws_out),
        not_given=tuple(refused),
        languages_left_out=tuple(missing),
        across=setting.across,
        level=level,
        draws=draws,
        seed=setting.seed,
        unit=table.unit,
        source=table.source,
        rows=len(table),
        rows_left_out=dict(rows_out),
        warnings=(*table.notes, *warnings),
    )


def _comparable(
    split: Split, names: Sequence[str], held: Mapping[str, HeldOut], loss: np.ndarray, run: np.ndarray
) -> tuple[By, dict[str, Observed], dict[str, str]]:
    """The predictions of a split by law and language; the languages' rows that all these laws predict; and the
    languages that are left out, with the reason."""
    found = {(name, p.target): p for name, one in held.items() for p in one.predictions if p.split == split.name}
    most = max((sum(law == name for law, _ in found) for name in held), default=0)
    laws = [name for name in held if sum(law == name for law, _ in found) >= max(1, ENOUGH * most)]
    targets = [target for target in names if any(t == target for _, t in found)]
    common: dict[str, Observed] = {}
    out: dict[str, str] = {}
    for target in targets:
        lacking = [name for name in laws if (name, target) not in found]
        if lacking:
            why = held[lacking[0]].refused.get((split.name, target), "no held-out row that it could predict")
            out[target] = f"{lacking[0]}: {why}"
            continue
        index = found[laws[0], target].index
        for name in laws[1:]:
            index = np.intersect1d(index, found[name, target].index)
        observed = Observed(target, loss[index], run[index])
        if observed.why_not:
            out[target] = observed.why_not
            continue
        common[target] = observed
        for name in laws:
            kept = np.isin(found[name, target].index, index)
            p = found[name, target]
            kept_of = {name: getattr(p, name)[kept] for name in ("index", "predicted", "low", "high")}
            found[name, target] = Prediction(p.split, target, **kept_of)
    for target in set(names) - set(targets):
        reasons = [why for one in held.values() for key, why in one.refused.items() if key == (split.name, target)]
        out[target] = reasons[0] if reasons else "it has no held-out row"
    return {key: p for key, p in found.items() if key[0] in laws}, common, out


def _finite(prediction: Prediction, loss: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(prediction.predicted), prediction.predicted, BEYOND * loss[prediction.index])


_MEANS = {
    **{"law": pl.String, "split": pl.String},
    **dict.fromkeys(("r2", "r2_low", "r2_high", "error", "error_low", "error_high"), pl.Float64),
}
_EACH = {
    **{"law": pl.String, "split": pl.String, "language": pl.String, "rows": pl.Int64, "runs": pl.Int64},
    **dict.fromkeys(("r2", "r2_low", "r2_high", "error"), pl.Float64),
}


def _means(result: Scores | None, level: float) -> dict[str, Any]:
    if result is None:
        return dict.fromkeys(("r2", "r2_low", "r2_high", "error", "error_low", "error_high"))
    r2, error = interval(result.drawn_mean_r2, level), interval(result.drawn_mean_error, level)
    return {
        **{"r2": result.mean_r2, "r2_low": r2[0], "r2_high": r2[1]},
        **{"error": result.mean_error, "error_low": error[0], "error_high": error[1]},
    }


def _rows(law: str, split: str, result: Scores, common: Mapping[str, Observed], level: float) -> list[dict[str, Any]]:
    out = []
    for i, (target, observed) in enumerate(common.items()):
        runs = len(np.unique(observed.run))
        low, high = interval(result.drawn_r2[:, i], level) if runs >= FEWEST_RUNS else (None, None)
        out.append(
            {
                **{"law": law, "split": split, "language": target, "rows": len(observed.loss), "runs": runs},
                **{"r2": float(result.r2[i]), "r2_low": low, "r2_high": high, "error": float(result.error[i])},
            }
        )
    return out


def _predictions(table: RunTable, held: Mapping[str, HeldOut], loss: np.ndarray) -> pl.DataFrame:
    known = [c for c in ("row", "run_id", "target") if c in table.frame.columns]
    frames = [
        table.frame.select(known)[p.index].select(
            pl.lit(name).alias("law"),
            pl.lit(p.split).alias("split"),
            *known,
            loss=pl.Series(loss[p.index]),
            predicted=pl.Series(p.predicted),
            low=pl.Series(p.low).fill_nan(None),
            high=pl.Series(p.high).fill_nan(None),
        )
        for name, one in held.items()
        for p in one.predictions
    ]
    return pl.concat(frames)
