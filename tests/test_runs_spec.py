"""RunSpec and Architecture: what a run is, counted by arithmetic."""

import dataclasses
import pickle

import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.runs import Architecture, RunSpec, read_runs

# scale: heads, layers, d_model, d_ff, d_kv, total parameters. Source: arXiv:2510.22037, Table B.3.
ATLAS_SHAPES = [
    (4, 3, 128, 512, 32, 9_044_352),
    (8, 8, 512, 2048, 64, 66_588_672),
    (14, 18, 896, 3584, 64, 289_029_888),
    (11, 24, 1408, 5632, 128, 852_132_864),
    (17, 25, 2176, 8704, 128, 2_034_422_912),
    (28, 40, 3584, 14336, 128, 8_452_190_208),
    (32, 47, 4864, 19456, 128, 17_402_920_192),
]


@pytest.mark.parametrize(("heads", "layers", "d_model", "d_ff", "d_head", "total"), ATLAS_SHAPES)
def test_atlas_shapes(heads, layers, d_model, d_ff, d_head, total):
    shape = Architecture.atlas(layers=layers, d_model=d_model, d_ff=d_ff, heads=heads, d_head=d_head)
    assert shape.params_total == total
    assert shape.params_total - shape.params_non_embedding == 64_512 * d_model


def test_llama_2_7b():
    shape = Architecture(32, 4096, 11008, 32, 128, 32_000, tied=False)
    assert shape.params_total == 6_738_415_616


def test_llama_3_8b_with_grouped_queries():
    shape = Architecture(32, 4096, 14336, 32, 128, 128_256, kv_heads=8, tied=False)
    assert shape.params_total == 8_030_261_248


def test_flops_per_token():
    shape = Architecture(2, 8, 32, 2, 4, 100)
    attention = 6 * 2 * 16 * (2 * 4)
    assert shape.flops_per_token(16) == 6 * shape.params_non_embedding + attention + 6 * 100 * 8
    untied = dataclasses.replace(shape, tied=False)
    assert untied.flops_per_token(16) == shape.flops_per_token(16)
    assert untied.params_embedding == 2 * shape.params_embedding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers: must be a whole number of at least 1, got 0"),
        ({"d_model": 1.5}, "d_model"),
        ({"heads": True}, "heads"),
        ({"kv_heads": 3}, "cannot share 3 key-value heads"),
        ({"norms": -1}, "norms"),
    ],
)
def test_impossible_shapes(change, message):
    with pytest.raises(InputError, match=message):
        Architecture(**({"layers": 2, "d_model": 8, "d_ff": 32, "heads": 2, "d_head": 4, "vocab_size": 100} | change))


def test_context_must_be_positive():
    with pytest.raises(InputError, match="context_length"):
        Architecture(2, 8, 32, 2, 4, 100).flops_per_token(0)


# --- RunSpec ------------------------------------------------------------------------------------------------

SPEC = RunSpec(
    params_total=100_000_000,
    params_non_embedding=80_000_000,
    tokens=2e9,
    shares={"deu_Latn": 0.25, "eng_Latn": 0.75},
    unique_tokens={"deu_Latn": 1e8},
    seed=0,
    schedule="wsd",
)


def test_fingerprint_is_stable_across_releases():
    # If this changes, every sweep that anyone has started becomes new.
    assert SPEC.fingerprint == "7418647ea707d4b5"


def test_fingerprint_is_of_what_the_run_is():
    same = dataclasses.replace(
        SPEC,
        tokens=2_000_000_000,
        shares={"eng_Latn": 0.75, "swh_Latn": 0, "deu_Latn": 0.25},
        params_total=1e8,
    )
    assert same.fingerprint == SPEC.fingerprint
    assert hash(same) == hash(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": 2e9 + 1},
        {"seed": 1},
        {"seed": None},
        {"tokenizer": "a"},
        {"shares": {"deu_Latn": 1.0}},
        {"unique_tokens": {}},
        {"init": "base"},
        {"vocab_size": 65_536},
    ],
)
def test_fingerprint_changes_with_every_field(change):
    assert dataclasses.replace(SPEC, **change).fingerprint != SPEC.fingerprint


def test_a_planned_and_a_finished_run_are_one_record():
    row = SPEC.to_row()
    assert row["run_id"] == SPEC.fingerprint
    assert row["share:deu_Latn"] == 0.25
    assert "tokenizer" not in row
    assert RunSpec.from_row(row) == SPEC
    table = read_runs(pl.DataFrame([row | {"loss": 3.0, "unit": "nats/token"}]))
    assert table.notes == ()
    finished = RunSpec.from_row(table.frame.row(0, named=True))
    assert finished.fingerprint == SPEC.fingerprint


def test_a_spec_does_not_follow_its_callers_dictionary():
    shares = {"deu_Latn": 1.0}
    spec = dataclasses.replace(SPEC, shares=shares)
    shares["deu_Latn"] = 0.5
    assert spec.shares == {"deu_Latn": 1.0}


def test_specs_travel_to_workers():
    assert pickle.loads(pickle.dumps(SPEC)) == SPEC


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": 0}, "tokens: must be a positive number, got 0"),
        ({"tokens": float("nan")}, "tokens"),
        ({"params_non_embedding": 2e8}, "more than 100000000 in total"),
        ({"shares": {}}, "sum to 0, not to 1"),
        ({"shares": {"deu_Latn": 0.5}}, "sum to 0.5, not to 1"),
        (
            {"shares": {"deu_Latn": 1.5, "eng_Latn": -0.5}},
            r"shares\['deu_Latn'\]: must be from 0 to 1, got 1.5",
        ),
        ({"unique_tokens": {"deu_Latn": 0}}, r"unique_tokens\['deu_Latn'\]"),
        ({"batch_tokens": -1}, "batch_tokens"),
    ],
)
def test_impossible_specs(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SPEC, **change)


def test_from_row_says_what_is_missing():
    with pytest.raises(InputError, match="has no params_non_embedding, tokens"):
        RunSpec.from_row({"run_id": "a", "params_total": 1})
