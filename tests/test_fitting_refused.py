"""Runs and options that cannot make a fit: each message names what is wrong and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.fitting import fit
from simulate import atlas, chinchilla, family

GOOD = chinchilla().frame()


def refusal(law: str, runs: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        fit(law, runs, **{"starts": 2, "draws": 0, **options})
    return str(caught.value)


@pytest.mark.parametrize(
    ("law", "frame", "says"),
    [
        pytest.param(
            "chinchilla",
            GOOD.with_columns(run_id=pl.lit("only")),
            ["one run only", "42 rows", "run_id"],
            id="one run",
        ),
        pytest.param("chinchilla", GOOD.head(1), ["one run only"], id="one row"),
        pytest.param(
            "chinchilla", GOOD.with_columns(loss=pl.lit(2.5)), ["all 42 losses equal 2.5", "column loss"], id="equal"
        ),
        pytest.param(
            "chinchilla",
            GOOD.head(5),
            ["5 rows cannot determine 5 coefficients", "E, A, alpha, B, beta", "--fix"],
            id="fewer rows than coefficients",
        ),
        pytest.param("chinchilla", GOOD.drop("D"), ["needs D", "no column tokens"], id="no tokens"),
        pytest.param("chinchilla", GOOD.drop("N"), ["params_total"], id="no size"),
        pytest.param("chinchilla", GOOD.drop("loss"), ["loss"], id="no loss"),
        pytest.param("data-constrained", GOOD, ["unique_tokens", "U"], id="no unique tokens"),
        pytest.param("family", GOOD, ["one target language", "no target column"], id="no target"),
    ],
)
def test_runs_that_cannot_determine_the_law(law: str, frame: pl.DataFrame, says: list[str]) -> None:
    message = refusal(law, frame)
    for part in says:
        assert part in message


def test_nothing_left_to_fit() -> None:
    everything = {"E": 1.8, "A": 478.0, "alpha": 0.3, "B": 2000.0, "beta": 0.3}
    assert "every coefficient is held" in refusal("chinchilla", GOOD, fix=everything)


@pytest.mark.parametrize("law", ["atlas", "family", "k-law"])
def test_several_targets_need_a_choice(law: str) -> None:
    frame = family().frame()
    two = frame.with_columns(target=pl.Series(["de", "en"] * (frame.height // 2)))
    message = refusal(law, two)
    assert "2: deu_Latn, eng_Latn" in message
    assert "--target deu_Latn" in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"law": "chincilla"}, ["unknown law 'chincilla'", "'chinchilla'"], id="law"),
        pytest.param({"objective": "huber-lg"}, ["unknown objective 'huber-lg'", "'huber-log'"], id="objective"),
        pytest.param({"fix": {"alfa": 0.3}}, ["coefficient of law chinchilla 'alfa'", "'alpha'"], id="fix"),
        pytest.param({"free": ["betta"]}, ["'betta'", "'beta'"], id="free"),
        pytest.param({"fix": {"alpha": 5}}, ["--fix alpha", "alpha = 5", "between 0 and 3"], id="above bounds"),
        pytest.param({"fix": {"A": -1}}, ["--fix A", "A = -1"], id="negative"),
        pytest.param({"fix": {"A": 0}}, ["--fix A", "A = 0"], id="zero where a logarithm is taken"),
        pytest.param({"fix": {"E": np.nan}}, ["--fix E", "nan"], id="nan"),
        pytest.param({"switches": {"doze": "equal"}}, ["switch of law chinchilla 'doze'"], id="switch"),
        pytest.param({"target": "fr"}, ["target"], id="no target column"),
        pytest.param({"params": "non_embedding"}, ["no column params_non_embedding", "params_total"], id="params"),
        pytest.param({"starts": 0}, ["starts"], id="no starts"),
        pytest.param({"draws": -1}, ["draws"], id="negative draws"),
        pytest.param({"level": 1.0}, ["level"], id="level"),
    ],
)
def test_bad_options(options: dict[str, Any], says: list[str]) -> None:
    message = refusal(**{"law": "chinchilla", "runs": GOOD, **options})
    for part in says:
        assert part in message


def test_a_source_must_be_in_the_mixtures() -> None:
    message = refusal("atlas", atlas().frame(), sources=["spa_Latn"])
    assert "spa_Latn" in message
    assert "fra_Latn" in message


def test_an_unknown_target_suggests_a_near_one() -> None:
    message = refusal("family", family().frame(), target="dev_Latn")
    assert "dev_Latn" in message
    assert "deu_Latn" in message


def test_a_missing_file_is_named() -> None:
    assert "nowhere.csv" in refusal("chinchilla", "nowhere.csv")
