"""Tokenizers as the lab uses them: bytes, SentencePiece trained here, or a Hugging Face tokenizer.json.

All are lossless enough to train on and have a token (BOS) that separates documents. Saved, they are a folder with
`isogloss-tokenizer.json` and the model file, if there is one.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from isogloss.errors import InputError, unknown_name
from isogloss.files import new_folder
from isogloss.training.optional import library
from isogloss.training.sentencepiece import hf_json

MANIFEST = "isogloss-tokenizer.json"
# Tried in this order as the token that separates documents; a BOS before an EOS.
_SEPARATORS = (
    *("<s>", "<bos>", "[BOS]", "<|begin_of_text|>", "<|startoftext|>", "<|bos|>"),
    *("<|endoftext|>", "</s>", "<eos>", "[EOS]", "<|end_of_text|>", "[CLS]"),
)


@dataclass(frozen=True)
class TokenizerSpec:
    """`kind` is "bytes", "sentencepiece" or the path of a tokenizer.json.

    The others are for training SentencePiece: each language gives bytes in proportion to n^(1/temperature) of its n,
    `training_bytes` in all.
    """

    kind: str = "bytes"
    vocab_size: int | None = None
    temperature: float = 3.33
    character_coverage: float = 0.999995
    training_bytes: int = 32_000_000

    def __post_init__(self) -> None:
        where = "tokenizer"
        if self.kind not in ("bytes", "sentencepiece") and Path(self.kind).suffix != ".json":
            raise unknown_name("kind", self.kind, ("bytes", "sentencepiece", "path of a tokenizer.json"), where=where)
        if (self.kind == "sentencepiece") != (self.vocab_size is not None):
            what = "needs a vocab_size" if self.vocab_size is None else f"has its own vocab_size, not {self.vocab_size}"
            raise InputError(f"{self.kind} {what}", where=where)
        if not self.temperature > 0:
            raise InputError(f"temperature must be positive, got {self.temperature!r}", where=where)
        if not 0.9 < self.character_coverage <= 1:
            what = f"character_coverage must be above 0.9 and at most 1, got {self.character_coverage!r}"
            raise InputError(what, where=where)
        if self.training_bytes <= 0:
            raise InputError(f"training_bytes must be positive, got {self.training_bytes!r}", where=where)


class Tokenizer(ABC):
    """Text to ids and back. `hash` is 16 hexadecimal digits of what decides the ids."""

    kind: ClassVar[str]
    vocab_size: int
    bos_id: int
    hash: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.dtype(np.min_scalar_type(self.vocab_size - 1))

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, without BOS."""

    @abstractmethod
    def decode(self, ids: Sequence[int] | np.ndarray) -> str: ...

    @abstractmethod
    def to_hf(self, folder: Path) -> None:
        """Write what transformers' AutoTokenizer loads; it gives the same ids."""

    def pack(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """BOS text BOS text ... as one array, and the length of each text with its BOS."""
        return self._packed([ids.tolist() for ids in self.encode_batch(texts)])

    def _packed(self, encoded: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1
        bos = (self.bos_id,)
        ids = chain.from_iterable(chain.from_iterable((bos, one) for one in encoded))
        return np.fromiter(ids, self.dtype, int(lengths.sum())), lengths

    def save(self, folder: Path, **more: Any) -> None:
        """Write the folder that `load_tokenizer` reads; `more` goes into its manifest."""
        manifest = {"kind": self.kind, "vocab_size": self.vocab_size, "bos_id": self.bos_id, "hash": self.hash, **more}
        with new_folder(folder, marker=MANIFEST) as new:
            (new / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            self._save_model(new)

    def _save_model(self, folder: Path) -> None:  # noqa: B027 - bytes have no model file
        pass


def load_tokenizer(folder: Path) -> Tokenizer:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        tokenizer = _loaded(manifest["kind"], folder)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} does not exist", hint="Prepare the corpus again.") from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError("is not a tokenizer of isogloss", where=str(path), hint="Prepare the corpus again.") from None
    if tokenizer.hash != manifest.get("hash"):
        raise InputError("does not match its model file", where=str(path), hint="Prepare the corpus again.")
    return tokenizer


def _loaded(kind: str, folder: Path) -> Tokenizer:
    if kind == ByteTokenizer.kind:
        return ByteTokenizer()
    made = {SentencePieceTokenizer.kind: SentencePieceTokenizer, HuggingFaceTokenizer.kind: HuggingFaceTokenizer}[kind]
    return made((folder / made.model_file).read_bytes())


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


class ByteTokenizer(Tokenizer):
    """Ids are the UTF-8 bytes."""

    kind = "bytes"
    vocab_size = 256
    # 0xFF never occurs in UTF-8, so the last id is free to separate documents.
    bos_id = 255
    hash = _hash(b"bytes")

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode(), np.uint8) for text in texts]

    def pack(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        encoded = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1
        return np.frombuffer(b"\xff".join((b"", *encoded)), np.uint8), lengths

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        data = np.asarray(ids, np.uint8)
        return data[data != self.bos_id].tobytes().decode(errors="replace")

    def to_hf(self, folder: Path) -> None:
        tokenizers = library("tokenizers", "writing a Hugging Face tokenizer")
        vocabulary = {_byte_character(byte): byte for byte in range(255)} | {"<s>": self.bos_id}
        made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.decoder = tokenizers.decoders.ByteLevel()
        made.add_special_tokens([tokenizers.AddedToken("<s>", special=True, normalized=False)])
        _write_hf(folder, made.to_str(pretty=True), "<s>")


def _byte_character(byte: int) -> str:
    """The printable character that stands for a byte in byte-level vocabularies (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [b for b in range(256) if b not in printable].index(byte))


class SentencePieceTokenizer(Tokenizer):
    """A unigram model with byte fallback. Lossless but for a literal U+2581, which is read as a space."""

    kind = "sentencepiece"
    model_file = "sentencepiece.model"
    # Sums of scores are exact up to here (see sentencepiece.py), so that a text may be cut at any space before.
    _LONGEST = 8192

    def __init__(self, model: bytes):
        self._processor = library("sentencepiece", "a SentencePiece tokenizer").SentencePieceProcessor(
            model_proto=model
        )
        self._bytes = model
        self.vocab_size = self._processor.get_piece_size()
        self.bos_id = self._processor.bos_id()
        self.hash = _hash(b"sentencepiece", model)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.array(ids, self.dtype) for ids in self._encode(texts)]

    def pack(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._packed(self._encode(texts))

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if all(len(text) <= self._LONGEST for text in texts):
            return self._processor.encode(list(texts), num_threads=1)
        parts = [_cut(text, self._LONGEST) for text in texts]
        encoded = self._processor.encode(list(chain.from_iterable(parts)), num_threads=1)
        ends = np.cumsum([0, *map(len, parts)]).tolist()
        return [list(chain.from_iterable(encoded[start:end])) for start, end in pairwise(ends)]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        return self._processor.decode(np.asarray(ids).tolist())

    def to_hf(self, folder: Path) -> None:
        _write_hf(folder, hf_json(self._processor), "<s>")

    def _save_model(self, folder: Path) -> None:
        (folder / self.model_file).write_bytes(self._bytes)


def _cut(text: str, longest: int) -> list[str]:
    """Parts of at most `longest` characters that begin with a space, as no piece goes across one.

    A run without any space longer than that stays whole.
    """
    parts = []
    while len(text) > longest:
        at = text.rfind(" ", 1, longest)
        if at < 0:
            at = text.find(" ", longest)
        if at < 0:
            break
        parts.append(text[:at])
        text = text[at:]
    return [*parts, text]


class HuggingFaceTokenizer(Tokenizer):
    """Any tokenizer.json that has a BOS or EOS token. Special tokens spelled out in the text are plain text."""

    kind = "huggingface"
    model_file = "tokenizer.json"

    def __init__(self, model: bytes, *, where: str | None = None):
        tokenizers = library("tokenizers", "a Hugging Face tokenizer")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(model)
        except Exception as error:  # the library raises nothing narrower
            hint = "It must be the tokenizer.json of the tokenizers library."
            raise InputError(f"is not a tokenizer: {error}", where=where, hint=hint) from None
        self._bytes = model
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self.bos_id, self._bos = self._separator(where)
        self.vocab_size = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self.hash = _hash(b"huggingface", model)

    @property
    def vocabulary(self) -> dict[str, int]:
        """The id of every piece; two files that are written differently may have the same."""
        return self._tokenizer.get_vocab(with_added_tokens=True)

    def _separator(self, where: str | None) -> tuple[int, str]:
        added = self._tokenizer.get_added_tokens_decoder()
        special = {token.content: number for number, token in added.items() if token.special}
        for name in _SEPARATORS:
            if name in special:
                return special[name], name
        there = ", ".join(special) or "none"
        hint = f"Add a special token named <s> or <|endoftext|>; its special tokens: {there}."
        raise InputError("has no BOS or EOS token to separate documents", where=where, hint=hint)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.array(ids, self.dtype) for ids in self._encode(texts)]

    def pack(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._packed(self._encode(texts))

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        data = np.asarray(ids)
        return self._tokenizer.decode(data[data != self.bos_id].tolist(), skip_special_tokens=False)

    def to_hf(self, folder: Path) -> None:
        _write_hf(folder, self._bytes.decode(), self._bos)

    def _save_model(self, folder: Path) -> None:
        (folder / self.model_file).write_bytes(self._bytes)


def read_hf(path: Path) -> HuggingFaceTokenizer:
    try:
        return HuggingFaceTokenizer(path.read_bytes(), where=str(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), hint="Name a tokenizer.json.") from None


def _write_hf(folder: Path, tokenizer: str, bos: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Text that spells a special token is text, here as in training: split_special_tokens says so.
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    for name, content in (("tokenizer_config.json", config), ("special_tokens_map.json", {"bos_token": bos})):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def one_core() -> None:
    """Keep the tokenizers library to one core in this process: others have theirs."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def spec_state(spec: TokenizerSpec) -> dict[str, Any]:
    """What a tokenizer is made from, besides text."""
    state = asdict(spec)
    if spec.kind.endswith(".json"):
        state["kind"] = read_hf(Path(spec.kind)).hash
    return state
