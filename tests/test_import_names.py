"""N out of a run's name, by a pattern."""

from __future__ import annotations

import polars as pl
import pytest

from imports import MAP, FakeSource, curve
from isogloss.errors import InputError
from isogloss.runs.importing import guess_mapping, import_runs, read_mapping
from isogloss.runs.importing.logged import LoggedRun
from isogloss.runs.importing.mapping import mapping_from_text
from isogloss.runs.importing.names import NamePattern, guess_pattern
from isogloss.runs.importing.toml import to_toml


@pytest.mark.parametrize(
    ("pattern", "name", "size"),
    [
        ("pythia-{N}*", "pythia-70m", 70e6),
        ("pythia-{N}*", "pythia-6.9B-deduped", 6.9e9),
        ("*{N}*", "1.3B-est", 1.3e9),
        ("{N}-est", "1.3B-est", 1.3e9),
        ("*{N}*", "opt-1p3b", 1.3e9),
        ("llama{N}_*", "Llama7b_fi", 7e9),
        ("*-{N}-*", "gpt-124439808-s1", 124439808),
        ("*_{N}", "gpt_124,439,808", 124439808),
        ("*{N}-s?", "fin-410M-s2", 410e6),
        ("*{N}*", "12layers-2bc-410m", 410e6),
        ("pythia-{N}", "pythia-70m-deduped", None),
        ("*{N}*", "run-17", None),
        ("*{N}*", "lr-3e-4", None),
        ("*{N}*", "10k-0.5t", 10e3),
        ("*{N}*", "5000t", None),
    ],
)
def test_sizes_in_names(pattern, name, size):
    assert NamePattern(pattern).size(name) == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["pythia-70m", "pythia-1.4b"], "*{N}*"),
        (["70m-300b", "160m-300b"], None),
        (["70m", "baseline"], None),
        (["run-1", "run-2"], None),
        ([], None),
    ],
)
def test_only_names_with_one_size_each_are_guessed(names, pattern):
    assert guess_pattern(names) == pattern


def named(*names: str) -> FakeSource:
    runs = []
    for name in names:
        whole = curve(name)
        config = {k: v for k, v in whole.config.items() if k != "N"}
        runs.append(LoggedRun(name, name, whole.status, config, whole.metrics))
    return FakeSource(runs)


def test_n_is_taken_from_the_name_and_it_is_said(tmp_path):
    mapping = {**MAP, "run": {"params_total": {"name": "fin-{N}*"}}}
    report = import_runs(named("fin-70m", "fin-1.3B-est", "fin-base"), tmp_path / "s", mapping)
    runs = pl.read_parquet(tmp_path / "s" / "runs.parquet")
    assert dict(runs.select("run_id", "params_total").iter_rows()) == {
        "fin-70m": 70_000_000,
        "fin-1.3B-est": 1_300_000_000,
        "fin-base": None,
    }
    assert "params_total: not found in 1 of 3 runs (fin-{N}*)." in report.notes
    assert any("read from the runs' names by fin-{N}*" in note for note in report.notes)
    assert mapping_from_text(to_toml(read_mapping(mapping)), "again") == read_mapping(mapping)


def test_a_guess_proposes_it_to_be_checked():
    guess = guess_mapping(named("fin-70m", "fin-1.3B-est"))
    assert "# N by the names of the runs (fin-70m, fin-1.3B-est): check it." in guess.toml
    # The unit of these losses is left to fill in.
    wanted = mapping_from_text(guess.toml.replace('""', '"nats/token"'), "guess").run.params_total
    assert wanted == read_mapping({**MAP, "run": {"params_total": {"name": "*{N}*"}}}).run.params_total
    # A setting says it better.
    assert "by the names" not in guess_mapping(FakeSource([curve("fin-70m"), curve("fin-160m")])).toml
    assert "by the names" not in guess_mapping(named("a", "b")).toml


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"name": "pythia"}, r"run.params_total.name: 'pythia' has \{N\} nowhere"),
        ({"name": "{N}-{N}"}, "more than once"),
        ({"name": "{size}"}, r"unknown placeholder '\{size\}'"),
        ({"nmae": "{N}"}, "Did you mean 'name'"),
        ({"name": ""}, "is empty"),
        ("a + b", "no place in a product"),
    ],
)
def test_refused_with_the_key_and_a_cure(wanted, said):
    with pytest.raises(InputError, match=said) as caught:
        read_mapping({**MAP, "run": {"params_total": wanted}})
    assert str(caught.value).startswith("mapping, run.params_total")
