"""read_runs: columns under many names, units, languages, mixtures, conditions."""

import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from isogloss.errors import InputError
from isogloss.runs import LeftOut, RunTable, read_runs

BASE = "N,D,loss\n1e8,2e9,3.1\n2e8,4e9,2.9\n"


@pytest.fixture
def csv(tmp_path):
    def write(text: str | bytes, name: str = "runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def column(table: RunTable, name: str) -> list:
    return table.frame[name].to_list()


def test_smallest_table(csv):
    table = read_runs(csv(BASE))
    assert table.frame.columns == ["row", "params_total", "tokens", "loss"]
    assert column(table, "row") == [1, 2]
    assert column(table, "params_total") == [1e8, 2e8]
    assert table.unit == "nats/token"
    assert table.source == "runs.csv"
    assert table.left_out == ()
    assert len(table) == 2


def test_what_was_assumed_is_said(csv):
    notes = read_runs(csv(BASE)).notes
    assert any("'N' does not say whether embeddings" in note for note in notes)
    assert any("taken as nats/token" in note for note in notes)


@pytest.mark.parametrize(
    ("alias", "canonical"),
    [
        *((a, "params_total") for a in ("N", "n", "params", "n_params", "Model Params", "parameter-count")),
        *((a, "params_total") for a in ("num_parameters", "parameters", "total_params", "TotalParams")),
        *((a, "params_non_embedding") for a in ("non_embedding_params", "params_non_emb", "N_non_embedding")),
        *((a, "tokens") for a in ("D", "tokens", "train_tokens", "tokens seen", "n_tokens")),
        *((a, "flops") for a in ("C", "FLOP", "flops", "training_flop", "compute")),
        *((a, "unique_tokens") for a in ("U", "n_unique", "Unique Tokens")),
        *((a, "run_id") for a in ("run", "id", "Name", "run_id")),
        *((a, "target") for a in ("language", "lang", "eval_language")),
        *((a, "context_length") for a in ("seq_len", "Sequence Length")),
    ],
)
def test_aliases(csv, alias, canonical):
    table = read_runs(csv(f"{alias},loss\n1000,3\n2000,2\n"))
    assert canonical in table.frame.columns


@pytest.mark.parametrize("alias", ["loss", "val_loss", "eval_loss", "test_loss", "final loss", "eval/loss"])
def test_loss_aliases(csv, alias):
    assert column(read_runs(csv(f"{alias}\n3\n2\n")), "loss") == [3.0, 2.0]


@pytest.mark.parametrize("alias", ["bpb", "bits_per_byte", "BPB", "val_bpb"])
def test_bits_per_byte_by_name(csv, alias):
    assert read_runs(csv(f"{alias}\n1.1\n1\n")).unit == "bits/byte"


def test_unit_from_a_column(csv):
    table = read_runs(csv("loss,unit\n3,nats_per_byte\n2,nats/byte\n"))
    assert table.unit == "nats/byte"
    assert "unit" not in table.frame.columns


def test_unit_from_the_caller(csv):
    table = read_runs(csv(BASE), unit="bpt")
    assert table.unit == "bits/token"
    assert not any("nats/token" in note for note in table.notes)


def test_total_parameters_win_over_model_parameters(csv):
    table = read_runs(csv("model_params,total_params,loss\n8,10,3\n"))
    assert column(table, "params_total") == [10.0]
    assert column(table, "model_params") == [8]
    assert any("'total_params' is used, 'model_params' is kept" in note for note in table.notes)


def test_validation_loss_wins_over_training_loss(csv, tmp_path):
    table = read_runs(csv("loss,eval_loss\n9,3\n"))
    assert column(table, "loss") == [3.0]
    assert column(table, "loss_in_file") == [9]
    assert table.equals(read_runs(table.write(tmp_path / "again.csv")))


def test_unit_chooses_between_two_loss_columns(csv):
    path = csv("loss,bpb\n3,1.1\n")
    assert column(read_runs(path), "loss") == [3.0]
    assert column(read_runs(path, unit="bits/byte"), "loss") == [1.1]


def test_explicit_columns_beat_aliases(csv):
    path = csv("N,my_n,my_loss,loss\n1,10,3,9\n")
    table = read_runs(path, columns={"N": "my_n", "loss": "my_loss"})
    assert column(table, "params_total") == [10.0]
    assert column(table, "loss") == [3.0]
    assert column(table, "N") == [1]


def test_explicit_share_column(csv):
    table = read_runs(csv("loss,german,share:fr\n3,0.5,0.5\n"), columns={"share:de": "german"})
    assert table.languages == ("deu_Latn", "fra_Latn")


def test_other_columns_keep_their_name_and_get_a_type(csv):
    table = read_runs(csv("loss,use,note on it,big,flag,x y\n3,1,abc,1.5,true,007\n2,0,,2,False,1\n"))
    schema = table.frame.schema
    assert schema["use"] == pl.Int64
    assert schema["big"] == pl.Float64
    assert schema["flag"] == pl.Boolean
    assert schema["x y"] == pl.String
    assert column(table, "note on it") == ["abc", None]


def test_quantities_with_suffixes(csv):
    table = read_runs(csv('params,tokens,loss\n70M,1.5B,3\n1.3B,"2,000,000",2\n'))
    assert column(table, "params_total") == [7e7, 1.3e9]
    assert column(table, "tokens") == [1.5e9, 2e6]


def test_tokens_from_compute(csv):
    table = read_runs(csv("N,C,loss\n1e8,6e17,3\n"))
    assert column(table, "tokens") == [1e9]
    assert any("D = C / (6 N)" in note for note in table.notes)


def test_unfinished_runs_are_left_out_and_listed(csv):
    table = read_runs(csv("id,loss,state\na,3,finished\nb,nan,Diverged\nc,2,running\nd,2.5,\n"))
    assert column(table, "run_id") == ["a", "d"]
    assert table.left_out == (LeftOut(2, "b", "status diverged"), LeftOut(3, "c", "status running"))


def test_unknown_status_is_kept_and_said(csv):
    table = read_runs(csv("loss,status\n3,odd\n2,finished\n"))
    assert len(table) == 2
    assert any("'odd'" in note for note in table.notes)


def test_empty_rows_are_listed(csv):
    table = read_runs(csv("N,loss\n1,3\n,\n2,2\n"))
    assert column(table, "row") == [1, 3]
    assert table.left_out == (LeftOut(2, None, "the row is empty"),)


# --- conditions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("use=1", [1, 3]),
        ("use==1", [1, 3]),
        ("use != 1", [2]),
        ("D<5e9", [1, 2]),
        ("tokens <= 4B", [1, 2]),
        ("D>=4e9", [2, 3]),
        ("name=b", [2]),
        ("run_id!=b", [1, 3]),
        ("kind=", [3]),
        ("kind!=x", [2, 3]),
        ("kind!=", [1, 2]),
        ("target=de", [1, 2]),
        ("target=deu_Latn", [1, 2]),
        ("language=German", [1, 2]),
        ("lang!=de", [3]),
    ],
)
def test_where(csv, condition, rows):
    text = "name,D,loss,use,kind,lang\na,2e9,3,1,x,de\nb,4e9,2,0,y,de\nc,8e9,1,1,,fr\n"
    table = read_runs(csv(text), where=condition)
    assert column(table, "row") == rows
    assert all(left.reason.startswith("where ") for left in table.left_out)
    finished = read_runs(csv(text)).where(condition)
    assert finished.equals(table)


def test_where_comes_before_validation(csv):
    path = csv("D,loss,use\n0,nan,0\n1e9,3,1\n-5,text,0\n")
    assert column(read_runs(path, where=["use=1"]), "row") == [2]
    assert column(read_runs(path, where=["D>0"]), "row") == [2]


def test_where_on_a_json_mixture(csv):
    table = read_runs(csv('loss,mixture\n3,"{""de"":0.5,""fr"":0.5}"\n2,"{""de"":1}"\n'), where="share:de>0.6")
    assert column(table, "row") == [2]


def test_where_on_the_users_own_column_name(csv):
    path = csv("model_params,total_params,loss\n8,10,3\n8,20,2\n")
    assert column(read_runs(path, where="total_params>10"), "row") == [2]
    assert len(read_runs(path, where="model_params=8")) == 2


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("usee=1", "unknown column 'usee'.*\n.*'use'"),
        ("use", "not a condition"),
        ("=1", "not a condition"),
        ("D<many", "'many' is not a number"),
        ("D>1e12", "no row is left after 'where D>1e12'"),
    ],
)
def test_bad_conditions(csv, condition, message):
    path = csv("D,loss,use\n1e9,3,1\n")
    with pytest.raises(InputError, match=message):
        read_runs(path, where=condition)
    with pytest.raises(InputError, match=message):
        read_runs(path).where(condition)


# --- several losses in a row --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["eval/{}/loss", "loss:{}", "val/{}/loss"])
def test_wide_losses_melt(csv, form):
    de, fr = form.format("de"), form.format("fr")
    table = read_runs(csv(f"run,D,{fr},{de}\na,1e9,3,4\nb,2e9,2,\n"))
    assert column(table, "target") == ["fra_Latn", "deu_Latn", "fra_Latn"]
    assert column(table, "loss") == [3.0, 4.0, 2.0]
    assert column(table, "row") == [1, 1, 2]
    assert any("1 empty loss cells" in note for note in table.notes)


def test_wide_bits_per_byte(csv):
    path = csv("eval/de/loss,eval/de/bpb,loss\n3,1,9\n2,0.9,8\n")
    assert column(read_runs(path), "loss") == [3.0, 2.0]
    table = read_runs(path, unit="bpb")
    assert column(table, "loss") == [1.0, 0.9]
    assert table.unit == "bits/byte"
    assert column(table, "loss_in_file") == [9, 8]


def test_wide_leftovers_survive_writing(csv, tmp_path):
    table = read_runs(csv("eval/de/loss,eval/de/bpb\n3,1\n2,0.9\n"))
    assert table.equals(read_runs(table.write(tmp_path / "again.csv")))


def test_a_row_without_any_loss_is_listed(csv):
    table = read_runs(csv("run,eval/de/bpb\na,1\nb,\n"))
    assert table.left_out == (LeftOut(2, "b", "no loss in any column"),)


def test_wide_error_names_the_column_of_the_file(csv):
    with pytest.raises(InputError, match=r"runs.csv, row 2, column 'loss:fr': must be a positive number, got '-1'"):
        read_runs(csv("loss:de,loss:fr\n1,2\n1,-1\n"))


# --- mixtures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'loss,mixture\n3,"{""de"":0.25,""fr"":0.75}"\n',
        "loss,share:de,share:fr\n3,0.25,0.75\n",
        "loss,share_de,share_fr\n3,0.25,0.75\n",
        "loss,w_de,w_fr\n3,0.25,0.75\n",
        "loss,share:de,share:fr,share:en\n3,0.25,0.75,\n",
    ],
)
def test_shares_in_every_form(csv, text):
    names, matrix = read_runs(csv(text)).shares()
    assert names[:2] == ("deu_Latn", "fra_Latn")
    assert matrix[0, :2].tolist() == [0.25, 0.75]
    assert matrix.sum() == 1


def test_shares_from_structs():
    frame = pl.DataFrame({"loss": [3.0, 2.0], "mixture": [{"de": 1.0, "fr": None}, {"de": 0.5, "fr": 0.5}]})
    assert read_runs(frame).shares()[1].tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_small_rounding_is_divided_out_and_said(csv):
    table = read_runs(csv("loss,share:de,share:fr\n3,0.5,0.504\n2,0.5,0.5\n"))
    assert table.shares()[1].sum(axis=1) == pytest.approx([1, 1], abs=1e-15)
    assert any("at most 0.004 off" in note for note in table.notes)


def test_unknown_mixture_stays_unknown(csv):
    table = read_runs(csv('loss,mixture\n3,\n2,"{""de"":1}"\n'))
    assert column(table, "share:deu_Latn") == [None, 1.0]


def test_a_single_w_column_is_no_share(csv):
    table = read_runs(csv("loss,w_decay\n3,0.1\n"))
    assert table.languages == ()
    assert column(table, "w_decay") == [0.1]


@pytest.mark.parametrize(("name", "cell"), [("mixture", '"{""de"": 1}"'), ("share:de", "1"), ("share_de", "1")])
def test_w_columns_beside_shares_are_no_shares(csv, name, cell):
    table = read_runs(csv(f"loss,{name},w_decay,w_init\n3,{cell},0.1,0.2\n"))
    assert table.languages == ("deu_Latn",)
    assert column(table, "w_init") == [0.2]


def test_unique_tokens_by_language(csv):
    table = read_runs(csv("loss,unique:de,unique_tokens\n3,5e9,6e9\n"))
    assert column(table, "unique:deu_Latn") == [5e9]
    assert column(table, "unique_tokens") == [6e9]


# --- sources ------------------------------------------------------------------------------------------------

RICH = (
    "run_id,N,D,lang,loss,seed,use,mixture,note\n"
    'a,1e8,2e9,de,3.25,1,1,"{""de"":0.5,""fr"":0.5}","x, y"\n'
    'b,2e8,4e9,fr,3.0,,0,"{""fr"":1.0}",\n'
)


def test_frames_give_the_table_of_the_csv(csv):
    path = csv(RICH)
    expected = read_runs(path)
    pandas = pd.read_csv(path)
    for frame in (pandas, pa.Table.from_pandas(pandas), pl.read_csv(path), pl.scan_csv(path)):
        assert read_runs(frame).equals(expected)


def test_other_files_give_the_table_of_the_csv(csv, tmp_path):
    expected = read_runs(csv(RICH))
    frame = pl.read_csv(tmp_path / "runs.csv")
    frame.write_parquet(tmp_path / "runs.parquet")
    frame.write_csv(tmp_path / "runs.tsv", separator="\t")
    frame.write_ndjson(tmp_path / "runs.jsonl")
    for suffix in ("parquet", "tsv", "jsonl"):
        assert read_runs(tmp_path / f"runs.{suffix}").equals(expected)
    assert read_runs(str(tmp_path / "runs.tsv")).equals(expected)


def test_jsonl_with_nested_mixtures_and_nan(csv):
    lines = [
        {"N": 1e8, "loss": 3.0, "mixture": {"de": 1.0}, "extra": float("nan")},
        {"N": 2e8, "loss": 2.5, "mixture": {"de": 0.5, "fr": 0.5}, "extra": 1.5},
    ]
    table = read_runs(csv("\n".join(json.dumps(line) for line in lines), "runs.jsonl"))
    assert table.shares()[1].tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert column(table, "extra") == [None, 1.5]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfN,D,loss\r\n1e8,2e9,3.1\r\n2e8,4e9,2.9\r\n",
        b"N;D;loss\n1e8;2e9;3.1\n2e8;4e9;2.9",
        b"N,D,loss\r1e8,2e9,3.1\r2e8,4e9,2.9\r",
        b'\n\nN,D,"loss"\n\n 1e8 , 2e9,"3.1"\n\n2e8,4e9,2.9\n\n\n',
    ],
)
def test_files_as_spreadsheets_write_them(csv, text):
    assert read_runs(csv(text)).equals(read_runs(csv(BASE, "plain.csv")))


def test_pandas_index_column(csv):
    assert "unnamed_1" in read_runs(csv(",N,loss\n0,1,3\n1,2,2\n")).frame.columns


def test_mixed_python_objects():
    table = read_runs(pd.DataFrame({"loss": [3, "2.5"], "x": [1, "a"], "y": [None, 2]}))
    assert column(table, "loss") == [3.0, 2.5]
    assert column(table, "x") == ["1", "a"]


def test_a_column_called_row_is_kept(csv, tmp_path):
    table = read_runs(csv("row,loss\n17,3\n18,2\n"))
    assert column(table, "row") == [1, 2]
    assert column(table, "row_in_file") == [17, 18]
    assert table.equals(read_runs(table.write(tmp_path / "again.csv")))


def test_many_rows_are_read(tmp_path):
    rows = 200_000
    frame = pl.DataFrame({"D": range(1, rows + 1)}).with_columns(
        N=pl.lit("1e8"), loss=pl.lit("3.0"), lang=pl.lit("de"), mixture=pl.lit('{"de": 0.5, "fr": 0.5}')
    )
    frame.write_csv(tmp_path / "big.csv")
    table = read_runs(tmp_path / "big.csv")
    assert len(table) == rows
    assert table.shares()[1].mean() == 0.5
