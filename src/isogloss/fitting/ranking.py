"""Which of several laws to use: the best on held-out rows, unless a simpler one is within a standard error of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.fitting.scores import Scores, interval

# A lead in R² below this is none, however surely it is one: a coefficient on its bound can give it.
LEAST_LEAD = 1e-4


@dataclass(frozen=True)
class Ranked:
    """A law's `mean` R² over held-out splits, each language counting at least scores.FLOOR, with its interval; and
    how much higher (`ahead`) the best law's is than this one's, its standard error and its interval, over draws of
    held-out runs (None where they are too few for any)."""

    name: str
    coefficients: float
    mean: float
    low: float | None
    high: float | None
    ahead: float
    ahead_error: float | None
    ahead_low: float | None
    ahead_high: float | None

    @property
    def told_apart(self) -> bool:
        """Whether the interval of the best law's lead leaves out zero, and the lead is worth the name."""
        return self.ahead_low is not None and self.ahead_low > 0 and self.ahead >= LEAST_LEAD

    @property
    def near(self) -> bool:
        """Whether the lead is within its standard error: a wide interval that holds zero is no reason to prefer a
        law, only a lead that is small against it. Breiman et al. 1984, Classification and Regression Trees, 3.4.3."""
        return self.ahead <= max(LEAST_LEAD, self.ahead_error or 0.0)


@dataclass(frozen=True)
class Ranking:
    """Laws from the highest mean down; `choice` is the law to use, none if no law is usable."""

    laws: tuple[Ranked, ...]
    splits: tuple[str, ...]
    choice: str | None
    sentence: str


def rank(
    scores: Mapping[str, Mapping[str, Scores]], coefficients: Mapping[str, float], held_out: Sequence[str], level: float
) -> Ranking:
    """`scores` by law and split. Only splits that every law has count, so that means compare; and if any has runs
    enough for intervals, only those."""
    splits = tuple(s for s in held_out if all(s in of_law for of_law in scores.values()))
    drawn_splits = tuple(s for s in splits if all(len(of_law[s].drawn_r2) for of_law in scores.values()))
    splits = drawn_splits or splits
    if not splits:
        return Ranking((), (), None, "No held-out split was given, so nothing says which law to use.")
    floored = {law: [of_law[s].floored() for s in splits] for law, of_law in scores.items()}
    means = {law: float(np.mean([mean for mean, _ in each])) for law, each in floored.items()}
    drawn = {law: np.mean([draws for _, draws in each], axis=0) for law, each in floored.items()}
    best = max(means, key=lambda law: means[law])
    ranked = []
    for law in sorted(means, key=lambda name: -means[name]):
        lead = drawn[best] - drawn[law]
        own, ahead = interval(drawn[law], level), interval(lead, level)
        error = float(np.nanstd(lead)) if ahead[0] is not None else None
        ranked.append(Ranked(law, coefficients[law], means[law], *own, means[best] - means[law], error, *ahead))
    choice, sentence = _choose(ranked, splits)
    return Ranking(tuple(ranked), splits, choice, sentence)


def _choose(ranked: Sequence[Ranked], splits: Sequence[str]) -> tuple[str | None, str]:
    best, others = ranked[0], ranked[1:]
    over = f"over {_listed(splits)}"
    if best.mean <= 0:
        return None, (
            f"No law is usable here: the highest mean held-out R², of {best.name}, is {best.mean:.2f} {over}, no "
            "better than the held-out losses' own mean."
        )
    if not others:
        return best.name, f"{best.name} has mean held-out R² {best.mean:.3f} {over}; there is no other law to compare."
    simpler = [r for r in others if r.near and r.coefficients < best.coefficients and r.mean > 0]
    if simpler:
        chosen = min(simpler, key=lambda r: (r.coefficients, -r.mean))
        return chosen.name, (
            f"Use {chosen.name}: {best.name} scores higher by {_lead(chosen)} {over}, which is within one standard "
            f"error, and it has {best.coefficients:g} coefficients where {chosen.name} has {chosen.coefficients:g}."
        )
    runner_up = others[0]
    alike = [r.name for r in others if not r.told_apart]
    if alike:
        return best.name, (
            f"Use {best.name}, mean held-out R² {best.mean:.3f} {over}; but these runs do not surely tell it from "
            f"{_listed(alike)} (ahead of {runner_up.name} by {_lead(runner_up)})."
        )
    return best.name, (
        f"Use {best.name}: mean held-out R² {best.mean:.3f} {over}, ahead of {runner_up.name} by {_lead(runner_up)}."
    )


def _lead(law: Ranked) -> str:
    if law.ahead < LEAST_LEAD:
        return f"less than {LEAST_LEAD:g}"
    if law.ahead_low is None:
        return f"{law.ahead:.2g} (too few runs for an interval)"
    return f"{law.ahead:.2g} ({law.ahead_low:.2g} to {law.ahead_high:.2g})"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
