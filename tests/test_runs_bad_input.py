"""What read_runs refuses: every message says what is wrong, the value, where it stands and what to do."""

import contextlib
import json
import os

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.runs import read_runs


@pytest.fixture
def csv(tmp_path):
    def write(text: str | bytes, name: str = "runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refusal(source, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_runs(source, **options)
    return str(caught.value)


# --- files --------------------------------------------------------------------------------------------------


def test_missing_file_suggests_a_near_one(csv, tmp_path):
    csv("loss\n1\n")
    message = refusal(tmp_path / "run.csv")
    assert "no such file" in message
    assert "'runs.csv'" in message
    assert "no folder" in refusal(tmp_path / "nowhere" / "runs.csv")


def test_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_unknown_suffix(csv):
    assert "unknown file suffix '.xlsx'" in refusal(csv("x", "runs.xlsx"))
    assert ".csv" in refusal(csv("x", "runs"))


@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv", "runs.parquet", "runs.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n\n \n"])
def test_empty_file(csv, name, content):
    assert f"{name}: is empty" in refusal(csv(content, name))


def test_header_only(csv):
    assert "runs.csv: has a header but no rows" in refusal(csv("N,D,loss\n"))
    assert "no rows" in refusal(csv("N,D,loss"))
    assert "no rows" in refusal(pl.DataFrame({"N": [], "loss": []}))
    assert "no columns" in refusal(pl.DataFrame())


def test_only_empty_rows(csv):
    assert "no row is left after 'the row is empty'" in refusal(csv("N,loss\n,\n,\n"))


def test_not_utf8_says_where(csv):
    message = refusal(csv("N,loss,note\n1,3,Z\n1,3,Z\xfcrich\n".encode("latin-1")))
    assert "runs.csv: is not UTF-8: byte 0xfc at offset 23, line 3" in message
    assert "UTF-16" in refusal(csv("N,loss\n1,3\n".encode("utf-16")))


def test_not_parquet(csv):
    assert "is not a Parquet file" in refusal(csv("N,loss\n1,2\n", "runs.parquet"))
    assert "damaged Parquet" in refusal(csv(b"PAR1" + bytes(80) + b"PAR1", "runs.parquet"))


def test_not_jsonl(csv):
    assert "runs.jsonl, line 2: is not JSON" in refusal(csv('{"loss": 1}\n{"loss": \n', "runs.jsonl"))
    assert "runs.jsonl, line 1: is a JSON list" in refusal(csv("[1, 2]\n", "runs.jsonl"))


def test_ragged_rows(csv):
    assert "runs.csv, row 2 (line 3): has 2 fields, but the header names 3" in refusal(csv("N,D,loss\n1,1,1\n1,1\n"))
    assert "row 1 (line 2): has 4 fields" in refusal(csv("N,D,loss\n1,1,1,1\n"))
    quoted = 'N,note,loss\n1,"two\nlines",1\n1,2,3,4\n'
    assert "row 2 (line 4): has 4 fields" in refusal(csv(quoted))


def test_quotes_that_do_not_pair(csv):
    message = refusal(csv('N,note,loss\n1,"open,1\n1,x,2\n'))
    assert "row 1" in message


def test_quotes_inside_a_field_are_text(csv):
    table = read_runs(csv('N,note,loss\n1,5" disk,1\n1,a "b" c,2\n'))
    assert table.frame["notes"].to_list() == [
        '5" disk',
        'a "b" c',
    ]


def test_duplicate_columns(csv):
    assert "two columns are called 'N'" in refusal(csv("N,loss,N\n1,2,3\n"))
    assert "two columns are called 'N'" in refusal(csv("N,loss, N \n1,2,3\n"))
    assert "two columns are called 'a'" in refusal(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert "two columns are called 'a'" in refusal(pa.table([[1], [2]], names=["a", "a"]))


def test_two_columns_of_one_language(csv):
    message = refusal(csv("loss,share:de,share:deu\n3,0.5,0.5\n"))
    assert "'share:de' and 'share:deu' both mean share:deu_Latn" in message
    message = refusal(csv('loss,mixture\n3,"{""de"":0.5,""German"":0.5}"\n'))
    assert "'de' and 'German' both mean deu_Latn" in message


def test_no_frame():
    for source in (None, 3, [1, 2], {"loss": [1]}, object()):
        assert "cannot read runs from a" in refusal(source)


# --- columns ------------------------------------------------------------------------------------------------


def test_no_loss_column(csv):
    message = refusal(csv("N,D,lossy\n1,2,3\n"))
    assert "has no loss column; its columns are N, D, lossy" in message
    assert "columns={'loss': 'lossy'}" in message
    assert "val_loss" in message
    assert "Is it" not in refusal(csv("N,D\n1,2\n"))


def test_unknown_explicit_column(csv):
    path = csv("my_params,loss\n1,2\n")
    assert "unknown column 'my_parms'" in refusal(path, columns={"N": "my_parms"})
    assert "'my_params'" in refusal(path, columns={"N": "my_parms"})
    assert "unknown column meaning 'Q'" in refusal(path, columns={"Q": "my_params"})
    assert "says twice" in refusal(path, columns={"N": "my_params", "params_total": "loss"})
    assert "says twice" in refusal(path, columns={"N": "my_params", "D": "my_params"})


def test_a_target_column_beside_wide_losses(csv):
    assert "one loss column per target" in refusal(csv("lang,loss:de\nfr,1\n"))


def test_two_wide_columns_of_one_target(csv):
    assert "same target" in refusal(csv("loss:de,eval/de/loss\n1,2\n"))


# --- units --------------------------------------------------------------------------------------------------


def test_mixed_units_name_the_first_row_of_each(csv):
    message = refusal(csv("loss,unit\n1,nats\n1,nats_per_token\n1,bpb\n"))
    assert "column 'unit': mixes nats/token (first in row 1) and bits/byte (first in row 3)" in message
    assert '--where "unit=nats"' in message
    assert len(read_runs(csv("loss,unit\n1,nats\n1,bpb\n"), where="unit=nats")) == 1


def test_unknown_unit(csv):
    message = refusal(csv("loss,unit\n1,nats\n1,furlongs\n"))
    assert "runs.csv, row 2, column 'unit': unknown loss unit 'furlongs'" in message
    assert "unit: unknown loss unit 'x'" in refusal(csv("loss\n1\n"), unit="x")


def test_contradicting_units(csv):
    assert "holds bits/byte, but unit='nats/token'" in refusal(csv("bpb\n1\n"), unit="nats/token")
    assert "says nats/token" in refusal(csv("bpb,unit\n1,nats/token\n"))
    assert "a loss unit in every row" in refusal(csv("loss,unit\n1,nats/token\n2,\n"))


# --- cells --------------------------------------------------------------------------------------------------

BAD_NUMBERS = (
    "0",
    "-1",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "abc",
    "1e",
    "",
    "1 2",
    "true",
    "None",
    "0x10",
    "10 GB/s",
)
POSITIVE = ("N", "params_non_embedding", "D", "C", "loss", "U", "batch_tokens", "seq_len")
MAY_BE_EMPTY = ("C", "U", "batch_tokens", "seq_len")


BAD_CELLS = [
    (name, value)
    for name in POSITIVE
    for value in BAD_NUMBERS
    if not (name in MAY_BE_EMPTY and value.lower() in ("", "nan"))
]


@pytest.mark.parametrize(("name", "value"), BAD_CELLS)
def test_bad_number_names_row_and_column(csv, name, value):
    header = dict.fromkeys(POSITIVE, "100")
    rows = [{**header}, {**header, name: value}, {**header}]
    text = "\n".join([",".join(header), *(",".join(row.values()) for row in rows)]) + "\n"
    message = refusal(csv(text))
    assert f"runs.csv, row 2, column {name!r}: must be a positive" in message
    assert "empty" in message if value == "" else repr(value) in message
    assert "--where" in message
    assert len(read_runs(csv(text), where="row!=2")) == 2


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan"), None, True])
def test_bad_numbers_in_a_frame(value):
    frame = pl.DataFrame({"N": [1e8, 1e8], "loss": pl.Series([value, value] if value is True else [3.0, value])})
    assert "column 'loss': must be a positive number" in refusal(frame)


def test_how_many_rows_are_bad(csv):
    assert "row 1, column 'D': must be a positive number, got '0' (and 2 more rows)" in refusal(
        csv("D,loss\n0,1\n1,1\n0,1\n-2,1\n")
    )


def test_target_must_be_filled(csv):
    assert "row 2, column 'lang': must be filled" in refusal(csv("lang,loss\nde,1\n,2\n"))


def test_all_runs_unfinished(csv):
    assert "no row is left after 'status killed'" in refusal(csv("loss,status\n1,killed\n"))


# --- mixtures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mixture", "reason"),
    [
        ("{", "is not valid JSON"),
        ("de", "is not valid JSON"),
        ("[0.5]", "is not an object"),
        ("{}", "is not an object"),
        ('{"de": "half"}', "the share 'half', which is not a number"),
        ('{"de": true}', "not a number"),
        ('{"de": NaN}', "not from 0 to 1"),
        ('{"de": -0.5, "fr": 1.5}', "the share -0.5"),
        ('{"de": 70, "fr": 30}', "the share 70"),
        ('{"de": 1' + "0" * 400 + "}", "not from 0 to 1"),
        ('{"de": 1' + "0" * 5000 + "}", "is not valid JSON"),
        ('{"de": 0.5, "de": 0.5}', "names a language twice"),
        ("[" * 100_000, "is not valid JSON"),
    ],
)
def test_bad_mixture(mixture, reason):
    frame = pl.DataFrame({"loss": [1.0, 2.0], "mixture": ['{"de": 1}', mixture]})
    message = refusal(frame)
    assert "frame, row 2, column 'mixture'" in message
    assert reason in message
    assert len(read_runs(frame, where="loss<2")) == 1


def test_shares_must_sum_to_one(csv):
    message = refusal(csv("loss,share:de,share:fr\n1,0.5,0.5\n2,0.5,0.4\n"))
    assert "runs.csv, row 2: the shares of deu_Latn, fra_Latn sum to 0.9, not to 1" in message


@pytest.mark.parametrize("value", ["-0.1", "1.5", "half", "inf"])
def test_shares_must_be_fractions(csv, value):
    message = refusal(csv(f"loss,share_de,share_fr\n1,0.5,0.5\n2,{value},0.4\n"))
    assert f"row 2, column 'share_de': must be a fraction from 0 to 1, got {value!r}" in message


def test_a_mixture_said_twice(csv):
    message = refusal(csv('loss,mixture,share_de\n1,"{""de"": 1}",1\n'))
    assert "has the mixture twice, as 'mixture' and as columns like 'share_de'" in message


def test_mixture_of_the_wrong_type():
    assert "is not a mixture" in refusal(pl.DataFrame({"loss": [1.0], "mixture": [0.5]}))


# --- nothing but InputError ---------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from((".csv", ".tsv", ".parquet", ".jsonl")))
def test_any_bytes_are_a_table_or_an_input_error(tmp_path_factory, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_runs(path)


CELLS = st.one_of(
    st.text(alphabet="0123456789.-+eEn\"',;\r\n {}[]:aé\0", max_size=8),
    st.sampled_from(("1", "2.5", "1e9", "de", "", '"', "nan", "finished", "killed", '{"de": 1}', "nats")),
)
HEADERS = st.lists(
    st.sampled_from(
        (
            *(
                "N",
                "D",
                "loss",
                "bpb",
                "unit",
                "mixture",
                "share:de",
                "w_a",
                "w_b",
                "status",
                "lang",
                "loss:de",
            ),
            *(
                "row",
                "use",
                "eval/fr/bpb",
                "eval/fr/loss",
                "seed",
                "x",
                "unique:de",
                "run",
                "val_loss",
                "",
                "C",
                "U",
            ),
        )
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_cells_are_a_table_or_an_input_error(tmp_path_factory, data):
    header = data.draw(HEADERS)
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), min_size=1, max_size=4))
    raw = data.draw(st.booleans())
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    if raw:
        text = "\n".join([",".join(header), *(",".join(row) for row in rows)]) + "\n"
    else:
        text = "\n".join(",".join(f'"{c.replace(chr(34), chr(34) * 2)}"' for c in r) for r in [header, *rows]) + "\n"
    path.write_text(text, encoding="utf-8", newline="")
    frame = pl.DataFrame({h: [row[i] for row in rows] for i, h in enumerate(header)})
    for source in (path, frame):
        try:
            table = read_runs(source)
        except InputError:
            continue
        assert (table.frame["loss"] > 0).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(("N", "loss", "mixture", "x")),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
                lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
                max_leaves=4,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_json_lines_are_a_table_or_an_input_error(tmp_path_factory, records):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    with contextlib.suppress(InputError):
        read_runs(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(csv):
    path = csv("loss\n1\n")
    path.chmod(0)
    assert "cannot be read" in refusal(path)
