import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.runs import RunTable, read_runs


def table(**columns) -> RunTable:
    return read_runs(pl.DataFrame({"loss": [3.0, 2.5, 2.0], **columns}))


def test_params_and_which_was_used():
    both = table(params_total=[10.0, 20, 30], params_non_embedding=[8.0, 16, 24])
    assert both.params()[1] == "total"
    values, which = both.params("non_embedding")
    assert (values.tolist(), which) == ([8.0, 16.0, 24.0], "non_embedding")
    only = table(params_non_embedding=[8.0, 16, 24])
    assert only.params()[1] == "non_embedding"
    with pytest.raises(InputError, match=r"no column params_total\n.*It has params_non_embedding"):
        only.params("total")
    with pytest.raises(InputError, match="no column params_total or params_non_embedding"):
        table().params()
    with pytest.raises(InputError, match="unknown parameter count 'active'"):
        both.params("active")  # type: ignore[arg-type]


def test_compute_says_how_it_is_known():
    N, D = [1e8, 2e8, 3e8], [1e9, 2e9, 3e9]
    assert table(N=N, D=D).compute()[1] == "6 N D with params_total"
    assert table(N=N, D=D).compute()[0].tolist() == [6e17, 24e17, 54e17]
    assert table(N=N, D=D, C=[1e18, 1e18, 1e18]).compute()[1] == "measured"
    C, label = table(N=N, D=D, C=[1e18, None, 2e18]).compute()
    assert C.tolist() == [1e18, 24e17, 2e18]
    assert label == "measured (2 of 3 rows), 6 N D with params_total (1 of 3 rows)"
    C, label = table(D=D, flops_per_token=[7e8, 7e8, 7e8]).compute()
    assert (C.tolist(), label) == ([7e17, 14e17, 21e17], "flops_per_token x D")
    with pytest.raises(InputError, match="no column tokens"):
        table(N=N).compute()


def test_arrays_are_the_callers_own():
    runs = table(N=[1.0, 2, 3], D=[1.0, 2, 3])
    runs.params()[0][:] = 0
    assert runs.params()[0].tolist() == [1, 2, 3]


def test_targets_and_languages():
    runs = table(lang=["de", "fr", "de"], **{"share:de": [0.5] * 3, "share:fr": [0.5] * 3})
    assert runs.targets == ("deu_Latn", "fra_Latn")
    assert runs.languages == ("deu_Latn", "fra_Latn")
    assert len(runs.for_target("German")) == 2
    with pytest.raises(InputError, match="unknown target 'Swahili'"):
        runs.for_target("Swahili")
    assert table().targets == ()
    with pytest.raises(InputError, match="no column target"):
        table().for_target("de")


def test_unknown_mixtures_are_nan():
    runs = table(mixture=['{"de": 1}', None, '{"de": 1}'])
    assert np.isnan(runs.shares()[1][:, 0]).tolist() == [False, True, False]


def test_where_accumulates_what_is_left_out():
    runs = table(run=["a", "b", "c"], use=[1, 0, 1]).where("use=1").where("loss<2.5")
    assert [(left.row, left.run_id, left.reason) for left in runs.left_out] == [
        (2, "b", "where use=1"),
        (1, "a", "where loss<2.5"),
    ]
    assert runs.frame["row"].to_list() == [3]


def test_where_knows_aliases():
    runs = table(N=[1.0, 2, 3])
    assert len(runs.where("N>1")) == len(runs.where("params_total>1")) == len(runs.where("PARAMS>1")) == 2


def test_summary():
    runs = table(run=["a", "a", "b"], lang=["de", "fr", "de"], N=[1e8, 1e8, 2e8], D=[1e9, 1e9, 2e9])
    rows = runs.summary().to_dicts()
    assert [row["target"] for row in rows] == ["deu_Latn", "fra_Latn"]
    assert rows[0]["rows"] == rows[0]["runs"] == 2
    assert (rows[0]["params_min"], rows[0]["params_max"]) == (1e8, 2e8)
    assert rows[0]["unit"] == "nats/token"
    assert table().summary().height == 1


def test_writing_is_all_or_nothing(tmp_path):
    path = tmp_path / "runs.csv"
    table().write(path)
    before = path.read_bytes()
    nested = table(parts=[[1], [2], [3]])
    with pytest.raises(InputError, match=r"lists or structs\n.*parts"):
        nested.write(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]
    assert nested.write(tmp_path / "runs.parquet").exists()


def test_writing_to_a_place_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        table().write(tmp_path / "nowhere" / "runs.csv")
    with pytest.raises(InputError, match=r"unknown file suffix '.xlsx'"):
        table().write(tmp_path / "runs.xlsx")


def test_repr_says_what_it_is():
    assert repr(table().where("loss<3")) == "<RunTable frame: 2 rows, 1 left out, loss in nats/token>"
