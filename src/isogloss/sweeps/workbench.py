"""What a worker trains with: a study's text and settings on one device, from a job to a finished run.

Imports torch, and so is itself imported by workers alone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.evaluation.bits_per_byte import HeldOut, Score, evaluate
from isogloss.files import write_text
from isogloss.sweeps.calibrate import stack_size
from isogloss.sweeps.claims import Claim
from isogloss.sweeps.grid import evaluation_steps, init_run
from isogloss.sweeps.layout import FAILED, PROGRESS, end_folder, read_json, run_folder, write_json
from isogloss.sweeps.study import Evaluation, Machine
from isogloss.training.corpus import Corpus
from isogloss.training.device import Device
from isogloss.training.job import Job
from isogloss.training.loop import Evaluate, Member, Progress, Settings, train
from isogloss.training.model import Decoder
from isogloss.training.sampling import Sampler, Stream
from isogloss.training.world import World

_CHECK_SECONDS = 1.0


@dataclass
class Workbench:
    """What a worker keeps between runs: the text, the device, and the held-out text on it."""

    folder: Path
    evaluation: Evaluation
    machine: Machine
    corpus: Corpus
    device: Device
    world: World
    peers: int = 1
    report: Callable[[str, Progress], None] | None = None

    def stack_of(self, job: Job) -> int:
        return 1 if self.world.size > 1 else stack_size(job, self.machine, self.device, self.folder)

    def train(self, jobs: Sequence[Job], claims: Sequence[Claim]) -> None:
        members = [self.member(job) for job in jobs]
        started = time.monotonic()
        for job in jobs if self.world.is_first else ():
            folder = run_folder(self.folder, job.run_id)
            (folder / FAILED).unlink(missing_ok=True)
            _remove_unfinished(folder)
            write_text(folder / "job.json", job.to_json())
        seconds_before = read_json(members[0].folder / PROGRESS).get("seconds", 0.0)

        def tell(progress: Progress) -> None:
            if not self.world.is_first:
                return
            spent = seconds_before + time.monotonic() - started
            record = {**asdict(progress), "seconds": spent, "stack": len(jobs), "precision": self.device.precision}
            for member in members:
                write_json(member.folder / PROGRESS, record)
            if self.report:
                self.report(", ".join(job.run_id for job in jobs), progress)

        train(members, self.evaluator(jobs, claims), self.settings(jobs[0], claims, tell))

    def member(self, job: Job) -> Member:
        folder = run_folder(self.folder, job.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        start = init_run(job)
        init = end_folder(self.folder, *start) if start else job.init
        return Member(job, folder, self.sampler(job), Path(init) if init else None)

    def sampler(self, job: Job) -> Sampler:
        streams = {
            code: Stream(text.train, text.id_offset)
            for code, text in self.corpus.languages.items()
            if code in job.spec.shares
        }
        return Sampler(
            streams,
            job.spec.shares,
            context_length=job.recipe.context_length,
            seed=job.seed,
            unique_tokens=job.spec.unique_tokens,
        )

    def settings(self, job: Job, claims: Sequence[Claim], tell: Callable[[Progress], None]) -> Settings:
        return Settings(
            device=self.device,
            evaluate_at=evaluation_steps(job, self.evaluation),
            checkpoint_seconds=self.machine.checkpoint_seconds,
            keep_trunk=self.machine.keep_trunk,
            compile=self.machine.compile,
            world=self.world,
            bos_id=self.corpus.tokenizer.bos_id,
            alive=_watch(claims),
            report=tell,
        )

    def evaluator(self, jobs: Sequence[Job], claims: Sequence[Claim]) -> Evaluate:
        held_out = held_out_of(self.corpus)
        wanted = [self.evaluation.of(job.spec.shares, held_out) for job in jobs]
        held_out = {code: text for code, text in held_out.items() if any(code in codes for codes in wanted)}
        context_length = jobs[0].recipe.context_length

        def measure(model: Decoder) -> list[list[dict[str, Any]]]:
            scores = evaluate(model, held_out, context_length=context_length, device=self.device)
            # These rows are written next: not over those of another, who took the run while this worker slept.
            _check(claims)
            return [
                [_eval_row(code, found[code]) for code in codes] for found, codes in zip(scores, wanted, strict=True)
            ]

        return measure


def _remove_unfinished(folder: Path) -> None:
    """What a worker that was killed was writing: nobody else writes in a run's folder while it is claimed."""
    for path in (*folder.glob(".trunk-*"), *folder.glob(".branch-*"), *folder.glob("ends/.*")):
        shutil.rmtree(path, ignore_errors=True)


def _eval_row(language: str, score: Score) -> dict[str, Any]:
    # `tokens` of a row is D, the training tokens, which the loop adds: those of the text that was scored go
    # by another name.
    row = asdict(score)
    return {"language": language, "eval_tokens": row.pop("tokens"), **row}


def held_out_of(corpus: Corpus) -> dict[str, HeldOut]:
    out = {}
    for code, text in corpus.languages.items():
        # One more than counted: an id that training never saw is unlikely, not impossible.
        counts = text.unigram.astype(np.float64) + 1
        nats = -np.log(counts / counts.sum())
        out[code] = HeldOut(text.eval_tokens, text.eval_offsets, text.eval_bytes, nats, text.id_offset)
    return out


def _watch(claims: Sequence[Claim]) -> Callable[[], None]:
    """Looks at the claims about once a second, and not at every step."""
    looked = 0.0

    def alive() -> None:
        nonlocal looked
        # By the clock on the wall, which goes on while a machine sleeps.
        if abs(time.time() - looked) > _CHECK_SECONDS:
            _check(claims)
            looked = time.time()

    return alive


def _check(claims: Sequence[Claim]) -> None:
    for claim in claims:
        claim.check()
