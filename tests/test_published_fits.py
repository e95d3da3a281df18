"""Published fits, reproduced from the public run tables that their authors fitted."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from isogloss.fitting import Fit, FitStatus, HuberLogLoss, fit
from isogloss.fitting.health import Profile
from isogloss.fitting.rows import rows_for
from isogloss.laws import Atlas, Chinchilla, DataConstrained, Law
from isogloss.runs import RunTable, read_runs

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not (DATA / "chinchilla_svg.csv").is_file(),
    reason="the public run tables are not here: set ISOGLOSS_DATA to their folder",
)

# Muennighoff et al. 2023, arXiv:2305.16264: held when R_D* and R_N* were fitted.
HELD = {
    "E": math.exp(0.6254804),
    "A": math.exp(6.255414),
    "B": math.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
}


def score(law: Law, table: RunTable, **columns: np.ndarray) -> float:
    """The summed Huber cost of log losses with delta 1e-3, in plain NumPy."""
    N, _ = table.params()
    D = table.frame["tokens"].to_numpy()
    r = np.abs(np.log(np.asarray(law.loss(N=N, D=D, **columns))) - np.log(table.frame["loss"].to_numpy()))
    return float(np.where(r <= 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)).sum())


def values(answer: Fit) -> dict[str, float]:
    return {e.name: e.value for e in answer.coefficients}


def profile(answer: Fit, name: str) -> Profile:
    return next(p for p in answer.health.profiles if p.name == name)


# --- Chinchilla's runs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chinchilla() -> RunTable:
    return read_runs(DATA / "chinchilla_svg.csv", where="use=1")


@pytest.mark.parametrize("seed", range(5))
def test_chinchilla_of_240_points(chinchilla: RunTable, seed: int) -> None:
    """Besiroglu et al. 2024, arXiv:2404.10102: their grid of starts reaches 0.00101827."""
    answer = fit("chinchilla", chinchilla, starts=32, draws=0, seed=seed)
    found = values(answer)
    assert answer.rows.height == 240
    assert answer.objective <= 0.00101828
    assert found["E"] == pytest.approx(1.8172, abs=5e-4)
    assert found["alpha"] == pytest.approx(0.3473, abs=5e-4)
    assert found["beta"] == pytest.approx(0.3672, abs=5e-4)
    assert found["A"] == pytest.approx(477.84, rel=2e-3)
    assert found["B"] == pytest.approx(2143.86, rel=2e-3)
    assert answer.objective == pytest.approx(score(answer.law, chinchilla), rel=1e-9)


def test_chinchillas_intervals_are_of_the_published_width(chinchilla: RunTable) -> None:
    """The replication's standard errors: E 0.026, alpha 0.015, beta 0.021."""
    answer = fit("chinchilla", chinchilla, starts=32, draws=200)
    for e in answer.coefficients:
        published = {"E": 0.026, "alpha": 0.015, "beta": 0.021}.get(e.name)
        if published is not None:
            assert e.low is not None
            assert e.high is not None
            assert (e.high - e.low) / (2 * 1.645) == pytest.approx(published, rel=0.5), e.name
            assert e.low < e.value < e.high
    assert answer.status is FitStatus.GOOD


def test_the_paper_s_own_coefficients_fit_worse(chinchilla: RunTable) -> None:
    printed = Chinchilla(E=1.69, A=406.4, alpha=0.3392, B=410.7, beta=0.2849)
    assert score(printed, chinchilla) > 1.3 * 0.00101828


def test_chinchilla_of_all_245_points() -> None:
    answer = fit("chinchilla", read_runs(DATA / "chinchilla_svg.csv"), starts=32, draws=0)
    assert answer.rows.height == 245
    assert answer.objective <= 0.00182602


# --- repeated data ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repeated() -> RunTable:
    return read_runs(DATA / "datablations.csv", where="in_published_fit=1")


@pytest.fixture(scope="module")
def saturation(repeated: RunTable) -> Fit:
    return fit("data-constrained", repeated, fix=HELD, draws=0)


def test_published_saturation_scores_as_published(repeated: RunTable) -> None:
    law = DataConstrained(**HELD, R_D=15.387756, R_N=5.309743)
    U = repeated.frame["unique_tokens"].to_numpy()
    assert len(repeated) == 182
    assert score(law, repeated, U=U) == pytest.approx(0.0158259, abs=1e-7)


def test_two_free_coefficients_reach_the_published_objective(repeated: RunTable, saturation: Fit) -> None:
    assert saturation.rows.height == 182
    assert saturation.objective <= 0.0158048
    U = repeated.frame["unique_tokens"].to_numpy()
    assert score(saturation.law, repeated, U=U) == pytest.approx(saturation.objective, rel=1e-9)
    assert {e.name for e in saturation.coefficients if not e.held} == {"R_D", "R_N"}


def test_the_runs_hardly_determine_repetition(saturation: Fit) -> None:
    R_D = profile(saturation, "R_D")
    assert not R_D.determined
    assert R_D.low <= 15
    assert R_D.high >= 200
    assert saturation.status is FitStatus.WEAK
    assert any(w.startswith("R_D is poorly determined") for w in saturation.warnings)


def test_seven_free_coefficients(repeated: RunTable) -> None:
    answer = fit("data-constrained", repeated, draws=0)
    assert answer.objective <= 0.0065325
    assert sum(not e.held for e in answer.coefficients) == 7


# --- mixtures of languages --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_languages() -> RunTable:
    return read_runs(DATA / "xling_enfr.csv", where="use=1").for_target("fr")


def test_one_size_of_two_languages_fits_and_warns(two_languages: RunTable) -> None:
    answer = fit("family", two_languages, starts=16, draws=20)
    assert np.isfinite(answer.objective)
    assert {"A", "alpha"} <= set(answer.health.entangled)
    assert answer.status is not FitStatus.GOOD
    assert any("cannot be told apart" in w for w in answer.warnings)


def test_what_atlas_sees_of_two_languages(two_languages: RunTable) -> None:
    """Everything that is not French is English, and no text is known to be repeated."""
    rows = rows_for(Atlas, two_languages)
    columns = rows.columns
    assert rows.sources == ("eng_Latn",)
    D = two_languages.frame["tokens"].to_numpy()
    assert columns["D_target"] + columns["D_sources"][:, 0] == pytest.approx(D)
    assert columns["D_target"] == pytest.approx(two_languages.frame["target_tokens"].to_numpy(), rel=1e-4)
    assert (columns["D_other"] == 0).all()
    assert np.isinf(columns["U_target"]).all()
    assert (columns["K"] >= 1).all()
    assert (columns["K"] <= 2 + 1e-9).all()


def test_the_default_objective_is_the_one_that_was_published() -> None:
    assert HuberLogLoss() == HuberLogLoss(delta=1e-3)
