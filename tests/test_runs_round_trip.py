"""What is written is read again; what is spelled otherwise is read the same; what is wrong is found."""

import json

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.runs import read_runs
from isogloss.runs.columns import COLUMNS, accepted_names

# Examples share a folder on purpose: each one overwrites the file of the one before.
SETTINGS = settings(max_examples=60, deadline=None)

POSITIVE = st.floats(min_value=1e-3, max_value=1e25, allow_nan=False)
TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=8)
LANGUAGES = ("de", "fr", "swh_Latn", "German", "en_clone1", "zh")


@st.composite
def frames(draw) -> pl.DataFrame:
    """A table of runs as a user might have it, in canonical or own columns, full or with gaps."""
    rows = draw(st.integers(1, 5))

    def cells(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    columns: dict[str, list] = {"loss": cells(st.floats(0.01, 20))}
    optional = {
        "N": POSITIVE,
        "D": POSITIVE,
        "params_non_embedding": POSITIVE,
        "flops": POSITIVE | st.none(),
        "U": POSITIVE | st.none(),
        "run": TEXT,
        "lang": st.sampled_from(LANGUAGES),
        "seed": st.integers(0, 2**31) | st.none(),
        "val_loss": st.floats(0.01, 20),
        "bpb": st.floats(0.01, 20),
        "use": st.integers(0, 1),
        "flag": st.booleans() | st.none(),
        "free text": TEXT | st.none(),
        "number": st.floats(allow_nan=True) | st.none(),
        "whole": st.integers(-(2**62), 2**62) | st.none(),
        "row": st.integers(0, 9),
        "vocab_size": st.integers(1, 10**6) | st.none(),
        'odd, "name"': TEXT,
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        columns[name] = cells(optional[name])
    if draw(st.booleans()):
        columns["mixture"] = cells(st.sampled_from(('{"de": 1.0}', '{"de": 0.3, "fr": 0.7}', '{"xx_": 1}', None)))
    return pl.DataFrame({name: pl.Series(name, values, strict=False) for name, values in columns.items()})


@SETTINGS
@given(frames(), st.sampled_from((".csv", ".parquet")), st.sampled_from((None, "bits/token")))
def test_written_tables_are_read_again(tmp_path_factory, frame, suffix, unit):
    table = read_runs(frame, unit=unit)
    path = table.write(tmp_path_factory.getbasetemp() / f"written{suffix}")
    again = read_runs(path)
    assert again.unit == table.unit
    assert again.frame.schema == table.frame.schema
    assert again.equals(table)


@SETTINGS
@given(frames())
def test_a_csv_gives_the_table_of_the_frame(tmp_path_factory, frame):
    # In a CSV a column of nan alone is text: nan is also the code of a language.
    values = set(frame["number"].drop_nulls().cast(pl.String)) if "number" in frame else set()
    assume(values != {"NaN"})
    path = tmp_path_factory.getbasetemp() / "frame.csv"
    frame.write_csv(path)
    assert read_runs(path).equals(read_runs(frame))


SPELLED = [c for c in COLUMNS if c.domain in ("positive", "count")]


@SETTINGS
@given(st.data())
def test_columns_are_known_in_any_spelling(data):
    columns = {"loss": 3}
    for column in data.draw(st.lists(st.sampled_from(SPELLED), unique=True, min_size=1)):
        name = data.draw(st.sampled_from(accepted_names(column.name)))
        separator = data.draw(st.sampled_from("_- "))
        name = data.draw(st.sampled_from((str.upper, str.lower, str.title, str)))(name.replace("_", separator))
        if column.name == "loss":
            columns.pop("loss")
        columns[name] = 7
    table = read_runs(pl.DataFrame({name: [value] for name, value in columns.items()}))
    # One column for each that was spelled, besides tokens where they follow from compute.
    known = {c.name for c in SPELLED} & set(table.frame.columns)
    derived = any("D = C / (6 N)" in note for note in table.notes)
    assert len(known) == len(columns) + derived


@SETTINGS
@given(
    st.integers(1, 8),
    st.data(),
    st.sampled_from(("loss", "params_total", "tokens")),
    st.sampled_from((0.0, -1.5, float("inf"), float("nan"), None)),
)
def test_one_bad_value_is_found(rows, data, name, value):
    bad = data.draw(st.integers(1, rows))
    assume(rows > 1 or value is not None)
    columns: dict[str, list] = {c: [2.0] * rows for c in ("loss", "params_total", "tokens")}
    columns[name][bad - 1] = value
    frame = pl.DataFrame({c: pl.Series(c, v, dtype=pl.Float64) for c, v in columns.items()})
    assume(not (rows == 1 and value != value))
    with pytest.raises(InputError) as caught:
        read_runs(frame)
    assert f"frame, row {bad}, column '{name}'" in str(caught.value)


@SETTINGS
@given(st.dictionaries(st.sampled_from(LANGUAGES[:3]), st.floats(0.01, 1), min_size=1))
def test_shares_sum_to_one(raw):
    total = sum(raw.values())
    mixture = {name: share / total for name, share in raw.items()}
    table = read_runs(pl.DataFrame({"loss": [3.0], "mixture": [json.dumps(mixture)]}))
    names, matrix = table.shares()
    assert len(names) == len(raw)
    assert matrix.sum() == pytest.approx(1)


@SETTINGS
@given(frames(), st.floats(0.01, 20))
def test_rows_are_kept_or_listed(frame, limit):
    try:
        table = read_runs(frame, where=f"loss<{limit!r}")
    except InputError as error:
        assert "no row is left" in str(error)  # noqa: PT017
        return
    listed = {left.row for left in table.left_out}
    kept = set(table.frame["row"].to_list())
    assert listed | kept == set(range(1, frame.height + 1))
    assert not listed & kept
