"""Which metrics look like losses of languages, and in which unit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.errors import InputError
from isogloss.runs.columns import meaning
from isogloss.runs.importing.patterns import LANGUAGE, Pattern
from isogloss.runs.importing.perplexity import metric_unit
from isogloss.runs.importing.survey import Survey
from isogloss.runs.names import judge_names

_BITS = re.compile(r"(?<![a-z])(bpb|bits_?per_?byte)(?![a-z])", re.IGNORECASE)
_LOSS = re.compile(r"(?<![a-z])(loss|nll|xent|cross_?entropy|ce|bpb|bits_?per_?byte)(?![a-z])", re.IGNORECASE)
_PERPLEXITY = re.compile(r"(?<![a-z])(ppl|perplexity|byte_perplexity)(?![a-z])", re.IGNORECASE)
KIND = re.compile(f"{_LOSS.pattern}|{_PERPLEXITY.pattern}", re.IGNORECASE)
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
    names = [n for n in found.metrics if KIND.search(n) and not _TRAINING.search(n) and "{" not in n]
    losses = [n for n in names if _LOSS.search(n)]
    # Where both are logged, a loss and its perplexity say the same.
    out = _by_language(losses, _LOSS, found, vocabularies) or _by_language(names, _PERPLEXITY, found, vocabularies)
    if not out:
        left = losses or names
        for name in sorted(left, key=lambda n: (not _HELD_OUT.search(n), left.index(n)))[:3]:
            unit, why = _unit(name, [name], found, vocabularies)
            out.append(LossGuess(name, unit, why, metrics=(name,)))
    return out


def _by_language(
    names: Iterable[str], kind: re.Pattern[str], found: Survey, vocabularies: list[float]
) -> list[LossGuess]:
    groups = {p: group for p, group in language_patterns(names).items() if kind.search(p)}
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
    return out


def language_patterns(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Every pattern with {language} that a name may be of, with its names and what stands for the language in each."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        for start, end in _places(name):
            groups.setdefault(name[:start] + LANGUAGE + name[end:], {})[name] = name[start:end]
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
    if _PERPLEXITY.search(name) and not _LOSS.search(name):
        if re.search("word", name, re.IGNORECASE):
            return None, "a perplexity per word has no unit here: is there a loss per token, or bits_per_byte?"
        return f"perplexity/{'byte' if re.search('byte', name, re.IGNORECASE) else 'token'}", "by its name"
    if re.search(r"nats_?per_?token", name, re.IGNORECASE):
        return "nats/token", "by its name"
    first = [v for metric in metrics for v in found.metrics[metric].first]
    start = float(np.median(first)) if first else math.nan
    if len(said := _units_said(found)) == 1:
        return said.pop(), "by the setting unit"
    for vocabulary in vocabularies:
        for unit, base in (("nats/token", math.log(vocabulary)), ("bits/token", math.log2(vocabulary))):
            if abs(start / base - 1) < _NEAR:
                return unit, f"it begins at {start:.3g}, and a vocabulary of {vocabulary:g} at {base:.3g}"
    if not vocabularies and _AT_START[0] <= start <= _AT_START[1]:
        return "nats/token", f"it begins at {start:.3g}, as ln of a vocabulary does"
    return None, "nats/token or bits/byte?"


def _units_said(found: Survey) -> set[str]:
    """Of settings such as `unit`, which isogloss's own tables have for a column."""
    units: set[str] = set()
    for name, values in found.settings.items():
        if meaning(name) == "unit":
            for text in values:
                try:
                    units.add(metric_unit(text))
                except InputError:
                    return set()
    return units
