"""Phases of a run: plans beside brute force, what counts do, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.planning import Plan, plan
from isogloss.planning.beside import beside
from isogloss.planning.constraints import Box
from isogloss.planning.descent import Limits
from isogloss.planning.design import design
from isogloss.planning.evidence import ground
from isogloss.planning.expand_full import expand_question
from isogloss.planning.given import evaluate_given
from isogloss.planning.phases import PhaseLimits, Phases
from isogloss.planning.question import read_question
from isogloss.planning.sensitivity import transfer_importance
from isogloss.planning.slopes import Laws, Problem
from isogloss.planning.text import Corpus, Text
from isogloss.report.plan_phases import phases_card

CEILING = math.log(64_512)
DECAY = [{"name": "main", "part": 0.8}, {"name": "decay", "part": 0.2, "counts": 2.0}]
LANGUAGES = {"Estonian": {"tokens": "3B"}, "English": {"weight": 0.5}}


def asking(budget: Any = "1e21", **more: Any) -> dict[str, Any]:
    return {"budget": budget, "languages": LANGUAGES, "phases": DECAY, **more}


def mean_of(found: Plan) -> np.ndarray:
    return sum((p.part * p.shares for p in found.phases), np.zeros(len(found.languages)))


# --- the law and its slopes ---------------------------------------------------------------------------------


def a_problem(served: float = 0.0) -> Problem:
    phases = Phases(("a", "b", "c"), np.array([0.5, 0.3, 0.2]), np.array([0.8, 1.0, 1.5]))
    law = ground(read_question({"budget": "1e21", "languages": ["Estonian", "Latvian", "English"]})).law
    text = Text.of(
        [(Corpus("a", 8e8, 2.0, 6.0), Corpus("b", 4e9)), (Corpus("all", 2e9, 1.2),), (Corpus("all", 1e12),)], phases
    )
    return Problem(Laws.of(law, 3), text, 1e21, CEILING, served)


@pytest.mark.parametrize("served", [0.0, 3e11])
def test_slopes_equal_differences(served: float) -> None:
    problem, weights = a_problem(served), np.array([0.5, 0.2, 0.3])
    x = np.random.default_rng(0).uniform(19, 24, (4, 9))

    def value(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return problem.slopes(
            np.zeros(len(x), int), x, lambda _, loss: (loss @ weights, np.broadcast_to(weights, loss.shape))
        )

    slope = value(x)[1]
    for i in range(9):
        step = np.eye(9)[i] * 1e-5
        assert (value(x + step)[0] - value(x - step)[0]) / 2e-5 == pytest.approx(slope[:, i], rel=1e-5, abs=1e-9)


def test_slopes_of_the_limits_equal_differences() -> None:
    problem = a_problem()
    assert problem.text.phases is not None
    box = Box(np.array([1e10, 8e9, np.inf]), np.array([0.1, 0.0, 0.2]), np.array([0.4, 1.0, 0.9]), 1e8, 1e10)
    with np.errstate(divide="ignore"):
        limits = PhaseLimits(Limits.of(box), np.log(box.tokens_high), problem.text.phases)
    rng = np.random.default_rng(1)
    x, rows = rng.uniform(19, 24, (4, 9)), np.arange(4)
    # What has no limit is never pushed.
    pushed = rng.uniform(0, 1, (4, limits.count)) * (limits.broken(rows, x, problem) > -999)
    slope = limits.pull(pushed, x, problem)
    for i in range(9):
        step = np.eye(9)[i] * 1e-6
        ends = [(pushed * limits.broken(rows, x + sign * step, problem)).sum(axis=1) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope[:, i], rel=1e-6, abs=1e-7)


def test_one_mixture_throughout_has_the_laws_own_losses() -> None:
    problem = a_problem()
    shares = np.array([[0.2, 0.3, 0.5]])
    assert problem.text.phases is not None
    counts = problem.text.phases.counts / (problem.text.phases.parts @ problem.text.phases.counts)
    relative = Phases(("a", "b", "c"), problem.text.phases.parts, counts)
    phased = Problem(
        problem.laws, Text(problem.text.U, problem.text.quality, problem.text.corpora, relative), 1e21, 11.0
    )
    plain = Problem(problem.laws, Text(problem.text.U, problem.text.quality, problem.text.corpora), 1e21, 11.0)
    x = np.log(2e10 * shares)
    found = phased.losses(np.zeros(1, int), np.log(2e10 * phased.text.spread(shares)))
    assert found == pytest.approx(plain.losses(np.zeros(1, int), x), rel=1e-12)


# --- plans --------------------------------------------------------------------------------------------------


def mean_losses(question: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Mean losses of points: ln D, and of the first language's share in each of two phases the log odds. All of the law
    written out again; D is cut where the text does not last."""
    asked = read_question(question)
    basis, C = ground(asked), asked.budget.total
    caps = basis.U * np.array([need.max_epochs or asked.limits.max_epochs for need in asked.languages.values()])
    assert asked.phases is not None
    parts, counts = (np.array([getattr(p, key) for p in asked.phases]) for key in ("part", "counts"))
    counts = counts / (parts @ counts)

    def losses(points: np.ndarray) -> np.ndarray:
        share = 1 / (1 + np.exp(-points[:, 1:]))
        whole = np.stack([share @ parts, (1 - share) @ parts], axis=1)
        # As many tokens as the text lasts for.
        D = np.minimum(np.exp(points[:, :1]), (caps / whole).min(axis=1, keepdims=True))
        by_phase = D[..., None] * parts[:, None] * np.stack([share, 1 - share], axis=-1)
        tokens = by_phase.sum(axis=1)
        lambda_ = basis.law.lambda_
        repeated = np.maximum(tokens / basis.U - 1, 0)
        seen = np.minimum(tokens, basis.U) + basis.U * (1 - np.exp(-lambda_ * repeated)) / lambda_
        seen = seen * (counts[:, None] * by_phase).sum(axis=1) / tokens
        tau, law = np.asarray(basis.law.tau), basis.law
        other = seen[:, ::-1]
        into = np.array([tau[0, 1], tau[1, 0]])
        effective = seen + into * np.minimum(other, seen)  # one dose, of one other language
        N = C / (6 * D)
        raw = law.E + law.A * N**-law.alpha + law.B * np.maximum(effective, 1e-3) ** -law.beta
        capped = raw / (1 + (raw / CEILING) ** 16) ** (1 / 16)
        return capped @ basis.weights

    return losses


def grid_best(losses: Callable[[np.ndarray], np.ndarray], count: int = 31) -> float:
    """The least on a grid that closes in."""
    low, high = np.array([math.log(1e9), -25.0, -25.0]), np.array([math.log(1e13), 25.0, 25.0])
    least, point = math.inf, low
    for _ in range(14):
        axes = [np.linspace(a, b, count) for a, b in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        values = losses(points)
        if values.min() < least:
            least, point = float(values.min()), points[int(np.argmin(values))]
        step = (high - low) / 7
        low, high = point - step, point + step
    return least


@pytest.mark.parametrize("budget", ["1e19", "1e20", "1e21", "1e22"])
@pytest.mark.parametrize(
    "phases",
    [
        pytest.param(DECAY, id="decay"),
        pytest.param([{"name": "a", "part": 0.5, "counts": 0.7}, {"name": "b", "part": 0.5}], id="late"),
        pytest.param([{"name": "a", "part": 0.3, "counts": 3}, {"name": "b", "part": 0.7}], id="first"),
    ],
)
def test_plans_are_as_good_as_brute_force(budget: str, phases: list[dict[str, Any]]) -> None:
    question = asking(budget, phases=phases)
    found = plan(question, draws=0)
    losses = mean_losses(question)
    best = grid_best(losses)
    assert found.objective <= best * (1 + 1e-5)
    assert found.objective >= best * (1 - 1e-4)  # the grid is dense enough to tell
    share = np.clip([p.shares[0] for p in found.phases], 1e-12, 1 - 1e-12)
    here = np.array([[math.log(found.D), *np.log(share / (1 - share))]])
    assert found.objective == pytest.approx(losses(here)[0], rel=1e-6)
    assert mean_of(found) == pytest.approx(found.shares, abs=1e-6)
    assert all(p.shares.sum() == pytest.approx(1) for p in found.phases)
    assert (found.epochs <= found.epoch_caps * (1 + 1e-6)).all()


def test_the_scarce_language_goes_where_it_counts_more() -> None:
    found = plan(asking(), draws=20)
    main, decay = found.phases
    assert decay.shares[0] > 10 * main.shares[0]
    assert decay.tokens == pytest.approx(0.2 * found.D)
    without = asking()
    del without["phases"]
    plain = plan(without, draws=20)
    assert found.loss[0] < plain.loss[0]
    assert found.objective < plain.objective
    # The same mixture throughout keeps what the law says of it, and so a plan is never worse than without phases.
    uniform = [next(a for a in p.alternatives if a.name == "uniform") for p in (found, plain)]
    assert uniform[0].shares == pytest.approx(uniform[1].shares)
    assert found.uncertainty is not None
    assert found.uncertainty.regret.min() > -1e-3
    assert found.uncertainty.settled >= 18
    assert len(found.profile) > 10
    assert found.profile["objective"].min() == pytest.approx(found.objective)


def test_only_ratios_of_counts_matter() -> None:
    twice = [{**DECAY[0], "counts": 2.0}, {**DECAY[1], "counts": 4.0}]
    assert plan(asking(phases=twice), draws=0).objective == pytest.approx(plan(asking(), draws=0).objective, rel=1e-9)


@pytest.mark.slow
def test_three_phases_with_limits_corpora_and_other_objectives() -> None:
    phases = [
        {"name": "warm", "part": 0.1, "counts": 0.5},
        {"name": "main", "part": 0.7},
        {"name": "decay", "part": 0.2, "counts": 1.5},
    ]
    languages = {
        "Estonian": {"corpora": [{"name": "a", "tokens": "1B", "quality": 2}, {"name": "b", "tokens": "5B"}]},
        "Latvian": {"min_share": 0.2},
        "English": {"share": 0.5},
    }
    tail = {"objective": {"languages": "worst", "risk": "tail"}}
    for more, draws in (({}, 0), (tail, 10), ({"budget": {"loss": 1.3}}, 0)):
        found = plan({"budget": "1e20", "languages": languages, "phases": phases, **more}, draws=draws)
        assert mean_of(found) == pytest.approx(found.shares, abs=1e-6)
        assert found.shares[2] == pytest.approx(0.5, abs=1e-6)
        assert found.shares[1] >= 0.2 - 1e-6
        assert [p.tokens / found.D for p in found.phases] == pytest.approx([0.1, 0.7, 0.2])
        assert len(found.corpora) == 2


@pytest.mark.slow
def test_many_languages_have_a_plan_by_phase() -> None:
    """The search takes more rounds than without phases, and must not give up."""
    codes = ["Estonian", "Latvian", "Lithuanian", "Finnish", "Polish", "Swedish", "Danish", "Czech", "Slovak", "German"]
    question: dict[str, Any] = {"budget": "1e22", "languages": [*codes, "English", "French"]}
    plain, found = plan(question, draws=10), plan({**question, "phases": DECAY}, draws=10)
    assert found.objective < plain.objective
    assert mean_of(found) == pytest.approx(found.shares, abs=1e-6)
    assert found.uncertainty is not None
    assert found.uncertainty.settled == 10


def test_what_the_plan_says_of_phases() -> None:
    found = plan(asking(), draws=0)
    assert found.kind_of("phases") == "given"
    assert any("question's own measurement" in w for w in found.warnings)
    rows = found.to_dict()["phases"]
    assert [row["name"] for row in rows] == ["main", "decay"]
    assert rows[1]["counts"] == 2.0
    assert sum(rows[1]["shares"].values()) == pytest.approx(1.0)
    card = phases_card(found)
    assert card.table is not None
    assert "Estonian in decay" in card.sentence
    two = beside(asking(), asking(phases=[DECAY[0], {**DECAY[1], "counts": 1.2}]), draws=10)
    assert [d.key for d in two.differences] == ["phases.decay.counts"]
    assert transfer_importance(asking())[1].shape == (2, 2)


FILE = """
budget = "1e20"
[[phases]]
name = "main"
part = 0.7
[[phases]]
name = "decay"
part = 0.3
counts = 1.5
[languages.Estonian]
[[languages.Estonian.corpora]]
name = "books"
tokens = "300M"
quality = 2
[[languages.Estonian.corpora]]
name = "web"
tokens = "3B"
[languages.English]
"""


def test_the_command_shows_phases_and_corpora(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "question.toml").write_text(FILE, encoding="utf-8")
    assert run(["plan", str(tmp_path / "question.toml"), "--draws", "0", "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Shares in each phase" in printed
    assert "books, Estonian (ekk_Latn)" in printed
    found = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))
    assert [row["corpus"] for row in found["corpora"]] == ["books", "web"]
    assert [row["name"] for row in found["phases"]] == ["main", "decay"]
    page = (tmp_path / "out" / "plan.html").read_text(encoding="utf-8")
    assert "The mixture of each phase" in page
    assert "Tokens of each corpus" in page


# --- refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([{"name": "a", "part": 0.5}, {"name": "b", "part": 0.5}], "their order changes nothing"),
        ([{"name": "a", "part": 0.5, "counts": 2}, {"name": "b", "part": 0.5, "counts": 2}], "order changes nothing"),
        ([{"name": "a", "part": 1.0, "counts": 2}], "1 phase"),
        ([], "0 phases"),
        ([{"name": str(i), "part": 0.25, "counts": 1 + i} for i in range(4)], "4 phases"),
        ([{"name": "a", "part": 0.5}, {"name": "a", "part": 0.5, "counts": 2}], "two phases are called 'a'"),
        ([{"name": "a", "part": 0.5}, {"name": "b", "part": 0.6, "counts": 2}], "sum to 1.1"),
        ([{"name": "a", "part": 0.5}, {"name": "b", "part": 0.5, "count": 2}], "Did you mean 'counts'"),
        ([{"name": "a", "part": 0.5}, {"name": "b", "part": 0.5, "counts": 0}], "greater than 0"),
        ([{"name": "a"}, {"name": "b", "part": 0.5, "counts": 2}], "part: missing"),
    ],
)
def test_wrong_phases_are_refused(phases: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_question(asking(phases=phases))
    assert "phases" in (error.value.where or "")


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(InputError) as error:
        plan(asking(phases=[{"name": "a", "part": 0.5}, {"name": "b", "part": 0.5}]))
    assert "same totals in two orders" in (error.value.hint or "")


def test_phases_are_refused_where_nothing_knows_them() -> None:
    with pytest.raises(InputError, match="designs are not made for phases"):
        design(asking(), "1e18")
    with pytest.raises(InputError, match="not made for phases"):
        expand_question(asking(), ["Latvian"], draws=0)
    with pytest.raises(InputError, match="not made for phases"):
        evaluate_given(asking(), {"Estonian": 0.6, "English": 0.4})
