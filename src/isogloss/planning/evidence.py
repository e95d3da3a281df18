"""What a plan rests on: each number with its kind, its source, and a law made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.fitting import load_fit
from isogloss.laws import Atlas, atlas_per_language, find
from isogloss.planning.question import LanguageNeed, Question
from isogloss.transfer import TransferMatrix

Kind = Literal["given", "measured", "published", "predicted", "assumed"]
# From the strongest to the weakest: what is computed is as good as the weakest thing that it is computed from.
STRENGTH: tuple[Kind, ...] = ("given", "measured", "published", "predicted", "assumed")


@dataclass(frozen=True)
class Evidence:
    """Where one number comes from. `quantity` is its path in the plan, such as "text.ekk_Latn"."""

    quantity: str
    kind: Kind
    source: str


@dataclass(frozen=True)
class Ground:
    """Everything that the optimiser sees, in the order of `languages`. `law` has one element per language."""

    languages: tuple[str, ...]
    law: Atlas
    U: np.ndarray
    """Unique tokens available `(K,)`."""
    weights: np.ndarray
    """What each language's loss counts for `(K,)`, summing to 1."""
    transfer_kind: np.ndarray
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    own_law: tuple[str, ...]
    """Languages that have a law of their own, measured or published."""
    N_range: tuple[float, float]
    loss_unit: str


def ground(question: Question) -> Ground:
    """Laws, text and transfer for the question's languages, from the user's fits and published evidence."""
    codes = tuple(question.languages)
    U, text = _text(question)
    law_values, law_evidence, warnings = _laws(question)
    tau, kind, transfer_evidence, transfer_warnings = _transfer(codes, question)
    lambda_, repetition = _repetition(question)
    phi, capacity = _capacity(question, len(codes))
    weights = np.array([need.weight for need in question.languages.values()])
    law = Atlas(
        **law_values,
        lambda_=lambda_,
        tau=tau,
        tau_other=0.0,
        phi=phi,
        dose=question.assumptions.dose,
    )
    own = tuple(e.quantity.removeprefix("law.") for e in law_evidence if e.kind in ("measured", "published"))
    given = Evidence("weights", "given", "languages.<name>.weight in the question")
    return Ground(
        languages=codes,
        law=law,
        U=U,
        weights=weights / weights.sum(),
        transfer_kind=kind,
        evidence=(given, *text, *law_evidence, *transfer_evidence, repetition, capacity),
        warnings=(*warnings, *transfer_warnings),
        own_law=own,
        N_range=_published_range(question),
        loss_unit="vocabulary-insensitive (as ATLAS prints it)",
    )


def weakest(kinds: Sequence[str]) -> Kind:
    return next(kind for kind in reversed(STRENGTH) if kind in kinds)


def counted(kinds: Sequence[str]) -> str:
    """How many of each kind, strongest first: "2 published, 1 assumed"."""
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in STRENGTH if kind in kinds)


def _text(question: Question) -> tuple[np.ndarray, list[Evidence]]:
    tokens, evidence = [], []
    for code, need in question.languages.items():
        amount, kind, source = _tokens(code, need)
        tokens.append(amount)
        evidence.append(Evidence(f"text.{code}", kind, source))
    return np.array(tokens), evidence


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
        raise InputError(
            f"how much text there is of {code} is not known",
            where=f"languages.{code}",
            hint='Give it: tokens = "200M", or bytes = "1 GB".',
        )
    return float(found.tokens), found.kind, found.source


def _laws(question: Question) -> tuple[dict[str, Any], list[Evidence], list[str]]:
    """E, A, alpha, B, beta `(K,)`: own fit, else Table C.1, else the mean of the languages that are in it."""
    published = atlas_per_language(question.assumptions.laws)
    names = ("E", "A", "alpha", "B", "beta")
    table = np.array([[entry.coefficients[n] for n in names] for entry in published.values()])
    # Means of ln A and alpha make the mean law's terms the geometric means of the terms, at every N and D.
    log_table = table.copy()
    log_table[:, [1, 3]] = np.log(table[:, [1, 3]])
    mean = log_table.mean(0)
    mean[[1, 3]] = np.exp(mean[[1, 3]])
    rows, evidence, without = [], [], []
    for code, need in question.languages.items():
        if need.fit is not None:
            rows.append(_fitted(code, need.fit, names))
            evidence.append(Evidence(f"law.{code}", "measured", f"fit in {need.fit}"))
        elif code in published:
            rows.append([published[code].coefficients[n] for n in names])
            evidence.append(Evidence(f"law.{code}", "published", published[code].source))
        else:
            rows.append(mean)
            without.append(code)
            source = f"mean of the {len(published)} languages of ATLAS table C.1 ({question.assumptions.laws})"
            evidence.append(Evidence(f"law.{code}", "assumed", source))
    warnings = []
    if without:
        share = "No language has" if len(without) == len(rows) else f"{len(without)} of {len(rows)} languages have no"
        own = "a law of its own" if len(without) == len(rows) else "law of their own"
        warnings.append(
            f"{share} {own} ({some(without)}): they get the mean of {some(list(published))}. "
            "Their losses differ only by text and transfer; own runs would tell more."
        )
    if any(need.fit for need in question.languages.values()) and not all(
        need.fit for need in question.languages.values()
    ):
        warnings.append(
            "own fits and published laws are averaged: their losses may be in different units, and only "
            "languages of one unit can be weighed against each other."
        )
    values = np.array(rows, float)
    return {name: values[:, i] for i, name in enumerate(names)}, evidence, warnings


def _fitted(code: str, folder: str, names: Sequence[str]) -> list[float]:
    fit = load_fit(Path(folder))
    values = {e.name: e.value for e in fit.coefficients}
    lacking = [n for n in names if n not in values]
    if lacking:
        raise InputError(
            f"a {fit.law.name} fit has no {', '.join(lacking)}",
            where=f"languages.{code}.fit",
            hint="Give a fit of chinchilla, data-constrained or atlas.",
        )
    return [values[n] for n in names]


def _transfer(codes: tuple[str, ...], question: Question) -> tuple[np.ndarray, np.ndarray, list[Evidence], list[str]]:
    size = len(codes)
    if question.assumptions.transfer == "none":
        none = [Evidence(f"transfer.{c}", "given", "assumptions.transfer = none") for c in codes]
        return np.zeros((size, size)), np.full((size, size), ""), none, []
    weights = TransferMatrix.published().weights_for(codes)
    evidence = []
    for i, code in enumerate(codes):
        kinds = [str(k) for j, k in enumerate(weights.kind[i]) if j != i]
        source = "ATLAS figure C.2, tau = BTS / (2 - BTS), absent pairs by script and family"
        found = f"weights into {code}: {counted(kinds) or 'no other language'}; {source}"
        evidence.append(Evidence(f"transfer.{code}", weakest(kinds or ["given"]), found))
    off_diagonal = weights.kind[~np.eye(size, dtype=bool)]
    warnings = []
    unmeasured = int((off_diagonal != "published").sum())
    if unmeasured:
        warnings.append(
            f"{unmeasured:,} of {off_diagonal.size:,} transfer weights are not measured "
            f"({int((off_diagonal == 'predicted').sum()):,} predicted by ATLAS's random forest, "
            f"{int((off_diagonal == 'assumed').sum()):,} assumed from script and family)."
        )
    return np.array(weights.tau), weights.kind, evidence, warnings


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


def _published_range(question: Question) -> tuple[float, float]:
    first = next(iter(atlas_per_language(question.assumptions.laws).values()))
    return first.N_range or (0.0, float("inf"))


def some(codes: Sequence[str], most: int = 6) -> str:
    return ", ".join(codes[:most]) + (f" and {len(codes) - most} more" if len(codes) > most else "")
