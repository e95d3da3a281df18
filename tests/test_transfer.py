"""Transfer scores and weights, the published matrix, and what fills the pairs that it lacks."""

from __future__ import annotations

import csv
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from isogloss import languages
from isogloss.errors import InputError
from isogloss.transfer import (
    TransferMatrix,
    Weights,
    ratio_from_score,
    score_from_weight,
    weight_from_score,
)

REPO = Path(__file__).resolve().parents[1]
FACTS = Path(os.environ.get("ISOGLOSS_FACTS", REPO.parent / "shared" / "facts"))
needs_facts = pytest.mark.skipif(
    not (FACTS / "atlas_transfer_matrix_long.csv").exists(),
    reason="the facts folder is not here; set ISOGLOSS_FACTS to check the packaged data against it",
)


@pytest.fixture(scope="module")
def matrix() -> TransferMatrix:
    return TransferMatrix.published()


def small(bts: list[list[float]], codes: tuple[str, ...]) -> TransferMatrix:
    values = np.array(bts, float)
    return TransferMatrix(codes, values, np.where(np.isnan(values), "", "measured").astype(object))


# --- scores -----------------------------------------------------------------------------------------


def test_score_and_weight_are_one_thing() -> None:
    bts = np.linspace(-3.0, 1.9, 50)
    np.testing.assert_allclose(score_from_weight(weight_from_score(bts)), bts, rtol=1e-12)
    assert weight_from_score(0.0) == score_from_weight(0.0) == 0.0


def test_the_weight_is_what_makes_a_pair_reach_the_loss() -> None:
    """A 50/50 pair that needs sigma = (2 - BTS) d tokens has effective data sigma/2 + tau sigma/2 = d."""
    for bts in (-1.6, -0.3, 0.0, 0.5, 1.0):
        sigma = 2 - bts
        assert sigma / 2 * (1 + weight_from_score(bts)) == pytest.approx(1.0)
        assert ratio_from_score(bts) == pytest.approx(1 / sigma)
    assert ratio_from_score(0.0) == 0.5


def test_impossible_scores_and_weights_are_refused() -> None:
    with pytest.raises(InputError, match="below 2, got 2"):
        weight_from_score(2.0)
    with pytest.raises(InputError, match=r"below 2, got 2\.5"):
        ratio_from_score(np.array([0.0, 2.5]))
    with pytest.raises(InputError, match="exceed -1, got -1"):
        score_from_weight(np.array([np.nan, -1.0]))


# --- the published matrix ---------------------------------------------------------------------------


def test_the_matrix_says_what_was_measured(matrix: TransferMatrix) -> None:
    assert len(matrix.languages) == 38
    assert all(languages.resolve(code) == code for code in matrix.languages)
    assert (matrix.kind == "published").sum() == 72
    assert (matrix.kind == "predicted").sum() == 38 * 37 - 72
    assert np.isnan(matrix.bts).sum() == 38
    among = {matrix.languages[i] for i in np.nonzero((matrix.kind == "published").any(axis=1))[0]}
    assert len(among) == 9


def test_the_matrix_is_loaded_once_and_cannot_be_changed(matrix: TransferMatrix) -> None:
    assert TransferMatrix.published() is matrix
    with pytest.raises(ValueError, match="read-only"):
        matrix.bts[0, 0] = 1.0


def test_rows_are_targets(matrix: TransferMatrix) -> None:
    """English helps Swahili by -0.7, Swahili English by -0.0 (ATLAS, figure C.2)."""
    english, swahili = (matrix.languages.index(code) for code in ("eng_Latn", "swh_Latn"))
    assert matrix.bts[english, swahili] == 0.0
    assert matrix.bts[swahili, english] == -0.7


def test_means_by_script_are_the_papers(matrix: TransferMatrix) -> None:
    """ATLAS states -0.23 within a script and -0.39 across scripts."""
    scripts = np.array([languages.get(code).script for code in matrix.languages])
    same = scripts[:, None] == scripts[None, :]
    off_diagonal = ~np.eye(38, dtype=bool)
    assert matrix.bts[same & off_diagonal].mean() == pytest.approx(-0.225, abs=5e-4)
    assert matrix.bts[~same].mean() == pytest.approx(-0.392, abs=5e-4)


def test_means_by_relation_cover_every_pair_once(matrix: TransferMatrix) -> None:
    means = matrix.relation_means()
    assert sum(n for _, n in means.values()) == 38 * 37
    total = sum(mean * n for mean, n in means.values())
    assert total / (38 * 37) == pytest.approx(float(np.nanmean(matrix.bts)))
    within, n_within = means["same script and family"]
    across, n_across = means["same script, different family"]
    assert (within * n_within + across * n_across) / (n_within + n_across) == pytest.approx(-0.225, abs=5e-4)


def test_top_sources_hold_the_papers_counts_within_their_ties(matrix: TransferMatrix) -> None:
    """ATLAS states for 30 targets: English among the top five of 19, French 16, Spanish 13, Hebrew 11."""
    found = matrix.top_sources(5)
    counts = {row["source"]: row for row in found.counts.to_dicts()}
    stated = {"eng_Latn": (11, 26, 19), "fra_Latn": (6, 26, 16), "spa_Latn": (4, 25, 13), "heb_Hebr": (4, 23, 11)}
    for source, (certain, possible, paper) in stated.items():
        assert (counts[source]["certain"], counts[source]["possible"]) == (certain, possible)
        assert certain <= paper <= possible
        assert counts[source]["targets"] == 37
    assert counts["eng_Latn"]["expected"] == pytest.approx(18.4, abs=0.05)
    assert found.counts["source"][0] == "eng_Latn"
    # Five sources of each target, however ties are broken.
    assert found.counts["expected"].sum() == pytest.approx(5 * 38)
    assert found.helpers.filter("certain")["target"].value_counts()["count"].to_numpy().max() <= 5


def test_top_sources_of_scores_without_ties_are_certain() -> None:
    bts = np.array([[np.nan, 0.3, 0.1, -0.2], [0.2, np.nan, 0.2, 0.2], [0.5, np.nan, np.nan, 0.4], [np.nan] * 4])
    codes = ("eng_Latn", "fra_Latn", "rus_Cyrl", "swh_Latn")
    kind = np.where(np.isnan(bts), "", "measured").astype(object)
    kind[0, 1] = "predicted"
    found = TransferMatrix(codes, bts, kind).top_sources(2)
    rows = [row[:2] for row in found.helpers.rows() if row[5]]
    assert rows == [
        ("eng_Latn", "fra_Latn"),
        ("eng_Latn", "rus_Cyrl"),
        ("rus_Cyrl", "eng_Latn"),
        ("rus_Cyrl", "swh_Latn"),
    ]
    tied = found.helpers.filter(target="fra_Latn")
    assert tied["rank"].to_list() == [2.0, 2.0, 2.0]
    counts = {row["source"]: row for row in found.counts.to_dicts()}
    assert counts["swh_Latn"] == {
        "source": "swh_Latn", "certain": 1, "possible": 2, "expected": pytest.approx(1 + 2 / 3), "targets": 3,
    }  # fmt: skip
    measured = TransferMatrix(codes, bts, kind).top_sources(2, kinds=["measured"])
    assert measured.helpers.filter(target="eng_Latn")["source"].to_list() == ["rus_Cyrl", "swh_Latn"]
    assert {row["source"]: row["targets"] for row in measured.counts.to_dicts()}.get("fra_Latn") is None
    with pytest.raises(InputError, match="at least 1 source"):
        found = TransferMatrix(codes, bts, kind).top_sources(0)
    with pytest.raises(InputError, match="unknown kind of score 'measure'"):
        TransferMatrix(codes, bts, kind).top_sources(kinds=["measure"])


@needs_facts
def test_packaged_scores_are_the_published_ones() -> None:
    spec = importlib.util.spec_from_file_location("build_transfer", REPO / "tools/build_transfer.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with tool.OUT.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == tool.build(FACTS)


# --- weights ----------------------------------------------------------------------------------------


def cell(weights: Weights, target: str, source: str) -> tuple[float, str]:
    i, j = (weights.languages.index(languages.resolve(name)) for name in (target, source))
    return float(weights.tau[i, j]), weights.kind[i, j]


def test_weights_come_from_the_matrix_where_it_has_them(matrix: TransferMatrix) -> None:
    weights = matrix.weights_for(["French", "en", "swh"])
    assert weights.languages == ("fra_Latn", "eng_Latn", "swh_Latn")
    tau, kind = cell(weights, "en", "fr")
    assert (tau, kind) == (pytest.approx(0.2 / 1.8), "published")
    tau, kind = cell(weights, "sw", "en")
    assert (tau, kind) == (pytest.approx(-0.7 / 2.7), "predicted")
    assert not np.diag(weights.tau).any()
    assert (np.diag(weights.kind) == "").all()
    assert weights.notes == ()


def test_absent_pairs_are_assumed_from_their_relation(matrix: TransferMatrix) -> None:
    weights = matrix.weights_for(["en", "hi", "nl", "eu", "am"])
    means = {name: weight_from_score(mean) for name, (mean, _) in matrix.relation_means().items()}
    assert cell(weights, "nl", "en") == (means["same script and family"], "assumed")
    assert cell(weights, "hi", "en") == (means["same family, different script"], "assumed")
    assert cell(weights, "eu", "en") == (means["same script, different family"], "assumed")
    assert cell(weights, "am", "en") == (means["different script and family"], "assumed")
    assert len(weights.notes) == 4
    assert any("2 pairs of same script and family" in n and "mean of 178" in n for n in weights.notes)


def test_isolates_are_not_one_family(matrix: TransferMatrix) -> None:
    isolates = [entry.code for entry in languages.all_languages() if entry.family == "Language isolate"]
    latin = [code for code in isolates if code.endswith("_Latn")][:2]
    weights = matrix.weights_for(latin)
    expected = weight_from_score(matrix.relation_means()["same script, different family"][0])
    assert weights.tau[0, 1] == expected


def test_a_relation_that_the_matrix_lacks_takes_its_overall_mean() -> None:
    matrix = small([[np.nan, 0.2], [0.4, np.nan]], ("eng_Latn", "fra_Latn"))
    weights = matrix.weights_for(["en", "ru"])
    assert cell(weights, "ru", "en") == (pytest.approx(weight_from_score(0.3)), "assumed")
    assert "none in the matrix: mean of all 2" in weights.notes[0]


def test_a_partial_matrix_keeps_its_own_kinds() -> None:
    matrix = small([[np.nan, 0.2], [np.nan, np.nan]], ("eng_Latn", "fra_Latn"))
    weights = matrix.weights_for(["fr", "en"])
    assert cell(weights, "en", "fr")[1] == "measured"
    assert cell(weights, "fr", "en") == (pytest.approx(0.2 / 1.8), "assumed")


def test_an_empty_matrix_fills_nothing() -> None:
    with pytest.raises(InputError, match="no scores"):
        small([[np.nan]], ("eng_Latn",)).weights_for(["en", "fr"])


def test_one_language_has_no_pairs(matrix: TransferMatrix) -> None:
    weights = matrix.weights_for(["yo"])
    assert weights.tau.tolist() == [[0.0]]
    assert weights.notes == ()


def test_the_order_asked_for_is_the_order_given(matrix: TransferMatrix) -> None:
    codes = ["ru", "hi", "en", "am"]
    one, other = matrix.weights_for(codes), matrix.weights_for(codes[::-1])
    np.testing.assert_array_equal(one.tau, other.tau[::-1, ::-1])
    np.testing.assert_array_equal(one.kind, other.kind[::-1, ::-1])


def test_bad_languages_are_named(matrix: TransferMatrix) -> None:
    with pytest.raises(InputError, match="swh_Latn stands there more than once"):
        matrix.weights_for(["sw", "swh", "en"])
    with pytest.raises(InputError, match="unknown language"):
        matrix.weights_for(["en", "Klingonese"])


def test_a_matrix_must_be_square_and_canonical() -> None:
    kind = np.full((2, 2), "", dtype=object)
    with pytest.raises(InputError, match="3 languages need 3 x 3"):
        TransferMatrix(("eng_Latn", "fra_Latn", "rus_Cyrl"), np.zeros((2, 2)), kind)
    with pytest.raises(InputError, match="'sw' is not canonical, 'swh_Latn' is"):
        TransferMatrix(("eng_Latn", "sw"), np.zeros((2, 2)), kind)


def test_four_hundred_languages_all_get_a_weight(matrix: TransferMatrix) -> None:
    codes = [entry.code for entry in languages.all_languages()[:400]]
    weights = matrix.weights_for(codes)
    assert weights.tau.shape == (400, 400)
    assert np.isfinite(weights.tau).all()
    assert (weights.tau > -1).all()
