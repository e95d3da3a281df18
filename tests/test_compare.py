"""Laws compared on rows that they never saw: what is held out, that it is not seen, and how it is scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from worlds import alone, make_runs, make_world, measure, pairs, uneven

from isogloss import compare, fit, read_runs
from isogloss.errors import InputError
from isogloss.fitting import Comparison, get_objective
from isogloss.fitting.held_out import HeldOut, Setting, _grouped, predict_held_out
from isogloss.fitting.ranking import rank
from isogloss.fitting.rows import rows_for
from isogloss.fitting.scores import FLOOR, Observed, Scores, draw_runs, score
from isogloss.fitting.splits import SPLITS, Split, make_splits, run_numbers
from isogloss.laws import get_form
from isogloss.runs import RunTable
from simulate import chinchilla

LAWS = ("chinchilla", "atlas-other")


@pytest.fixture(scope="module")
def table() -> RunTable:
    """Three languages, alone, in pairs and all together, at five sizes, three checkpoints a run."""
    world = make_world(3, seed=1, transfer=(0.5, 0.0))
    mixtures = np.concatenate([alone(world), pairs(world, 2), uneven(world, [3], each=4)])
    runs = make_runs(sizes=[2e7, 1e8, 5e8, 2e9, 8e9], tokens=[1e9, 1e10, 6e10], mixtures=mixtures)
    sizes = np.array([2e7, 1e8, 5e8, 2e9, 8e9])
    # Whole sizes: no jitter in N.
    runs = replace(runs, N=sizes[np.abs(np.log(runs.N[:, None] / sizes)).argmin(1)])
    return read_runs(measure(world, runs, noise=0.002), unit="nats/token")


@pytest.fixture(scope="module")
def comparison(table: RunTable) -> Comparison:
    return compare(table, LAWS, starts=4, draws=200)


def setting(**changes: object) -> Setting:
    return replace(Setting(get_objective("huber-log"), "separate", None, None, {}, 4, 0, 0.9), **changes)  # type: ignore[arg-type]


def unheard(_: int) -> None:
    pass


def held_out(form: str, table: RunTable, split: Split) -> HeldOut:
    return predict_held_out(get_form(form), table, [split], setting(), unheard)


# --- what is held out -------------------------------------------------------------------------------


def split_of(table: RunTable, name: str, **options: float) -> Split:
    given, not_given = make_splits(table, [name], **options)  # type: ignore[arg-type]
    assert not not_given
    return given[0]


def test_random_holds_out_whole_runs(table: RunTable):
    held = split_of(table, "random").held
    runs = run_numbers(table)
    assert not set(runs[held]) & set(runs[~held])
    assert len(set(runs[held])) == round(0.2 * len(set(runs)))
    assert not (split_of(table, "random", seed=1).held == held).all()


def test_largest_N_holds_out_whole_sizes(table: RunTable):
    held = split_of(table, "N").held
    N = table.params()[0]
    assert set(N[held]) == {8e9}
    assert N[~held].max() == 2e9


@pytest.mark.parametrize("name", ["D", "C"])
def test_largest_D_and_C_hold_out_the_top_with_ties(table: RunTable, name: str):
    held = split_of(table, name).held
    values = table.frame["tokens"].to_numpy() if name == "D" else table.compute()[0]
    assert values[held].min() > values[~held].max()
    assert 0.1 < held.mean() < 0.35


def test_ties_stay_together():
    runs = read_runs(chinchilla(sizes=5, ratios=4).frame(), unit="nats/token")
    N = runs.params()[0]
    held = make_splits(runs, ["N"], share=0.35)[0][0].held
    assert held.mean() == pytest.approx(0.4)
    assert not set(N[held]) & set(N[~held])


def test_unseen_mixtures_are_whole_and_of_several_languages(table: RunTable):
    held = split_of(table, "M").held
    _, shares = table.shares()
    rounded = [tuple(row) for row in shares.round(6)]
    assert not {m for m, h in zip(rounded, held, strict=True) if h} & {
        m for m, h in zip(rounded, held, strict=True) if not h
    }
    assert ((shares[held] > 0).sum(1) > 1).all()


def test_splits_do_not_look_at_losses(table: RunTable):
    shuffled = table.frame["loss"].shuffle(seed=3)
    other = replace(table, frame=table.frame.with_columns(loss=shuffled))
    for one, two in zip(make_splits(table)[0], make_splits(other)[0], strict=True):
        assert one.name == two.name
        assert (one.held == two.held).all()


def test_one_split_is_the_same_beside_others(table: RunTable):
    alone_, together = make_splits(table, ["M"])[0][0], {s.name: s for s in make_splits(table)[0]}["M"]
    assert (alone_.held == together.held).all()


@pytest.mark.parametrize(
    ("sizes", "ratios", "name", "reason"),
    [
        (3, 6, "N", "different sizes: 3, where a law must see 3 below the largest: add runs at 1 more"),
        (1, 6, "N", "add runs at 3 more"),
        (2, 4, "random", "there are 8 runs, and it takes 10: add 2"),
        (5, 5, "M", "there are no mixture columns"),
    ],
)
def test_a_split_that_runs_cannot_give_says_what_would(sizes: int, ratios: int, name: str, reason: str):
    runs = read_runs(chinchilla(sizes, ratios).frame(), unit="nats/token")
    given, not_given = make_splits(runs, [name])
    assert not given
    assert reason in not_given[0].reason


def test_a_largest_level_with_most_of_the_runs_is_not_held_out():
    frame = chinchilla(4, 6).frame()
    many = pl.concat([frame, *(frame.filter(pl.col("N") > 1e9) for _ in range(6))])
    runs = read_runs(many.with_columns(D=pl.col("D") * np.linspace(1, 1.5, many.height)), unit="nats/token")
    (refused,) = make_splits(runs, ["N"])[1]
    assert "have the largest N: add smaller ones" in refused.reason


# --- what is held out is not seen -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["N", "M"])
def test_held_out_losses_change_nothing(table: RunTable, name: str):
    split = split_of(table, name)
    before = held_out("atlas-other", table, split)
    tampered = table.frame["loss"].to_numpy().copy()
    tampered[split.held] = tampered[split.held][::-1] * 3
    after = held_out("atlas-other", replace(table, frame=table.frame.with_columns(loss=pl.Series(tampered))), split)
    assert len(before.predictions) == len(table.targets)
    for one, two in zip(before.predictions, after.predictions, strict=True):
        assert (one.predicted == two.predicted).all()
    for key, law in before.laws.items():
        assert law.law.to_dict() == after.laws[key].law.to_dict()


def test_held_out_shares_change_no_coefficient_and_no_source():
    """Held-out runs hold the language that is co-sampled least otherwise: choosing sources from them would show."""
    world = make_world(6, seed=2, transfer=(0.4, 0.2))
    mixtures = np.concatenate([alone(world)[:1], np.eye(6)[[0] * 2] * 0.6 + np.eye(6)[[1, 2]] * 0.4])
    runs = make_runs(sizes=[2e7, 1e8, 5e8, 2e9, 8e9], tokens=[1e9, 1e10, 6e10], mixtures=mixtures)
    frame = measure(world, runs, targets=[0], noise=0.002)
    table = read_runs(frame, unit="nats/token")
    split = Split("N", "", table.params()[0] > 5e9)
    changed = frame.to_dicts()
    for row, held in zip(changed, split.held, strict=True):
        if held:
            row.update({c: 0.0 for c in row if c.startswith("share:")})
            row.update({"share:eng_Latn": 0.1, f"share:{world.names[5]}": 0.9})
    tampered = read_runs(pl.DataFrame(changed), unit="nats/token")
    before, after = held_out("atlas", table, split), held_out("atlas", tampered, split)
    (one,), (two,) = before.laws.values(), after.laws.values()
    assert world.names[5] not in two.layout.sources
    assert one.layout.sources == two.layout.sources
    assert one.law.to_dict() == two.law.to_dict()
    assert not np.allclose(before.predictions[0].predicted, after.predictions[0].predicted)
    assert world.names[5] in rows_for(get_form("atlas").law, tampered).sources


@pytest.mark.slow
def test_separate_laws_are_those_that_fit_gives(table: RunTable):
    every = Split("in-sample", "", np.ones(len(table), bool), in_sample=True)
    found = held_out("chinchilla", table, every)
    target = table.targets[1]
    alone_ = fit("chinchilla", table, target=target, draws=0, starts=16)
    prediction = next(p for p in found.predictions if p.target == target)
    np.testing.assert_allclose(prediction.predicted, alone_.rows["predicted"].to_numpy(), rtol=2e-4)


# --- scores -----------------------------------------------------------------------------------------


def observed(rows: int = 12, runs: int = 6, seed: int = 0) -> tuple[Observed, np.ndarray]:
    rng = np.random.default_rng(seed)
    loss = rng.uniform(2, 4, rows)
    return Observed("eng_Latn", loss, np.arange(rows) % runs), loss * np.exp(rng.normal(0, 0.1, rows))


def test_r2_and_relative_error_are_of_the_losses():
    rows, predicted = observed()
    result = score([rows], [predicted], np.zeros((0, 6)))
    squares = ((predicted - rows.loss) ** 2).sum() / ((rows.loss - rows.loss.mean()) ** 2).sum()
    assert result.r2[0] == pytest.approx(1 - squares)
    assert result.error[0] == pytest.approx(np.median(np.abs(predicted - rows.loss) / rows.loss))
    assert score([rows], [np.full(12, rows.loss.mean())], np.zeros((0, 6))).r2[0] == pytest.approx(0)


def test_drawn_scores_are_those_of_the_runs_drawn():
    rows, predicted = observed()
    times = draw_runs(6, 40, np.random.default_rng(1))
    assert (times.sum(1) == 6).all()
    result = score([rows], [predicted], times)
    for draw, counts in enumerate(times):
        index = np.repeat(np.arange(12), counts[rows.run])
        mse = ((predicted - rows.loss)[index] ** 2).mean()
        assert result.drawn_r2[draw, 0] == pytest.approx(1 - mse / np.var(rows.loss))
        error = np.median(np.abs(predicted / rows.loss - 1)[index])
        assert result.drawn_error[draw, 0] == pytest.approx(error)


def test_a_language_without_spread_or_rows_is_not_scored():
    assert Observed("x", np.array([2.0, 3.0]), np.arange(2)).why_not == "2 held-out rows"
    assert "alike" in Observed("x", np.full(5, 2.0), np.arange(5)).why_not
    assert not Observed("x", np.array([2.0, 2.1, 3.0]), np.arange(3)).why_not


def scores_of(r2: list[float], spread: float, seed: int = 0) -> Scores:
    values = np.array(r2)
    drawn = values + np.random.default_rng(seed).normal(0, spread, (400, len(r2)))
    return Scores(tuple("abc"[: len(r2)]), values, values * 0, drawn, drawn * 0)


def test_a_simpler_law_is_taken_if_it_is_within_a_standard_error_of_the_best():
    noise = {"simple": {"N": scores_of([0.90], 0.05, 1)}, "rich": {"N": scores_of([0.91], 0.05, 2)}}
    ranking = rank(noise, {"simple": 5, "rich": 9}, ["N"], 0.9)
    assert ranking.choice == "simple"
    assert "within one standard error" in ranking.sentence
    clear = {"simple": {"N": scores_of([0.7], 0.02, 1)}, "rich": {"N": scores_of([0.91], 0.02, 2)}}
    ranking = rank(clear, {"simple": 5, "rich": 9}, ["N"], 0.9)
    assert ranking.choice == "rich"
    assert ranking.laws[1].told_apart
    assert rank(noise, {"simple": 9, "rich": 9}, ["N"], 0.9).choice == "rich"


def test_a_wide_interval_is_no_reason_to_take_the_simpler_law():
    wide = {"simple": {"N": scores_of([0.7], 0.1, 1)}, "rich": {"N": scores_of([0.9], 0.1, 2)}}
    ranking = rank(wide, {"simple": 5, "rich": 9}, ["N"], 0.9)
    assert not ranking.laws[1].told_apart
    assert ranking.choice == "rich"
    assert "do not surely tell it from simple" in ranking.sentence


def test_a_split_of_too_few_runs_for_intervals_does_not_rank():
    """Mixtures held out with one run have scores and no draws."""
    by_size = {"simple": scores_of([0.7], 0.02, 1), "rich": scores_of([0.9], 0.02, 2)}
    few = {"simple": scores_of([0.99], 0.0), "rich": scores_of([0.1], 0.0)}
    few = {name: replace(s, drawn_r2=s.drawn_r2[:0], drawn_error=s.drawn_error[:0]) for name, s in few.items()}
    both = {name: {"N": by_size[name], "M": few[name]} for name in few}
    ranking = rank(both, {"simple": 5, "rich": 9}, ["N", "M"], 0.9)
    assert (ranking.choice, ranking.splits) == ("rich", ("N",))
    alone = rank({name: {"M": few[name]} for name in few}, {"simple": 5, "rich": 9}, ["M"], 0.9)
    assert alone.splits == ("M",)
    assert alone.laws[1].ahead_low is None


def test_no_law_is_taken_where_none_beats_the_mean():
    poor = {"one": {"N": scores_of([-0.2, -3.0], 0.1)}, "two": {"N": scores_of([-0.1, -0.4], 0.1)}}
    ranking = rank(poor, {"one": 5, "two": 9}, ["N"], 0.9)
    assert ranking.choice is None
    assert "No law is usable" in ranking.sentence
    assert {r.name: r.mean for r in ranking.laws}["one"] == pytest.approx((-0.2 + FLOOR) / 2)


# --- the whole --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_transfer_is_found_where_there_is_transfer(comparison: Comparison):
    assert [s.name for s in comparison.splits] == list(SPLITS)
    for split in ("random", "N", "D", "C", "M"):
        atlas, plain = comparison.score("atlas-other", split), comparison.score("chinchilla", split)
        assert atlas["r2"] > plain["r2"]
        assert atlas["error"] < plain["error"]
        assert atlas["r2_low"] <= atlas["r2"] <= atlas["r2_high"]
    assert comparison.choice == "atlas-other"
    assert "chinchilla" in [r.name for r in comparison.ranking if r.told_apart]
    assert comparison.table().columns == ["law", *SPLITS]
    assert comparison.by_language.height == len(LAWS) * len(SPLITS) * 3


@pytest.mark.slow
def test_scores_can_be_made_again_from_predictions(comparison: Comparison):
    for cell in comparison.by_language.to_dicts():
        rows = comparison.predictions.filter(
            (pl.col("law") == cell["law"]) & (pl.col("split") == cell["split"]) & (pl.col("target") == cell["language"])
        )
        loss, predicted = rows["loss"].to_numpy(), rows["predicted"].to_numpy()
        assert rows.height == cell["rows"]
        assert 1 - ((predicted - loss) ** 2).mean() / loss.var() == pytest.approx(cell["r2"])
    means = comparison.by_language.group_by("law", "split").agg(pl.col("r2").mean())
    for row in means.to_dicts():
        assert comparison.score(row["law"], row["split"])["r2"] == pytest.approx(row["r2"])


def test_the_same_seed_gives_the_same(table: RunTable):
    one, two = (compare(table, ["chinchilla"], splits=["random", "M"], starts=4, draws=50) for _ in range(2))
    assert one.to_dict() == two.to_dict()


def test_given_sources_are_used(table: RunTable):
    given = {t: [next(s for s in table.languages if s != t)] for t in table.targets}
    groups = _grouped(get_form("atlas"), table, setting(sources=given))
    assert {t: list(rows.sources) for t, rows in zip(groups.names, groups.rows, strict=True)} == given
    assert [s.name for s in groups.layout.slots if s.coefficient == "tau"] == ["tau[1]"]
    own = _grouped(get_form("atlas-other"), table, setting(sources=given))
    assert {rows.sources for rows in own.rows} == {()}


def test_tied_laws_are_one(table: RunTable):
    split = split_of(table, "N")
    found = predict_held_out(get_form("chinchilla"), table, [split], setting(across="tied"), unheard)
    first, *others = (law.law.to_dict() for law in found.laws.values())
    assert others
    for other in others:
        assert other == pytest.approx(first)


def test_one_unnamed_thing_is_compared_too():
    runs = read_runs(chinchilla().frame(noise=2e-3), unit="nats/token")
    answer = compare(runs, ["chinchilla", "family", "atlas-own"], starts=4, draws=50)
    assert [law.name for law in answer.laws] == ["chinchilla"]
    assert "no run is of several languages" in answer.laws_left_out["family"]
    assert "no target column" in answer.laws_left_out["atlas-own"]
    assert [s.name for s in answer.not_given] == ["M"]
    assert answer.choice == "chinchilla"
    assert answer.score("chinchilla", "N")["r2"] > 0.9


def test_a_law_without_its_columns_is_left_out(table: RunTable):
    table = replace(table, frame=table.frame.select(pl.exclude("^unique:.*$")))
    answer = compare(table, ["chinchilla", "data-constrained"], splits=["N"], starts=4, draws=0)
    assert "no column unique_tokens" in answer.laws_left_out["data-constrained"]
    assert answer.score("chinchilla", "N")["r2_low"] is None
    with pytest.raises(InputError, match="no law can be compared"):
        compare(table, ["data-constrained"])


def test_languages_with_too_few_rows_are_left_out_and_said(table: RunTable):
    rare = table.targets[2]
    small = table.frame.filter((pl.col("target") != rare) | (pl.col("params_total") < 5e7))
    answer = compare(replace(table, frame=small), ["chinchilla"], splits=["N"], starts=4, draws=0)
    assert rare not in answer.splits[0].languages
    assert answer.languages_left_out == (("N", rare, "it has no held-out row"),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laws": ["chinchila"]}, "chinchilla"),
        ({"laws": []}, "no law to compare"),
        ({"splits": ["n"]}, "splits"),
        ({"across": "apart"}, "separate"),
        ({"share": 0.9}, "held-out share"),
        ({"sources": ["elvish"]}, "elvish"),
        ({"targets": ["kor_Hang"]}, "kor_Hang"),
        ({"starts": 0}, "starts"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input_is_named(table: RunTable, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        compare(table, **{"laws": ["chinchilla"], **options})


def test_too_few_runs_for_any_split_is_an_error():
    runs = read_runs(chinchilla(2, 2).frame(), unit="nats/token")
    with pytest.raises(InputError, match="no split can be given"):
        compare(runs, ["chinchilla"], splits=["random", "N"])
