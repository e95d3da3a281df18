"""In which order a matrix shows its languages."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

import numpy as np

from isogloss import languages as _languages
from isogloss.errors import unknown_name
from isogloss.languages.relations import lineage
from isogloss.transfer.matrix import TransferMatrix

Order = Literal["family", "cluster", "name"]


def language_order(matrix: TransferMatrix, by: Order = "family") -> list[str]:
    """The matrix's languages: the largest family first and inside it along its tree, or next to those of alike rows
    and columns of scores ("cluster"), or by name."""
    if by not in get_args(Order):
        raise unknown_name("order", by, get_args(Order), where="order")
    codes = list(matrix.languages)
    if by == "cluster" and len(codes) > 2:
        return [codes[i] for i in _clustered(matrix)]
    names = {code: _languages.get(code).short_name for code in codes}
    if by != "family":
        return sorted(codes, key=names.__getitem__)
    families = {code: _languages.family_of(code) or names[code] for code in codes}
    sizes = Counter(families.values())
    return sorted(codes, key=lambda c: (-sizes[families[c]], families[c], lineage(c)[1:], names[c]))


def _clustered(matrix: TransferMatrix) -> np.ndarray:
    """Leaves of a tree by average distance between a language's scores, given and received."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import pdist

    scores = np.where(matrix.present(), matrix.bts, np.nan)
    overall = float(np.nanmean(scores)) if matrix.present().any() else 0.0
    profile = np.nan_to_num(np.hstack([scores, scores.T]), nan=overall)
    return leaves_list(linkage(pdist(profile), "average", optimal_ordering=True))
