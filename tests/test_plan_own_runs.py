"""A question that names own runs: laws and weights fitted to them, with what is known without them as prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.languages import all_languages
from isogloss.laws import Atlas
from isogloss.planning import Plan, plan, read_question
from isogloss.planning.allocate import capped_losses
from isogloss.planning.design_belief import belief_of
from isogloss.planning.design_information import SHARED, Noise
from isogloss.planning.evidence import ground
from isogloss.planning.own_runs import _log_losses, _slopes, _whitening
from isogloss.planning.run_rows import Rows, rows_of

CODES = ("fin_Latn", "ekk_Latn", "kat_Geor")
TEXT = {"fin_Latn": 5e10, "ekk_Latn": 1e10, "kat_Geor": 8e9}
ASSUMED = {"repetition_decay": 0.065}
TRUTH = {
    "E": np.array([0.6, 0.9, 0.75]),
    "A": np.array([1500.0, 9000.0, 4000.0]),
    "alpha": np.array([0.47, 0.58, 0.52]),
    "B": np.array([6000.0, 700_000.0, 12000.0]),
    "beta": np.array([0.44, 0.63, 0.47]),
    "tau": np.array([[0, 0.25, -0.1], [0.3, 0, -0.2], [-0.1, -0.15, 0]]),
}
MIXTURES = [*np.eye(3), [1 / 3] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.7, 0.2, 0.1]]


def losses(N: float, tokens: np.ndarray) -> np.ndarray:
    """Of the truth, under the equal dose, without any of the package's laws."""
    U = np.array(list(TEXT.values()))
    extra = -np.expm1(-0.065 * np.maximum(tokens / U - 1, 0)) / 0.065
    seen = np.minimum(tokens, U) + U * extra
    out = []
    for t in range(3):
        tau = TRUTH["tau"][t]
        dosed = np.minimum(seen, seen[t])
        harm, squares = -(np.minimum(tau, 0) * dosed).sum(), (np.minimum(tau, 0) ** 2 * dosed).sum()
        limited = min(harm, seen[t] * squares / harm) if harm > 0 else 0.0
        D = max(seen[t] + (np.maximum(tau, 0) * dosed).sum() - limited, 1e-3)
        c = {name: TRUTH[name][t] for name in ("E", "A", "alpha", "B", "beta")}
        out.append(c["E"] + c["A"] / N ** c["alpha"] + c["B"] / D ** c["beta"])
    return np.array(out)


def runs(count: int, noise: float = 0.003, scale: float = 1.0, languages: tuple[str, ...] = CODES) -> pl.DataFrame:
    rng, rows = np.random.default_rng(count), []
    for r in range(count):
        p, N = np.array(MIXTURES[r % len(MIXTURES)], float), float(rng.choice(np.geomspace(2e7, 3e8, 5)))
        if any(p[i] > 0 and code not in languages for i, code in enumerate(CODES)):
            continue
        shared = rng.normal(size=3)
        for part in (1 / 16, 1 / 4, 1):
            D = N * float(rng.choice([20, 80, 320])) * part
            error = np.exp(noise * (shared + rng.normal(size=3)) / np.sqrt(2))
            loss = scale * losses(N, p * D) * error
            shares = {f"share:{code}": p[i] for i, code in enumerate(CODES)}
            unique = {f"unique:{code}": TEXT[code] for code in CODES}
            own = {"run_id": f"run {r}", "params_total": N, "tokens": D, **shares, **unique}
            rows += [{**own, "target": CODES[i], "loss": loss[i]} for i in np.flatnonzero(p)]
    return pl.DataFrame(rows)


def ask(folder: Path, table: pl.DataFrame | None, *, draws: int = 60, **more: Any) -> Plan:
    question: dict[str, Any] = {
        "budget": "1e21",
        "languages": {code: {"tokens": tokens} for code, tokens in TEXT.items()},
        "assumptions": ASSUMED,
        **more,
    }
    if table is not None:
        table.write_csv(folder / "runs.csv")
        question["runs"] = str(folder / "runs.csv")
    return plan(question, draws=draws)


def true_loss(N: float, p: np.ndarray) -> float:
    return float(losses(N, p * 1e21 / (6 * N)).mean())


def best_known(answer: Plan) -> float:
    """The least true loss of many mixtures and sizes near the plan and elsewhere."""
    rng = np.random.default_rng(0)
    near = answer.shares * np.exp(0.2 * rng.normal(size=(3000, 3)))
    some = np.concatenate([near / near.sum(1, keepdims=True), rng.dirichlet(np.ones(3), 3000)])
    caps = 4 * np.array(list(TEXT.values()))
    sizes = answer.N * np.exp(rng.normal(0, 0.3, len(some)))
    return min(true_loss(N, p) for N, p in zip(sizes, some, strict=True) if (p * 1e21 / (6 * N) <= caps).all())


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Plan]:
    folder = tmp_path_factory.mktemp("runs")
    return {count: ask(folder, runs(count) if count else None) for count in (0, 8, 60)}


def width(answer: Plan) -> dict[str, float]:
    unsure = answer.uncertainty
    assert unsure is not None
    drawn = {"N": np.log(unsure.N), "loss": unsure.objective, "regret": unsure.regret}
    return {name: unsure.interval(v).high - unsure.interval(v).low for name, v in drawn.items()}


# --- what runs teach ----------------------------------------------------------------------------------------


def test_each_added_run_narrows_the_plan(plans: dict[int, Plan]) -> None:
    none, few, many = (width(plans[count]) for count in (0, 8, 60))
    for name in ("N", "loss", "regret"):
        assert many[name] < few[name] < none[name], name
    found = {count: true_loss(answer.N, answer.shares) for count, answer in plans.items()}
    assert found[60] < found[0]
    assert found[60] < best_known(plans[60]) * (1 + 1e-4)


def test_with_many_runs_the_plan_expects_the_true_losses(plans: dict[int, Plan]) -> None:
    answer = plans[60]
    true = losses(answer.N, answer.shares * answer.D)
    np.testing.assert_allclose(answer.loss, true, rtol=0.02)
    unsure = answer.uncertainty
    assert unsure is not None
    low, high = np.quantile(unsure.loss, [0.005, 0.995], axis=0)
    assert ((low <= true) & (true <= high)).all()


def test_evidence_says_which_runs(plans: dict[int, Plan]) -> None:
    answer = plans[60]
    kinds = {e.quantity: e for e in answer.evidence}
    for code in CODES:
        assert kinds[f"law.{code}"].kind == kinds[f"transfer.{code}"].kind == "measured"
    assert "60 runs" in kinds["law.ekk_Latn"].source
    assert kinds["repetition"].kind == "given"
    assert any("off by 0.5%" in said for said in answer.warnings)
    unsure = answer.uncertainty
    assert unsure is not None
    assert "joint draws" in " ".join(unsure.varies)
    assert not any("mean of" in said for said in answer.warnings)


def test_evidence_of_weights_and_of_repeats_is_what_they_rest_on(tmp_path: Path) -> None:
    def kinds(table: pl.DataFrame, **assumed: str) -> dict[str, Any]:
        answer = ask(tmp_path, table, draws=10, assumptions=assumed)
        assert answer.uncertainty is not None
        return {"held": answer.uncertainty.varies[0], **{e.quantity: e for e in answer.evidence}}

    fresh, repeated = (runs(8).with_columns(pl.col("^unique:.*$") * factor) for factor in (1e3, 1e-3))
    found = kinds(repeated, transfer="none")
    assert found["transfer.ekk_Latn"].kind != "measured", "no weight was fitted"
    assert found["repetition"].kind == "measured"
    assert "lambda = " in found["repetition"].source
    assert "transfer" not in found["held"]
    assert "repeats" in found["held"]
    assert kinds(fresh)["repetition"].kind == "published", "no run repeats its text"


def test_a_language_without_runs_keeps_what_was_known(tmp_path: Path) -> None:
    answer = ask(tmp_path, runs(40, languages=("fin_Latn", "ekk_Latn")))
    kinds = {e.quantity: e.kind for e in answer.evidence}
    assert (kinds["law.fin_Latn"], kinds["law.kat_Geor"]) == ("measured", "assumed")
    assert any("no run measures kat_Geor" in said for said in answer.warnings)
    unsure = answer.uncertainty
    assert unsure is not None
    spread = unsure.loss.std(axis=0)
    assert spread[2] > 3 * spread[:2].max()


def test_the_unit_of_the_losses_is_found(tmp_path: Path, plans: dict[int, Plan]) -> None:
    answer = ask(tmp_path, runs(60, scale=3.0), draws=0)
    assert pytest.approx(plans[60].N, rel=0.03) == answer.N
    np.testing.assert_allclose(answer.shares, plans[60].shares, atol=0.01)
    np.testing.assert_allclose(answer.loss, 3 * plans[60].loss, rtol=0.01)
    assert answer.loss_unit == "nats/token"


def test_runs_that_scatter_more_than_expected_narrow_less(tmp_path: Path, plans: dict[int, Plan]) -> None:
    noisy = ask(tmp_path, runs(60, noise=0.03))
    assert any("times as much" in said for said in noisy.warnings)
    assert width(noisy)["loss"] > 2 * width(plans[60])["loss"]


def test_other_verbs_use_the_runs_too(tmp_path: Path) -> None:
    runs(16).write_csv(tmp_path / "runs.csv")
    (tmp_path / "question.toml").write_text('budget = "1e21"\nlanguages = ["fi", "et", "ka"]\nruns = "runs.csv"\n')
    asked = read_question(tmp_path / "question.toml")
    assert asked.runs == str(tmp_path / "runs.csv")
    basis = ground(asked)
    assert basis.joint is not None
    drawn = basis.joint(5, np.random.default_rng(0))
    assert {name: v.shape for name, v in drawn.items()} == {
        **dict.fromkeys(("E", "A", "alpha", "B", "beta", "lambda_"), (5, 3)),
        "tau": (5, 3, 3),
    }
    belief = belief_of(basis, asked)
    bare = asked.model_copy(update={"runs": None})
    before = belief_of(ground(bare), bare)
    assert np.trace(belief.cov) < 0.9 * np.trace(before.cov)


# --- the fit ------------------------------------------------------------------------------------------------


def test_errors_of_one_run_are_correlated_within_a_language() -> None:
    run, target = np.array([0, 1, 0, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 0, 1, 0])
    N = np.where(run == 0, 1e8, 3e7)
    rows = Rows(N, np.ones((7, 2)), np.ones((7, 2)), target, np.ones(7), run, "nats/token", ())
    noise = Noise(1e9)
    W = _whitening(rows, noise).toarray()
    decades = np.log10(1e9 / N)
    together = (run[:, None] == run) & (target[:, None] == target)
    cov = together * (noise.seed**2 * SHARED + noise.drift**2 * np.outer(decades, decades))
    cov += np.eye(7) * noise.seed**2 * (1 - SHARED)
    # Each row of W is one error made independent: of variance 1, in whatever order.
    np.testing.assert_allclose(W @ cov @ W.T, np.eye(7), atol=1e-9)


def test_slopes_are_differences(tmp_path: Path) -> None:
    runs(8).write_csv(tmp_path / "runs.csv")
    asked = read_question({"budget": "1e21", "languages": list(CODES), "assumptions": ASSUMED})
    basis = ground(asked)
    belief, rows = belief_of(basis, asked), rows_of(str(tmp_path / "runs.csv"), basis)
    given = (belief.base, belief.full, belief.free, 3)
    data = (rows.U, 11.0, np.maximum(rows.tokens, 1e-9), rows.N, rows.target)
    theta = np.append(belief.mean, 0.1)
    J = np.asarray(_slopes(theta, *given, *data))
    step = 1e-6
    for k in (0, 4, 9, 15, len(theta) - 1):
        away = step * np.eye(len(theta))[k]
        up, down = (np.asarray(_log_losses(theta + sign * away, *given, *data)) for sign in (1, -1))
        np.testing.assert_allclose(J[:, k], (up - down) / (2 * step), rtol=1e-4, atol=1e-8)


def test_the_simulated_losses_are_the_laws() -> None:
    law = Atlas(**TRUTH, lambda_=0.065, tau_other=0.0, phi=0.0, dose="equal")
    tokens = np.array([2e10, 3e9, 5e10])
    U = np.array(list(TEXT.values()))
    np.testing.assert_allclose(losses(1e9, tokens), capped_losses(law, U, 1e9, tokens, 1e9), rtol=1e-12)


# --- what cannot be used ------------------------------------------------------------------------------------


OTHERS = dict(zip(CODES, ("swe_Latn", "dan_Latn", "nob_Latn"), strict=True))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda t: t.with_columns(target=pl.lit("swe_Latn")), "no row tells"),
        (lambda t: t.with_columns(init=pl.lit("gemma")), "do not begin from scratch"),
        (lambda t: t.rename({f"share:{c}": f"share:{d}" for c, d in OTHERS.items()}), "other languages"),
    ],
)
def test_runs_that_tell_nothing_are_refused(changed: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        ask(tmp_path, changed(runs(8)), draws=0)
    assert said in f"{refused.value}"


def test_rows_that_are_left_out_are_counted(tmp_path: Path) -> None:
    table = runs(24)
    table = table.with_columns(init=pl.when(pl.col("run_id") == "run 3").then(pl.lit("gemma")).otherwise(None))
    answer = ask(tmp_path, table, draws=0)
    count = (table["run_id"] == "run 3").sum()
    assert any(f"{count} of {table.height} rows" in said and "scratch" in said for said in answer.warnings)


def test_what_does_not_go_with_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run table in"):
        plan({"budget": "1e21", "languages": ["fi", "et"], "runs": str(tmp_path / "gone.csv")})
    runs(8).write_csv(tmp_path / "runs.csv")
    (tmp_path / "fit").mkdir()
    named = {"runs": str(tmp_path / "runs.csv"), "budget": "1e21"}
    with pytest.raises(InputError, match="both runs and a fit of ekk_Latn"):
        plan({**named, "languages": {"fi": {}, "et": {"fit": str(tmp_path / "fit")}}})
    many = [entry.code for entry in all_languages() if entry.code not in CODES][:31]
    with pytest.raises(InputError, match="too many to learn from"):
        plan({**named, "languages": many}, allow_assumed=True)
