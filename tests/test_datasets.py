"""Tables that are shipped are read by name, everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import isogloss
from isogloss import read_runs
from isogloss.cli.main import run
from isogloss.datasets import help_texts
from isogloss.errors import InputError


def test_help_texts_are_finished_models_in_bits_per_byte() -> None:
    table = help_texts()
    assert str(table.unit) == "bits/byte"
    assert set(table.frame["lr_phase"]) == {"final"}
    assert table.equals(read_runs("isogloss://help-texts"))
    assert len(table.frame["run_id"].unique()) > 40


def test_a_shipped_table_goes_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "show", "isogloss://help-texts", "-o", str(tmp_path / "shown")]) == 0
    page = (tmp_path / "shown" / "runs.html").read_text(encoding="utf-8")
    assert "isogloss://help-texts/main" in page
    assert str(Path(isogloss.__file__).parent) not in page + capsys.readouterr().out
    assert run(["runs", "lint", "isogloss://help-text"]) == 2
    assert "Did you mean 'isogloss://help-texts'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "targets"),
    [
        ("disjoint", 6),
        ("confirm", 14),
        ("planned", 14),
        ("vocab-multilingual", 14),
        ("vocab-ekk_Latn", 1),
        ("prose", 10),
        ("declaration", 400),
    ],
)
def test_every_part_is_a_table_of_finished_models(part: str, targets: int) -> None:
    table = help_texts(part)
    assert str(table.unit) == "bits/byte"
    assert len(table.targets) >= targets
    # Of a script that a model has never seen it knows nothing: many bits.
    assert (table.frame["loss"] > 0.1).all()


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError, match="unknown table 'isogloss://help-texts/nowhere'"):
        help_texts("nowhere")
