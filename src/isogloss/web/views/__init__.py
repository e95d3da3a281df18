"""The explorer's pages, a file each: what it shows as plain functions, and a `page` that puts it on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class PageEntry:
    module: str
    title: str
    url: str
    always: bool = True
    """False: only where a folder is served."""


PAGES = (
    PageEntry("plan", "Plan", "plan"),
    PageEntry("laws", "Laws", "laws"),
    PageEntry("transfer", "Transfer", "transfer"),
    PageEntry("expand", "Expand", "expand"),
    PageEntry("crossover", "Crossover", "crossover"),
    PageEntry("runs", "Runs", "runs"),
    PageEntry("files", "Your files", "files", always=False),
)


def opener(module: str) -> Callable[[], None]:
    """The page's function, whose libraries load when it is first opened."""

    def open_page() -> None:
        import_module(f"isogloss.web.views.{module}").page()

    return open_page
