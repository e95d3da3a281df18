"""runs: look at a run table before fitting it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from isogloss.cli.output import Json, console, print_json, print_table, print_warnings

runs = App(name="runs", help="Look at a table of runs before fitting it.", result_action="return_value")


@runs.command
def lint(
    path: Path,
    *,
    where: Annotated[list[str] | None, Parameter(negative=())] = None,
    unit: str | None = None,
    json: Json = False,
) -> None:
    """Name what is wrong with a run table, by row and column, with a cure for each.

    Parameters
    ----------
    path
        A .csv, .tsv, .parquet or .jsonl table of runs.
    where
        Keep only rows that meet a condition, such as "use=1". Repeatable.
    unit
        Unit of the loss, where the table does not say.
    json
        Print the whole answer as JSON and nothing else.
    """
    from dataclasses import asdict

    from isogloss.runs import lint as find
    from isogloss.runs import read_runs

    table = read_runs(path, where=where or (), unit=unit)
    findings = find(table)
    if json:
        print_json(
            {
                "rows": len(table),
                "rows_left_out": [asdict(r) for r in table.left_out],
                "findings": [asdict(f) for f in findings],
                "warnings": list(table.notes),
            }
        )
        return
    console().print(f"{len(table)} rows read, {len(table.left_out)} left out, loss in {table.unit}", markup=False)
    rows = [[f.code, f.severity, _rows(f.rows), f"{f.message} {f.cure}"] for f in findings]
    if rows:
        print_table("", ["finding", "severity", "rows", "what and cure"], rows, left=4)
    else:
        console().print("Nothing found.", markup=False)
    print_warnings(table.notes)


def _rows(rows: tuple[int, ...], most: int = 6) -> str:
    return ", ".join(map(str, rows[:most])) + (f" and {len(rows) - most} more" if len(rows) > most else "")
