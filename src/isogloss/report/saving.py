"""A report in any format, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from isogloss.errors import InputError, unknown_name
from isogloss.files import check_file, check_folder, new_file, new_folder
from isogloss.report.alternatives import alternative
from isogloss.report.answers import section
from isogloss.report.card import Card, Section
from isogloss.report.markdown import to_markdown
from isogloss.report.pdf import check_pdf, to_pdf
from isogloss.report.picture import save_figures
from isogloss.report.render import page
from isogloss.report.stored import report_dict
from isogloss.stores import mirrored

ReportFormat = Literal["html", "md", "pdf", "png", "svg", "json"]
FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)
# Written as a folder, which this file says isogloss wrote.
FOLDERS: dict[str, str] = {"md": "report.md", "png": "figures.json", "svg": "figures.json"}


def save(answer: Any, path: str | Path, format: ReportFormat | None = None, *, title: str | None = None) -> Path:
    """Write an answer, a section, a card, or a list of these as one report.

    The format is the path's ending unless given. html, pdf and json are files; md, png and svg are folders: with
    `report.md` and its figures, with one file for each figure. Raises InputError for an answer that has no cards, a
    format that is none of these, and a place that cannot be written.
    """
    sections = _sections(answer)
    target, kind = check_save(path, format)
    return write(title or heading(sections), sections, target, kind)


def check_save(path: str | Path, format: str | None) -> tuple[Path, ReportFormat]:
    """Where and as what to write; InputError before long work, not after it."""
    target = mirrored(path)
    kind = format or target.suffix.lower().removeprefix(".") or "html"
    if kind not in FORMATS:
        raise unknown_name("format", kind, FORMATS, where="report")
    if kind == "pdf":
        check_pdf()
    if kind in FOLDERS and target.suffix:
        hint = f"Name a folder: -o {target.with_suffix('')} --format {kind}."
        raise InputError(f"a report as {kind} is a folder, with a file for each figure", where=str(path), hint=hint)
    if kind in FOLDERS:
        check_folder(target, marker=FOLDERS[kind])
    elif target.is_dir():
        raise InputError(f"{target} is a folder", hint=f"Name a file, such as -o report.{kind}.")
    else:
        check_file(target, (f".{kind}",))
    return target, kind


def heading(sections: Sequence[Section]) -> str:
    return sections[0].title if len(sections) == 1 else "Report"


def write(title: str, sections: Sequence[Section], target: Path, kind: ReportFormat) -> Path:
    if kind in FOLDERS:
        with new_folder(target, marker=FOLDERS[kind]) as folder:
            _write_folder(title, sections, folder, kind)
        return target
    content = _content(title, sections, kind)
    with new_file(target) as temporary:
        temporary.write_bytes(content)
    return target


def _content(title: str, sections: Sequence[Section], kind: ReportFormat) -> bytes:
    if kind == "pdf":
        return to_pdf(title, sections)
    if kind == "json":
        return (json.dumps(report_dict(title, sections), ensure_ascii=False, allow_nan=False) + "\n").encode()
    return page(title, sections).encode()


def _write_folder(title: str, sections: Sequence[Section], folder: Path, kind: ReportFormat) -> None:
    if kind == "md":
        (folder / "figures").mkdir()
        names = save_figures(sections, folder / "figures", ".svg")
        text = to_markdown(title, sections, {place: f"figures/{name}" for place, name in names.items()})
        (folder / FOLDERS[kind]).write_text(text, encoding="utf-8")
        return
    names = save_figures(sections, folder, f".{kind}")
    listed = [_figure(sections[s], c, name) for (s, c), name in names.items()]
    if not listed:
        raise InputError("no card has a figure", where="report", hint="Tables and text: --format html, md or json.")
    text = json.dumps({"schema": 1, "title": title, "figures": listed}, ensure_ascii=False, indent=1)
    (folder / FOLDERS[kind]).write_text(text + "\n", encoding="utf-8")


def _figure(section: Section, place: int, name: str) -> dict[str, str]:
    card = section.cards[place]
    return {"file": name, "section": section.title, "card": card.title, "alt": alternative(card)}


def _sections(answer: Any) -> list[Section]:
    """Cards of one list are one section; of other lists each answer is one."""
    if isinstance(answer, list | tuple) and answer and not all(isinstance(each, Card) for each in answer):
        return [section(each) for each in answer]
    return [section(answer)]
