"""expand by the K law: what serving r times as many languages takes at equal loss, or costs at equal compute."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from isogloss.display import Shown
from isogloss.errors import InputError
from isogloss.laws import find
from isogloss.planning.kinds import Kind

At = Literal["loss", "compute"]
ATS: tuple[At, ...] = ("loss", "compute")
ENTRY = "k-law/atlas2025"
MEASURED_K = (1, 50)
NAMES: tuple[str, ...] = ("E", "A", "alpha", "phi", "B", "beta", "psi")
# Half of the last digit that is printed: of phi and psi, and of the two ratios.
ROUNDING = {"phi": 0.005, "psi": 0.005, "phi_over_alpha": 0.0005, "one_plus_psi_over_beta": 0.0005}


@dataclass(frozen=True)
class Bounds:
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class LossChange:
    """Expected loss of every language at the best N and D for C FLOPs, with K languages and with r K."""

    K: float
    C: float
    before: float
    after: float
    change: Bounds | None
    """Of after / before - 1."""
    unit: str


@dataclass(frozen=True)
class Expansion(Shown):
    """Factors on N, D and C when K grows `r` times: at the same loss, or the best use of the same compute."""

    r: float
    N_factor: float
    D_factor: float
    C_factor: float
    D_per_language_factor: float
    source: str
    warnings: tuple[str, ...]
    at: At = "loss"
    reducible_loss_factor: float = 1.0
    """On L - E, the part of the loss that size and text can lower."""
    intervals: Mapping[str, Bounds] = field(default_factory=dict)
    """By the name of the factor."""
    intervals_of: Literal["rounding", "draws", "none"] = "none"
    """"rounding": what the printed digits leave open, no interval of the coefficients; "draws": of an own fit."""
    level: float | None = None
    loss: LossChange | None = None
    kind: Kind = "published"

    def to_dict(self) -> dict[str, Any]:
        names = ("N_factor", "D_factor", "C_factor")
        loss = None
        if self.loss is not None:
            told = self.loss
            loss = {"K": told.K, "C": told.C, "before": told.before, "after": told.after, "unit": told.unit}
            loss |= {"change": told.after / told.before - 1}
            loss |= {"interval": told.change.to_dict() if told.change else None}
        return {
            "r": self.r,
            "at": self.at,
            "N_factor": self.N_factor,
            "D_factor": self.D_factor,
            "C_factor": self.C_factor,
            "D_per_language_factor": self.D_per_language_factor,
            "reducible_loss_factor": self.reducible_loss_factor,
            "intervals": {name: bounds.to_dict() for name, bounds in self.intervals.items()},
            "intervals_of": self.intervals_of,
            "level": self.level,
            "loss": loss,
            "evidence": {name: {"kind": self.kind, "source": self.source} for name in names},
            "warnings": list(self.warnings),
        }


def expand(
    r: float,
    *,
    at: At = "loss",
    fit: str | Path | None = None,
    K: float | None = None,
    C: float | None = None,
) -> Expansion:
    """`r` times as many evenly sampled languages: from K to r K, starting from a compute-optimal model.

    At equal loss N grows by r^(phi/alpha), all tokens by r^(1 + psi/beta), compute by their product r^g. At equal
    compute the frontier moves by r^g: the reducible loss L - E grows by r^(g gamma), gamma = alpha beta / (alpha +
    beta), while N and D move along it. Neither needs E, A or B; the loss itself does, so that its change is told only
    with an own `fit` (a folder) of the K law, K languages and C FLOPs. Source: ATLAS, arXiv:2510.22037, section 5 and
    appendix B.7 (equal loss); equal compute follows from its equation 7.

    Raises InputError for a factor that is none, a fit of another law, and one that held both phi and psi.
    """
    if not (r > 0 and r < float("inf")):
        raise InputError(f"{r:g} times as many languages is not a factor", hint="Give 2x, or 10->20.")
    if at not in ATS:
        raise InputError(f"{at!r} is neither {' nor '.join(ATS)}", where="--at")
    return _published(r, at) if fit is None else _fitted(r, at, Path(fit), K, C)


def _published(r: float, at: At) -> Expansion:
    entry = find(ENTRY)
    printed = {name: entry.constants.get(name, entry.coefficients.get(name, 0.0)) for name in ROUNDING}
    point = _factors(r, at, *_exponents(printed))
    corners = [
        _factors(
            r,
            at,
            *_exponents(
                {name: printed[name] + sign * ROUNDING[name] for name, sign in zip(printed, signs, strict=True)}
            ),
        )
        for signs in product((-1, 1), repeat=len(printed))
    ]
    warnings = [
        "the exponents are published for all languages together, without intervals, from even mixtures of at most "
        f"{MEASURED_K[1]} languages; uneven mixtures and limited text are not counted. Ranges are of the printed "
        "digits' rounding only.",
    ]
    if at == "compute":
        excess = point["reducible_loss_factor"] - 1
        warnings.append(
            f"{', '.join(entry.missing)} are not published: only the change of L - E is known, {excess:+.1%}. With E "
            f"above 0 the loss itself changes by less. A fit of the K law to own runs (--fit) tells it."
        )
    if r > MEASURED_K[1]:
        warnings.append(f"{r:g} times as many languages is beyond anything measured.")
    return Expansion(
        r=r,
        **_floats(point),
        source=entry.source,
        warnings=tuple(warnings),
        at=at,
        intervals={n: Bounds(float(min(c[n] for c in corners)), float(max(c[n] for c in corners))) for n in point},
        intervals_of="rounding",
    )


def _floats(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(value) for name, value in values.items()}


def _exponents(printed: Mapping[str, float]) -> tuple[Any, Any, Any, Any]:
    """phi/alpha, 1 + psi/beta, alpha and beta: the last two follow from the ratios."""
    size, data = printed["phi_over_alpha"], printed["one_plus_psi_over_beta"]
    return size, data, printed["phi"] / size, printed["psi"] / (data - 1)


def _factors(r: float, at: At, size: Any, data: Any, alpha: Any, beta: Any) -> dict[str, Any]:
    """Factors from the exponents of N and D at equal loss, and those of the loss; scalars or draws."""
    g = size + data if at == "compute" else 0.0
    N = r ** (size - g * beta / (alpha + beta))
    D = r ** (data - g * alpha / (alpha + beta))
    return {
        "N_factor": N,
        "D_factor": D,
        "C_factor": N * D if at == "loss" else np.ones_like(N)[()],
        "D_per_language_factor": D / r,
        "reducible_loss_factor": r ** (g * alpha * beta / (alpha + beta)),
    }


def _fitted(r: float, at: At, folder: Path, K: float | None, C: float | None) -> Expansion:
    from isogloss.fitting import load_fit

    fit = load_fit(folder)
    names = [e.name for e in fit.coefficients]
    if fit.law.name != "k-law" or not set(NAMES) <= set(names):
        raise InputError(
            f"the fit is of {fit.law.name}, with {', '.join(names)}",
            where=f"--fit {folder}",
            hint="Give a fit of the K law to one language or to all together: isogloss fit runs.csv --law k-law.",
        )
    at_names = [names.index(n) for n in NAMES]
    values = dict(zip(NAMES, fit.values[at_names].tolist(), strict=True))
    drawn = dict(zip(NAMES, np.asarray(fit.draws)[:, at_names].T, strict=True)) if len(fit.draws) else None
    point = _factors(r, at, *_of_law(values))
    spread = _factors(r, at, *_of_law(drawn)) if drawn else {}
    warnings = [f"the fit: {text}" for text in fit.warnings]
    if drawn is None:
        warnings.append("the fit was made without draws: the factors have no intervals.")
    held = [e.name for e in fit.coefficients if e.held and e.name in ("alpha", "phi", "beta", "psi")]
    if {"phi", "psi"} <= set(held):
        raise InputError(
            "phi and psi were held in the fit: its runs say nothing of the number of languages",
            where=f"--fit {folder}",
            hint="Fit runs with several numbers of languages, and share:<language> columns that say what each saw.",
        )
    if held:
        warnings.append(
            f"{', '.join(held)} {'was' if len(held) == 1 else 'were'} held in the fit: no uncertainty in it."
        )
    loss = None
    if at == "compute" and K is not None and C is not None:
        loss = _loss_change(r, K, C, values, drawn, fit.level, fit.unit)
    elif at == "compute":
        warnings.append('the change of the loss itself needs "10->20" languages and --flops.')
    return Expansion(
        r=r,
        **_floats(point),
        source=f"fit of the K law in {folder}",
        warnings=tuple(warnings),
        at=at,
        intervals={name: _bounds(v, fit.level) for name, v in spread.items()},
        intervals_of="draws" if drawn else "none",
        level=fit.level if drawn else None,
        loss=loss,
        kind="measured",
    )


def _of_law(law: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    return law["phi"] / law["alpha"], 1 + law["psi"] / law["beta"], law["alpha"], law["beta"]


def _loss_change(
    r: float, K: float, C: float, values: Mapping[str, Any], drawn: Mapping[str, Any] | None, level: float, unit: str
) -> LossChange:
    before, after = _frontier_loss(K, C, values), _frontier_loss(r * K, C, values)
    change = None
    if drawn:
        change = _bounds(_frontier_loss(r * K, C, drawn) / _frontier_loss(K, C, drawn) - 1, level)
    return LossChange(K, C, float(before), float(after), change, unit)


def _frontier_loss(K: float, C: float, law: Mapping[str, Any]) -> Any:
    """The least loss at C = 6 N D, D the tokens of all K languages."""
    a, b = law["alpha"], law["beta"]
    A, B = law["A"] * K ** law["phi"], law["B"] * K ** (law["psi"] + b)
    N = (a * A / (b * B)) ** (1 / (a + b)) * (C / 6) ** (b / (a + b))
    return law["E"] + A / N**a + B / (C / (6 * N)) ** b


def _bounds(values: np.ndarray, level: float) -> Bounds:
    low, high = np.quantile(np.broadcast_to(values, np.shape(values) or (1,)), [(1 - level) / 2, (1 + level) / 2])
    return Bounds(float(low), float(high))


def parse_languages(text: str) -> tuple[float, float | None]:
    """2x, "x2", "2", or "10->20" languages: the factor, and from how many where that is said."""
    cleaned = text.strip().casefold().replace(" ", "")
    arrow = re.fullmatch(r"(\d+)(?:->|→|to|:)(\d+)", cleaned)
    if arrow:
        before, after = int(arrow[1]), int(arrow[2])
        if before == 0 or after == 0:
            raise InputError(f"{text!r} has zero languages", where="--languages")
        return after / before, float(before)
    plain = re.fullmatch(r"x?(\d+(?:\.\d+)?)x?", cleaned)
    if not plain or float(plain[1]) == 0:
        raise InputError(
            f"{text!r} is not a factor", where="--languages", hint='Give "2x", or "10->20" for ten to twenty.'
        )
    return float(plain[1]), None


def parse_factor(text: str) -> float:
    return parse_languages(text)[0]
