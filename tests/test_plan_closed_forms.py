"""Plans against the closed forms of the literature: UniMax, the family law's shares, Chinchilla's exponents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from isogloss.errors import InputError
from isogloss.fitting import Fit, fit
from isogloss.laws import FamilyLaw, atlas_per_language, optimal_allocation
from isogloss.planning import Plan, plan
from isogloss.planning.draws import Drawn, LawDraws
from isogloss.planning.family_laws import FAMILY_NAMES, FamilyLaws, family_shares
from isogloss.planning.kinds import Evidence
from isogloss.planning.known_transfer import KnownTransfer
from isogloss.planning.slopes import Problem
from isogloss.planning.text import Text
from isogloss.runs.mixtures import unimax

# None of them has a law in ATLAS's table: all have the mean of its laws.
ALIKE = ("ekk_Latn", "lvs_Latn", "lit_Latn", "fin_Latn", "isl_Latn")


# --- Chinchilla: one language -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["eng_Latn", "fra_Latn", "swh_Latn"])
def test_one_language_grows_with_chinchillas_exponents(code: str) -> None:
    """N ~ C^a and D ~ C^b with a = beta / (alpha + beta), over five orders of magnitude."""
    c = atlas_per_language("multi-vocab-mono-train")[code].coefficients
    budgets = 10.0 ** np.arange(19, 25)
    plans = [alone(code, C) for C in budgets]
    N, D = optimal_allocation(c["A"], c["alpha"], c["B"], c["beta"], budgets)
    np.testing.assert_allclose([p.N for p in plans], N, rtol=1e-6)
    np.testing.assert_allclose([p.D for p in plans], D, rtol=1e-6)
    a = c["beta"] / (c["alpha"] + c["beta"])
    np.testing.assert_allclose(slopes(budgets, [p.N for p in plans]), a, atol=1e-6)
    np.testing.assert_allclose(slopes(budgets, [p.D for p in plans]), 1 - a, atol=1e-6)


def test_one_languages_own_fit_grows_with_its_exponents(tmp_path: Path) -> None:
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = 1.7 + 400 / N**0.31 + 900 / D**0.37
    found = fit("chinchilla", pl.DataFrame({"N": N, "D": D, "loss": loss}), intervals="none", starts=16)
    found.save(tmp_path / "own")
    own = {e.name: e.value for e in found.coefficients}
    budgets = 10.0 ** np.arange(19, 25)
    plans = [alone("fin_Latn", C, fit=str(tmp_path / "own")) for C in budgets]
    a = own["beta"] / (own["alpha"] + own["beta"])
    np.testing.assert_allclose(a, 0.37 / 0.68, atol=1e-3)
    np.testing.assert_allclose(slopes(budgets, [p.N for p in plans]), a, atol=1e-6)
    np.testing.assert_allclose(slopes(budgets, [p.D for p in plans]), 1 - a, atol=1e-6)


def alone(code: str, C: float, **need: Any) -> Plan:
    wide = {"min_params": "1e3", "max_params": "1e16"}
    return plan({"budget": {"flops": C}, "languages": {code: {"tokens": "1e20", **need}}, "limits": wide}, draws=0)


def slopes(budgets: np.ndarray, values: list[float]) -> np.ndarray:
    return np.diff(np.log(values)) / np.diff(np.log(budgets))


# --- UniMax: languages alike --------------------------------------------------------------------------------

TEXTS = {
    "all scarce but one": [1e8, 3e8, 1e9, 4e9, 1e14],
    "two scarce": [2e8, 5e12, 1e9, 5e12, 5e12],
    "none scarce": [1e13, 2e13, 5e13, 1e14, 1e12],
    "as much of each": [2e9, 2e9, 2e9, 2e9, 1e13],
}


@pytest.mark.parametrize("U", TEXTS.values(), ids=list(TEXTS))
@pytest.mark.parametrize("caps", [1.0, 4.0])
def test_unimax_is_the_best_mixture_of_languages_alike(U: list[float], caps: float) -> None:
    """One law for all, equal weights, no transfer, and repeats worth as much as new text up to the cap."""
    found = of_alike(U, caps, {"transfer": "none", "repetition_decay": 1e-9})
    np.testing.assert_allclose(found.shares, unimax(np.array(U), found.D, caps), atol=1e-4)


@pytest.mark.parametrize("U", TEXTS.values(), ids=list(TEXTS))
@pytest.mark.parametrize(
    ("dose", "tau"),
    [("equal", 0.05), ("equal", 0.4), ("linear", 0.05), ("linear", 0.4), ("equal", -0.05), ("equal", -0.3)],
)
def test_unimax_stays_the_best_with_equal_weights(
    U: list[float], dose: str, tau: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under help, losses are convex in tokens and alike in all languages: the most even that caps allow is best.

    Under equal harm no such proof holds; the equal-dose rule keeps it in these cases.
    """
    all_alike(monkeypatch, tau)
    found = of_alike(U, 4.0, {"dose": dose, "repetition_decay": 1e-9})
    np.testing.assert_allclose(found.shares, unimax(np.array(U), found.D, 4.0), atol=1e-4)


def test_where_repeats_count_less_the_scarce_get_less_than_unimax_gives() -> None:
    """UniMax's epochs are a cap, the plan's are worth something each: under a high cap it stops before."""
    U = [2e8, 5e12, 1e9, 5e12, 5e12]
    found = of_alike(U, 100.0, {"transfer": "none", "repetition_decay": 1.0})
    even = unimax(np.array(U), found.D, 100.0)
    assert (found.shares[[0, 2]] < 0.5 * even[[0, 2]]).all()
    assert found.objective < 0.9999 * objective_at(found, even)


def test_equal_harm_that_counts_whole_is_not_unimax(monkeypatch: pytest.MonkeyPatch) -> None:
    """The linear form takes from a scarce language what all others harm it, and then gives it nothing at all."""
    all_alike(monkeypatch, -0.1)
    U = TEXTS["all scarce but one"]
    found = of_alike(U, 4.0, {"dose": "linear", "repetition_decay": 1e-9})
    even = unimax(np.array(U), found.D, 4.0)
    assert found.shares[0] < 1e-3 * even[0]
    assert found.objective < 0.9999 * objective_at(found, even)


def objective_at(found: Plan, shares: np.ndarray) -> float:
    """Of the alternative with these shares."""
    near = [a for a in found.alternatives if np.abs(a.shares - shares).max() < 1e-9]
    return near[0].objective


def of_alike(U: list[float], caps: float, assumptions: dict[str, Any]) -> Plan:
    languages = {code: {"tokens": tokens} for code, tokens in zip(ALIKE, U, strict=True)}
    limits = {"max_epochs": caps}
    return plan({"budget": "1e21", "languages": languages, "limits": limits, "assumptions": assumptions}, draws=0)


def all_alike(monkeypatch: pytest.MonkeyPatch, tau: float) -> None:
    """Every language has this weight for every other."""

    def known(codes: tuple[str, ...], question: Any) -> KnownTransfer:
        del question
        size = len(codes)
        weights = tau * (1 - np.eye(size))
        said = tuple(Evidence(f"transfer.{code}", "assumed", "all alike") for code in codes)
        return KnownTransfer(weights, np.full((size, size), "assumed", object), said)

    monkeypatch.setattr("isogloss.planning.evidence.known_transfer", known)


# --- He et al.: the family law ------------------------------------------------------------------------------

FAMILIES = {
    "fra_Latn": {"E": 0.9, "A": 60.0, "alpha": 0.28, "B": 250.0, "beta": 0.27, "gamma": 0.08},
    "rus_Cyrl": {"E": 1.1, "A": 90.0, "alpha": 0.30, "B": 400.0, "beta": 0.29, "gamma": 0.15},
    "hin_Deva": {"E": 0.8, "A": 75.0, "alpha": 0.29, "B": 300.0, "beta": 0.28, "gamma": 0.11},
}
WEIGHTS = {"fra_Latn": 1.0, "rus_Cyrl": 2.0, "hin_Deva": 0.5}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Fit]]:
    """A fit for each, from simulated runs."""
    place, found = tmp_path_factory.mktemp("families"), {}
    N, D, p = (
        axis.ravel() for axis in np.meshgrid(np.geomspace(8e7, 1.2e9, 4), np.geomspace(1e9, 5e10, 4), [0.1, 0.3, 1.0])
    )
    for i, (code, t) in enumerate(FAMILIES.items()):
        loss = (t["E"] + t["A"] / N ** t["alpha"] + t["B"] / D ** t["beta"]) * p ** -t["gamma"]
        noisy = loss * np.exp(np.random.default_rng(i).normal(0, 0.002, loss.shape))
        runs = pl.DataFrame(
            {"N": N, "D": D, "target": [code] * len(N), f"share:{code}": p, "share:eng_Latn": 1 - p, "loss": noisy}
        )
        found[code] = fit("family", runs, target=code, starts=16, draws=60)
        found[code].save(place / code)
    return place, found


def ask(place: Path, **more: Any) -> Plan:
    languages = {c: {"tokens": "1e15", "weight": WEIGHTS[c], "fit": str(place / c)} for c in FAMILIES}
    need, draws = more.pop("need", {}), more.pop("draws", 0)
    languages = {code: {**of, **need.get(code, {})} for code, of in languages.items()}
    return plan({"budget": "1e21", "languages": languages, **more}, draws=draws)


def law_of(found: dict[str, Fit], codes: tuple[str, ...] = tuple(FAMILIES)) -> FamilyLaw:
    table = [{e.name: e.value for e in found[code].coefficients} for code in codes]
    return FamilyLaw(**{name: np.array([row[name] for row in table]) for name in FAMILY_NAMES})


def test_shares_under_the_family_law_are_its_closed_form(families: tuple[Path, dict[str, Fit]]) -> None:
    place, fits = families
    answer = ask(place)
    weights = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())
    law = law_of(fits)
    np.testing.assert_allclose(answer.shares, family_shares(law, weights, answer.N, answer.D), atol=1e-6)

    def least(log_N: float) -> float:
        N, D = np.exp(log_N), 1e21 / 6 / np.exp(log_N)
        return float(weights @ np.asarray(law.loss(N, D, family_shares(law, weights, N, D))))

    best: Any = minimize_scalar(least, bounds=(np.log(1e7), np.log(1e12)), method="bounded", options={"xatol": 1e-12})
    assert answer.objective == pytest.approx(best.fun, rel=1e-9)
    assert pytest.approx(np.exp(best.x), rel=1e-4) == answer.N


def test_with_one_gamma_shares_are_he_and_colleagues() -> None:
    """p_i proportional to (w_i c_i)^(1 / (1 + gamma)); with no weight on c, to the weights' powers."""
    rng = np.random.default_rng(0)
    law = FamilyLaw(
        E=rng.uniform(0.5, 2, 6), A=rng.uniform(50, 500, 6), alpha=0.3, B=rng.uniform(50, 500, 6), beta=0.3, gamma=0.12
    )
    weights = rng.dirichlet(np.ones(6))
    c = np.asarray(law.loss(1e9, 1e11, 1.0))
    expected = (weights * c) ** (1 / 1.12)
    np.testing.assert_allclose(family_shares(law, weights, 1e9, 1e11), expected / expected.sum(), rtol=1e-12)
    with pytest.raises(InputError, match="positive"):
        family_shares(law, np.eye(6)[0], 1e9, 1e11)


@pytest.mark.parametrize("own_size", [False, True])
def test_slopes_of_the_family_law_are_differences(own_size: bool) -> None:
    rng = np.random.default_rng(1)
    table = np.array([list(t.values()) for t in FAMILIES.values()]).T
    law = FamilyLaw(**dict(zip(FAMILY_NAMES, table, strict=True)))
    problem = problem_of(law)
    x, slope = np.log(rng.uniform(1e9, 1e11, (2, 3))), rng.normal(size=(2, 3))
    N = np.array([1e8, 2e9]) if own_size else None
    laws = FamilyLaws.made(law, 3)
    _, pull = laws.losses(problem, x, N)
    step = 1e-6
    for k in range(3):
        away = step * np.eye(3)[k]
        up, down = (laws.losses(problem, x + sign * away, N)[0] for sign in (1, -1))
        expected = (slope * (up - down)).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(pull(slope)[:, k], expected, rtol=1e-6, atol=1e-9)


def problem_of(law: FamilyLaw) -> Problem:
    return Drawn(LawDraws(law, 1, {}, (), ()), Text.plain(np.full(3, 1e12)), np.full(3, 1 / 3), 1e21, 11.0).problem  # type: ignore[arg-type]


def test_a_plan_by_family_laws_says_so_and_has_intervals(families: tuple[Path, dict[str, Fit]]) -> None:
    place, fits = families
    answer = ask(place, draws=20)
    unsure = answer.uncertainty
    assert unsure is not None
    assert unsure.settled == 20
    low, high = unsure.bounds(unsure.shares)
    assert ((low <= answer.shares) & (answer.shares <= high)).all()
    assert (high > low).all()
    assert "draws of their fits" in " ".join(unsure.varies)
    assert not any("lambda" in said for said in unsure.lacks)
    kinds = {e.quantity: e for e in answer.evidence}
    assert kinds["law.rus_Cyrl"].kind == "measured"
    assert "He et al. 2024" in kinds["law.rus_Cyrl"].source
    assert "gamma" in kinds["transfer.hin_Deva"].source
    assert any("family law" in said for said in answer.warnings)
    assert not any("lambda" in said or "capacity tax" in said for said in answer.warnings)
    assert answer.loss_unit == fits["fra_Latn"].unit


def test_limits_hold_under_the_family_law(families: tuple[Path, dict[str, Fit]]) -> None:
    place, _ = families
    answer = ask(place, need={"hin_Deva": {"tokens": "1B"}, "rus_Cyrl": {"max_share": 0.3}})
    tokens = dict(zip(answer.languages, answer.shares * answer.D, strict=True))
    assert tokens["hin_Deva"] == pytest.approx(4e9, rel=1e-4)
    assert dict(zip(answer.languages, answer.shares, strict=True))["rus_Cyrl"] == pytest.approx(0.3, rel=1e-4)


def test_what_family_laws_cannot_answer_is_refused(families: tuple[Path, dict[str, Fit]]) -> None:
    place, _ = families
    with pytest.raises(InputError, match=r"every language has one|family fit says what"):
        ask(place, need={"hin_Deva": {"fit": None}})
    with pytest.raises(InputError, match="alone with its own text"):
        ask(place, objective={"measure": "normalised"})
    with pytest.raises(InputError, match="compare a checkpoint"):
        ask(place, start="gemma-3-1b")
    with pytest.raises(InputError, match="no language alone"):
        ask(place, budget={"target": {"fra_Latn": 1.5}})
