"""Several corpora of one language in a question: what there is of each, and what a plan takes of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss import languages as _languages
from isogloss.planning.kinds import Kind, weakest
from isogloss.planning.question import CorpusNeed, LanguageNeed, Limits, Question
from isogloss.planning.text import Corpus
from isogloss.units import format_quantity

if TYPE_CHECKING:
    from isogloss.planning.evidence import Ground

# The name of a language's one corpus.
WHOLE = "all"
BYTES_PER_TOKEN = 4.0


@dataclass(frozen=True)
class CorpusRow:
    """What a plan takes of one corpus."""

    language: str
    corpus: str
    tokens: float
    text: float
    """Unique tokens available."""
    epochs: float
    max_epochs: float
    quality: float
    effective: float
    """What its tokens count for: saturated, and times its quality."""
    evidence: Kind
    """For the amount of text; the quality is given."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def corpora_of(code: str, need: LanguageNeed, limits: Limits) -> tuple[Corpus, ...]:
    """The corpora that a question lists for a language."""
    return tuple(
        Corpus(c.name, _tokens(code, need, c), c.quality, c.max_epochs or need.max_epochs or limits.max_epochs)
        for c in need.corpora or ()
    )


def most_epochs(code: str, need: LanguageNeed, limits: Limits) -> float:
    """How often a language's text may be seen; of several corpora the most tokens over all unique ones."""
    corpora = corpora_of(code, need, limits)
    if not corpora:
        return need.max_epochs or limits.max_epochs
    return sum(c.U * c.max_epochs for c in corpora) / sum(c.U for c in corpora)


def corpora_evidence(code: str, need: LanguageNeed) -> tuple[Kind, str]:
    """How strong the amounts of a language's corpora are, and where they come from."""
    corpora = need.corpora or ()
    kinds = [_kind(need, c) for c in corpora]
    amounts = [f"{c.name} {format_quantity(_tokens(code, need, c))}" for c in corpora]
    source = f"tokens of each corpus in the question: {', '.join(amounts)}"
    if any(c.bytes is not None for c in corpora):
        source += f" (bytes / {_per_token(code, need):.3g} bytes per token)"
    return weakest(kinds), source


def corpus_rows(asked: Question, basis: Ground, tokens: np.ndarray) -> Iterator[CorpusRow]:
    """Of the languages with several corpora or a quality, at `tokens` `(K,)` of each language."""
    if not any(need.weighs_text for need in asked.languages.values()):
        return
    lambda_ = np.broadcast_to(np.asarray(basis.law.lambda_, float), tokens.shape)
    parts = basis.text.split(tokens, lambda_)
    kinds: dict[str, Kind] = {e.quantity: e.kind for e in basis.evidence}
    for i, (code, need) in enumerate(asked.languages.items()):
        if not need.weighs_text:
            continue
        whole = Corpus(WHOLE, float(basis.U[i]), need.quality, most_epochs(code, need, asked.limits))
        corpora = corpora_of(code, need, asked.limits) or (whole,)
        for at, corpus in enumerate(corpora):
            amount = float(parts[i][at]) if i in parts else float(tokens[i])
            yield CorpusRow(
                code,
                corpus.name,
                amount,
                corpus.U,
                amount / corpus.U,
                corpus.max_epochs,
                corpus.quality,
                corpus.effective(amount, float(lambda_[i])),
                _kind(need, need.corpora[at]) if need.corpora else kinds[f"text.{code}"],
            )


def quality_warnings(asked: Question) -> list[str]:
    """What nobody knows of the qualities that a question gives."""
    needs = asked.languages.values()
    qualities = [q for need in needs for q in (need.quality, *(c.quality for c in need.corpora or ()))]
    if all(q == 1 for q in qualities):
        return []
    return [
        "quality is the question's own: no law of several languages has measured how often a token of better text "
        "counts. It is taken as the same at every N and D, and repeats of all corpora as decaying alike; filtered text "
        "was found to lose its worth as it is repeated, so that what to filter depends on the compute (Goyal et al. "
        "2024, arXiv:2404.07177, images with text), though ten epochs of it can beat one of ten times as much (Fang et "
        "al. 2025, arXiv:2503.07879). Train small models on each corpus to measure it."
    ]


def _tokens(code: str, need: LanguageNeed, corpus: CorpusNeed) -> float:
    if corpus.tokens is not None:
        return corpus.tokens
    assert corpus.bytes is not None
    return corpus.bytes / _per_token(code, need)


def _per_token(code: str, need: LanguageNeed) -> float:
    return need.bytes_per_token or BYTES_PER_TOKEN * (_languages.get(code).byte_premium or 1.0)


def _kind(need: LanguageNeed, corpus: CorpusNeed) -> Kind:
    return "given" if corpus.tokens is not None or need.bytes_per_token else "assumed"
