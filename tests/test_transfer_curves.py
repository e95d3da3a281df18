"""The smooth curve, its noise, and the tokens at which a pair has a loss."""

from __future__ import annotations

import numpy as np
import pytest

from isogloss.transfer.curves import EXPONENTS, CurveNoise, LossCurve, Points, fit_curve, resample
from isogloss.transfer.inversion import common_range, default_anchor, invert
from isogloss.transfer.noise import noise_of, table_noise

TOKENS = np.linspace(1e9, 22e9, 24)


def power_law(tokens: np.ndarray, *, E: float = 0.6, B: float = 0.4, beta: float = 0.4) -> np.ndarray:
    return E + B * (tokens / 2e9) ** -beta


def ar1(size: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(size)
    for i in range(1, size):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def points(loss: np.ndarray, tokens: np.ndarray = TOKENS) -> Points:
    return Points(tokens, loss, np.zeros(len(tokens), int))


def seeds(count: int, sd: float, between: float, rho: float, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    losses = [
        power_law(TOKENS) + sd * ar1(len(TOKENS), rho, rng) + between * rng.standard_normal() for _ in range(count)
    ]
    return Points(np.tile(TOKENS, count), np.concatenate(losses), np.repeat(np.arange(count), len(TOKENS)))


# --- the curve ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.08, 0.3, 0.7, 1.3])
def test_power_laws_that_are_not_on_the_grid_are_followed(beta: float) -> None:
    loss = power_law(TOKENS, beta=beta)
    curve = fit_curve(points(loss))
    assert np.abs(EXPONENTS - beta).min() > 0.002
    # Real checkpoints scatter by 0.3 % of such a fall and more.
    assert np.abs(curve.residuals).max() < 0.001 * (loss[0] - loss[-1])


def test_a_curve_falls_however_noisy_its_points() -> None:
    rng = np.random.default_rng(0)
    curve = fit_curve(points(power_law(TOKENS) + 0.1 * rng.standard_normal(len(TOKENS))))
    grid = np.geomspace(curve.low, curve.high, 50)
    assert (np.diff(curve(grid)) <= 0).all()
    assert curve.slope(grid[1:-1]) == pytest.approx(np.gradient(curve(grid), np.log(grid))[1:-1], rel=0.02)


def test_a_slow_beginning_is_not_taken_for_noise() -> None:
    """Small models learn little from their first tokens: the loss falls fastest in the middle. Power laws alone are off
    by 0.045 here, and call that noise of 0.14."""
    tokens = np.geomspace(2.6e5, 3e6, 8)
    slow = 1.2 + 2.2 / (1 + (tokens / 6e5) ** 1.4)
    assert np.abs(fit_curve(points(slow, tokens)).residuals).max() < 0.01
    rng = np.random.default_rng(4)
    noisy = [fit_curve(points(slow + 0.01 * rng.standard_normal(8), tokens)) for _ in range(60)]
    assert 0.005 < table_noise(noisy).typical < 0.03


def test_a_spike_hardly_moves_the_curve() -> None:
    loss = power_law(TOKENS) + 0.002 * np.random.default_rng(1).standard_normal(len(TOKENS))
    calm = fit_curve(points(loss))
    loss[19] += 0.3
    spiked = fit_curve(points(loss))
    assert np.abs(spiked(TOKENS) - calm(TOKENS)).max() < 0.004
    assert spiked.weights[19] < 0.05


def test_inversion_returns_within_the_range_and_never_beyond() -> None:
    curve = fit_curve(points(power_law(TOKENS)))
    for tokens in (1e9, 3.3e9, 22e9):
        assert curve.tokens_at(float(curve(np.array([tokens]))[0])) == pytest.approx(tokens, rel=1e-6)
    ends = curve(np.array([curve.low, curve.high]))
    assert np.isnan(curve.tokens_at(ends[0] + 0.01))
    assert np.isnan(curve.tokens_at(ends[1] - 0.01))


def test_a_flat_curve_can_be_inverted_at_its_one_loss() -> None:
    curve = fit_curve(points(np.full(len(TOKENS), 0.7)))
    assert curve.low <= curve.tokens_at(float(curve(np.array([5e9]))[0])) <= curve.high


# --- its noise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sd", "rho"), [(0.008, 0.0), (0.013, 0.3), (0.019, 0.6)])
def test_size_and_correlation_of_noise_are_recovered(sd: float, rho: float) -> None:
    """Smoothing follows part of the noise: what residuals show of it without correction is too small."""
    rng = np.random.default_rng(2)
    curves = [fit_curve(points(power_law(TOKENS) + sd * ar1(len(TOKENS), rho, rng))) for _ in range(60)]
    found = table_noise(curves)
    assert found.correlation == pytest.approx(rho, abs=0.1)
    assert found.typical == pytest.approx(sd, rel=0.12)


def test_noise_between_seeds_is_measured_where_there_are_seeds() -> None:
    found = table_noise([fit_curve(seeds(3, 0.01, 0.02, 0.3, seed)) for seed in range(30)])
    assert found.seeds == 60
    assert found.between_seeds == pytest.approx(0.02, rel=0.2)
    none = table_noise([fit_curve(seeds(3, 0.01, 0.0, 0.3, seed)) for seed in range(30)])
    assert none.between_seeds < 0.005


def test_one_seed_is_given_an_assumption_that_is_stated() -> None:
    curve = fit_curve(seeds(1, 0.01, 0.0, 0.0, 3))
    found = table_noise([curve])
    assert noise_of(curve, found).shared == pytest.approx(found.typical)
    assert "assumed, not measured" in found.note("bits/byte")
    three = fit_curve(seeds(3, 0.01, 0.0, 0.0, 3))
    measured = table_noise([three])
    assert "from 2 seeds" in measured.note("bits/byte")
    assert noise_of(three, measured).shared < found.typical


def test_runs_of_one_point_have_no_noise_of_a_whole_curve() -> None:
    ladder = Points(TOKENS, power_law(TOKENS) + 0.01 * np.random.default_rng(0).standard_normal(24), np.arange(24))
    curve = fit_curve(ladder)
    assert noise_of(curve, table_noise([curve])).shared == 0


def test_refits_scatter_as_fits_to_new_data_do() -> None:
    rng = np.random.default_rng(4)
    at = np.array([1.5e9, 5e9, 15e9])
    fits = [fit_curve(points(power_law(TOKENS) + 0.01 * ar1(24, 0.3, rng)))(at) for _ in range(200)]
    curve = fit_curve(points(power_law(TOKENS)))
    draws = resample(curve, CurveNoise(0.01, 0.3, 0.0, 1e6), 400, rng)
    refits = np.array(
        [LossCurve(curve.points, d, curve.center, curve.weights, curve.residuals, curve.offsets)(at) for d in draws]
    )
    np.testing.assert_allclose(refits.std(0), np.std(fits, axis=0), rtol=0.25)


# --- two curves -----------------------------------------------------------------------------------------


def two(tau: float) -> tuple[LossCurve, LossCurve]:
    alone, pair = power_law(TOKENS), power_law(0.5 * (1 + tau) * TOKENS)
    return fit_curve(points(alone)), fit_curve(points(pair))


@pytest.mark.parametrize("tau", [-0.3, 0.0, 0.4, 1.0])
def test_sigma_is_the_tokens_that_make_up_for_the_target_s_own(tau: float) -> None:
    mono, pair = two(tau)
    span = common_range(mono, pair)
    assert span is not None
    quiet = CurveNoise(1e-6, 0.0, 1e-6, 20)
    rng = np.random.default_rng(0)
    found = invert(mono, pair, (quiet, quiet), span=span, anchors=9, draws=60, level=0.9, rng=rng)
    np.testing.assert_allclose(found.sigma, 2 * found.anchors / (1 + tau), rtol=0.01)
    assert found.default in found.anchors


def test_the_common_range_is_of_losses_that_both_reach() -> None:
    mono, pair = two(0.0)
    low, high = common_range(mono, pair) or (0.0, 0.0)
    assert low == pytest.approx(1e9, rel=1e-3)
    assert high == pytest.approx(11e9, rel=0.01)
    assert default_anchor(mono, pair, low, high) == pytest.approx(np.sqrt(1e9 * 22e9))
    assert default_anchor(mono, pair, low, 3e9) == 3e9
    above = fit_curve(points(power_law(TOKENS) + 0.5))
    assert common_range(mono, above) is None
    assert common_range(above, mono) is None


def test_intervals_open_where_the_curve_of_the_pair_is_flat() -> None:
    mono, pair = two(0.2)
    span = common_range(mono, pair)
    assert span is not None
    rng = np.random.default_rng(0)
    loud = CurveNoise(0.02, 0.3, 0.02, 20)
    found = invert(mono, pair, (loud, loud), span=span, anchors=9, draws=200, level=0.9, rng=rng)
    assert np.isinf(found.sigma_high[-1])
    assert np.isfinite(found.sigma_high[0])
    assert (found.sigma_low <= found.sigma).all()
    assert (found.sigma <= found.sigma_high).all()
    assert (np.diff(found.tokens_per_loss / found.anchors) > 0).all()
