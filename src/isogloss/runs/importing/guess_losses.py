"""Which metrics look like losses of languages, and in which unit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.runs.importing.patterns import LANGUAGE, Pattern
from isogloss.runs.importing.survey import Survey
from isogloss.runs.names import judge_names

_BITS = re.compile(r"(?<![a-z])(bpb|bits_?per_?byte)(?![a-z])", re.IGNORECASE)
_KIND = re.compile(r"(?<![a-z])(loss|nll|xent|cross_?entropy|ce|bpb|bits_?per_?byte)(?![a-z])", re.IGNORECASE)
_TRAINING = re.compile(r"(?<![a-z])(train|training|grad|aux|z_?loss|moe|reward|kl|stderr|std|min|max)(?![a-z])", re.I)
_HELD_OUT = re.compile(r"(?<![a-z])(eval|val|valid|validation|test|dev|heldout|held_out)(?![a-z])", re.IGNORECASE)
_NAME = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2,3}[-_][A-Z][a-z]{3}|[A-Za-z]{2,})(?![A-Za-z0-9])")
# Words of metric names that are also codes or names of languages.
_WORDS = frozenset(
    {
        *("eval", "val", "valid", "validation", "test", "dev", "train", "loss", "nll", "ce", "bpb", "bits", "per"),
        *("byte", "token", "lm", "avg", "mean", "all", "set", "ppl", "acc", "norm", "nats", "metrics", "xent"),
        *("cross", "entropy", "total", "final", "last", "best", "ema", "model", "data", "ds", "sum", "mc", "new"),
    }
)
# A model that knows nothing has a loss of ln(vocabulary): in nats, of 8,000 to 300,000 pieces.
_AT_START = (8.9, 12.7)
_NEAR = 0.12


@dataclass(frozen=True)
class LossGuess:
    """A metric or pattern, with its language where the name has none; unit and language None where nobody can tell."""

    name: str
    unit: str | None
    why: str
    languages: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def many(self) -> bool:
        return LANGUAGE in self.name


def guess_losses(found: Survey, vocabularies: Iterable[float]) -> list[LossGuess]:
    """Patterns first, those of most languages foremost; else single metrics whose names hold no language."""
    vocabularies = list(vocabularies)
    names = [n for n in found.metrics if _KIND.search(n) and not _TRAINING.search(n)]
    groups = _patterns(names)
    out: list[LossGuess] = []
    left = set(names)
    while True:
        fitting = {p: {m: lang for m, lang in g.items() if m in left} for p, g in groups.items()}
        fitting = {p: kept for p, g in fitting.items() if (kept := _if_languages(g))}
        if not fitting:
            break
        pattern = max(fitting, key=lambda p: (len(fitting[p]), len(p)))
        metrics = fitting[pattern]
        unit, why = _unit(pattern, metrics, found, vocabularies)
        out.append(LossGuess(pattern, unit, why, tuple(metrics.values()), tuple(metrics)))
        # What the pattern fits is spoken for, also names that are no languages.
        left -= {m for m in left if Pattern(pattern).language(m) is not None}
    if not out:
        for name in sorted(left, key=lambda n: (not _HELD_OUT.search(n), names.index(n)))[:3]:
            unit, why = _unit(name, [name], found, vocabularies)
            out.append(LossGuess(name, unit, why, metrics=(name,)))
    return out


def _patterns(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Every pattern that a metric may be of, with its metrics and what stands for the language in each."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        for start, end in _places(name):
            pattern = name[:start] + LANGUAGE + name[end:]
            if "{" not in name and _KIND.search(pattern):
                groups.setdefault(pattern, {})[name] = name[start:end]
    return groups


def _places(name: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(r"[A-Za-z]+(?:[-_][A-Z][a-z]{3}(?![A-Za-z]))?", name):
        if match[0].casefold() not in _WORDS and _NAME.fullmatch(match[0]):
            yield match.span()


def _if_languages(group: dict[str, str]) -> dict[str, str]:
    """The group, if most of its names are languages: arxiv and github beside "se" are not."""
    judged = judge_names(group.values())
    return group if judged.languages else {}


def _unit(name: str, metrics: Iterable[str], found: Survey, vocabularies: list[float]) -> tuple[str | None, str]:
    if _BITS.search(name):
        return "bits/byte", "by its name"
    if re.search(r"nats_?per_?token", name, re.IGNORECASE):
        return "nats/token", "by its name"
    first = [v for metric in metrics for v in found.metrics[metric].first]
    start = float(np.median(first)) if first else math.nan
    for vocabulary in vocabularies:
        for unit, base in (("nats/token", math.log(vocabulary)), ("bits/token", math.log2(vocabulary))):
            if abs(start / base - 1) < _NEAR:
                return unit, f"it begins at {start:.3g}, and a vocabulary of {vocabulary:g} at {base:.3g}"
    if not vocabularies and _AT_START[0] <= start <= _AT_START[1]:
        return "nats/token", f"it begins at {start:.3g}, as ln of a vocabulary does"
    return None, "nats/token or bits/byte?"
