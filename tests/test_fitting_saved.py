"""A fit on disk: whole or not at all, and the same answers after loading. Any data frame makes one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from isogloss.errors import InputError
from isogloss.fitting import Fit, fit, load_fit
from isogloss.laws import Atlas
from simulate import DESIGNS, chinchilla

FILES = {"fit.json", "draws.parquet", "rows.parquet"}


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit("chinchilla", chinchilla().frame(noise=3e-3), starts=16, draws=50)


def names_in(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


# --- round trip -------------------------------------------------------------------------------------


def test_a_loaded_fit_predicts_identically(fitted: Fit, tmp_path: Path) -> None:
    loaded = load_fit(fitted.save(tmp_path / "fit"))
    at = {"N": [1e8, 1e9, 1e10], "D": [1e10, 2e10, 1e12]}
    assert loaded.predict(at).equals(fitted.predict(at))
    assert {"low", "high"} <= set(loaded.predict(at).columns)
    assert loaded.optimum([1e21, 1e23]).equals(fitted.optimum([1e21, 1e23]))
    assert loaded.to_dict() == fitted.to_dict()
    assert np.array_equal(loaded.draws, fitted.draws)
    assert loaded.rows.equals(fitted.rows)
    assert names_in(tmp_path / "fit") == FILES


def with_few_free(name: str, *free: str, draws: int = 0) -> Fit:
    """A fit of any law that takes little: all coefficients but `free` are held at the truth."""
    design = DESIGNS[name]()
    fix = {k: v for k, v in design.truth.items() if k not in free}
    return fit(name, design.frame(), fix=fix, starts=4, draws=draws, **design.options)


@pytest.mark.parametrize(
    ("name", "free"),
    [("data-constrained", "R_D"), ("k-law", "psi"), ("family", "gamma"), ("atlas", "tau[fra_Latn]")],
)
def test_every_law_survives_saving(name: str, free: str, tmp_path: Path) -> None:
    answer = with_few_free(name, "E", free, draws=5)
    loaded = load_fit(answer.save(tmp_path / "fit"))
    at = {c: np.array([1e9, 3e9]) for c in answer.law.columns}
    at |= {c: np.full(2, 4.0 if c == "K" else 0.5) for c in ("K", "p") if c in at}
    at |= {c: np.full((2, 2), 2e9) for c in answer.law.columns if c.endswith("_sources")}
    assert loaded.predict(at).equals(answer.predict(at))
    assert type(loaded.law) is type(answer.law)
    assert loaded.layout == answer.layout


def test_what_was_fixed_freed_and_switched_survives(tmp_path: Path) -> None:
    frame = chinchilla().frame().with_columns(target=pl.lit("et"))
    fix = {"A": 478.0, "alpha": 0.347, "B": 2144.0, "beta": 0.367}
    answer = fit("atlas", frame, fix=fix, free=["phi"], switches={"dose": "equal"}, starts=4, draws=0)
    loaded = load_fit(answer.save(tmp_path / "fit"))
    assert loaded.coefficients == answer.coefficients
    assert loaded.layout == answer.layout
    assert isinstance(loaded.law, Atlas)
    assert loaded.law.dose == "equal"


def test_the_file_is_json_that_any_reader_takes(fitted: Fit, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    saved = json.loads((fitted.save(tmp_path / "fit") / "fit.json").read_text(), parse_constant=refuse)
    assert saved["coefficients"]["E"]["value"] == fitted.values[0]
    assert saved["schema"] == 1


# --- writing ----------------------------------------------------------------------------------------


def test_an_older_fit_is_replaced_whole(fitted: Fit, tmp_path: Path) -> None:
    fitted.save(tmp_path / "fit")
    (tmp_path / "fit" / "fit.html").write_text("of the older fit")
    newer = fit("chinchilla", chinchilla().frame(seed=9), starts=4, draws=0)
    newer.save(tmp_path / "fit")
    assert load_fit(tmp_path / "fit").objective == newer.objective
    assert names_in(tmp_path / "fit") == FILES
    assert names_in(tmp_path) == {"fit"}


def test_a_folder_with_other_files_is_left_alone(fitted: Fit, tmp_path: Path) -> None:
    thesis = tmp_path / "mine" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    with pytest.raises(InputError, match=r"mine holds other files \(no fit.json\)"):
        fitted.save(tmp_path / "mine")
    assert thesis.read_text() == "years of work"
    assert names_in(tmp_path / "mine") == {"thesis.txt"}
    assert names_in(tmp_path) == {"mine"}


def test_an_empty_folder_is_used_and_a_file_is_not(fitted: Fit, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fitted.save(tmp_path / "empty")
    assert names_in(tmp_path / "empty") == FILES
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="file is a file"):
        fitted.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "text"
    assert names_in(tmp_path) == {"empty", "file"}
    assert names_in(fitted.save(tmp_path / "new" / "deeper" / "fit")) == FILES


def test_a_failure_while_writing_leaves_the_older_fit(
    fitted: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save(tmp_path / "fit")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="No space"):
        fitted.save(tmp_path / "fit")
    monkeypatch.undo()
    assert load_fit(tmp_path / "fit").to_dict() == fitted.to_dict()
    assert names_in(tmp_path) == {"fit"}


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", sorted(FILES))
def test_an_incomplete_fit_is_refused(fitted: Fit, tmp_path: Path, lost: str) -> None:
    folder = fitted.save(tmp_path / "fit")
    (folder / lost).unlink()
    with pytest.raises(InputError, match=lost):
        load_fit(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("fit.json", b"{"),
        ("fit.json", b"\xff\xfe"),
        ("fit.json", b"[]"),
        ("fit.json", b'{"schema": 1}'),
        ("fit.json", b'{"schema": 2}'),
        ("draws.parquet", b"PAR1"),
        ("rows.parquet", b""),
    ],
    ids=["cut short", "not UTF-8", "a list", "no law", "newer schema", "damaged draws", "empty rows"],
)
def test_a_damaged_fit_is_refused(fitted: Fit, tmp_path: Path, name: str, content: bytes) -> None:
    folder = fitted.save(tmp_path / "fit")
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match="fit"):
        load_fit(folder)


# --- frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table, pl.DataFrame], ids=["pandas", "pyarrow", "dict via polars"])
def test_any_frame_makes_the_same_fit(make, fitted: Fit) -> None:
    columns = chinchilla().frame(noise=3e-3).to_dict(as_series=False)
    assert fit("chinchilla", make(columns), starts=16, draws=0).values.tolist() == fitted.values.tolist()


def test_a_file_makes_the_same_fit(fitted: Fit, tmp_path: Path) -> None:
    chinchilla().frame(noise=3e-3).write_csv(tmp_path / "runs.csv")
    answer = fit("chinchilla", tmp_path / "runs.csv", starts=16, draws=0)
    assert answer.values == pytest.approx(fitted.values, rel=1e-9)
    assert answer.source == "runs.csv"


# --- predicting -------------------------------------------------------------------------------------


def test_scalars_lists_and_frames_predict_alike(fitted: Fit) -> None:
    by_list = fitted.predict(N=1e9, D=[2e10, 4e10])
    assert by_list.columns == ["N", "D", "loss", "low", "high", "run_low", "run_high"]
    assert by_list.height == 2
    assert fitted.predict(pl.DataFrame({"N": [1e9, 1e9], "D": [2e10, 4e10]})).equals(by_list)
    assert fitted.predict(pd.DataFrame({"N": [1e9, 1e9], "D": [2e10, 4e10]})).equals(by_list)
    assert (by_list["low"] < by_list["loss"]).all()
    assert (by_list["loss"] < by_list["high"]).all()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"N": 1e9}, "needs D"),
        ({}, "nothing to predict"),
        ({"N": [1e9, 2e9], "D": [1e9, 2e9, 3e9]}, "2 values where others have 3"),
    ],
    ids=["missing", "empty", "uneven"],
)
def test_columns_that_do_not_fit(fitted: Fit, columns: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        fitted.predict(columns)


@pytest.mark.parametrize("bad", [0.0, -1e9, float("nan")])
def test_no_prediction_for_what_is_no_size(fitted: Fit, bad: float) -> None:
    with pytest.raises(InputError, match="N"):
        fitted.predict(N=[1e9, bad], D=2e10)


def test_each_source_needs_its_own_column() -> None:
    """One number for two sources would be taken for both, or for two rows."""
    answer = with_few_free("atlas", "E")
    at = {"N": 1e9, "D_target": 2e9, "U_target": 2e9, "D_other": 0.0, "U_other": 1e9, "K": 3.0}
    right = answer.predict({**at, "D_sources": [[1e9, 2e9]], "U_sources": [[1e10, 1e10]]})
    assert right.height == 1
    for flat in ([1e9, 2e9], [1e9], 1e9):
        with pytest.raises(InputError, match="D_sources"):
            answer.predict({**at, "D_sources": flat, "U_sources": [[1e10, 1e10]]})
