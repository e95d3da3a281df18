"""Each language's own law: from the user's fit, from ATLAS's table, or from the languages of that table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isogloss.errors import InputError
from isogloss.laws import atlas_per_language
from isogloss.planning.kinds import Evidence, some
from isogloss.planning.question import Question

if TYPE_CHECKING:
    from isogloss.fitting import Fit
    from isogloss.laws.catalogue import Entry

NAMES = ("E", "A", "alpha", "B", "beta")
LOGS = [NAMES.index("A"), NAMES.index("B")]


@dataclass(frozen=True, eq=False)
class KnownLaws:
    """`values` `(K, 5)` in the order of `names`. `sources` holds what each language's law is drawn from `(n, 5)`: draws
    of a fit (fits of one `group` are drawn together), all laws of the table, or the one published law."""

    values: np.ndarray
    sources: tuple[np.ndarray, ...]
    groups: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    varies: tuple[str, ...]
    """Sentences: what the draws hold, and what they do not."""
    lacks: tuple[str, ...]
    unit: str
    """Of losses; several where own fits stand beside published laws."""
    N_range: tuple[float, float]
    """The sizes behind all of the laws."""
    names: tuple[str, ...] = NAMES

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws of all laws `(n, K, 5)`.

        A language without a law of its own gets a whole law of the table. Six laws tell no covariance of five
        coefficients, and a normal of it would pair an A with an alpha, or take an E below 0, that nobody measured.
        Which of the table's laws are common is itself drawn (Rubin's Bayesian bootstrap), once for all languages:
        what is not known of languages in general does not average out over many of them.
        """
        out = np.empty((n, *self.values.shape))
        picked: dict[str, np.ndarray] = {}
        for i, (source, group) in enumerate(zip(self.sources, self.groups, strict=True)):
            if group == TABLE:
                if TABLE not in picked:
                    picked[TABLE] = rng.dirichlet(np.ones(len(source)), n).cumsum(axis=1)
                place = (rng.random((n, 1)) > picked[TABLE][:, :-1]).sum(axis=1)
            else:
                key = f"{group}, {len(source)}"
                if key not in picked:
                    picked[key] = rng.permutation(np.resize(rng.permutation(len(source)), n))
                place = picked[key]
            out[:, i] = source[place]
        return out


TABLE, FAMILY = "table", "family"
PUBLISHED_UNIT = "vocabulary-insensitive (as ATLAS prints it)"


def known_laws(question: Question) -> KnownLaws:
    """E, A, alpha, B, beta of every language: own fit, else Table C.1, else the mean of the languages in that table.

    Raises InputError for a fit that lacks one of them, and for fits of losses in different units.
    """
    regime = question.assumptions.laws
    published = atlas_per_language(regime)
    table = np.array([[entry.coefficients[n] for n in NAMES] for entry in published.values()])
    mean = _mean_law(table)
    rows, sources, groups, evidence, without, drawless = [], [], [], [], [], []
    fits: dict[str, Fit] = {}
    for code, need in question.languages.items():
        quantity = f"law.{code}"
        if need.fit is not None:
            # What fits takes most of a second to load, and most questions name no fit.
            from isogloss.fitting import load_fit
            from isogloss.fitting.intervals import JOINT

            fit = load_fit(Path(need.fit))
            value, draws = _fitted(code, fit)
            fits[code] = fit
            if not len(draws):
                drawless.append(code)
            rows.append(value)
            sources.append(draws if len(draws) else value[None])
            groups.append(str(Path(need.fit).parent) if fit.intervals == JOINT else need.fit)
            told = f"{len(draws):,} draws ({fit.intervals})" if len(draws) else "without draws: no interval"
            evidence.append(Evidence(quantity, "measured", f"fit in {need.fit}, {told}"))
        elif code in published:
            value = np.array([published[code].coefficients[n] for n in NAMES])
            rows.append(value)
            sources.append(value[None])
            groups.append(quantity)
            evidence.append(Evidence(quantity, "published", f"{published[code].source}; no interval published"))
        else:
            rows.append(mean)
            sources.append(table)
            groups.append(TABLE)
            without.append(code)
            source = (
                f"mean of the {len(published)} languages of ATLAS table C.1 ({regime}); interval: whole laws of them"
            )
            evidence.append(Evidence(quantity, "assumed", source))
    fitted = [c for c, need in question.languages.items() if need.fit is not None and c not in drawless]
    named = [c for c, g in zip(question.languages, groups, strict=True) if g == f"law.{c}"]
    return KnownLaws(
        values=np.array(rows, float),
        sources=tuple(sources),
        groups=tuple(groups),
        evidence=tuple(evidence),
        warnings=tuple(_warnings(question, without, list(published))),
        varies=tuple(
            [f"laws of {some(fitted)}: draws of their fits"] * bool(fitted)
            + [f"laws of {some(without)}: whole laws of the {len(published)} languages of ATLAS table C.1"]
            * bool(without)
        ),
        lacks=tuple(
            [f"laws of {some(named)}: ATLAS table C.1 prints no intervals"] * bool(named)
            + [f"laws of {some(drawless)}: their fits were made without draws"] * bool(drawless)
        ),
        unit=_unit(question, {code: fit.unit for code, fit in fits.items()}),
        N_range=sizes_behind(list(fits.values())) if len(fits) == len(rows) else _published_sizes(published),
    )


def sizes_behind(fits: Sequence[Fit]) -> tuple[float, float]:
    """The smallest and the largest N that the runs of all fits have."""
    known = [np.asarray(fit.rows["N"], float) for fit in fits if "N" in fit.rows.columns]
    if len(known) < len(fits):
        return 0.0, float("inf")
    return max(float(N.min()) for N in known), min(float(N.max()) for N in known)


def _published_sizes(published: Mapping[str, Entry]) -> tuple[float, float]:
    return next(iter(published.values())).N_range or (0.0, float("inf"))


def one_unit(units: Mapping[str, str]) -> str | None:
    """The unit of the fits' losses, by language; None without fits. Raises InputError where there are two."""
    found = sorted(set(units.values()))
    if len(found) > 1:
        raise InputError(
            f"fits of losses in {' and '.join(found)}",
            where=f"languages.{next(code for code, unit in units.items() if unit == found[1])}.fit",
            hint="Fit all languages in one unit: their losses are averaged.",
        )
    return found[0] if found else None


def _unit(question: Question, units: Mapping[str, str]) -> str:
    fitted = one_unit(units)
    if fitted is None:
        return PUBLISHED_UNIT
    return fitted if len(units) == len(question.languages) else f"{fitted} and {PUBLISHED_UNIT}"


def _mean_law(table: np.ndarray) -> np.ndarray:
    """Means of ln A and alpha make the mean law's terms the geometric means of the terms, at every N and D."""
    logs = table.copy()
    logs[:, LOGS] = np.log(table[:, LOGS])
    mean = logs.mean(0)
    mean[LOGS] = np.exp(mean[LOGS])
    return mean


def _warnings(question: Question, without: Sequence[str], published: Sequence[str]) -> list[str]:
    count, out = len(question.languages), []
    if without:
        everyone = len(without) == count
        share = "No language has" if everyone else f"{len(without)} of {count} languages have no"
        own = "a law of its own" if everyone else "law of their own"
        out.append(
            f"{share} {own} ({some(without)}): they get the mean of {some(published)}. "
            "Their losses differ only by text and transfer; own runs would tell more."
        )
    fits = [need.fit is not None for need in question.languages.values()]
    if any(fits):
        out.append(
            "laws named by fit rest on their runs alone: in simulation, of 10 and 30 small runs, 80% intervals of such "
            'plans held the truth half of the time; runs = "..." in the question counts what is known besides.'
        )
    if any(fits) and not all(fits):
        out.append(
            "own fits and published laws are averaged: their losses may be in different units, and only "
            "languages of one unit can be weighed against each other."
        )
    return out


def _fitted(code: str, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients `(5,)`, and their draws `(draws, 5)`."""
    if fit.law.name == FAMILY:
        raise InputError(
            "a family fit says what the language's share of a mixture does, not what its own tokens do",
            where=f"languages.{code}.fit",
            hint="`isogloss plan` takes it where every language has one; else give a fit of chinchilla or atlas.",
        )
    places = {e.name: i for i, e in enumerate(fit.coefficients)}
    lacking = [n for n in NAMES if n not in places]
    if lacking:
        raise InputError(
            f"a {fit.law.name} fit has no {', '.join(lacking)}",
            where=f"languages.{code}.fit",
            hint="Give a fit of chinchilla, data-constrained or atlas.",
        )
    at = [places[n] for n in NAMES]
    return fit.values[at], np.asarray(fit.draws)[:, at] if len(fit.draws) else np.empty((0, len(NAMES)))
