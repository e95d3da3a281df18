"""Transfer matrices from files: what is read, what is refused and where, and one laid over another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.transfer import TransferMatrix
from isogloss.transfer.order import language_order
from isogloss.transfer.source import laid_over, matrix_frame, read_matrix, write_matrix


def table(folder: Path, text: str, name: str = "scores.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_written_matrix_reads_back_the_same(tmp_path: Path):
    matrix = TransferMatrix.published()
    back = read_matrix(write_matrix(matrix, tmp_path / "m.csv"))
    assert back.languages == matrix.languages
    np.testing.assert_array_equal(back.bts, matrix.bts)
    np.testing.assert_array_equal(back.kind, matrix.kind)


def test_names_weights_and_errors_are_read(tmp_path: Path):
    path = table(tmp_path, "Target,source,tau,sd\nEstonian,fi,0.25,0.1\net,English,0,\n")
    matrix = read_matrix(path)
    rows = {(r["target"], r["source"]): r for r in matrix_frame(matrix).to_dicts()}
    assert rows["ekk_Latn", "fin_Latn"]["bts"] == pytest.approx(0.4)
    assert rows["ekk_Latn", "fin_Latn"]["sd"] == 0.1
    assert rows["ekk_Latn", "eng_Latn"]["sd"] is None
    assert {r["kind"] for r in rows.values()} == {"measured"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("target,source,bts\nde,de,1\n", ["row 1", "own source"]),
        ("target,source,bts\nde,en,0.1\nde,fr,abc\n", ["row 2", "'bts'", "'abc'"]),
        ("target,source,bts\nde,en,3\n", ["below 2", "D_mono/D_bi"]),
        ("target,source,bts\nde,en,\n", ["row 1", "empty"]),
        ("target,source,bts\nde,,1\n", ["row 1", "'source'", "empty"]),
        ("target,source,tau\nde,en,-1\n", ["above -1", "row 1"]),
        ("target,source,bts,sd\nde,en,0.1,-0.2\n", ["negative", "row 1", "'sd'"]),
        ("target,source\nde,en\n", ["'bts'", "'tau'"]),
        ("target,bts\nde,1\n", ["'source'"]),
        ("target,source,bts\nde,Klingonese,1\n", ["Klingonese", "row 1"]),
        ("target,source,bts\nde,en,1\nGerman,eng,0.5\n", ["twice", "row 2"]),
    ],
)
def test_bad_tables_are_refused_at_the_cell(tmp_path: Path, text: str, words: list[str]):
    with pytest.raises(InputError) as refused:
        read_matrix(table(tmp_path, text))
    for word in (*words, "scores.csv"):
        assert word in str(refused.value)


def test_places_without_scores_say_what_to_give(tmp_path: Path):
    for source, word in ((tmp_path, "measure"), (tmp_path / "no", "published"), ("publishd", "published")):
        with pytest.raises(InputError, match=word):
            read_matrix(source)
    with pytest.raises(InputError, match="anchors"):
        read_matrix(table(tmp_path, "target,source,bts\nde,en,0.1\n"), anchor=1e9)


def test_own_scores_lie_over_published_ones(tmp_path: Path):
    own = read_matrix(table(tmp_path, "target,source,bts,sd\nde,en,-0.7,0.1\net,fi,0.8,0.2\n"))
    base = TransferMatrix.published()
    both = laid_over(own, base)
    de, en, et, fi = (both.languages.index(c) for c in ("deu_Latn", "eng_Latn", "ekk_Latn", "fin_Latn"))
    assert (both.bts[de, en], both.kind[de, en]) == (-0.7, "measured")
    assert (both.bts[et, fi], both.sd[et, fi]) == (0.8, 0.2)  # type: ignore[index]
    assert both.present().sum() == base.present().sum() + 1
    assert (both.kind == "published").sum() == (base.kind == "published").sum() - 1


def test_orders_hold_every_language_once():
    matrix = TransferMatrix.published()
    for by in ("family", "cluster", "name"):
        assert sorted(language_order(matrix, by)) == sorted(matrix.languages)
    by_family = language_order(matrix)
    for one, other in (("spa_Latn", "por_Latn"), ("rus_Cyrl", "ukr_Cyrl"), ("ind_Latn", "zsm_Latn")):
        assert abs(by_family.index(one) - by_family.index(other)) <= 2
    with pytest.raises(InputError, match="family"):
        language_order(matrix, "famly")  # type: ignore[arg-type]
