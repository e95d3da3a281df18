"""fit and predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from isogloss.cli.output import Json, console, number, print_json, print_table, print_warnings, progress_bar
from isogloss.errors import InputError, unknown_name

if TYPE_CHECKING:
    from isogloss.fitting import Fit

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
    fix: Repeated = None,
    free: Repeated = None,
    objective: str = "huber-log",
    delta: float | None = None,
    flops: Repeated = None,
    starts: int = 64,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Fit a law to a table of runs: coefficients with intervals, health, and what was left out.

    Prints the fit and writes a folder: fit.json, draws.parquet, rows.parquet, fit.html.

    Parameters
    ----------
    runs
        A .csv, .tsv, .parquet or .jsonl table, one row per run (or checkpoint) and target.
    law
        A law by name; `isogloss laws` lists them.
    output
        Folder to write into; by default named after the table and the law. With --json, nothing is
        written unless this is given.
    where
        Keep only rows that meet a condition, such as "use=1" or "tokens<5e20". Repeatable.
    target
        The language that losses were measured on, where the table has several.
    column
        Say which column is which, such as N=my_params. Repeatable.
    unit
        Unit of the loss, such as nats/token or bits/byte, where the table does not say.
    params
        Which count of parameters N is.
    source
        A transfer language for the atlas law (default: the three most co-sampled). Repeatable.
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
        Starting points of the search.
    draws
        Bootstrap resamples of whole runs behind the intervals; 0 for none.
    level
        Level of the intervals.
    seed
        Seeds the starts and the bootstrap.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_folder
    from isogloss.fitting import fit as make_fit
    from isogloss.fitting import get_objective
    from isogloss.laws import get_law
    from isogloss.runs import lint, read_runs
    from isogloss.units import parse_quantity

    kind = get_law(law)
    cost = get_objective(objective, delta=delta)
    fixed = {k: _number(v, f"--fix {k}") for k, v in _pairs(fix, "--fix").items()}
    budgets = [parse_quantity(b, "flops", where="--flops") for b in flops or []]
    folder = output or (None if json else Path(f"{runs.stem}-{kind.name}-fit"))
    if folder is not None:
        check_folder(folder, marker="fit.json")
    table = read_runs(runs, where=where or (), columns=_pairs(column, "--column") or None, unit=unit)
    with progress_bar() as report:
        answer = make_fit(
            kind,
            table,
            objective=cost,
            target=target,
            params=params,
            sources=source,
            fix=fixed,
            free=free or (),
            starts=starts,
            draws=draws,
            level=level,
            seed=seed,
            progress=report,
        )
    found = [f for f in lint(table) if f.severity != "info"]
    if folder is not None:
        _write(answer, folder)
    if json:
        optimum = answer.optimum(budgets).to_dicts() if budgets and answer.has_frontier else []
        print_json({**answer.to_dict(), "lint": [f"{f.message} {f.cure}" for f in found], "optimum_at": optimum})
        return
    _print(answer, budgets)
    print_warnings([*answer.warnings, *(f"{f.message} {f.cure}" for f in found)])
    if folder is not None:
        console().print(f"\nWrote {folder}/ (fit.json, fit.html, draws and rows).", markup=False, soft_wrap=True)


def predict(folder: Path, *points: str, runs: Path | None = None, json: Json = False) -> None:
    """Predict losses from a saved fit, with intervals.

    Parameters
    ----------
    folder
        A folder that `isogloss fit` wrote.
    points
        The law's columns, such as N=1e9 D=2e10,4e10. Several values give every combination.
    runs
        Or a table of runs to predict, read like the one that was fitted; its losses are not used.
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
    rows = answer.predict(_grid(points, answer) if runs is None else _columns(runs, answer))
    if json:
        print_json({"rows": rows.to_dicts(), "unit": answer.unit, "level": answer.level, "law": answer.law.name})
        return
    headers = rows.columns
    shown = [[number(v, 6) if not isinstance(v, str) else v for v in row] for row in rows.rows()]
    print_table(f"{answer.law.name}, loss in {answer.unit}, {answer.level:.0%} intervals", headers, shown, left=0)


def _print(answer: Fit, budgets: Sequence[float]) -> None:
    out = console()
    out.print(
        f"{answer.law.name} fitted to {answer.rows.height} rows of {answer.source} "
        f"({answer.law.source}; loss in {answer.unit}, N = params_{answer.params})",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    out.print(f"Status: {answer.status.value}", markup=False, soft_wrap=True)
    health = answer.health
    out.print(
        f"{health.agree} of {health.starts} starts agree; condition {health.condition:.2g}; "
        f"objective ({answer.objective_name}) {answer.objective:.8g}; "
        f"bounds hit: {', '.join(health.bounds_hit) or 'none'}",
        markup=False,
        soft_wrap=True,
    )
    rows = [
        [e.name, e.meaning, number(e.value, 5), "held" if e.held else number(e.low), "" if e.held else number(e.high)]
        for e in answer.coefficients
    ]
    low, high = f"{50 * (1 - answer.level):g} %", f"{50 * (1 + answer.level):g} %"
    print_table("", ["coefficient", "meaning", "value", low, high], rows, left=2)
    if answer.has_frontier:
        _print_frontier(answer, budgets or answer.default_budgets())
    else:
        out.print(f"\nThere is {answer.why_no_frontier()}.", markup=False, soft_wrap=True)
    reasons = Counter(r.reason for r in answer.left_out)
    left_out = "; ".join(f"{count} ({reason})" for reason, count in reasons.items()) or "none"
    out.print(f"\nRows left out: {left_out}", markup=False, soft_wrap=True)


def _print_frontier(answer: Fit, budgets: Sequence[float]) -> None:
    from isogloss.units import format_quantity

    grows = ", ".join(
        f"{symbol}* = C^{e.value:.3f} {_interval(e.low, e.high)}"
        for symbol, e in zip("ND", answer.exponents(), strict=False)
    )
    console().print(f"\nCompute-optimal for text seen once: {grows or 'no power law'}", markup=False, soft_wrap=True)
    rows = []
    for row in answer.optimum(budgets).to_dicts():
        cells = [f"{row['C']:.3g}"]
        for name in "ND":
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            cells.append(format_quantity(row[name]))
            cells.append(f"{format_quantity(low)} to {format_quantity(high)}" if low and high else "")
        rows.append([*cells, number(row["tokens_per_parameter"], 3)])
    print_table("", ["C (FLOPs)", "N*", "interval", "D*", "interval", "tokens per parameter"], rows, left=0)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"({low:.3f} to {high:.3f})"


def _write(answer: Fit, folder: Path) -> None:
    from isogloss.fitting import save_fit
    from isogloss.report import fit_cards, to_html

    subtitle = f"{answer.rows.height} rows of {answer.source}, loss in {answer.unit}"
    page = to_html(f"{answer.law.name} law", subtitle, fit_cards(answer), answer.warnings)
    save_fit(answer, folder, pages={"fit.html": page})


def _pairs(items: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise InputError(f"{item!r} is not name=value", where=option, hint=f"For example {option} E=1.69.")
        pairs[name.strip()] = value.strip()
    return pairs


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is not a number", where=where) from None


def _grid(points: Sequence[str], answer: Fit) -> dict[str, list[float]]:
    """Every combination of the values given for each column."""
    import itertools

    from isogloss.units import parse_quantity

    given = {name: values.split(",") for name, values in _pairs(list(points), "predict").items()}
    for name in given:
        if name not in answer.law.columns:
            raise unknown_name(f"column of law {answer.law.name}", name, answer.law.columns, where="predict")
    numbers = {name: [parse_quantity(v, where=name) for v in values] for name, values in given.items()}
    combined = list(itertools.product(*numbers.values()))
    return {name: [row[i] for row in combined] for i, name in enumerate(numbers)}


def _columns(path: Path, answer: Fit) -> dict:
    from isogloss.fitting.rows import rows_for
    from isogloss.runs import read_runs

    return rows_for(type(answer.law), read_runs(path), sources=list(answer.layout.sources) or None).columns
