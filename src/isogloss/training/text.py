"""The text of a language as documents, one at a time: plain text, JSONL, Parquet, Hugging Face datasets."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from isogloss.errors import InputError, suggest, unknown_name
from isogloss.files import new_file
from isogloss.stores import is_url, local_matches
from isogloss.training.optional import library
from isogloss.training.readers import SUFFIXES, Document, documents_of, record_document, suffix_of

Documents = Literal["auto", "line", "paragraph", "file"]


@dataclass(frozen=True)
class LanguageText:
    """Where the text of a language comes from: files (`text`: paths, URLs or globs), a dataset, or another language.

    `documents` says what a document of plain text is; `auto` is a paragraph where the first MiB of the file has a
    blank line, else a line. `field`, `split_key` and `weight_field` name fields of JSONL, Parquet and datasets:
    the text, what must not straddle training and evaluation (such as a page), and the size of the cluster of
    duplicates that the document stands for. `max_bytes` stops with the document that reaches it.
    """

    language: str
    text: tuple[str, ...] = ()
    dataset: str | None = None
    config: str | None = None
    split: str = "train"
    documents: Documents = "auto"
    field: str = "text"
    split_key: str | None = None
    weight_field: str | None = None
    max_bytes: int | None = None
    clone_of: str | None = None

    def __post_init__(self) -> None:
        text = (self.text,) if isinstance(self.text, str) else tuple(self.text)
        object.__setattr__(self, "text", text)
        where = f"language {self.language!r}"
        if sum((bool(text), self.dataset is not None, self.clone_of is not None)) != 1:
            raise InputError("needs one of text, dataset and clone_of", where=where)
        if self.documents not in get_args(Documents):
            raise unknown_name("kind of document", str(self.documents), get_args(Documents), where=where)
        if self.max_bytes is not None and self.max_bytes <= 0:
            raise InputError(f"max_bytes must be positive, got {self.max_bytes!r}", where=where)


def iterate(source: LanguageText, *, cache: Path) -> Iterator[Document]:
    """The documents that hold any text, in the order of the files; memory holds one document.

    A dataset is read from a copy in `cache`, made the first time.
    """
    taken = 0
    for path in files(source, cache=cache):
        for document in documents_of(path, source):
            if not document.text or document.text.isspace():
                continue
            yield document
            if source.max_bytes is not None:
                taken += len(document.text.encode())
                if taken >= source.max_bytes:
                    return


def files(source: LanguageText, *, cache: Path) -> list[Path]:
    """The files that hold the text, each once: globs in the order given, the names of each sorted."""
    if source.clone_of is not None:
        raise InputError("is a clone: it has no text of its own", where=f"language {source.language!r}")
    if source.dataset is not None:
        return [_local_copy(source, cache)]
    found = dict.fromkeys(path for pattern in source.text for path in _matches(pattern, source.language))
    return list(found)


def _matches(pattern: str, language: str) -> list[Path]:
    exact = Path(pattern).expanduser()
    remote = is_url(pattern)
    # Not Path.glob: it takes no absolute pattern.
    here = [exact] if exact.exists() else sorted(map(Path, glob.glob(str(exact), recursive=True)))  # noqa: PTH207
    names = local_matches(pattern) if remote else here
    paths = [path for path in names if not path.is_dir()]
    if not paths:
        what = "is a folder" if names else "no such file"
        hint = "Name its files, also as s3://bucket/texts/et-*.txt." if remote else _near_misses(exact)
        raise InputError(f"{pattern}: {what}", where=f"language {language!r}", hint=hint)
    for path in paths:
        if suffix_of(path) is None:
            hint = f"Known kinds: {', '.join(SUFFIXES)}; text and JSONL also as .gz, .xz, .bz2 or .zst."
            raise InputError(f"{path} is of no known kind", where=f"language {language!r}", hint=hint)
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty", where=f"language {language!r}", hint="Leave it out, or fill it.")
    return paths


def _near_misses(path: Path) -> str:
    if path.is_dir():
        return f"Name its files: {path / '*.txt'}"
    if not path.parent.is_dir():
        return f"Folder {path.parent} does not exist either."
    near = suggest(path.name, (p.name for p in path.parent.iterdir() if p.is_file()))
    return f"Did you mean {' or '.join(near)}?" if near else f"No name in {path.parent} is like it."


# --- datasets ---------------------------------------------------------------------------------------------------


def _local_copy(source: LanguageText, cache: Path) -> Path:
    """A JSONL file with the fields that are needed: the corpus is read twice, a stream should not be."""
    made_of = {k: v for k, v in asdict(source).items() if k not in ("language", "text", "documents", "clone_of")}
    made_of["files"] = _folder_state(Path(str(source.dataset)))
    name = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{name}.jsonl"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with new_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for record in _stream(source):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def _folder_state(folder: Path) -> list[tuple[str, int, int]]:
    """What shows that a local folder of data changed; nothing for a name on the hub."""
    found = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    return [(str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in found]


def _stream(source: LanguageText) -> Iterator[dict[str, Any]]:
    datasets = library("datasets", "reading a Hugging Face dataset")
    where = f"dataset {source.dataset}"
    fields = [name for name in (source.field, source.split_key, source.weight_field) if name is not None]
    taken = 0
    for number, row in enumerate(_rows(datasets, source), 1):
        document = record_document(row, source, f"{where}, row {number}")
        yield {name: row[name] for name in fields}
        taken += len(document.text.encode())
        if source.max_bytes is not None and taken >= source.max_bytes:
            return
    if not taken:
        raise InputError("has no text", where=where)


def _rows(datasets: Any, source: LanguageText) -> Iterator[dict[str, Any]]:
    try:
        yield from datasets.load_dataset(source.dataset, source.config, split=source.split, streaming=True)
    except (ValueError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "Check its name, config and split, and the network."
        raise InputError(f"cannot be read: {first}", where=f"dataset {source.dataset}", hint=hint) from error
