"""A run's clock: what a step is worth in tokens, where the learning rate stood, and whether the run was resumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.runs.importing import join
from isogloss.runs.importing.accounts import NOT_A_NUMBER, REPEATED, REPLACED, MetricAccount
from isogloss.runs.importing.logged import LoggedRun, Series
from isogloss.runs.importing.mapping import Mapping
from isogloss.runs.importing.resumes import Counter, counter, in_order, went_back
from isogloss.runs.importing.settings import first_number

NO_COUNTER = "rises and falls: no counter"


@dataclass(frozen=True, eq=False)
class Clock:
    """Tokens are told by the counter, else by steps, else as the total at the run's last step."""

    counter: Counter | None
    per_step: float | None
    total: float | None
    rates: join.Rates | None
    resumed: bool
    accounts: tuple[MetricAccount, ...]

    def tokens(self, step: np.ndarray) -> join.Joined:
        if self.counter is not None:
            return join.tokens_at(step, self.counter)
        if self.per_step is not None:
            return join.tokens_by_steps(step, self.per_step)
        if self.total is not None and len(step):
            return join.tokens_at_end(step, self.total)
        return join.no_tokens(step)

    def phases(self, step: np.ndarray, *, finished: bool) -> list[str | None]:
        if self.rates is None or not len(step):
            return [None for _ in step]
        words = self.rates.phases(step, finished=finished)
        return [word or None for word in words]


def find_clock(run: LoggedRun, mapping: Mapping, notes: list[str]) -> Clock:
    name = _present(run, mapping.tokens.metric)
    series = run.metrics[name] if name else None
    found, accounts = None, list[MetricAccount]()
    if name and series is not None:
        found, account = _counter(name, series, mapping, run, notes)
        accounts.append(account)
    resumed = went_back(series) if found is not None and series is not None else _most_went_back(run)
    per_step = first_number(mapping.tokens.per_step, run.config)
    total = first_number(mapping.tokens.total, run.config)
    if per_step is None and total is None:
        per_step = first_number(mapping.run.batch_tokens, run.config)
    rates = None
    if mapping.learning_rate and (rate := _present(run, mapping.learning_rate.metric)):
        rates, account = _rates(rate, run.metrics[rate], resumed)
        accounts.append(account)
    if resumed:
        notes.append("resumed: of steps logged twice the later counts")
    return Clock(found, per_step, total, rates, resumed, tuple(accounts))


def _present(run: LoggedRun, names: list[str] | None) -> str | None:
    return next((n for n in names or () if n in run.metrics and len(run.metrics[n])), None)


def _most_went_back(run: LoggedRun) -> bool:
    several = [series for series in run.metrics.values() if len(series) > 1]
    return 2 * sum(map(went_back, several)) > len(several)


def _counter(
    name: str, series: Series, mapping: Mapping, run: LoggedRun, notes: list[str]
) -> tuple[Counter | None, MetricAccount]:
    scale = first_number(mapping.tokens.scale, run.config)
    if scale is None:
        notes.append(f"{name} is not used: {' or '.join(mapping.tokens.scale)} is not in the settings")
        return None, MetricAccount(name, "", len(series), 0, {"its scale is not in the settings": len(series)})
    found = counter(series, scale)
    if found is None:
        why = NO_COUNTER if len(series) and np.isfinite(series.value).any() else NOT_A_NUMBER
        notes.append(f"{name} is not used: {why}")
        return None, MetricAccount(name, "", len(series), 0, {why: len(series)})
    for step in found.restarts:
        notes.append(f"{name} begins anew at step {step}: what was seen before is added")
    left_out = {REPLACED: found.replaced, REPEATED: found.repeated, NOT_A_NUMBER: found.bad}
    return found, MetricAccount(name, "tokens", len(series), len(found.step), left_out)


def _rates(name: str, series: Series, resumed: bool) -> tuple[join.Rates, MetricAccount]:
    points = in_order(series, resumed=resumed)
    number = np.isfinite(points.value)
    rates = join.Rates(points.step[number], points.value[number])
    left_out = {REPLACED: points.replaced, REPEATED: points.repeated, NOT_A_NUMBER: int((~number).sum())}
    return rates, MetricAccount(name, "learning rate", len(series), int(number.sum()), left_out)
