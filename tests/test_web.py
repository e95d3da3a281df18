"""The explorer without a browser: links, uploads, the served folder, downloads, and each page as Streamlit runs it."""

from __future__ import annotations

import io
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from isogloss import languages
from isogloss.errors import InputError
from isogloss.planning import read_question
from isogloss.report.card import Card

pytest.importorskip("streamlit")

from streamlit.testing.v1 import AppTest

from isogloss.web import downloads, found, served, show, uploads
from isogloss.web import settings as web_settings
from isogloss.web.links import Reader, codes
from isogloss.web.questions import STARTS, Controls, asked, controls_of, parse, start, text_of
from isogloss.web.settings import LIMITS, Settings
from isogloss.web.tables import Table
from isogloss.web.toml import to_toml
from isogloss.web.trajectories import MOST, comparable, presets, trajectory_cards
from isogloss.web.views import PAGES, runs

ATTACK = "<script>alert(1)</script>"
QUESTION = b'budget = "1e20"\nlanguages = ["Estonian", "English"]\n'
PUBLIC, OWN = LIMITS[True], LIMITS[False]


@pytest.fixture(autouse=True)
def _nothing_served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(web_settings.ROOT, raising=False)
    monkeypatch.delenv(web_settings.PUBLIC, raising=False)
    served._found.cache_clear()
    yield
    served._found.cache_clear()


# --- links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "what"),
    [
        ({"c": "abc"}, "no number"),
        ({"c": "1e999"}, "no number"),
        ({"c": "-1e22"}, "no number"),
        ({"l": "eng,klingonese"}, "no language"),
        ({"l": ",".join(["eng"] * 10_000)}, "too many"),
        ({"l": ATTACK}, "no language"),
        ({"from": "../../etc/passwd"}, "unknown"),
        ({"w": "eng:nan"}, "cannot be used"),
        ({"aim": ATTACK}, "unknown"),
    ],
)
def test_a_hostile_link_gives_defaults_and_a_note(link: dict[str, str], what: str) -> None:
    from isogloss.web.views import plan

    reader = Reader(link)
    values = plan.read(reader)
    defaults = plan.read(Reader({}))
    assert [note for note in reader.notes if what in note]
    assert values["plan flops"] == defaults["plan flops"]
    assert set(values["plan languages"]) <= set(defaults["plan languages"])
    assert values["plan base"] == "baltic"


def test_a_link_holds_400_languages() -> None:
    chosen = [entry.code for entry in languages.all_languages()][:400]
    text = codes(chosen)
    assert len(text) < 4_000
    reader = Reader({"l": text})
    assert list(reader.languages("l", ())) == chosen
    assert not reader.notes


# --- questions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STARTS)
def test_every_start_is_a_question_that_its_file_says_again(name: str) -> None:
    base = start(name)
    again = parse(text_of(base).encode(), "question.toml")
    assert read_question(again) == read_question(base)
    changed = asked(base, Controls(("ekk_Latn", "eng_Latn"), 3e21, 2.0, {"eng_Latn": 0.5}, {"eng_Latn": 1.0}))
    question = read_question(tomllib.loads(text_of(changed)))
    assert question.budget.C == 3e21
    assert question.languages["eng_Latn"].weight == 0.5
    assert controls_of(changed, question).caps == {"eng_Latn": 1.0}


def test_what_the_controls_do_not_show_is_kept() -> None:
    text = b'[budget]\ngpu = "H100"\ngpu_hours = 100\n[languages.Estonian]\ntokens = "1B"\n[languages.English]\n'
    base = parse(text, "q.toml")
    was = controls_of(base, read_question(base))
    same = asked(base, was)
    assert same["budget"] == {"gpu": "H100", "gpu_hours": 100}
    assert same["languages"]["ekk_Latn"] == {"tokens": "1B"}


@pytest.mark.parametrize(
    "line",
    [
        'runs = "/etc/passwd"',
        '[assumptions]\ntransfer = "../secret.csv"',
        '[languages.Estonian]\nfit = "s3://bucket/fit"',
        '[start]\ncheckpoint = "gemma-3-1b"\nruns = "http://localhost/x.csv"',
    ],
)
def test_an_uploaded_question_names_no_file(line: str) -> None:
    listed = "" if "languages" in line else 'languages = ["Estonian"]\n'
    top, table = (line, "") if line.startswith("runs") else ("", line)
    text = f'budget = "1e20"\n{listed}{top}\n{table}\n'.encode()
    with pytest.raises(InputError, match="names a file"):
        parse(text, "q.toml")


def test_toml_reads_back() -> None:
    tables: dict[str, Any] = {"title": 'a "quoted" \x7f [name]\n', "n": 0.1, "b": True, "t": {"x.y": {"z": [1, "a"]}}}
    assert tomllib.loads(to_toml(tables)) == tables


def test_controls_need_neither_laws_nor_jax() -> None:
    # What the first page can be used with is there before what its plan takes is loaded.
    code = (
        "import sys, isogloss.web.views.plan as page; page.question_of('baltic'); "
        "print({'jax', 'scipy', 'altair'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_planning_gives_functions_where_files_have_their_names() -> None:
    import isogloss.planning.design
    from isogloss import planning

    assert callable(planning.design)
    assert planning.design is isogloss.design
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = planning.nothing


# --- the served folder ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a question, runs and a matrix, and links that lead out of it."""
    root, outside = tmp_path / "mine", tmp_path / "outside"
    for place in (root, outside, root / "a fit"):
        place.mkdir()
    (root / "q.toml").write_bytes(QUESTION)
    (root / "runs.csv").write_text("N,D,loss\n1e8,1e9,3\n")
    (root / "matrix.csv").write_text("target,source,bts\nest,fin,0.4\nfin,est,0.3\nest,eng,0.1\n")
    (root / "predictions.parquet").write_bytes(b"a part of a comparison")
    # Of `runs lint --fix`: what it changed, beside the table.
    (root / "runs.fixes.csv").write_text("table,row,run_id,column,was,now,code\nruns,1,a,loss,9,,spike\n")
    (root / "settings.toml").write_text('password = "x"')
    (outside / "runs.csv").write_text("N,D,loss\n1e8,1e9,3\n")
    (outside / "secret.toml").write_bytes(QUESTION)
    (root / "link.csv").symlink_to(outside / "runs.csv")
    (root / "away").symlink_to(outside)
    (root / "round").symlink_to(root)
    (root / "a fit" / "fit.json").write_text("{}")
    (root / "a fit" / "rows.parquet").symlink_to(outside / "runs.csv")
    return root


def test_only_what_lies_inside_is_found(folder: Path) -> None:
    assert {(f.name, f.kind) for f in found.find(folder)} == {
        ("q.toml", "question"),
        ("runs.csv", "runs"),
        ("matrix.csv", "transfer"),
        ("a fit", "fit"),
    }
    assert [f.name for f in found.find(folder / "q.toml")] == ["q.toml"]


@pytest.mark.parametrize(
    "name", ["../outside/runs.csv", "/etc/passwd", "away/runs.csv", "link.csv", "settings.toml", ""]
)
def test_a_path_outside_is_refused(folder: Path, name: str) -> None:
    web_settings.put(Settings(folder))
    with pytest.raises(InputError, match="there is no"):
        served.chosen(name)


def test_a_part_that_lies_outside_is_refused(folder: Path) -> None:
    web_settings.put(Settings(folder))
    with pytest.raises(InputError, match="outside the served folder"):
        served.chosen("a fit")


def test_a_question_names_files_of_its_folder_only(folder: Path) -> None:
    text = QUESTION + b'runs = "runs.csv"\n'
    assert parse(text, "q.toml", folder / "q.toml")["runs"] == "runs.csv"
    for place in ("../outside/runs.csv", "link.csv", "s3://bucket/runs.csv"):
        with pytest.raises(InputError, match="not in the question's folder"):
            parse(QUESTION + f'runs = "{place}"\n'.encode(), "q.toml", folder / "q.toml")


# --- uploads ----------------------------------------------------------------------------------------


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("runs.xlsx", b"PK", "file suffix"),
        ("runs.pkl", b"\x80\x04.", "file suffix"),
        ("runs.csv", b"", "is empty"),
        ("runs.parquet", b"PAR1 broken PAR1", "not a Parquet file"),
        ("runs.csv", b"a" * 21_000_000, "21 MB"),
        ("runs.csv", ",".join(map(str, range(501))).encode() + b"\n1", "501 columns"),
        ("runs.tsv", b"a\n" + b"1\n" * 200_100, "200,101 rows"),
        ("runs.jsonl", b'{"a":' * 100_000, "nested too deeply|not JSON"),
        ("runs.parquet", parquet(pl.DataFrame({"a": range(200_100)})), "200,100 rows"),
        ("runs.parquet", parquet(pl.DataFrame({f"c{i}": [0] for i in range(501)})), "501 columns"),
    ],
)
def test_uploads_beyond_the_limits_and_broken_ones(name: str, data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        uploads.read_table(name, data, PUBLIC)


def test_a_small_parquet_that_unpacks_to_much_is_refused() -> None:
    data = parquet(pl.DataFrame({f"c{i}": [f"{i}" + "x" * 20_000] * 100 for i in range(300)}, strict=False))
    bomb = uploads.Limits(megabytes=20, rows=200_000, columns=500, unpacked_megabytes=1, fit_rows=10)
    with pytest.raises(InputError, match="unpacked"):
        uploads.read_table("runs.parquet", data, bomb)


def test_an_upload_is_called_by_its_name_without_a_path() -> None:
    with pytest.raises(InputError) as caught:
        uploads.read_table("../../etc/x.csv", b"", OWN)
    assert caught.value.where == "x.csv"


def test_messages_name_the_file_and_not_the_frame() -> None:
    table = Table("mine.csv", pl.DataFrame({"N": [1e8, -1], "D": [1e9, 1e9], "loss": [3.0, 3.1]}))
    with pytest.raises(InputError) as caught:
        table.runs()
    assert "mine.csv" in str(caught.value)
    assert "frame" not in str(caught.value)


# --- downloads --------------------------------------------------------------------------------------


def test_spreadsheets_run_nothing_of_a_csv() -> None:
    cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", " =1", "ok", "3 - 2", None]
    text = downloads.csv_of(pl.DataFrame({"=name": cells, "number": [-1.5] * len(cells)})).decode()
    read = pl.read_csv(io.BytesIO(text.encode()))
    assert read.columns == ["'=name", "number"]
    assert read["'=name"].to_list() == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "' =1", "ok", "3 - 2", None]
    assert read["number"].to_list() == [-1.5] * len(cells)


def test_names_of_files_and_markdown_are_plain() -> None:
    assert downloads.file_name("../A <b>model</b>: $x$", ".toml") == "a-b-model-b-x.toml"
    assert downloads.file_name("", ".csv") == "isogloss.csv"
    assert show.plain("[a](javascript:x) $y$ :red[z] <b>") == r"\[a\]\(javascript\:x\) \$y\$ \:red\[z\] \<b\>"


def test_tables_are_escaped() -> None:
    card = Card("x", ATTACK, ATTACK, table=pl.DataFrame({ATTACK: [ATTACK]}))
    assert "<script" not in show._table(card)
    assert "&lt;script&gt;" in show._table(card)


def test_rows_of_a_chart_reach_the_page_as_they_are() -> None:
    rows = [{"x": 1}, {"x": None, "y": "a"}]
    spec = show.kept_whole({"data": {"name": "d"}, "datasets": {"d": rows}, "mark": "point"})
    assert spec["data"]["values"]["features"] == rows
    assert "datasets" not in spec


# --- laws -------------------------------------------------------------------------------------------


def test_trajectories_are_of_the_least_loss() -> None:
    card = trajectory_cards(["chinchilla/besiroglu2024"], (1e18, 1e25), 5.76e23)[0]
    assert card.table is not None
    row = card.table.row(0, named=True)
    assert 6 * row["N*"] * row["D*"] == pytest.approx(5.76e23)

    def loss(N: float) -> float:
        return row["E"] + row["A"] / N ** row["alpha"] + row["B"] / (5.76e23 / 6 / N) ** row["beta"]

    assert row["Loss"] == pytest.approx(loss(row["N*"]))
    assert row["Loss"] < min(loss(0.98 * row["N*"]), loss(1.02 * row["N*"]))
    assert any("Beyond its range" in note for note in card.notes)


def test_every_preset_is_drawn() -> None:
    for laws in presets().values():
        assert 1 < len(laws) <= MOST
        assert set(laws) <= set(comparable())
        assert all(card.chart is not None for card in trajectory_cards(laws, (1e18, 1e25), 1e22))


# --- pages ------------------------------------------------------------------------------------------


def app(page: str, **link: str) -> AppTest:
    test = AppTest.from_string(
        f"from isogloss.web.views import {page}\n{page}.page()\n",
        default_timeout=120,
    )
    test.query_params.update(link)
    return test.run()


def words(test: AppTest) -> str:
    """All that the page says."""
    return " ".join(str(getattr(e, "value", "")) + str(getattr(e, "proto", "")) for e in test.main)


@pytest.mark.parametrize("page", [p.module for p in PAGES if p.always])
def test_every_page_opens_with_a_hostile_link(page: str) -> None:
    test = app(page, l=ATTACK, c="abc", **{"from": ATTACK, "law": ATTACK, "laws": ATTACK, "i": ATTACK})
    assert not test.exception
    assert not test.error
    assert test.warning


def test_a_plan_is_changed_and_its_link_reopens_it() -> None:
    first = app("plan", l="ekk,fin", c="1e20", i="0", t="published")
    assert first.session_state["plan languages"] == ["ekk_Latn", "fin_Latn"]
    first.select_slider(key="plan flops").set_value(1e21).run()
    first.multiselect(key="plan languages").set_value(["ekk_Latn", "lvs_Latn"]).run()
    assert not first.exception
    link = {k: v if isinstance(v, str) else v[0] for k, v in first.query_params.items()}
    assert link == {"l": "ekk,lvs", "c": "1e21", "i": "0", "t": "published"}
    again = app("plan", **link)
    for key in ("plan languages", "plan flops", "plan transfer"):
        assert again.session_state[key] == first.session_state[key]
    assert "1e21" in words(again)


def test_a_plan_without_languages_says_so() -> None:
    test = app("plan", i="0", t="published")
    test.multiselect(key="plan languages").set_value([]).run()
    assert "no language is chosen" in test.error[0].value


def test_the_files_page_shows_a_folder(folder: Path) -> None:
    web_settings.put(Settings(folder))
    test = app("files", name="../outside/runs.csv")
    assert "is unknown" in test.warning[0].value
    test.selectbox(key="files name").set_value("a fit").run()
    assert "outside the served folder" in test.error[0].value


def test_the_example_table_is_one_that_fits() -> None:
    raw = uploads.read_table("runs.csv", runs.example(), PUBLIC)
    table = Table("runs.csv", raw)
    answer = table.fit("chinchilla", None, 100)
    found = {e.name: e.value for e in answer.coefficients}
    assert found["alpha"] == pytest.approx(0.34, abs=0.02)
    with pytest.raises(InputError, match="this page fits 10"):
        table.fit("chinchilla", None, 10)


# --- isogloss serve ---------------------------------------------------------------------------------


def test_serve_refuses_what_cannot_be(tmp_path: Path) -> None:
    import socket

    from isogloss.cli.serve import serve

    with pytest.raises(InputError, match="there is no"):
        serve(tmp_path / "gone")
    with pytest.raises(InputError, match="no port"):
        serve(port=70_000)
    with pytest.raises(InputError, match="all that you have"):
        serve(Path("/"), public=True)
    with pytest.raises(InputError, match="cannot listen"):
        serve(host="203.0.113.7")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="is taken"):
            serve(port=taken.getsockname()[1])
