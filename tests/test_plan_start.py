"""Where a plan should start: crossings against what it spends, the checkpoint's size, and what cannot be used."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.planning import Plan, plan, read_question
from isogloss.planning.beside import beside
from isogloss.planning.crossover import DRAWS, crossover
from isogloss.planning.crossover_published import published_crossing
from isogloss.planning.given import evaluate_given
from isogloss.planning.starting import MOST, Start, verdict_of
from isogloss.planning.starting_words import said_once
from isogloss.report.plan_start import start_cards
from isogloss.report.plans import plan_cards

OURS = {"name": "ours", "params": "1B", "tokens": "1T", "mixture": 0.0142, "tokenizer": "same"}
# Of two helpful languages and one that is not weighed.
TWO = {"Estonian": {"tokens": "20B"}, "Finnish": {"tokens": "40B", "weight": 3}, "English": {"weight": 0}}


def ask(start: Any = OURS, budget: str = "1e21", languages: Any = TWO, **more: Any) -> dict[str, Any]:
    return {"budget": budget, "languages": languages, "start": start, **more}


def started(question: dict[str, Any], **options: Any) -> tuple[Plan, Start]:
    answer = plan(question, draws=0, **options)
    assert answer.start is not None
    return answer, answer.start


def alone(**more: Any) -> dict[str, Any]:
    return {"languages": {"German": {"tokens": "100T"}}, **more}


@pytest.fixture(scope="module")
def two() -> tuple[Plan, Start]:
    return started(ask())


# --- each language ----------------------------------------------------------------------------------


def test_a_plan_of_one_language_crosses_where_crossover_says() -> None:
    answer, start = started(ask(**alone()), level=0.8)
    (row,) = start.languages
    single = crossover("German", params=answer.N, checkpoint=OURS, level=0.8)
    assert single.crossing.C == row.crossing.C
    assert (single.crossing.low, single.crossing.high) == (row.crossing.low, row.crossing.high)
    assert row.spent == pytest.approx(6 * answer.N * answer.D)
    # Its text is not repeated and nobody helps it.
    assert row.effective == pytest.approx(row.spent)
    assert row.ahead == single.crossing.continue_is_better(row.spent) == start.ahead


def test_languages_are_judged_by_the_compute_in_their_own_tokens(two: tuple[Plan, Start]) -> None:
    answer, start = two
    assert [row.code for row in start.languages] == ["fin_Latn", "ekk_Latn"]
    for row in start.languages:
        at = answer.languages.index(row.code)
        assert row.spent == pytest.approx(6 * answer.N * answer.D * answer.shares[at])
        checkpoint = start.checkpoint
        drawn = published_crossing(row.code, answer.N, checkpoint, np.random.default_rng(0), DRAWS).C
        assert row.ahead == pytest.approx((drawn > row.spent).mean())
        assert row.effective != pytest.approx(row.spent, rel=1e-3)
    assert [row.weight for row in start.languages] == pytest.approx([0.75, 0.25])
    assert start.ahead == pytest.approx(0.75 * start.languages[0].ahead + 0.25 * start.languages[1].ahead)


@pytest.mark.parametrize(
    ("budget", "verdict", "words"),
    [
        ("3e19", "continue", "Continue from ours"),
        ("1e24", "scratch", "Train from scratch"),
    ],
)
def test_the_verdict_turns_with_the_budget(budget: str, verdict: str, words: str) -> None:
    _, start = started(ask(budget=budget, limits={"max_params": "1B", "min_params": "1B"}, **alone()))
    assert start.verdict == verdict
    assert start.sentence.startswith(words)
    assert {row.verdict for row in start.languages} == {verdict}


def test_at_the_crossing_itself_nothing_is_decided() -> None:
    C = crossover("German", params="1B", checkpoint=OURS).crossing.C
    _, start = started(ask(budget=str(C), limits={"max_params": "1B", "min_params": "1B"}, **alone()))
    assert start.verdict == "undecided"
    assert start.ahead == pytest.approx(0.5, abs=0.02)
    assert "is undecided" in start.sentence
    assert [verdict_of(p) for p in (0.95, 0.5, 0.05)] == ["continue", "undecided", "scratch"]


def test_what_is_not_known_of_a_checkpoint_makes_the_interval_wide() -> None:
    def width(**keys: Any) -> float:
        given = {k: v for k, v in {**OURS, **keys}.items() if v is not None}
        crossing = started(ask(given, **alone()))[1].languages[0].crossing
        assert crossing.low is not None
        assert crossing.high is not None
        return math.log(crossing.high / crossing.low)

    known = width()
    for unknown in ({"mixture": None}, {"tokenizer": "another"}, {"tokens": None}):
        assert width(**unknown) > 1.1 * known, unknown
    assert width(mixture=None, tokenizer=None, tokens=None) > 1.5 * known


def test_a_checkpoint_that_saw_more_of_a_language_is_overtaken_later() -> None:
    found = [started(ask({**OURS, "mixture": {"de": s}}, **alone()))[1].ahead for s in (0.001, 0.0142, 0.3)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_of_many_languages_the_largest_are_judged_and_the_others_named() -> None:
    codes = ["et", "fi", "lv", "lt", "sv", "da", "nb", "pl", "cs", "sk", "hu", "ro", "bg", "sl"]
    answer, start = started(ask("gemma-3-1b", languages={**{code: {} for code in codes}, "en": {"weight": 0}}))
    judged = [row.code for row in start.languages]
    assert len(judged) == MOST
    assert len(start.left_out) == len(codes) - MOST
    spent = dict(zip(answer.languages, answer.shares * answer.weights, strict=True))
    assert min(spent[c] for c in judged) >= max(spent[c] for c in start.left_out)
    assert "eng_Latn" not in (*judged, *start.left_out)
    assert any("not judged" in w for w in start.warnings)
    # Fourteen unknown shares are one warning.
    assert sum("is not known" in w for w in start.warnings) == 1


# --- the checkpoint's size --------------------------------------------------------------------------


def test_the_plan_at_the_checkpoints_size_is_that_plan(two: tuple[Plan, Start]) -> None:
    answer, start = two
    own = start.own_size
    assert own is not None
    fixed = plan(ask(None, limits={"min_params": "1B", "max_params": "1B"}), draws=0)
    assert own.objective == pytest.approx(fixed.objective, rel=1e-5)
    assert pytest.approx(fixed.D, rel=1e-6) == own.D
    assert own.shares == pytest.approx(fixed.shares, abs=2e-3)
    assert own.excess == pytest.approx(fixed.objective / answer.objective - 1, abs=2e-5)
    assert own.excess > -1e-6
    assert "1B" in start.size_sentence


def test_where_the_text_ends_at_the_checkpoints_size_the_rest_is_not_spent() -> None:
    small = {"languages": {"Estonian": {"tokens": "1B"}, "Latvian": {"tokens": "1B"}}}
    answer, start = started(ask({**OURS, "params": "100M"}, budget="1e21", **small))
    own = start.own_size
    assert own is not None
    assert own.text_ends
    assert pytest.approx(8e9, rel=1e-4) == own.D  # four epochs of both
    assert pytest.approx(6 * 1e8 * own.D) == own.C
    assert own.C < answer.C
    assert "the text lasts for" in start.size_sentence


def test_a_much_worse_loss_is_told_in_whole_per_cent() -> None:
    _, start = started(ask({**OURS, "params": "5M"}, budget="1e21"))
    assert start.own_size is not None
    assert f"{100 * start.own_size.excess:.0f} % above" in start.size_sentence
    assert "e+" not in start.size_sentence.split("From scratch")[1]


def test_a_checkpoint_beyond_the_memory_cannot_be_continued() -> None:
    machine = {"gpu": "H100", "gpus": 1, "days": 10}
    asked = ask({**OURS, "params": "20B"}, languages=TWO)
    answer, start = started({**asked, "budget": machine, "limits": {"memory": "gpu"}})
    assert start.own_size is None
    assert start.verdict == "scratch"
    assert "memory" in start.why_not
    assert start.why_not in start.sentence
    assert answer.N < 20e9


def test_a_checkpoint_that_serving_alone_uses_up_cannot_be_trained() -> None:
    asked = ask({**OURS, "params": "70B"}, budget="unused")
    _, start = started({**asked, "budget": {"flops": "1e21", "served_tokens": "100B"}})
    assert "once serving is paid" in start.why_not


# --- own runs ---------------------------------------------------------------------------------------


def table(target: str | None = "ekk_Latn", meet: float = 1e10, noise: float = 0.001) -> pl.DataFrame:
    """Models of 300M, from scratch and continued, whose curves meet at `meet` tokens."""
    D = np.geomspace(meet / 30, meet * 10, 9)
    rng = np.random.default_rng(0)
    rows = [
        {"params_total": 3e8, "tokens": d, "init": init, "loss": 2 + b * (d / meet) ** -power}
        for init, b, power in ((None, 0.5, 0.4), ("ckpt", 0.5, 0.15))
        for d in D
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame = frame.with_columns(loss=pl.col("loss") * np.exp(rng.normal(0, noise, len(frame))), unit=pl.lit("bits/byte"))
    return frame if target is None else frame.with_columns(target=pl.lit(target))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    table().write_csv(path)
    return path


@pytest.mark.slow
def test_crossings_are_fitted_where_the_runs_measure_a_language(runs: Path) -> None:
    languages = {"Estonian": {"tokens": "200B"}, "Finnish": {"tokens": "200B"}}
    asked = ask({**OURS, "runs": str(runs), "init": "ckpt"}, languages=languages, limits={"max_params": "1B"})
    answer, start = started(asked)
    rows = {row.code: row for row in start.languages}
    assert rows["ekk_Latn"].measured
    assert not rows["fin_Latn"].measured
    crossing = rows["ekk_Latn"].crossing
    assert pytest.approx(6 * answer.N * 1e10, rel=0.3) == crossing.C
    assert {e.quantity for e in start.evidence} >= {"crossing.size", "crossing"}
    shown = start_cards(start)[0].table
    assert shown is not None
    assert set(shown["Crossing is"]) == {"fitted to runs", "published, scaled"}


def test_runs_of_mixtures_are_said_to_cross_in_all_their_tokens(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    mixed = table().with_columns(pl.lit(0.6).alias("share:ekk_Latn"), pl.lit(0.4).alias("share:eng_Latn"))
    mixed.write_csv(path)
    _, start = started(ask({**OURS, "runs": str(path)}, languages={"Estonian": {"tokens": "200B"}}))
    assert any("train on 2 languages" in w for w in start.warnings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop("init"), ["no run says that it continues", "runs.csv"]),
        (lambda t: t.filter(pl.col("init").is_not_null()), ["both kinds"]),
        (lambda t: t.with_columns(target=pl.lit("swh_Latn")), ["swh_Latn", "none of the languages"]),
        (lambda t: t.drop("target"), ["do not say of which language", "target"]),
    ],
)
def test_runs_that_cannot_be_used_are_refused_before_the_search(
    change: Any, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["isogloss.planning.plan"], "best_plan", lambda *_: pytest.fail("searched"))
    path = tmp_path / "runs.csv"
    change(table()).write_csv(path)
    with pytest.raises(InputError) as refused:
        plan(ask({**OURS, "runs": str(path)}), draws=0)
    assert all(w in str(refused.value) for w in ["start", *words])


def test_a_checkpoint_that_the_runs_do_not_name_is_refused(runs: Path) -> None:
    with pytest.raises(InputError, match="unknown checkpoint 'ckpd'") as refused:
        plan(ask({**OURS, "runs": str(runs), "init": "ckpd"}), draws=0)
    assert "ckpt" in str(refused.value)


# --- the question -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("gema-3-1b", ["unknown checkpoint 'gema-3-1b'", "gemma-3-1b"]),
        ({"checkpoint": "gema-3-1b"}, ["start", "gemma-3-1b"]),
        ({"name": "ours"}, ["params is missing", 'params = "2B"']),
        ({"tokens": "1T"}, ["neither checkpoint nor params"]),
        ({"checkpoint": "gemma-3-1b", "params": "1B"}, ["both checkpoint and params"]),
        ({**OURS, "mixture": {"Estonian": 0.6, "en": 0.5}}, ["start.mixture", "add up to 1.1"]),
        ({**OURS, "mixture": 0.6}, ["add up to 1.2"]),
        ({**OURS, "mixture": {"Estoniann": 0.6}}, ["unknown language", "Estonian"]),
        ({**OURS, "mixture": -0.1}, ["not a share"]),
        ({**OURS, "params": "big"}, ["start.params", "not a quantity"]),
        ({**OURS, "vocab": "x"}, ["unknown key 'vocab'"]),
        ({**OURS, "runs": "nowhere.csv"}, ["no runs in", "nowhere.csv"]),
        ({**OURS, "init": "ckpt"}, ["init without runs"]),
        ({**OURS, "where": "lr_phase=final"}, ["where without runs"]),
    ],
)
def test_what_cannot_be_a_start_is_refused(start: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        read_question(ask(start))
    assert all(w in str(refused.value) for w in words), refused.value


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_params": "500M"}, "above limits.max_params = 500M"),
        ({"min_params": "2B"}, "below limits.min_params = 2B"),
    ],
)
def test_a_checkpoint_whose_size_the_limits_forbid_is_refused(limits: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_question(ask(limits=limits))


def test_a_name_alone_and_the_catalogues_entry_are_one() -> None:
    short, long = (read_question(ask(s)).start for s in ("gemma-3-1b", {"checkpoint": "gemma-3-1b"}))
    assert short == long
    changed = read_question(ask({"checkpoint": "gemma-3-1b", "mixture": {"et": 0.01}})).start
    assert changed is not None
    assert changed.resolved(["ekk_Latn"]).share("ekk_Latn") == 0.01
    assert changed.resolved(["ekk_Latn"]).tokens == 2e12


def test_one_number_is_the_share_of_each_weighed_language(two: tuple[Plan, Start]) -> None:
    assert two[1].checkpoint.mixture == {"ekk_Latn": 0.0142, "fin_Latn": 0.0142}


# --- where it is shown ------------------------------------------------------------------------------


def test_without_a_start_nothing_is_said_of_one() -> None:
    answer = plan(ask(None), draws=0)
    assert answer.start is None
    assert answer.to_dict()["start"] is None
    assert "start" not in {card.id for card in plan_cards(answer)}


def test_the_start_does_not_change_the_plan(two: tuple[Plan, Start]) -> None:
    bare = plan(ask(None), draws=0)
    assert two[0].N == bare.N
    assert two[0].shares.tolist() == bare.shares.tolist()


def test_the_cards_hold_every_language_and_what_others_ways_rest_on(two: tuple[Plan, Start]) -> None:
    cards = {card.id: card for card in plan_cards(two[0])}
    assert cards["start"].sentence == two[1].sentence
    assert cards["start"].table is not None
    assert cards["start"].table["Language"].to_list() == ["Finnish", "Estonian"]
    assert cards["start"].chart is not None
    rests = cards["start-evidence"].table
    assert rests is not None
    assert {"grow.language", "merge.language"} <= set(rests["What"])
    told = two[1].to_dict()
    assert [way["name"] for way in told["ways"]] == ["grow", "merge"]
    assert all(way["curve"] is None for way in told["ways"])


def test_the_command_says_it_and_json_holds_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = tmp_path / "q.toml"
    question.write_text(
        'budget = "1e21"\n[start]\ncheckpoint = "gemma-3-1b"\n[languages.Estonian]\n[languages.Finnish]\n', "utf-8"
    )
    assert run(["plan", str(question), "--draws", "0", "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Start: " in said
    assert "Continuing from gemma-3-1b gives a model of 1B parameters" in said
    found = json.loads((tmp_path / "out" / "plan.json").read_text("utf-8"))["start"]
    assert found["checkpoint"]["name"] == "gemma-3-1b"
    assert set(found["languages"]) == {"ekk_Latn", "fin_Latn"}
    page = (tmp_path / "out" / "plan.html").read_text("utf-8")
    assert "Where to start" in page
    assert run(["plan", str(question), str(question), "--draws", "0", "-o", str(tmp_path / "both")]) == 2


def test_a_given_plan_is_judged_at_its_own_size_and_mixture() -> None:
    answer = evaluate_given(ask(), {"Estonian": 0.5, "English": 0.5}, N="2B", D="20B", draws=0)
    start = answer.start
    assert start is not None
    rows = {row.code: row for row in start.languages}
    assert rows["ekk_Latn"].spent == pytest.approx(6 * 2e9 * 1e10)
    assert rows["fin_Latn"].spent == 0
    assert rows["fin_Latn"].ahead == 1
    assert start.own_size is not None
    assert start.own_size.excess == pytest.approx(start.own_size.objective / answer.mean_loss.value - 1)
    assert answer.to_dict()["given"]["start"]["verdict"] == start.verdict
    assert not any("start from nothing" in note for note in answer.notes)


def test_two_plans_have_a_start_each() -> None:
    answer = beside(ask(), ask("xglm-1.7b"), names=("ours", "xglm"), draws=0)
    notes = " ".join(answer.notes)
    assert "ours: " in notes
    assert "from xglm-1.7b" in notes
    assert any(d.key.startswith("start") for d in answer.differences)


def test_warnings_that_differ_by_language_only_are_said_once() -> None:
    said = said_once([("ekk_Latn", "of Estonian 3 %."), ("fin_Latn", "of Finnish 4 %."), ("fin_Latn", "the same")])
    assert said == ["of Estonian 3 %. Likewise for Finnish.", "the same"]
