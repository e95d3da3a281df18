"""Text of several corpora and qualities: its worth beside brute force, plans with it, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from isogloss import languages
from isogloss.errors import InputError
from isogloss.laws import saturated
from isogloss.numerics import jax, jnp
from isogloss.planning import plan
from isogloss.planning.allocate import losses_of_seen
from isogloss.planning.beside import beside
from isogloss.planning.design import design
from isogloss.planning.evidence import ground
from isogloss.planning.expand_full import expand_question
from isogloss.planning.given import evaluate_given
from isogloss.planning.question import read_question
from isogloss.planning.sensitivity import transfer_importance
from isogloss.planning.slopes import Laws, Problem
from isogloss.planning.text import Corpus, Text
from isogloss.report.plan_corpora import corpora_card

CEILING = math.log(64_512)
LAMBDA = 0.065
CURATED, WEB = Corpus("curated", 8e8, 2.0, 6.0), Corpus("web", 1.1e10, 1.0, 4.0)
SHELF = {
    "two": (CURATED, WEB),
    "worse first": (Corpus("noisy", 5e9, 0.3, 2.0), Corpus("books", 1e8, 3.0, 20.0)),
    "three": (Corpus("a", 1e9, 1.5, 8.0), Corpus("b", 3e9, 1.3, 3.0), Corpus("c", 2e9, 1.0, 4.0)),
    "alike": (Corpus("a", 1e9, 1.0, 4.0), Corpus("b", 3e9, 1.0, 6.0), Corpus("c", 2e9, 0.9, 0.5)),
    "less than once": (Corpus("a", 1e9, 2.0, 0.4), Corpus("b", 3e9, 1.0, 4.0)),
}


def worth(corpora: tuple[Corpus, ...], parts: Any, lambda_: float = LAMBDA) -> Any:
    """By the law's own saturation, at tokens of each corpus."""
    each = [c.quality * np.asarray(saturated(d, c.U, lambda_)) for c, d in zip(corpora, parts, strict=True)]
    return sum(each)


def best_worth(corpora: tuple[Corpus, ...], tokens: float, lambda_: float = LAMBDA) -> float:
    """The most that `tokens` can be worth: one search within another, each of a concave function."""
    first, rest = corpora[0], corpora[1:]
    room = [c.U * c.max_epochs for c in corpora]
    if not rest:
        return float(worth(corpora, [tokens], lambda_))
    low, high = max(0.0, tokens - sum(room[1:])), min(tokens, room[0])

    def of(d: float) -> float:
        return float(worth((first,), [d], lambda_)) + best_worth(rest, tokens - d, lambda_)

    if high <= low:
        return of(low)
    inside: Any = minimize_scalar(lambda d: -of(d), bounds=(low, high), method="bounded", options={"xatol": high / 1e9})
    return max(-float(inside.fun), of(low), of(high))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELF)
@pytest.mark.parametrize("lambda_", [0.01, LAMBDA, 0.5])
def test_tokens_are_divided_as_is_worth_most(name: str, lambda_: float) -> None:
    corpora = SHELF[name]
    text = Text.of([(Corpus("all", 1e9),), corpora])
    cap = sum(c.U * c.max_epochs for c in corpora)
    tokens = np.array([[1e9, cap * part] for part in (1e-6, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)])
    decay = np.full((1, 2), lambda_)
    seen, rate = text.seen(tokens, decay)
    for row, d in enumerate(tokens[:, 1]):
        assert seen[row, 1] == pytest.approx(best_worth(corpora, d, lambda_), rel=1e-9)
        parts = text.split(tokens[row], decay[0])[1]
        assert parts.sum() == pytest.approx(d, rel=1e-9)
        assert (parts >= 0).all()
        assert (parts <= [c.U * c.max_epochs * (1 + 1e-9) for c in corpora]).all()
        assert worth(corpora, parts, lambda_) == pytest.approx(seen[row, 1], rel=1e-9)
    assert (np.diff(rate[:, 1]) <= 1e-12).all()  # concave


@pytest.mark.parametrize("name", SHELF)
def test_the_slope_is_that_of_the_worth(name: str) -> None:
    corpora = SHELF[name]
    text = Text.of([corpora])
    cap = sum(c.U * c.max_epochs for c in corpora)
    # Beyond the caps too: a mixture that breaks the limits is evaluated there.
    tokens = cap * np.random.default_rng(0).uniform(0.001, 1.5, (200, 1))
    tokens = tokens[np.abs(tokens[:, 0] / cap - 1) > 1e-4]
    decay, step = np.full((1, 1), LAMBDA), 1e-6
    (up, _), (down, _), (_, rate) = (text.seen(tokens * f, decay) for f in (1 + step, 1 - step, 1.0))
    difference = (up - down) / (2 * step * tokens)
    # At most a few of them lie next to a kink.
    assert (np.abs(difference / rate - 1) < 1e-6).mean() > 0.97


def test_every_law_has_its_own_decay_and_every_row_its_own_tokens() -> None:
    rng = np.random.default_rng(1)
    text = Text.of([SHELF["three"], (Corpus("all", 1e9, 1.5),), SHELF["alike"], SHELF["two"]])
    tokens, decay = 10 ** rng.uniform(8, 10.5, (50, 4)), rng.uniform(0.01, 0.3, (50, 4))
    seen, rate = text.seen(tokens, decay)
    for i in range(50):
        one, slope = text.seen(tokens[i : i + 1], decay[i : i + 1])
        assert seen[i] == pytest.approx(one[0], rel=1e-13)
        assert rate[i] == pytest.approx(slope[0], rel=1e-13)
    law = ground(read_question({"budget": "1e21", "languages": ["Estonian", "Latvian", "Finnish", "English"]})).law
    drawn = Problem(Laws.of(law, 4, {"lambda_": decay}), text, 1e21, CEILING)
    found = drawn.losses(np.arange(50), np.log(tokens))
    for i in range(50):
        own = replace(law, lambda_=decay[i])
        N = 1e21 / (6 * tokens[i].sum())
        expected = losses_of_seen(own, jnp.asarray(seen[i]), CEILING, jnp.asarray(tokens[i]), N)
        assert found[i] == pytest.approx(np.asarray(expected), rel=1e-12)


def test_slopes_of_a_plan_with_corpora_equal_differences() -> None:
    law = ground(read_question({"budget": "1e21", "languages": ["Estonian", "Latvian", "English"]})).law
    text = Text.of([SHELF["two"], (Corpus("all", 7e9, 0.8),), SHELF["three"]])
    problem = Problem(Laws.of(law, 3), text, 1e21, CEILING)
    x = np.log([[3.1e9, 2.3e9, 9.7e9], [2.2e10, 1.3e10, 4.1e9]])
    weights = np.array([0.5, 0.2, 0.3])

    def value(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return problem.slopes(
            np.zeros(2, int), x, lambda _, loss: (loss @ weights, np.broadcast_to(weights, loss.shape))
        )

    slope = value(x)[1]
    for i in range(3):
        step = np.eye(3)[i] * 1e-5
        assert (value(x + step)[0] - value(x - step)[0]) / 2e-5 == pytest.approx(slope[:, i], rel=1e-6)


def test_two_equal_halves_are_one_corpus() -> None:
    halves = Text.of([(Corpus("a", 2e9), Corpus("b", 2e9))])
    tokens = np.geomspace(1e6, 4e10, 60)[:, None]  # beyond the caps of 4 epochs too
    decay = np.full((1, 1), LAMBDA)
    for a, b in zip(halves.seen(tokens, decay), Text.plain(np.array([4e9])).seen(tokens, decay), strict=True):
        assert a == pytest.approx(b, rel=1e-12)
    assert halves.split(np.array([1e9]), decay[0])[0] == pytest.approx([5e8, 5e8])


# --- plans ----------------------------------------------------------------------------------------------

ESTONIAN = [{"name": "curated", "tokens": "800M", "quality": 2.0, "max_epochs": 6}, {"name": "web", "tokens": "11B"}]


def asking(budget: str = "1e21", estonian: Any = None, **more: Any) -> dict[str, Any]:
    languages = {"Estonian": {"corpora": ESTONIAN} if estonian is None else estonian, "English": {"weight": 0.5}}
    return {"budget": budget, "languages": languages, **more}


def grid_best(question: dict[str, Any]) -> tuple[float, np.ndarray]:
    """The least mean loss over log tokens of both corpora and of English, and those tokens: a grid that closes in."""
    asked = read_question(question)
    basis, C = ground(asked), asked.budget.total
    corpora = basis.text.corpora[0]
    weights, U = jnp.asarray(basis.weights), float(basis.U[1])
    decay = basis.law.lambda_

    @jax.jit
    @jax.vmap
    def mean(x: Any) -> Any:
        a, b, english = jnp.exp(x)
        own = sum(c.quality * saturated(d, c.U, decay) for c, d in zip(corpora, (a, b), strict=True))
        seen = jnp.stack([own, saturated(english, U, decay)])
        tokens = jnp.stack([a + b, english])
        return weights @ losses_of_seen(basis.law, seen, CEILING, tokens, C / (6 * tokens.sum()))

    high = np.log([*(c.U * c.max_epochs for c in corpora), U * 4])
    low, top = np.log([1e3, 1e3, 1e3]), high.copy()
    point, least = high, math.inf
    for _ in range(12):
        axes = [np.linspace(a, b, 25) for a, b in zip(low, top, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        values = np.asarray(mean(points))
        at = int(np.argmin(values))
        step = (top - low) / 8
        least, point = float(values[at]), points[at]
        low, top = point - step, np.minimum(point + step, high)
    return least, np.exp(point)


@pytest.mark.parametrize("budget", ["1e19", "1e20", "1e21", "1e22"])
def test_a_plan_divides_tokens_as_brute_force_does(budget: str) -> None:
    question = asking(budget)
    found = plan(question, draws=0)
    best, tokens = grid_best(question)
    assert found.objective <= best * (1 + 1e-5)
    assert found.objective >= best * (1 - 1e-5)
    assert tokens.sum() == pytest.approx(found.D, rel=0.02)
    assert tokens[:2].sum() / tokens.sum() == pytest.approx(found.shares[0], abs=0.01)
    assert [row.tokens for row in found.corpora] == pytest.approx(tokens[:2], rel=0.05)
    assert sum(row.tokens for row in found.corpora) == pytest.approx(found.shares[0] * found.D, rel=1e-9)
    assert all(row.epochs <= row.max_epochs * (1 + 1e-6) for row in found.corpora)


def test_one_corpus_is_a_language_as_it_was() -> None:
    plain = plan(asking(estonian={"tokens": "11B", "max_epochs": 3}), draws=0)
    one = plan(asking(estonian={"corpora": [{"name": "web", "tokens": "11B", "max_epochs": 3}]}), draws=0)
    parts = [{"name": name, "tokens": "5.5B", "max_epochs": 3} for name in "ab"]
    halves = plan(asking(estonian={"corpora": parts}), draws=0)
    assert one.objective == plain.objective
    assert (one.shares == plain.shares).all()
    assert halves.objective == pytest.approx(plain.objective, rel=1e-7)
    assert [row.tokens for row in halves.corpora] == pytest.approx([plain.shares[0] * plain.D / 2] * 2, rel=0.01)
    assert not plain.corpora
    assert len(one.corpora) == 1


def test_quality_of_two_doubles_tokens_where_repeats_cost_nothing() -> None:
    """With lambda near 0 a token counts q times at any number of epochs: as if d were q d."""
    decay = {"repetition_decay": 1e-4}
    question = asking(estonian={"tokens": "2B", "quality": 2.0}, assumptions=decay)
    found = plan(question, draws=0)
    basis = ground(read_question(question))
    tokens = found.shares * found.D
    doubled = losses_of_seen(
        basis.law,
        jnp.asarray([2 * tokens[0], tokens[1]]),
        CEILING,
        jnp.asarray(tokens),
        found.N,
    )
    assert found.loss == pytest.approx(np.asarray(doubled), rel=1e-4)
    plain = plan(asking(estonian={"tokens": "2B"}, assumptions=decay), draws=0)
    assert found.loss[0] < plain.loss[0]


def test_what_the_plan_says_of_corpora() -> None:
    found = plan(asking("1e22"), draws=10)
    rows = {row.corpus: row for row in found.corpora}
    assert rows["curated"].epochs == pytest.approx(6.0)
    assert rows["curated"].effective == pytest.approx(worth((CURATED,), [4.8e9], 1 / 15.387756), rel=1e-4)
    assert any("epoch cap 6: curated of ekk_Latn" in b for b in found.binds)
    assert found.text[0] == pytest.approx(11.8e9)
    assert found.kind_of("quality.ekk_Latn") == "given"
    source = next(e.source for e in found.evidence if e.quantity == "text.ekk_Latn")
    assert "curated 800M" in source
    assert "web 11B" in source
    assert sum("arXiv:2404.07177" in w for w in found.warnings) == 1
    assert found.to_dict()["corpora"][0]["quality"] == 2.0
    proportional = next(a for a in found.alternatives if a.name == "proportional")
    assert proportional.shares[0] == pytest.approx(found.text[0] / found.text.sum())
    card = corpora_card(found)
    assert card.table is not None
    assert card.table.height == 2
    assert "curated" in card.sentence
    assert found.uncertainty is not None
    assert found.uncertainty.regret.max() < 0.2
    # Equal qualities are no claim of the user's.
    same = [{"name": name, "tokens": "5B"} for name in "ab"]
    quiet = plan(asking("1e21", estonian={"corpora": same}), draws=0)
    assert not any("quality" in w for w in quiet.warnings)


def test_bytes_of_a_corpus_are_read_with_the_languages_bytes_per_token() -> None:
    corpora = [{"name": "a", "bytes": "8 GB"}, {"name": "b", "tokens": "1B"}]
    own = ground(read_question(asking(estonian={"bytes_per_token": 4.0, "corpora": corpora})))
    assert [c.U for c in own.text.corpora[0]] == pytest.approx([2e9, 1e9])
    assert {e.quantity: e.kind for e in own.evidence}["text.ekk_Latn"] == "given"
    guessed = ground(read_question(asking(estonian={"corpora": corpora})))
    per_token = 4 * (languages.get("ekk_Latn").byte_premium or 1.0)
    amount = guessed.text.corpora[0][0].U
    assert amount == pytest.approx(8e9 / per_token)
    assert {e.quantity: e.kind for e in guessed.evidence}["text.ekk_Latn"] == "assumed"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"budget": {"flops": "1e21", "served_tokens": "100B"}}, id="served"),
        pytest.param({"budget": {"loss": 1.6}}, id="loss"),
        pytest.param({"budget": {"target": {"Estonian": 1.6}}}, id="target"),
        pytest.param({"objective": {"measure": "normalised", "languages": "worst"}}, id="normalised worst"),
        pytest.param({"objective": {"risk": "tail"}}, id="tail"),
    ],
)
def test_other_budgets_and_objectives_know_corpora(more: dict[str, Any]) -> None:
    """A curated corpus of worth makes no plan worse, and every language is within its caps."""
    question = asking(**more)
    poor = asking(estonian={"tokens": "11B"}, **more)
    found, before = plan(question, draws=10), plan(poor, draws=10)
    assert sum(row.tokens for row in found.corpora) == pytest.approx(found.shares[0] * found.D)
    if "loss" in str(more.get("budget")) or "target" in str(more.get("budget")):
        assert found.C < before.C
    elif more.get("objective", {}).get("measure") != "normalised":
        assert found.objective < before.objective


def test_a_given_plan_and_two_plans_know_corpora() -> None:
    answer = evaluate_given(asking(), {"Estonian": 0.6, "English": 0.4}, N="2B", D="60B", draws=10)
    plain = evaluate_given(asking(estonian={"tokens": "11B"}), {"Estonian": 0.6, "English": 0.4}, N="2B", D="60B")
    assert answer.loss[0] < plain.loss[0]
    assert answer.best.corpora
    assert any("divided over its corpora" in n for n in answer.notes)
    worse = [{**ESTONIAN[0], "quality": 1.5}, ESTONIAN[1]]
    two = beside(asking(), asking(estonian={"corpora": worse}), draws=10)
    (difference,) = two.differences
    assert (difference.key, difference.first, difference.second) == (
        "languages.ekk_Latn.corpora.curated.quality",
        "2",
        "1.5",
    )
    assert two.languages[0].change.low is not None


def test_the_use_of_a_score_is_at_the_text_that_is_seen() -> None:
    """d mean loss / d tau by differences of the planner's own losses."""
    question = asking("1e21")
    codes, importance = transfer_importance(question)
    assert codes == ("ekk_Latn", "eng_Latn")
    found, basis = plan(question, draws=0), ground(read_question(question))
    tau, step = np.array(basis.law.tau, float), 1e-5
    ends = []
    for sign in (1, -1):
        moved = tau.copy()
        moved[0, 1] += sign * step
        problem = Problem(Laws.of(replace(basis.law, tau=moved), 2), basis.text, found.C, CEILING)
        x = np.log(found.shares * found.D)[None]
        ends.append(float(problem.losses(np.array([0]), x)[0] @ basis.weights))
    slope = (ends[0] - ends[1]) / (2 * step)
    assert importance[0, 1] == pytest.approx((slope * (1 + tau[0, 1]) ** 2 / 2) ** 2, rel=1e-4)


# --- refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ({"tokens": "1B", "corpora": ESTONIAN}, "tokens beside corpora"),
        ({"bytes": "1 GB", "corpora": ESTONIAN}, "bytes beside corpora"),
        ({"quality": 2, "corpora": ESTONIAN}, "quality beside corpora"),
        ({"corpora": []}, "no corpus"),
        ({"corpora": [{"name": "a", "tokens": "1B"}, {"name": "a", "tokens": "2B"}]}, "two corpora are called 'a'"),
        ({"corpora": [{"name": "a"}]}, "no text of the corpus 'a'"),
        ({"corpora": [{"name": "a", "tokens": "1B", "bytes": "1 GB"}]}, "both tokens and bytes"),
        ({"corpora": [{"name": "a", "tokens": 0}]}, "'a'|positive|greater"),
        ({"corpora": [{"tokens": "1B"}]}, "name: missing"),
        ({"corpora": [{"name": "a", "tokens": "1B", "qualty": 2}]}, "Did you mean 'quality'"),
        ({"corpora": [{"name": "a", "tokens": "1B", "quality": 0}]}, "quality"),
        ({"quality": -1}, "quality"),
        ({"quality": "inf"}, "quality"),
    ],
)
def test_wrong_text_is_refused(need: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_question(asking(estonian=need))
    assert "languages.Estonian" in str(error.value)


def test_corpora_are_refused_where_nothing_knows_them() -> None:
    with pytest.raises(InputError, match="designs are not made for corpora"):
        design(asking(), "1e18")
    with pytest.raises(InputError, match="added languages and candidates are not made for corpora"):
        expand_question(asking(), ["Latvian"], draws=0)
    with pytest.raises(InputError, match="text of a quality"):
        design(asking(estonian={"quality": 2}), "1e18")


@pytest.mark.parametrize("value", [True, 1e9, 0])
def test_no_multiplier_beyond_reason(value: Any) -> None:
    with pytest.raises(InputError, match="quality"):
        plan({"budget": "1e21", "languages": {"Estonian": {"quality": value}}}, draws=0)
