"""Plans against formulas and searches of their own, written once more in plain NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from isogloss.errors import InputError
from isogloss.fitting import fit
from isogloss.laws import atlas_per_language, find, optimal_allocation
from isogloss.planning import Plan, Question, plan, read_question
from isogloss.runs import read_runs
from isogloss.transfer import TransferMatrix
from simulate import CHINCHILLA, chinchilla, planned_loss

PUBLISHED = atlas_per_language("multi-vocab-mono-train")
LAW_OF_OWN = ["eng_Latn", "fra_Latn", "rus_Cyrl"]
TWELVE = ["et", "en", "lv", "lt", "fi", "sv", "de", "ru", "pl", "fr", "sw", "yo"]


def published_laws(codes: list[str] | tuple[str, ...]) -> np.ndarray:
    """E, A, alpha, B, beta `(K, 5)`, for languages of Table C.1 alone."""
    return np.array([[PUBLISHED[c].coefficients[n] for n in ("E", "A", "alpha", "B", "beta")] for c in codes])


def ask(flops: float, languages: Any, *, draws: int = 0, **more: Any) -> Plan:
    return plan({"budget": {"flops": flops}, "languages": languages, **more}, draws=draws)


def plenty(*names: str, **more: Any) -> dict[str, dict[str, Any]]:
    """So much text of every language that none is repeated."""
    return {name: {"tokens": "100T", **more} for name in names}


@pytest.fixture(scope="module")
def three() -> Plan:
    return ask(1e21, plenty(*LAW_OF_OWN), assumptions={"transfer": "none"})


@pytest.fixture(scope="module")
def twelve() -> Plan:
    return ask(3e22, TWELVE, assumptions={"transfer": "published"})


# --- one language -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["eng_Latn", "swh_Latn"])
@pytest.mark.parametrize("flops", [1e19, 1e22])
def test_one_language_alone_is_the_closed_form(code: str, flops: float) -> None:
    found = ask(flops, plenty(code))
    c = PUBLISHED[code].coefficients
    N, D = optimal_allocation(c["A"], c["alpha"], c["B"], c["beta"], flops)
    assert pytest.approx(N, rel=1e-3) == found.N
    assert pytest.approx(D, rel=1e-3) == found.D
    assert found.shares.tolist() == [1.0]
    assert found.objective == pytest.approx(c["E"] + c["A"] / N ** c["alpha"] + c["B"] / D ** c["beta"], rel=1e-9)


def test_accelerator_hours_are_a_budget() -> None:
    by_hours = read_question({"budget": {"gpu": "h100", "gpu_hours": 1000, "utilisation": 0.5}, "languages": ["en"]})
    assert pytest.approx(989e12 * 3600 * 1000 * 0.5) == by_hours.budget.C
    assert read_question({"budget": "3e22 FLOPs", "languages": ["en"]}).budget.C == 3e22


# --- three languages without transfer or repetition -------------------------------------------------


def test_optimum_of_three_languages_is_scipys(three: Plan) -> None:
    """Variables: log N and the shares' logits; D follows from C = 6 N D."""
    laws = published_laws(LAW_OF_OWN)

    def mean_loss(x: np.ndarray) -> float:
        N, p = np.exp(x[0]), np.exp(x[1:] - x[1:].max())
        tokens = p / p.sum() * 1e21 / (6 * N)
        E, A, alpha, B, beta = laws.T
        return float((E + A / N**alpha + B / tokens**beta).mean())

    starts = [[np.log(N), *logits] for N in (3e8, 5e9) for logits in ([0, 0, 0], [2, 0, 0], [0, 0, 2])]
    options = {"maxiter": 1000, "ftol": 1e-15}
    best = min((minimize(mean_loss, s, method="SLSQP", options=options) for s in starts), key=lambda r: r.fun)
    assert three.objective == pytest.approx(best.fun, rel=1e-6)
    assert pytest.approx(np.exp(best.x[0]), rel=1e-2) == three.N
    p = np.exp(best.x[1:])
    assert three.shares == pytest.approx(p / p.sum(), abs=3e-3)
    assert three.binds == ()


def test_losses_are_the_formulas(three: Plan, twelve: Plan) -> None:
    expected = planned_loss(three.N, three.shares * three.D, three.text, published_laws(three.languages))
    assert three.loss == pytest.approx(expected, rel=1e-9)
    assert three.objective == pytest.approx(expected.mean(), rel=1e-9)
    tau = np.array(TransferMatrix.published().weights_for(twelve.languages).tau)
    expected = planned_loss(twelve.N, twelve.shares * twelve.D, twelve.text, laws_of(twelve), tau)
    assert twelve.loss == pytest.approx(expected, rel=1e-9)


def laws_of(found: Plan) -> np.ndarray:
    """Laws of any languages: those without their own get means, geometric ones of A and B."""
    table = published_laws(tuple(PUBLISHED))
    mean = table.mean(0)
    mean[[1, 3]] = np.exp(np.log(table[:, [1, 3]]).mean(0))
    return np.array([published_laws([c])[0] if c in PUBLISHED else mean for c in found.languages])


def test_weights_say_what_matters() -> None:
    heavy = ask(1e21, {**plenty("fra_Latn", "rus_Cyrl"), **plenty("eng_Latn", weight=3)})
    even = ask(1e21, plenty("fra_Latn", "rus_Cyrl", "eng_Latn"))
    assert heavy.weights == pytest.approx([0.2, 0.2, 0.6])
    assert heavy.shares[2] > even.shares[2]
    assert heavy.loss[2] < even.loss[2]
    assert heavy.objective == pytest.approx(heavy.weights @ heavy.loss)


def test_a_language_of_weight_zero_is_allowed() -> None:
    found = ask(1e21, {**plenty("fra_Latn"), **plenty("eng_Latn", weight=0)}, assumptions={"transfer": "none"})
    assert found.shares[0] == pytest.approx(1.0, abs=1e-3)
    assert np.isfinite(found.loss).all()
    assert found.objective == pytest.approx(found.loss[0])


# --- twelve languages -------------------------------------------------------------------------------


def test_every_language_gets_something(twelve: Plan) -> None:
    assert (twelve.shares * twelve.D > 1e6).all()
    assert (twelve.loss < np.log(64_512)).all()
    assert twelve.shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert pytest.approx(3e22, rel=1e-12) == 6 * twelve.N * twelve.D
    assert (twelve.epochs <= twelve.epoch_caps * (1 + 1e-6)).all()


def test_starts_agree(three: Plan, twelve: Plan) -> None:
    assert three.agree == three.starts >= 8
    assert twelve.agree >= twelve.starts / 2


def test_another_seed_finds_the_same_plan(twelve: Plan) -> None:
    asked = {"budget": {"flops": 3e22}, "languages": TWELVE, "assumptions": {"transfer": "published"}}
    other = plan(asked, seed=5, draws=0)
    assert other.objective == pytest.approx(twelve.objective, rel=1e-6)


def test_the_order_of_languages_does_not_matter(twelve: Plan) -> None:
    turned = ask(3e22, TWELVE[::-1], assumptions={"transfer": "published"})
    assert turned.objective == pytest.approx(twelve.objective, rel=1e-6)
    assert turned.shares[::-1] == pytest.approx(twelve.shares, abs=2e-3)


def test_no_random_mixture_is_better(twelve: Plan) -> None:
    """At the plan's own size: 200 mixtures, scaled down to the epoch caps and refilled where there is room."""
    tau = np.array(TransferMatrix.published().weights_for(twelve.languages).tau)
    laws, caps = laws_of(twelve), twelve.epoch_caps * twelve.text / twelve.D
    rng = np.random.default_rng(0)
    near = rng.dirichlet(1 + 300 * twelve.shares, 100)
    for p in (*rng.dirichlet(np.ones(12), 100), *near):
        for _ in range(100):
            p = np.minimum(p, caps)
            free = p < caps
            p = np.where(free, p * (1 + (1 - p.sum()) / p[free].sum()), p)
        assert p.sum() == pytest.approx(1.0, abs=1e-6)
        loss = planned_loss(twelve.N, p * twelve.D, twelve.text, laws, tau)
        assert twelve.weights @ loss >= twelve.objective - 1e-7


def test_no_other_size_and_no_naive_mixture_is_better(twelve: Plan) -> None:
    assert twelve.profile["objective"].to_numpy().min() >= twelve.objective * (1 - 1e-6)
    at = twelve.profile.filter(abs(twelve.profile["N"] - twelve.N) < 1)
    assert at["objective"][0] == pytest.approx(twelve.objective, rel=1e-6)
    assert {a.name for a in twelve.alternatives} == {"uniform", "proportional", "temperature", "unimax"}
    for a in twelve.alternatives:
        assert a.shares.sum() == pytest.approx(1.0)
        if not a.over_cap:
            assert a.objective >= twelve.objective * (1 - 1e-7)


def test_a_loss_never_exceeds_a_uniform_guess() -> None:
    """A language fixed at one part in a million of a tiny run knows nothing: ln(vocabulary), and no more."""
    tiny = {"eng_Latn": {"tokens": "100T"}, "fra_Latn": {"tokens": "100T", "share": 1e-6}}
    found = ask(1e15, tiny, assumptions={"transfer": "none", "vocabulary": 1000})
    assert found.loss[1] <= np.log(1000)
    assert found.loss[1] > 0.8 * np.log(1000)


# --- own fits ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_fit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    answer = fit("chinchilla", chinchilla().frame(noise=1e-5), starts=16, draws=0)
    return answer.save(tmp_path_factory.mktemp("fits") / "mine")


def test_of_bits_per_byte_a_uniform_guess_has_eight(tmp_path: Any) -> None:
    frame = chinchilla().frame(noise=1e-5)
    fit("chinchilla", frame.rename({"loss": "bits_per_byte"}), starts=16, draws=0).save(tmp_path / "bytes")
    named = {"fit": str(tmp_path / "bytes")}
    tiny = {"eng_Latn": {"tokens": "100T", **named}, "fra_Latn": {"tokens": "100T", "share": 1e-6, **named}}
    found = ask(1e15, tiny, assumptions={"transfer": "none", "vocabulary": 256})
    assert np.log(256) < found.loss[1] <= 8
    assert found.loss_unit == "bits/byte"
    assert found.N_range == (frame["N"].min(), frame["N"].max())
    fit("chinchilla", read_runs(frame, unit="nats/token"), starts=16, draws=0).save(tmp_path / "tokens")
    tiny["fra_Latn"]["fit"] = str(tmp_path / "tokens")
    with pytest.raises(InputError, match="fits of losses in bits/byte and nats/token"):
        ask(1e15, tiny)


def test_an_own_fit_is_used_and_marked_measured(own_fit: Any) -> None:
    found = ask(1e21, {"Estonian": {"tokens": "100T", "fit": str(own_fit)}})
    t = CHINCHILLA
    N, _ = optimal_allocation(t["A"], t["alpha"], t["B"], t["beta"], 1e21)
    assert pytest.approx(N, rel=0.01) == found.N
    assert found.kind_of("law.ekk_Latn") == "measured"
    assert not any("no law of" in w or "law of its own" in w for w in found.warnings)


def test_a_fit_is_found_beside_the_question(own_fit: Any) -> None:
    question = own_fit.parent / "question.toml"
    question.write_text('budget = "1e21"\n[languages.Estonian]\ntokens = "100T"\nfit = "mine"\n', encoding="utf-8")
    assert plan(question, draws=0).kind_of("law.ekk_Latn") == "measured"


def test_own_and_published_laws_together_warn(own_fit: Any) -> None:
    both = {"Estonian": {"tokens": "100T", "fit": str(own_fit)}, "English": {"tokens": "100T"}}
    found = ask(1e21, both)
    assert found.kind_of("law.eng_Latn") == "published"
    assert any("different units" in w for w in found.warnings)


# --- assumptions ------------------------------------------------------------------------------------


def test_doses_agree_where_no_language_has_more_than_another() -> None:
    halves = {name: {"tokens": "100T", "share": 0.5} for name in ("English", "Japanese")}
    linear, equal = (ask(1e21, halves, assumptions={"dose": dose}) for dose in ("linear", "equal"))
    assert linear.objective == pytest.approx(equal.objective, rel=1e-9)
    alone = ask(1e21, halves, assumptions={"transfer": "none"})
    assert abs(alone.objective / equal.objective - 1) > 1e-4


def test_a_capacity_tax_raises_the_loss() -> None:
    free, taxed = (
        ask(1e21, plenty(*LAW_OF_OWN), assumptions={"transfer": "none", "capacity": c}) for c in ("none", "k-law")
    )
    phi = find("k-law/atlas2025").coefficients["phi"]
    p = taxed.shares
    K = np.exp(-(p * np.log(p)).sum())
    laws = published_laws(LAW_OF_OWN)
    laws[:, 1] *= K**phi
    assert taxed.loss == pytest.approx(planned_loss(taxed.N, p * taxed.D, taxed.text, laws), rel=1e-9)
    assert taxed.objective > free.objective


def test_repetition_decay_is_the_users_or_the_published() -> None:
    scarce = {"English": {"tokens": "1B", "max_epochs": 40}}
    for decay, assumptions in ((1 / 15.387756, {}), (0.5, {"repetition_decay": 0.5})):
        found = ask(1e21, scarce, assumptions=assumptions)
        assert found.epochs[0] > 1
        laws = published_laws(["eng_Latn"])
        expected = planned_loss(found.N, np.array([found.D]), found.text, laws, decay=decay)
        assert found.loss == pytest.approx(expected, rel=1e-6)


def test_a_question_object_a_mapping_and_a_file_are_one(three: Plan, tmp_path: Any) -> None:
    as_mapping = {"budget": "1e21", "languages": plenty(*LAW_OF_OWN), "assumptions": {"transfer": "none"}}
    asked = read_question(as_mapping)
    file = tmp_path / "q.toml"
    tables = "\n".join(f'[languages.{c}]\ntokens = "100T"' for c in LAW_OF_OWN)
    file.write_text(f'budget = "1e21"\n{tables}\n[assumptions]\ntransfer = "none"\n', encoding="utf-8")
    assert read_question(file) == asked
    assert isinstance(asked, Question)
    assert plan(asked, draws=0).to_dict() == three.to_dict()
