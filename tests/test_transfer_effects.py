"""Do script and family explain the scores? The mixed model and its permutation test."""

from __future__ import annotations

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.transfer import TransferMatrix
from isogloss.transfer.matrix import relations
from isogloss.transfer.relatedness import Effects, effects

CODES = TransferMatrix.published().languages
SIZE = len(CODES)


def world(seed: int, *, script: float = 0.0, family: float = 0.0, both: float = 0.0) -> TransferMatrix:
    """Scores with effects of targets and sources as large as those of the properties."""
    rng = np.random.default_rng(seed)
    relation = relations(CODES)
    same_script, same_family = relation >= 2, relation % 2 == 1
    bts = -0.3 + script * same_script + family * same_family + both * (same_script & same_family)
    bts = bts + 0.3 * rng.standard_normal((SIZE, 1)) + 0.3 * rng.standard_normal((1, SIZE))
    bts = bts + 0.15 * rng.standard_normal((SIZE, SIZE))
    np.fill_diagonal(bts, np.nan)
    return TransferMatrix(CODES, bts, np.where(np.isnan(bts), "", "measured").astype(object))


def by_term(found: Effects) -> dict[str, tuple[float, float, float]]:
    return {e.term: (e.value, e.low, e.high) for e in found.terms}


def test_known_effects_are_found_with_their_spreads() -> None:
    found = effects(world(0, script=0.2, family=0.1, both=-0.15), permutations=200)
    values = by_term(found)
    for term, truth in (("same script", 0.2), ("same family", 0.1), ("same script and family", -0.15)):
        value, low, high = values[term]
        assert value == pytest.approx(truth, abs=0.06)
        assert low < truth < high
    assert found.target_sd == pytest.approx(0.3, rel=0.4)
    assert found.source_sd == pytest.approx(0.3, rel=0.4)
    assert found.error_sd == pytest.approx(0.15, rel=0.1)
    assert found.pairs == SIZE * (SIZE - 1)


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = [low < 0.1 < high for seed in range(20) for low, high in [by_term(effects_of(seed))["same script"][1:]]]
    assert 0.75 <= np.mean(held) <= 0.99


def effects_of(seed: int) -> Effects:
    return effects(world(seed, script=0.1), permutations=1)


@pytest.mark.slow
def test_without_an_effect_permutations_rarely_find_one_and_pairs_taken_alone_often_do() -> None:
    """Languages of one script share nothing here, but some targets are hard and some sources poor."""
    found = [effects(world(seed), permutations=29, seed=seed).terms[0] for seed in range(14)]
    assert np.mean([e.p <= 0.1 for e in found]) <= 0.25
    assert np.mean([e.naive_p <= 0.1 for e in found]) >= 0.3


def test_the_published_matrix() -> None:
    """Script and family help together; the family alone does not, across scripts (all 1,406 cells)."""
    found = effects(TransferMatrix.published(), permutations=300)
    script, family, both = found.terms
    assert script.value == pytest.approx(0.044, abs=0.002)
    assert both.value == pytest.approx(0.088, abs=0.002)
    assert both.p < 0.02
    assert family.p > 0.1
    assert found.target_sd > 4 * found.source_sd


def test_measured_cells_alone() -> None:
    found = effects(TransferMatrix.published(), kinds=("published",), permutations=200)
    assert (found.pairs, found.languages) == (72, 9)
    assert found.terms[0].value == pytest.approx(0.49, abs=0.01)


def test_a_term_that_no_pair_tells_apart_is_left_out() -> None:
    """Nine languages, none of which shares its family within a script only."""
    latin = [i for i, code in enumerate(CODES) if code.endswith("_Latn")]
    full = world(1, family=0.2)
    part = TransferMatrix(
        tuple(CODES[i] for i in latin), full.bts[np.ix_(latin, latin)], full.kind[np.ix_(latin, latin)]
    )
    assert [e.term for e in effects(part, permutations=50).terms] == ["same family"]


def test_too_few_languages_are_refused() -> None:
    matrix = TransferMatrix.published()
    few = TransferMatrix(matrix.languages[:4], matrix.bts[:4, :4], matrix.kind[:4, :4])
    with pytest.raises(InputError, match="4 languages with scores are too few"):
        effects(few)
