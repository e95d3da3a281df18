"""Finished models on further text."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.runs import read_runs
from isogloss.sweeps.measure import measure
from isogloss.sweeps.prepared import prepare
from isogloss.sweeps.run import run
from studies import BATCH, block, made_up_text, tiny_study

pytest.importorskip("torch", reason="training needs torch: pip install 'isogloss[train]'")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_study(
        tmp_path_factory.mktemp("study"), runs=[block(languages=["ekk"], tokens=[20 * BATCH, 32 * BATCH])]
    )
    run(prepare(folder), executor="inline")
    return folder


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    folder = tmp_path / "prose"
    folder.mkdir()
    (folder / "et.txt").write_text(made_up_text(seed=0, documents=40), encoding="utf-8")
    (folder / "Latvian.txt").write_text(made_up_text(seed=7, documents=40), encoding="utf-8")
    (folder / "swh_Latn.txt").write_text("too little", encoding="utf-8")
    (folder / "README.md").write_text("no text", encoding="utf-8")
    return folder


def test_models_are_measured_once_on_any_language(study: Path, prose: Path) -> None:
    first = measure(study, prose, bytes=3_000)
    assert (first.models, first.new, first.languages) == (2, 2, ("lvs_Latn", "ekk_Latn"))
    assert first.notes == ("swh_Latn.txt is left out: 10 bytes of text, 1,000 are needed.",)
    assert measure(study, prose, bytes=3_000).new == 0
    read = read_runs(first.table).frame
    assert read.height == 4
    assert set(read["tokens"]) == {20 * BATCH, 32 * BATCH}
    assert read["share:ekk_Latn"].to_list() == [1.0] * 4
    # The text of its own kind is less strange to the model than words of other letters.
    loss = {row["target"]: row["loss"] for row in read.filter(pl.col("tokens") == 32 * BATCH).to_dicts()}
    assert loss["ekk_Latn"] < loss["lvs_Latn"]


def test_the_studys_own_held_out_text_gives_the_studys_own_losses(study: Path, tmp_path: Path) -> None:
    from isogloss.sweeps.layout import corpus_folder
    from isogloss.training.corpus import Corpus

    corpus = Corpus.open(corpus_folder(study))
    ekk = corpus.languages["ekk_Latn"]
    parts = zip(ekk.eval_offsets[:-1], ekk.eval_offsets[1:], strict=True)
    texts = [corpus.tokenizer.decode(ekk.eval_tokens[a + 1 : b]) for a, b in parts]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "ekk.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    found = read_runs(measure(study, tmp_path / "own", longest=True).table).frame
    own = read_runs(study).frame.filter(pl.col("tokens") == 32 * BATCH, pl.col("target") == "ekk_Latn")
    # The order of documents differs, and with it what stands before the first words of each window.
    assert found["eval_bytes"].to_list() == [int(ekk.eval_bytes.sum())]
    assert found["loss"].to_list() == pytest.approx(own["loss"].to_list(), rel=0.01)


def test_a_document_longer_than_asked_is_cut(study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    line = made_up_text(seed=1, documents=40).replace("\n", " ")
    (folder / "et.txt").write_text(f"{line}ä", encoding="utf-8")
    found = read_runs(measure(study, folder, bytes=2_000, longest=True).table).frame
    assert found["eval_bytes"].to_list() == [2_000]


def test_other_text_under_the_same_name_is_measured_anew(study: Path, prose: Path) -> None:
    measure(study, prose, name="again")
    (prose / "et.txt").write_text(made_up_text(seed=3, documents=40), encoding="utf-8")
    assert measure(study, prose, name="again", longest=True).new == 1
    # What was measured on the text before is gone, and not mixed with the new.
    assert read_runs(study / "measured" / "again.parquet").frame["tokens"].unique().to_list() == [32 * BATCH]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": ["zz"]}, "no run 'zz'|unknown run 'zz'"),
        ({"texts": "nowhere"}, "no such folder"),
        ({"texts": "."}, "no text"),
    ],
)
def test_what_cannot_be_measured_is_refused(study: Path, prose: Path, tmp_path: Path, options, message) -> None:
    texts = tmp_path / options.pop("texts") if "texts" in options else prose
    for path in prose.iterdir() if texts == tmp_path else ():
        path.unlink()
    if texts == tmp_path:
        prose.rmdir()
    with pytest.raises(InputError, match=message):
        measure(study, texts, **options)


def test_a_study_without_models_is_refused(tmp_path: Path, prose: Path) -> None:
    with pytest.raises(InputError, match="no runs are planned"):
        measure(tmp_path, prose)
