"""A study made ready: its text tokenised, its runs written out. What the verbs start from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.errors import InputError
from isogloss.runs.spec import RunSpec
from isogloss.stores import beside, named_beside
from isogloss.sweeps.grid import TextFacts, init_run, jobs_of
from isogloss.sweeps.layout import corpus_folder, run_folder, state_of
from isogloss.sweeps.machine import cores
from isogloss.sweeps.study import PLACEHOLDER, LanguageText, Study, read_study
from isogloss.training.job import Job
from isogloss.training.rows import FILE as ROWS
from isogloss.training.rows import Rows

if TYPE_CHECKING:
    from isogloss.training.corpus import Corpus


@dataclass(frozen=True)
class Prepared:
    """`orphans` are runs in the folder that were begun and that study.toml does not ask for any more."""

    folder: Path
    study: Study
    corpus: Corpus
    jobs: tuple[Job, ...]
    orphans: tuple[Job, ...]

    @property
    def to_do(self) -> list[Job]:
        return [job for job in self.jobs if state_of(self.folder, job) not in ("finished", "diverged")]


def prepare(folder: Path, *, progress: Callable[[str, float], None] | None = None) -> Prepared:
    """Read study.toml, tokenise what text is not tokenised yet, and lay out the runs. Trains nothing."""
    from isogloss.training.corpus import Holdout, TokenizerSpec
    from isogloss.training.corpus import prepare as prepare_corpus

    study = read_study(folder)
    kind = study.tokenizer.kind
    if kind not in ("bytes", "sentencepiece"):
        kind = str(beside(folder, kind))
    corpus = prepare_corpus(
        [_text(code, text, folder) for code, text in study.languages.items()],
        TokenizerSpec(**{**study.tokenizer.model_dump(), "kind": kind}),
        corpus_folder(folder),
        holdout=Holdout(bytes=study.evaluation.bytes, fraction=study.evaluation.fraction),
        workers=study.machine.workers or cores(),
        progress=progress,
    )
    jobs = jobs_of(study, facts_of(corpus), folder)
    _check_tokenizers(jobs, corpus)
    return Prepared(folder, study, corpus, tuple(jobs), tuple(_orphans(folder, jobs)))


def facts_of(corpus: Corpus) -> TextFacts:
    texts = corpus.languages
    return TextFacts(
        tokens={code: text.tokens for code, text in texts.items()},
        rehydrated={code: text.rehydrated_tokens for code, text in texts.items()},
        hashes={code: text.hash for code, text in texts.items()},
        tokenizer=corpus.tokenizer.hash,
        vocab_size=corpus.vocab_size,
    )


def _check_tokenizers(jobs: Sequence[Job], corpus: Corpus) -> None:
    """InputError if a run starts from a model whose own tokenizer.json gives other ids than the study's."""
    from isogloss.training.tokenizer import read_hf

    starts = {Path(job.init) for job in jobs if job.init and init_run(job) is None}
    starts = {start for start in starts if (start / "tokenizer.json").exists()}
    if not starts:
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus.tokenizer.to_hf(Path(folder))
        ours = read_hf(Path(folder) / "tokenizer.json").vocabulary
    for start in sorted(starts):
        if read_hf(start / "tokenizer.json").vocabulary != ours:
            hint = f"Set [tokenizer] kind to {start / 'tokenizer.json'}."
            raise InputError("its tokenizer is not the study's: the ids mean other text", where=str(start), hint=hint)


def refuse_orphans(prepared: Prepared) -> None:
    """InputError if finished runs no longer belong: most often study.toml was edited in one place too many."""
    finished = [job for job in prepared.orphans if Rows.read(run_folder(prepared.folder, job.run_id)).ends]
    if not finished:
        return
    what = f"{len(finished)} finished runs no longer belong to it"
    changed = what_changed(finished, prepared.jobs)
    if changed:
        what += f": {', '.join(changed)} changed"
    hint = "They are kept in runs/. Undo the change, or go on without them in the table: --allow-orphans."
    raise InputError(what, where=str(prepared.folder / "study.toml"), hint=hint)


def what_changed(orphans: Sequence[Job], jobs: Sequence[Job]) -> list[str]:
    """The fields in which all of some runs differ from the planned run that is nearest to each."""
    changed: set[str] | None = None
    for orphan in orphans:
        differing = min((_differing(orphan.spec, job.spec) for job in jobs), key=len, default=set())
        changed = differing if changed is None else changed & differing
    return sorted(changed or ())


def _differing(a: RunSpec, b: RunSpec) -> set[str]:
    return {f.name for f in fields(RunSpec) if f.name != "tokens" and getattr(a, f.name) != getattr(b, f.name)}


def _orphans(folder: Path, jobs: Sequence[Job]) -> list[Job]:
    known = {job.run_id for job in jobs}
    found = []
    for path in sorted((folder / "runs").glob("*/job.json")):
        if path.parent.name in known or not (path.parent / ROWS).exists():
            continue
        try:
            found.append(Job.from_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError):
            continue
    return found


def _text(code: str, text: LanguageText, folder: Path):
    """The language's text as the corpus takes it: paths in study.toml count from the study's folder."""
    from isogloss.training.text import LanguageText as Source

    if PLACEHOLDER in text.text:
        where = f"{folder / 'study.toml'}, languages.{code}.text"
        raise InputError(f"still says {PLACEHOLDER!r}", where=where, hint="Write where its text lies.")
    values = text.model_dump()
    values["text"] = tuple(named_beside(folder, pattern) for pattern in text.text)
    if text.dataset and text.dataset.startswith("."):
        values["dataset"] = str(folder / text.dataset)
    return Source(language=code, **values)
