"""Bilingual transfer scores, and the weights and ratios that say the same."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from isogloss.errors import InputError

Numeric = TypeVar("Numeric", float, np.ndarray)


def weight_from_score(bts: Numeric) -> Numeric:
    """The transfer weight tau of a bilingual transfer score: BTS / (2 - BTS); 0 is neutral in both.

    ATLAS (arXiv:2510.22037, section 4) defines BTS = 2 - sigma/d: a 50/50 pair needs sigma tokens in all for
    the target loss that the target alone reaches in d. Without capacity tax the pair's effective data are
    (1 + tau) sigma/2; set equal to d, they give the weight.
    """
    _refuse_free_lunch(bts)
    return bts / (2 - bts)


def score_from_weight(tau: Numeric) -> Numeric:
    """The bilingual transfer score of a weight, 2 tau / (1 + tau): the inverse of `weight_from_score`."""
    if np.any(np.asarray(tau) <= -1):
        raise InputError(f"a transfer weight must exceed -1, got {np.nanmin(tau):g}", where="tau")
    return 2 * tau / (1 + tau)


def ratio_from_score(bts: Numeric) -> Numeric:
    """d_mono / d_bi, the target's tokens alone over those of the pair: 1 / (2 - BTS); 0.5 is neutral."""
    _refuse_free_lunch(bts)
    return 1 / (2 - bts)


def _refuse_free_lunch(bts: Numeric) -> None:
    # At 2 the pair would need no tokens at all.
    if np.any(np.asarray(bts) >= 2):
        raise InputError(f"a transfer score must be below 2, got {np.nanmax(bts):g}", where="bts")
