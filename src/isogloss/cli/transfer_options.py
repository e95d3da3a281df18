"""What the verbs of transfer read: a source of scores, which of its scores, and the languages' features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from isogloss.cli.parsing import name_values

if TYPE_CHECKING:
    from isogloss.transfer import TransferMatrix
    from isogloss.transfer.features import PairFeatures

PUBLISHED = "published"
Per = Literal["token", "byte"]
Repeated = Annotated[list[str] | None, Parameter(negative=())]
CELL = "eval_set=holdout"


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Which of the scores of measured transfer; nothing to choose in other sources."""

    anchor: Annotated[
        float | None, Parameter(help="Of measured transfer: tokens d of the target alone at which scores are taken.")
    ] = None
    per: Annotated[Per, Parameter(help="Of measured transfer: scores per token or per byte.")] = "token"
    cell: Annotated[
        list[str] | None,
        Parameter(negative=(), help=f"Of measured transfer: which of several cells, as in {CELL}. Repeatable."),
    ] = None


def own_matrix(source: str, which: Which | None) -> TransferMatrix:
    from isogloss.transfer import read_matrix

    which = which or Which()
    return read_matrix(source, anchor=which.anchor, per=which.per, cell=cells(which.cell))


def cells(items: Iterable[str] | None) -> dict[str, str]:
    return name_values(items, "--cell", CELL)


def with_published(own: TransferMatrix, source: str, alone: bool) -> TransferMatrix:
    from isogloss.transfer import TransferMatrix, laid_over

    return own if alone or source == PUBLISHED else laid_over(own, TransferMatrix.published())


def pair_features_of(
    codes: Sequence[str], evidence: TransferMatrix, text: Iterable[str] | None, uriel: bool
) -> PairFeatures | None:
    """None where the packaged tables say all that is asked for."""
    from isogloss import languages
    from isogloss.transfer import pair_features
    from isogloss.transfer.prediction import union, usable

    texts = {languages.resolve(name): path for name, path in name_values(text, "--text", "et=estonian.txt").items()}
    if not texts and not uriel:
        return None
    resolved = tuple(dict.fromkeys(languages.resolve(code) for code in codes))
    return pair_features(union(resolved, evidence, usable(evidence, 0.0)), texts=texts or None, uriel=uriel)
