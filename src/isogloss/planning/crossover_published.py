"""Where scratch overtakes continuing, by what ATLAS has published: two formulas and eight languages at one size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isogloss import languages as _languages
from isogloss.laws import find
from isogloss.planning.checkpoints import Checkpoint
from isogloss.planning.kinds import Evidence
from isogloss.units import format_quantity, training_flops

# The caption's pair gives ten times the tokens that the paper's own figure 6 shows.
FORMS = ("atlas-crossover/atlas2025-legend", "atlas-crossover/atlas2025-text")
# The 2B model of figure 6.
MEASURED_N = 2.03e9
LEAST_N, MOST_N = 1e7, 4e9
# The base of figure 6: UniMax of 1T tokens (appendix B.4; section 6 prints 1B), 1.42 % of them in each language.
BASE_TOKENS, BASE_SHARE = 1e12, 0.0142
# Exposures that figure 6 itself spans: 1.42 % and English's 5 %.
SPAN = 5.0 / 1.42
# Of a language that the checkpoint has not seen, other languages still bring something.
LEAST_EXPOSURE = 0.01
UNKNOWN_SHARE = (0.01, 10.0)
UNKNOWN_TOKENS = (0.3, 30.0)
# A factor of 2 either way, 90 % of the time.
TOKENIZER_SD = math.log(2) / 1.645


@dataclass(frozen=True)
class PublishedCrossing:
    """Draws of the crossing in FLOPs `(draws,)`, with what they rest on."""

    C: np.ndarray
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]


def published_crossing(
    code: str, N: float, checkpoint: Checkpoint | None, rng: np.random.Generator, draws: int
) -> PublishedCrossing:
    """Draws of the crossing for a model of `N` parameters, from ATLAS (arXiv:2510.22037, figures 6 and 7).

    Draws vary the formula (either of the two that agree with figure 6), the language (as the eight of figure 6
    differ), the exponent of the checkpoint's exposure to the language, and what is not known of the checkpoint.
    """
    forms, form_evidence, warnings = _forms(N, checkpoint, rng, draws)
    language, language_evidence = _language(code, rng, draws)
    exposure, exposure_evidence, more = _exposure(code, checkpoint, rng, draws)
    tokenizer, tokenizer_evidence, most = _tokenizer(checkpoint, rng, draws)
    return PublishedCrossing(
        C=np.exp(forms + language + exposure + tokenizer),
        evidence=(form_evidence, language_evidence, *exposure_evidence, *tokenizer_evidence),
        warnings=(*warnings, *more, *most),
    )


def _forms(
    N: float, checkpoint: Checkpoint | None, rng: np.random.Generator, draws: int
) -> tuple[np.ndarray, Evidence, list[str]]:
    size, warnings = np.full(draws, math.log(N)), []
    if not LEAST_N <= N <= MOST_N:
        warnings.append(
            f"{format_quantity(N)} parameters are outside the sizes of ATLAS's figure ({format_quantity(LEAST_N)} to "
            f"{format_quantity(MOST_N)}): the formulas are extrapolated."
        )
    if checkpoint is not None and abs(math.log(checkpoint.params / N)) > math.log(1.25):
        low, high = sorted((math.log(N), math.log(checkpoint.params)))
        size = rng.uniform(low, high, draws)
        warnings.append(
            f"{checkpoint.name} has {format_quantity(checkpoint.params)} parameters: continuing it gives a model of "
            f"that size, not of {format_quantity(N)}. The crossing is published for two models of one size only; the "
            "interval spans both sizes. Growing the checkpoint has no law (see grow)."
        )
    lines = [_line(id) for id in FORMS]
    c, p = np.array(lines).T
    pick = rng.integers(0, len(lines), draws)
    text = " and ".join(f"C = {c:.0f} N^{p:.2f}" for c, p in lines)
    evidence = Evidence(
        "crossing.size",
        "published",
        f"{text}, {find(FORMS[0]).source}; the paper's third formula, in the caption of figure 7, is off by ten "
        "and left out",
    )
    return np.log(c[pick]) + p[pick] * size, evidence, warnings


def _line(id: str) -> tuple[float, float]:
    values = find(id).coefficients
    return values["c"], values["p"]


def called(code: str) -> str:
    """A language as people call it."""
    return _languages.get(code).short_name.removeprefix("Standard ")


def language_ratios() -> dict[str, float]:
    """By how much each language of ATLAS's figure 6 crosses later (above 1) than the formulas say at that size."""
    c, p = np.array([_line(id) for id in FORMS]).T
    centre = float(np.exp(np.mean(np.log(c) + p * math.log(MEASURED_N))))
    table = find(FORMS[0]).table
    return {r["lang"]: training_flops(MEASURED_N, 1e9 * r["crossover_tokens_B"]) / centre for r in table}


def _language(code: str, rng: np.random.Generator, draws: int) -> tuple[np.ndarray, Evidence]:
    ratios = language_ratios()
    logs = np.log(list(ratios.values()))
    spread = float(logs.std(ddof=1))
    if code in ratios:
        # One run each, read off a figure: half of the spread between languages is our guess of that noise.
        source = (
            f"{find(FORMS[0]).source}: {called(code)} itself at 2B, {ratios[code]:.2f} times what the formulas say; "
            f"its noise is taken as half of the spread between the eight (a factor of {math.exp(spread / 2):.2f})"
        )
        return math.log(ratios[code]) + rng.normal(0, spread / 2, draws), Evidence(
            "crossing.language", "published", source
        )
    shift = logs.mean() + spread * math.sqrt(1 + 1 / len(logs)) * rng.standard_t(len(logs) - 1, draws)
    source = f"{called(code)} as a ninth language beside the eight of ATLAS's figure 6, which spread by a factor of "
    return shift, Evidence("crossing.language", "assumed", f"{source}{math.exp(spread):.2f} (one standard deviation)")


def _exposure(
    code: str, checkpoint: Checkpoint | None, rng: np.random.Generator, draws: int
) -> tuple[np.ndarray, list[Evidence], list[str]]:
    """Log factor from how much of the language the checkpoint has seen."""
    if checkpoint is None:
        source = "no checkpoint named: one like ATLAS's own, UniMax over more than 400 languages, 1T tokens"
        return np.zeros(draws), [Evidence("checkpoint", "assumed", source)], []
    base = BASE_TOKENS * _base_share(code)
    share, tokens = checkpoint.share(code), checkpoint.tokens
    log_tokens = np.log(tokens if tokens else BASE_TOKENS * _log_uniform(*UNKNOWN_TOKENS, rng, draws))
    log_share = np.log(
        _base_share(code) * _log_uniform(*UNKNOWN_SHARE, rng, draws) if share is None else share or 1e-12
    )
    ratio = np.maximum(log_tokens + log_share - math.log(base), math.log(LEAST_EXPOSURE))
    exponent = rng.uniform(0, 1, draws)
    kind = "given" if checkpoint.source == "given" else "published"
    evidence, warnings = [], []
    if share is None:
        evidence.append(Evidence("checkpoint.share", "assumed", _unknown_share(code, checkpoint)))
        warnings.append(
            f"how much {called(code)} there is in {checkpoint.name} is not known: anything from "
            f"{_unknown_range(code)} is counted. Give your own figure: --share 0.02, or mixture in a question."
        )
    else:
        evidence.append(Evidence("checkpoint.share", kind, f"{share:.2%} {called(code)} in {checkpoint.name}"))
    if tokens is None:
        evidence.append(
            Evidence("checkpoint.tokens", "assumed", f"unknown: {UNKNOWN_TOKENS[0]}T to {UNKNOWN_TOKENS[1]}T")
        )
        warnings.append(f"how many tokens {checkpoint.name} was trained on is not known.")
    else:
        evidence.append(Evidence("checkpoint.tokens", kind, f"{format_quantity(tokens)}, {checkpoint.source}"))
    rule = (
        "the crossing grows as the tokens of the language that the checkpoint has seen, against those of ATLAS's own, "
        "to a power between 0 and 1: 0 if what it brings does not depend on them, 1 if scratch must see the same "
        "multiple of them. Of the eight languages only English had another share (5 %), and it does not cross later"
    )
    evidence.append(Evidence("crossing.exposure", "assumed", rule))
    centre = float(np.exp(np.median(ratio)))
    if not 1 / SPAN / 1.01 <= centre <= SPAN * 1.01:
        warnings.append(
            f"{checkpoint.name} has seen about {centre:.2g} times the {called(code)} of ATLAS's checkpoint; "
            f"measured is only up to {SPAN:.1f} times: the scaling by exposure is an assumption."
        )
    return exponent * ratio, evidence, warnings


def _base_share(code: str) -> float:
    """The language's share in ATLAS's own checkpoint (table B.4)."""
    rows = {r["lang"]: r["unimax_sampling_percent"] / 100 for r in find(FORMS[0]).table}
    return rows.get(code, BASE_SHARE)


def _unknown_share(code: str, checkpoint: Checkpoint) -> str:
    found = f"mixture of {checkpoint.name} not published for {called(code)}"
    return f"{found}: {_unknown_range(code)}, evenly in the logarithm"


def _unknown_range(code: str) -> str:
    low, high = (100 * part * _base_share(code) for part in UNKNOWN_SHARE)
    return f"{low:.2g} % to {high:.2g} %"


def _tokenizer(
    checkpoint: Checkpoint | None, rng: np.random.Generator, draws: int
) -> tuple[np.ndarray, list[Evidence], list[str]]:
    if checkpoint is None or checkpoint.same_tokenizer:
        return np.zeros(draws), [], []
    source = "ATLAS compares models of one tokenizer; with another, or one not known, a factor of 2 either way is added"
    warning = (
        f"{checkpoint.name} is taken to have another tokenizer than the model from scratch would have: nobody has "
        "measured what that moves. Compare the two in bits per byte, never per token."
    )
    return rng.normal(0, TOKENIZER_SD, draws), [Evidence("crossing.tokenizer", "assumed", source)], [warning]


def _log_uniform(low: float, high: float, rng: np.random.Generator, draws: int) -> np.ndarray:
    return np.exp(rng.uniform(math.log(low), math.log(high), draws))
