"""expand: what it takes to serve more languages at the same loss, by the K law."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from isogloss.errors import InputError
from isogloss.laws import find

MEASURED_K = (1, 50)


@dataclass(frozen=True)
class Expansion:
    """Factors on N, D and C that keep the loss of every language when K grows `r` times."""

    r: float
    N_factor: float
    D_factor: float
    C_factor: float
    D_per_language_factor: float
    source: str
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "r": self.r,
            "N_factor": self.N_factor,
            "D_factor": self.D_factor,
            "C_factor": self.C_factor,
            "D_per_language_factor": self.D_per_language_factor,
            "evidence": {
                name: {"kind": "published", "source": self.source} for name in ("N_factor", "D_factor", "C_factor")
            },
            "warnings": list(self.warnings),
        }


def expand(r: float) -> Expansion:
    """Keep the loss of evenly sampled languages when there are `r` times as many: r from K to r K.

    N grows by r^(phi/alpha), all tokens by r^(1 + psi/beta), compute by their product, starting from a
    compute-optimal model. Source: ATLAS, arXiv:2510.22037, section 5 and appendix B.7.
    """
    if not (r > 0 and r < float("inf")):
        raise InputError(f"{r:g} times as many languages is not a factor", hint="Give 2x, or 10->20.")
    entry = find("k-law/atlas2025")
    N = r ** entry.constants["phi_over_alpha"]
    D = r ** entry.constants["one_plus_psi_over_beta"]
    warnings = [
        "the exponents are published for all languages together, without intervals, from even mixtures of at most "
        f"{MEASURED_K[1]} languages; uneven mixtures and limited text are not counted.",
    ]
    if r > MEASURED_K[1]:
        warnings.append(f"{r:g} times as many languages is beyond anything measured.")
    return Expansion(r, N, D, N * D, D / r, entry.source, tuple(warnings))


def parse_factor(text: str) -> float:
    """2x, "x2", "2", or "10->20" languages as a factor."""
    cleaned = text.strip().casefold().replace(" ", "")
    arrow = re.fullmatch(r"(\d+)(?:->|→|to|:)(\d+)", cleaned)
    if arrow:
        before, after = int(arrow[1]), int(arrow[2])
        if before == 0 or after == 0:
            raise InputError(f"{text!r} has zero languages", where="--languages")
        return after / before
    plain = re.fullmatch(r"x?(\d+(?:\.\d+)?)x?", cleaned)
    if not plain or float(plain[1]) == 0:
        raise InputError(
            f"{text!r} is not a factor", where="--languages", hint='Give "2x", or "10->20" for ten to twenty.'
        )
    return float(plain[1])
