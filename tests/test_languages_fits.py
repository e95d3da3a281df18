"""Several languages under one law: pooled, separate and tied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pooling import byte_transfer, points, simulated, tokens_of, transfer_errors
from worlds import World, alone, make_runs, make_world, measure, pairs, uneven

from isogloss.cli import main
from isogloss.errors import InputError
from isogloss.fitting import Fit, LanguageFits, fit, fit_languages, load_fit, load_languages
from isogloss.fitting.layout import make_layout
from isogloss.fitting.objective import HuberLogLoss
from isogloss.fitting.problem import Problem
from isogloss.fitting.solve import Prior, solve
from isogloss.laws import Chinchilla
from isogloss.runs import RunTable, read_runs

FEW: dict[str, Any] = {"starts": 4, "draws": 0}


@pytest.fixture(scope="module")
def study() -> tuple[RunTable, World]:
    """Twelve languages with 6 to 40 runs each."""
    return simulated(seed=0, languages=12, noise=0.01, runs=(6, 40))


@pytest.fixture(scope="module")
def fits(study: tuple[RunTable, World]) -> dict[str, LanguageFits]:
    return {across: fit_languages("chinchilla", study[0], across=across, **FEW) for across in ("separate", "tied")} | {
        "pooled": fit_languages("chinchilla", study[0], starts=4, draws=300)
    }


def errors(fits: LanguageFits, world: World, where: str) -> np.ndarray:
    """Log errors `(languages, points)` against the true losses; nan where a language was not fitted."""
    N, D = points(where)
    out = []
    for i, name in enumerate(world.names):
        truth = world.loss(i, N, tokens_of(D, i, len(world.names)))
        out.append(np.log(fits[name].point(N=N, D=D) / truth) if name in fits.fits else np.full(len(N), np.nan))
    return np.array(out)


def values(one: Fit) -> dict[str, float]:
    return {e.name: e.value for e in one.coefficients}


# --- the solver ---------------------------------------------------------------------------------------------


def problem(loss_scale: float, rows: int) -> Problem:
    rng = np.random.default_rng(rows)
    N, D = np.exp(rng.uniform(17, 22, rows)), np.exp(rng.uniform(20, 26, rows))
    loss = loss_scale * (1.8 + 478 / N**0.347 + 2144 / D**0.367) * np.exp(rng.normal(0, 0.004, rows))
    layout, held = make_layout(Chinchilla)
    return Problem(layout, HuberLogLoss(), {"N": N, "D": D}, loss, held, layout.centres({"N": N, "D": D}))


def test_problems_solved_together_are_solved_as_alone() -> None:
    """Of unlike lengths, in one batch."""
    problems = [problem(1.0, 50), problem(1.3, 70), problem(0.8, 30)]
    rng = np.random.default_rng(0)
    starts = np.concatenate([p.layout.starts(5, p.loss, rng) for p in problems])
    which = np.repeat([0, 1, 2], 5)
    bounds = [p.layout.bounds(p.loss) for p in problems]
    lower, upper = (np.array([bounds[i][side] for i in which]) for side in (0, 1))
    together = solve(problems, starts, lower, upper, which=which)
    for i, one in enumerate(problems):
        alone_ = solve(one, starts[which == i], *bounds[i])
        np.testing.assert_allclose(together.value[which == i].min(), alone_.value.min(), rtol=1e-9)


def test_a_prior_draws_the_optimum_to_its_mean() -> None:
    one = problem(1.0, 50)
    lower, upper = one.layout.bounds(one.loss)
    start = one.layout.starts(1, one.loss, np.random.default_rng(0))
    free = solve(one, start, lower, upper).z[0]
    mean = free + 0.1
    away = []
    for strength in (1e-9, 1e-2, 1e3):
        found = solve(one, start, lower, upper, prior=Prior(mean, strength * np.eye(len(free)))).z[0]
        away.append(float(np.linalg.norm(found - mean)))
    assert away[0] == pytest.approx(0.1 * np.sqrt(5), rel=0.01)
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-3


# --- pooling ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("where", ["inside", "ten times the compute"])
def test_pooling_predicts_better_than_separate_or_common_laws(
    fits: dict[str, LanguageFits], study: tuple[RunTable, World], where: str
) -> None:
    off = {across: errors(found, study[1], where) for across, found in fits.items()}
    known = ~np.isnan(off["separate"])
    rms = {across: float(np.sqrt((e[known] ** 2).mean())) for across, e in off.items()}
    assert rms["pooled"] < 0.8 * rms["separate"]
    assert rms["pooled"] < 0.4 * rms["tied"]


def test_a_language_with_many_runs_keeps_its_own_law(fits: dict[str, LanguageFits]) -> None:
    pooled, separate = fits["pooled"], fits["separate"]
    sizes = {name: pooled[name].rows.height for name in pooled}
    most, fewest = max(sizes, key=lambda n: sizes[n]), min(sizes, key=lambda n: sizes[n])
    N, D = points("inside")
    np.testing.assert_allclose(pooled[most].point(N=N, D=D), separate[most].point(N=N, D=D), rtol=0.01)
    own = {name: np.mean(list(pooled.own[name].values())) for name in (most, fewest)}
    assert own[most] > 0.9 > own[fewest]


def test_the_typical_law_and_its_spread(fits: dict[str, LanguageFits]) -> None:
    """Of the simulated population: alpha has mean 0.34 and a spread of a tenth, beta 0.31."""
    typical = fits["pooled"].typical
    assert typical is not None
    estimates = {e.name: e for e in typical.coefficients}
    for name, middle in (("alpha", 0.34), ("beta", 0.31)):
        e = estimates[name]
        assert e.low is not None
        assert e.high is not None
        assert e.low < middle < e.high
        assert e.value == pytest.approx(middle, rel=0.15)
        assert 0.05 < fits["pooled"].spread[name] < 0.25
    assert fits["separate"].typical is None


def test_intervals_of_pooled_laws_hold_the_truth(fits: dict[str, LanguageFits], study: tuple[RunTable, World]) -> None:
    """Twelve languages, five coefficients each, at 90 %: at least three quarters held, and not by being endless."""
    names = ("E", "alpha", "beta")
    held, widths = [], []
    for i, language in enumerate(study[1].names):
        E, _, alpha, _, beta = study[1].laws[i]
        estimates = {e.name: e for e in fits["pooled"][language].coefficients}
        for name, truth in zip(names, (E, alpha, beta), strict=True):
            e = estimates[name]
            assert e.low is not None
            assert e.high is not None
            held.append(e.low <= truth <= e.high)
            widths.append((e.high - e.low) / abs(e.value))
    assert np.mean(held) >= 0.75
    assert np.median(widths) < 0.5


@pytest.mark.slow
def test_real_byte_models() -> None:
    frame = byte_transfer()
    if frame is None:
        pytest.skip("the public run tables are not here: set ISOGLOSS_DATA to their folder")
    off = transfer_errors(frame, seed=0, starts=4)
    rms = {across: float(np.sqrt(np.mean(e**2))) for across, e in off.items()}
    assert rms["pooled"] < 0.85 * rms["separate"]
    assert rms["pooled"] < 0.6 * rms["tied"]


# --- tied ---------------------------------------------------------------------------------------------------


def test_all_tied_is_one_law_for_all_rows(fits: dict[str, LanguageFits], study: tuple[RunTable, World]) -> None:
    table = study[0]
    one = RunTable(table.frame.drop("target"), table.unit, table.source)
    alone_ = values(fit("chinchilla", one, **FEW))
    for name in fits["tied"]:
        found = values(fits["tied"][name])
        assert found["alpha"] == pytest.approx(alone_["alpha"], rel=1e-3)
        assert found["E"] == pytest.approx(alone_["E"], rel=1e-3)


def test_one_coefficient_tied_is_the_best_single_value(study: tuple[RunTable, World]) -> None:
    """No common beta gives a smaller sum of objectives."""
    three = [n for n in study[1].names if (study[0].frame["target"] == n).sum() > 12][:3]
    tied = fit_languages("chinchilla", study[0], across="separate", tie=["beta"], targets=three, **FEW)
    betas = {values(tied[n])["beta"] for n in tied}
    assert len(betas) == 1
    assert tied.tied == ("beta",)
    best = betas.pop()
    total = sum(tied[n].objective for n in tied)
    for other in (0.98 * best, best, 1.02 * best):
        held = fit_languages("chinchilla", study[0], across="separate", fix={"beta": other}, targets=three, **FEW)
        assert total <= sum(held[n].objective for n in held) * (1 + 1e-6)


@pytest.mark.slow
def test_atlas_finds_transfer_and_a_shared_decay() -> None:
    world = make_world(4, seed=2, text=(3e9, 3e10))
    mixtures = np.concatenate([alone(world), pairs(world, 2), uneven(world, [3, 4], each=2)])
    runs = make_runs(sizes=np.geomspace(3e7, 3e9, 4), tokens=np.geomspace(2e9, 2e11, 3), mixtures=mixtures)
    table = read_runs(measure(world, runs, noise=0.002), unit="nats/token")
    found = fit_languages("atlas", table, tie=["lambda_"], starts=4, draws=100)
    decays = {values(found[n])["lambda_"] for n in found}
    assert len(decays) == 1
    assert decays.pop() == pytest.approx(world.decay, rel=0.25)
    weights = [
        (e.value, world.tau[i, world.names.index(e.name[4:-1])])
        for i, n in enumerate(world.names)
        for e in found[n].coefficients
        if e.name.startswith("tau[")
    ]
    assert len(weights) == 12
    fitted, true = np.array(weights).T
    assert np.abs(fitted - true).mean() < 0.06


@pytest.mark.parametrize("across", ["pooled", "tied"])
def test_what_a_bound_holds_does_not_move_the_others(across: Any) -> None:
    """Only the smallest size is worse, so alpha is at its bound: draws of A must not follow an alpha beyond it."""
    rng = np.random.default_rng(0)
    frames = []
    for target in ("et", "fi", "lv"):
        N, D = (v.ravel() for v in np.meshgrid([1e5, 3e5, 1e6], np.geomspace(5e5, 8e6, 5)))
        loss = (1 + np.where(N < 2e5, 0.05, 0) + 30 / D**0.25) * np.exp(rng.normal(0, 0.05, N.shape))
        frames.append(pl.DataFrame({"N": N, "D": D, "loss": loss, "target": target}))
    found = fit_languages("chinchilla", read_runs(pl.concat(frames)), across=across, starts=4, draws=200)
    assert across == "pooled" or values(found["et"])["alpha"] == pytest.approx(3)
    for one in found.fits.values():
        said = one.predict(N=1e5, D=2e6)
        assert said["high"][0] < 1.5 * said["loss"][0]


def test_a_typical_language_keeps_to_bounds_as_the_languages_do() -> None:
    """Losses that fall below any E: at E = 0 all languages have a flat beta, and so has one like them."""
    rng = np.random.default_rng(0)
    frames = []
    for i, target in enumerate(("et", "fi", "lv", "lt")):
        N, D = (v.ravel() for v in np.meshgrid([1e5, 3e5, 1e6], np.geomspace(5e5, 8e6, 6)))
        loss = ((5 + i) / N**0.2 + 30 / D**0.25 - 0.4) * np.exp(rng.normal(0, 0.01, N.shape))
        frames.append(pl.DataFrame({"N": N, "D": D, "loss": loss, "target": target}))
    found = fit_languages("chinchilla", read_runs(pl.concat(frames)), starts=4, draws=0)
    each = [values(one) for one in found.fits.values()]
    assert max(one["E"] for one in each) < 1e-3
    assert found.typical is not None
    at = {"N": 5e5, "D": 2e6}
    losses = [one.point(**at).item() for one in found.fits.values()]
    assert min(losses) < found.typical.point(**at).item() < max(losses)


@pytest.mark.slow
def test_what_no_row_depends_on_is_held_and_said() -> None:
    """No mixtures and no repeated text: ATLAS's decay and weights are at their defaults, whatever the seed."""
    table, world = simulated(seed=3, languages=4, runs=(12, 20))
    for seed, across in ((1, "pooled"), (0, "tied")):
        found = fit_languages("atlas", table, across=across, starts=2, draws=0, seed=seed)  # type: ignore[arg-type]
        for name in world.names:
            held = {e.name: e.value for e in found[name].coefficients if e.held}
            assert held["lambda_"] == pytest.approx(0.1)
            assert held["tau_other"] == 0
        assert any("no row of any language depends on lambda_" in w for w in found.warnings)


# --- on disk, on the command line, and refused --------------------------------------------------------------


def test_saved_and_read_again(fits: dict[str, LanguageFits], tmp_path: Path) -> None:
    folder = fits["pooled"].save(tmp_path / "fits")
    again = load_languages(folder)
    assert again.languages == fits["pooled"].languages
    assert again.own == fits["pooled"].own
    assert again.spread == fits["pooled"].spread
    language = again.languages[0]
    one = load_fit(folder / language)
    N, D = points("inside")
    np.testing.assert_array_equal(one.point(N=N, D=D), fits["pooled"][language].point(N=N, D=D))
    assert one.predict(N=1e9, D=1e10)["low"][0] < one.predict(N=1e9, D=1e10)["high"][0]
    with pytest.raises(InputError, match="holds fits of 12 languages"):
        load_fit(folder)
    with pytest.raises(InputError, match="no fits"):
        load_languages(tmp_path)


def test_summary_says_how_much_is_a_languages_own(fits: dict[str, LanguageFits]) -> None:
    frame = fits["pooled"].summary()
    assert set(frame["language"]) == set(fits["pooled"])
    assert frame["own"].min() >= 0  # type: ignore[operator]
    assert frame["own"].max() <= 1  # type: ignore[operator]


def test_the_command_fits_every_language(
    study: tuple[RunTable, World], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study[0].write(tmp_path / "runs.csv")
    out = tmp_path / "out"
    arguments = ["fit", str(path), "--law", "chinchilla", "--starts", "4", "--draws", "50", "-o", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "fitted to 12 languages" in printed
    assert "borrows most" in printed
    assert (out / "eng_Latn" / "fit.json").is_file()
    page = (out / "fit.html").read_text()
    assert "Coefficients by language" in page
    assert "All coefficients" in page


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"across": "poooled"}, "pooled"),
        ({"tie": ["A"]}, "A cannot be one for all languages while alpha is not"),
        ({"tie": ["gama"]}, "gama"),
        ({"targets": ["Klingon"]}, "Klingon"),
        ({"starts": 0}, "starts"),
    ],
)
def test_refused(study: tuple[RunTable, World], change: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        fit_languages("chinchilla", study[0], **{**FEW, **change})


def test_choices_are_of_one_language(
    study: tuple[RunTable, World], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study[0].write(tmp_path / "runs.csv")
    with pytest.raises(SystemExit) as ended:
        main(["fit", str(path), "--law", "chinchilla", "--choices"])
    assert ended.value.code == 2
    assert "--target eng_Latn" in capsys.readouterr().err


def test_a_target_that_cannot_be_fitted_is_left_out_and_named(study: tuple[RunTable, World]) -> None:
    frame = study[0].frame
    lonely = frame.filter(pl.col("target") == "eng_Latn").head(1).with_columns(target=pl.lit("tur_Latn"))
    table = read_runs(pl.concat([frame.filter(pl.col("target") == "eng_Latn"), lonely]).drop("row"), unit="nats/token")
    found = fit_languages("chinchilla", table, across="separate", **FEW)
    assert found.languages == ("eng_Latn",)
    assert any("tur_Latn is not fitted" in w for w in found.warnings)
