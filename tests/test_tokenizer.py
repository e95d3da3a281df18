"""Tokenizers lose nothing, come back as saved, and give the same ids to transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.training.sentencepiece import train_sentencepiece
from isogloss.training.tokenizer import (
    ByteTokenizer,
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    TokenizerSpec,
    load_tokenizer,
    read_hf,
)

pytest.importorskip("sentencepiece")
pytest.importorskip("tokenizers")

# Article 1 of the Universal Declaration of Human Rights.
ARTICLE = [
    "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. Wote wamejaliwa akili na dhamiri.",
    "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม",
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
]
AWKWARD = [
    *(
        "",
        " ",
        "\n",
        "  two  spaces \n\n\tand tabs\r\n",
        "<s>",
        "<unk> <s>x",
        "<0x41>\x00\x7f",
        "ÿþ",
        "\ufeff",
        "e\u0301",
    ),
    *("\U0001f600 \U00020000<0x0A>", "aaaaaaaaaaaaaaaa" * 40, "a" * 20_000, "naïve word " * 3_000, "\u3000\u00a0"),
]
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\u2581"), max_size=60)


@pytest.fixture(scope="module")
def unigram() -> SentencePieceTokenizer:
    return SentencePieceTokenizer(train_sentencepiece(ARTICLE * 3, 470))


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceTokenizer:
    return read_hf(bpe_file(tmp_path_factory.mktemp("bpe") / "tokenizer.json", ["<pad>", "<|endoftext|>"]))


def bpe_file(path: Path, special: list[str]) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(ARTICLE, trainer)
    made.enable_truncation(5)
    made.save(str(path))
    return path


@pytest.fixture(params=["bytes", "unigram", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return ByteTokenizer() if request.param == "bytes" else request.getfixturevalue(request.param)


def test_nothing_is_lost(tokenizer: Tokenizer) -> None:
    for text, ids in zip(ARTICLE + AWKWARD, tokenizer.encode_batch(ARTICLE + AWKWARD), strict=True):
        assert tokenizer.decode(ids) == text
        assert ids.dtype == tokenizer.dtype
        assert tokenizer.bos_id not in ids
        assert ids.size == 0 or ids.max() < tokenizer.vocab_size


@given(text=TEXT)
def test_nothing_is_lost_of_any_text(text: str, unigram: Tokenizer, bpe: Tokenizer) -> None:
    for tokenizer in (ByteTokenizer(), unigram, bpe):
        assert tokenizer.decode(tokenizer.encode_batch([text])[0]) == text


def test_a_literal_u2581_is_the_one_exception(unigram: Tokenizer) -> None:
    assert unigram.decode(unigram.encode_batch(["a\u2581b"])[0]) == "a b"


def test_packed_is_bos_document_bos_document(tokenizer: Tokenizer) -> None:
    packed, lengths = tokenizer.pack(ARTICLE + AWKWARD)
    each = [np.array([tokenizer.bos_id, *ids]) for ids in tokenizer.encode_batch(ARTICLE + AWKWARD)]
    assert packed.dtype == tokenizer.dtype
    assert packed.tolist() == np.concatenate(each).tolist()
    assert lengths.tolist() == [len(ids) for ids in each]


def test_cutting_long_text_changes_no_id(unigram: SentencePieceTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(ARTICLE * 5)
    whole = unigram.encode_batch([text, "short"])
    monkeypatch.setattr(SentencePieceTokenizer, "_LONGEST", 50)
    assert [ids.tolist() for ids in unigram.encode_batch([text, "short"])] == [ids.tolist() for ids in whole]


def test_saved_and_loaded(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "t")
    again = load_tokenizer(tmp_path / "t")
    assert (again.kind, again.hash, again.bos_id) == (tokenizer.kind, tokenizer.hash, tokenizer.bos_id)
    assert [i.tolist() for i in again.encode_batch(ARTICLE)] == [i.tolist() for i in tokenizer.encode_batch(ARTICLE)]


def test_a_tampered_tokenizer_is_refused(unigram: Tokenizer, tmp_path: Path) -> None:
    unigram.save(tmp_path / "t")
    path = tmp_path / "t" / "isogloss-tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hash": "0" * 16}))
    with pytest.raises(InputError, match="does not match its model file"):
        load_tokenizer(tmp_path / "t")
    path.write_text('{"kind": "wordpiece"}')
    with pytest.raises(InputError, match="is not a tokenizer of isogloss"):
        load_tokenizer(tmp_path / "t")
    with pytest.raises(InputError, match="does not exist"):
        load_tokenizer(tmp_path / "nothing")


# --- transformers -------------------------------------------------------------------------------------------------


def in_transformers(tokenizer: Tokenizer, folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    tokenizer.to_hf(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def test_transformers_gives_the_same_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    theirs = in_transformers(tokenizer, tmp_path)
    assert theirs.bos_token_id == tokenizer.bos_id
    assert len(theirs) == tokenizer.vocab_size
    texts = [*ARTICLE, *AWKWARD, "\n".join(ARTICLE * 20), "a\u2581\u2581b <|endoftext|>"]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids.tolist()
        assert theirs.decode(ids.tolist()) == tokenizer.decode(ids)


@given(text=TEXT | st.text(st.sampled_from("<>0xs/4AFunk é\n\u2581人"), max_size=40))
def test_transformers_gives_the_same_ids_of_any_text(
    text: str, unigram: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for tokenizer in (unigram, ByteTokenizer()):
        folder = tmp_path_factory.getbasetemp() / f"hf {tokenizer.hash}"
        theirs = _LOADED.get(tokenizer.hash) or in_transformers(tokenizer, folder)
        _LOADED[tokenizer.hash] = theirs
        assert theirs(text)["input_ids"] == tokenizer.encode_batch([text])[0].tolist()


_LOADED: dict[str, Any] = {}


# --- refused ------------------------------------------------------------------------------------------------------


def test_the_largest_vocabulary_is_named_and_works() -> None:
    with pytest.raises(InputError, match=r"too little text for 5000 pieces\n  The largest that works is \d+") as error:
        train_sentencepiece(ARTICLE, 5000)
    largest = int(str(error.value).split("works is ")[1].split(";")[0])
    assert SentencePieceTokenizer(train_sentencepiece(ARTICLE, largest)).vocab_size == largest


def test_the_smallest_vocabulary_is_named() -> None:
    hint = r"Every .* above \d+, or lower character_coverage"
    with pytest.raises(InputError, match=rf"300 is too small for these scripts\n  {hint}"):
        train_sentencepiece(ARTICLE, 300)


def test_training_is_deterministic(unigram: Tokenizer) -> None:
    assert SentencePieceTokenizer(train_sentencepiece(ARTICLE * 3, 470)).hash == unigram.hash


def test_a_tokenizer_file_needs_a_separator(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no BOS or EOS token.*\n  Add a special token.*: <pad>"):
        read_hf(bpe_file(tmp_path / "tokenizer.json", ["<pad>"]))
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"other\.json: is not a tokenizer"):
        read_hf(tmp_path / "other.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_hf(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "byte"}, "unknown kind 'byte'\n.*'bytes'"),
        ({"kind": "sentencepiece"}, "sentencepiece needs a vocab_size"),
        ({"vocab_size": 512}, "bytes has its own vocab_size, not 512"),
        ({"temperature": 0}, "temperature must be positive, got 0"),
        ({"character_coverage": 99.9}, "character_coverage must be above 0.9 and at most 1, got 99.9"),
        ({"training_bytes": 0}, "training_bytes must be positive"),
    ],
)
def test_bad_specs(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TokenizerSpec(**arguments)
