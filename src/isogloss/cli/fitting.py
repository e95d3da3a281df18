"""fit and predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from isogloss.cli.fit_view import print_fit
from isogloss.cli.output import Json, console, number, print_json, print_table, print_warnings, progress_bar
from isogloss.cli.parsing import name_values
from isogloss.errors import InputError, unknown_name

if TYPE_CHECKING:
    from isogloss.fitting import Fit, LanguageFits
    from isogloss.runs import RunTable
    from isogloss.runs.lint import Finding

Repeated = Annotated[list[str] | None, Parameter(negative=())]


def fit(
    runs: Path,
    *,
    law: str,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    where: Repeated = None,
    target: str | None = None,
    column: Repeated = None,
    unit: str | None = None,
    params: Literal["total", "non_embedding"] | None = None,
    source: Repeated = None,
    across: Literal["pooled", "separate", "tied"] = "pooled",
    tie: Repeated = None,
    fix: Repeated = None,
    free: Repeated = None,
    objective: str = "huber-log",
    delta: float | None = None,
    flops: Repeated = None,
    starts: int | None = None,
    intervals: str = "auto",
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    choices: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Fit a law to a table of runs: coefficients with intervals, health, and what was left out.

    Prints the fit and writes a folder: fit.json, draws.parquet, rows.parquet, fit.html.

    Parameters
    ----------
    runs
        A .csv, .tsv, .parquet or .jsonl table, one row per run (or checkpoint) and target.
    law
        A law by name, `isogloss laws` lists them; or your own, as path/to/mylaw.py:MyLaw.
    output
        Folder to write into; by default named after the table and the law. With --json, nothing is
        written unless this is given.
    where
        Keep only rows that meet a condition, such as "use=1" or "tokens<5e20". Repeatable.
    target
        The one language to fit, of several that losses were measured on. Without it, all are fitted.
    column
        Say which column is which, such as N=my_params, or x=hours for a law's own column. Repeatable.
    unit
        Unit of the loss, such as nats/token or bits/byte, where the table does not say.
    params
        Which count of parameters N is.
    source
        A transfer language for the atlas law (default: the three most co-sampled). Repeatable.
    across
        What languages have in common: pooled draws their coefficients from one population, so that a language with
        few runs borrows from the others; separate fits each by itself; tied gives one law.
    tie
        A coefficient that is one for all languages, such as lambda_. Repeatable.
    fix
        Hold a coefficient, such as E=1.69. Repeatable.
    free
        Fit a coefficient that is held by default, such as phi. Repeatable.
    objective
        huber-log (summed, as the field does), squared-log or squared.
    delta
        Delta of the Huber cost (default 1e-3).
    flops
        Compute budgets at which to give N* and D*, such as 5.76e23. Repeatable.
    starts
        Starting points of the search: by default 64, or 16 of each of several languages.
    intervals
        How intervals are made: bootstrap (runs drawn with replacement), wild (all runs kept, their errors under
        random signs), pooled (errors as large as those of all runs together), laplace (no refits), profile,
        posterior (needs isogloss[bayes]) or none. auto takes wild where runs are few, else bootstrap. Languages
        fitted together have auto, posterior or none.
    draws
        Draws of the coefficients behind the intervals; 0 for none.
    level
        Level of the intervals.
    seed
        Seeds the starts and the draws.
    choices
        Also give N* and D*, at the first of --flops, under other objectives, rows, ranges, exponents and laws.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_folder
    from isogloss.fitting import fit as make_fit
    from isogloss.fitting import fit_languages, get_objective
    from isogloss.laws import get_form
    from isogloss.runs import lint, read_runs
    from isogloss.units import parse_quantity

    form = get_form(law)
    cost = get_objective(objective, delta=delta)
    fixed = {k: _number(v, f"--fix {k}") for k, v in name_values(fix, "--fix").items()}
    budgets = [parse_quantity(b, "flops", where="--flops") for b in flops or []]
    folder = output or (None if json else Path(f"{runs.stem}-{form.name}-fit"))
    if folder is not None:
        check_folder(folder, marker="fit.json")
    own, named = _laws_own(name_values(column, "--column"), form.law.columns)
    reading: dict[str, Any] = {"columns": named or None, "unit": unit}
    table = read_runs(runs, where=where or (), **reading)
    whole, unread = _whole(runs, reading) if choices and where else (None, [])
    targets = table.targets if target is None else ()
    asked: dict[str, Any] = {
        **{"objective": cost, "columns": own, "params": params, "sources": source, "fix": fixed, "free": free or ()},
        **{"intervals": intervals, "draws": draws, "level": level, "seed": seed},
        **({"starts": starts} if starts is not None else {}),
    }
    found = [f for f in lint(table) if f.severity != "info"]
    if len(targets) > 1:
        if choices or budgets:
            option = "--choices" if choices else "--flops"
            raise InputError(
                f"{option} is of one language, and there are {len(targets)}",
                where=table.source,
                hint=f"Choose one, for example --target {targets[0]}.",
            )
        with progress_bar() as report:
            fits = fit_languages(form, table, across=across, tie=tie or (), progress=report, **asked)
        _finish_languages(fits, folder, found, json)
        return
    with progress_bar() as report:
        answer = make_fit(
            form,
            table,
            target=target,
            choices=choices,
            whole=whole,
            budget=budgets[0] if budgets else None,
            progress=report,
            **asked,
        )
    if folder is not None:
        _write(answer, folder)
    if json:
        optimum = answer.optimum(budgets).to_dicts() if budgets and answer.has_frontier else []
        print_json({**answer.to_dict(), "lint": [f"{f.message} {f.cure}" for f in found], "optimum_at": optimum})
        return
    print_fit(answer, budgets)
    print_warnings([*answer.warnings, *unread, *(f"{f.message} {f.cure}" for f in found)])
    if folder is not None:
        console().print(f"\nWrote {folder}/ (fit.json, fit.html, draws and rows).", markup=False, soft_wrap=True)


def _finish_languages(fits: LanguageFits, folder: Path | None, found: Sequence[Finding], json: bool) -> None:
    from isogloss.cli.fit_languages import print_languages, write_languages
    from isogloss.report.answers import languages_warnings

    if folder is not None:
        write_languages(fits, folder)
    lint = [f"{f.message} {f.cure}" for f in found]
    if json:
        print_json({**fits.to_dict(), "lint": lint})
        return
    print_languages(fits)
    print_warnings([*fits.warnings, *languages_warnings(fits), *lint])
    if folder is not None:
        example = folder / fits.folder(next(iter(fits)))
        shown = f"\nWrote {folder}/ (fit.json, fit.html, and a folder for each language, such as {example})."
        console().print(shown, markup=False, soft_wrap=True)


def predict(folder: Path, *points: str, runs: Path | None = None, column: Repeated = None, json: Json = False) -> None:
    """Predict losses from a saved fit, with intervals.

    Parameters
    ----------
    folder
        A folder that `isogloss fit` wrote.
    points
        The law's columns, such as N=1e9 D=2e10,4e10. Several values give every combination.
    runs
        Or a table of runs to predict, read like the one that was fitted; its losses are not used.
    column
        With --runs: say which column is which, as for fit. Repeatable.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.fitting import load_fit

    answer = load_fit(folder)
    if (runs is None) == (not points):
        raise InputError(
            "give either points or --runs",
            hint=f"For example: isogloss predict {folder} {' '.join(f'{c}=...' for c in answer.law.columns)}",
        )
    rows = answer.predict(_grid(points, answer) if runs is None else _columns(runs, answer, column))
    if json:
        print_json({"rows": rows.to_dicts(), "unit": answer.unit, "level": answer.level, "law": answer.law.name})
        return
    headers = rows.columns
    shown = [[number(v, 6) if not isinstance(v, str) else v for v in row] for row in rows.rows()]
    print_table(f"{answer.law.name}, loss in {answer.unit}, {answer.level:.0%} intervals", headers, shown, left=0)


def _whole(path: Path, reading: dict[str, Any]) -> tuple[RunTable | None, list[str]]:
    """The table without --where, so that what it left out can be put back; such rows may be unreadable."""
    from isogloss.runs import read_runs

    try:
        return read_runs(path, **reading), []
    except InputError as problem:
        return None, [f"rows left out by --where cannot be put back as a choice: {problem.what}."]


def _write(answer: Fit, folder: Path) -> None:
    from isogloss.fitting import save_fit
    from isogloss.report.answers import page_of

    save_fit(answer, folder, pages={"fit.html": page_of(answer)})


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is not a number", where=where) from None


def _grid(points: Sequence[str], answer: Fit) -> dict[str, list[Any]]:
    """Every combination of the values given for each column; of sources, a value for each or one for all."""
    import itertools

    from isogloss.fitting.points import PER_SOURCE
    from isogloss.units import parse_quantity

    given = {name: values.split(",") for name, values in name_values(list(points), "predict").items()}
    mixed = "D_sources" in answer.law.columns
    if mixed and (name := next((n for n in given if n == "D" or n.startswith("share:")), None)):
        raise InputError(
            f"law {answer.law.name} takes tokens of each language, not {name}",
            where="predict",
            hint="Give a table of runs with tokens and share:<language> columns: --runs mixtures.csv",
        )
    for name in given:
        if name not in answer.law.columns and not ("shares" in answer.law.columns and name.startswith("share:")):
            raise unknown_name(f"column of law {answer.law.name}", name, answer.law.columns, where="predict")
    # Tokens of other languages may be none, which is no quantity otherwise.
    numbers: dict[str, list[Any]] = {
        name: [0.0 if v.strip() in ("0", "0.0") else parse_quantity(v, where=name) for v in values]
        for name, values in given.items()
    }
    sources = answer.layout.sources
    for name in set(PER_SOURCE) & set(numbers):
        if (count := len(numbers[name])) not in (1, len(sources)):
            what = f"{name} has {count} values, and the fit {len(sources)} sources"
            raise InputError(what, where="predict", hint=f"Give one for all, or one for each of {', '.join(sources)}.")
        numbers[name] = [numbers[name] * (len(sources) // count)]
    combined = list(itertools.product(*numbers.values()))
    return {name: [row[i] for row in combined] for i, name in enumerate(numbers)}


def _laws_own(pairs: dict[str, str], columns: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Pairs of --column that name a column of the law alone, and those that run tables know."""
    from isogloss.runs.columns import meaning

    own = {k: v for k, v in pairs.items() if k in columns and meaning(k) is None}
    return own, {k: v for k, v in pairs.items() if k not in own}


def _columns(path: Path, answer: Fit, pairs: Repeated) -> dict:
    from isogloss.fitting.predicting import rows_to_predict

    return rows_to_predict(answer, path, name_values(pairs, "--column"))[0].columns
