"""study measure: a study's finished models on further text, such as another domain, or languages that it lacks."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.errors import InputError, unknown_name
from isogloss.files import new_file
from isogloss.languages import resolve
from isogloss.stores import local
from isogloss.sweeps.collect import exposure_rows, run_row
from isogloss.sweeps.layout import (
    corpus_folder,
    end_folder,
    read_jobs,
    read_json,
    read_settings,
    run_folder,
    write_json,
)
from isogloss.sweeps.new import stem_of
from isogloss.training.job import Job

if TYPE_CHECKING:
    import polars as pl

    from isogloss.evaluation.bits_per_byte import HeldOut
    from isogloss.training.corpus import Corpus

FOLDER = "measured"
_MIN_BYTES = 1_000


@dataclass(frozen=True)
class Measured:
    """`table` is the flat run table that was written: one row for each finished model and language."""

    table: Path
    models: int
    new: int
    languages: tuple[str, ...]
    notes: tuple[str, ...] = ()


def measure(
    study: Path,
    texts: Path,
    *,
    name: str | None = None,
    bytes: int | None = None,
    runs: Sequence[str] = (),
    longest: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Measured:
    """Measure finished models on `texts`, a folder with a file (or folder) of text per language, named by its code.

    `name` is what the text is called in the column eval_set; the folder's own name unless said. Of each language so
    many `bytes` at most are read, in whole documents (those of the smallest hash; one that is longer alone is cut): as
    many as the study holds out unless said. `runs` are run ids or their beginnings, `longest` takes each run's longest
    budget alone. What was measured on the same text is not measured again; an interrupted call goes on where it was.

    Raises InputError where there are no finished models or no text of a language.
    """
    jobs = _chosen(read_jobs(study), runs)
    ends = [(job, end) for job in jobs for end in _ends(study, job, longest)]
    if not ends:
        raise InputError("has no finished models to measure", where=str(study), hint="isogloss study run trains them.")
    from isogloss.training.corpus import Corpus
    from isogloss.training.device import choose_device, settle

    evaluation, machine = read_settings(study)
    settle(machine.threads)
    device = choose_device(machine.device, machine.precision)
    corpus = Corpus.open(corpus_folder(study))
    texts = Path(local(texts))
    held_out, notes = further_text(texts, corpus, bytes or evaluation.bytes)
    name = name or texts.resolve().name
    text = _hash_of(held_out)
    new = 0
    for number, (job, tokens) in enumerate(ends):
        progress(number, len(ends))
        path = run_folder(study, job.run_id) / FOLDER / f"{name}.json"
        known = read_json(path)
        if known.get("text") != text:
            known = {"text": text, "ends": {}}
        if str(tokens) not in known["ends"]:
            known["ends"][str(tokens)] = _scores(job, end_folder(study, job.run_id, tokens), held_out, device)
            path.parent.mkdir(exist_ok=True)
            write_json(path, known)
            new += 1
    progress(len(ends), len(ends))
    table = study / FOLDER / f"{name}.parquet"
    _write(study, ends, name, table)
    return Measured(table, len(ends), new, tuple(held_out), tuple(notes))


def _chosen(jobs: Sequence[Job], runs: Sequence[str]) -> list[Job]:
    for run in runs:
        if not any(job.run_id.startswith(run) for job in jobs):
            raise unknown_name("run", run, [job.run_id for job in jobs], see="isogloss study status lists them.")
    return [job for job in jobs if not runs or job.run_id.startswith(tuple(runs))]


def _ends(study: Path, job: Job, longest: bool) -> list[int]:
    there = [tokens for tokens in job.ends if end_folder(study, job.run_id, tokens).is_dir()]
    return there[-1:] if longest else there


# --- the text -----------------------------------------------------------------------------------------------


def further_text(folder: Path, corpus: Corpus, limit: int) -> tuple[dict[str, HeldOut], list[str]]:
    """By language, text as the study's models read it; and what was left out, and why."""
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), hint="It holds one file per language, as et.txt.")
    out: dict[str, HeldOut] = {}
    notes: list[str] = []
    for path in sorted(folder.iterdir()):
        stem = stem_of(path)
        if stem is None:
            continue
        language = _language(stem)
        if language in out:
            notes.append(f"{path.name} is left out: there is text of {language} already.")
            continue
        documents = _documents(path, language, limit)
        size = sum(map(len, documents))
        if size < _MIN_BYTES:
            notes.append(f"{path.name} is left out: {size:,} bytes of text, {_MIN_BYTES:,} are needed.")
            continue
        out[language] = _held_out(documents, language, corpus)
    if not out:
        hint = "It holds one file (.txt, .jsonl or .parquet) or folder per language, named by its code, as et.txt."
        raise InputError("holds no text of any language", where=str(folder), hint=hint)
    return out, notes


def _language(stem: str) -> str:
    """Names that are no languages stay as they are, as in a study."""
    try:
        return resolve(stem)
    except InputError:
        return stem


def _documents(path: Path, language: str, limit: int) -> list[bytes]:
    """Documents of the smallest hash, up to `limit` bytes: the same whatever their order. A longer document is cut."""
    from isogloss.training.holdout import hash_of
    from isogloss.training.text import LanguageText, iterate

    source = LanguageText(language, (str(path / "*") if path.is_dir() else str(path),))
    kept: list[tuple[int, bytes]] = []
    size = 0
    for document in iterate(source, cache=path.parent):
        data = document.text.encode()[:limit].decode(errors="ignore").encode()
        heapq.heappush(kept, (-hash_of(data), data))
        size += len(data)
        while size > limit:
            size -= len(heapq.heappop(kept)[1])
    return list(dict.fromkeys(data for _, data in sorted(kept, reverse=True)))


def _held_out(documents: Sequence[bytes], language: str, corpus: Corpus) -> HeldOut:
    import numpy as np

    from isogloss.evaluation.bits_per_byte import HeldOut

    ids, lengths = corpus.tokenizer.pack([data.decode() for data in documents])
    known = corpus.languages.get(language)
    offset = known.id_offset if known else 0
    # Without the text's own frequencies: unigram-normalised losses are not kept.
    return HeldOut(
        ids,
        np.concatenate(([0], np.cumsum(lengths))),
        np.array([len(data) for data in documents]),
        np.zeros(corpus.tokenizer.vocab_size),
        offset,
    )


def _hash_of(held_out: Mapping[str, HeldOut]) -> str:
    digest = hashlib.sha256()
    for language, text in held_out.items():
        digest.update(f"{language} {text.id_offset} ".encode() + text.ids.tobytes() + text.starts.tobytes())
    return digest.hexdigest()[:16]


# --- the models ---------------------------------------------------------------------------------------------


def _scores(job: Job, folder: Path, held_out: Mapping[str, HeldOut], device: Any) -> list[dict[str, Any]]:
    from isogloss.evaluation.bits_per_byte import evaluate
    from isogloss.training.model import Decoder
    from isogloss.training.weights import read_constants, start_from

    model = Decoder(job.architecture, [job.seed], read_constants(folder))
    start_from(model, 0, folder)
    model = model.to(device.name)
    model.explicit_attention = device.explicit_attention
    (scores,) = evaluate(model, held_out, context_length=job.recipe.context_length, device=device)
    kept = ("bits_per_byte", "stderr", "nats_per_token", "documents", "bytes")
    return [{"language": code, **{k: getattr(score, k) for k in kept}} for code, score in scores.items()]


# --- the table ----------------------------------------------------------------------------------------------


def _write(study: Path, ends: Sequence[tuple[Job, int]], name: str, path: Path) -> None:
    import polars as pl

    rows = [row for job in {job.run_id: job for job, _ in ends}.values() for row in _rows(study, job, name)]
    path.parent.mkdir(exist_ok=True)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    with new_file(path) as temporary:
        _ordered(frame).write_parquet(temporary)


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """A language that a run does not name has no share in it."""
    import polars as pl

    shares = sorted(c for c in frame.columns if c.startswith("share:"))
    uniques = sorted(c for c in frame.columns if c.startswith("unique:"))
    others = [c for c in frame.columns if c not in (*shares, *uniques)]
    return frame.select(*others, pl.col(shares).fill_null(0.0), *uniques)


def _rows(study: Path, job: Job, name: str) -> Iterator[dict[str, Any]]:
    """All that was ever measured of the run on this text, also in earlier calls for other budgets."""
    known = read_json(run_folder(study, job.run_id) / FOLDER / f"{name}.json")
    run = {k: v for k, v in run_row(study, job).items() if k not in ("status", "notes", "source", "seconds", "stack")}
    mixture: dict[str, Any] = {}
    for row in exposure_rows(study, job):
        mixture[f"share:{row['language']}"] = row["share"]
        mixture[f"unique:{row['language']}"] = row["unique_tokens"]
    for tokens, scores in sorted(known["ends"].items(), key=lambda item: int(item[0])):
        for score in scores:
            yield {
                **run,
                "tokens": int(tokens),
                "lr_phase": "final",
                "eval_set": name,
                "target": score["language"],
                "loss": score["bits_per_byte"],
                "unit": "bits/byte",
                "stderr": score["stderr"],
                "eval_documents": score["documents"],
                "eval_bytes": score["bytes"],
                **mixture,
            }
