"""One logged run through the mapping: its rows of the three tables, and what became of each of its points."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.runs.importing.accounts import AS_SETTING, NOT_A_NUMBER, NOT_MAPPED, REPEATED, REPLACED, MetricAccount
from isogloss.runs.importing.clock import Clock, find_clock
from isogloss.runs.importing.logged import LoggedRun, Series
from isogloss.runs.importing.mapping import Loss, Mapping
from isogloss.runs.importing.patterns import Namer, Pattern
from isogloss.runs.importing.perplexity import BELOW_ONE, INFINITE
from isogloss.runs.importing.resumes import InOrder, in_order
from isogloss.runs.importing.settings import exposure_rows, run_columns, used_settings
from isogloss.runs.read import FINISHED

EVALS_SCHEMA: dict[str, Any] = {
    "run_id": pl.String,
    "tokens": pl.Int64,
    "step": pl.Int64,
    "lr_phase": pl.String,
    "language": pl.String,
    "loss": pl.Float64,
    "unit": pl.String,
    "stderr": pl.Float64,
    "metric": pl.String,
}

TOTAL = "a total over languages"
NO_LANGUAGE = "its language is not in the settings"


@dataclass(frozen=True, eq=False)
class Converted:
    """`run` and `exposure` are rows of their tables, without run_id; `evals` has all but it, too."""

    run: AnyMapping[str, Any]
    exposure: Sequence[AnyMapping[str, Any]]
    evals: pl.DataFrame
    metrics: tuple[MetricAccount, ...]
    notes: tuple[str, ...]
    names: AnyMapping[str, str]
    """Names in the source, and the languages that they were read as."""
    kept_names: tuple[str, ...]

    @property
    def phases(self) -> dict[str, int]:
        """Points of losses by phase, without those of none."""
        return dict(self.evals["lr_phase"].drop_nulls().value_counts(sort=True).sort("lr_phase").iter_rows())


@dataclass(frozen=True)
class _Use:
    """A metric that is a loss: by which line of the mapping, of which language, and its standard error's metric."""

    metric: str
    loss: Loss
    language: str
    stderr: str | None


def convert(run: LoggedRun, mapping: Mapping, said: str) -> Converted:
    """Raises InputError where two metrics are the loss of one language in one unit."""
    namer, notes = Namer(mapping.languages), list[str]()
    uses, refused = _uses(run, mapping, namer)
    clock = find_clock(run, mapping, notes)
    accounts: list[MetricAccount] = []
    frames: list[pl.DataFrame] = []
    status = _status(run, mapping)
    collapsed: list[str] = []
    for use in uses:
        # Where a source does not tell how a run ended, its rate does.
        frame, account, broken = _loss_points(use, run, clock, not status or status in FINISHED)
        frames.append(frame)
        accounts.append(account)
        collapsed += [use.metric] * broken
    accounts += _stderr_accounts(uses, run, frames)
    taken = {account.metric for account in accounts}
    accounts += [account for account in clock.accounts if account.metric not in taken]
    taken |= {account.metric for account in accounts}
    in_use = used_settings(mapping, run.config)
    for name, series in run.metrics.items():
        if name not in taken:
            why = refused.get(name, AS_SETTING if name in in_use else NOT_MAPPED)
            accounts.append(MetricAccount(name, "", len(series), 0, {why: len(series)}))
    if collapsed:
        notes.append(f"diverged: the last value of {', '.join(collapsed[:3])} is no number")
        status = "diverged"
    order = {name: i for i, name in enumerate(run.metrics)}
    evals = pl.concat(frames) if frames else pl.DataFrame(schema=_no_id(EVALS_SCHEMA))
    exposure = exposure_rows(mapping, run.config, namer, notes)
    row = run_columns(mapping, run.config, run.name) | {"source": said, "status": status or None}
    own = row.pop("notes", None)
    row["notes"] = "; ".join(n for n in (own, *notes) if n) or None
    accounts.sort(key=lambda account: order[account.metric])
    return Converted(row, exposure, evals, tuple(accounts), tuple(notes), dict(namer.seen), tuple(sorted(namer.kept)))


def _no_id(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: dtype for name, dtype in schema.items() if name != "run_id"}


def _status(run: LoggedRun, mapping: Mapping) -> str:
    if not any(len(series) for series in run.metrics.values()):
        return "ghost"
    return mapping.status.get(run.status, run.status).casefold()


def _uses(run: LoggedRun, mapping: Mapping, namer: Namer) -> tuple[list[_Use], dict[str, str]]:
    """The losses, and metrics that are named as one and belong to no language."""
    uses: list[_Use] = []
    refused: dict[str, str] = {}
    first: dict[tuple[str, str, str | None], str] = {}
    patterns = [(Pattern(name), loss) for name, loss in mapping.losses.items() if Pattern(name).many]
    stderrs = _stderr_names(run, mapping)
    for metric in run.metrics:
        if metric in stderrs:
            continue
        loss, spoken = mapping.losses.get(metric), None
        if loss is None:
            found = ((p, known) for p, known in patterns if p.language(metric) is not None)
            pattern, loss = next(found, (None, None))
            if pattern is None or loss is None:
                continue
            spoken = pattern.language(metric)
        elif loss.language_from is not None:
            value = run.config.get(loss.language_from)
            spoken = str(value) if value not in (None, "") else None
        language = loss.language or (namer.code(spoken) if spoken else None)
        if language is None:
            refused[metric] = TOTAL if spoken else NO_LANGUAGE
            continue
        other = first.setdefault((language, loss.loss_unit, loss.phase), metric)
        if other != metric:
            raise InputError(
                f"metrics {other!r} and {metric!r} are both the loss of {language} in {loss.loss_unit}",
                where=f"run {run.name!r}",
                hint="Map one of them; name it in full, or a pattern that the other does not fit.",
            )
        stderr = Pattern(loss.stderr).filled(spoken or "") if loss.stderr else None
        uses.append(_Use(metric, loss, language, stderr))
    return uses, refused


def _stderr_names(run: LoggedRun, mapping: Mapping) -> set[str]:
    """A standard error is none, whatever pattern of losses its name fits."""
    forms = [Pattern(loss.stderr) for loss in mapping.losses.values() if loss.stderr]
    return {m for m in run.metrics for form in forms if m == form.text or form.language(m) is not None}


def _loss_points(use: _Use, run: LoggedRun, clock: Clock, finished: bool) -> tuple[pl.DataFrame, MetricAccount, bool]:
    series = run.metrics[use.metric]
    points = in_order(series, resumed=clock.resumed)
    number, wrong = _numbers(points.value, use.loss)
    step, value = points.step[number], points.value[number]
    if use.loss.is_perplexity:
        value = np.log(value)
    joined = clock.tokens(step)
    known = np.isfinite(joined.tokens)
    step, value, tokens = step[known], value[known], joined.tokens[known]
    phase = [use.loss.phase] * len(step) if use.loss.phase else clock.phases(step, finished=finished)
    columns = {
        "tokens": np.rint(tokens).astype(np.int64),
        "step": step,
        "lr_phase": pl.Series(phase, dtype=pl.String),
        "language": pl.repeat(use.language, len(step), dtype=pl.String, eager=True),
        "loss": value,
        "unit": pl.repeat(use.loss.loss_unit, len(step), dtype=pl.String, eager=True),
        "stderr": _errors(use, run, step, value),
        "metric": pl.repeat(use.metric, len(step), dtype=pl.String, eager=True),
    }
    frame = pl.DataFrame(columns, schema=_no_id(EVALS_SCHEMA))
    left_out = {
        REPLACED: points.replaced,
        REPEATED: points.repeated,
        **wrong,
        **joined.why_not,
    }
    said = f"loss of {use.language} in {use.loss.loss_unit}"
    said += f", the logarithm of its {use.loss.unit}" if use.loss.is_perplexity else ""
    account = MetricAccount(use.metric, said, len(series), len(step), left_out)
    return frame, account, bool(len(points.value)) and not bool(np.isfinite(points.value[-1]))


def _numbers(value: np.ndarray, loss: Loss) -> tuple[np.ndarray, dict[str, int]]:
    """Which values are losses, or perplexities that have one, and how many are not for each reason."""
    number = np.isfinite(value)
    if not loss.is_perplexity:
        return number, {NOT_A_NUMBER: int((~number).sum())}
    infinite, below = value == np.inf, value < 1
    wrong = {NOT_A_NUMBER: np.isnan(value), INFINITE: infinite, BELOW_ONE: below}
    return number & ~below, {why: int(rows.sum()) for why, rows in wrong.items()}


def _errors(use: _Use, run: LoggedRun, step: np.ndarray, loss: np.ndarray) -> pl.Series:
    series = run.metrics.get(use.stderr) if use.stderr else None
    if series is None or not len(series):
        return pl.Series([None] * len(step), dtype=pl.Float64)
    points = in_order(series, resumed=False)
    at = np.searchsorted(points.step, step).clip(max=len(points.step) - 1)
    same = (points.step[at] == step) & np.isfinite(points.value[at])
    errors = np.where(same, points.value[at], np.nan)
    if use.loss.is_perplexity:
        # The standard error of a logarithm, to first order.
        errors = errors / np.exp(loss)
    return pl.Series(errors).fill_nan(None)


def _stderr_accounts(uses: Sequence[_Use], run: LoggedRun, frames: Sequence[pl.DataFrame]) -> list[MetricAccount]:
    out: list[MetricAccount] = []
    for use, frame in zip(uses, frames, strict=True):
        series: Series | None = run.metrics.get(use.stderr) if use.stderr else None
        if use.stderr is None or series is None or any(account.metric == use.stderr for account in out):
            continue
        kept = frame.height - frame["stderr"].null_count()
        points: InOrder = in_order(series, resumed=False)
        doubles = points.replaced + points.repeated
        left_out = {REPEATED: doubles, "no loss at its step": len(series) - doubles - kept}
        out.append(MetricAccount(use.stderr, f"standard error of {use.metric}", len(series), kept, left_out))
    return out
