"""The pages that plans and fits make: self-contained, inert to what users write, and true to the numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.fitting import Fit, fit
from isogloss.planning import Plan, plan
from isogloss.report import Card, fit_cards, picture_of_plan, plan_cards, save_picture, to_html
from isogloss.report.plans import FLAT, flat_range


@pytest.fixture(scope="module")
def baltic() -> Plan:
    return plan(Path(__file__).parent.parent / "examples" / "baltic.toml")


@pytest.fixture(scope="module")
def fitted() -> Fit:
    rng = np.random.default_rng(0)
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 2e11, 6)))
    loss = (1.8 + 480 / N**0.35 + 2000 / D**0.37) * np.exp(rng.normal(0, 0.003, len(N)))
    return fit("chinchilla", pl.DataFrame({"N": N, "D": D, "loss": loss}), draws=100)


def specs_in(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def values_of(spec: dict, layer: dict | None = None) -> list[dict]:
    return spec["datasets"][(layer or spec)["data"]["name"]]


def test_a_page_loads_nothing_from_the_network(baltic: Plan) -> None:
    page = to_html("Plan", "", plan_cards(baltic))
    outside_script = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=", outside_script)
    assert "@import" not in outside_script
    assert "url(" not in outside_script
    assert not re.search(r"<script[^>]*\ssrc=", page)


def test_every_chart_has_a_place_on_the_page(baltic: Plan, fitted: Fit) -> None:
    for cards in (plan_cards(baltic), fit_cards(fitted)):
        page = to_html("title", "", cards)
        specs = specs_in(page)
        assert specs
        assert all(f'<div class="chart" id="{name}">' in page for name in specs)


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", "</script><b>", "<!--", "\u2028"])
def test_what_users_write_stays_text(attack: str) -> None:
    import altair as alt

    chart = alt.Chart(alt.InlineData(values=[{"x": attack}])).mark_point().encode(x="x:N")
    card = Card("c", attack, attack, charts=(chart,), table=pl.DataFrame({attack: [attack]}), notes=(attack,))
    page = to_html(attack, attack, [card], [attack])
    assert "<script>alert" not in page
    assert page.count("</script>") == to_html("t", "", [Card("c", "", "", charts=(chart,))]).count("</script>")
    assert values_of(specs_in(page)["c-0"]) == [{"x": attack}]


def test_warnings_stand_on_the_page_in_full(baltic: Plan) -> None:
    page = to_html("t", "", plan_cards(baltic), ["beware of <this>"])
    assert "beware of &lt;this&gt;" in page


def test_the_charts_show_the_plans_own_numbers(baltic: Plan) -> None:
    specs = specs_in(to_html("t", "", plan_cards(baltic)))
    bars = values_of(specs["mixture-0"], specs["mixture-0"]["layer"][0])
    assert [row["share"] for row in bars] == pytest.approx(list(baltic.shares), rel=1e-6)
    epochs = values_of(specs["mixture-1"], specs["mixture-1"]["layer"][0])
    assert [row["epochs"] for row in epochs] == pytest.approx(list(baltic.epochs), rel=1e-6)
    dots = values_of(specs["losses-0"])
    mine = {row["language"]: row["loss"] for row in dots if row["mixture"] == "this plan"}
    assert sorted(mine.values()) == pytest.approx(sorted(baltic.loss), rel=1e-6)


def test_every_language_is_in_the_table(baltic: Plan) -> None:
    table = next(card.table for card in plan_cards(baltic) if card.id == "plan")
    assert table is not None
    assert set(table["code"]) == set(baltic.languages)


def test_the_flat_range_is_where_the_profile_says(baltic: Plan) -> None:
    low, high = flat_range(baltic)
    assert low < baltic.N < high
    N, objective = (baltic.profile[c].to_numpy() for c in ("N", "objective"))
    inside = (low * 1.001 < N) & (high / 1.001 > N)
    assert (objective[inside] <= baltic.objective * (1 + FLAT) + 1e-9).all()
    assert (objective[~inside] >= baltic.objective * (1 + FLAT) - 1e-3).all()


def test_a_fit_page_says_what_the_fit_found(fitted: Fit) -> None:
    cards = {card.id: card for card in fit_cards(fitted)}
    assert {"coefficients", "observed", "residuals", "surface", "optimum", "left-out"} == set(cards)
    table = cards["coefficients"].table
    assert table is not None
    assert dict(zip(table["coefficient"], table["value"], strict=True)) == {
        e.name: e.value for e in fitted.coefficients
    }
    assert cards["surface"].charts


def test_iso_loss_lines_have_the_loss_that_they_say(fitted: Fit) -> None:
    from isogloss.report.fits import _iso_loss

    lines = _iso_loss(fitted, (1e8, 1e10), (2e9, 2e11))
    assert len({row["loss"] for row in lines}) >= 4
    N, D, level = (np.array([row[k] for row in lines]) for k in ("N", "D", "loss"))
    assert fitted.point(N=N, D=D) == pytest.approx(level, rel=2e-4)


def test_a_law_without_a_surface_says_why() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"N": n, "D": d, "loss": 1 + 300 * k**0.1 / n**0.4 + 40 * k**-0.05 / (d / k) ** 0.2, "target": "en"}
        | {f"share:{c}": (1 / k if i < k else 0.0) for i, c in enumerate(("en", "de", "fr", "es"))}
        for n in (1e8, 1e9, 4e9)
        for d in (2e9, 2e10, 2e11)
        for k in (1, 2, 4)
    ]
    frame = pl.DataFrame(rows).with_columns(loss=pl.col("loss") * np.exp(rng.normal(0, 1e-3, len(rows))))
    cards = {card.id: card for card in fit_cards(fit("k-law", frame, draws=0))}
    assert not cards["surface"].charts
    assert "more than N and D" in cards["surface"].sentence


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<svg")])
def test_a_plan_as_a_picture(baltic: Plan, tmp_path: Path, suffix: str, start: bytes) -> None:
    path = save_picture(picture_of_plan(baltic), tmp_path / f"plan{suffix}")
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_picture_of_an_unknown_format_is_refused(baltic: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="picture format"):
        save_picture(picture_of_plan(baltic), tmp_path / "plan.gif")
    assert not list(tmp_path.iterdir())


def test_pages_need_no_pandas() -> None:
    script = (
        "import sys; from isogloss.planning import plan; from isogloss.report import plan_cards, to_html; "
        "p = plan({'budget': '1e20', 'languages': ['est', 'eng']}); to_html('t', '', plan_cards(p)); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
