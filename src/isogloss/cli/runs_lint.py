"""runs lint: what is wrong with a table of runs, and a copy without what can be put right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isogloss.cli.output import Json, console, print_json, print_table, print_warnings
from isogloss.cli.parsing import name_values
from isogloss.errors import InputError
from isogloss.stores import local

if TYPE_CHECKING:
    from isogloss.runs.lint import Finding, LintReport

Repeated = Annotated[list[str] | None, Parameter(negative=())]

EXIT_ERRORS = 1
_STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def lint(
    path: Path,
    *,
    where: Repeated = None,
    column: Repeated = None,
    unit: str | None = None,
    fix: Annotated[bool, Parameter(negative=())] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: Json = False,
) -> int:
    """Name what is wrong with a run table, by row and column, with a cure for each. Exit code 1 if there is an error.

    Parameters
    ----------
    path
        A .csv, .tsv, .parquet or .jsonl table of runs, or a study's folder.
    where
        Keep only rows that meet a condition, such as "use=1". Repeatable.
    column
        Say which column is which, such as N=my_params. Repeatable.
    unit
        Unit of the loss, where the table does not say.
    fix
        Write a copy in which all that can be put right without a guess is, and list each change. The table itself
        is never touched. The exit code is then of the copy.
    output
        With --fix: a new folder, or a file; by default a folder named after the table.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.runs.lint import check_output, fixed, lint_runs, write_fixed

    if output is not None and not fix:
        raise InputError("writes only with --fix", where="--output", hint="Add --fix, or leave -o out.")
    path = local(path)
    out = output or path.with_name(f"{path.stem}-fixed")
    if fix:
        check_output(path, out)
    report = lint_runs(path, where=where or (), columns=name_values(column, "--column", "N=my_params"), unit=unit)
    answer: dict[str, Any] = report.to_dict()
    if not fix:
        if json:
            print_json(answer)
        else:
            _print(report)
        return 0 if report.ok else EXIT_ERRORS
    changed = fixed(report)
    written = write_fixed(changed, path, out)
    after = lint_runs(written, unit=unit)
    if json:
        left = [f.code for f in after.findings if f.severity == "error"]
        fixes = {"written": str(out), "dropped": changed.dropped, "changes": changed.counts(), "errors_left": left}
        print_json({**answer, "fixed": fixes})
    else:
        _print(report)
        _print_fixed(changed.counts(), changed.dropped, out, after)
    return 0 if after.ok else EXIT_ERRORS


def _print(report: LintReport) -> None:
    out = console()
    left = f"{report.dropped} left out"
    out.print(f"{report.rows} rows to fit, {left}, loss in {report.unit}", markup=False, soft_wrap=True)
    for finding in report.findings:
        out.print(f"{finding.severity:<8}", end="", style=_STYLES[finding.severity])
        out.print(f"{finding.code}: {_where(finding)}", markup=False, soft_wrap=True)
        out.print(f"        {finding.message} {finding.cure}", markup=False, soft_wrap=True)
    if not report.findings:
        out.print("Nothing found.", markup=False)
    print_warnings(report.notes)


def _print_fixed(counts: dict[str, int], dropped: int, out: Path, after: LintReport) -> None:
    if counts:
        print_table("\nFixed", ["finding", "changes"], [[code, str(count)] for code, count in counts.items()])
    else:
        console().print("\nNothing here can be put right without you: the copy is the same.", markup=False)
    listed = out.with_name(f"{out.stem}.fixes.csv") if out.suffix and out.is_file() else out / "fixes.csv"
    rows = "1 row" if dropped == 1 else f"{dropped} rows"
    text = f"{rows} dropped. Wrote {out}; every change is in {listed}."
    console().print(text, markup=False, soft_wrap=True)
    left = sorted({f.code for f in after.findings if f.severity == "error"})
    if left:
        console().print(f"Left for you to decide: {', '.join(left)}.", markup=False, soft_wrap=True)


def _where(finding: Finding, most: int = 6) -> str:
    """Rows, or the runs where there are no rows to name."""
    names = [*map(str, finding.rows)] or list(finding.runs)
    if not names:
        return "the table as a whole"
    if finding.count > len(finding.rows) and finding.runs:
        # Of millions of rows the first ones say less than their runs.
        return f"{finding.count} rows of {_listed('run', finding.runs, most)}"
    return _listed("row" if finding.rows else "run", names, most)


def _listed(kind: str, names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names[:most])}{more}"
