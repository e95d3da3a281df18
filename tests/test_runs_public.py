"""The public run tables, as they are: row counts, units and names."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.csv as pa_csv
import pytest

from isogloss.errors import InputError
from isogloss.runs import lint, read_runs

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not (DATA / "chinchilla_svg.csv").is_file(),
    reason="the public run tables are not here: set ISOGLOSS_DATA to their folder",
)

ROWS = {
    "chinchilla_svg": 245,
    "datablations": 308,
    "xling_enfr": 66,
    "xscript_bilingual": 1468,
    "regmix_1m": 9984,
    "regmix_60m": 3328,
    "regmix_1b": 832,
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_read(name):
    table = read_runs(DATA / f"{name}.csv")
    assert len(table) == ROWS[name]
    assert table.left_out == ()
    assert table.unit == ("bits/byte" if name == "xscript_bilingual" else "nats/token")


@pytest.mark.parametrize("name", ROWS)
def test_written_and_read_again(name, tmp_path):
    table = read_runs(DATA / f"{name}.csv")
    for suffix in (".csv", ".parquet"):
        assert read_runs(table.write(tmp_path / f"{name}{suffix}")).equals(table)


@pytest.mark.parametrize("name", ROWS)
def test_data_frames_give_the_same_table(name):
    path = DATA / f"{name}.csv"
    table = read_runs(path)
    assert read_runs(pd.read_csv(path)).equals(table)
    assert read_runs(pa_csv.read_csv(path)).equals(table)
    assert read_runs(pl.read_csv(path, infer_schema_length=None)).equals(table)


def test_zero_tokens_are_refused_unless_left_out():
    path = DATA / "byte_transfer.csv"
    with pytest.raises(InputError, match=r"byte_transfer.csv, row 1, column 'tokens'.*'0' \(and 27 more rows\)"):
        read_runs(path)
    table = read_runs(path, where="tokens>0", unit="nats/byte")
    assert len(table) == 217
    assert len(table.left_out) == 28
    assert {left.reason for left in table.left_out} == {"where tokens>0"}


def test_chinchilla_compute_is_measured_and_agrees_with_6ND():
    table = read_runs(DATA / "chinchilla_svg.csv", where="use=1")
    assert len(table) == 240
    C, label = table.compute()
    N, which = table.params()
    assert label == "measured"
    assert which == "total"
    assert np.allclose(C, 6 * N * table.frame["tokens"].to_numpy(), rtol=1e-6)
    assert table.targets == ("massivetext",)


def test_languages_are_named_and_domains_left_alone():
    xscript = read_runs(DATA / "xscript_bilingual.csv")
    assert set(xscript.targets) == {"arb_Arab", "deu_Latn", "eng_Latn", "fra_Latn", "cmn_Hani"}
    assert set(xscript.languages) == set(xscript.targets)
    xling = read_runs(DATA / "xling_enfr.csv")
    assert xling.targets == ("eng_Latn", "en_clone1", "fra_Latn")
    regmix = read_runs(DATA / "regmix_1b.csv")
    assert {"arxiv", "pile_cc", "wikipedia_en"} < set(regmix.languages)
    assert not any(name[-5:-4] == "_" and name[-4].isupper() for name in regmix.languages)


def test_two_parameter_counts():
    table = read_runs(DATA / "xscript_bilingual.csv")
    assert set(table.params("total")[0]) == {1090519040.0}
    assert table.frame["model_params"].unique().to_list() == [822083584]
    named = read_runs(DATA / "xscript_bilingual.csv", columns={"params_non_embedding": "model_params"})
    assert set(named.params("non_embedding")[0]) == {822083584.0}


def test_shares_of_regmix_sum_to_one_after_rounding():
    table = read_runs(DATA / "regmix_1m.csv")
    assert np.allclose(table.shares()[1].sum(axis=1), 1, atol=1e-12)
    assert any("at most 0.004 off" in note for note in table.notes)


def test_lint_finds_what_the_tables_warn_about():
    def codes(name: str) -> dict[str, int]:
        return {f.code: len(f.rows) for f in lint(read_runs(DATA / f"{name}.csv"))}

    assert codes("chinchilla_svg")["flagged"] == 5
    assert codes("datablations")["flagged"] == 126
    xscript = codes("xscript_bilingual")
    assert xscript["flagged"] == 30
    assert {"mixed-lr-phase", "mixed-tokenizer", "mixed-eval-set", "one-N"} <= set(xscript)
    assert {"one-N", "one-D"} <= set(codes("regmix_1b"))
    assert "duplicate" not in codes("datablations")
