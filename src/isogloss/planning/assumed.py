"""Languages of which too little is known to plan them: refused, or planned on assumptions that are marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.languages import relations
from isogloss.laws import atlas_per_language
from isogloss.planning.kinds import Evidence, Kind, some
from isogloss.planning.question import TRANSFER, LanguageNeed, Question
from isogloss.units import format_quantity

# A language that no inventory has is taken to have as much text as this quantile of those that are in one.
SCARCE = 0.1
# Keys of a language that say how much text there is of it.
TEXT = frozenset({"tokens", "bytes", "corpora"})


def allowing(asked: Question) -> Question:
    """The question with assumptions.allow_assumed set."""
    return asked.model_copy(update={"assumptions": asked.assumptions.model_copy(update={"allow_assumed": True})})


def lacking(asked: Question) -> Mapping[str, tuple[str, ...]]:
    """Languages that lack evidence, and what: "text", "relations" or both.

    Evidence of text is an amount in the question or the inventory. Evidence of relations is a fit of its own, a
    published law, a measured score of the user's matrix, or a known descent (which for isolates is that they have no
    relatives): from it the model of transfer predicts. A script alone is none: half the world's languages share one.
    """
    out = {}
    measured: frozenset[str] | None = None
    for code, need in asked.languages.items():
        missing = [] if _has_text(code, need) else ["text"]
        if need.fit is None and code not in _published(asked.assumptions.laws) and not relations.has_lineage(code):
            measured = _measured(asked) if measured is None else measured
            missing += [] if code in measured else ["relations"]
        if missing:
            out[code] = tuple(missing)
    return out


def unknown_languages(asked: Question) -> Mapping[str, tuple[str, ...]]:
    """What `lacking` finds. Raises InputError for it unless assumptions.allow_assumed is set."""
    found = lacking(asked)
    if not found or asked.assumptions.allow_assumed:
        return found
    code, missing = next(iter(found.items()))
    what, give, then = [], [], []
    if "text" in missing:
        what.append(f"how much text there is of {code} is not known")
        give.append('its text (tokens = "200M", or bytes = "1 GB")')
        then.append(_assumed_amount())
    if "relations" in missing:
        what.append(f"{code} has no law of its own, and its descent is not known, so nothing says what others teach it")
        give.append("a fit of its own runs or measured scores (assumptions.transfer)")
        then.append("the mean law of ATLAS's languages, and weights from its script alone")
    others = [f"too little is known of {some(list(found)[1:])} too"] if len(found) > 1 else []
    raise InputError(
        "; ".join([*what, *others]),
        where=f"languages.{code}",
        hint=f"Give {' and '.join(give)}. Or allow assumptions (--allow-assumed, or assumptions.allow_assumed = true): "
        f"{'; '.join(then)}.",
    )


def assumed_text() -> tuple[float, Kind, str]:
    """Tokens of a language that no inventory has, their kind and what they rest on."""
    return scarce_tokens(), "assumed", f"nothing is known: {_assumed_amount()} (allowed by allow_assumed)"


@cache
def scarce_tokens() -> float:
    """The SCARCE quantile of the tokens that languages of the inventory have."""
    found = (_languages.tokens_available(entry.code) for entry in _languages.all_languages())
    return float(np.quantile([t.tokens for t in found if t is not None and t.tokens >= 1], SCARCE))


def marked(evidence: Iterable[Evidence], unknown: Mapping[str, Sequence[str]]) -> list[Evidence]:
    """Evidence of transfer, where that into a language of unknown descent is assumed and not predicted."""
    of = {f"transfer.{code}" for code, missing in unknown.items() if "relations" in missing}
    said = "assumed from the script alone, descent unknown (allowed by allow_assumed): "
    return [replace(e, kind="assumed", source=said + e.source) if e.quantity in of else e for e in evidence]


def assumed_warnings(unknown: Mapping[str, Sequence[str]]) -> list[str]:
    if not unknown:
        return []
    out = []
    for part, words in (
        ("text", f"no text is known of {{}}: {_assumed_amount()}. Their shares and epochs rest on that."),
        ("relations", "nothing is known of {} but the script: law and transfer are assumed, and its losses a guess."),
    ):
        codes = [code for code, missing in unknown.items() if part in missing]
        if codes:
            out.append(words.format(some(codes)))
    return out


def _assumed_amount() -> str:
    least = format_quantity(scarce_tokens(), "tokens")
    return f"{least} are assumed, which {1 - SCARCE:.0%} of the inventory's languages exceed"


def _has_text(code: str, need: LanguageNeed) -> bool:
    if need.model_fields_set & TEXT:
        return True
    found = _languages.tokens_available(code)
    return found is not None and found.tokens >= 1


@cache
def _published(regime: str) -> frozenset[str]:
    return frozenset(atlas_per_language(regime))


def _measured(asked: Question) -> frozenset[str]:
    """Languages into which, or from which, the user's own matrix has a measured score."""
    if asked.assumptions.transfer in TRANSFER:
        return frozenset()
    from isogloss.transfer.prediction import NOT_MEASURED
    from isogloss.transfer.source import read_matrix

    own = read_matrix(asked.assumptions.transfer)
    here = own.present() & ~np.isin(own.kind.astype(str), NOT_MEASURED)
    return frozenset(np.array(own.languages)[here.any(axis=0) | here.any(axis=1)])
