"""How related languages are: known facts of tree, place and grammar, and what is not known."""

from __future__ import annotations

import importlib.util
import lzma
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from isogloss import languages
from isogloss.errors import InputError
from isogloss.languages.relations import (
    distance_km,
    distances_km,
    grammar_distance,
    grammar_distances,
    has_lineage,
    kinship,
    lineage,
    shared_depth,
)

REPO = Path(__file__).resolve().parents[1]
DATA = REPO / "src/isogloss/languages/data"
ALL = [entry.code for entry in languages.all_languages()]


def some(count: int, seed: int) -> list[str]:
    return [ALL[i] for i in np.random.default_rng(seed).choice(len(ALL), count, replace=False)]


# --- the tree ---------------------------------------------------------------------------------------


def test_lineages() -> None:
    assert lineage("Estonian") == ("Uralic", "Finnic", "Coastal Finnic", "Neva", "Central Finnic")
    assert lineage("srp_Cyrl") == lineage("sr-Latn")
    assert lineage("Persian") == lineage("pes")
    assert lineage("Basque") == ()


@pytest.mark.parametrize(
    ("language", "nearer", "farther"),
    [
        ("spa", "por", "ita"),
        ("spa", "ita", "deu"),
        ("spa", "deu", "fin"),
        ("fin", "ekk", "hun"),
        ("fin", "hun", "swe"),
        ("arb", "heb", "hau"),
        ("hin", "urd", "fas"),
        ("swh", "zul", "yor"),
        ("cmn", "yue", "mya"),
        ("tur", "aze", "fas"),
    ],
)
def test_near_relatives_share_more(language: str, nearer: str, farther: str) -> None:
    assert shared_depth(language, nearer) > shared_depth(language, farther)


def test_strangers_share_nothing() -> None:
    for a, b in [("spa", "fin"), ("jpn", "kor"), ("eus", "spa"), ("tur", "cmn"), ("eng", "tok")]:
        assert shared_depth(a, b) == 0.0


def test_kinship_by_hand() -> None:
    """Estonian has five groups and itself, Finnish six and itself; four of them are common."""
    assert lineage("fin")[:4] == lineage("ekk")[:4]
    assert len(lineage("fin")) == 6
    assert shared_depth("fin", "ekk") == pytest.approx(4 / np.sqrt(6 * 7))


def test_scripts_are_one_language() -> None:
    assert shared_depth("srp_Cyrl", "srp_Latn") == 1.0
    assert distance_km("srp_Cyrl", "srp_Latn") == 0.0
    assert grammar_distance("srp_Cyrl", "srp_Latn") == 0.0


def test_groups_that_are_no_branch_relate_nobody() -> None:
    assert lineage("Klingon") == lineage("Volapük") == ()
    assert shared_depth("tlh", "vol") == 0.0
    assert shared_depth("epo", "ido") > 0  # Ido descends from Esperanto
    assert not any("Unclassified" in group for code in ALL for group in lineage(code))


@pytest.mark.parametrize("seed", range(5))
def test_kinship_is_a_kernel(seed: int) -> None:
    values = kinship(some(100, seed))
    assert np.array_equal(values, values.T)
    assert np.array_equal(np.diag(values), np.ones(100))
    assert values.min() >= 0
    assert values.max() <= 1
    assert np.linalg.eigvalsh(values).min() > -1e-10


def test_one_by_one_and_all_at_once_agree() -> None:
    codes = ["eng", "deu", "jpn", "quy", "tok"]
    for one, every in ((distance_km, distances_km(codes)), (grammar_distance, grammar_distances(codes))):
        expected = [[np.nan if (v := one(a, b)) is None else v for b in codes] for a in codes]
        np.testing.assert_allclose(every, expected, atol=1e-9)
    pairs = [[shared_depth(a, b) for b in codes] for a in codes]
    np.testing.assert_allclose(kinship(codes), pairs)


# --- places -----------------------------------------------------------------------------------------


def test_distances() -> None:
    near, far = distance_km("spa", "por"), distance_km("spa", "fin")
    assert near is not None
    assert far is not None
    assert near < 1000 < 2500 < far < 4000
    # Across the date line: Hawaiian and Fijian are some 5,000 km apart, not 35,000.
    across = distance_km("haw", "fij")
    assert across is not None
    assert 4000 < across < 6000


def test_distances_are_a_metric_within_half_the_globe() -> None:
    found = distances_km(some(60, 3))
    found = found[np.ix_(*[~np.isnan(np.diag(found))] * 2)]
    assert np.array_equal(found, found.T)
    assert found.max() <= np.pi * 6371.01
    assert (found[:, None, :] <= found[:, :, None] + found[None, :, :] + 1e-6).all()


# --- grammar ----------------------------------------------------------------------------------------


def test_grammar_of_relatives_and_strangers() -> None:
    near, far = grammar_distance("fin", "ekk"), grammar_distance("fin", "cmn")
    assert near is not None
    assert far is not None
    assert 0 < near < far < 1


def test_grammar_by_hand() -> None:
    text = lzma.decompress((DATA / "grambank.csv.xz").read_bytes()).decode()
    rows = dict(line.split(",") for line in text.splitlines())
    pairs = [(a, b) for a, b in zip(rows["eng"], rows["hun"], strict=True) if "." not in (a, b)]
    assert len(pairs) >= 30
    assert grammar_distance("eng", "hun") == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))


def test_few_common_features_are_no_distance() -> None:
    text = lzma.decompress((DATA / "grambank.csv.xz").read_bytes()).decode()
    rows = dict(line.split(",") for line in text.splitlines()[1:])
    scant = [code for code, values in rows.items() if 0 < len(values) - values.count(".") < 30]
    assert scant
    assert all(grammar_distance(code, code) is None for code in scant)


# --- what is not known ------------------------------------------------------------------------------


def test_unknown_is_none() -> None:
    assert grammar_distance("deu", "eng") is None  # Grambank 1.0.3 has no German
    assert distance_km("tok", "eng") is None
    undetermined = [e.code for e in languages.all_languages(undetermined=True) if e.undetermined][:2]
    assert shared_depth(*undetermined) == 0.0
    assert shared_depth(undetermined[0], undetermined[0]) == 1.0
    assert distance_km(undetermined[0], "eng") is None
    assert not has_lineage(undetermined[0])
    assert has_lineage("eus")


def test_fallback_on_the_family_of_the_table() -> None:
    """Glottolog files Kosena under its bookkeeping only."""
    assert lineage("kze") == (languages.family_of("kze"),)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="unknown language"):
        kinship(["eng", "elvish-quenya"])


# --- the build --------------------------------------------------------------------------------------


def build_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_relations", REPO / "tools/build_relations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_tool_builds() -> None:
    spec = importlib.util.find_spec("urielplus")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("urielplus 1.3.2, the source of the tables, is not installed")
    tables = build_tool().build(Path(spec.submodule_search_locations[0]))
    assert (DATA / "glottolog.csv").read_text(encoding="utf-8") == tables["glottolog.csv"]
    assert lzma.decompress((DATA / "grambank.csv.xz").read_bytes()).decode() == tables["grambank.csv.xz"]


def test_longitudes_are_within_half_a_turn() -> None:
    degrees = build_tool().degrees
    assert [degrees(text) for text in ("310.697", "-1.0", "180", "37.62400")] == ["-49.303", "-1", "180", "37.624"]


def test_every_language_of_the_table_has_a_row() -> None:
    placed = {line.split(",")[0] for line in (DATA / "glottolog.csv").read_text(encoding="utf-8").splitlines()[1:]}
    assert {code[:3] for code in ALL} == placed
