"""Fits of runs whose law is known: what was put in comes out, with intervals, the same every time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isogloss.fitting import Fit, FitStatus, fit
from isogloss.fitting.columns import Columns
from isogloss.laws import Atlas, KLaw
from isogloss.runs import read_runs
from simulate import CHINCHILLA, DESIGNS, N_PER_U, chinchilla, chinchilla_loss, k_law


def values(answer: Fit) -> dict[str, float]:
    return {e.name: e.value for e in answer.coefficients}


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return chinchilla().frame(noise=3e-3)


@pytest.fixture(scope="module")
def fitted(frame: pl.DataFrame) -> Fit:
    return fit("chinchilla", frame, starts=32, draws=100)


# --- recovery ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_known_coefficients_come_back(name: str) -> None:
    design = DESIGNS[name]()
    answer = fit(design.law, design.frame(), starts=32, draws=0, **design.options)
    found = values(answer)
    held = {e.name: e.value for e in answer.coefficients if e.held}
    assert {**held, **design.truth}.keys() == found.keys()
    assert held == pytest.approx({"atlas": {"phi": 0.0}, "data-constrained": {"N_per_U": N_PER_U}}.get(name, {}))
    # A and B are the terms at N = D = 1, far outside the runs: an error in the exponent is amplified there.
    for coefficient, true in design.truth.items():
        within = 0.02 if coefficient in ("A", "B") else 0.01
        assert found[coefficient] == pytest.approx(true, rel=within), coefficient
    assert answer.status is FitStatus.GOOD
    assert answer.law.name == design.law
    assert answer.rows.height == len(design.loss)
    assert np.abs(answer.rows["relative_error"]).max() < 1e-3


def test_a_class_serves_as_well_as_its_name() -> None:
    frame = k_law().frame()
    by_class, by_name = (fit(law, frame, starts=8, draws=0) for law in (KLaw, "k-law"))
    assert by_class.values.tolist() == by_name.values.tolist()


def test_predictions_between_the_runs_are_right() -> None:
    answer = fit("chinchilla", chinchilla().frame(), starts=16, draws=0)
    N, D = np.array([1e8, 7e8, 2e9]), np.array([5e9, 2e10, 9e10])
    assert answer.predict(N=N, D=D)["loss"].to_numpy() == pytest.approx(chinchilla_loss(N, D), rel=5e-4)


def test_optimum_of_the_fit_is_the_laws_own() -> None:
    answer = fit("chinchilla", chinchilla().frame(noise=1e-5), starts=16, draws=0)
    t = CHINCHILLA
    C = 1e22
    at = answer.optimum([C]).row(0, named=True)
    # Where the derivative of the loss along C = 6 N D vanishes, both terms weigh the same.
    assert t["alpha"] * t["A"] / at["N"] ** t["alpha"] == pytest.approx(
        t["beta"] * t["B"] / at["D"] ** t["beta"], rel=2e-3
    )
    assert 6 * at["N"] * at["D"] == pytest.approx(C, rel=1e-9)
    a, b = answer.exponents()
    assert a.value == pytest.approx(t["beta"] / (t["alpha"] + t["beta"]), rel=1e-3)
    assert a.value + b.value == pytest.approx(1.0)


def test_planned_runs_need_no_losses_and_count_parameters_as_the_fit_did(frame: pl.DataFrame) -> None:
    both = frame.with_columns(params_total=pl.col("N") * 2, params_non_embedding="N").drop("N")
    answer = fit("chinchilla", both, params="non_embedding", starts=8, draws=20)
    said = answer.predict_runs(both)
    assert said["observed"].to_list() == both["loss"].to_list()
    assert said["loss"].to_numpy() == pytest.approx(both["loss"].to_numpy(), rel=0.02)
    assert answer.predict_runs(both.drop("loss"))["loss"].equals(said["loss"])
    assert (said["low"] <= said["loss"]).all()


def test_one_run_scatters_about_the_law_as_the_rows_do() -> None:
    world = chinchilla()
    answer = fit("chinchilla", world.frame(noise=0.01, seed=1), starts=8, draws=200)
    others = answer.predict_runs(world.frame(noise=0.01, seed=2))
    inside = others.filter(pl.col("observed").is_between("run_low", "run_high")).height
    assert inside > 0.75 * others.height
    assert others.filter(pl.col("observed").is_between("low", "high")).height < inside
    assert (others["run_low"] < others["low"]).all()
    assert (others["run_high"] > others["high"]).all()


def test_unique_text_is_the_sum_of_that_of_each_language() -> None:
    design = DESIGNS["data-constrained"]()
    frame = design.frame()
    unique = pl.col("unique_tokens")
    half = frame.with_columns(
        **{"share:est": 0.5, "share:fin": 0.5, "unique:est": unique / 4, "unique:fin": unique * 3 / 4}
    )
    whole = fit(design.law, frame, starts=8, draws=0, **design.options)
    assert values(fit(design.law, half.drop("unique_tokens"), starts=8, draws=0, **design.options)) == values(whole)


# --- intervals --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """A guard against gross error: 20 studies are too few to tell 80 % from 90 %."""
    design = chinchilla(7, 6)
    N, D = np.array([5e7, 5e8, 5e9, 5e9]), np.array([2e9, 5e10, 2e10, 1e12])
    truth = chinchilla_loss(N, D)
    held, contained = [], []
    for study in range(20):
        answer = fit("chinchilla", design.frame(noise=5e-3, seed=100 + study), starts=16, draws=200, seed=study)
        at = answer.predict(N=N, D=D)
        held.append((at["low"].to_numpy() <= truth) & (truth <= at["high"].to_numpy()))
        for e in answer.coefficients:
            assert e.low is not None
            assert e.high is not None
            assert e.low <= e.high
            contained.append(e.low <= CHINCHILLA[e.name] <= e.high)
    assert 0.7 <= np.mean(held) < 1.0
    assert 0.7 <= np.mean(contained) < 1.0


def test_noisier_runs_have_wider_intervals() -> None:
    design = chinchilla()
    quiet, loud = (fit("chinchilla", design.frame(noise=s), starts=16, draws=100) for s in (1e-3, 1e-2))
    at = {"N": 1e9, "D": 2e10}
    widths = [(p["high"] - p["low"])[0] for p in (quiet.predict(at), loud.predict(at))]
    assert 3 < widths[1] / widths[0] < 30


def test_level_sets_the_width(frame: pl.DataFrame, fitted: Fit) -> None:
    narrow = fit("chinchilla", frame, starts=32, draws=100, level=0.5)
    for wide, inner in zip(fitted.coefficients, narrow.coefficients, strict=True):
        assert wide.low is not None
        assert wide.high is not None
        assert inner.low is not None
        assert inner.high is not None
        assert wide.low < inner.low < inner.value < inner.high < wide.high


def test_whole_runs_are_drawn_and_not_their_rows() -> None:
    """Every row three times says no more than once: as 63 runs, intervals would be narrower by sqrt(3)."""
    once = chinchilla(7, 3).frame(noise=3e-3)
    thrice = pl.concat([once.with_row_index("run_id")] * 3)
    as_21, as_63 = (fit("chinchilla", f, starts=16, draws=300) for f in (thrice, thrice.drop("run_id")))
    assert as_21.rows.height == as_63.rows.height == 63
    widths = [(p["high"] - p["low"])[0] for p in (f.predict(N=1e9, D=2e10) for f in (as_21, as_63))]
    assert 1.4 < widths[0] / widths[1] < 2.2


def test_few_runs_are_too_few_for_intervals() -> None:
    seven = chinchilla().frame(noise=3e-3).with_columns(run_id=pl.col("N").rank("dense"))
    answer = fit("chinchilla", seven, starts=8, draws=10)
    assert any("intervals rest on 7 runs" in w for w in answer.warnings)


# --- the same answer --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_fit(frame: pl.DataFrame, fitted: Fit) -> None:
    again = fit("chinchilla", frame, starts=32, draws=100)
    assert again.to_dict() == fitted.to_dict()
    assert np.array_equal(again.draws, fitted.draws)


def test_other_seeds_find_the_same_optimum(frame: pl.DataFrame, fitted: Fit) -> None:
    for seed in (1, 2):
        other = fit("chinchilla", frame, starts=32, draws=100, seed=seed)
        assert other.values == pytest.approx(fitted.values, rel=1e-6)
        assert other.objective == pytest.approx(fitted.objective, rel=1e-6)
        assert not np.array_equal(other.draws, fitted.draws)


def test_rows_in_another_order_give_the_same_optimum(frame: pl.DataFrame, fitted: Fit) -> None:
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    other = fit("chinchilla", shuffled, starts=32, draws=0)
    assert other.values == pytest.approx(fitted.values, rel=1e-6)


# --- held and free ----------------------------------------------------------------------------------


def test_fixed_coefficients_stay(frame: pl.DataFrame, fitted: Fit) -> None:
    answer = fit("chinchilla", frame, fix={"E": 1.7, "alpha": 0.3}, starts=8, draws=20)
    found = {e.name: e for e in answer.coefficients}
    assert (found["E"].value, found["alpha"].value) == (1.7, 0.3)
    assert all(found[n].held and found[n].low is None and found[n].high is None for n in ("E", "alpha"))
    assert not any(found[n].held for n in ("A", "B", "beta"))
    assert np.unique(answer.draws[:, [0, 2]], axis=0).tolist() == [[1.7, 0.3]]
    assert answer.objective > fitted.objective


def test_one_source_is_held_alone_and_phi_is_freed() -> None:
    design = DESIGNS["atlas"]()
    fix = {name: value for name, value in design.truth.items() if name != "tau[fra_Latn]"}
    answer = fit("atlas", design.frame(), fix=fix, free=("phi",), starts=8, draws=0, **design.options)
    assert {e.name: e.value for e in answer.coefficients if e.held} == fix
    assert values(answer)["tau[fra_Latn]"] == pytest.approx(0.3, abs=0.005)
    assert values(answer)["phi"] == pytest.approx(0.0, abs=0.01)


# --- what the runs do not say -----------------------------------------------------------------------


def test_without_repeats_the_decay_is_held_and_named() -> None:
    frame = chinchilla().frame().with_columns(target=pl.lit("et"))
    answer = fit("atlas", frame, starts=8, draws=0)
    assert answer.health.undetermined == ("lambda_", "tau_other")
    assert {e.name for e in answer.coefficients if e.held} == {"lambda_", "tau_other", "phi"}
    assert any("no row depends on lambda_, tau_other" in w for w in answer.warnings)
    # The rest is then Chinchilla's law.
    alike = fit("chinchilla", frame, starts=8, draws=0)
    assert answer.objective == pytest.approx(alike.objective, rel=1e-9)


def test_one_size_entangles_the_parameter_term() -> None:
    one_size = chinchilla().frame().with_columns(N=pl.lit(1e9))
    answer = fit("chinchilla", one_size, starts=16, draws=0)
    assert set(answer.health.entangled) == {"E", "A", "alpha"}
    assert answer.status is not FitStatus.GOOD
    assert any("cannot be told apart" in w and "alpha" in w for w in answer.warnings)


def test_a_bound_that_is_hit_is_reported() -> None:
    frame = chinchilla().frame().with_columns(loss=pl.col("loss") - 2.0)
    answer = fit("chinchilla", frame, starts=16, draws=0)
    assert answer.health.bounds_hit == ("E (lower)",)
    assert any("E stopped on its lower bound" in w for w in answer.warnings)
    assert answer.status is FitStatus.WEAK


def test_few_starts_are_doubted() -> None:
    answer = fit("chinchilla", chinchilla().frame(), starts=1, draws=0)
    assert answer.status is FitStatus.DOUBTFUL
    assert any("only 1 of 1 starts" in w for w in answer.warnings)


def test_an_own_token_column_is_what_counts() -> None:
    """K languages share the tokens: the law must see D / K of each."""
    design = k_law()
    answer = fit("k-law", design.frame(), starts=8, draws=0)
    assert answer.rows["D_target"].to_numpy() == pytest.approx(design.columns["D"] * design.columns["share:en"])
    assert sorted(answer.rows["K"].round(9).unique()) == pytest.approx([1, 2, 4, 8])


def test_others_are_counted_as_the_languages_that_they_are() -> None:
    columns = Columns(Atlas, read_runs(k_law().frame()), None, None, {}, {}, None)
    # Three are sources: of eight languages four are others, of fewer than five none.
    assert columns.column("K_other") == pytest.approx(np.maximum(columns.column("K") - 4, 1))
