"""Paths to sections: the pages that the verbs wrote hold their cards, so that no number is computed twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import InputError
from isogloss.report.answers import section
from isogloss.report.card import Section
from isogloss.report.kinds import KINDS, REPORTABLE, TABLES, Kind, kinds_in
from isogloss.report.render import read_page
from isogloss.report.stored import sections_of
from isogloss.runs.study_table import MANIFEST, is_study
from isogloss.stores import local, shown

# Answers in the folders of one folder, such as all plans of a project.
MOST_FOLDERS = 50
_HEADER = 100_000


def gather(paths: Sequence[str | Path]) -> list[Section]:
    """The sections of all paths, in their order. InputError for a path that holds nothing of ours, or is damaged."""
    return gather_titled(paths)[1]


def gather_titled(paths: Sequence[str | Path]) -> tuple[str, list[Section]]:
    """`gather`, with a title for all: a report that is written anew keeps its own."""
    if not paths:
        raise InputError("nothing to report", where="report", hint=REPORTABLE)
    found = [_of_path(Path(local(path)).expanduser()) for path in paths]
    sections = [section for _, several in found for section in several]
    if len(found) == 1 and found[0][0]:
        return found[0][0], sections
    return sections[0].title if len(sections) == 1 else "Report", sections


def _of_path(path: Path) -> tuple[str, list[Section]]:
    if not path.exists():
        raise InputError("no such file or folder", where=str(path), hint=REPORTABLE)
    title, found = ("", list(_of_folder(path))) if path.is_dir() else _of_file(path)
    if not found:
        raise InputError(f"nothing to report here: looked for {_looked_for()}", where=str(path), hint=REPORTABLE)
    return title, [s if s.source else replace(s, source=shown(str(path))) for s in found]


def _looked_for() -> str:
    return f"{', '.join(kind.marker for kind in KINDS)} and a study"


def _of_folder(folder: Path) -> Iterator[Section]:
    kinds = kinds_in(folder)
    for kind in kinds:
        yield from _of_kind(folder, kind)
    # A design that nobody has trained yet is a study without runs.
    if (folder / MANIFEST).is_file() or (is_study(folder) and not kinds):
        yield _runs(folder)
    elif not kinds and (folder / "report.json").is_file():
        yield from _of_json(folder / "report.json")[1]
    elif not kinds:
        inner = [f for f in sorted(folder.iterdir()) if f.is_dir() and (kinds_in(f) or is_study(f))]
        if len(inner) > MOST_FOLDERS:
            raise InputError(
                f"{len(inner)} answers in one folder", where=str(folder), hint=f"Name up to {MOST_FOLDERS} of them."
            )
        for each in inner:
            yield from (replace(s, source=shown(str(each))) for s in _of_folder(each))


def _of_kind(folder: Path, kind: Kind) -> Iterator[Section]:
    """From the page; else from the answer itself, where it can be read back."""
    page = folder / kind.page
    found = read_page(page) if page.is_file() else None
    if found is not None:
        yield from found[1]
        return
    if kind.name == "fit":
        yield _fit(folder)
        return
    if kind.name == "transfer":
        from isogloss.transfer.measured import MeasuredTransfer

        yield section(MeasuredTransfer.load(folder))
        return
    if kind.name == "transfer matrix":
        yield _matrix(folder)
        return
    lacking = f"{kind.page} is not there" if not page.is_file() else f"{kind.page} is of an older isogloss"
    raise InputError(
        f"the cards of this {kind.name} are not there: {lacking}", where=str(folder), hint=f"Write it anew: {kind.verb}"
    )


def _of_file(path: Path) -> tuple[str, list[Section]]:
    suffix = path.suffix.lower()
    if suffix in (".html", ".htm"):
        found = read_page(path)
        if found is None:
            hint = "Pages of older versions hold no cards: write it anew with the verb that made it."
            raise InputError("not a page that isogloss wrote, or an older one", where=str(path), hint=hint)
        return found
    kind = next((k for k in kinds_in(path.parent) if k.marker == path.name), None)
    if kind is not None:
        return "", list(_of_kind(path.parent, kind))
    if suffix == ".json":
        return _of_json(path)
    if suffix in TABLES:
        return "", [_matrix(path) if _scores(path) else _runs(path)]
    raise InputError("isogloss writes no reports of such files", where=str(path), hint=REPORTABLE)


def _of_json(path: Path) -> tuple[str, list[Section]]:
    found = _json(path)
    if not isinstance(found, dict) or "sections" not in found:
        raise InputError(
            "not a report that isogloss wrote as JSON",
            where=str(path),
            hint="Answers of --json hold no figures: give the folder that the verb writes with -o.",
        )
    return sections_of(found, str(path))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as broken:
        raise InputError(f"not JSON: {broken}", where=str(path)) from None


def _fit(folder: Path) -> Section:
    from isogloss.fitting import load_fit, load_languages

    several = _json(folder / "fit.json")
    return section(load_languages(folder) if isinstance(several, dict) and "across" in several else load_fit(folder))


def _matrix(path: Path) -> Section:
    from isogloss.report.answers import matrix_section
    from isogloss.transfer import read_matrix

    return matrix_section(read_matrix(path), shown(str(path)))


def _runs(path: Path) -> Section:
    from isogloss.runs.overview import overview

    return section(overview(path))


def _scores(path: Path) -> bool:
    """Whether a table is of transfer scores: a row per pair."""
    if path.suffix.lower() == ".parquet":
        try:
            names = pl.scan_parquet(path).collect_schema().names()
        except (pl.exceptions.PolarsError, OSError):
            # The reader of runs says what is wrong with it.
            return False
    else:
        with path.open(encoding="utf-8", errors="replace") as file:
            names = re.split(r'[,;\t"{}:\s]+', file.readline(_HEADER))
    known = {name.strip().casefold() for name in names}
    return {"target", "source"} <= known and bool({"bts", "tau"} & known)
