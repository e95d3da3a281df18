"""Cards that say what the plan and the fit say, on pages that hold everything and load nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest

from isogloss import languages
from isogloss.errors import InputError
from isogloss.fitting import Fit, fit
from isogloss.laws.base import Law, Value, coefficient
from isogloss.planning import Plan, plan, read_question
from isogloss.planning.flat import FLAT, flat_range
from isogloss.report import Card, fit_cards, picture_of_plan, plan_cards, save_picture, to_html
from isogloss.report.answers import section
from isogloss.report.javascript import bundle
from isogloss.report.plan_answer import bind_in_words, contributions, flat_sizes
from isogloss.report.plan_charts import row_height
from isogloss.report.plan_page import plan_page
from isogloss.report.plan_reproduce import reproduce
from isogloss.report.plan_rows import top_rows
from isogloss.report.specs import panels
from isogloss.report.tables import unbroken
from isogloss.report.words import (
    about,
    cell,
    language_names,
    listed,
    per_cent,
    percent,
    quantity,
    value,
    with_names,
)

ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def baltic() -> Plan:
    wanted = ["Estonian", "Latvian", "Lithuanian", "Finnish", "English"]
    return plan({"budget": "1e22", "languages": wanted, "title": "A Baltic model"})


@pytest.fixture(scope="module")
def hundred() -> Plan:
    by_text = sorted(languages.all_languages(), key=lambda entry: -(entry.utf8_bytes or 0))
    codes = ["eng_Latn", *(e.code for e in by_text if e.code != "eng_Latn")][:100]
    return plan({"budget": "1e24", "languages": codes, "assumptions": {"transfer": "published"}}, draws=20)


@pytest.fixture(scope="module")
def chinchilla() -> Fit:
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 4e11, 6)))
    noise = np.random.default_rng(0).normal(0, 0.002, N.shape)
    loss = (1.7 + 400 / N**0.34 + 2000 / D**0.37) * np.exp(noise)
    runs = pl.DataFrame({"run_id": [f"run{i}" for i in range(len(N))], "N": N, "D": D, "loss": loss})
    return fit("chinchilla", runs, starts=16, draws=60)


class NoTokens(Law, name="no-tokens", source="made up for a test"):
    """L = E + A/N^alpha: a law without a data term."""

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))

    def loss(self, N: Any) -> Any:
        return self.E + self.A / N**self.alpha


def card(cards: list[Card], name: str) -> Card:
    return next(c for c in cards if c.id == name)


def specs_in(page: str) -> list[dict[str, Any]]:
    return [
        json.loads(text) for text in re.findall(r'<script type="application/json" data-chart.*?>(.*?)</script>', page)
    ]


def without_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_page_loads_nothing(baltic: Plan) -> None:
    page = to_html(baltic.title, "five languages", plan_cards(baltic), baltic.warnings)
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert set(re.findall(r"""\s(?:src|href|action|poster|srcset)\s*=\s*["']?(.)""", text)) == {"#"}
    assert not re.search(r"<script[^>]*\ssrc", page)
    assert "@import" not in page.split("</style>")[0]
    assert "url(" not in page.split("</style>")[0]
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "http" not in policy[1]


def test_page_holds_the_libraries_once(baltic: Plan) -> None:
    page = to_html("t", "s", plan_cards(baltic))
    assert page.count("window.vegaEmbed=") == 1
    assert len(re.findall(r"<script>", page)) == 2


def test_page_without_charts_needs_no_script() -> None:
    page = to_html("t", "", [Card("a", "A", "There is nothing to draw.")])
    assert re.findall(r"<script[^>]*>", page) == ['<script type="application/json" id="cards">']
    assert "There is nothing to draw." in page


def test_what_users_write_is_inert() -> None:
    frame = pl.DataFrame({f"head {ATTACK}": [ATTACK, "</td>"]})
    data = alt.InlineData(values=[{"name": "</script><img src=x onerror=alert(1)>", "value": 1}])
    chart = alt.Chart(data).mark_bar().encode(x="value:Q", y="name:N").properties(title=ATTACK)
    hostile = Card("a", ATTACK, ATTACK, chart=chart, table=frame, notes=(ATTACK,))
    page = to_html(ATTACK, ATTACK, [hostile], [ATTACK])
    assert ATTACK not in page
    assert "<img" not in without_scripts(page)
    assert page.count("</script>") == len(re.findall(r"<script[ >]", page))
    (spec,) = specs_in(page)
    assert spec["title"] == ATTACK


def test_specs_are_json_and_valid_vega_lite(baltic: Plan, chinchilla: Fit) -> None:
    for cards in (plan_cards(baltic), fit_cards(chinchilla)):
        specs = specs_in(to_html("t", "s", cards))
        assert len(specs) == sum(len(panels(c.chart)) for c in cards if c.chart is not None)
        for spec in specs:
            assert spec["width"] == "container"
        for drawn in cards:
            if drawn.chart is not None:
                drawn.chart.to_dict(validate=True)


def test_numbers_that_are_not_finite_are_refused_or_dashed() -> None:
    chart = alt.Chart(alt.InlineData(values=[{"x": float("nan")}])).mark_point().encode(x="x:Q")
    with pytest.raises(ValueError):
        to_html("t", "s", [Card("a", "A", "s", chart=chart)])
    assert cell(float("nan"), "loss") == cell(None, "loss") == "–"


def test_warnings_stand_open_before_the_cards(baltic: Plan) -> None:
    page = to_html("t", "s", plan_cards(baltic), ["Mind the gap.", "And the step."])
    assert page.index("Mind the gap.") < page.index('class="card"')
    assert "<details" not in page[: page.index('class="card"')]


def test_plan_cards_repeat_the_plans_numbers(baltic: Plan) -> None:
    cards = plan_cards(baltic)
    assert [c.id for c in cards] == [
        *("answer", "plan", "mixture", "losses", "size", "alternatives", "regret", "changes", "evidence")
    ]
    assert f"Train {about(baltic.N)} parameters on {quantity(baltic.D)} tokens" in cards[0].sentence
    table = card(cards, "mixture").table
    assert table is not None
    by_code = dict(zip(table["Code"], table.iter_rows(named=True), strict=True))
    for i, code in enumerate(baltic.languages):
        assert by_code[code]["Share, %"] == pytest.approx(baltic.shares[i])
        assert by_code[code]["Tokens seen"] == pytest.approx(baltic.shares[i] * baltic.D)
        assert by_code[code]["Epochs"] == pytest.approx(baltic.epochs[i])
    losses = card(cards, "losses").table
    assert losses is not None
    assert sorted(losses["This plan"]) == pytest.approx(sorted(baltic.loss))


def test_the_answer_is_told_in_plain_words_first(baltic: Plan) -> None:
    first = plan_cards(baltic)[0]
    unsure = baltic.uncertainty
    assert first.table is not None
    assert unsure is not None
    told = dict(first.table.iter_rows())
    assert quantity(baltic.D) in told["Train"]
    for name in language_names(baltic.languages).values():
        assert name in told["Mixture"]
    N = unsure.interval(unsure.N)
    assert f"between {about(N.low)} and {about(N.high)}" in told["How sure"]
    flat = flat_sizes(baltic)
    assert f"from {about(flat.low)} to {about(flat.high)}" in told["Matters"]
    names = {"ekk_Latn": "Estonian", "lvs_Latn": "Latvian"}
    assert bind_in_words("epoch cap 4: ekk_Latn, lvs_Latn and 3 more", names) == (
        "epoch cap 4: Estonian, Latvian and 3 more"
    )


def test_contributions_to_the_interval_sum_to_all_of_it(baltic: Plan) -> None:
    unsure = baltic.uncertainty
    assert unsure is not None
    parts = contributions(unsure, baltic.weights)
    assert parts.sum() == pytest.approx(1)
    # A language whose loss is the same in all draws makes none of the interval.
    fixed = replace(unsure, loss=np.where(np.arange(len(parts)) == 0, 2.0, unsure.loss))
    assert contributions(fixed, baltic.weights)[0] == pytest.approx(0, abs=1e-12)
    shown = card(plan_cards(baltic), "changes").table
    assert shown is not None
    names = language_names(baltic.languages)
    assert shown["Language"][0] == names[baltic.languages[int(np.argmax(parts))]]


def test_the_page_can_be_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "question.toml"
    path.write_text('budget = "1e20"\nlanguages = ["Estonian"]\n[limits]\nmax_epochs = 2\n', encoding="utf-8")
    made = reproduce([path], draws=0)
    page = without_scripts(plan_page(plan(path, draws=0), read_question(path), made))
    order = ["The answer", "Before you rely on this", "The plan in numbers", "What this rests on", "What was assumed"]
    places = [page.index(f"<h2>{title}</h2>") for title in (*order, "How to reproduce this")]
    assert places == sorted(places)
    for held in (made.inputs[0].sha256, "limits.max_epochs", "assumptions.laws", made.versions["jax"]):
        assert held in page
    assert re.search(r"limits\.max_epochs</th><td>2</td><td>question", page)
    assert re.search(r"assumptions\.dose</th><td>equal</td><td>default", page)


def test_evidence_is_counted_and_complete(baltic: Plan) -> None:
    rests = card(plan_cards(baltic), "evidence")
    inputs = [e for e in baltic.evidence if e.quantity.split(".")[0] in ("text", "law", "transfer")]
    assert f"{len(inputs) + 3} inputs" in rests.sentence  # weights, repetition and capacity beside them
    assert rests.table is not None
    told = " ".join(rests.table["What"])
    for name in language_names(baltic.languages).values():
        assert name in told


def test_flat_range_is_where_the_profile_says(baltic: Plan) -> None:
    N, y = baltic.profile["N"].to_numpy(), baltic.profile["objective"].to_numpy()
    flat = flat_range(N, y)
    assert flat.low < baltic.N < flat.high
    assert not flat.open_low
    for end in (flat.low, flat.high):
        assert np.interp(np.log(end), np.log(N), y) == pytest.approx(baltic.objective * (1 + FLAT))
    over_draws = flat_sizes(baltic)
    assert f"{about(over_draws.low)} to {about(over_draws.high)}" in card(plan_cards(baltic), "size").sentence
    middle = len(N) // 2
    assert flat_range(N[middle - 1 : middle + 2], np.array([1.0, 1.001, 1.002])).open_high


def test_regret_is_told_as_the_draws_have_it(baltic: Plan) -> None:
    unsure = baltic.uncertainty
    assert unsure is not None
    shown = card(plan_cards(baltic), "regret")
    assert shown.table is not None
    by_name = dict(zip(shown.table["Mixture"], shown.table.iter_rows(named=True), strict=True))
    assert by_name["this plan"]["Mean regret, %"] == pytest.approx(unsure.regret.mean())
    assert by_name["UniMax"]["Plan is better, % of draws"] == pytest.approx(unsure.plan_better("unimax"))
    assert per_cent(unsure.interval(unsure.regret).high) in shown.sentence
    for lack in unsure.lacks:
        assert any(lack in note for note in shown.notes)


def test_a_plan_without_draws_shows_no_intervals() -> None:
    bare = plan({"budget": "1e20", "languages": ["Estonian", "Finnish"]}, draws=0)
    cards = plan_cards(bare)
    assert "regret" not in [c.id for c in cards]
    assert "draws" not in without_scripts(to_html("t", "s", cards))
    flat = flat_range(bare.profile["N"].to_numpy(), bare.profile["objective"].to_numpy())
    assert flat_sizes(bare) == flat


def test_mixtures_that_break_the_caps_are_named_as_such(baltic: Plan) -> None:
    sentence = card(plan_cards(baltic), "alternatives").sentence
    for alternative in baltic.alternatives:
        if alternative.objective < baltic.objective:
            assert alternative.over_cap
            assert "only by repeating" in sentence
            assert alternative.name in sentence


def test_a_hundred_languages_stay_legible(hundred: Plan) -> None:
    shown = top_rows(hundred)
    assert len(shown) == 31
    assert shown[-1].name == "70 others"
    assert sum(r.share for r in shown) == pytest.approx(1)
    cards = plan_cards(hundred)
    specs = {c.id: panels(c.chart) for c in cards if c.chart is not None}
    assert row_height(100) >= 16
    assert all(spec["height"] == 31 * row_height(31) for spec in specs["mixture"])
    assert specs["losses"][0]["height"] == 100 * row_height(100)
    page = without_scripts(to_html("t", "s", cards))
    names = language_names(hundred.languages)
    assert len(set(names.values())) == 100
    for code, name in names.items():
        assert code in page
        assert name.replace("'", "&#39;") in page


def test_one_language_and_a_fixed_size() -> None:
    limits = {"min_params": "1B", "max_params": "1B"}
    one = plan({"budget": "1e19", "languages": ["Swahili"], "limits": limits})
    page = to_html("t", "s", plan_cards(one))
    assert "one size only" in page
    assert len(specs_in(page)) > 2


def test_fit_cards_repeat_the_fits_numbers(chinchilla: Fit) -> None:
    cards = fit_cards(chinchilla)
    assert [c.id for c in cards] == [
        *("coefficients", "findings", "observed", "residuals", "surface", "isoflop", "optimum", "pairs", "left-out"),
    ]
    table = card(cards, "coefficients").table
    assert table is not None
    assert table["Value"].to_list() == [e.value for e in chinchilla.coefficients]
    optimum = card(cards, "optimum").table
    assert optimum is not None
    expected = chinchilla.optimum(chinchilla.default_budgets())
    assert optimum["Parameters N*"].to_list() == expected["N"].to_list()
    half = np.median(np.abs(chinchilla.rows["relative_error"].to_numpy()))
    assert per_cent(float(half)) in card(cards, "observed").sentence
    assert "No row was left out" in card(cards, "left-out").sentence


def test_iso_loss_lines_lie_on_their_loss(chinchilla: Fit) -> None:
    from isogloss.report.fit_surface import surface_of

    surface = surface_of(chinchilla)
    assert len({p["loss"] for p in surface.iso_loss}) >= 5
    N, D, loss = (np.array([p[k] for p in surface.iso_loss]) for k in ("N", "D", "loss"))
    assert chinchilla.predict(N=N, D=D)["loss"].to_numpy() == pytest.approx(loss, rel=2e-3)
    for point in surface.optima:
        assert 6 * point["N"] * point["D"] == pytest.approx(point["C"])


def test_a_law_without_a_frontier_says_so() -> None:
    N = np.geomspace(1e7, 1e10, 20)
    runs = pl.DataFrame({"N": N, "D": np.full(20, 1e11), "loss": 2 + 50 / N**0.3})
    cards = fit_cards(fit(NoTokens, runs, starts=8, draws=0))
    assert "no compute-optimal size" in card(cards, "optimum").sentence
    assert card(cards, "optimum").table is None
    assert card(cards, "surface").chart is None
    assert to_html("t", "s", cards)


def test_rows_left_out_are_grouped_by_reason(chinchilla: Fit) -> None:
    from isogloss.runs import LeftOut

    out = (LeftOut(3, "a", "no loss"), LeftOut(5, None, "no loss"), LeftOut(9, "b", "diverged"))
    left = card(fit_cards(replace(chinchilla, left_out=out)), "left-out")
    assert left.table is not None
    assert left.table["Rows"].to_list() == [2, 1]
    assert "3 (a) and 5" in left.table["Which, by row of the file"][0]


def test_pictures(tmp_path: Path, baltic: Plan) -> None:
    svg = save_picture(picture_of_plan(baltic), tmp_path / "plan.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "Estonian" in svg
    width = re.search(r'width="(\d+)"', svg)
    assert width is not None
    assert 700 <= int(width[1]) <= 1000
    png = save_picture(card(plan_cards(baltic), "losses"), tmp_path / "losses.PNG").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["losses.PNG", "plan.svg"]


def test_pictures_that_cannot_be(tmp_path: Path, baltic: Plan) -> None:
    with pytest.raises(InputError, match="picture format"):
        save_picture(picture_of_plan(baltic), tmp_path / "plan.gif")
    with pytest.raises(InputError, match="has no chart"):
        save_picture(Card("a", "A", "Nothing to draw."), tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


def test_the_bundle_is_kept_and_made_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOGLOSS_CACHE_DIR", str(tmp_path))
    bundle.cache_clear()
    made = bundle()
    (kept,) = (tmp_path / "javascript").iterdir()
    assert kept.read_text(encoding="utf-8") == made
    assert "</script" not in made
    bundle.cache_clear()
    monkeypatch.setenv("ISOGLOSS_CACHE_DIR", "")
    assert bundle() == made
    bundle.cache_clear()


def test_pandas_and_torch_are_not_loaded() -> None:
    code = (
        "import sys; from isogloss.planning import plan; from isogloss.report import plan_cards, to_html\n"
        "to_html('t', 's', plan_cards(plan({'budget': '1e20', 'languages': ['Estonian', 'Finnish']})))\n"
        "assert not {'pandas', 'torch', 'pyarrow'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.3473, "0.3473"),
        (477.826, "477.8"),
        (38105.5, "38,110"),
        (1.1444e6, "1.144e6"),
        (-0.0979, "−0.0979"),
        (0, "0"),
    ],
)
def test_values_for_people(number: float, text: str) -> None:
    assert value(number) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.3926, "39.3"), (0.041, "4.1"), (0.00023, "0.023"), (-0.013, "−1.3"), (1e-7, "0"), (1, "100.0")],
)
def test_per_cent_for_people(fraction: float, text: str) -> None:
    assert percent(fraction) == text


def test_names_and_lists() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefgh"), most=4) == "a, b, c and 5 more"
    names = language_names(["uzn_Latn", "uzn_Cyrl", "ekk_Latn"])
    assert names["ekk_Latn"] == "Estonian"
    assert names["uzn_Latn"] != names["uzn_Cyrl"]


def test_warnings_say_names_not_codes(baltic: Plan) -> None:
    shown = section(baltic)
    assert any("Estonian" in w for w in shown.warnings)
    assert not any("ekk_Latn" in w for w in shown.warnings)
    assert with_names("qaa_Latn and swh_Latn") == "qaa_Latn and Swahili"
    assert unbroken("0.4 (0.3 to 0.5)") == "0.4 (0.3\u00a0to\u00a00.5)"
