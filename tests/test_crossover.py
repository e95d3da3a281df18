"""Scratch, continue, grow or merge: published evidence, own checkpoints, and crossings fitted to runs."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss import languages
from isogloss.errors import InputError
from isogloss.laws import check_law
from isogloss.planning.checkpoints import as_checkpoint, checkpoints, find_checkpoint
from isogloss.planning.crossover import Crossover, crossover
from isogloss.planning.crossover_fitted import _meeting
from isogloss.planning.crossover_law import ScratchOrContinued, ScratchOrContinuedOneSize
from isogloss.planning.crossover_published import FORMS, language_ratios
from isogloss.planning.start import NO_LAW

# Figure 6 of arXiv:2510.22037, billions of tokens at 2.03B parameters.
FIGURE = {"en": 144, "ja": 145, "pt": 148, "de": 160, "ru": 189, "vi": 234, "es": 239, "zh": 283}
N_FIGURE = 2.03e9


def width(answer: Crossover) -> float:
    low, high = answer.crossing.low, answer.crossing.high
    assert low is not None
    assert high is not None
    return math.log(high / low)


def middle(answer: Crossover) -> float:
    assert answer.crossing.C is not None
    return answer.crossing.C


# --- published --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", FIGURE)
def test_the_languages_of_the_figure_cross_where_it_shows(language: str) -> None:
    answer = crossover(language, params=N_FIGURE)
    assert answer.tokens == pytest.approx(1e9 * FIGURE[language], rel=0.12)
    assert answer.crossing.low < 6 * N_FIGURE * 1e9 * FIGURE[language] < answer.crossing.high  # type: ignore[operator]


def test_the_formulas_are_those_that_agree_with_the_figure() -> None:
    assert "caption" not in " ".join(FORMS)
    answer = crossover("fi", params=N_FIGURE)
    assert 144e9 < answer.tokens < 283e9  # type: ignore[operator]
    ratios = language_ratios()
    assert len(ratios) == 8
    assert min(ratios.values()) < 1 < max(ratios.values())


def test_another_language_is_less_certain_than_one_of_the_figure() -> None:
    assert width(crossover("fi", params="2B")) > width(crossover("de", params="2B"))


def test_the_crossing_grows_with_size_as_published() -> None:
    small, large = crossover("de", params="200M"), crossover("de", params="2B")
    power = math.log10(middle(large) / middle(small))
    assert 1.5 < power < 1.7


def test_beyond_the_published_sizes_it_says_so() -> None:
    answer = crossover("de", params="20B")
    assert answer.crossing.status == "beyond"
    assert any("extrapolated" in w for w in answer.warnings)
    assert "past what was studied" in answer.recommendation


def checkpoint(**keys: Any) -> dict[str, Any]:
    return {"params": "2B", "tokens": "1T", "tokenizer": "same", "mixture": 0.0142, **keys}


def test_atlas_own_checkpoint_changes_nothing_but_the_seed() -> None:
    plain, same = crossover("fi", params="2B"), crossover("fi", params="2B", checkpoint=checkpoint())
    assert middle(same) == pytest.approx(middle(plain), rel=0.03)


def test_a_checkpoint_that_has_seen_more_is_overtaken_later() -> None:
    found = [middle(crossover("fi", checkpoint=checkpoint(mixture=s))) for s in (0.0, 0.001, 0.0142, 0.05, 0.3)]
    assert found == sorted(found)


def test_what_is_not_known_makes_the_interval_wide() -> None:
    known = crossover("it", checkpoint=checkpoint())
    for lacking in ("mixture", "tokens", "tokenizer"):
        answer = crossover("it", checkpoint={k: v for k, v in checkpoint().items() if k != lacking})
        assert width(answer) > 1.15 * width(known), lacking
        assert len(answer.warnings) > len(known.warnings), lacking


def test_a_checkpoint_of_another_size_is_said() -> None:
    answer = crossover("de", params="2B", checkpoint=checkpoint(params="500M"))
    assert any("not of 2B" in w for w in answer.warnings)
    assert width(answer) > width(crossover("de", params="2B", checkpoint=checkpoint()))


def test_a_budget_is_judged_by_the_draws() -> None:
    low, high = crossover("de", params="2B", flops="1e20"), crossover("de", params="2B", flops="1e22")
    assert low.recommendation.startswith("Continue")
    assert high.recommendation.startswith("Train from scratch")
    near = crossover("de", params="2B", flops=middle(low))
    assert "does not decide" in near.recommendation
    assert near.to_dict()["continue_is_better"] == pytest.approx(0.5, abs=0.02)


def test_text_that_ends_before_the_crossing_is_counted() -> None:
    answer = crossover("Estonian", params="2B")
    assert answer.text_limit == pytest.approx(24 * 2e9 * answer.text)  # type: ignore[operator]
    assert answer.text_limit < middle(answer)  # type: ignore[operator]
    assert "4 epochs of the text end" in answer.recommendation
    assert any("repeated text" in w for w in answer.warnings)
    assert "epochs" not in crossover("English", params="2B").recommendation


def test_scratch_has_a_curve_and_what_nobody_measured_has_none() -> None:
    answer = crossover("sw", params="1B")
    curve = answer.way("scratch").curve
    assert curve is not None
    assert np.all(np.diff(curve.loss) <= 0)
    assert curve.low is None  # table C.1 has Swahili, without an interval
    assert crossover("et", params="1B").way("scratch").curve.low is not None  # type: ignore[union-attr]
    for name in ("continue", "grow", "merge"):
        way = answer.way(name)
        assert way.curve is None
        assert way.reason.startswith(NO_LAW)  # type: ignore[union-attr]
        assert way.evidence


def test_the_same_seed_gives_the_same_answer_as_json() -> None:
    first, second = (crossover("et", flops="1e21", checkpoint="gemma-3-1b").to_dict() for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "neither size"),
        ({"params": "2 FLOPs"}, "flops"),
        ({"params": "2B", "level": 1.0}, "level"),
        ({"params": "2B", "draws": 10}, "draws"),
        ({"checkpoint": "gemma-3-1x"}, "gemma-3-1b"),
        ({"checkpoint": {"tokens": "1T"}}, "params"),
        ({"checkpoint": {"params": "1B", "token": "1T"}}, "tokens"),
        ({"checkpoint": {"params": "1B", "mixture": 1.2}}, "0 to 1"),
        ({"checkpoint": {"params": "1B", "mixture": {"et": 0.6, "fi": 0.6}}}, "add up"),
    ],
)
def test_what_cannot_be_used_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        crossover("et", **keys)


# --- the catalogue ----------------------------------------------------------------------------------


def test_every_checkpoint_has_a_source_and_sane_numbers() -> None:
    found = checkpoints()
    assert len({c.name for c in found}) == len(found) > 40
    for entry in found:
        assert entry.source
        assert 1e8 < entry.params < 1e12
        assert entry.tokens is None or 1e11 < entry.tokens < 1e14
        assert sum(entry.mixture.values()) <= 1
        assert all(languages.resolve(code) == code for code in entry.mixture)


def test_checkpoints_are_found_by_the_names_people_use() -> None:
    assert find_checkpoint("google/gemma-3-1b-pt").name == "gemma-3-1b"
    assert find_checkpoint("Qwen/Qwen2.5-7B").params == 7.61e9
    known = as_checkpoint("xglm-564m", "ekk_Latn")
    assert known.share("ekk_Latn") == 0.0133
    assert known.share("gle_Latn") is None


def test_a_catalogue_entry_takes_what_the_user_knows_better() -> None:
    found = as_checkpoint({"name": "gemma-3-1b", "mixture": 0.002, "tokenizer": "same"}, "ekk_Latn")
    assert (found.params, found.share("ekk_Latn"), found.same_tokenizer) == (1e9, 0.002, True)


# --- own runs ---------------------------------------------------------------------------------------


def runs(
    *, meet: float | None = 1e10, sizes: tuple[float, ...] = (3e8,), noise: float = 0.002, seed: int = 0
) -> pl.DataFrame:
    """Runs from scratch and continued whose curves cross at `meet` tokens (None: continued is ahead by a half)."""
    rng, rows = np.random.default_rng(seed), []
    for N in sizes:
        for D in np.geomspace(2e9, 3e10, 8):
            data = 0.45 * (1e10 / D) ** 0.38
            other = data / 2 if meet is None else 0.45 * (1e10 / meet) ** 0.38 * (meet / D) ** 0.17
            rows += [
                {"params_total": N, "tokens": D, "init": init, "loss": 2 + 0.3 * (3e8 / N) ** 0.35 + term}
                for init, term in ((None, data), ("ckpt", other))
            ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    wobble = np.exp(rng.normal(0, noise, len(frame)))
    return frame.with_columns(
        loss=pl.col("loss") * wobble,
        target=pl.lit("ekk_Latn"),
        unit=pl.lit("nats/token"),
        run_id=pl.int_range(pl.len()),
    )


@pytest.fixture(scope="module")
def crossing() -> Crossover:
    return crossover("et", runs=runs(), draws=200)


@pytest.mark.slow
def test_a_crossing_is_found_within_its_interval(crossing: Crossover) -> None:
    truth = 6 * 3e8 * 1e10
    assert crossing.crossing.status == "crosses"
    assert middle(crossing) == pytest.approx(truth, rel=0.2)
    assert crossing.crossing.low < truth < crossing.crossing.high  # type: ignore[operator]
    assert crossing.way("continue").evidence[0].kind == "measured"


@pytest.mark.slow
def test_fitted_curves_have_bands_and_cross_where_it_says(crossing: Crossover) -> None:
    scratch, continued = crossing.way("scratch").curve, crossing.way("continue").curve
    assert scratch is not None
    assert continued is not None
    at = np.interp(0.0, continued.loss - scratch.loss, scratch.C)
    assert at == pytest.approx(middle(crossing), rel=0.02)
    assert np.all(scratch.low <= scratch.loss)  # type: ignore[operator]


@pytest.mark.slow
def test_two_runs_that_continue_are_enough_for_an_answer() -> None:
    """Each tells its coefficients nearly alone, and its own residuals say nothing of its errors."""
    rng, rows = np.random.default_rng(0), []
    sizes = np.geomspace(1.3e5, 1.04e6, 5)
    for init, some in ((None, sizes), ("all", sizes[[2, 4]])):
        for N in some:
            D = np.array([0.5e6, 1e6, 2e6, 4e6])
            loss = 0.9 + 4.7 / N**0.15 + (61_000 / D**0.83 if init is None else 16 / D**0.35)
            error = 0.01 * (rng.normal() + rng.normal(size=4))
            for d, y in zip(D, loss * np.exp(error), strict=True):
                rows.append({"run_id": f"{N:.0f} {init}", "params_total": N, "tokens": d, "init": init, "loss": y})
    table = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        target=pl.lit("ekk_Latn"), unit=pl.lit("bits/byte")
    )
    answer = crossover("et", runs=table, draws=100)
    truth = 6 * sizes[-1] * (61_000 / 16) ** (1 / 0.48)
    assert answer.crossing.status in ("crosses", "beyond", "possible")
    assert answer.crossing.low is not None
    assert truth / 4 < answer.crossing.low < truth
    curve = answer.way("continue").curve
    assert curve is not None
    assert curve.high is not None
    assert curve.low is not None
    assert np.all(curve.high - curve.low < 0.5)


@pytest.mark.slow
def test_sizes_beyond_the_runs_are_said() -> None:
    answer = crossover("et", runs=runs(), draws=200, params="3B", flops="1e24")
    assert any("one size" in w for w in answer.warnings)
    assert any("beyond the compute" in w for w in answer.warnings)


def test_where_continuing_stays_ahead_there_is_no_crossing() -> None:
    answer = crossover("et", runs=runs(meet=None, noise=0.001), draws=200)
    assert answer.crossing.status == "continue"
    assert (answer.crossing.C, answer.crossing.high) == (None, None)
    assert answer.recommendation.startswith("Continue from ckpt")


def test_a_head_start_in_tokens_is_not_taken_for_a_crossing() -> None:
    """Continued as scratch with 8B more tokens: two free power laws would cross just past the longest run."""
    D = np.repeat(np.geomspace(2e9, 3e10, 8), 2)
    init = [None, "ckpt"] * 8
    ahead = np.where([i is None for i in init], 0.0, 8e9)
    loss = (2.3 + 0.45 * (1e10 / (D + ahead)) ** 0.38) * np.exp(np.random.default_rng(2).normal(0, 0.003, 16))
    table = pl.DataFrame({"params_total": 3e8, "tokens": D, "init": init, "loss": loss, "unit": "nats/token"})
    answer = crossover("et", runs=table.with_columns(run_id=pl.int_range(16)), draws=200)
    assert answer.crossing.status in ("possible", "continue")
    assert answer.crossing.high is None
    assert answer.recommendation.startswith("Continue from ckpt")


def test_where_scratch_is_ahead_from_the_first_it_says_so() -> None:
    swapped = runs(meet=None, noise=0.001).with_columns(init=pl.when(pl.col("init").is_null()).then(pl.lit("ckpt")))
    answer = crossover("et", runs=swapped, draws=200)
    assert answer.crossing.status == "scratch"
    assert answer.crossing.C is None
    assert answer.recommendation.startswith("Train from scratch")


def test_curves_that_only_touch_are_undecided() -> None:
    same = runs(meet=1e10, noise=0.0).with_columns(loss=pl.col("loss").first().over("tokens"))
    rng = np.random.default_rng(1)
    noisy = same.with_columns(loss=pl.col("loss") * np.exp(rng.normal(0, 0.004, len(same))))
    answer = crossover("et", runs=noisy, draws=200)
    assert answer.crossing.status == "undecided"
    assert "cannot tell" in answer.recommendation


def test_tables_without_both_kinds_are_refused() -> None:
    table = runs()
    for empty in (table.filter(pl.col("init").is_null()), table.drop("init")):
        with pytest.raises(InputError, match="no run says that it continues"):
            crossover("et", runs=empty)
    named = table.with_columns(init=pl.lit("scratch"))
    with pytest.raises(InputError, match="all start from scratch"):
        crossover("et", runs=named)
    with pytest.raises(InputError, match="all start from ckpt"):
        crossover("et", runs=table.filter(pl.col("init").is_not_null()))


def test_runs_that_cannot_be_compared_are_refused() -> None:
    table, continued = runs(), pl.col("init").is_not_null()
    phases = table.with_columns(lr_phase=pl.when(continued).then(pl.lit("final")).otherwise(pl.lit("stable")))
    with pytest.raises(InputError, match="lr_phase"):
        crossover("et", runs=phases)
    vocabularies = table.with_columns(tokenizer=pl.when(continued).then(pl.lit("b")).otherwise(pl.lit("a")))
    with pytest.raises(InputError, match="bits per byte"):
        crossover("et", runs=vocabularies)


def test_one_of_several_checkpoints_must_be_chosen() -> None:
    other = runs().filter(pl.col("init").is_not_null()).with_columns(init=pl.lit("second"))
    table = pl.concat([runs(), other.with_columns(pl.col("run_id") + 100)])
    with pytest.raises(InputError, match="2 checkpoints"):
        crossover("et", runs=table)
    with pytest.raises(InputError, match="second"):
        crossover("et", runs=table, checkpoint="secnd")


def test_meetings_by_hand() -> None:
    D = np.geomspace(1.0, 100.0, 3)
    gains = np.array([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]])
    found = _meeting(D, gains)
    assert found[0] == pytest.approx(10**1.5)
    assert found[1:3].tolist() == [math.inf, 0.0]
    assert found[3] == pytest.approx(10**1.5)
    assert found[4] == math.inf


def test_the_laws_keep_what_laws_promise() -> None:
    common = {"E": 1.9, "B": 2e3, "beta": 0.38, "B_start": 20.0, "beta_start": 0.17}
    check_law(ScratchOrContinuedOneSize(**common))
    check_law(ScratchOrContinued(**common, A=300.0, alpha=0.35, size=0.05))
