"""The explorer in a real browser: one server, one Chromium, every page."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("streamlit")
sync_api = pytest.importorskip("playwright.sync_api")

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = os.environ.get("ISOGLOSS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ATTACK = "<img src=x onerror=alert(1)>"
SECONDS = 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium, or set ISOGLOSS_CHROMIUM to one"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`isogloss serve` on a folder with a question and runs of hostile names."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "mine.toml").write_text('budget = "1e20"\nlanguages = ["Estonian", "Finnish"]\n')
    (folder / f"{ATTACK}.csv").write_text("N,D,loss\n1e8,1e9,3.0\n2e8,1e9,2.9\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from isogloss.cli import main; main()", "serve", str(folder), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        _await(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 130), output
    assert "Traceback" not in output


def _await(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(process.stdout.read() if process.stdout else "")
        with socket.socket() as trial:
            trial.settimeout(1)
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server did not start within a minute")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    """A fresh session; no error may be left in its console, and nothing may be asked of another host."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    found = context.new_page()
    found.set_default_timeout(SECONDS)
    told: list[str] = []
    found.on("pageerror", lambda error: told.append(str(error)))
    found.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))
    found.on("console", lambda line: told.append(line.text) if line.type == "error" else None)
    found.on("request", lambda asked: None if _own(asked.url) else told.append(f"asked for {asked.url}"))
    yield found
    context.close()
    assert told == []


def _own(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:"))


def settled(page: Page) -> None:
    """The script has run to its end."""
    page.wait_for_selector("h1.iso-title")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').getAttribute('data-test-script-state') !== 'running'"
    )


def says(page: Page, text: str) -> None:
    page.get_by_text(text).first.wait_for()


@pytest.mark.parametrize(
    ("path", "title", "text"),
    [
        ("?i=0", "Plan", "Shares and epochs per language"),
        ("laws", "Laws", "Compute-optimal size and tokens"),
        ("transfer", "Transfer", "Who helps Portuguese"),
        ("expand?way=factor", "Expand", "times as many languages at the same loss"),
        ("crossover", "Crossover", "The crossing at other sizes"),
        ("runs", "Runs", "Upload a CSV"),
        ("files", "Your files", "mine.toml"),
    ],
)
def test_every_page_opens(server: str, page: Page, path: str, title: str, text: str) -> None:
    page.goto(f"{server}/{path}")
    settled(page)
    assert page.locator("h1.iso-title").first.inner_text() == title
    says(page, text)
    # Nothing is wider than the window, on a telephone neither.
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("[data-testid=stException]").count() == 0


def test_figures_and_controls_have_words(server: str, page: Page) -> None:
    page.goto(f"{server}/?i=0&t=published")
    says(page, "Naive mixtures against the plan")
    settled(page)
    figures = page.locator("[data-testid=stVegaLiteChart]")
    figures.nth(4).wait_for()
    for figure in figures.all():
        assert len(figure.get_attribute("aria-label") or "") > 40
    inputs = page.locator("input:not([type=file])").all()
    assert len(inputs) >= 5
    assert all(field.get_attribute("aria-label") for field in inputs)


def test_a_plan_is_made_changed_and_reopened(server: str, page: Page) -> None:
    page.goto(f"{server}/?l=ekk,fin&c=1e20&i=0&t=published")
    says(page, "Finnish · fin")
    settled(page)
    before = page.locator("p.iso-answer").inner_text()
    page.get_by_role("slider", name="Budget, training FLOPs").press("ArrowRight")
    page.wait_for_function(
        "was => ![null, undefined, was].includes(document.querySelector('p.iso-answer')?.innerText)", arg=before
    )
    settled(page)
    page.get_by_label("Languages", exact=True).first.click()
    page.keyboard.type("latvian")
    page.keyboard.press("Enter")
    says(page, "Latvian · lvs")
    page.wait_for_function("() => decodeURIComponent(location.search).includes('ekk,fin,lvs')")
    settled(page)
    after, link = page.locator("p.iso-answer").inner_text(), page.url
    assert "c=1.3e20" in link
    page.goto("about:blank")
    page.goto(link)
    says(page, "Latvian · lvs")
    settled(page)
    assert page.locator("p.iso-answer").inner_text() == after
    with page.expect_download() as download:
        page.get_by_role("button", name="question.toml").click()
    assert "lvs_Latn" in Path(download.value.path()).read_text()


def test_a_hostile_link_gives_a_note(server: str, page: Page) -> None:
    page.goto(f"{server}/?from={ATTACK}&c=abc&i=0&l=" + "eng," * 500)
    says(page, "was left out")
    settled(page)
    assert page.locator("p.iso-answer").count() == 1
    assert page.locator("img[src=x]").count() == 0


def test_a_table_is_uploaded_and_fitted(server: str, page: Page) -> None:
    from isogloss.web.views.runs import example

    page.goto(f"{server}/runs?step=fit")
    settled(page)
    table = example().replace(b"made-up-0", ATTACK.encode())
    field = page.locator("input[type=file]")
    field.set_input_files([{"name": f"{ATTACK}.csv", "mimeType": "text/csv", "buffer": table}])
    page.get_by_role("button", name="Fit", exact=True).click()
    says(page, "Predicted against observed")
    settled(page)
    assert page.locator("img[src=x]").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Fit (CSV)").click()
    assert "alpha" in Path(download.value.path()).read_text()


def test_own_runs_say_where_scratch_overtakes(server: str, page: Page) -> None:
    page.goto(f"{server}/crossover?by=runs&l=est&c=1e21")
    says(page, "Upload a table of runs from scratch")
    rows = ["N,D,init,loss,unit"]
    for D in (2e9, 4e9, 8e9, 16e9, 32e9, 64e9, 128e9, 256e9):
        scratch, continued = 2 + 4000 / D**0.4, 2.02 + 700 / D**0.35
        rows += [f"3e8,{D},,{scratch},nats/token", f"3e8,{D},gemma,{continued},nats/token"]
    field = page.locator("input[type=file]")
    field.set_input_files([{"name": "runs.csv", "mimeType": "text/csv", "buffer": "\n".join(rows).encode()}])
    says(page, "Scratch or continue")
    says(page, "Crossing, FLOPs")
    settled(page)
    field.set_input_files(
        [{"name": "runs.csv", "mimeType": "text/csv", "buffer": b"N,D,loss\n1e8,1e9,3\n2e8,1e9,2.9\n"}]
    )
    says(page, "no run continues a checkpoint")


def test_a_broken_file_gets_its_message(server: str, page: Page) -> None:
    page.goto(f"{server}/runs")
    settled(page)
    field = page.locator("input[type=file]")
    field.set_input_files([{"name": "runs.parquet", "mimeType": "application/x", "buffer": b"PAR1 not really PAR1"}])
    says(page, "is not a Parquet file")
    field = page.locator("input[type=file]")
    field.set_input_files([{"name": "runs.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}])
    says(page, "has no loss column")
    assert page.locator("[data-testid=stException]").count() == 0
