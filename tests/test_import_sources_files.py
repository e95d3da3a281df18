"""Hugging Face's trainer_state.json and the results of lm-evaluation-harness as sources."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isogloss.errors import InputError
from isogloss.runs.importing import open_source
from isogloss.runs.importing.source_lm_eval import LmEval
from isogloss.runs.importing.source_lm_eval import holds as holds_results
from isogloss.runs.importing.source_trainer import TrainerState
from isogloss.runs.importing.source_trainer import holds as holds_states

TRAIN = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
shape = dict(vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
             num_key_value_heads=2, max_position_embeddings=16, tie_word_embeddings=False)
model = LlamaForCausalLM(LlamaConfig(**shape))
data = [{"input_ids": torch.arange(8) % 32, "labels": torch.arange(8) % 32}] * 8
arguments = TrainingArguments(sys.argv[1] + "/run", max_steps=6, per_device_train_batch_size=2, logging_steps=1,
    save_steps=2, eval_steps=3, eval_strategy="steps", report_to=[], use_cpu=True, disable_tqdm=True)
Trainer(model, arguments, train_dataset=data, eval_dataset={"sw": data[:2], "de": data[:2]}).train()
print(model.num_parameters(), model.num_parameters() - 2 * 32 * 8)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[int]]:
    """A run of the real Trainer, and its N with and without embeddings."""
    path = tmp_path_factory.mktemp("trainer")
    done = subprocess.run([sys.executable, "-c", TRAIN, str(path)], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return path, [int(n) for n in done.stdout.split()[-2:]]


def test_the_newest_checkpoint_has_it_all(trained):
    path, (total, inner) = trained
    (entry,) = TrainerState(path).entries()
    run = entry.read()
    assert (run.key, run.status, list(run.troubles)) == ("run", "finished", [])
    assert run.metrics["loss"].step.tolist() == [1, 2, 3, 4, 5, 6]
    assert run.metrics["eval_sw_loss"].step.tolist() == [3, 6]
    assert run.metrics["eval_de_loss"].value == pytest.approx(run.metrics["eval_sw_loss"].value)
    assert run.metrics["learning_rate"].value[0] == pytest.approx(5e-5)
    assert (run.config["params_total"], run.config["params_non_embedding"]) == (total, inner)
    assert run.config["hidden_size"] == 8
    assert run.config["max_steps"] == 6
    assert holds_states(path)
    assert open_source(path).said == f"trainer: {path}"


def state(path: Path, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    history = [{"step": s, "loss": 3.0 / s, "epoch": s / 10} for s in (1, 2)]
    path.write_text(json.dumps({"global_step": 2, "max_steps": 9, "log_history": history, **changes}))
    return path


def test_a_checkpoint_that_is_half_written(tmp_path):
    state(tmp_path / "r" / "checkpoint-2" / "trainer_state.json")
    new = state(tmp_path / "r" / "checkpoint-3" / "trainer_state.json", global_step=3)
    text = new.read_text()
    new.write_text(text[:-30])
    (entry,) = TrainerState(tmp_path).entries()
    run, old = entry.read(), entry.version
    assert run.metrics["loss"].step.tolist() == [1, 2]
    assert (run.status, len(run.troubles)) == ("", 1)
    assert "half-written" in run.troubles[0].what
    new.write_text(text)
    assert not entry.read().troubles
    assert entry.version != old


def test_states_that_cannot_be_read(tmp_path):
    path = state(tmp_path / "r" / "trainer_state.json")
    path.write_text("{")
    (entry,) = TrainerState(tmp_path).entries()
    with pytest.raises(InputError, match="half-written"):
        entry.read()
    path.write_text("[]")
    with pytest.raises(InputError, match="no state of the Trainer"):
        entry.read()
    with pytest.raises(InputError, match="holds no trainer_state"):
        list(TrainerState(tmp_path / "none").entries())


def test_odd_rows_and_settings(tmp_path):
    history = [{"loss": 1.0}, {"step": 5, "loss": float("nan"), "note": "x"}, {"step": 3, "eval": {"sw": 2.0}}]
    path = state(tmp_path / "trainer_state.json", log_history=history)
    (tmp_path / "config.json").write_text('{"vocab_size": ')
    (entry,) = TrainerState(path).entries()
    run = entry.read()
    assert {name: s.step.tolist() for name, s in run.metrics.items()} == {"loss": [5], "eval.sw": [3]}
    assert sorted(t.lost or 0 for t in run.troubles) == [0, 1, 1]
    (tmp_path / "config.json").write_text('{"vocab_size": 7}')
    (tmp_path / "model.safetensors").write_bytes(b"\x05\x00\x00\x00\x00\x00\x00\x00{")
    run = entry.read()
    assert run.config["vocab_size"] == 7
    assert "params_total" not in run.config
    assert any("its shapes cannot be read" in t.what for t in run.troubles)


# --- lm-evaluation-harness -----------------------------------------------------------------------------------


def result(path: Path, model: str, arguments: Any, bpb: float = 0.9, date: float = 1.7e9, **more: Any) -> None:
    """A file as the harness's EvaluationTracker writes it."""
    scores = {
        "alias": "wikitext_sw",
        "word_perplexity,none": 30.5,
        "word_perplexity_stderr,none": "N/A",
        "byte_perplexity,none": 1.9,
        "byte_perplexity_stderr,none": "N/A",
        "bits_per_byte,none": bpb,
        "bits_per_byte_stderr,none": "N/A",
    }
    accuracy = {"alias": " - sw", "acc,none": 0.5, "acc_stderr,none": 0.01, "exact_match,strict": 0.25, "acc_norm": 0.6}
    record = {
        "results": {"wikitext_sw": scores, "belebele_swh_Latn": accuracy},
        "groups": {"belebele": {"acc,none": 0.4, "alias": "belebele"}},
        "n-shot": {"wikitext_sw": 0},
        "config": {"model": "hf", "model_args": arguments, "model_num_parameters": 1000},
        "date": date,
        "model_name": model,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | more))


def test_checkpoints_of_one_model_are_one_run(tmp_path):
    base = "EleutherAI/pythia-70m"
    result(tmp_path / "a" / "results_2025-01-01.json", base, f"pretrained={base},revision=step3000", 0.8)
    result(tmp_path / "b" / "results_2025-01-02.json", base, {"pretrained": base, "revision": "step1000"}, 0.9)
    result(tmp_path / "c" / "results_2025-01-03.json", "out/big/checkpoint-500", "pretrained=out/big/checkpoint-500")
    result(tmp_path / "step20" / "small" / "results_2025-01-03.json", "small", "pretrained=small")
    result(tmp_path / "d" / "results_2025-01-03.json", "plain", "pretrained=plain")
    runs = {entry.key: entry.read() for entry in LmEval(tmp_path).entries()}
    assert list(runs) == [base, "out/big", "plain", "small"]
    bpb = runs[base].metrics["wikitext_sw/bits_per_byte"]
    assert (bpb.step.tolist(), bpb.value.tolist()) == ([1000, 3000], [0.9, 0.8])
    steps = {name: run.metrics["belebele_swh_Latn/acc"].step.tolist() for name, run in runs.items()}
    assert steps == {base: [1000, 3000], "out/big": [500], "plain": [0], "small": [20]}
    assert runs["plain"].config["model_num_parameters"] == 1000
    assert runs["plain"].config["model_args.pretrained"] == "plain"


def test_every_number_is_a_metric(tmp_path):
    result(tmp_path / "results_2025-01-01.json", "m", "pretrained=m")
    (entry,) = LmEval(tmp_path).entries()
    run = entry.read()
    assert {name: s.value.tolist() for name, s in run.metrics.items()} == {
        "belebele/acc": [0.4],
        "wikitext_sw/word_perplexity": [30.5],
        "wikitext_sw/byte_perplexity": [1.9],
        "wikitext_sw/bits_per_byte": [0.9],
        "belebele_swh_Latn/acc": [0.5],
        "belebele_swh_Latn/acc_stderr": [0.01],
        "belebele_swh_Latn/exact_match,strict": [0.25],
        "belebele_swh_Latn/acc_norm": [0.6],
    }
    assert not run.troubles


def test_evaluated_twice_at_one_step_the_later_is_later(tmp_path):
    result(tmp_path / "results_2025-01-02.json", "m", "pretrained=m", 0.7, date=2e9)
    result(tmp_path / "results_2025-01-01.json", "m", "pretrained=m", 0.9, date=1e9)
    (entry,) = LmEval(tmp_path).entries()
    assert entry.read().metrics["wikitext_sw/bits_per_byte"].value.tolist() == [0.9, 0.7]


def test_results_that_are_half_written_or_none(tmp_path):
    result(tmp_path / "results_1.json", "m", "pretrained=m", float("nan"))
    (tmp_path / "results_2.json").write_text('{"results": {')
    (tmp_path / "results_3.json").write_text('{"results": [1]}')
    source = LmEval(tmp_path)
    (entry,) = source.entries()
    assert [t.where.rsplit("/", 1)[-1] for t in source.troubles] == ["results_2.json", "results_3.json"]
    assert holds_results(tmp_path)
    old = entry.version
    result(tmp_path / "results_2.json", "m", "pretrained=m")
    (entry,) = LmEval(tmp_path).entries()
    assert entry.version != old
    (tmp_path / "results_1.json").unlink()
    assert len(entry.read().troubles) == 1
    (tmp_path / "empty").mkdir()
    assert not holds_results(tmp_path / "empty")
    with pytest.raises(InputError, match="holds no results"):
        list(LmEval(tmp_path / "empty").entries())
