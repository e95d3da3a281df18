"""Features of pairs: from the packaged tables, from texts, from URIEL+, from the user."""

from __future__ import annotations

import gzip
import importlib.util
import logging
import lzma
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from isogloss import languages
from isogloss.errors import InputError
from isogloss.transfer.features import PairFeatures, pair_features
from isogloss.transfer.overlap import READ_BYTES, read_text, text_overlap

PANGRAMS = {
    "spa": "todos los seres humanos nacen libres e iguales en dignidad y derechos y dotados de razón",
    "por": "todos os seres humanos nascem livres e iguais em dignidade e em direitos dotados de razão",
    "fin": "kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan heille on annettu",
    "rus": "все люди рождаются свободными и равными в своём достоинстве и правах они наделены разумом",
}


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Path]:
    paths = {code: tmp_path / f"{code}.txt" for code in PANGRAMS}
    for code, path in paths.items():
        path.write_text(f"{PANGRAMS[code]}\n" * 300, encoding="utf-8")
    return paths


def value(features: PairFeatures, target: str, source: str, name: str) -> float:
    t, s = (features.languages.index(languages.resolve(code)) for code in (target, source))
    return float(features.values[t, s, features.names.index(name)])


# --- from the packaged tables -----------------------------------------------------------------------


def test_known_pairs() -> None:
    found = pair_features(["Spanish", "por", "fi", "rus", "sr-Cyrl", "sr-Latn"])
    assert found.languages == ("spa_Latn", "por_Latn", "fin_Latn", "rus_Cyrl", "srp_Cyrl", "srp_Latn")
    assert value(found, "spa", "por", "same_script") == value(found, "rus", "srp_Cyrl", "same_script") == 1
    assert value(found, "spa", "rus", "same_script") == value(found, "spa", "fin", "same_family") == 0
    assert value(found, "spa", "rus", "same_family") == 1
    assert value(found, "spa", "por", "shared_depth") > value(found, "spa", "rus", "shared_depth") > 0
    assert value(found, "spa", "por", "log_distance") < value(found, "spa", "fin", "log_distance")
    assert value(found, "srp_Cyrl", "srp_Latn", "log_distance") == 0
    assert value(found, "rus", "fin", "grammar_distance") > 0
    assert np.isnan(value(found, "spa", "fin", "grammar_distance"))


def test_target_and_source_are_not_mixed_up() -> None:
    found = pair_features(["rus", "swh"])
    tokens = {code: languages.tokens_available(code) for code in ("rus", "swh")}
    assert tokens["rus"] is not None
    assert tokens["swh"] is not None
    assert value(found, "swh", "rus", "log_source_tokens") == pytest.approx(np.log(tokens["rus"].tokens))
    assert value(found, "swh", "rus", "log_target_tokens") == pytest.approx(np.log(tokens["swh"].tokens))
    premiums = [languages.get(code).byte_premium or np.nan for code in ("rus", "swh")]
    assert value(found, "swh", "rus", "log_premium_ratio") == pytest.approx(np.log(premiums[0] / premiums[1]))
    assert value(found, "rus", "swh", "log_premium_ratio") == -value(found, "swh", "rus", "log_premium_ratio")


def test_english_has_a_text_size() -> None:
    assert value(pair_features(["eng", "deu"]), "deu", "eng", "log_source_tokens") > np.log(1e12)


def test_shapes_symmetry_and_determinism() -> None:
    codes = [entry.code for entry in languages.all_languages()[:40]]
    found, again = pair_features(codes), pair_features(codes)
    assert found.values.shape == (40, 40, len(found.names))
    assert set(found.meanings) == set(found.names)
    assert np.isnan(found.values[np.diag_indices(40)]).all()
    assert np.array_equal(found.values, again.values, equal_nan=True)
    assert found.notes == again.notes
    for name in ("same_script", "same_family", "shared_depth", "log_distance", "grammar_distance"):
        column = found.values[..., found.names.index(name)]
        assert np.array_equal(column, column.T, equal_nan=True), name
    assert np.linalg.eigvalsh(found.kinship).min() > -1e-10


def test_the_order_of_languages_only_permutes() -> None:
    codes = ["spa", "fin", "cmn", "hin", "swh"]
    one, other = pair_features(codes), pair_features(codes[::-1])
    assert np.array_equal(one.values, other.values[::-1, ::-1], equal_nan=True)


def test_nothing_can_be_written_into_the_result() -> None:
    found = pair_features(["spa", "por"])
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 1, 0] = 2.0


def test_unknowns_are_named() -> None:
    found = pair_features(["deu", "eng", "fin", "tok"])
    grammar = next(note for note in found.notes if "grammar_distance" in note)
    assert "deu_Latn" in grammar
    assert "tok_Latn" in grammar
    assert "fin_Latn" not in grammar
    place = next(note for note in found.notes if "log_distance" in note)
    assert "1 of 4: tok_Latn" in place


def test_isolates_share_no_family_and_undetermined_text_is_unknown() -> None:
    found = pair_features(["eus", "kor", "und_Cyrl"])
    assert value(found, "eus", "kor", "same_family") == value(found, "eus", "kor", "shared_depth") == 0
    assert np.isnan(value(found, "eus", "und_Cyrl", "same_family"))
    assert np.isnan(value(found, "eus", "und_Cyrl", "shared_depth"))


def test_four_hundred_languages_take_seconds() -> None:
    codes = [entry.code for entry in languages.all_languages()[:400]]
    start = time.process_time()
    assert pair_features(codes).values.shape[:2] == (400, 400)
    assert time.process_time() - start < 10  # 0.4 s measured


@pytest.mark.parametrize(
    ("codes", "what"),
    [
        (["spa"], "two languages"),
        (["spa", "es"], "spa_Latn stands there more than once"),
        ("spa", "is no list"),
        (["spa", "elvish-quenya"], "unknown language"),
    ],
)
def test_bad_languages_are_refused(codes: list[str], what: str) -> None:
    with pytest.raises(InputError, match=what):
        pair_features(codes)


# --- from texts -------------------------------------------------------------------------------------


def test_relatives_overlap_more(texts: dict[str, Path]) -> None:
    found = pair_features([*PANGRAMS, "deu"], texts={code: str(path) for code, path in texts.items()})
    for name in ("ngram_similarity", "ngram_coverage", "word_coverage"):
        near, far, farthest = (value(found, "spa", other, name) for other in ("por", "fin", "rus"))
        assert near > far >= farthest >= 0, name
        assert np.isnan(value(found, "spa", "deu", name))
    assert any("word_coverage unknown for 1 of 5: deu_Latn" in note for note in found.notes)


def test_overlap_of_texts_counted_by_hand() -> None:
    overlap = text_overlap(["abcde", "abcdx", "a b", "A, c!"])
    assert overlap.ngram_coverage[0, 1] == 0.5  # abcd of abcd, bcde
    assert overlap.word_coverage[2, 3] == overlap.word_coverage[3, 2] == 0.5
    assert np.isnan(overlap.ngram_coverage[2, 0])  # three bytes have no 4-gram
    similar = np.mean([4 / 5, 3 / 4, 2 / 3, 1 / 2])
    assert overlap.ngram_similarity[0, 1] == pytest.approx(similar)


def test_coverage_has_a_direction() -> None:
    overlap = text_overlap(["one two", "one two three four"])
    assert overlap.word_coverage[0, 1] == 1
    assert overlap.word_coverage[1, 0] == 0.5
    assert overlap.ngram_coverage[0, 1] == 1
    assert overlap.ngram_coverage[1, 0] < 1


def test_identical_texts_overlap_wholly_and_disjoint_ones_not() -> None:
    overlap = text_overlap(["καλημέρα κόσμε " * 50, "καλημέρα κόσμε " * 50, "12345 67890"])
    assert overlap.ngram_similarity[0, 1] == pytest.approx(1)
    assert overlap.ngram_coverage[0, 1] == overlap.word_coverage[0, 1] == 1
    assert overlap.ngram_coverage[0, 2] == 0
    np.testing.assert_allclose(overlap.ngram_similarity, overlap.ngram_similarity.T)


def test_vowel_signs_do_not_part_words() -> None:
    overlap = text_overlap(["हिन्दी", "ह न द"])
    assert overlap.word_coverage[0, 1] == 0


def test_hashing_does_not_move_coverage_far() -> None:
    """Random text shares few 4-grams but by chance; the exact share is counted beside it."""
    rng = np.random.default_rng(0)
    one, other = ("".join(chr(c) for c in rng.integers(97, 123, 200_000)) for _ in range(2))
    grams = {other[i : i + 4] for i in range(len(other) - 3)}
    exact = np.mean([one[i : i + 4] in grams for i in range(len(one) - 3)])
    assert text_overlap([one, other]).ngram_coverage[0, 1] == pytest.approx(exact, abs=0.05)


def test_scripts_without_blanks_have_no_words(tmp_path: Path) -> None:
    paths = {code: tmp_path / f"{code}.txt" for code in ("tha", "eng")}
    paths["tha"].write_text("มนุษย์ทั้งหลายเกิดมามีอิสระ" * 20, encoding="utf-8")
    paths["eng"].write_text("all human beings are born free " * 20, encoding="utf-8")
    found = pair_features(list(paths), texts=paths)
    assert np.isnan(value(found, "tha", "eng", "word_coverage"))
    assert value(found, "eng", "tha", "word_coverage") == 0
    assert any("under 20,000 bytes" in note for note in found.notes)


def test_uneven_texts_are_noted(texts: dict[str, Path]) -> None:
    texts["spa"].write_text(f"{PANGRAMS['spa']}\n" * 900, encoding="utf-8")
    assert any("longer ones" in note for note in pair_features(list(texts), texts=texts).notes)


def test_compressed_texts_read_alike(tmp_path: Path) -> None:
    text = "Ääkköset ja muut. " * 2000
    for name, data in {
        "a.txt": text.encode(),
        "b.txt": b"\xef\xbb\xbf" + text.encode(),
        "c.txt.gz": gzip.compress(text.encode()),
        "d.txt.xz": lzma.compress(text.encode()),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert read_text(tmp_path / name) == text, name


def test_at_most_a_mebibyte_is_read_and_a_cut_letter_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"x" + "ä".encode() * READ_BYTES)
    text = read_text(path)
    assert len(text.encode()) == READ_BYTES - 1
    assert set(text[1:]) == {"ä"}


def test_unusable_texts_are_refused(tmp_path: Path) -> None:
    files = {
        "empty.txt": (b"", "no text"),
        "blank.txt": (b" \n\n", "no text"),
        "latin1.txt": ("señor".encode("latin-1"), r"byte 2 \(0xf1\) is not UTF-8"),
        "cut.txt": ("ä".encode()[:1], "not UTF-8"),
        "plain.txt.xz": (b"not compressed", "cannot be decompressed"),
        "plain.txt.gz": (b"not compressed", "cannot be decompressed"),
        "half.txt.gz": (gzip.compress(b"text " * 1000)[:30], "cannot be decompressed"),
    }
    for name, (data, what) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=what) as caught:
            read_text(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(InputError, match="No such file"):
        read_text(tmp_path / "absent.txt")


def test_unusable_texts_arguments_are_refused(texts: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="not among the languages"):
        pair_features(["spa", "por"], texts=texts)
    with pytest.raises(InputError, match="two texts"):
        pair_features(["spa", "por"], texts={"spa": texts["spa"], "es": texts["spa"]})
    with pytest.raises(InputError, match="no text is given"):
        pair_features(["spa", "por"], texts={})


def test_zstandard_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt.zst").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InputError, match="pip install zstandard"):
        read_text(tmp_path / "a.txt.zst")


# --- from the user and URIEL+ -----------------------------------------------------------------------


def test_features_of_the_user() -> None:
    mine = np.array([[0.0, 3.0], [np.nan, 0.0]])
    found = pair_features(["spa", "por"], extra={"mine": mine})
    assert found.names[-1] == "mine"
    assert value(found, "spa", "por", "mine") == 3
    assert np.isnan(value(found, "por", "spa", "mine"))
    assert mine[0, 0] == 0  # untouched
    assert found.meanings["mine"] == "given by the user"


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("same_script", np.zeros((2, 2)), "taken"),
        ("mine", np.zeros((3, 3)), r"need \(2, 2\), got \(3, 3\)"),
        ("mine", np.full((2, 2), np.inf), "infinite"),
        ("mine", np.array([["a", "b"], ["c", "d"]]), "not an array of numbers"),
    ],
)
def test_unusable_features_of_the_user_are_refused(name: str, values: np.ndarray, what: str) -> None:
    with pytest.raises(InputError, match=what):
        pair_features(["spa", "por"], extra={name: values})


def test_uriel_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urielplus", None)
    monkeypatch.setitem(sys.modules, "urielplus.urielplus", None)
    with pytest.raises(InputError, match=r"isogloss\[uriel\]"):
        pair_features(["spa", "por"], uriel=True)


class FakeUriel:
    """Distances that tell the pair, -1 where the real one has no common features; refuses fewer than three."""

    langs = (np.array(["eng", "fra", "deu", "spa", "por"]), np.array(["eng", "fra", "deu", "spa", "por"]))

    def new_distance(self, kinds: list[str], codes: list[str]) -> list[np.ndarray]:
        assert len(codes) == len(set(codes)) >= 3
        numbers = np.array([{"spa": 1.0, "por": 3.0}.get(code, 9.0) for code in codes])
        apart = np.abs(numbers[:, None] - numbers) / 10
        return [apart, np.where(apart > 0, -1, 0), apart][: len(kinds)]


def test_uriel_distances_find_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("urielplus"), SimpleNamespace(URIELPlus=FakeUriel)
    monkeypatch.setitem(sys.modules, "urielplus", package)
    monkeypatch.setitem(sys.modules, "urielplus.urielplus", module)
    found = pair_features(["tok", "por", "spa"], uriel=True)
    assert value(found, "por", "spa", "uriel_syntactic") == pytest.approx(0.2)
    assert np.isnan(value(found, "por", "spa", "uriel_phonological"))
    assert np.isnan(value(found, "tok", "spa", "uriel_inventory"))


def test_the_real_uriel_gives_distances() -> None:
    if importlib.util.find_spec("urielplus") is None:
        pytest.skip("urielplus is not installed")
    root = logging.getLogger()
    before = list(root.handlers), root.level
    found = pair_features(["spa", "por", "cmn"], uriel=True)
    assert (list(root.handlers), root.level) == before
    near, far = (value(found, "spa", other, "uriel_syntactic") for other in ("por", "cmn"))
    assert 0 < near < far < 1
