"""Predicted transfer scores: the model against plain formulas, its intervals, validation and what to measure next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from isogloss import languages
from isogloss.errors import InputError
from isogloss.transfer import TransferMatrix, weight_from_score
from isogloss.transfer.baselines import column_mean, row_and_column, row_mean, same_relation
from isogloss.transfer.effects_model import (
    NEUTRAL,
    Observed,
    Whitening,
    concerned,
    error_variance,
    fit_effects,
    log_marginal,
    prior_sd,
)
from isogloss.transfer.features import PairFeatures, pair_features
from isogloss.transfer.importance import importance_draws, tempered, thinned
from isogloss.transfer.mixture import Mixture, score_of, y_of
from isogloss.transfer.pair_design import REFERENCE, design
from isogloss.transfer.prediction import predict
from isogloss.transfer.suggestion import suggest
from isogloss.transfer.validation import MODEL, validate

CODES = (
    "eng_Latn", "fra_Latn", "deu_Latn", "spa_Latn", "rus_Cyrl",
    "ukr_Cyrl", "arb_Arab", "fin_Latn", "ekk_Latn", "hin_Deva",
)  # fmt: skip


def made(codes: tuple[str, ...] = CODES, seed: int = 0, missing: bool = False) -> PairFeatures:
    """Two features, one of them of the pair and one of the target; three families."""
    rng, size = np.random.default_rng(seed), len(codes)
    closeness = rng.normal(size=(size, size))
    values = np.stack([closeness + closeness.T, np.tile(rng.normal(size=(size, 1)), size)], axis=-1)
    if missing:
        values[0, :, 1] = np.nan
    values[np.arange(size), np.arange(size)] = np.nan
    family = np.arange(size) % 3
    kinship = 0.5 * (family[:, None] == family) + 0.5 * np.eye(size)
    return PairFeatures(codes, ("closeness", "text"), values, kinship, {"closeness": "made", "text": "made"}, ())


def world(
    features: PairFeatures, seed: int, share: float = 0.5, noise: float = 0.05
) -> tuple[TransferMatrix, np.ndarray]:
    """A matrix with some pairs measured, and the true scores of all."""
    rng, size = np.random.default_rng(seed), len(features.languages)
    root = np.linalg.cholesky(features.kinship + 1e-9 * np.eye(size))
    target, source = 0.12 * root @ rng.normal(size=(size, 2)).T[0], 0.12 * rng.normal(size=size)
    closeness = np.nan_to_num(features.values[..., 0])
    y = NEUTRAL - 0.1 + 0.06 * closeness + target[:, None] + source + rng.normal(0, 0.05, (size, size))
    truth = score_of(y)
    seen = (rng.random((size, size)) < share) & ~np.eye(size, dtype=bool)
    bts = np.where(seen, truth + rng.normal(0, noise, truth.shape), np.nan)
    sd = np.where(seen, noise, np.nan)
    return TransferMatrix(features.languages, bts, np.where(seen, "measured", "").astype(object), sd), truth


@pytest.fixture(scope="module")
def case() -> tuple[TransferMatrix, np.ndarray, PairFeatures]:
    features = made()
    return *world(features, 1), features


# --- the sampler of scales ----------------------------------------------------------------------------------


def test_importance_draws_find_a_known_posterior() -> None:
    """A normal likelihood under the normal prior: mean and variance are known."""
    mean, variance = np.array([1.5, -1.0, 0.0]), np.array([0.05, 0.2, 1.0])
    points, weights = importance_draws(lambda u: float(-0.5 * ((u - mean) ** 2 / variance).sum()), 3, seed=0)
    found = weights @ points
    expected = mean / (1 + variance)
    np.testing.assert_allclose(found, expected, atol=0.05)
    np.testing.assert_allclose(weights @ (points - found) ** 2, variance / (1 + variance), rtol=0.15)
    assert 1 / (weights**2).sum() > 100


def test_importance_draws_find_a_narrow_ridge() -> None:
    """Far from the prior, a thirtieth as wide, and correlated, in as many dimensions as the model has scales."""
    dimensions = 9
    covariance = 0.03**2 * (0.1 * np.eye(dimensions) + 0.9)
    precision, mean = np.linalg.inv(covariance), np.linspace(-1.5, 1.5, dimensions)
    points, weights = importance_draws(
        lambda u: float(-0.5 * (u - mean) @ precision @ (u - mean)), dimensions, seed=0, size=128, rounds=5
    )
    assert 1 / (weights**2).sum() > 100
    total = np.linalg.inv(precision + np.eye(dimensions))
    expected = total @ precision @ mean
    np.testing.assert_allclose(weights @ points, expected, atol=0.01)
    centred = points - weights @ points
    np.testing.assert_allclose((weights[:, None] * centred).T @ centred, total, atol=0.25 * total.max())


def test_tempered_weights_count_for_enough_draws() -> None:
    """Also where most points are hopeless, as draws of the prior are."""
    rng = np.random.default_rng(0)
    logs = np.concatenate([-1000 * rng.random(100), rng.normal(0, 10, 100)])
    weights = tempered(logs, 20.0)
    assert 1 / (weights**2).sum() == pytest.approx(20, rel=0.05)
    assert weights[:100].sum() < 0.5
    flat = np.zeros(50)
    np.testing.assert_allclose(tempered(flat, 20.0), 1 / 50)


def test_thinning_keeps_the_weights() -> None:
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    places, thin = thinned(weights, 50, np.random.default_rng(0))
    assert places.tolist() == [0, 2, 3]
    np.testing.assert_allclose(thin, [0.5, 0.3, 0.2], atol=0.021)


def test_quantiles_of_a_mixture_are_those_of_its_draws() -> None:
    rng = np.random.default_rng(0)
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[-1.0], [-0.5]]), np.array([[0.04], [0.01]]))
    which = rng.random(400_000) < 0.3
    scores = score_of(np.where(which, rng.normal(-1, 0.2, which.shape), rng.normal(-0.5, 0.1, which.shape)))
    for q in (0.05, 0.5, 0.95):
        assert mixture.quantile(q)[0] == pytest.approx(np.quantile(scores, q), abs=0.01)
    mean, sd = mixture.score_moments()
    assert (mean[0], sd[0]) == (pytest.approx(scores.mean(), abs=3e-3), pytest.approx(scores.std(), abs=3e-3))


# --- the model ----------------------------------------------------------------------------------------------


def test_moments_are_those_of_the_gaussian_process(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    """At given scales: conditioning the plain K^2 x K^2 covariance, which knows nothing of columns or of blocks."""
    table, size = design(case[2]), len(CODES)
    rng = np.random.default_rng(3)
    cells = np.flatnonzero((rng.random((size, size)) < 0.5).ravel() & ~np.eye(size, dtype=bool).ravel())
    observed = Observed(
        cells, rng.normal(-0.8, 0.2, len(cells)), np.full(len(cells), 0.02**2), rng.random(len(cells)) < 0.5
    )
    posterior = fit_effects(table, observed, seed=0)
    draw = posterior.draws[0]
    scales = draw.scales
    turned = np.arange(size * size).reshape(size, size).T.ravel()
    prior = (table.columns * prior_sd(table, scales) ** 2) @ table.columns.T
    prior += scales["pair"] ** 2 * (np.eye(size * size) + scales["mutual"] * np.eye(size * size)[turned])
    pairs = np.flatnonzero(~np.eye(size, dtype=bool).ravel())
    total = prior[np.ix_(cells, cells)] + np.diag(error_variance(observed, scales["noise"]))
    gain = np.linalg.solve(total, prior[np.ix_(cells, pairs)]).T
    mean, variance = posterior.moments(draw, pairs)
    np.testing.assert_allclose(mean, NEUTRAL + gain @ (observed.y - NEUTRAL), atol=1e-8)
    expected = prior[np.ix_(pairs, pairs)] - gain @ prior[np.ix_(cells, pairs)]
    np.testing.assert_allclose(variance, np.diag(expected), atol=1e-9)
    draws = replace(posterior, draws=(replace(draw, weight=1.0),)).sample(20_000, rng)[:, pairs]
    drawn = np.cov(draws.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((drawn - expected) / scale).max() < 0.06


def test_languages_without_scores_do_not_change_what_scales_are_likely() -> None:
    """The marginal likelihood of a few languages' scores, from all languages' columns and from theirs alone."""
    table, size = design(made()), len(CODES)
    rng = np.random.default_rng(4)
    cells = np.array([1 * size + 2, 2 * size + 1, 5 * size + 2, 8 * size + 5, 1 * size + 8])
    observed = Observed(cells, rng.normal(-0.8, 0.2, 5), np.full(5, 0.05**2), np.zeros(5, dtype=bool))
    scales = {"features": 0.1, "smooth": 0.1, "target": 0.2, "source": 0.1, "pair": 0.1, "noise": 0.0}
    scales |= {"target kin": 0.7, "source kin": 0.2, "mutual": 0.4}
    few, seen = concerned(table, observed)
    assert (few.size, few.width) == (4, table.width - 12)
    found = log_marginal(Whitening(few, seen), scales, prior_sd(few, scales))
    assert found == pytest.approx(log_marginal(Whitening(table, observed), scales, prior_sd(table, scales)))


def test_effects_of_kin_are_alike_a_priori() -> None:
    features = made()
    table = design(features)
    scales = {"features": 0.1, "smooth": 0.1, "target": 0.2, "source": 0.1, "target kin": 0.5, "source kin": 0.0}
    at, sd = table.groups["target"], prior_sd(table, scales)
    columns = table.columns[:: len(CODES), at] * sd[at]
    np.testing.assert_allclose(
        columns @ columns.T, 0.04 * (0.5 * np.eye(len(CODES)) + 0.5 * features.kinship), atol=1e-12
    )


def test_unknown_features_have_an_indicator_and_constant_ones_no_column() -> None:
    features = made(missing=True)
    assert sorted(design(features).names) == ["closeness", "text", "text unknown"]
    values = features.values.copy()
    values[..., 1] = 3.0
    assert design(replace(features, values=values)).names == ("closeness",)
    assert np.isfinite(design(features).columns).all()


# --- predictions --------------------------------------------------------------------------------------------


def test_predictions_are_below_two_and_in_order(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    matrix, _, features = case
    found = predict(matrix, features=features)
    pairs = ~np.eye(len(CODES), dtype=bool)
    assert np.isnan(np.diag(found.mean)).all()
    assert (found.low[pairs] < found.median[pairs]).all()
    assert (found.median[pairs] < found.high[pairs]).all()
    assert (found.high[pairs] < 2).all()
    assert set(found.kind[pairs]) == {"measured", "predicted"}
    np.testing.assert_allclose(found.sample(4000).mean(axis=0)[pairs], found.mean[pairs], atol=0.05)
    np.testing.assert_allclose(found.weights().tau[pairs], weight_from_score(found.median[pairs]))
    wide = predict(matrix, features=features, level=0.99)
    assert (wide.low[pairs] < found.low[pairs]).all()


def test_measured_scores_are_kept_as_far_as_they_are_sure(
    case: tuple[TransferMatrix, np.ndarray, PairFeatures],
) -> None:
    matrix, _, features = case
    assert matrix.sd is not None
    sure = replace(matrix, sd=np.where(np.isnan(matrix.sd), np.nan, 1e-4))
    seen = np.isfinite(matrix.bts)
    np.testing.assert_allclose(predict(sure, features=features).mean[seen], matrix.bts[seen], atol=0.01)
    unsure = predict(replace(matrix, sd=10 * matrix.sd), features=features)
    assert np.abs(unsure.mean - matrix.bts)[seen].mean() > 0.05
    assert unsure.sd[seen].mean() > predict(matrix, features=features).sd[seen].mean()


def test_contributions_sum_to_the_mean(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    found = predict(case[0], features=case[2])
    y = np.sum(list(found.contributions.values()), axis=0)
    pairs = ~np.eye(len(CODES), dtype=bool)
    # The score of a mean is near the median of scores.
    np.testing.assert_allclose(score_of(y)[pairs], found.median[pairs], atol=0.03)
    assert found.coefficients["closeness"][0] > 1.5 * found.coefficients["closeness"][1]
    assert set(found.contributions) == {"intercept", "features", "target", "source", "pair"}


def test_intervals_cover_at_about_their_level() -> None:
    """Over 12 worlds, of pairs that were not measured; noise of the count is about 1 %, between worlds more."""
    inside = []
    for seed in range(12):
        features = made(seed=seed)
        matrix, truth = world(features, seed, share=0.3)
        found = predict(matrix, features=features)
        asked = found.kind == "predicted"
        inside += ((found.low <= truth) & (truth <= found.high))[asked].tolist()
    assert 0.84 < np.mean(inside) < 0.97


def test_a_language_without_scores_is_predicted_with_less_certainty() -> None:
    features = made()
    matrix, _ = world(features, 1)
    known = np.ones(len(CODES), dtype=bool)
    known[3] = False
    both = known[:, None] & known
    found = predict(replace(matrix, bts=np.where(both, matrix.bts, np.nan)), features=features)
    pairs = ~np.eye(len(CODES), dtype=bool)
    assert found.sd[pairs & ~both].mean() > 1.2 * found.sd[pairs & both].mean()


def test_the_order_of_languages_does_not_matter(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    matrix, _, features = case
    found = predict(matrix, ["ukr_Cyrl", "en", "fi"], features=features)
    assert found.languages == ("ukr_Cyrl", "eng_Latn", "fin_Latn")
    whole = predict(matrix, features=features)
    at = [CODES.index(code) for code in found.languages]
    # Only the draws of the scales differ, by the rounding of the eigenvectors.
    np.testing.assert_allclose(found.mean, whole.mean[np.ix_(at, at)], atol=0.05)
    again = predict(matrix, ["ukr_Cyrl", "en", "fi"], features=features)
    np.testing.assert_array_equal(again.mean, found.mean)


def test_the_forests_scores_count_only_where_trusted() -> None:
    features = made()
    matrix, _ = world(features, 1, share=0.2)
    forest = np.isnan(matrix.bts) & ~np.eye(len(CODES), dtype=bool)
    mixed = replace(matrix, bts=np.where(forest, 1.0, matrix.bts), kind=np.where(forest, "predicted", matrix.kind))
    plain = predict(matrix, features=features)
    np.testing.assert_array_equal(predict(mixed, features=features).mean, plain.mean)
    trusting = predict(mixed, features=features, trust_predicted=0.2)
    assert trusting.mean[forest].mean() > plain.mean[forest].mean() + 0.3
    assert (trusting.kind[forest] == "predicted").all()
    assert any("weak evidence" in note for note in trusting.notes)


def test_the_published_matrix_gives_weights_to_any_language() -> None:
    found = predict(TransferMatrix.published(), ["sw", "en", "fr", "eu"])
    english, french, basque = (found.languages.index(code) for code in ("eng_Latn", "fra_Latn", "eus_Latn"))
    assert found.kind[english, french] == "published"
    assert found.mean[english, french] == pytest.approx(0.2, abs=0.1)
    assert found.sd[english, basque] > 2 * found.sd[english, french]
    assert found.weights().tau.shape == (4, 4)


def test_bad_questions_are_refused(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    matrix, _, features = case
    with pytest.raises(InputError, match="no features of nld_Latn"):
        predict(matrix, ["nl", "en"], features=features)
    with pytest.raises(InputError, match="more than once"):
        predict(matrix, ["en", "eng"], features=features)
    with pytest.raises(InputError, match="trust must be between 0 and 1, got 2"):
        predict(matrix, features=features, trust_predicted=2)
    with pytest.raises(InputError, match="level must be between 0 and 1, got 90"):
        predict(matrix, features=features, level=90)
    empty = replace(matrix, bts=np.full_like(matrix.bts, np.nan))
    with pytest.raises(InputError, match="at least 3 measured scores, got 0"):
        predict(empty, features=features)
    with pytest.raises(InputError, match="below 2, got 3"):
        predict(replace(matrix, bts=matrix.bts + 3 - np.nanmax(matrix.bts)), features=features)


# --- validation ---------------------------------------------------------------------------------------------


def test_validation_leaves_whole_languages_out(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    matrix, truth, features = case
    found = validate(matrix, features=features, leave=("target", "both"), truth=truth, with_forest=False)
    cells = found.cells.filter(left_out="target")
    assert cells.height == 90
    assert found.cells.filter(left_out="both").height == 180
    scores = {row["method"]: row for row in found.scores.filter(left_out="target").to_dicts()}
    error = cells[MODEL].to_numpy() - cells["score"].to_numpy()
    assert scores[MODEL]["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    ranks = [stats.rankdata(cells[name]) for name in (MODEL, "score")]
    assert scores[MODEL]["spearman"] == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert scores["overall mean"]["coverage"] is None
    # A left-out target has no row: its mean is the overall one.
    assert scores["row mean"]["rmse"] == pytest.approx(scores["overall mean"]["rmse"])
    assert scores[MODEL]["rmse"] < scores["row mean"]["rmse"]


def test_what_is_left_out_is_not_seen() -> None:
    """Other scores of the left-out language change nothing about its predictions."""
    features = made()
    matrix, _ = world(features, 1)

    def predicted(given: TransferMatrix) -> pl.DataFrame:
        return validate(given, features=features, leave=("target",), languages=[CODES[2]], with_forest=False).cells

    bts = matrix.bts.copy()
    bts[2] = np.where(np.isnan(bts[2]), np.nan, 1.5)
    found, again = predicted(matrix), predicted(replace(matrix, bts=bts))
    assert found["target"].unique().to_list() == [CODES[2]]
    np.testing.assert_array_equal(found[MODEL].to_numpy(), again[MODEL].to_numpy())
    assert (again["score"] == 1.5).all()


@pytest.mark.slow
def test_the_published_scores_of_a_left_out_language_are_predicted_better_than_by_means() -> None:
    found = validate(TransferMatrix.published(), leave=("target", "source"), with_forest=False).scores
    for way in ("target", "source"):
        scores = {row["method"]: row for row in found.filter(left_out=way).to_dicts()}
        assert scores[MODEL]["cells"] == 72
        best = min(row["rmse"] for name, row in scores.items() if name != MODEL)
        assert scores[MODEL]["rmse"] < 0.95 * best
        # 72 cells of nine languages, far from independent.
        assert 0.75 < scores[MODEL]["coverage"] < 0.99


def test_of_a_known_truth_a_language_without_scores_is_judged_too() -> None:
    features = made()
    matrix, truth = world(features, 1)
    alone = np.isin(np.arange(len(CODES)), [2])
    bts = np.where(alone[:, None] | alone, np.nan, matrix.bts)
    found = validate(
        replace(matrix, bts=bts),
        features=features,
        leave=("both",),
        languages=[CODES[2]],
        truth=truth,
        with_forest=False,
    )
    assert found.cells.height == 18
    with pytest.raises(InputError, match="10 x 10 true scores"):
        validate(matrix, features=features, truth=truth[:5])
    with pytest.raises(InputError, match="nothing to predict"):
        validate(replace(matrix, bts=bts), features=features, leave=("target",), languages=[CODES[2]])


def test_baselines_are_what_they_say() -> None:
    scores = np.array([[np.nan, 1.0, 0.5], [0.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    relation = np.zeros((3, 3), dtype=int)
    assert row_mean(scores, relation)[:, 0].tolist() == [0.75, 0.0, 0.5]
    assert column_mean(scores, relation)[0].tolist() == [0.0, 1.0, 0.5]
    relation[0, 1] = 3
    assert same_relation(scores, relation)[0, 1] == 1.0
    assert same_relation(scores, relation)[2, 2] == 0.25
    effects = np.array([[1.0], [0.0], [-1.0]]) + np.array([0.5, 0.0, -0.5])
    assert np.corrcoef(row_and_column(effects, relation).ravel(), effects.ravel())[0, 1] > 0.99


def test_too_small_a_matrix_is_not_validated() -> None:
    features = made()
    matrix, _ = world(features, 1, share=0.03)
    with pytest.raises(InputError, match="at least 6 measured"):
        validate(matrix, features=features)
    with pytest.raises(InputError, match="unknown part to leave out"):
        validate(matrix, features=features, leave=("targets",))  # pyright: ignore[reportArgumentType]


# --- what to measure next -----------------------------------------------------------------------------------


def test_gains_are_the_variance_that_a_measurement_takes(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    """At one draw of the scales and small errors: refit with the suggested pair measured, and compare."""
    matrix, _, features = case
    prediction = predict(matrix, features=features)
    draw = max(prediction.posterior.draws, key=lambda d: d.weight)
    posterior = replace(prediction.posterior, draws=(replace(draw, weight=1.0),))
    prediction = replace(prediction, posterior=posterior)
    frame = suggest(prediction, count=1, noise=0.05, alone=0.0)
    size = len(CODES)
    cell = CODES.index(frame["target"][0]) * size + CODES.index(frame["source"][0])
    pairs = np.flatnonzero(~np.eye(size, dtype=bool).ravel())
    mean, _ = posterior.moments(draw, pairs)
    y = posterior.sample(200_000, np.random.default_rng(0))[:, pairs]
    slope = np.exp(-mean)
    scores = (y - mean) * slope
    measured = scores[:, pairs == cell][:, 0]
    covariance = scores.T @ measured / len(measured)
    assert frame["gain"][0] == pytest.approx((covariance**2).sum() / (measured.var() + 0.05**2), rel=0.03)


def test_suggestions_follow_purpose_and_price(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    matrix, _, features = case
    found = predict(matrix, features=features)
    frame = suggest(found, count=6)
    assert frame.height == 6
    kind = [found.kind[CODES.index(t), CODES.index(s)] for t, s in frame.select("target", "source").rows()]
    assert set(kind) == {"predicted"}
    assert (np.diff(frame["left"]) < 0).all()
    only = np.zeros((len(CODES), len(CODES)))
    target, source = np.argwhere(found.kind == "predicted")[0]
    only[target, source] = 1.0
    assert suggest(found, purpose=only, count=1, alone=0.0).row(0)[:2] == (CODES[target], CODES[source])
    first = frame.row(0, named=True)
    dear = suggest(found, alone=lambda code: 1e6 if code == first["target"] else 1.0, trained_alone=(), count=1)
    assert dear["target"][0] != first["target"]


def test_runs_are_paid_once() -> None:
    features = made()
    matrix, _ = world(features, 1, share=0.3)
    published = replace(matrix, kind=np.where(matrix.kind == "measured", "published", matrix.kind))
    found = predict(published, features=features)
    frame = suggest(found, cost=lambda *_: 10.0, alone=lambda _: 3.0, count=30)
    mono, pairs = set(), set()
    for row in frame.to_dicts():
        pair = frozenset((row["target"], row["source"]))
        assert row["flops"] == 10.0 * (pair not in pairs) + 3.0 * (row["target"] not in mono)
        pairs.add(pair)
        mono.add(row["target"])
    assert (frame["flops"] == 0).any()
    assert frame.filter(flops=0.0)["gain_per_flop"].is_null().all()
    trained = suggest(found, cost=10.0, alone=3.0, count=1, trained_alone=[*CODES])
    assert trained["flops"][0] == 10.0


def test_bad_wishes_are_refused(case: tuple[TransferMatrix, np.ndarray, PairFeatures]) -> None:
    found = predict(case[0], features=case[2])
    with pytest.raises(InputError, match="10 languages need 10 x 10 weights"):
        suggest(found, purpose=np.ones((3, 3)))
    with pytest.raises(InputError, match="not all zero"):
        suggest(found, purpose=np.zeros((10, 10)))
    with pytest.raises(InputError, match="FLOPs must be finite"):
        suggest(found, cost=-1.0)
    with pytest.raises(InputError, match="count must be at least 1"):
        suggest(found, count=0)


def test_scores_and_y_are_inverse() -> None:
    bts = np.linspace(-3, 1.9, 30)
    np.testing.assert_allclose(score_of(y_of(bts)), bts)
    assert y_of(np.array(0.0)) == NEUTRAL


def test_a_prediction_does_not_depend_on_its_company() -> None:
    few, many = ["ekk_Latn", "eng_Latn", "pol_Latn"], ["pol_Latn", "swh_Latn", "ekk_Latn", "zul_Latn", "eng_Latn"]
    one, other = (predict(TransferMatrix.published(), codes) for codes in (few, many))
    at = [many.index(code) for code in few]
    for name in ("median", "low", "high"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name)[np.ix_(at, at)], atol=2e-3)


def test_packaged_features_have_the_scale_of_the_languages_with_most_text() -> None:
    by_text = sorted((e for e in languages.all_languages() if e.utf8_bytes), key=lambda e: -(e.utf8_bytes or 0))[:100]
    features = pair_features([e.code for e in by_text])
    assert set(features.names) == set(REFERENCE)
    for i, name in enumerate(features.names):
        mean, sd = REFERENCE[name]
        values = features.values[..., i]
        assert np.nanmean(values) == pytest.approx(mean, rel=0.01, abs=0.01)
        assert np.nanstd(values) == pytest.approx(sd, rel=0.01)
