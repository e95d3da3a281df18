"""expand by the planner's law: what languages added to a question cost the others, and what their text is worth."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.cli.expand import expand as expand_verb
from isogloss.errors import InputError
from isogloss.planning import plan
from isogloss.planning.allocate import capped_losses
from isogloss.planning.expand_full import FullExpansion, expand_question, read_additions
from isogloss.planning.expand_path import _crossings
from isogloss.planning.expand_problem import make_pool
from isogloss.planning.marginal import Marginal, first_order_value, marginal
from isogloss.planning.question import LanguageNeed, read_question
from isogloss.report import gather
from isogloss.report.expansions import expansion_cards, marginal_cards
from isogloss.report.render import to_html

DOCS = (Path(__file__).parents[1] / "docs" / "expand.md").read_text(encoding="utf-8")


def question(transfer: str = "none", **more: Any) -> dict[str, Any]:
    languages = {"eng": {"tokens": "50B"}, "fra": {"tokens": "5B", "weight": 2}}
    return {"budget": "1e20", "languages": languages, "assumptions": {"transfer": transfer, **more}}


HINDI = {"hin": LanguageNeed(tokens=1e9, weight=1.5)}


@pytest.fixture(scope="module")
def plain() -> FullExpansion:
    return expand_question(question(), HINDI, draws=0)


@pytest.fixture(scope="module")
def drawn() -> FullExpansion:
    return expand_question(question("predicted", capacity="k-law"), ["Latvian"], draws=12)


@pytest.fixture(scope="module")
def candidates() -> Marginal:
    return marginal(question("published"), ["hin", "rus", "swh"], draws=0)


def test_as_two_plans_would_say(plain: FullExpansion) -> None:
    """Without predicted weights the plans do not depend on who else is in the pool."""
    asked = question()
    both = {**asked, "languages": {**asked["languages"], "hin": {"tokens": 1e9, "weight": 1.5}}}
    before, after = plan(asked, draws=0), plan(both, draws=0)
    view = plain.main
    assert view.capacity == "none"
    assert view.before.objective == pytest.approx(before.objective, rel=1e-7)
    assert view.after.objective == pytest.approx(after.objective, rel=1e-7)
    w = np.array([1, 2]) / 3
    assert view.cost.value == pytest.approx(w @ after.loss[:2] / (w @ before.loss) - 1, abs=2e-5)
    changes = [s.value for s in view.change]
    assert changes == pytest.approx(after.loss[:2] / before.loss - 1, abs=5e-5)
    assert view.cost.value > 0


def test_more_compute_keeps_the_others_loss(plain: FullExpansion) -> None:
    factor = plain.main.at_equal_loss.factor
    assert factor is not None
    assert factor.value > 1
    asked = question()
    both = {"budget": 1e20 * factor.value, "languages": {**asked["languages"], "hin": {"tokens": 1e9, "weight": 1.5}}}
    loss = plan({**asked, **both}, draws=0).loss[:2]
    w = np.array([1, 2]) / 3
    assert w @ loss == pytest.approx(w @ plain.main.before.loss, rel=2e-5)


def test_without_transfer_text_teaches_nothing_and_no_tax_is_told(plain: FullExpansion) -> None:
    assert [view.taught.value for view in plain.views] == pytest.approx([0, 0], abs=1e-12)
    assert [view.capacity for view in plain.views] == ["none", "k-law"]
    assert any("without a capacity tax" in warning for warning in plain.warnings)
    # The tax falls on the old languages too, so that its cost is more.
    assert plain.views[1].cost.value > plain.views[0].cost.value
    assert plain.weights == pytest.approx(np.array([1, 2, 1.5]) / 4.5)


def test_a_new_language_weighs_the_mean_of_the_others() -> None:
    pool = make_pool(read_question(question()), {"hin_Deva": LanguageNeed(weight=1.5)}, draws=0, seed=0)
    assert pool.draws is None
    answer = expand_question(question(), ["hin"], draws=0)
    assert answer.weights == pytest.approx(pool.basis.weights)


def test_draws_give_intervals_and_say_what_they_hold(drawn: FullExpansion) -> None:
    view = drawn.main
    assert [v.capacity for v in drawn.views] == ["k-law"]
    assert drawn.draws == 12
    for s in (view.cost, view.taught, *view.change, *view.new_loss):
        assert s.low is not None
        assert s.high is not None
        assert s.low <= s.high
    assert view.at_equal_loss.factor is not None
    assert any("not sought again" in warning for warning in drawn.warnings)
    assert not any("without a capacity tax" in warning for warning in drawn.warnings)


def test_crossings_of_known_curves() -> None:
    """Losses falling as exp(-rate x): each draw's factor is known."""
    rates, xs = np.array([0.2, 0.5, 1.0]), [-0.2, 0.0, 0.2, 0.6]
    rows = {x: np.exp(-rates * x) for x in xs}
    wanted = np.exp(-rates * np.array([-0.1, 0.05, 0.5]))
    assert _crossings(rows, wanted) == pytest.approx([-0.1, 0.05, 0.5], abs=2e-3)
    # What is never reached is at the end.
    assert _crossings(rows, np.full(3, 0.01)) == pytest.approx([0.6] * 3)


def test_candidates_most_valuable_first(candidates: Marginal) -> None:
    values = [c.main.taught.value for c in candidates.candidates]
    assert values == sorted(values, reverse=True)
    assert {c.language for c in candidates.candidates} == {"hin_Deva", "rus_Cyrl", "swh_Latn"}
    pool = make_pool(
        read_question(question("published")),
        {c.language: LanguageNeed() for c in candidates.candidates},
        draws=0,
        seed=0,
    )
    into = np.asarray(pool.basis.law.tau)[:2, 2:]
    for value, weights in zip(values, into.T, strict=True):
        if (weights >= 0).all() or (weights <= 0).all():
            assert np.sign(value) == np.sign(weights.sum())


def test_a_candidate_alone_is_an_expansion(candidates: Marginal) -> None:
    first = candidates.candidates[0]
    alone = expand_question(question("published"), [first.language], draws=0)
    assert first.main.cost.value == pytest.approx(alone.main.cost.value, abs=3e-5)
    assert first.main.taught.value == pytest.approx(alone.main.taught.value, abs=3e-5)


def test_first_order_value_is_the_gradient_times_tokens() -> None:
    further = {code: LanguageNeed() for code in ("hin_Deva", "rus_Cyrl")}
    pool = make_pool(read_question(question("published")), further, draws=0, seed=0)
    before = pool.problem((), "none").solve(pool.C)
    value = first_order_value(pool, before)
    tokens = np.concatenate([before.shares * before.D, [1.0, 1.0]])
    for i in range(2):
        step = np.zeros(4)
        step[2 + i] = 1e6
        with_it, without = (
            np.asarray(capped_losses(pool.basis.law, pool.basis.U, pool.ceiling, t, before.N))[:2]
            for t in (tokens + step, tokens)
        )
        slope = pool.basis.weights[:2] @ (with_it - without) / 1e6
        assert value[i] == pytest.approx(-slope * min(pool.box.tokens_high[2 + i], before.D / 3), rel=1e-3)


def test_more_candidates_than_are_planned() -> None:
    answer = marginal(question("published"), ["hin", "rus", "swh"], draws=0, most=1)
    assert len(answer.candidates) == 1
    assert len(answer.left_out) == 2
    assert any("left out" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["Latgallian"], "--add: unknown language 'Latgallian'(.|\n)*Latgalian"),
        (["English"], "in the question already"),
        (["hin", "Hindi"], "named twice"),
        (["hin", "hin"], "named twice"),
        ([], "no language to add"),
    ],
)
def test_what_cannot_be_added(names: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        expand_question(question(), names, draws=0)


def test_no_text_no_candidates_and_bad_options(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at least 10 draws"):
        expand_question(question(), ["hin"], draws=3)
    with pytest.raises(InputError, match="at least one candidate"):
        marginal(question(), ["hin"], most=0)
    with pytest.raises(InputError, match="no candidates"):
        marginal(question(), [])
    monkeypatch.setattr("isogloss.languages.tokens_available", lambda *_: None)
    with pytest.raises(InputError, match=r"how much text there is of hin \(hin_Deva\)(.|\n)*--add-file"):
        expand_question(question(), ["hin"], draws=0)


def test_shares_that_leave_no_room() -> None:
    full = question()
    full["languages"] = {"eng": {"tokens": "50B", "share": 0.6}, "fra": {"tokens": "5B", "share": 0.4}}
    full["limits"] = {"min_share": 0.01}
    with pytest.raises(InputError, match=r"sum to 1\.01, above 1"):
        expand_question(full, ["hin"], draws=0)


def test_a_file_of_languages(tmp_path: Path) -> None:
    file, asked = tmp_path / "more.toml", read_question(question())
    file.write_text('[languages.Hindi]\ntokens = "1B"\nweight = 3\n', encoding="utf-8")
    assert read_additions(file, asked) == {"hin_Deva": LanguageNeed(tokens=1e9, weight=3)}
    for text, says in (
        ("[budget]\nflops = 1", "holds budget"),
        ("[languages.Hindi]\ntoken = 1", r"more.toml, languages.Hindi: unknown key 'token'"),
        ("languages = ", "not TOML"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=says):
            read_additions(file, asked)
    with pytest.raises(InputError, match="cannot be read"):
        read_additions(tmp_path / "none.toml", asked)


# --- the verb -----------------------------------------------------------------------------------------


def keys(answer: Any) -> set[str]:
    """Names of all fields, without codes of languages."""
    if isinstance(answer, dict):
        own = {k for k in answer if not re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", k)}
        return own.union(*(keys(v) for k, v in answer.items() if k != "evidence"))
    return set().union(*(keys(v) for v in answer)) if isinstance(answer, list) else set()


def test_json_is_documented(drawn: FullExpansion, candidates: Marginal, capsys: pytest.CaptureFixture[str]) -> None:
    expand_verb(languages="10->20", at="compute", json=True)
    k_law = json.loads(capsys.readouterr().out)
    for answer in (k_law, drawn.to_dict(), candidates.to_dict()):
        json.dumps(answer, allow_nan=False)
        for key in keys(answer):
            assert f"`{key}`" in DOCS, key


def test_tables_and_pages(
    drawn: FullExpansion, candidates: Marginal, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "q.toml"
    file.write_text(
        'budget = "1e20"\n[languages.eng]\ntokens = "50B"\n[languages.fra]\ntokens = "5B"\n[assumptions]\n'
        'transfer = "none"\ncapacity = "k-law"\n',
        encoding="utf-8",
    )
    expand_verb(file, candidates="hin, swh", draws=0, output=tmp_path / "out")
    printed = capsys.readouterr().out
    assert "Hindi" in printed
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"expand.json", "expand.html"}
    expand_verb(languages="4x", output=tmp_path / "k law")
    assert "Wrote" in capsys.readouterr().out
    (found,) = gather([tmp_path / "k law"])
    assert "4 times as many languages" in found.cards[0].sentence
    expand_verb(file, add=["hin"], draws=0)
    assert "Hindi" in capsys.readouterr().out
    page = to_html("t", "s", [*expansion_cards(drawn), *marginal_cards(candidates)], drawn.warnings)
    assert "Latvian" in page
    assert "costs the others" in page or "gains the others" in page


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "--languages: how many"),
        ({"add": ["lav"]}, "--add: no question"),
        ({"candidates": "family"}, "--candidates: no question"),
        ({"question": Path("q.toml")}, "no language to add"),
        ({"question": Path("q.toml"), "languages": "2x"}, "takes no question"),
        ({"question": Path("q.toml"), "add": ["lav"], "candidates": "all"}, "both --add and --candidates"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        expand_verb(**options)


def test_no_budget_keeps_a_loss_that_text_holds() -> None:
    """One epoch of all text and a largest size: more compute has nothing to be spent on, and the answer says so."""
    asked = question()
    asked["languages"] = {"eng": {"tokens": "1B"}, "fra": {"tokens": "1B"}}
    asked["limits"] = {"max_epochs": 1, "max_params": "9e9", "min_share": 0.2}
    found = expand_question(asked, {"hin": LanguageNeed(tokens=1e9)}, draws=0).main
    assert found.cost.value > 0
    assert found.at_equal_loss.factor is None
    assert "no larger budget" in found.at_equal_loss.why
