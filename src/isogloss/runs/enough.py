"""Which laws the runs at hand can tell, and what is missing for the others: read off N, D and mixtures alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

# Values within this factor are one level of an axis; fewer levels than this cannot tell a power law's three numbers.
SAME, LEVELS = 1.1, 3
# N and D lie on a line if this much of the spread of log D goes with log N.
ON_A_LINE = 0.95
# A run of one language may hold traces of others.
ALONE = 0.999
REPEATS = 1.05


@dataclass(frozen=True)
class Design:
    """The models of one target: arrays `(models,)`. N, D, share p of the target, number of languages, epochs of the
    target's text (NaN where unknown), and the mixture as text, equal for equal mixtures."""

    target: str
    N: np.ndarray
    D: np.ndarray
    p: np.ndarray
    languages: np.ndarray
    epochs: np.ndarray
    mixture: np.ndarray


@dataclass(frozen=True)
class Need:
    """`missing`: without it the law cannot be fitted. `thin`: it can, and some coefficients will be poorly told."""

    law: str
    target: str
    missing: tuple[str, ...]
    thin: tuple[str, ...]

    @property
    def state(self) -> str:
        return "missing" if self.missing else "thin" if self.thin else "ready"


@dataclass
class _Said:
    missing: list[str] = field(default_factory=list)
    thin: list[str] = field(default_factory=list)


def levels(values: np.ndarray) -> int:
    """How many different positive values there are, those within 10 % being one."""
    ordered = np.sort(values[np.isfinite(values) & (values > 0)])
    count, at = 0, 0
    while at < len(ordered):
        count += 1
        at = int(np.searchsorted(ordered, ordered[at] * SAME, side="right"))
    return count


def needs(design: Design) -> Iterator[Need]:
    """One Need for each of LAWS."""
    for law, check in LAWS.items():
        said = _Said()
        check(design, said)
        yield Need(law, design.target, tuple(said.missing), tuple(said.thin))


def _axis(values: np.ndarray, noun: str, said: _Said, least: int = LEVELS) -> bool:
    """Whether there are enough levels; what is missing is said."""
    count = levels(values)
    if count >= least:
        return True
    have = {0: f"no {noun} is known", 1: f"one {noun}"}.get(count, f"{count} {noun}s")
    said.missing.append(f"{have} ({least} needed)" if count else have)
    return False


def _sizes_and_tokens(design: Design, said: _Said) -> None:
    both = [_axis(design.N, "size", said), _axis(design.D, "token count", said)]
    if not all(both):
        return
    known = (design.N > 0) & (design.D > 0)
    N, D = np.log(design.N[known]), np.log(design.D[known])
    if min(np.ptp(N), np.ptp(D)) > 0 and np.corrcoef(N, D)[0, 1] ** 2 >= ON_A_LINE:
        said.thin.append("N and D rise together: runs off that line would tell them apart")
    if _most_tokens(design) < LEVELS:
        said.thin.append("no size has three token counts")


def _most_tokens(design: Design) -> int:
    """The most token counts that one size has. Sizes are grouped as `levels` counts them."""
    order = np.argsort(design.N)
    N, D = design.N[order], design.D[order]
    most, at = 0, 0
    while at < len(N) and np.isfinite(N[at]):
        end = int(np.searchsorted(N, N[at] * SAME, side="right"))
        most, at = max(most, levels(D[at:end])), end
    return most


def _one_mixture(design: Design, said: _Said) -> None:
    if len(set(design.mixture) - {""}) > 1:
        said.thin.append("its runs have several mixtures, which a law of N and D takes for one")


def _chinchilla(design: Design, said: _Said) -> None:
    _sizes_and_tokens(design, said)
    _one_mixture(design, said)


def _repetition(design: Design, said: _Said) -> None:
    _chinchilla(design, said)
    epochs = design.epochs[np.isfinite(design.epochs)]
    if not len(epochs):
        said.missing.append("no unique tokens are known")
    elif epochs.max() <= REPEATS:
        said.missing.append("no run repeats its text")
    elif epochs.min() > REPEATS:
        said.thin.append("every run repeats its text")


def _mixed(design: Design, said: _Said) -> np.ndarray | None:
    """Shares of the target where it has one; None, and said why, where no mixture is known or has it."""
    known = design.p[np.isfinite(design.p)]
    if not len(known):
        said.missing.append("no mixture is known")
        return None
    if not (known > 0).any():
        said.missing.append("no run trains on it")
        return None
    return known[known > 0]


def _atlas(design: Design, said: _Said) -> None:
    _sizes_and_tokens(design, said)
    shares = _mixed(design, said)
    if shares is None:
        return
    mixed = shares[shares < ALONE]
    if not len(mixed):
        said.missing.append("no mixed run")
        return
    if len(mixed) == len(shares):
        said.thin.append("no run of the language alone")
    if levels((1 - mixed) / mixed) < 2:
        said.thin.append("every mixed run has the same dose of other languages")


def _capacity(design: Design, said: _Said) -> None:
    _sizes_and_tokens(design, said)
    _axis(design.languages, "number of languages", said, least=2)
    if levels(design.languages) == 2:
        said.thin.append("only two numbers of languages")


def _family(design: Design, said: _Said) -> None:
    _sizes_and_tokens(design, said)
    shares = _mixed(design, said)
    if shares is not None and _axis(shares, "share", said, least=2) and levels(shares) < LEVELS:
        said.thin.append("only two shares")


def _bimix(design: Design, said: _Said) -> None:
    _axis(design.D, "token count", said)
    shares = _mixed(design, said)
    if shares is not None:
        _axis(shares, "share", said)


def _data_mixing(design: Design, said: _Said) -> None:
    known = np.isfinite(design.languages) & np.isfinite(design.N) & np.isfinite(design.D)
    if not known.any():
        said.missing.append("no mixture is known")
        return
    frame = pl.DataFrame({"N": design.N[known], "D": design.D[known], "mixture": design.mixture[known].astype(str)})
    most = int(frame.group_by("N", "D").agg(pl.col("mixture").n_unique())["mixture"].max())  # type: ignore[arg-type]
    # A coefficient per language, and the irreducible loss.
    dimensions = len(frame["mixture"][0].split(","))
    if most <= dimensions:
        have = "mixture" if most == 1 else "mixtures"
        said.missing.append(f"{most} {have} at one N and D (more than {dimensions} needed)")


def _transfer(design: Design, said: _Said) -> None:
    if _mixed(design, said) is None:
        return
    alone = (design.p >= ALONE) & np.isfinite(design.N)
    pair = (design.p > 0) & (design.p < ALONE) & (design.languages == 2) & np.isfinite(design.N)
    if not alone.any():
        said.missing.append("no run of the language alone")
    if not pair.any():
        said.missing.append("no run of exactly two languages")
    if alone.any() and pair.any() and not set(design.N[alone]) & set(design.N[pair]):
        said.missing.append("no size has both a run alone and a pair")


LAWS: dict[str, Callable[[Design, _Said], None]] = {
    "chinchilla": _chinchilla,
    "data-constrained": _repetition,
    "atlas": _atlas,
    "k-law": _capacity,
    "family": _family,
    "bimix": _bimix,
    "data-mixing": _data_mixing,
    "transfer measure": _transfer,
}
"""What is judged: laws of `isogloss fit`, and the pairs of `isogloss transfer measure`."""
