"""report: answers as one page, document or folder of figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isogloss.cli.output import Json, console, print_json, progress_bar
from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.report.card import Section
    from isogloss.report.saving import ReportFormat


def report(
    *paths: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    format: str | None = None,
    title: str | None = None,
    json: Json = False,
) -> None:
    """One page of any answers: fits, plans, comparisons, transfer, expansions, crossovers, designs, studies, tables.

    Takes the cards that the verbs wrote: nothing is fitted or planned again.

    Parameters
    ----------
    paths
        Folders that isogloss wrote (or a folder of such folders), studies, tables of runs or of transfer scores, and
        pages. Each becomes a section.
    output
        What to write: report.html by default. A name that ends in .html, .pdf or .json says the format.
    format
        html (one file that loads nothing), pdf (needs isogloss[pdf]), json (the cards); md, svg and png are folders: a
        text with its figures, or each figure as a file.
    title
        Title of the report.
    json
        Print the cards as JSON and nothing else.
    """
    from isogloss.report.gathering import gather_titled
    from isogloss.report.kinds import REPORTABLE
    from isogloss.report.saving import check_save, write

    if not paths:
        raise InputError("nothing to report", where="report", hint=REPORTABLE)
    if json and output is None:
        own, sections = gather_titled(paths)
        _print(title or own, sections)
        return
    target, kind = check_save(output or _default(format), format)
    if output is None:
        _refuse_loss(target, kind)
    with progress_bar() as progress:
        progress("reading", 0, 2)
        own, sections = gather_titled(paths)
        progress("writing", 1, 2)
        write(title or own, sections, target, kind)
    if json:
        _print(title or own, sections)
        return
    cards = sum(len(section.cards) for section in sections)
    place = f"{target}/" if target.is_dir() else str(target)
    said = f"Wrote {place}: {_count(len(sections), 'section')}, {_count(cards, 'card')}."
    console().print(said, markup=False, soft_wrap=True)


def _print(title: str, sections: Sequence[Section]) -> None:
    from isogloss.report.stored import report_dict

    print_json(report_dict(title, sections))


def _default(format: str | None) -> Path:
    return Path("report" if format in ("md", "svg", "png") else f"report.{format or 'html'}")


def _refuse_loss(target: Path, kind: ReportFormat) -> None:
    """A file of the default name that isogloss did not write is somebody's own."""
    if not target.is_file():
        return
    from isogloss.report.gathering import gather

    try:
        ours = kind in ("html", "json") and bool(gather([target]))
    except InputError:
        ours = False
    if not ours:
        raise InputError("is there already", where=str(target), hint=f"To replace it, say -o {target}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
