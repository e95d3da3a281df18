"""runs show: one page of what runs there are, and what they can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isogloss.cli.output import Json, console, print_json, print_table, print_warnings, progress_bar
from isogloss.cli.parsing import name_values

if TYPE_CHECKING:
    from isogloss.runs.overview import Overview

Repeated = Annotated[list[str] | None, Parameter(negative=())]

ANSWER, PAGE = "runs.json", "runs.html"
_SHOWN = 12


def show(
    path: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    where: Repeated = None,
    column: Repeated = None,
    unit: str | None = None,
    json: Json = False,
) -> None:
    """Show runs as one page: sizes, tokens, languages, mixtures, loss curves, what is missing for which law, lint.

    Parameters
    ----------
    path
        A .csv, .tsv, .parquet or .jsonl table of runs, or a folder of a study or of imported runs.
    output
        Folder to write runs.html and runs.json into; by default the table's name with "-runs". With --json, nothing is
        written unless this is given.
    where
        Keep only rows that meet a condition, such as "use=1". Repeatable.
    column
        Say which column is which, such as N=my_params. Repeatable.
    unit
        Unit of the loss, where the table does not say; of a study, which of its units.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_folder, finite, new_folder
    from isogloss.runs.overview import overview

    folder = output or (None if json else Path(f"{path.stem}-runs"))
    if folder is not None:
        check_folder(folder, marker=ANSWER)
    with progress_bar() as progress:
        progress("reading and linting", 0, 2)
        columns = name_values(column, "--column", "N=my_params")
        found = overview(path, where=where or (), columns=columns, unit=unit)
        answer = found.to_dict()
        progress("reading and linting", 1, 2)
        if folder is not None:
            from json import dumps

            from isogloss.report.runs_page import runs_page

            page = runs_page(found, "Runs", answer)
            with new_folder(folder, marker=ANSWER) as temporary:
                (temporary / ANSWER).write_text(dumps(finite(answer), indent=1, ensure_ascii=False), encoding="utf-8")
                (temporary / PAGE).write_text(page, encoding="utf-8")
    if json:
        print_json(answer)
        return
    _print(found, answer)
    if folder is not None:
        console().print(f"\nWrote {folder}/ ({PAGE}, {ANSWER}).", markup=False, soft_wrap=True)


def _print(found: Overview, answer: dict[str, Any]) -> None:
    from isogloss.units import format_quantity

    def span(values: list[float] | None) -> str:
        if values is None:
            return ""
        low, high = (format_quantity(v, digits=2) for v in values)
        return low if low == high else f"{low} to {high}"

    runs = answer["runs"]
    states = ", ".join(f"{n} {status or 'without status'}" for status, n in runs["by_status"].items())
    said = f"{found.source}: {runs['count']} runs ({states}), {runs['points']:,} points, loss in {found.unit}"
    console().print(said, markup=False, soft_wrap=True)
    levels = len(answer["sizes"])
    sizes = f"N {span(runs['N']) or 'unknown'} ({levels} size{'s' * (levels != 1)}), D {span(runs['D']) or 'unknown'}"
    console().print(sizes, markup=False, soft_wrap=True)
    rows = [
        [
            row["language"] or "all",
            f"{row['runs']}",
            f"{row['alone']}",
            "" if row["share"] is None else "{:.3g} to {:.3g}".format(*(100 * s for s in row["share"])),
            span(row["tokens"]),
            f"{row['points']}",
        ]
        for row in answer["languages"]
    ]
    more = f" ({len(rows) - _SHOWN} more on the page)" if len(rows) > _SHOWN else ""
    print_table(f"\nLanguages{more}", ["", "runs", "alone", "share, %", "tokens of it", "points"], rows[:_SHOWN])
    table = [
        [law["law"], str(len(law["ready"])), str(len(law["thin"])), str(len(law["missing"]))] for law in answer["laws"]
    ]
    print_table("\nTargets by what the runs can tell", ["law", "ready", "thin", "cannot be fitted"], table)
    lint = [f for f in answer["lint"]["findings"] if f["severity"] != "info"]
    print_warnings([*answer["warnings"], *(f"{f['code']}: {f['message']}" for f in lint)])
