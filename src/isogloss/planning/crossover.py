"""crossover: scratch, continue, grow or merge, and the compute at which the answer changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isogloss import languages as _languages
from isogloss.display import Shown
from isogloss.errors import InputError
from isogloss.laws import atlas_per_language, find, optimal_allocation, saturated
from isogloss.planning.checkpoints import Checkpoint, as_checkpoint
from isogloss.planning.crossover_published import LEAST_N, MOST_N, called, published_crossing
from isogloss.planning.crossover_words import MANY_EPOCHS, recommend, short_flops
from isogloss.planning.kinds import Evidence
from isogloss.planning.known_laws import PUBLISHED_UNIT
from isogloss.planning.start import NO_LAW, Crossing, LossCurve, Way, grow, merge, quantiles
from isogloss.units import format_quantity, parse_quantity

SCHEMA = 1
REGIME = "multi-vocab-mono-train"
NAMES = ("E", "A", "alpha", "B", "beta")
DRAWS = 4000
FIT_DRAWS = 1000
# The scratch curve reaches this far to both sides of the crossing's interval.
MARGIN = 10.0
POINTS = 60


@dataclass(frozen=True)
class Crossover(Shown):
    """Which way to start a model of a language, with what that rests on."""

    language: str
    params: float
    """Parameters of the model that is to be trained."""
    flops: float | None
    """The budget, where one was given."""
    checkpoint: Checkpoint | None
    ways: tuple[Way, ...]
    crossing: Crossing
    recommendation: str
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    start: str
    """What the checkpoint is called."""
    text: float | None
    """Unique tokens of the language in the public inventory."""

    @property
    def tokens(self) -> float | None:
        """Tokens D at the crossing."""
        return None if self.crossing.C is None else self.crossing.C / (6 * self.params)

    @property
    def text_limit(self) -> float | None:
        """FLOPs at which the language's text has been seen for as many epochs as are worth their compute."""
        return None if self.text is None else 6 * self.params * MANY_EPOCHS * self.text

    def way(self, name: str) -> Way:
        return next(way for way in self.ways if way.name == name)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it, except the draws."""
        return {
            "schema": SCHEMA,
            "language": self.language,
            "params": self.params,
            "flops": self.flops,
            "start": self.start,
            "checkpoint": self.checkpoint.to_dict() if self.checkpoint else None,
            "crossing": {**self.crossing.to_dict(), "tokens": self.tokens},
            "continue_is_better": None if self.flops is None else self.crossing.continue_is_better(self.flops),
            "recommendation": self.recommendation,
            "text": self.text,
            "text_limit": self.text_limit,
            "ways": [way.to_dict() for way in self.ways],
            "evidence": [{"quantity": e.quantity, "kind": e.kind, "source": e.source} for e in self.evidence],
            "warnings": list(self.warnings),
        }


def crossover(
    language: str,
    *,
    params: str | float | None = None,
    flops: str | float | None = None,
    checkpoint: Checkpoint | Mapping[str, Any] | str | None = None,
    runs: Any = None,
    where: str | Sequence[str] = (),
    level: float = 0.9,
    draws: int | None = None,
    seed: int = 0,
) -> Crossover:
    """Whether to train a model of `language` from scratch, to continue from a checkpoint, to grow or to merge.

    `params` is the size of the model, by default the checkpoint's, the largest run's, or the best for `flops`.
    `checkpoint` is a name of the catalogue, or your own: a mapping with `params` and where known `tokens`, `mixture`
    (the language's share) and `tokenizer` ("same" if scratch would use it too). With `runs` (a table or a path), the
    crossing is fitted: rows whose `init` is empty are from scratch, the others are continued, from the one that
    `checkpoint` then names as the table does. Without, it is ATLAS's (arXiv:2510.22037, section 6), scaled.

    Losses and compute are of this training alone: what the checkpoint cost is spent. Raises InputError for names,
    sizes and tables that cannot be used.
    """
    code = _languages.resolve(language)
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, got {level}", where="level")
    if draws is not None and draws < 100:
        raise InputError(f"an interval needs at least 100 draws, got {draws}", where="draws")
    N = None if params is None else parse_quantity(params, "parameters", where="params")
    C = None if flops is None else parse_quantity(flops, "flops", where="flops")
    if runs is not None:
        return _from_runs(code, runs, where, N, C, checkpoint, level, draws or FIT_DRAWS, seed)
    chosen = None if checkpoint is None else as_checkpoint(checkpoint, code)
    return _from_published(code, N, C, chosen, level, draws or DRAWS, seed)


def _from_published(
    code: str, N: float | None, C: float | None, checkpoint: Checkpoint | None, level: float, draws: int, seed: int
) -> Crossover:
    rng = np.random.default_rng(seed)
    N, size_evidence = _size(code, N, C, checkpoint)
    found = published_crossing(code, N, checkpoint, rng, draws)
    low, middle, high = quantiles(found.C, level)
    status = "crosses" if LEAST_N <= N <= MOST_N else "beyond"
    crossing = Crossing(status, middle, low, high, level, found.C)
    assert low is not None
    assert high is not None
    curve, curve_evidence = _scratch_curve(code, N, (low / MARGIN, high * MARGIN), level)
    reason = (
        "no loss of continued training is published that could be scaled to other checkpoints; only where scratch "
        "overtakes it: below the crossing continuing has the lower loss, above it scratch"
    )
    ways = (
        Way("scratch", curve, None, (curve_evidence,)),
        Way("continue", None, f"{NO_LAW}: {reason}", found.evidence),
        grow(),
        merge(),
    )
    text, text_warnings = _text(code, N, C or crossing.C)
    answer = Crossover(
        language=code,
        params=N,
        flops=C,
        checkpoint=checkpoint,
        ways=ways,
        crossing=crossing,
        recommendation="",
        evidence=(size_evidence, *found.evidence, curve_evidence),
        warnings=(*found.warnings, *text_warnings),
        start=checkpoint.name if checkpoint else "a multilingual checkpoint",
        text=text,
    )
    return replace(answer, recommendation=recommend(answer))


def _from_runs(
    code: str,
    runs: Any,
    where: str | Sequence[str],
    N: float | None,
    C: float | None,
    checkpoint: Checkpoint | Mapping[str, Any] | str | None,
    level: float,
    draws: int,
    seed: int,
) -> Crossover:
    from isogloss.planning.crossover_fitted import fitted_crossing

    init = checkpoint if isinstance(checkpoint, str) else None
    found = fitted_crossing(code, runs, N=N, init=init, where=where, level=level, draws=draws, seed=seed)
    chosen = as_checkpoint(checkpoint, code) if checkpoint is not None and init is None else None
    ways = (
        Way("scratch", found.scratch, None, found.evidence[:1]),
        Way("continue", found.continued, None, found.evidence),
        grow(),
        merge(),
    )
    warnings = list(found.warnings)
    if C is not None and found.studied[1] < C:
        warnings.append(
            f"{format_quantity(C, 'flops')} is beyond the compute that runs of both kinds reach "
            f"({format_quantity(found.studied[1], 'flops')})."
        )
    text, text_warnings = _text(code, found.N, C or found.crossing.C)
    size = Evidence("params", "measured" if N is None else "given", "largest run" if N is None else "as asked")
    answer = Crossover(
        language=code,
        params=found.N,
        flops=C,
        checkpoint=chosen,
        ways=ways,
        crossing=found.crossing,
        recommendation="",
        evidence=(size, *found.evidence),
        warnings=(*warnings, *text_warnings),
        start=found.init,
        text=text,
    )
    return replace(answer, recommendation=recommend(answer))


def _size(code: str, N: float | None, C: float | None, checkpoint: Checkpoint | None) -> tuple[float, Evidence]:
    if N is not None:
        return N, Evidence("params", "given", "as asked")
    if checkpoint is not None:
        return checkpoint.params, Evidence("params", "given", f"the size of {checkpoint.name}")
    if C is None:
        raise InputError(
            "neither size, budget nor checkpoint is given", where="crossover", hint="Give --params 2B or --flops 1e22."
        )
    values, _, source, _ = _laws(code)
    _, A, alpha, B, beta = values
    best, _ = optimal_allocation(A, alpha, B, beta, C)
    return float(best), Evidence("params", "assumed", f"compute-optimal from scratch for text seen once: {source}")


def _laws(code: str) -> tuple[np.ndarray, np.ndarray | None, str, bool]:
    """E, A, alpha, B, beta of the language `(5,)`; all of the table `(languages, 5)` where it has none of its own."""
    published = atlas_per_language(REGIME)
    if code in published:
        values = np.array([published[code].coefficients[n] for n in NAMES])
        return values, None, f"{published[code].source}, {code}; no interval published", True
    table = np.array([[e.coefficients[n] for n in NAMES] for e in published.values()])
    logs = table.copy()
    logs[:, (1, 3)] = np.log(table[:, (1, 3)])
    mean = logs.mean(0)
    mean[[1, 3]] = np.exp(mean[[1, 3]])
    return (
        mean,
        table,
        f"mean of the {len(table)} languages of ATLAS table C.1 ({REGIME}); band: whole laws of them",
        False,
    )


def _scratch_curve(code: str, N: float, span: tuple[float, float], level: float) -> tuple[LossCurve, Evidence]:
    """Loss of a model of this language alone, its text repeated where it runs out."""
    values, table, source, own = _laws(code)
    available = _languages.tokens_available(code)
    U = float(available.tokens) if available and available.tokens >= 1 else math.inf
    decay = 1 / find("data-constrained/muennighoff2023").coefficients["R_D"]
    C = np.geomspace(*span, POINTS)
    D = C / (6 * N)
    seen = np.asarray(saturated(D, U, decay), float)

    def loss(law: np.ndarray) -> np.ndarray:
        E, A, alpha, B, beta = law
        return E + A / N**alpha + B / seen**beta

    low = high = None
    if table is not None:
        every = np.array([loss(law) for law in table])
        low, high = np.quantile(every, [(1 - level) / 2, (1 + level) / 2], axis=0)
    said = (
        "text of the language not known: taken as unlimited" if math.isinf(U) else f"{format_quantity(U)} unique tokens"
    )
    curve = LossCurve(C, D, loss(values), low, high, PUBLISHED_UNIT)
    return curve, Evidence("scratch.loss", "published" if own else "assumed", f"{source}; {said}, repeats decaying")


def _text(code: str, N: float, C: float | None) -> tuple[float | None, list[str]]:
    """Unique tokens of the language, and what is to be said where C FLOPs would repeat them too often."""
    available = _languages.tokens_available(code)
    if available is None or available.tokens < 1:
        return None, [f"how much text there is of {called(code)} is not known."]
    U = float(available.tokens)
    if C is None or C / (6 * N) <= MANY_EPOCHS * U:
        return U, []
    D = C / (6 * N)
    return U, [
        f"{short_flops(C)} are {format_quantity(D)} tokens, {D / U:.0f} times the {format_quantity(U)} of "
        f"{called(code)} in the public inventory: past {MANY_EPOCHS:.0f} epochs repeated text is worth little "
        "(arXiv:2305.16264), and no "
        "crossing was measured so. Give more text, or train on other languages beside it."
    ]
