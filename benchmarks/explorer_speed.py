"""How soon the explorer can be used, and how soon it answers.

    python benchmarks/explorer_speed.py [--quick]

In a headless Chromium (playwright; ISOGLOSS_CHROMIUM names another): from starting `isogloss serve` until the controls
of the first page can be used and until its plan is there, from opening the address of a server that runs, and from a
key on the budget's slider until the new numbers stand there, for 5, 20 and 100 languages, with and without intervals.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Row, show, write
from playwright.sync_api import sync_playwright

from isogloss import languages
from isogloss.web.links import codes

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = os.environ.get("ISOGLOSS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
NUMBERS = "() => document.querySelector('dl.iso-numbers')?.innerText ?? ''"
ANSWERED = "() => document.querySelector('p.iso-answer') && document.querySelector('dl.iso-numbers')"
# The numbers are new, and where intervals were asked for they are there.
CHANGED = """([was, draws]) => {
  const now = document.querySelector('dl.iso-numbers')?.innerText ?? was;
  return now !== was && (!draws || now.includes('of draws'));
}"""


@contextmanager
def serving(cache: Path) -> Iterator[tuple[str, float]]:
    """A server's address, and when it was started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from isogloss.cli import main; main()"
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--no-browser", "--port", str(port)],
        env={**os.environ, "ISOGLOSS_CACHE_DIR": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", begin
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def opened(browser: Any, address: str) -> tuple[Page, float, float]:
    """A fresh session with the page's first answer, and when its controls and the answer were there."""
    page = browser.new_context().new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.get_by_role("slider", name="Budget, training FLOPs").wait_for()
    controls = time.perf_counter()
    page.wait_for_function(ANSWERED)
    return page, controls, time.perf_counter()


def settle(page: Page) -> None:
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').getAttribute('data-test-script-state') !== 'running'"
    )
    page.wait_for_timeout(500)


def updates(page: Page, repeats: int, *, draws: bool) -> list[float]:
    """Seconds from a key on the slider to the new numbers."""
    slider, times = page.get_by_role("slider", name="Budget, training FLOPs"), []
    for _ in range(repeats):
        settle(page)
        was = page.evaluate(NUMBERS)
        begin = time.perf_counter()
        slider.press("ArrowRight")
        page.wait_for_function(CHANGED, arg=[was, draws])
        times.append(time.perf_counter() - begin)
    return times


def row(what: str, times: list[float], notes: str) -> Row:
    ordered = sorted(times)
    middle = ordered[len(ordered) // 2] if len(ordered) % 2 else sum(ordered[len(ordered) // 2 - 1 :][:2]) / 2
    return Row(what, middle, ordered[0], ordered[-1], len(ordered), notes=notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one start and two updates; writes nothing")
    arguments = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("no Chromium is installed: apt-get install chromium")
    starts, repeats = (1, 2) if arguments.quick else (5, 7)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as cache, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        first, usable = [], []
        for _ in range(starts):
            with serving(Path(cache)) as (address, begin):
                _, controls, there = opened(browser, address)
                usable.append(controls - begin)
                first.append(there - begin)
        rows.append(row("start to controls", usable, "from the command to a budget that can be moved"))
        rows.append(row("start to first plan", first, "from the command to a plan of 5 languages on the page"))
        with serving(Path(cache)) as (address, _):
            opened(browser, address)[0].context.close()
            again, ready = [], []
            for _ in range(starts):
                begin = time.perf_counter()
                page, controls, there = opened(browser, address)
                ready.append(controls - begin)
                again.append(there - begin)
                page.context.close()
            rows.append(row("open the page, controls", ready, "of a server that runs, in a new session"))
            rows.append(row("open the page, plan", again, "of a server that runs, in a new session"))
            by_text = ["eng_Latn", *(e.code for e in languages.all_languages() if e.code != "eng_Latn")]
            for count in (5, 20, 100):
                for draws in (False, True) if count < 100 else (False,):
                    link = f"{address}/?l={codes(by_text[:count])}&c=1e22&i={int(draws)}"
                    page, _, _ = opened(browser, link)
                    words = "point plan" if not draws else "with 60 draws"
                    times = updates(page, repeats, draws=draws)
                    rows.append(row(f"update, {count} languages, {words}", times, "another budget, same languages"))
                    page.context.close()
        browser.close()
    show("The explorer", rows)
    if not arguments.quick:
        write("explorer", rows)


if __name__ == "__main__":
    main()
