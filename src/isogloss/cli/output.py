"""What the verbs print: tables and warnings for people, JSON for scripts, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from isogloss.stores import shown

Json = Annotated[bool, Parameter(name="--json", negative=())]


def console() -> Console:
    return _Console(highlight=False)


class _Console(Console):
    """Remote places go by their URLs."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(shown(o) if isinstance(o, str) else o for o in objects), **options)


def print_json(answer: Any) -> None:
    from isogloss.files import finite

    print(shown(json.dumps(finite(answer), indent=1, ensure_ascii=False)))


def print_table(
    title: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, whole: Sequence[str] = ()
) -> None:
    """A table whose first `left` columns are text; the others are numbers, to the right. The columns `whole` are
    never broken into lines."""
    if title:
        # A table's own title would be broken to the width of the table.
        console().print(title, style="bold", markup=False, soft_wrap=True)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for index, header in enumerate(headers):
        justify = "left" if index < left else "right"
        table.add_column(header, justify=justify, overflow="fold", no_wrap=header in whole)
    for row in rows:
        # Names such as tau[eng_Latn] are not markup.
        table.add_row(*(escape(shown(cell)) for cell in row))
    console().print(table)


def print_warnings(warnings: Sequence[str]) -> None:
    if not warnings:
        return
    out = console()
    out.print(f"\n[bold]Read before use[/bold] ({len(warnings)})")
    for warning in warnings:
        out.print("  ! ", end="", style="yellow")
        out.print(warning, markup=False, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator[Any]:
    """Yields report(stage, done, total): a bar on stderr, gone when the work is done."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    tasks: dict[str, Any] = {}
    with bar:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        yield report


def number(value: float | None, digits: int = 4) -> str:
    """A number for people; an empty cell where there is none."""
    return "" if value is None else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share in percent, small ones to two digits: 39.3%, 0.048%."""
    return f"{share:.1%}" if share >= 0.001 or share == 0 else f"{100 * share:.2g}%"
