"""The dry run: every run with its size, cost and time on this machine, and nothing trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isogloss.errors import InputError
from isogloss.sweeps.calibrate import stack_size, tokens_per_second
from isogloss.sweeps.grid import evaluation_steps
from isogloss.sweeps.layout import state_of
from isogloss.sweeps.machine import gpu_count, workers_of
from isogloss.sweeps.prepared import Prepared
from isogloss.training.job import Job

# A forward pass costs a third of forward and backward.
_EVALUATION_SPEED = 3.0
_WEIGHT_BYTES, _CHECKPOINT_BYTES = 4, 12


@dataclass(frozen=True)
class Rehearsed:
    """A run before it is trained. `tokens` are what it computes on, over trunk and branches; `seconds` of one
    worker; `epochs` at its longest end; `disk_bytes` what it leaves."""

    run_id: str
    state: str
    shape: str
    params_total: int
    params_non_embedding: int
    shares: dict[str, float]
    seed: int
    init: str | None
    ends: tuple[int, ...]
    epochs: dict[str, float]
    tokens: int
    flops: float
    stack: int
    tokens_per_second: float
    seconds: float
    disk_bytes: int


@dataclass(frozen=True)
class Rehearsal:
    """`seconds` is of all workers together, for the runs that are not done yet."""

    runs: tuple[Rehearsed, ...]
    workers: int
    device: str
    precision: str
    seconds: float
    flops: float
    disk_bytes: int
    cost: float | None
    orphans: int

    def to_dict(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)


def rehearse(prepared: Prepared) -> Rehearsal:
    """Measures the speed of each shape for some seconds; the rest is arithmetic."""
    from isogloss.training.device import choose_device, settle

    machine = prepared.study.machine
    settle(machine.threads)
    device = choose_device(machine.device, machine.precision)
    runs = tuple(_rehearsed(job, prepared, device) for job in prepared.jobs)
    left = [run for run in runs if run.state not in ("finished", "diverged")]
    workers = workers_of(machine, gpu_count() if device.is_gpu else 0)
    seconds = max(sum(r.seconds for r in left) / workers, max((r.seconds for r in left), default=0.0))
    price = machine.price_per_hour
    return Rehearsal(
        runs=runs,
        workers=workers,
        device=device.name,
        precision=device.precision,
        seconds=seconds,
        flops=sum(r.flops for r in left),
        disk_bytes=sum(r.disk_bytes for r in runs),
        cost=None if price is None else price * seconds / 3600,
        orphans=len(prepared.orphans),
    )


def _rehearsed(job: Job, prepared: Prepared, device: Any) -> Rehearsed:
    folder, machine = prepared.folder, prepared.study.machine
    stack = stack_size(job, machine, device, folder)
    speed = tokens_per_second(job, device, folder, stack=stack)
    if not speed:
        hint = "Take a smaller size, or the executor torchrun over several GPUs."
        raise InputError(f"{job.architecture.name} does not fit into the memory of {device.name}", hint=hint)
    evaluations = len(evaluation_steps(job, prepared.study.evaluation)) + len(job.end_steps)
    texts = prepared.corpus.languages
    measured_on = prepared.study.evaluation.of(job.spec.shares, texts)
    measured = evaluations * sum(len(texts[code].eval_tokens) for code in measured_on)
    params = job.architecture.params_total
    longest = job.ends[-1]
    return Rehearsed(
        run_id=job.run_id,
        state=state_of(folder, job),
        shape=job.architecture.name,
        params_total=params,
        params_non_embedding=job.architecture.params_non_embedding,
        shares=dict(job.spec.shares),
        seed=job.seed,
        init=job.spec.init,
        ends=job.ends,
        epochs={c: share * longest / job.spec.unique_tokens[c] for c, share in job.spec.shares.items()},
        tokens=job.tokens_trained,
        flops=job.flops,
        stack=stack,
        tokens_per_second=speed,
        seconds=(job.tokens_trained + measured / _EVALUATION_SPEED) / speed,
        disk_bytes=params * (_WEIGHT_BYTES * len(job.ends) + _CHECKPOINT_BYTES * machine.keep_trunk),
    )
