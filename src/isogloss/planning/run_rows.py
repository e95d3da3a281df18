"""The rows of a run table that tell of a plan's languages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from isogloss.errors import InputError
from isogloss.planning.evidence import Ground
from isogloss.runs import RunTable, read_runs
from isogloss.runs.columns import UNIQUE

# Part of a mixture that may be of languages which the question does not name.
OTHERS = 0.01


@dataclass(frozen=True, eq=False)
class Rows:
    """N `(n,)`; tokens seen and unique tokens `(n, K)`; the place of the language whose loss it is, and of the run."""

    N: np.ndarray
    tokens: np.ndarray
    U: np.ndarray
    target: np.ndarray
    loss: np.ndarray
    run: np.ndarray
    unit: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.N)

    @property
    def runs(self) -> int:
        return len(np.unique(self.run))


def rows_of(path: str, basis: Ground) -> Rows:
    """Rows of models trained from scratch on the question's languages alone, losses of one of them.

    Raises InputError where there are none, or a column is missing.
    """
    table = read_runs(path)
    codes = basis.languages
    shares = _shares(table, codes)
    target = _targets(table, codes)
    N, _ = table.params()
    D = _column(table, "tokens", np.nan)
    if np.isnan(D).all():
        raise InputError("no column tokens", where=f"runs = {path}", hint="Give the training tokens of every row.")
    reasons = {
        "their loss is of no language of the question": target < 0,
        "their mixture is not known": np.isnan(shares).any(axis=1),
        "they were trained on other languages too": shares.sum(axis=1) < 1 - OTHERS,
        "they saw none of their own language": np.take_along_axis(shares, np.maximum(target, 0)[:, None], 1)[:, 0] == 0,
        "they do not begin from scratch": _continued(table),
        "N or D is not known": np.isnan(N) | np.isnan(D),
    }
    kept, left = np.ones(len(table), bool), Counter()
    for reason, bad in reasons.items():
        left[reason] += int((bad & kept).sum())
        kept &= ~bad
    said = [
        f"{count} of {len(table)} rows of {path} are left out: {reason}." for reason, count in left.items() if count
    ]
    if not kept.any():
        raise InputError(
            "no row tells of the question's languages", where=f"runs = {path}", hint=" ".join(said) or "It is empty."
        )
    U = np.stack([_column(table, UNIQUE + code, np.inf) for code in codes], axis=1)
    U = np.where(np.isnan(U), np.inf, U)
    return Rows(
        N=N[kept],
        tokens=(shares * D[:, None])[kept],
        U=U[kept],
        target=target[kept],
        loss=_column(table, "loss", np.nan)[kept],
        run=_runs(table)[kept],
        unit=str(table.unit),
        notes=tuple(said),
    )


def _shares(table: RunTable, codes: tuple[str, ...]) -> np.ndarray:
    """`(rows, K)`; a table without mixtures is of the one language of the question."""
    names, found = table.shares()
    if not names:
        return np.ones((len(table), 1)) if len(codes) == 1 else np.full((len(table), len(codes)), np.nan)
    place = {name: i for i, name in enumerate(names)}
    return np.stack([found[:, place[c]] if c in place else np.zeros(len(table)) for c in codes], axis=1)


def _targets(table: RunTable, codes: tuple[str, ...]) -> np.ndarray:
    if "target" not in table.frame.columns:
        return np.full(len(table), 0 if len(codes) == 1 else -1)
    place = {code: i for i, code in enumerate(codes)}
    return np.array([place.get(code, -1) for code in table.frame["target"].to_list()])


def _continued(table: RunTable) -> np.ndarray:
    if "init" not in table.frame.columns:
        return np.zeros(len(table), bool)
    return table.frame["init"].is_not_null().to_numpy()


def _runs(table: RunTable) -> np.ndarray:
    if "run_id" not in table.frame.columns:
        return np.arange(len(table))
    names = [str(v) if v is not None else f"row {i}" for i, v in enumerate(table.frame["run_id"].to_list())]
    return np.unique(names, return_inverse=True)[1]


def _column(table: RunTable, name: str, default: float) -> np.ndarray:
    if name not in table.frame.columns:
        return np.full(len(table), default)
    return table.frame[name].cast(float).fill_null(np.nan).to_numpy()
