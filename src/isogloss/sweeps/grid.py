"""From a study to its jobs: every mixture, size and seed of every block, each a run with its ends."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isogloss.errors import InputError, located, unknown_name
from isogloss.runs import mixtures
from isogloss.runs.architecture import Architecture
from isogloss.runs.ladder import rung
from isogloss.runs.spec import RunSpec
from isogloss.stores import beside
from isogloss.sweeps.study import Evaluation, Runs, Shape, Study
from isogloss.training.job import Job
from isogloss.training.recipe import Recipe, default_learning_rate

_RUN = "run:"


@dataclass(frozen=True)
class TextFacts:
    """What a corpus says of itself: per language the training tokens, their count as rehydrated, and a hash."""

    tokens: Mapping[str, int]
    rehydrated: Mapping[str, float]
    hashes: Mapping[str, str]
    tokenizer: str
    vocab_size: int


def jobs_of(study: Study, text: TextFacts, folder: Path) -> list[Job]:
    """Every run of a study once, in the order of its blocks; the ends of equal runs are joined.

    `folder` is the study's, from which checkpoints named by path are found. Raises InputError naming the
    block and the key.
    """
    jobs: dict[str, Job] = {}
    named: dict[str, list[Job]] = {}
    for i, block in enumerate(study.runs, start=1):
        label = f"study.toml, runs block {i}" + (f" ({block.name})" if block.name else "")
        with located(label):
            found = list(_jobs_of_block(block, study, text, folder, named))
        if not found:
            raise InputError("gives no runs", where=label, hint="See its languages, K and pairs.")
        for job in found:
            same = jobs.get(job.run_id)
            jobs[job.run_id] = job.with_ends((*same.ends, *job.ends)) if same else job
        if block.name:
            named[block.name] = [jobs[job.run_id] for job in found]
    return list(jobs.values())


def _jobs_of_block(
    block: Runs, study: Study, text: TextFacts, folder: Path, named: Mapping[str, list[Job]]
) -> Iterator[Job]:
    for size, shares in itertools.product(block.sizes, mixtures_of(block, study, text)):
        shape = _shape(size, text.vocab_size, study.training.tied)
        for seed in block.seeds:
            yield _job(block, study, text, shape, shares, seed, *_init(block, shape, seed, folder, named))


def _job(
    block: Runs,
    study: Study,
    text: TextFacts,
    shape: Architecture,
    shares: Mapping[str, float],
    seed: int,
    init: str | None,
    init_name: str | None,
) -> Job:
    options = study.training
    recipe = Recipe(
        learning_rate=block.learning_rate or options.learning_rate or default_learning_rate(shape),
        batch_tokens=options.batch_tokens,
        context_length=options.context_length,
        warmup=options.warmup,
        decay=options.decay,
        weight_decay=options.weight_decay,
        clip=options.clip,
    )
    ends = tuple(sorted({recipe.steps(t) * recipe.batch_tokens for t in block.tokens}))
    spec = RunSpec(
        params_total=shape.params_total,
        params_non_embedding=shape.params_non_embedding,
        tokens=ends[-1],
        shares=shares,
        unique_tokens=_unique(block, shares, text, options.context_length),
        batch_tokens=recipe.batch_tokens,
        context_length=recipe.context_length,
        vocab_size=shape.vocab_size,
        tokenizer=text.tokenizer,
        seed=seed,
        schedule=recipe.schedule,
        init=init_name,
        flops_per_token=shape.flops_per_token(recipe.context_length),
        shape=shape.name,
        learning_rate=recipe.learning_rate,
        corpus=_joined(text.hashes[code] for code in sorted(shares)),
    )
    return Job(spec, shape, recipe, ends, init)


def _shape(size: str | Shape, vocab_size: int, tied: bool) -> Architecture:
    if isinstance(size, str):
        with located("sizes"):
            return rung(size, vocab_size, tied=tied)
    if size.d_head % 2:
        raise InputError(f"d_head {size.d_head} is odd: rotary positions need halves", where="sizes")
    return Architecture(**size.model_dump(), vocab_size=vocab_size, tied=tied)


def _unique(block: Runs, shares: Mapping[str, float], text: TextFacts, context: int) -> dict[str, float]:
    """Distinct tokens that the run has of each language: what there is, in whole windows, or less if bounded."""
    out = {}
    for code in shares:
        bound = block.unique.get(code) if isinstance(block.unique, dict) else block.unique
        there = (text.tokens[code] - 1) // context * context
        out[code] = float(there if bound is None else min(there, bound // context * context))
        if not out[code]:
            raise InputError(f"{bound} tokens are less than one window of {context}", where=f"unique.{code}")
    return out


def _init(
    block: Runs, shape: Architecture, seed: int, folder: Path, named: Mapping[str, list[Job]]
) -> tuple[str | None, str | None]:
    """Where the first weights lie, and their name in the run's identity."""
    if block.init is None:
        return None, None
    if block.init in named:
        start = _start(named[block.init], shape, seed, block.init)
        return f"{_RUN}{start.run_id}@{start.ends[-1]}", f"{start.run_id}@{start.ends[-1]}"
    path = beside(folder, block.init)
    if not path.is_dir():
        see = "Name an earlier block, or a folder with a Hugging Face Llama model."
        raise unknown_name("start", block.init, named, where="init", see=see)
    from isogloss.training.weights import read_shape, weights_hash

    theirs = read_shape(path)
    if theirs.vocab_size != shape.vocab_size:
        what = f"{path} has a vocabulary of {theirs.vocab_size}, the study's tokenizer one of {shape.vocab_size}"
        raise InputError(what, where="init", hint="Set [tokenizer] kind to the checkpoint's own tokenizer.json.")
    if theirs.name != shape.name:
        raise InputError(f"{path} has the shape {theirs.name}, the run {shape.name}", where="init, sizes")
    return str(path.resolve()), f"hf:{weights_hash(path)}"


def _start(candidates: Sequence[Job], shape: Architecture, seed: int, name: str) -> Job:
    """The one run of a block that a run of this shape and seed starts from: of its own seed where there is."""
    fitting = [j for j in candidates if j.architecture == shape]
    fitting = [j for j in fitting if j.seed == seed] or fitting
    if len(fitting) != 1:
        what = f"block {name!r} has {len(fitting)} runs of shape {shape.name} to start from, not one"
        hint = "Name a block with one mixture and the same sizes, and the same seeds or one."
        raise InputError(what, where="init", hint=hint)
    return fitting[0]


def init_run(job: Job) -> tuple[str, int] | None:
    """The run, and the end in tokens, whose model a job starts from, if it is one of the study's."""
    if job.init is None or not job.init.startswith(_RUN):
        return None
    run_id, end = job.init.removeprefix(_RUN).split("@")
    return run_id, int(end)


def evaluation_steps(job: Job, evaluation: Evaluation) -> frozenset[int]:
    """Steps of the trunk at which it is measured: evenly in log tokens, the same whatever the run's length."""
    if not evaluation.per_doubling:
        return frozenset()
    last = max(job.recipe.branch(end) for end in job.end_steps)
    steps, i = set(), 0
    while (step := job.recipe.steps(evaluation.first * 2 ** (i / evaluation.per_doubling))) <= last:
        steps.add(step)
        i += 1
    return frozenset(steps)


def _joined(hashes: Iterator[str]) -> str:
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]


# --- mixtures -------------------------------------------------------------------------------------------


def mixtures_of(block: Runs, study: Study, text: TextFacts) -> list[dict[str, float]]:
    """The shares of each mixture of a block."""
    codes = block.languages or study.names
    if block.mixture == "monolingual":
        return [{code: 1.0} for code in codes]
    if block.mixture == "pairs":
        return [{a: 0.5, b: 0.5} for a, b in _pairs(block, codes)]
    if block.mixture == "even":
        return [{c: 1 / len(chosen) for c in chosen} for chosen in _subsets(block, codes)]
    if block.mixture == "shares":
        if not block.shares:
            raise InputError('mixture "shares" needs them', where="shares", hint="shares = {est = 0.7, fin = 0.3}")
        return [dict(block.shares)]
    if block.mixture == "dirichlet":
        drawn = np.random.default_rng(block.draw).dirichlet([block.concentration] * len(codes), block.count or 8)
        return [_rounded(codes, row) for row in drawn]
    U = np.array([float(text.tokens[code]) for code in codes])
    if block.mixture == "rehydrated":
        return [_rounded(codes, mixtures.proportional(np.array([text.rehydrated[c] for c in codes])))]
    if block.mixture == "unimax":
        if len(block.tokens) != 1:
            raise InputError("UniMax shares depend on the budget: one block has one", where="tokens")
        return [_rounded(codes, mixtures.unimax(U, float(sum(block.tokens)), block.max_epochs))]
    return [_rounded(codes, mixtures.temperature(U, 1.0 if block.mixture == "proportional" else block.T))]


def _pairs(block: Runs, codes: Sequence[str]) -> list[tuple[str, str]]:
    pairs = block.pairs or tuple(itertools.combinations(codes, 2))
    targets = block.targets
    return [(a, b) for a, b in pairs if a != b and (targets is None or a in targets or b in targets)]


def _subsets(block: Runs, codes: Sequence[str]) -> list[tuple[str, ...]]:
    """For each K the first K languages as they are listed, and further draws where `count` asks for more."""
    rng = np.random.default_rng(block.draw)
    out = []
    for K in block.K or (len(codes),):
        if not 1 <= K <= len(codes):
            raise InputError(f"{K} of {len(codes)} languages", where="K", hint="List more languages.")
        chosen: dict[tuple[str, ...], None] = {tuple(codes[:K]): None}
        for _ in range((block.count or 1) * 20):
            if len(chosen) >= (block.count or 1):
                break
            chosen[tuple(codes[int(i)] for i in sorted(rng.choice(len(codes), K, replace=False)))] = None
        out += chosen
    return out


def _rounded(codes: Sequence[str], shares: np.ndarray) -> dict[str, float]:
    """To six digits and a sum of one, so that a share has one value on every machine."""
    rounded = np.round(np.asarray(shares, float), 6)
    rounded[np.argmax(rounded)] += 1 - rounded.sum()
    return {c: round(float(s), 6) for c, s in zip(codes, rounded, strict=True) if s > 0}
