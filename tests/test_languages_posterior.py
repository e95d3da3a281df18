"""Languages fitted together with draws of the full hierarchy's posterior."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.fitting import LanguageFits, fit_languages
from isogloss.fitting.groups import group_rows
from isogloss.fitting.objective import HuberLogLoss
from isogloss.laws import Chinchilla
from isogloss.runs import RunTable, read_runs

pytestmark = pytest.mark.slow

NAMES = ("de", "fr", "es", "it", "pt")
ROWS = (40, 20, 12, 8, 4)
DRAWS = 400


def study(seed: int = 0) -> tuple[RunTable, dict[str, tuple[float, ...]]]:
    """Five languages with 40 to 4 runs each, and the truth of each."""
    rng = np.random.default_rng(seed)
    rows, truth = [], {}
    for name, count in zip(NAMES, ROWS, strict=True):
        E, alpha, beta = np.array([1.8, 0.34, 0.30]) * np.exp(0.05 * rng.standard_normal(3))
        truth[name] = (E, 400.0, alpha, 900.0, beta)
        N, D = 10 ** rng.uniform(7, 9, count), 10 ** rng.uniform(9, 10.5, count)
        loss = (E + 400 / N**alpha + 900 / D**beta) * np.exp(0.005 * rng.standard_t(5, count))
        rows += [
            {"run_id": f"{name}{i}", "N": n, "D": d, "target": name, "loss": v}
            for i, (n, d, v) in enumerate(zip(N, D, loss, strict=True))
        ]
    return read_runs(pl.DataFrame(rows), unit="nats/token"), truth


@pytest.fixture(scope="module")
def fits() -> dict[str, LanguageFits]:
    pytest.importorskip("numpyro", reason="the posterior needs the extra bayes")
    table, _ = study()
    return {k: fit_languages("chinchilla", table, intervals=k, starts=4, draws=DRAWS) for k in ("auto", "posterior")}


def widths(fits: LanguageFits, name: str) -> np.ndarray:
    """Of the intervals of predicted losses inside the runs' range and beyond it."""
    found = fits[name].predict(N=[3e8, 1e10], D=[1e10, 2e11])
    return (found["high"] - found["low"]).to_numpy()


def test_where_runs_are_many_the_posterior_is_the_optimum(fits: dict[str, LanguageFits]) -> None:
    auto, posterior = (fits[k]["de"].predict(N=[3e8], D=[1e10]) for k in ("auto", "posterior"))
    assert posterior["loss"][0] == pytest.approx(auto["loss"][0], rel=0.005)
    assert np.all(widths(fits["posterior"], "de") < 2 * widths(fits["auto"], "de"))
    assert np.all(widths(fits["posterior"], "de") > 0.4 * widths(fits["auto"], "de"))


def test_the_fewer_the_runs_the_wider_and_a_new_language_widest(fits: dict[str, LanguageFits]) -> None:
    found = fits["posterior"]
    assert found.typical is not None
    new = found.typical.predict(N=[3e8, 1e10], D=[1e10, 2e11])
    assert np.all(widths(found, "de") < widths(found, "pt"))
    assert np.all(widths(found, "pt") < (new["high"] - new["low"]).to_numpy())


def test_it_says_what_it_is_and_its_value_lies_inside(fits: dict[str, LanguageFits]) -> None:
    for one in fits["posterior"].fits.values():
        assert one.intervals == "posterior"
        assert one.draws.shape[0] == DRAWS
        for e in one.coefficients:
            assert e.low is not None
            assert e.high is not None
            assert e.low < e.value < e.high


def test_draws_stay_within_bounds(fits: dict[str, LanguageFits]) -> None:
    table, _ = study()
    groups = group_rows(Chinchilla, table, HuberLogLoss())
    least = {g: min(p.loss) for g, p in zip(groups.names, groups.problems, strict=True)}
    for name, one in fits["posterior"].fits.items():
        E = one.draws[:, [e.name for e in one.coefficients].index("E")]
        assert E.min() >= 0
        assert E.max() <= least[name]


def test_most_intervals_hold_the_truth(fits: dict[str, LanguageFits]) -> None:
    """Twenty-five intervals of 90 % that are not independent: at least fifteen."""
    _, truth = study()
    held = 0
    for name, one in zip(NAMES, fits["posterior"].fits.values(), strict=True):
        for e in one.coefficients:
            held += e.low <= truth[name][("E", "A", "alpha", "B", "beta").index(e.name)] <= e.high  # type: ignore[operator]
    assert held >= 15


def test_what_is_tied_is_one_for_all_in_every_draw() -> None:
    pytest.importorskip("numpyro", reason="the posterior needs the extra bayes")
    table, _ = study()
    found = fit_languages(
        "chinchilla", table, across="tied", intervals="posterior", starts=4, draws=DRAWS, targets=["es", "it"]
    )
    es, it = found.fits.values()
    assert np.array_equal(es.draws, it.draws)
    assert np.all(es.draws.std(0) > 0)


def test_other_kinds_are_refused_together() -> None:
    table, _ = study()
    with pytest.raises(InputError, match="auto, posterior, none, not 'profile'"):
        fit_languages("chinchilla", table, intervals="profile")


def test_none_gives_no_draws() -> None:
    table, _ = study()
    found = fit_languages("chinchilla", table, intervals="none", starts=2, targets=["de", "fr", "es"])
    assert all(len(one.draws) == 0 for one in found.fits.values())


def test_without_numpyro_it_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpyro", None)
    with pytest.raises(InputError, match=r"isogloss\[bayes\]"):
        fit_languages("chinchilla", study()[0], intervals="posterior")
