"""Settings that all tests share."""

from __future__ import annotations

import os

# Processes side by side, each with a thread for every core, mostly wait for one another. Before NumPy is loaded.
if os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes single examples slow at random: that is no failure of what is tested.
settings.register_profile(
    "isogloss",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("isogloss")


@pytest.fixture
def memory() -> Iterator[Any]:
    """A store in memory, memory://, emptied afterwards."""
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder served on this machine, its address, and the paths asked for. /secret needs a permission."""
    pytest.importorskip("aiohttp")
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def _served(self, serve: Any) -> Any:
            asked.append(self.path)
            return self.send_error(403) if "secret" in self.path else serve()

        def do_GET(self) -> None:
            self._served(super().do_GET)

        def do_HEAD(self) -> None:
            self._served(super().do_HEAD)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()
