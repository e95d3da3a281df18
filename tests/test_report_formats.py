"""isogloss report: what it reads, what it writes, and that what users wrote stays text in all of it."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import altair as alt
import numpy as np
import polars as pl
import pytest
from markdown_it import MarkdownIt
from polars.testing import assert_frame_equal

import isogloss
from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.fitting import fit, save_fit
from isogloss.report import Card, Section, cards, gather, save, to_html
from isogloss.report.alternatives import alternative
from isogloss.report.answers import page_of
from isogloss.report.kinds import KINDS
from isogloss.report.pdf import _parts
from isogloss.report.specs import panels
from isogloss.report.tables import table_of
from isogloss.report.theme import DARK, LIGHT, Palette

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover=alert(1) '",
    "javascript:alert(1)",
    "[a](javascript:alert(1)) ![b](http://a.example/b.png) <https://a.example>",
    "</script><!-- ]]> {{ 7 * 7 }} | `x` $y$ **z** __w__ #eval \\",
    '#panic("evaluated") #read("/etc/passwd") #eval("panic()") ]',
    '=HYPERLINK("http://a.example","a")',
)


def points(*names: str) -> Any:
    data = alt.InlineData(values=[{"x": k, "y": 2 * k, "name": name} for k, name in enumerate(names)])
    x = alt.X("x:Q", axis=alt.Axis(title="compute, FLOPs"))
    y = alt.Y("name:N", axis=alt.Axis(title="language"))
    return alt.Chart(data).mark_point().encode(x=x, y=y, tooltip="name:N").properties(width="container")


def sample() -> Section:
    table = pl.DataFrame(
        {
            "Run": ["a", None],
            "Tokens": [12_300_000_000, None],
            "Loss": [2.5, math.inf],
            "Share": [0.25, math.nan],
            "Good": [True, False],
        }
    )
    chart = points("one", "two") | points("three").properties(title="Second")
    drawn = Card("drawn", "Drawn", "Two points.", chart, table, ("A note.",), {"Share": "percent"}, evidence="2 runs.")
    return Section("Title", "Subtitle", [drawn, Card("said", "Said", "Nothing to draw.")], ("Mind this.",))


def hostile() -> Section:
    table = pl.DataFrame({"Name": HOSTILE, **{name: [name] * len(HOSTILE) for name in HOSTILE}})
    made = [
        Card(f"card-{k}", text, text, points(text, text + "2"), table, (text,), evidence=text)
        for k, text in enumerate(HOSTILE[:2])
    ]
    return Section(HOSTILE[0], HOSTILE[1], [*made, Card(HOSTILE[1], HOSTILE[2], HOSTILE[3])], HOSTILE, HOSTILE[4])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `isogloss fit` writes."""
    N, D = (a.ravel() for a in np.meshgrid((1e8, 1e9, 1e10), (2e9, 2e10, 2e11)))
    loss = 1.7 + 400 / N**0.34 + 2000 / D**0.37
    made = fit("chinchilla", pl.DataFrame({"N": N, "D": D, "loss": loss}), starts=8, draws=0, intervals="none")
    return save_fit(made, tmp_path_factory.mktemp("fits") / "fit", pages={"fit.html": page_of(made)})


# --- reading ----------------------------------------------------------------------------------------


def test_a_page_gives_back_its_cards(tmp_path: Path) -> None:
    made = sample()
    for name in ("page.html", "page.json"):
        (read,) = gather([save(made, tmp_path / name)])
        assert (read.title, read.subtitle, read.warnings) == (made.title, made.subtitle, made.warnings)
        assert read.source == str(tmp_path / name)
        for ours, theirs in zip(made.cards, read.cards, strict=True):
            assert (ours.id, ours.title, ours.sentence) == (theirs.id, theirs.title, theirs.sentence)
            assert (ours.notes, ours.evidence) == (theirs.notes, theirs.evidence)
            assert table_of(ours) == table_of(theirs)
        first = read.cards[0]
        assert panels(first.chart) == panels(made.cards[0].chart)
        assert first.table is not None
        assert_frame_equal(first.table, pl.DataFrame(made.cards[0].table).with_columns(pl.col("Share").fill_nan(None)))


def test_a_report_shows_what_the_pages_hold(fitted: Path, tmp_path: Path) -> None:
    page, other = tmp_path / "all.html", save(sample(), tmp_path / "other.html")
    assert run(["report", str(fitted), str(other), "-o", str(page), "--title", "Both"]) == 0
    fit_page, second = gather([page])
    assert [c.sentence for c in fit_page.cards] == [c.sentence for c in gather([fitted])[0].cards]
    text = re.sub(r"<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert text.count("<h1>") == 1
    assert "<h1>Both</h1>" in text
    assert len(set(re.findall(r' id="([^"]*)"', text))) == len(re.findall(r' id="([^"]*)"', text))
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(re.findall(r' id="([^"]*)"', text))
    assert second.warnings == ("Mind this.",)
    # Written anew, it keeps its title.
    assert run(["report", str(page), "-o", str(tmp_path / "again.html")]) == 0
    assert "<h1>Both</h1>" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_nothing_is_computed_that_the_page_says(fitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    shutil.copytree(fitted, folder)
    said = [c.sentence for c in gather([folder])[0].cards]
    (folder / "rows.parquet").unlink()
    assert [c.sentence for c in gather([folder])[0].cards] == said
    (folder / "fit.html").unlink()
    with pytest.raises(InputError, match=r"rows\.parquet"):
        gather([folder])
    shutil.copy(fitted / "rows.parquet", folder)
    assert [c.sentence for c in gather([folder])[0].cards] == said


def test_a_folder_of_answers_and_a_table(fitted: Path, tmp_path: Path) -> None:
    shutil.copytree(fitted, tmp_path / "a-fit")
    shutil.copytree(fitted, tmp_path / "b-fit")
    assert [Path(s.source).name for s in gather([tmp_path])] == ["a-fit", "b-fit"]
    table = tmp_path / "runs.csv"
    table.write_text("run_id,N,D,loss\na,1e8,1e9,3.1\nb,1e9,1e10,2.8\n", encoding="utf-8")
    assert gather([table])[0].title == "Runs"
    scores = tmp_path / "scores.tsv"
    scores.write_text("target\tsource\tbts\net\tfi\t0.2\nfi\tet\t0.1\n", encoding="utf-8")
    assert gather([scores])[0].title == "Transfer between languages"


def test_a_design_is_reported_before_and_after_its_runs(tmp_path: Path) -> None:
    save(sample(), tmp_path / "design.html")
    for name, text in (("design.json", "{}"), ("study.toml", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [s.title for s in gather([tmp_path])] == ["Title"]
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    # The study's own reader is asked, and says what is wrong with it.
    with pytest.raises(InputError, match=r"runs\.parquet"):
        gather([tmp_path])


@pytest.mark.parametrize("kind", [k for k in KINDS if k.name not in ("fit", "transfer", "transfer matrix")])
def test_answers_without_cards_name_their_verb(kind: Any, tmp_path: Path) -> None:
    (tmp_path / kind.marker).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(f"{kind.page} is not there")) as told:
        gather([tmp_path / kind.marker])
    assert kind.verb in str(told.value)
    (tmp_path / kind.page).write_text("<!doctype html><h1>Older</h1>", encoding="utf-8")
    with pytest.raises(InputError, match="of an older isogloss"):
        gather([tmp_path])


def test_paths_that_are_nothing_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "page.html").write_text("<h1>x</h1>", encoding="utf-8")
    (tmp_path / "answer.json").write_text('{"N": 1}', encoding="utf-8")
    (tmp_path / "broken.json").write_text("[" * 5000, encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for name, told in {
        "nowhere": "no such file or folder",
        "notes.txt": "no reports of such files",
        "page.html": "not a page that isogloss wrote",
        "answer.json": "not a report that isogloss wrote",
        "broken.json": "not JSON",
        "empty": "looked for plan.json",
    }.items():
        assert run(["report", str(tmp_path / name), "-o", str(tmp_path / "out.html")]) == 2
        assert told in capsys.readouterr().err
    assert run(["report"]) == 2
    assert "isogloss reports folders of plan" in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()


def test_damaged_and_foreign_pages_are_refused(tmp_path: Path) -> None:
    whole = to_html("t", "s", [sample().cards[0]])
    found = json.loads(save(sample(), tmp_path / "a.json").read_text(encoding="utf-8"))
    for text, told in {
        whole.replace('"schema":1', '"schema":99'): "schema 99",
        whole.replace('"sections":[', '"sections":[[],'): "damaged",
        whole.replace('data-chart="chart-0-0"', 'data-chart="other"'): "damaged",
        whole.replace('"format":"percent"', '"format":"__class__"'): "damaged",
    }.items():
        assert text != whole
        (tmp_path / "b.html").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=told):
            gather([tmp_path / "b.html"])
    spec = found["sections"][0]["cards"][0]["figures"][0]
    for outside in (
        {"data": {"url": "file:///etc/passwd"}},
        {"mark": {"type": "image"}},
        {"transform": [{"lookup": "x", "from": {"data": {"url": "http://a.example"}, "key": "k"}}]},
        {"encoding": {"href": {"value": "javascript:alert(1)"}}},
    ):
        found["sections"][0]["cards"][0]["figures"][0] = {**spec, **outside}
        (tmp_path / "a.json").write_text(json.dumps(found), encoding="utf-8")
        with pytest.raises(InputError, match="would load"):
            gather([tmp_path / "a.json"])


# --- writing ----------------------------------------------------------------------------------------


def test_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = str(save(sample(), tmp_path / "page.html"))
    assert run(["report", page, "-o", str(tmp_path / "a.pdf")]) == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    for kind in ("md", "svg", "png"):
        assert run(["report", page, "-o", str(tmp_path / kind), "--format", kind]) == 0
    assert (tmp_path / "png" / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "svg" / "drawn.svg").read_text(encoding="utf-8")
    (figure,) = json.loads((tmp_path / "svg" / "figures.json").read_text(encoding="utf-8"))["figures"]
    assert (figure["file"], figure["card"]) == ("drawn.svg", "Drawn")
    text = (tmp_path / "md" / "report.md").read_text(encoding="utf-8")
    assert f"![{alternative(sample().cards[0])}](figures/drawn.svg)" in text
    assert "| a | 12.3B | 2.5 | 25.0 | True |" in text
    assert (tmp_path / "md" / "figures" / "drawn.svg").is_file()
    capsys.readouterr()
    assert run(["report", page, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"][0]["cards"][1]["sentence"] == "Nothing to draw."


def test_formats_and_places_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = str(save(sample(), tmp_path / "page.html"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").write_text("my own", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x", encoding="utf-8")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    for options, told in (
        ([], "say -o report.html"),
        (["--format", "docx"], "unknown format 'docx'"),
        (["-o", "a.md"], "Name a folder: -o a --format md"),
        (["-o", "mine", "--format", "svg"], "holds other files"),
        (["-o", "mine"], "is a folder"),
        (["-o", "nowhere/a.html"], "does not exist"),
        (["-o", "a.pdf"], "isogloss[pdf]"),
    ):
        assert run(["report", page, *options]) == 2
        assert told in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "my own"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "page.html", "report.html"]
    with pytest.raises(InputError, match="no card has a figure"):
        save(Card("a", "A", "Said."), tmp_path / "figures", "svg")
    with pytest.raises(InputError, match="a dict has no cards"):
        save({}, tmp_path / "a.html")


def test_what_users_write_is_text_in_markdown_pictures_and_pdf(tmp_path: Path) -> None:
    save([hostile(), hostile()], tmp_path / "md", "md")
    text = (tmp_path / "md" / "report.md").read_text(encoding="utf-8")
    # A reader that passes HTML on, finds links by itself and draws tables.
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    marks = "h1 h2 h3 h4 p strong em ul ol li img table thead tbody tr th td"
    assert set(re.findall(r"<(\w+)", html)) <= set(marks.split())
    assert {source[:8] for source in re.findall(r'src="([^"]*)"', html)} == {"figures/"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "**z** __w__" in html
    for picture in (tmp_path / "md" / "figures").iterdir():
        parts = list(ElementTree.parse(picture).iter())
        assert {part.tag.partition("}")[2] for part in parts} <= {"svg", "rect", "g", "path", "line", "text"}
        assert not [name for part in parts for name in part.attrib if name.startswith("on") or "href" in name]
    # Typst stops where a panic is evaluated, and where a file outside its folder is read.
    assert save([hostile(), hostile()], tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_wide_tables_are_folded_on_paper() -> None:
    wide = pl.DataFrame({"Language": ["Estonian"], **{f"Column {k}": [f"{k:012d}"] for k in range(40)}})
    table = table_of(Card("a", "A", "s", table=wide))
    assert table is not None
    parts = _parts(table)
    assert len(parts) > 2
    assert all(part.headers[0] == "Language" for part in parts)
    assert [h for part in parts for h in part.headers[1:]] == [f"Column {k}" for k in range(40)]


# --- for everybody ----------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """As WCAG 2 has it, of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out(palette: Palette) -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for text in (palette.ink, palette.muted, palette.categories[0], palette.warm_ink):
        assert contrast(text, palette.background) >= 4.5
    for mark in (*palette.categories, *palette.ramp, palette.diverging[0], palette.diverging[-1]):
        assert contrast(mark, palette.background) >= 3


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_numbers_on_a_heatmap_stand_out(palette: Palette) -> None:
    stops = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in palette.diverging])
    for at in np.linspace(-1, 1, 101):
        cell = [np.interp(at, np.linspace(-1, 1, len(stops)), stops[:, k]) for k in range(3)]
        text = palette.background if abs(at) > palette.inverse_from else palette.ink
        # Large text asks for 3; between dark and light ink no colour gives more than 4.5.
        assert contrast("#" + "".join(f"{round(c):02x}" for c in cell), text) > 3.5


def test_figures_have_words_and_tables_have_headers() -> None:
    made = sample()
    words = alternative(made.cards[0])
    assert words.startswith("Drawn. Two points. Shown: panel 1, points: compute, FLOPs (x) against language (y)")
    assert alternative(replace(made.cards[0], alt="Our own words.")) == "Our own words."
    page = to_html(made.title, made.subtitle, made.cards)
    assert f'<figure aria-label="{words}">' in page
    assert page.count('role="img" aria-label="Drawn, ') == 2
    assert "<figcaption>2 runs.</figcaption>" in page
    assert '<th scope="row">a</th>' in page
    assert page.count('<th scope="col"') == 5
    assert "<caption>" in page
    assert '<a class="skip" href="#content">' in page


# --- notebooks --------------------------------------------------------------------------------------


def test_answers_show_their_cards_in_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = isogloss.expand(2)
    shown = answer._repr_mimebundle_()
    for kind in ("text/html", "text/markdown", "text/plain"):
        assert cards(answer)[0].sentence in shown[kind]
    drawn = hostile().cards[0]._repr_mimebundle_()
    assert drawn["application/vnd.vegalite.v6+json"]["title"]["subtitle"]
    assert not re.search(r"<(script|a)\b|<img (?!src='data:)|<\w+[^>]*\son\w+=(?![^<]*'>)", drawn["text/html"])
    # In a terminal nothing is drawn.
    terminal = SimpleNamespace(display_formatter=SimpleNamespace(active_types=["text/plain"]))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: terminal))  # type: ignore[arg-type]
    assert answer._repr_mimebundle_() == {"text/plain": repr(answer)}
    assert set(sample()._repr_mimebundle_()) == {"text/plain"}


def test_every_answer_that_users_hold_shows_itself() -> None:
    from isogloss.display import Shown
    from isogloss.report.answers import _MAKERS

    public = {name for name in dir(isogloss) if name[0].isupper()}
    held = {name for name in public & set(_MAKERS) if issubclass(getattr(isogloss, name), Shown)}
    assert held == public & set(_MAKERS)
    assert {"Fit", "LanguageFits", "Plan", "Comparison", "Crossover", "Design", "TransferMatrix"} <= held


# --- in a real browser ------------------------------------------------------------------------------


@pytest.fixture
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"],
        )
        yield opened
        opened.close()


def test_a_hostile_report_does_nothing_in_a_browser(browser: Any, tmp_path: Path) -> None:
    save([hostile(), sample()], tmp_path / "page.html")
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    happened: list[str] = []
    tab.on("dialog", lambda dialog: (happened.append(f"dialog {dialog.message}"), dialog.dismiss()))
    tab.on("pageerror", lambda error: happened.append(f"error {error}"))
    tab.on("console", lambda said: happened.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda asked: happened.append(asked.url))
    address = (tmp_path / "page.html").as_uri()
    tab.goto(address)
    tab.wait_for_function("document.querySelectorAll('.panel svg.marks[role=img][aria-label]').length === 4")
    # Tooltips are made of the data.
    tab.locator(".panel svg.marks path[aria-roledescription=point]").first.hover()
    tab.wait_for_timeout(200)
    assert happened == [address]
    assert tab.locator("h1").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator(".panel svg.marks").first.get_attribute("aria-label") == alternative(hostile().cards[0])
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
