"""study new: a commented study.toml to start from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from isogloss.errors import InputError
from isogloss.files import write_text
from isogloss.languages import resolve
from isogloss.stores import local, url_of
from isogloss.sweeps.study import FILE, PLACEHOLDER

_SUFFIXES = tuple(
    f".{kind}{packed}" for kind in ("txt", "jsonl", "parquet") for packed in ("", ".gz", ".xz", ".bz2", ".zst")
)


def new_study(folder: Path, languages: Sequence[str], text: Path | None) -> Path:
    """Write `folder`/study.toml. `text` is a folder with a file or a subfolder of text per language, found by
    its code or name; a language that it has nothing of is left for the user to fill in.

    Raises InputError if there is a study already, or a language is unknown.
    """
    path = folder / FILE
    if path.exists():
        raise InputError("there is a study here already", where=str(path), hint="Edit it, or name another folder.")
    if not languages:
        raise InputError("no languages", where="--languages", hint="For example --languages est,fin,eng.")
    text = local(text)
    if text is not None and not text.is_dir():
        raise InputError("no such folder", where=f"--text {text}", hint="It holds one file per language, as et.txt.")
    codes = list(dict.fromkeys(resolve(name) for name in languages))
    found = {code: _find(code, name, text) for code, name in zip(codes, languages, strict=False)}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, _toml(folder, codes, found))
    return path


def _find(code: str, name: str, text: Path | None) -> Path | None:
    """The file or folder whose name means the language."""
    if text is None:
        return None
    for path in sorted(text.iterdir()):
        stem = stem_of(path)
        if stem is not None and _means(stem, code, name):
            return path / "*" if path.is_dir() else path
    return None


def stem_of(path: Path) -> str | None:
    """The name of a folder or of a file with text, without its suffixes; None for other files."""
    if path.is_dir():
        return path.name
    suffix = next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if path.name.endswith(s)), None)
    return path.name.removesuffix(suffix) if suffix else None


def _means(stem: str, code: str, name: str) -> bool:
    if stem.casefold() in (code.casefold(), name.casefold()):
        return True
    try:
        return resolve(stem) == code
    except InputError:
        return False


def _toml(folder: Path, codes: Sequence[str], found: dict[str, Path | None]) -> str:
    texts = "\n".join(_language(code, found.get(code), folder) for code in codes)
    pairs = _PAIRS if len(codes) > 1 else ""
    return _TEMPLATE.format(title=folder.resolve().name, texts=texts, pairs=pairs, first=codes[0])


def _language(code: str, path: Path | None, folder: Path) -> str:
    if path is None:
        return (
            f'[languages.{code}]\ntext = "{PLACEHOLDER}"   # .txt, .jsonl or .parquet, also .gz, .xz; globs; a list\n'
        )
    # From a remote study to a text of this machine, and the other way, no relative path leads.
    there = url_of(path)
    if there is None:
        whole = path.resolve()
        there = (whole if url_of(folder) else Path(os.path.relpath(whole, folder.resolve()))).as_posix()
    return f'[languages.{code}]\ntext = "{there}"\n'


_TEMPLATE = """\
# A study: small models of several languages, trained alike, and the table of their losses.
#   isogloss study dry-run .   every run with its cost, and nothing trained
#   isogloss study run .       trains what is not trained yet; stop and resume as you like
#   isogloss fit . --law ...   a law from the table
# What a run is (text, size, mixture, seed, budget) names it: more seeds, sizes or budgets added below train only
# what is new. Every key: docs/study-file.md
title = "{title}"

# One table per language. `text` counts from this file's folder. Or stream a Hugging Face dataset:
#   dataset = "HuggingFaceFW/fineweb-2", config = "{first}", max_bytes = "100 MB"
# Parallel pages? split_key names the field that holds a page's id, so that no page is trained on in one language
# and tested on in another. clone_of = "{first}" makes a copy under token ids of its own, the control experiment.
{texts}
[tokenizer]
kind = "bytes"             # no tokenizer at all; or "sentencepiece", or the path of a tokenizer.json
# vocab_size = 8192        # of a SentencePiece unigram model trained here, best from about 3M parameters on
# temperature = 3.33       # how evenly languages share its training text: 1 as the text is, 100 evenly

[training]
context_length = 128
batch_tokens = 2048        # 1024 learns more from budgets below about 2M tokens
decay = 0.2                # the last part of the way to each budget: the rate falls linearly to zero
# learning_rate = 3e-3     # by default it goes by the model's size

[evaluation]
bytes = "32 KB"            # of held-out text per language: whole documents, never trained on
per_doubling = 1           # measurements of the trunk at each doubling of its tokens, from `first` on

[machine]                  # nothing here changes what a run is
device = "auto"            # the GPU where there is one
# workers = 2              # processes; by default one a core, or one a GPU
# price_per_hour = 2.0     # for the dry run's bill

# Each block is a grid: every mixture, at every size, for every seed, to every budget. Budgets of one run share a
# trunk. Sizes are rungs ("0.1M" to "50M" without embeddings, "atlas-0" to "atlas-52") or shapes of your own.
[[runs]]
mixture = "monolingual"
sizes = ["0.1M", "0.33M", "1M"]
tokens = ["0.5M", "1M", "2M"]
seeds = [0]
{pairs}"""

_PAIRS = """
[[runs]]
mixture = "pairs"          # 50/50; targets = ["..."] or pairs = [["...", "..."]] for some of them
sizes = ["0.33M"]
tokens = ["1M", "2M"]
seeds = [0]

[[runs]]
mixture = "even"           # K languages in equal shares; K = [2, 3] for the first 2 and 3 of them
sizes = ["0.1M", "0.33M", "1M"]
tokens = ["1M", "2M"]
seeds = [0]
# More mixtures: shares = {...} with mixture = "shares"; "proportional", "temperature" (T), "unimax" (max_epochs),
# "rehydrated", "dirichlet" (count, concentration). unique = "100K" bounds the text; init = "name" starts from the
# finished models of the block called so, or from a Hugging Face Llama folder.
"""
