"""Training: the model is Hugging Face's Llama, a stack is its members, and a run is the same however it came."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from isogloss.errors import InputError
from isogloss.runs import Architecture, RunSpec
from isogloss.runs.ladder import rung
from isogloss.training.checkpoint import latest, load_checkpoint, save_next
from isogloss.training.device import Device, choose_device
from isogloss.training.job import Job
from isogloss.training.loop import Member, Settings, train
from isogloss.training.model import Decoder
from isogloss.training.optimiser import FlatAdamW
from isogloss.training.recipe import Recipe, default_learning_rate, updates
from isogloss.training.rows import Rows
from isogloss.training.sampling import Sampler, Stream
from isogloss.training.weights import from_llama, load_weights, read_shape, start_from, to_llama, weights_hash

torch.set_num_threads(1)

CPU = Device("cpu", bfloat16=False)
SHAPE = Architecture(layers=2, d_model=32, d_ff=48, heads=4, d_head=8, vocab_size=64, kv_heads=2, tied=False)
RECIPE = Recipe(learning_rate=5e-3, batch_tokens=128, context_length=16, warmup=256)
TEXT = np.random.default_rng(0).integers(0, 64, 5000).astype(np.uint8) // 2


class StoppedError(Exception):
    """Stands for a kill: raised between two steps."""


def job(seed: int = 0, ends: tuple[int, ...] = (20 * 128,), **changes: Any) -> Job:
    spec = RunSpec(SHAPE.params_total, SHAPE.params_non_embedding, ends[-1], {"a": 1.0}, seed=seed)
    return replace(Job(spec, SHAPE, RECIPE, ends), **changes)


def member(job: Job, folder: Path, init: Path | None = None) -> Member:
    folder.mkdir(exist_ok=True)
    sampler = Sampler({"a": Stream(TEXT)}, {"a": 1.0}, context_length=16, seed=job.seed)
    return Member(job, folder, sampler, init)


def measure(model: Decoder) -> list[list[dict[str, Any]]]:
    """A loss on fixed text that any change of a weight changes."""
    ids = torch.from_numpy(TEXT[:512].astype(np.int64)).view(1, -1, 16).expand(model.members, -1, -1)
    with torch.no_grad():
        losses = model.losses(ids[..., :-1], ids[..., 1:].contiguous()).mean((1, 2))
    return [[{"language": "a", "loss": loss}] for loss in losses.tolist()]


def run(*members: Member, **settings: Any) -> None:
    train(members, measure, Settings(CPU, evaluate_at=frozenset({4, 8, 16, 32}), **settings))


def losses(folder: Path) -> dict[str, float]:
    return {key: rows[0]["loss"] for key, rows in Rows.read(folder).evals.items()}


# --- model ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [None, 2, 1])
def test_real_parameters_are_those_of_the_arithmetic(tied: bool, kv_heads: int | None) -> None:
    shape = replace(SHAPE, tied=tied, kv_heads=kv_heads)
    model = Decoder(shape, [0])
    assert sum(p.numel() for p in model.parameters()) == shape.params_total


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_hugging_faces(tied: bool, tmp_path: Path) -> None:
    first = member(job(architecture=replace(SHAPE, tied=tied)), tmp_path / "run")
    run(first)
    folder = tmp_path / "run" / "ends" / str(20 * 128)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(theirs).__name__ == "LlamaForCausalLM"
    ours = Decoder(read_shape(folder), [99])
    start_from(ours, 0, folder)
    ids = torch.randint(0, 64, (3, 16))
    with torch.no_grad():
        difference = (theirs(ids).logits - ours(ids[None])[0]).abs().max()
        ours.explicit_attention = True
        explicit = (theirs(ids).logits - ours(ids[None])[0]).abs().max()
    assert difference < 1e-4
    assert explicit < 1e-4


def test_weights_survive_the_way_there_and_back() -> None:
    one, other = Decoder(SHAPE, [1, 2]), Decoder(SHAPE, [3, 4])
    from_llama(other, 0, to_llama(one, 1))
    for (name, p), (_, q) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(p[1], q[0]), name
        assert name.endswith("norm") or not torch.equal(p[0], q[0])


def test_a_member_does_not_depend_on_its_neighbours() -> None:
    alone, among = Decoder(SHAPE, [7]), Decoder(SHAPE, [1, 7, 3])
    ids = torch.randint(0, 64, (1, 2, 16))
    with torch.no_grad():
        assert torch.allclose(alone(ids)[0], among(ids.expand(3, -1, -1))[1], atol=1e-6)


def test_nothing_is_seen_ahead_of_its_place() -> None:
    model = Decoder(SHAPE, [0])
    ids = torch.randint(0, 64, (1, 1, 16))
    changed = ids.clone()
    changed[..., 10:] = (changed[..., 10:] + 1) % 64
    for model.explicit_attention in (False, True):
        with torch.no_grad():
            one, other = model(ids), model(changed)
        assert torch.allclose(one[..., :10, :], other[..., :10, :], atol=1e-6)
        assert not torch.allclose(one[..., 10, :], other[..., 10, :], atol=1e-3)


# --- optimiser and schedule -----------------------------------------------------------------------------


def test_flat_adamw_is_adamw_with_clipping() -> None:
    recipe = replace(RECIPE, weight_decay=0.3, clip=0.5)
    ours, theirs = Decoder(SHAPE, [0]), Decoder(SHAPE, [0])
    flat = FlatAdamW(ours, recipe)
    decayed = [p for n, p in theirs.named_parameters() if not n.endswith(("norm", "embedding"))]
    others = [p for n, p in theirs.named_parameters() if n.endswith(("norm", "embedding"))]
    groups = [{"params": decayed, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-2, betas=(recipe.beta1, recipe.beta2), eps=1e-8)
    for seed in range(5):
        ids = torch.randint(0, 64, (1, 4, 17), generator=torch.Generator().manual_seed(seed))
        for model in (ours, theirs):
            model.losses(ids[..., :-1], ids[..., 1:].contiguous()).mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        assert torch.allclose(flat.step(1e-2), norm, rtol=1e-5)
        adamw.step()
        adamw.zero_grad()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6), name


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    recipe = Recipe(learning_rate=1.0, batch_tokens=10, context_length=10, warmup=40, decay=0.25)
    rates = [recipe.rate(step, 20) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:16] == [1.0] * 12
    assert rates[15:] == [1.0, 0.8, 0.6, 0.4, 0.2]
    assert [recipe.phase(s) for s in (3, 4, 16)] == ["warmup", "stable", "stable"]
    assert [recipe.phase(s, 20) for s in (15, 16, 19, 20)] == ["stable", "decay", "decay", "final"]
    assert updates(recipe, [20]) == 20
    assert updates(recipe, [20, 40]) == 30 + 5 + 10


def test_larger_models_learn_more_slowly() -> None:
    rates = [default_learning_rate(rung(name, 256)) for name in ("0.1M", "1M", "10M", "atlas-16")]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 1e-2
    assert rates[-1] > 1e-4


# --- the loop ---------------------------------------------------------------------------------------------


def test_it_learns(tmp_path: Path) -> None:
    run(member(job(ends=(60 * 128,)), tmp_path / "run"))
    found = losses(tmp_path / "run")
    # 32 ids, evenly: a unigram model reaches log 32 and no model goes below.
    assert found["warmup-00000004" if "warmup-00000004" in found else "stable-00000004"] > found["final-00000060"]
    assert found["final-00000060"] == pytest.approx(np.log(32), abs=0.15)


def test_a_branch_is_a_run_of_its_own_length(tmp_path: Path) -> None:
    """Several ends from one trunk give, to the last bit, what separate runs give."""
    run(member(job(ends=(10 * 128, 20 * 128, 40 * 128)), tmp_path / "together"))
    together = losses(tmp_path / "together")
    for steps in (10, 20, 40):
        run(member(job(ends=(steps * 128,)), tmp_path / str(steps)))
        key = f"final-{steps:08d}"
        assert together[key] == losses(tmp_path / str(steps))[key]


@pytest.mark.parametrize("stops", [(1,), (7, 9), (8, 16, 17, 23, 31), tuple(range(1, 36, 2))])
def test_a_killed_run_resumes_to_the_same_result(stops: tuple[int, ...], tmp_path: Path) -> None:
    ends = (10 * 128, 20 * 128, 32 * 128)
    run(member(job(ends=ends), tmp_path / "whole"))
    left = list(stops)
    calls = 0

    def alive() -> None:
        nonlocal calls
        calls += 1
        if left and calls > left[0]:
            left.pop(0)
            raise StoppedError

    for _ in range(len(stops) + 1):
        try:
            # A checkpoint is due at every step.
            run(member(job(ends=ends), tmp_path / "cut"), checkpoint_seconds=0.0, alive=alive)
        except StoppedError:
            continue
    assert left == []
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    for end in ends:
        one, other = (load_weights(tmp_path / which / "ends" / str(end)) for which in ("cut", "whole"))
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("keep_trunk", [True, False])
def test_a_longer_end_added_later_goes_on(keep_trunk: bool, tmp_path: Path) -> None:
    run(member(job(ends=(10 * 128, 40 * 128)), tmp_path / "at once"))
    run(member(job(ends=(10 * 128,)), tmp_path / "later"), keep_trunk=keep_trunk)
    longer = job(ends=(10 * 128, 40 * 128))
    assert longer.run_id == job(ends=(10 * 128,)).run_id
    run(member(longer, tmp_path / "later"), keep_trunk=keep_trunk)
    assert losses(tmp_path / "later") == losses(tmp_path / "at once")


def test_a_shorter_end_added_later_is_found_again(tmp_path: Path) -> None:
    run(member(job(ends=(40 * 128,)), tmp_path / "later"), keep_trunk=True)
    run(member(job(ends=(10 * 128, 40 * 128)), tmp_path / "later"), keep_trunk=True)
    run(member(job(ends=(10 * 128, 40 * 128)), tmp_path / "at once"))
    assert losses(tmp_path / "later") == losses(tmp_path / "at once")


def test_a_stack_is_its_members(tmp_path: Path) -> None:
    seeds = (3, 1, 4, 1)
    run(*(member(job(s), tmp_path / f"stacked{i}") for i, s in enumerate(seeds)))
    for i, s in enumerate(seeds):
        run(member(job(s), tmp_path / f"single{i}"))
        stacked, single = losses(tmp_path / f"stacked{i}"), losses(tmp_path / f"single{i}")
        assert stacked.keys() == single.keys()
        assert list(stacked.values()) == pytest.approx(list(single.values()), abs=2e-5)
    assert losses(tmp_path / "stacked0") != losses(tmp_path / "stacked1")


def test_a_stack_resumes_as_single_runs(tmp_path: Path) -> None:
    calls = iter(range(1000))

    def stop() -> None:
        if next(calls) == 12:
            raise StoppedError

    members = [member(job(seed), tmp_path / f"{seed}") for seed in (0, 1)]
    with pytest.raises(StoppedError):
        run(*members, checkpoint_seconds=0.0, alive=stop)
    for seed in (0, 1):
        assert latest(tmp_path / f"{seed}", "trunk") is not None
        run(member(job(seed), tmp_path / f"{seed}"))
        run(member(job(seed), tmp_path / f"whole{seed}"))
        expected = list(losses(tmp_path / f"whole{seed}").values())
        assert list(losses(tmp_path / f"{seed}").values()) == pytest.approx(expected, abs=2e-5)


def test_a_diverged_run_keeps_its_rows_and_spares_its_neighbours(tmp_path: Path, monkeypatch) -> None:
    poisoned = member(job(0), tmp_path / "poisoned")
    healthy = member(job(1), tmp_path / "healthy")
    update = FlatAdamW.step

    def poison(self: FlatAdamW, rate: float):
        if int(self.state(0)["step"]) == 6:
            for gradient in self._gradients():
                gradient[0] = float("nan")
        return update(self, rate)

    monkeypatch.setattr(FlatAdamW, "step", poison)
    run(poisoned, healthy)
    rows = Rows.read(tmp_path / "poisoned")
    assert rows.diverged_at == 7 * 128
    assert len(rows.evals) == 1
    assert rows.ends == {}
    monkeypatch.setattr(FlatAdamW, "step", update)
    run(member(job(1), tmp_path / "alone"))
    assert list(losses(tmp_path / "healthy").values()) == pytest.approx(
        list(losses(tmp_path / "alone").values()), abs=2e-5
    )


# --- starts -------------------------------------------------------------------------------------------------


def test_a_run_starts_from_another(tmp_path: Path) -> None:
    run(member(job(), tmp_path / "first"))
    start = tmp_path / "first" / "ends" / str(20 * 128)
    run(member(job(seed=5), tmp_path / "second", start))
    run(member(job(seed=5), tmp_path / "scratch"))
    # It begins where the first ended, under a rate that rises anew.
    assert losses(tmp_path / "second")["stable-00000004"] < losses(tmp_path / "scratch")["stable-00000004"] - 0.2
    assert len(weights_hash(start)) == 16
    assert weights_hash(start) != weights_hash(tmp_path / "second" / "ends" / str(20 * 128))


def test_runs_from_one_start_may_stack_and_others_not() -> None:
    assert job(0).pack_key() == job(1).pack_key()
    assert job(0, init="run:a@10").pack_key() == job(1, init="run:a@10").pack_key() != job(0).pack_key()
    assert job(0).pack_key() != job(0, ends=(40 * 128,)).pack_key()


def test_constants_of_a_start_are_kept(tmp_path: Path) -> None:
    run(member(job(), tmp_path / "first"))
    start = tmp_path / "first" / "ends" / str(20 * 128)
    config = json.loads((start / "config.json").read_text())
    config |= {"rms_norm_eps": 1e-6, "rope_theta": 5e5, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}
    (start / "config.json").write_text(json.dumps(config))
    run(member(job(seed=5), tmp_path / "second", start))
    kept = json.loads((tmp_path / "second" / "ends" / str(20 * 128) / "config.json").read_text())
    assert (kept["rms_norm_eps"], kept["rope_theta"]) == (1e-6, 5e5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 99}, "vocabulary of 99"),
        ({"hidden_size": 16, "head_dim": 8}, "shape"),
        ({"model_type": "gpt2"}, "gpt2"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "llama3"),
        ({"attention_bias": True}, "attention_bias"),
    ],
)
def test_a_start_that_does_not_match_is_refused(change: dict, message: str, tmp_path: Path) -> None:
    run(member(job(), tmp_path / "first"))
    start = tmp_path / "first" / "ends" / str(20 * 128)
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=message):
        start_from(Decoder(SHAPE, [0]), 0, start)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Hugging Face folder"):
        read_shape(tmp_path)


# --- checkpoints and devices ----------------------------------------------------------------------------------


def test_a_checkpoint_replaces_the_last_only_when_it_is_whole(tmp_path: Path, monkeypatch) -> None:
    save_next(tmp_path, "trunk", 1, {"a": torch.ones(2)}, {"step": 1})

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("isogloss.training.checkpoint.save_file", fail)
    with pytest.raises(InputError, match="the disk is full"):
        save_next(tmp_path, "trunk", 2, {"a": torch.zeros(2)}, {"step": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["trunk-00000001"]
    tensors, state = load_checkpoint(tmp_path / "trunk-00000001")
    assert (tensors["a"].tolist(), state["step"]) == ([1.0, 1.0], 1)


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    save_next(tmp_path, "trunk", 1, {"a": torch.ones(2)}, {"step": 1})
    (tmp_path / "trunk-00000001" / "tensors.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"damaged checkpoint.*\n.*Delete this folder"):
        load_checkpoint(tmp_path / "trunk-00000001")


def test_no_gpu_where_one_was_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch finds none"):
        choose_device("cuda")
    assert choose_device("auto").name == "cpu"
    assert choose_device("cpu", "float32").precision == "float32"


def test_bfloat16_agrees_with_float32_to_its_precision(tmp_path: Path) -> None:
    for name, device in (("float32", CPU), ("bfloat16", Device("cpu", bfloat16=True))):
        m = member(job(ends=(40 * 128,)), tmp_path / name)
        train([m], measure, Settings(device))
    one, other = losses(tmp_path / "float32"), losses(tmp_path / "bfloat16")
    assert one["final-00000040"] == pytest.approx(other["final-00000040"], abs=0.02)


# --- several processes ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_train_one_run_as_one_does(tmp_path: Path) -> None:
    """FSDP under torchrun, and a resumption by one process of what two had begun."""
    script = Path(__file__).with_name("sharded_run.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(script.parent)}
    done = subprocess.run(
        [*command, str(script), str(tmp_path / "two")], capture_output=True, text=True, timeout=200, env=environment
    )
    assert done.returncode == 0, done.stderr
    run(member(job(ends=(10 * 128, 20 * 128)), tmp_path / "one"))
    two, one = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert two.keys() < one.keys()
    run(member(job(ends=(10 * 128, 20 * 128)), tmp_path / "two"))
    two = losses(tmp_path / "two")
    assert two.keys() == one.keys()
    assert list(two.values()) == pytest.approx(list(one.values()), abs=1e-5)
