"""runs show: the page says what runs there are and what is missing, and stays small."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.languages import all_languages
from isogloss.report.runs_charts import MOST_PLACES, NUMBERED, places
from isogloss.report.runs_figures import LINES, POINTS
from isogloss.report.runs_page import runs_cards, runs_page
from isogloss.runs.enough import Need, levels
from isogloss.runs.overview import Overview, overview
from isogloss.runs.thin import sample, thin
from studies import block, tiny_study

SIZES, TOKENS = (1e7, 3e7, 1e8), (1e9, 3e9, 1e10)


def table(**columns: Any) -> pl.DataFrame:
    """A grid of sizes and tokens, finished, of one language alone unless said."""
    N, D = (a.ravel() for a in np.meshgrid(SIZES, TOKENS))
    loss = 1.7 + 400 / N**0.34 + 2000 / D**0.37
    given = {"run_id": [f"r{i}" for i in range(len(N))], "N": N, "D": D, "loss": loss, "target": "swh_Latn"}
    return pl.DataFrame({**given, **columns})


def imported(folder: Path, *, runs: int, points: int, languages: tuple[str, ...] = ("swh_Latn",)) -> Path:
    """An imported study: runs of five sizes, half of them of two languages, and a ghost."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows, shares, evals = [], [], []
    for i in range(runs):
        N, D = 1e7 * 2.0 ** (i % 5), 1e9 * (1 + i % 7)
        rows.append({"run_id": f"run{i}", "params_total": N, "status": "killed" if i % 10 == 9 else "finished"})
        for code, share in {"swh_Latn": 0.5 + 0.5 * (i % 2), "eng_Latn": 0.5 - 0.5 * (i % 2)}.items():
            shares.append({"run_id": f"run{i}", "language": code, "share": share, "unique_tokens": 1e12})
        for code in languages:
            t = np.linspace(D / points, D, points)
            loss = 2 + 400 / N**0.34 + 2000 / t**0.37 + rng.normal(0, 0.002, points)
            named = {"run_id": [f"run{i}"] * points, "language": [code] * points, "unit": ["nats/token"] * points}
            evals.append(pl.DataFrame({**named, "tokens": t, "loss": loss}))
    rows.append({"run_id": "ghost", "params_total": 1e9, "status": "ghost"})
    pl.DataFrame(rows).write_parquet(folder / "runs.parquet")
    pl.DataFrame(shares).write_parquet(folder / "exposure.parquet")
    phases = [pl.lit(None, pl.String).alias("lr_phase"), pl.lit(None, pl.Float64).alias("stderr")]
    pl.concat(evals).with_columns(phases).write_parquet(folder / "evals.parquet")
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "parts": []}), encoding="utf-8")
    return folder


def need(found: Overview, law: str) -> Need:
    (one,) = (n for n in found.needs if n.law == law)
    return one


def page_specs(page: str) -> list[dict[str, Any]]:
    return [json.loads(t) for t in re.findall(r'<script type="application/json" data-chart.*?>(.*?)</script>', page)]


# --- numbers ------------------------------------------------------------------------------------------------


def test_runs_languages_and_pairs_are_counted(tmp_path: Path) -> None:
    answer = overview(imported(tmp_path / "s", runs=20, points=10, languages=("swh_Latn", "eng_Latn"))).to_dict()
    runs = answer["runs"]
    assert (runs["count"], runs["read"], runs["points"]) == (21, 18, 400)
    assert runs["by_status"] == {"finished": 18, "killed": 2, "ghost": 1}
    by_code = {row["language"]: row for row in answer["languages"]}
    assert (by_code["swh_Latn"]["runs"], by_code["swh_Latn"]["alone"]) == (20, 10)
    assert by_code["swh_Latn"]["share"] == [0.5, 1.0]
    assert by_code["eng_Latn"]["tokens"] == [0.5e9, 3.5e9]
    mixtures = answer["mixtures"]
    assert mixtures["by_languages"] == {"1": 10, "2": 10}
    assert mixtures["pairs"] == [{"languages": ["eng_Latn", "swh_Latn"], "runs": 10, "only_these": 10}]
    assert mixtures["unknown"] == 1
    assert [s["N"] for s in answer["sizes"]] == [1e7, 2e7, 4e7, 8e7, 1.6e8, 1e9]


def test_a_large_study_is_shown_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imported(tmp_path / "s", runs=20, points=10, languages=("swh_Latn", "eng_Latn"))
    small = overview(folder).to_dict()
    monkeypatch.setattr("isogloss.runs.overview.LARGE", 100)
    large = overview(folder)
    answer = large.to_dict()
    for key in ("sizes", "languages", "mixtures", "laws", "runs"):
        assert answer[key] == small[key], key
    assert "only those that a fit reads are linted here" in " ".join(large.notes)


def test_a_study_of_the_lab_that_has_not_run(tmp_path: Path) -> None:
    folder = tiny_study(tmp_path / "s", runs=[block()])
    with pytest.raises(InputError, match="study"):
        overview(folder)


def test_unusable_points_are_counted_and_not_drawn() -> None:
    found = overview(table(loss=[float("nan"), *([2.5] * 8)]))
    assert found.unusable == 1
    assert found.points.collect().height == 8
    assert "1 point without tokens or a finite loss" in " ".join(runs_cards(found)[0].notes)


# --- what is missing ----------------------------------------------------------------------------------------


def test_a_grid_is_ready_for_chinchilla() -> None:
    assert need(overview(table()), "chinchilla") == Need("chinchilla", "swh_Latn", (), ())


@pytest.mark.parametrize(
    ("keep", "missing", "thin_"),
    [
        (pl.col("N") < 5e7, ("2 sizes (3 needed)",), ()),
        (pl.col("D") < 2e9, ("one token count (3 needed)",), ()),
        (
            pl.col("N") * 100 == pl.col("D"),
            (),
            ("N and D rise together: runs off that line would tell them apart", "no size has three token counts"),
        ),
    ],
)
def test_what_chinchilla_lacks(keep: pl.Expr, missing: tuple[str, ...], thin_: tuple[str, ...]) -> None:
    found = need(overview(table().filter(keep)), "chinchilla")
    assert (found.missing, found.thin) == (missing, thin_)


def test_what_mixtures_and_repeats_are_missing() -> None:
    bare = overview(table())
    assert need(bare, "atlas").missing == ("no mixture is known",)
    assert need(bare, "data-constrained").missing == ("no unique tokens are known",)
    alone = overview(table(**{"share:swh_Latn": 1.0, "share:eng_Latn": 0.0, "unique_tokens": 1e12}))
    assert need(alone, "atlas").missing == ("no mixed run",)
    assert need(alone, "data-constrained").missing == ("no run repeats its text",)
    assert "no run of exactly two languages" in need(alone, "transfer measure").missing
    swahili = np.array([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])
    mixed = overview(table(**{"share:swh_Latn": swahili, "share:eng_Latn": 1 - swahili, "unique_tokens": 2e9}))
    assert need(mixed, "atlas").state == "ready"
    assert need(mixed, "data-constrained").missing == ()
    assert need(mixed, "transfer measure").state == "ready"
    assert need(mixed, "chinchilla").thin == ("its runs have several mixtures, which a law of N and D takes for one",)


def test_levels_count_values_within_a_tenth_as_one() -> None:
    assert levels(np.array([1.0, 1.05, 1.09, 1.2, 5.0, np.nan, 0.0])) == 3
    assert levels(np.array([])) == 0


# --- curves -------------------------------------------------------------------------------------------------


def test_thinning_keeps_spikes_and_ends() -> None:
    tokens = np.geomspace(1e6, 1e9, 20_000)
    loss = 5 - np.log10(tokens) / 5
    loss[12_345], loss[7_000] = 9.0, 0.5
    points = pl.DataFrame({"run": "a", "target": "x", "curve": "a", "tokens": tokens, "loss": loss}).lazy()
    thinned = thin(points, pl.DataFrame({"run": ["a"], "target": ["x"], "curve": ["a"]}), of=1, most=200)
    frame = thinned.frame
    assert frame.height <= 210
    assert thinned.points == 20_000
    assert (frame["loss"].max(), frame["loss"].min()) == (9.0, 0.5)
    assert (frame["tokens"].min(), frame["tokens"].max()) == (tokens.min(), tokens.max())
    assert frame["tokens"].is_sorted()


def test_a_sample_of_curves_spans_the_sizes() -> None:
    curves = pl.DataFrame({"curve": [f"r{i}" for i in range(100)], "N": [float(i) for i in range(100)], "D": 1.0})
    chosen = sample(curves, 10)
    assert chosen["N"].to_list() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert chosen.equals(sample(curves.reverse(), 10))


def test_many_points_make_a_small_page_that_says_what_is_not_drawn(tmp_path: Path) -> None:
    found = overview(imported(tmp_path / "s", runs=60, points=2000, languages=("swh_Latn", "eng_Latn", "ekk_Latn")))
    page = runs_page(found, "Runs")
    assert len(page) < 3e6
    drawn = [
        d for s in page_specs(page) for d in s.get("datasets", {}).values() if d and {"t", "l", "r"} <= d[0].keys()
    ]
    assert len(drawn) == 3
    assert sum(map(len, drawn)) < 1.1 * POINTS
    assert f"Of 180 curves {3 * LINES} are drawn" in page
    assert "Of the 240,000 points of these curves" in page


def test_evaluation_sets_have_curves_of_their_own() -> None:
    frame = pl.concat([table(run_id="a", N=1e7, D=np.arange(1e9, 10e9, 1e9), eval_set=name) for name in ("x", "y")])
    curves = overview(frame).points.collect()["curve"].unique().sort().to_list()
    assert curves == ["a, x", "a, y"]


def test_points_are_drawn_once_where_runs_meet() -> None:
    found = overview(table(run_id=[f"r{i}" for i in range(9)], N=1e7, D=1e9))
    (place,) = places(found.runs, found.models, {})
    assert place["run"] == "r0 and 8 more"
    rng = np.random.default_rng(0)
    runs = 10 * MOST_PLACES
    frame = pl.DataFrame({"run": [f"r{i}" for i in range(runs)], "N": rng.uniform(1e6, 1e9, runs), "D": 1e9})
    models = frame.with_columns(target=pl.lit(""))
    assert len(places(frame.with_columns(status=pl.lit("")), models, {})) < 100


# --- the page -----------------------------------------------------------------------------------------------


def test_every_card_has_a_sentence_and_valid_charts(tmp_path: Path) -> None:
    cards = runs_cards(overview(imported(tmp_path / "s", runs=20, points=10)))
    assert [c.id for c in cards] == [*("runs", "languages", "coverage", "mixtures", "shares", "curves", "laws", "lint")]
    for card in cards:
        assert card.sentence.endswith((".", "first."))
        if card.chart is not None:
            card.chart.to_dict(validate=True)


def test_every_figure_says_how_many_runs_of_what(tmp_path: Path) -> None:
    found = overview(imported(tmp_path / "s", runs=20, points=10))
    figures = {c.id: c.evidence for c in runs_cards(found) if c.chart is not None}
    assert figures == {
        **{"coverage": "20 runs of s; N counts all parameters", "mixtures": "20 runs with a mixture, of s"},
        **{"shares": "20 runs with a mixture, of s", "curves": "20 curves of s"},
    }


def test_a_map_of_many_languages_has_a_card_of_its_own() -> None:
    codes = [language.code for language in all_languages()[: NUMBERED + 6]]
    shares = {f"share:{code}": [1 / len(codes)] * 9 for code in codes}
    cards = {c.id: c for c in runs_cards(overview(table(target=codes[0], **shares)))}
    assert not isinstance(cards["mixtures"].chart, alt.HConcatChart)
    assert cards["languages-per-run"].sentence == "Most often 20 languages, in 9 runs."
    few = {c.id: c for c in runs_cards(overview(table(target=codes[0], **{f"share:{codes[0]}": [1.0] * 9})))}
    assert isinstance(few["mixtures"].chart, alt.HConcatChart)
    assert "languages-per-run" not in few


def test_one_run_is_told_of_as_one() -> None:
    (card,) = (c for c in runs_cards(overview(table(run_id="a", N=1e7))) if c.id == "runs")
    assert card.sentence.startswith("1 run of 10M parameters on ")
    assert "; it tells " in card.sentence


def test_each_panel_holds_the_data_that_it_draws(tmp_path: Path) -> None:
    def names(part: Any) -> set[str]:
        if isinstance(part, list):
            return {n for p in part for n in names(p)}
        if not isinstance(part, dict):
            return set()
        own = part.get("data")
        found = {own["name"]} if isinstance(own, dict) and "name" in own else set()
        return found | {n for v in part.values() for n in names(v)}

    specs = page_specs(runs_page(overview(imported(tmp_path / "s", runs=20, points=10)), "Runs"))
    assert specs
    for spec in specs:
        own = spec.pop("datasets", {})
        assert names(spec) == own.keys()


@pytest.mark.parametrize(
    ("dropped", "card", "said"),
    [
        ("N", "coverage", "The runs do not say their parameters: there is no place to draw them at."),
        ("D", "coverage", "The runs do not say their tokens: there is no place to draw them at."),
        ("run_id", "curves", "Every run has one point: there are no curves to draw."),
        ("target", "mixtures", "No mixture is known: give share columns, or map them on import, to tell transfer."),
    ],
)
def test_tables_that_lack_something_are_shown_all_the_same(dropped: str, card: str, said: str) -> None:
    cards = runs_cards(overview(table().drop(dropped)))
    assert next(c for c in cards if c.id == card).sentence == said


def test_losses_below_zero_are_not_drawn_on_a_logarithmic_axis() -> None:
    frame = table(run_id="a", loss=np.linspace(-1, -2, 9), D=np.geomspace(1e8, 1e9, 9), N=1e7)
    cards = runs_cards(overview(frame, unit="metric"))
    assert "below zero" in next(c for c in cards if c.id == "curves").sentence


def test_names_of_users_are_inert() -> None:
    attack = "</script><img src=x onerror=alert(1)>"
    page = runs_page(overview(table(run_id=attack, target=attack)), "Runs")
    assert "<img" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_writes_a_page_and_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table().write_csv("mine.csv")
    assert run(["runs", "show", "mine.csv"]) == 0
    said = capsys.readouterr().out
    assert "mine.csv: 9 runs (9 without status), 9 points, loss in nats/token" in said
    assert "Wrote mine-runs/ (runs.html, runs.json)." in said
    answer = json.loads(Path("mine-runs/runs.json").read_text(encoding="utf-8"))
    assert run(["runs", "show", "mine.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answer
    assert answer["laws"][0] == {"law": "chinchilla", "ready": ["swh_Latn"], "thin": {}, "missing": {}}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine-runs", "mine.csv"]


def test_conditions_columns_and_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    table().rename({"N": "weights"}).write_csv(path)
    words = ["runs", "show", str(path), "--column", "N=weights", "--where", "D<2e9", "--unit", "bits/byte", "--json"]
    assert run(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["runs"]["count"], answer["unit"], len(answer["sizes"])) == (3, "bits/byte", 3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "no such file"),
        ("empty.csv", "", "is empty"),
        ("bare.csv", "a,b\n1,2\n", "has no loss column"),
        ("runs.xlsx", "x", "unknown file suffix"),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, content: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert run(["runs", "show", str(tmp_path / name), "--json"]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_of_others_is_not_written_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table().write_csv(tmp_path / "mine.csv")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.tex").write_text("x", encoding="utf-8")
    assert run(["runs", "show", str(tmp_path / "mine.csv"), "-o", str(tmp_path / "thesis")]) == 2
    assert "holds other files" in capsys.readouterr().err
