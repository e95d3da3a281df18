"""Choices: what N* becomes when the analyst chooses otherwise, each checked against a fit made that way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.fitting import Choices, Fit, HuberLogLoss, SquaredLogLoss, SquaredLoss, fit, load_fit
from isogloss.report.fit_choices import choices_card
from isogloss.runs import RunTable, read_runs
from simulate import CHINCHILLA, chinchilla, data_constrained

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "chinchilla_svg.csv"
needs_data = pytest.mark.skipif(
    not DATA.is_file(), reason="the public run tables are not here: set ISOGLOSS_DATA to their folder"
)
GOPHER = 5.76e23


def chosen(answer: Fit) -> Choices:
    assert answer.choices is not None, answer.warnings
    return answer.choices


def size(choices: Choices, name: str) -> float:
    return next(c.N for c in choices.tried if c.name == name and c.N is not None)


def by_hand(runs: RunTable, C: float, **options: object) -> float:
    return float(fit("chinchilla", runs, draws=0, **options).optimum([C])["N"][0])  # type: ignore[arg-type]


# --- the public points: how far choices moved what people read off them ---------------------------------------


@pytest.fixture(scope="module")
def public() -> Choices:
    runs, whole = read_runs(DATA, where="use=1"), read_runs(DATA)
    return chosen(fit("chinchilla", runs, draws=300, choices=True, whole=whole, budget=GOPHER))


@needs_data
def test_choices_move_chinchilla_as_far_as_was_found_by_hand(public: Choices) -> None:
    assert pytest.approx(73.2e9, rel=0.01) == public.main.N
    back = next(c for c in public.tried if c.name == "with the 5 rows left out by use=1")
    assert pytest.approx(119e9, rel=0.01) == back.N
    assert back.rows == 245
    assert size(public, "only C < 5e20") == pytest.approx(146e9, rel=0.01)
    objectives = [c.N for c in public.tried if c.kind == "objective" and c.N is not None]
    assert len(objectives) == 5
    assert max(objectives) / min(objectives) > 1.3
    assert public.ratio is not None
    assert public.ratio > 1.25
    assert "choices matter more than sampling noise" in public.sentence


@needs_data
def test_combined_choices_spread_at_least_as_far_as_single_ones(public: Choices) -> None:
    assert public.combined == 6 * 6 * 5
    assert public.combined_N is not None
    single = [c.N for c in public.tried if c.kind in ("objective", "rows", "range") and c.N is not None]
    assert public.combined_N[0] <= min(single) * 1.001
    assert public.combined_N[1] >= max(single) * 0.999


@needs_data
@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("Huber, delta 0.01", HuberLogLoss(1e-2)),
        ("squares of log loss", SquaredLogLoss()),
        ("squares of loss", SquaredLoss()),
    ],
)
def test_an_objective_as_a_choice_is_the_fit_with_that_objective(
    public: Choices, name: str, objective: HuberLogLoss
) -> None:
    assert size(public, name) == pytest.approx(
        by_hand(read_runs(DATA, where="use=1"), GOPHER, objective=objective), 1e-3
    )


@pytest.mark.slow
@needs_data
def test_all_245_points_show_that_leaving_out_5_is_the_choice(public: Choices) -> None:
    """Without --where, the authors' own rule is among those that are tried."""
    choices = chosen(fit("chinchilla", read_runs(DATA), draws=0, choices=True, budget=GOPHER))
    assert pytest.approx(119e9, rel=0.01) == choices.main.N
    assert size(choices, "without the 5 rows of highest loss") == pytest.approx(public.main.N, rel=1e-3)
    assert choices.ratio is None
    assert "no interval" in choices.sentence


# --- simulated runs, whose answer is known ----------------------------------------------------------


@pytest.fixture(scope="module")
def simulated() -> Fit:
    frame = chinchilla().frame(noise=3e-3)
    embeddings = 60 * frame["N"].to_numpy() ** 0.62
    frame = frame.rename({"N": "params_total"}).with_columns(params_non_embedding=pl.col("params_total") - embeddings)
    return fit("chinchilla", frame, draws=100, choices=True)


def test_runs_without_outliers_move_little_under_any_objective(simulated: Fit) -> None:
    choices = chosen(simulated)
    kept = [c for c in choices.tried if c.kind in ("objective", "rows")]
    low, high = choices.intervals["N"]
    assert kept
    assert all(c.N is not None and low / 1.2 < c.N < high * 1.2 for c in kept)
    assert simulated.default_budgets()[1] == choices.C


def test_the_loss_at_the_fits_own_point_is_the_laws(simulated: Fit) -> None:
    choices = chosen(simulated)
    main = choices.main
    assert main.N is not None
    assert main.loss == pytest.approx(float(simulated.point(N=main.N, D=main.D)[0]))
    for c in choices.answered:
        assert c.loss_at_main is not None
        assert c.loss is not None
        assert c.loss <= c.loss_at_main * (1 + 1e-9)
    low, high = choices.intervals["loss"]
    assert main.loss is not None
    assert low < main.loss < high


def test_equal_exponents_are_the_least_cost_of_all_equal_exponents(simulated: Fit) -> None:
    """A scan over exponents held by hand finds no better one."""
    found = size(chosen(simulated), "alpha = beta")
    frame = chinchilla().frame(noise=3e-3)
    scan = {}
    for exponent in np.arange(0.30, 0.42, 0.01):
        answer = fit("chinchilla", frame, fix={"alpha": exponent, "beta": exponent}, starts=8, draws=0)
        scan[answer.objective] = float(answer.optimum([chosen(simulated).C])["N"][0])
    best = sorted(scan)[:3]
    assert min(scan[b] for b in best) * 0.97 < found < max(scan[b] for b in best) * 1.03


def test_the_other_count_of_parameters_answers_in_the_fits_own(simulated: Fit) -> None:
    """Counted without embeddings the law differs, but what it recommends is given as a total."""
    other = next(c for c in chosen(simulated).tried if c.kind == "parameters")
    assert other.name == "N counts non-embedding parameters"
    assert pytest.approx(chosen(simulated).main.N, rel=0.25) == other.N
    assert other.N is not None
    assert other.D is not None
    assert pytest.approx(chosen(simulated).C) == 6 * other.N * other.D


@pytest.mark.slow
def test_laws_that_the_table_has_columns_for_are_tried() -> None:
    choices = chosen(fit("data-constrained", data_constrained().frame(noise=1e-3), draws=0, choices=True))
    other = next(c for c in choices.tried if c.kind == "law" and c.name == "chinchilla")
    assert other.N is not None
    assert pytest.approx(other.N, rel=0.02) != choices.main.N


def test_choices_that_leave_too_little_say_so_and_are_not_counted() -> None:
    """Of two sizes on one budget each, the lower range has one size only."""
    frame = chinchilla(sizes=4, ratios=2).frame(noise=1e-3)
    choices = chosen(fit("chinchilla", frame, draws=0, choices=True))
    refused = [c for c in choices.tried if c.N is None]
    assert refused
    assert all("determine" in c.why_not or "apart" in c.why_not or "optimum" in c.why_not for c in refused)
    assert len(choices.answered) == 1 + len(choices.tried) - len(refused)


def test_a_fit_without_an_optimum_says_why_nothing_is_compared() -> None:
    answer = fit("chinchilla", chinchilla(sizes=1).frame(), draws=0, choices=True)
    assert answer.choices is None
    assert any(w.startswith("choices were not tried") and "alpha" in w for w in answer.warnings)


# --- where they are seen ----------------------------------------------------------------------------


def test_choices_are_saved_with_the_fit(simulated: Fit, tmp_path: Path) -> None:
    simulated.save(tmp_path / "fit")
    assert load_fit(tmp_path / "fit").choices == simulated.choices
    assert fit("chinchilla", chinchilla().frame(noise=3e-3), draws=0).choices is None


def test_the_card_draws_every_choice_that_has_an_answer(simulated: Fit) -> None:
    choices = chosen(simulated)
    card = choices_card(choices)
    assert card.sentence == choices.sentence
    assert card.table is not None
    assert card.table.height == len(choices.tried) + 1
    spec = json.dumps(card.chart.to_dict())  # type: ignore[union-attr]
    assert all(json.dumps(c.name)[1:-1] in spec for c in choices.answered)


@pytest.mark.slow
def test_the_command_puts_back_what_where_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = chinchilla().frame(noise=3e-3)
    frame = frame.with_columns(use=pl.Series([0, 0, *[1] * (frame.height - 2)]))
    frame = frame.with_columns(loss=pl.when(pl.col("use") == 0).then(pl.col("loss") * 1.3).otherwise(pl.col("loss")))
    frame.write_csv(tmp_path / "runs.csv")
    arguments = ["fit", str(tmp_path / "runs.csv"), "--law", "chinchilla", "--where", "use=1", "--choices"]
    assert run([*arguments, "--draws", "50", "--flops", "1e22", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["choices"]
    assert found["C"] == 1e22
    assert "with the 2 rows left out by use=1" in [c["name"] for c in found["tried"]]
    assert found["sentence"].startswith("At 1e22 FLOPs")
    assert run([*arguments, "--draws", "0", "-o", str(tmp_path / "fit")]) == 0
    shown = capsys.readouterr().out
    assert "alpha = beta" in shown
    assert "What other choices would give" in (tmp_path / "fit" / "fit.html").read_text(encoding="utf-8")


def test_the_simulated_truth_is_what_the_fit_recommends(simulated: Fit) -> None:
    """The interval of the fit as made holds the size that made the runs."""
    C = chosen(simulated).C
    a, b, t = CHINCHILLA["alpha"], CHINCHILLA["beta"], CHINCHILLA
    true = (a * t["A"] / (b * t["B"])) ** (1 / (a + b)) * (C / 6) ** (b / (a + b))
    low, high = chosen(simulated).intervals["N"]
    assert low < true < high
