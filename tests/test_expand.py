"""expand by the K law: published factors at equal loss and equal compute, and an own fit's with intervals."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from isogloss.errors import InputError
from isogloss.planning import expand as module_or_function
from isogloss.planning.expand import ENTRY, NAMES, expand, parse_languages

LAW = {"E": 0.7, "A": 300.0, "alpha": 0.4, "phi": 0.11, "B": 900.0, "beta": 0.3, "psi": -0.04}


def k_loss(law: dict[str, float], N: float, D: float, K: float) -> float:
    """ATLAS, equation 7, with D the tokens of all K languages."""
    size = law["A"] * K ** law["phi"] / N ** law["alpha"]
    return law["E"] + size + law["B"] * K ** law["psi"] / (D / K) ** law["beta"]


def best(law: dict[str, float], C: float, K: float) -> tuple[float, float]:
    """N and the loss of the compute-optimal model, by search."""
    found: Any = minimize_scalar(
        lambda x: k_loss(law, np.exp(x), C / (6 * np.exp(x)), K),
        bounds=(10, 40),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.x)), float(found.fun)


@pytest.fixture
def own_fit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fit of the K law with the coefficients LAW and 200 draws around them."""
    rng = np.random.default_rng(0)
    values = np.array([LAW[name] for name in NAMES])
    spread = 1 + 0.05 * rng.standard_normal((200, len(NAMES)))
    fit = SimpleNamespace(
        law=SimpleNamespace(name="k-law"),
        coefficients=[SimpleNamespace(name=name, held=False) for name in NAMES],
        values=values,
        draws=values * spread,
        level=0.8,
        unit="nats/token",
        warnings=(),
    )
    monkeypatch.setattr("isogloss.fitting.load_fit", lambda _: fit)
    return fit


def test_the_name_is_the_function() -> None:
    assert module_or_function is expand


@pytest.mark.usefixtures("own_fit")
@pytest.mark.parametrize("r", [0.5, 2, 10])
def test_equal_loss_keeps_both_terms_of_the_law(r: float) -> None:
    K, C = 8.0, 1e21
    N, loss = best(LAW, C, K)
    answer = expand(r, fit="fit")
    assert k_loss(LAW, N * answer.N_factor, C / (6 * N) * answer.D_factor, r * K) == pytest.approx(loss, rel=1e-9)
    # No cheaper model reaches it: the frontier at that compute has the same loss.
    assert best(LAW, C * answer.C_factor, r * K)[1] == pytest.approx(loss, rel=1e-9)


@pytest.mark.usefixtures("own_fit")
@pytest.mark.parametrize("r", [0.5, 2, 10])
def test_equal_compute_is_the_best_for_more_languages(r: float) -> None:
    K, C = 8.0, 1e21
    (N, before), (N_after, after) = best(LAW, C, K), best(LAW, C, r * K)
    answer = expand(r, at="compute", fit="fit", K=K, C=C)
    assert answer.C_factor == pytest.approx(1)
    assert answer.N_factor == pytest.approx(N_after / N, rel=1e-4)
    assert answer.reducible_loss_factor == pytest.approx((after - LAW["E"]) / (before - LAW["E"]), rel=1e-6)
    assert answer.loss is not None
    assert (answer.loss.before, answer.loss.after) == pytest.approx((before, after), rel=1e-9)


def test_an_own_fit_gives_intervals(own_fit: Any) -> None:
    answer = expand(4, fit="fit")
    assert answer.intervals_of == "draws"
    factors = 4 ** (own_fit.draws[:, 3] / own_fit.draws[:, 2])
    low, high = np.quantile(factors, [0.1, 0.9])
    assert (answer.intervals["N_factor"].low, answer.intervals["N_factor"].high) == pytest.approx((low, high))
    assert answer.intervals["N_factor"].low < answer.N_factor < answer.intervals["N_factor"].high
    assert {e["kind"] for e in answer.to_dict()["evidence"].values()} == {"measured"}


def test_a_fit_of_another_law_is_refused(own_fit: Any) -> None:
    own_fit.law.name = "chinchilla"
    with pytest.raises(InputError, match=r"--fit fit: the fit is of chinchilla(.|\n)*--law k-law"):
        expand(2, fit=Path("fit"))


def test_a_fit_that_knows_nothing_of_the_number_of_languages_is_refused(own_fit: Any) -> None:
    held = {e.name: e for e in own_fit.coefficients}
    held["phi"].held = True
    assert any("phi was held" in warning for warning in expand(2, fit="fit").warnings)
    held["psi"].held = True
    with pytest.raises(InputError, match="say nothing of the number of languages"):
        expand(2, fit="fit")


def test_published_at_equal_compute_tells_no_loss() -> None:
    """E, A and B are not published: only the reducible part is known, and with it a range of rounding."""
    answer = expand(2, at="compute")
    assert answer.loss is None
    # From the printed exponents: 2^(0.971 x 0.4527 x 0.1471 / (0.4527 + 0.1471)).
    assert answer.reducible_loss_factor == pytest.approx(2**0.10778, rel=1e-4)
    span = answer.intervals["reducible_loss_factor"]
    assert span.low < answer.reducible_loss_factor < span.high
    assert answer.intervals_of == "rounding"
    assert answer.level is None
    assert any("E, A, B are not published" in warning for warning in answer.warnings)
    assert answer.to_dict()["loss"] is None


def test_rounding_holds_what_the_printed_digits_allow() -> None:
    low, high = expand(2).intervals["N_factor"].low, expand(2).intervals["N_factor"].high
    assert (low, high) == pytest.approx((2**0.2425, 2**0.2435))
    assert "atlas2025" in ENTRY


@pytest.mark.parametrize(("text", "found"), [("2x", (2, None)), ("10->20", (2, 10)), ("8 to 4", (0.5, 8))])
def test_from_how_many_languages(text: str, found: tuple[float, float | None]) -> None:
    assert parse_languages(text) == found


def test_at_what() -> None:
    with pytest.raises(InputError, match="--at: 'price' is neither"):
        expand(2, at="price")  # pyright: ignore[reportArgumentType]
