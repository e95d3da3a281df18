"""From text to token files: what is held out, what is guarded, and that nothing depends on order or workers."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.training import corpus as preparing
from isogloss.training.corpus import Corpus, Holdout, LanguageCorpus, LanguageText, TokenizerSpec, prepare
from isogloss.training.guard import Guard

HOLDOUT = Holdout(bytes=4_000)
BYTES = TokenizerSpec()
FILES = ("train.bin", "eval.bin", "eval.json", "unigram.npy")


def sentences(count: int, seed: int, letters: str = "abcdefghijklmnoprstuw") -> list[str]:
    rng = random.Random(seed)
    words = ["".join(rng.choices(letters, k=rng.randint(2, 8))) for _ in range(300)]
    return [" ".join(rng.choices(words, k=rng.randint(8, 20))) for _ in range(count)]


def lines(path: Path, texts: Sequence[str]) -> str:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return str(path)


def records(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def texts(tmp_path: Path) -> list[LanguageText]:
    return [
        LanguageText("swh_Latn", (lines(tmp_path / "sw.txt", sentences(400, 1)),)),
        LanguageText("rus_Cyrl", (lines(tmp_path / "ru.txt", sentences(300, 2, "абвгдеиклмнопрст")),)),
    ]


def make(
    texts: Sequence[LanguageText],
    folder: Path,
    spec: TokenizerSpec = BYTES,
    *,
    holdout: Holdout = HOLDOUT,
    **more: Any,
) -> Corpus:
    return prepare(texts, spec, folder, holdout=holdout, **more)


def trained(corpus: Corpus, language: str) -> list[str]:
    return documents(corpus, corpus.languages[language].train)


def evaluated(corpus: Corpus, language: str) -> list[str]:
    return documents(corpus, corpus.languages[language].eval_tokens)


def documents(corpus: Corpus, ids: np.ndarray) -> list[str]:
    starts = np.flatnonzero(ids == corpus.tokenizer.bos_id)
    return [corpus.tokenizer.decode(part[1:]) for part in np.split(np.asarray(ids), starts[1:])]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.name in FILES}


# --- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [BYTES, TokenizerSpec("sentencepiece", 500)], ids=["bytes", "sentencepiece"])
def test_streams_hold_every_document_once(texts: list[LanguageText], tmp_path: Path, spec: TokenizerSpec) -> None:
    if spec.kind != "bytes":
        pytest.importorskip("sentencepiece")
    corpus = make(texts, tmp_path / "c", spec)
    for text in texts:
        made = corpus.languages[text.language]
        train, held = trained(corpus, text.language), evaluated(corpus, text.language)
        written = Path(text.text[0]).read_text(encoding="utf-8").splitlines()
        assert sorted(train + held) == sorted(written)
        assert train == [line for line in written if line not in held]
        assert made.documents == len(train)
        assert made.bytes == sum(len(t.encode()) for t in train)
        assert made.tokens == len(made.train) == made.rehydrated_tokens
        assert made.train.dtype == corpus.tokenizer.dtype
        assert made.unigram.tolist() == np.bincount(made.train, minlength=corpus.tokenizer.vocab_size).tolist()
        assert made.eval_bytes.tolist() == [len(t.encode()) for t in held]
        assert made.eval_offsets[-1] == len(made.eval_tokens)
        assert (made.eval_tokens[made.eval_offsets[:-1]] == corpus.tokenizer.bos_id).all()
        assert 3_000 < made.eval_bytes.sum() <= 4_000


def test_rehydrated_tokens_weigh_documents(tmp_path: Path) -> None:
    rows = [{"text": t, "n": 200 if i % 2 else 1} for i, t in enumerate(sentences(400, 1))]
    path = records(tmp_path / "a.jsonl", rows)
    corpus = make([LanguageText("x", (path,), weight_field="n")], tmp_path / "c")
    weights = {row["text"]: 8 if row["n"] == 200 else 1 for row in rows}
    expected = sum(weights[t] * (len(t) + 1) for t in trained(corpus, "x"))
    assert corpus.languages["x"].rehydrated_tokens == expected


def test_a_clone_shares_files_and_shifts_ids(texts: list[LanguageText], tmp_path: Path) -> None:
    clones = [LanguageText("copy1", clone_of="swh_Latn"), LanguageText("copy2", clone_of="rus_Cyrl")]
    corpus = make([clones[0], *texts, clones[1]], tmp_path / "c")
    assert list(corpus.languages) == ["copy1", "swh_Latn", "rus_Cyrl", "copy2"]
    assert [language.id_offset for language in corpus.languages.values()] == [256, 0, 0, 512]
    assert corpus.vocab_size == 3 * 256
    one, other = corpus.languages["copy1"], corpus.languages["swh_Latn"]
    assert one.train.tolist() == other.train.tolist()
    assert one.hash != other.hash
    assert not (tmp_path / "c" / "copy1").exists()


# --- what is held out ---------------------------------------------------------------------------------------------


def test_the_split_does_not_depend_on_order(texts: list[LanguageText], tmp_path: Path) -> None:
    first = make(texts, tmp_path / "c")
    shuffled = sentences(400, 1)
    random.Random(0).shuffle(shuffled)
    parts = lines(tmp_path / "a.txt", shuffled[:150]), lines(tmp_path / "b.txt", shuffled[150:])
    second = make([LanguageText("swh_Latn", parts)], tmp_path / "d")
    assert evaluated(first, "swh_Latn") == evaluated(second, "swh_Latn")
    assert sorted(trained(first, "swh_Latn")) == sorted(trained(second, "swh_Latn"))


def test_exact_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    path = lines(tmp_path / "twice.txt", sentences(400, 1) * 2)
    corpus = make([LanguageText("swh_Latn", (path,))], tmp_path / "c")
    held, train = evaluated(corpus, "swh_Latn"), trained(corpus, "swh_Latn")
    assert not set(held) & set(train)
    assert len(set(held)) == len(held)
    assert len(train) == 2 * len(set(train))
    assert corpus.languages["swh_Latn"].manifest["duplicates"] == len(held)


def test_near_duplicates_of_evaluation_are_left_out(tmp_path: Path) -> None:
    clean = sentences(600, 1)
    source = LanguageText("swh_Latn", (lines(tmp_path / "clean.txt", clean),))
    held = evaluated(make([source], tmp_path / "c"), "swh_Latn")
    long = [t for t in held if len(t) > 90]
    # Too long to be held out themselves.
    filler = " ".join(sentences(40, 9))
    inside = [f"{filler} {t} {filler}" for t in long]
    beginnings = [t[: len(t) * 2 // 3] for t in long]
    changed = [t[:40] + "XX" + t[42:] + " more" for t in long]
    others = [*clean, *inside, filler * 2]
    path = lines(tmp_path / "more.txt", others)
    corpus = make([LanguageText("swh_Latn", (path,))], tmp_path / "d")
    train = trained(corpus, "swh_Latn")
    assert evaluated(corpus, "swh_Latn") == held
    assert filler * 2 in train
    left_out = corpus.languages["swh_Latn"].manifest
    assert left_out["near_duplicates"] == len(others) - len(train) - len(held)
    assert len([t for t in inside if t not in train]) > 0.6 * len(inside)
    guard = Guard.of([t.encode() for t in held])
    for variants in (beginnings, changed):
        assert len(guard.near([t.encode() for t in variants])) > 0.8 * len(variants)
    assert guard.near([t.encode() for t in sentences(2000, 77)]) == []


def test_the_guard_finds_documents_wherever_they_stand_in_a_chunk() -> None:
    held = [t.encode() for t in sentences(20, 3) if len(t) > 80]
    others = [t.encode() for t in sentences(200, 4)]
    guard = Guard.of(held)
    mixed = [b"", b"short", *others[:50], held[3], *others[50:], held[0], b""]
    assert guard.near(mixed) == [52, 203]
    assert guard.near([]) == []
    assert Guard.of([b"short"]).near(mixed) == []


def paged(path: Path, seed: int, pages: Sequence[int]) -> str:
    texts = sentences(4 * len(pages), seed)
    return records(path, [{"text": t, "page": f"page {pages[i // 4]}"} for i, t in enumerate(texts)])


def test_keys_never_straddle_in_any_language(tmp_path: Path) -> None:
    sizes = {"big": range(400), "small": range(300, 360), "middle": range(250)}
    texts = [
        LanguageText(name, (paged(tmp_path / f"{name}.jsonl", i, pages),), split_key="page")
        for i, (name, pages) in enumerate(sizes.items())
    ]
    corpus = make(texts, tmp_path / "c")
    page_of = {
        (text.language, row["text"]): row["page"]
        for text in texts
        for row in map(json.loads, Path(text.text[0]).read_text().splitlines())
    }
    train = {page_of[name, t] for name in sizes for t in trained(corpus, name)}
    held = {page_of[name, t] for name in sizes for t in evaluated(corpus, name)}
    assert not train & held
    assert train | held <= set(page_of.values())
    small, big = corpus.languages["small"].manifest, corpus.languages["big"].manifest
    assert small["eval_bytes"] > 1_900
    assert big["eval_bytes"] <= 4_000
    assert big["unused"] > 0
    assert big["unused"] + big["documents"] + big["eval_documents"] + big["near_duplicates"] == 1600


# --- workers, repeats, changes ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_result_does_not_depend_on_workers(
    texts: list[LanguageText], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isogloss.training.shards._CHUNK", 2_000)
    one = make(texts, tmp_path / "one")
    two = make(texts, tmp_path / "two", workers=2)
    assert one.hash == two.hash
    assert content(tmp_path / "one") == content(tmp_path / "two")


def changed(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_prepared_again_only_what_changed_is_redone(texts: list[LanguageText], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    told: list[str] = []
    first = make(texts, folder, progress=lambda what, _: told.append(what))
    assert {"reading swh_Latn", "tokenising rus_Cyrl"} <= set(told)
    before = changed(folder)
    told.clear()
    assert make(texts, folder, progress=lambda what, _: told.append(what)).hash == first.hash
    assert (changed(folder), told) == (before, [])
    lines(tmp_path / "ru.txt", sentences(350, 5))
    second = make(texts, folder)
    after = changed(folder)
    assert second.hash != first.hash
    assert second.languages["swh_Latn"].hash == first.languages["swh_Latn"].hash
    assert after["swh_Latn/train.bin"] == before["swh_Latn/train.bin"]
    assert after["rus_Cyrl/train.bin"] != before["rus_Cyrl/train.bin"]
    third = make(texts, folder, holdout=replace(HOLDOUT, bytes=3_000))
    assert third.languages["swh_Latn"].hash != first.languages["swh_Latn"].hash


def test_stopped_at_any_language_nothing_is_half_written(
    texts: list[LanguageText], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    whole = make(texts, tmp_path / "whole")
    writes = preparing.write_streams

    def full(new: Path, *arguments: Any) -> dict[str, Any]:
        if "rus" in new.name:
            (new / "train.bin").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return writes(new, *arguments)

    monkeypatch.setattr(preparing, "write_streams", full)
    with pytest.raises(InputError, match=r"the disk is full\n.*finished languages are kept"):
        make(texts, folder)
    assert {p.name for p in folder.iterdir()} == {"swh_Latn", "tokenizer"}
    with pytest.raises(InputError, match="was not prepared to its end"):
        Corpus.open(folder)
    monkeypatch.undo()
    done = changed(folder)
    assert make(texts, folder).hash == whole.hash
    assert changed(folder).items() >= done.items()
    assert Corpus.open(folder).hash == whole.hash


def test_a_truncated_file_is_noticed(texts: list[LanguageText], tmp_path: Path) -> None:
    make(texts, tmp_path / "c")
    path = tmp_path / "c" / "swh_Latn" / "train.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"train\.bin: has [\d,]+ bytes, not [\d,]+"):
        Corpus.open(tmp_path / "c")


def test_no_path_of_this_machine_is_written(texts: list[LanguageText], tmp_path: Path) -> None:
    make(texts, tmp_path / "c")
    manifest = (tmp_path / "c" / "corpus.json").read_text()
    assert str(tmp_path) not in manifest
    (source,) = json.loads(manifest)["languages"]["swh_Latn"]["sources"]
    assert source["name"] == "sw.txt"
    assert source["documents"] == "line"


def test_sentencepiece_sees_no_held_out_document(
    texts: list[LanguageText], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentencepiece")
    seen: list[str] = []
    train = preparing.train_sentencepiece

    def spy(samples: Any, *arguments: Any) -> bytes:
        seen.extend(samples)
        return train(seen, *arguments)

    monkeypatch.setattr(preparing, "train_sentencepiece", spy)
    corpus = make(texts, tmp_path / "c", TokenizerSpec("sentencepiece", 400, training_bytes=20_000))
    held = {t for name in corpus.languages for t in evaluated(corpus, name)}
    assert seen
    assert not held & set(seen)
    sizes: dict[str, int] = dict.fromkeys(corpus.languages, 0)
    for text in seen:
        sizes["rus_Cyrl" if text[0] in "абвгдеиклмнопрст" else "swh_Latn"] += len(text.encode())
    # Nearly equal shares, as temperature 3.33 of 37 kB and 50 kB of text gives.
    assert 0.75 < sizes["swh_Latn"] / sizes["rus_Cyrl"] < 1.2
    assert 15_000 < sum(sizes.values()) < 25_000


# --- refused ------------------------------------------------------------------------------------------------------


def test_too_little_text(tmp_path: Path) -> None:
    few = LanguageText("swh_Latn", (lines(tmp_path / "few.txt", sentences(100, 1)),))
    with pytest.raises(InputError, match=r"language 'swh_Latn': [\d,]+ bytes of text can be held out, 2,000 are"):
        make([few], tmp_path / "c")
    with pytest.raises(InputError, match=r"[\d,]+ bytes of text are left to train on, 8,000 are needed"):
        make([few], tmp_path / "c", holdout=Holdout(4_000, 0.5))
    assert not (tmp_path / "c" / "swh_Latn").exists()


def test_one_large_document_cannot_be_held_out(tmp_path: Path) -> None:
    path = lines(tmp_path / "book.txt", sentences(1000, 1))
    with pytest.raises(InputError, match=r"0 bytes of text can be held out.*\n.*in 1 documents.*smaller documents"):
        make([LanguageText("swh_Latn", (path,), documents="file")], tmp_path / "c")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (LanguageText("copy", clone_of="swh_Lat"), "copy', clone_of: unknown language 'swh_Lat'\n.*swh_Latn"),
        (LanguageText("SWH_latn", clone_of="swh_Latn"), "stands twice"),
        (LanguageText("a/b", clone_of="swh_Latn"), "cannot be the name of a folder"),
        (LanguageText("tokenizer", clone_of="swh_Latn"), "cannot be the name of a folder"),
    ],
)
def test_bad_lists_of_languages(texts: list[LanguageText], tmp_path: Path, more: LanguageText, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make([*texts, more], tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(("size", "fraction"), [(100, 0.1), (4_000, 0.0), (4_000, 0.9)])
def test_bad_holdouts(size: int, fraction: float) -> None:
    with pytest.raises(InputError, match=r"Holdout, (bytes|fraction): must be"):
        Holdout(size, fraction)


def test_a_language_opens_lazily(texts: list[LanguageText], tmp_path: Path) -> None:
    language = make(texts, tmp_path / "c").languages["swh_Latn"]
    assert isinstance(language, LanguageCorpus)
    assert isinstance(language.train, np.memmap)
