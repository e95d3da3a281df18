"""Training a SentencePiece unigram model, and writing it as a tokenizer.json that gives the same ids."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from isogloss.errors import InputError
from isogloss.training.optional import library

# Longer sentences are left out by the trainer; a cut costs one word.
_SENTENCE = 1000
# Expectations are summed per thread: a fixed number of threads gives the same model on every machine.
_THREADS = 8
# The characters of <s>, <unk> and <0x..>: with all of them in the vocabulary, text that spells such a piece is
# encoded by its characters, in tokenizer.json as in SentencePiece.
_ALWAYS = "".join(sorted(set("<s><unk><0x0123456789ABCDEF>")))
# Scores in steps of 1/64: SentencePiece sums them in float32 and tokenizers in float64, and only exact sums find
# the same best path. 8192 characters at -25 or better stay below 2^24 steps.
_STEP = 64
# Far below any path of normal pieces, so that tokenizer.json never matches the name of a byte in text.
_NEVER = -1000.0
_SPACE = "\u2581"


def train_sentencepiece(samples: Iterable[str], vocab_size: int, character_coverage: float = 0.999995) -> bytes:
    """The model file. Ids: 0 is unknown (byte fallback leaves it unused), 1 is BOS, then bytes, then pieces."""
    trainer = library("sentencepiece", "training a SentencePiece tokenizer").SentencePieceTrainer
    model = io.BytesIO()
    try:
        trainer.train(
            sentence_iterator=_sentences(samples),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            character_coverage=character_coverage,
            required_chars=_ALWAYS,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=4 * _SENTENCE,
            **{"unk_id": 0, "bos_id": 1, "eos_id": -1, "pad_id": -1},
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _refused(vocab_size, str(error)) from None
    return _rounded(model.getvalue())


def _sentences(samples: Iterable[str]) -> Iterator[str]:
    for sample in samples:
        for line in sample.split("\n"):
            for start in range(0, len(line), _SENTENCE):
                yield line[start : start + _SENTENCE]


def _refused(vocab_size: int, message: str) -> InputError:
    where = "tokenizer, vocab_size"
    if found := re.search(r"value <= (\d+)", message):
        hint = f"The largest that works is {found[1]}; or give more text."
        return InputError(f"too little text for {vocab_size} pieces", where=where, hint=hint)
    if found := re.search(r"required_chars(?:\. | size)?\D*(\d+) vs (\d+)", message):
        hint = f"Every character and every byte is a piece: above {found[2]}, or lower character_coverage."
        return InputError(f"{vocab_size} is too small for these scripts", where=where, hint=hint)
    return InputError(f"SentencePiece refused to train: {message}", where=where)


def hf_json(processor: Any) -> str:
    tokenizers = library("tokenizers", "writing a Hugging Face tokenizer")
    pieces = [
        (processor.id_to_piece(i), processor.get_score(i) if _is_normal(processor, i) else _NEVER)
        for i in range(processor.get_piece_size())
    ]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0, byte_fallback=True))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(_SPACE, prepend_scheme="never", split=True)
    decoders = tokenizers.decoders
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace(_SPACE, " ")])
    made.add_special_tokens([tokenizers.AddedToken("<s>", special=True, normalized=False)])
    return made.to_str(pretty=True)


def _is_normal(processor: Any, piece: int) -> bool:
    return not (processor.is_byte(piece) or processor.is_control(piece) or processor.is_unknown(piece))


# --- the model file -----------------------------------------------------------------------------------------------
# A protocol buffer: ModelProto.pieces is field 1, repeated; in it the piece is field 1 and its score, a float, field 2.


def _rounded(model: bytes) -> bytes:
    """The model with its scores rounded to steps of 1/64."""
    data = bytearray(model)
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 != 2:
            raise InputError("the model of this version of sentencepiece has an unknown layout")
        size, at = _varint(data, at)
        if tag >> 3 == 1:
            _round_score(data, at)
        at += size
    return bytes(data)


def _round_score(data: bytearray, at: int) -> None:
    """Piece, then score: the order in which protocol buffers are written."""
    _, at = _varint(data, at)
    size, at = _varint(data, at)
    tag, at = _varint(data, at + size)
    if tag != 2 << 3 | 5:
        raise InputError("the model of this version of sentencepiece has an unknown layout")
    (score,) = struct.unpack_from("<f", data, at)
    struct.pack_into("<f", data, at, round(score * _STEP) / _STEP)


def _varint(data: bytearray, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
