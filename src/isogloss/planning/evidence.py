"""What a plan rests on: each number with its kind, its source, and a law made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss import languages as _languages
from isogloss.laws import Atlas, find
from isogloss.planning.assumed import assumed_text, assumed_warnings, marked, unknown_languages
from isogloss.planning.corpora import WHOLE, corpora_evidence, corpora_of, most_epochs, quality_warnings
from isogloss.planning.kinds import Evidence as Evidence
from isogloss.planning.kinds import Kind as Kind
from isogloss.planning.known_laws import NAMES, KnownLaws, known_laws
from isogloss.planning.known_transfer import KnownTransfer, known_transfer
from isogloss.planning.phases import phase_warnings, phases_of
from isogloss.planning.question import LanguageNeed, Question
from isogloss.planning.text import Corpus, Text


@dataclass(frozen=True)
class Ground:
    """Everything that the optimiser sees, in the order of `languages`. `law` has one element per language."""

    languages: tuple[str, ...]
    law: Atlas
    text: Text
    weights: np.ndarray
    """What each language's loss counts for `(K,)`, summing to 1."""
    transfer_kind: np.ndarray
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    own_law: tuple[str, ...]
    """Languages that have a law of their own, measured or published."""
    N_range: tuple[float, float]
    loss_unit: str
    laws: KnownLaws
    transfer: KnownTransfer
    joint: Callable[[int, np.random.Generator], dict[str, np.ndarray]] | None = None
    """Draws of laws and weights together, where own runs tie them; None: `laws` and `transfer` are drawn apart."""
    by_shares: bool = False
    """Of family laws, which count shares of a mixture: neither repetition nor transfer; `law` is then a FamilyLaw."""

    @property
    def U(self) -> np.ndarray:
        """Unique tokens available `(K,)`."""
        return self.text.U


def ground(question: Question) -> Ground:
    """Laws, text and transfer for the question's languages, from the user's fits or runs and published evidence.

    Raises InputError for a fit or a matrix of transfer that cannot be used, and for languages of which too little is
    known, unless assumptions.allow_assumed is set.
    """
    codes = tuple(question.languages)
    unknown = unknown_languages(question)
    available, text = _text(question)
    laws = known_laws(question)
    transfer = known_transfer(codes, question)
    lambda_, repetition = _repetition(question)
    phi, capacity = _capacity(question, len(codes))
    weights = np.array([need.weight for need in question.languages.values()])
    values: dict[str, Any] = {name: laws.values[:, i] for i, name in enumerate(NAMES)}
    law = Atlas(
        **values,
        lambda_=lambda_,
        tau=transfer.tau,
        tau_other=0.0,
        phi=phi,
        dose=question.assumptions.dose,
    )
    own = tuple(e.quantity.removeprefix("law.") for e in laws.evidence if e.kind in ("measured", "published"))
    given = Evidence("weights", "given", "languages.<name>.weight in the question")
    found = Ground(
        languages=codes,
        law=law,
        text=available,
        weights=weights / weights.sum(),
        transfer_kind=transfer.kind,
        evidence=(given, *text, *laws.evidence, *marked(transfer.evidence, unknown), repetition, capacity),
        warnings=(
            *assumed_warnings(unknown),
            *laws.warnings,
            *transfer.warnings,
            *quality_warnings(question),
            *phase_warnings(question),
        ),
        own_law=own,
        N_range=laws.N_range,
        loss_unit=laws.unit,
        laws=laws,
        transfer=transfer,
    )
    if question.runs is None:
        return found
    # What fits takes most of a second to load, and most questions name no runs.
    from isogloss.planning.own_runs import learned

    return learned(question, found)


def _text(question: Question) -> tuple[Text, list[Evidence]]:
    languages, evidence = [], []
    for code, need in question.languages.items():
        if need.corpora:
            corpora = corpora_of(code, need, question.limits)
            kind, source = corpora_evidence(code, need)
        else:
            amount, kind, source = _tokens(code, need)
            corpora = (Corpus(WHOLE, amount, need.quality, most_epochs(code, need, question.limits)),)
        languages.append(corpora)
        evidence.append(Evidence(f"text.{code}", kind, source))
        if need.weighs_text:
            said = ", ".join(f"{c.name} {c.quality:g}" for c in corpora)
            evidence.append(Evidence(f"quality.{code}", "given", f"what a token counts for, in the question: {said}"))
    phases = phases_of(question)
    if phases is not None:
        said = ", ".join(f"{p.name} {p.counts:g} in {p.part:g} of the tokens" for p in question.phases or ())
        source = f"how often a token of each phase counts, in the question: {said}; taken relative to their mean"
        evidence.append(Evidence("phases", "given", source))
    return Text.of(languages, phases), evidence


def _tokens(code: str, need: LanguageNeed) -> tuple[float, Kind, str]:
    if need.tokens is not None:
        return need.tokens, "given", "tokens in the question"
    if need.bytes is not None:
        premium = _languages.get(code).byte_premium or 1.0
        per_token = need.bytes_per_token or 4.0 * premium
        kind: Kind = "given" if need.bytes_per_token else "assumed"
        return (
            need.bytes / per_token,
            kind,
            f"{need.bytes:.4g} bytes in the question / {per_token:.3g} bytes per token",
        )
    found = _languages.tokens_available(code, need.bytes_per_token)
    if found is None or found.tokens < 1:
        return assumed_text()
    return float(found.tokens), found.kind, found.source


def _repetition(question: Question) -> tuple[float, Evidence]:
    if question.assumptions.repetition_decay is not None:
        value = question.assumptions.repetition_decay
        return value, Evidence("repetition", "given", "assumptions.repetition_decay")
    entry = find("data-constrained/muennighoff2023")
    R_D = entry.coefficients["R_D"]
    source = f"lambda = 1/R_D* = 1/{R_D:.4g}, {entry.source}; ATLAS prints none; the profile of R_D* is flat"
    return 1 / R_D, Evidence("repetition", "published", source)


def _capacity(question: Question, K: int) -> tuple[float, Evidence]:
    if question.assumptions.capacity == "none":
        source = "phi = 0: no capacity tax for many languages, as in ATLAS equation 1"
        return 0.0, Evidence("capacity", "given" if K == 1 else "assumed", source)
    entry = find("k-law/atlas2025")
    source = f"phi = {entry.coefficients['phi']}, {entry.source}, with K = exp(entropy of the shares)"
    return entry.coefficients["phi"], Evidence("capacity", "assumed", source)
