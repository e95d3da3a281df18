"""How a fit is shown on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isogloss.cli.output import console, number, print_table

if TYPE_CHECKING:
    from isogloss.fitting import Choices, Fit


def print_fit(answer: Fit, budgets: Sequence[float]) -> None:
    from isogloss.fitting.intervals import MEANINGS

    out = console()
    counted = f", N = params_{answer.params}" if "N" in answer.law.columns else ""
    out.print(
        f"{answer.law.name} fitted to {answer.rows.height} rows of {answer.source} "
        f"({answer.law.source}; loss in {answer.unit}{counted})",
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
    if len(answer.draws):
        out.print(
            f"Intervals ({answer.level:.0%}): {answer.intervals}, {len(answer.draws):,} {MEANINGS[answer.intervals]}",
            markup=False,
            soft_wrap=True,
        )
    low, high = f"{50 * (1 - answer.level):g} %", f"{50 * (1 + answer.level):g} %"
    print_table("", ["coefficient", "meaning", "value", low, high], rows, left=2)
    for index, finding in enumerate(health.findings):
        lead = "\nWhat the runs cannot tell\n" if index == 0 else ""
        out.print(f"{lead}  {finding.sentence}", markup=False, soft_wrap=True)
    if answer.has_frontier:
        _print_frontier(answer, budgets or answer.default_budgets())
    else:
        out.print(f"\nThere is {answer.why_no_frontier()}.", markup=False, soft_wrap=True)
    if answer.choices is not None:
        _print_choices(answer.choices)
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


def _print_choices(choices: Choices) -> None:
    from isogloss.units import format_quantity

    rows = []
    for c in choices.rows():
        if c.N is None or c.D is None:
            rows.append([c.kind, c.name, str(c.rows or ""), c.why_not, "", "", ""])
            continue
        numbers = [format_quantity(c.N), format_quantity(c.D), number(c.loss), number(c.loss_at_main)]
        rows.append([c.kind, c.name, str(c.rows), *numbers])
    main = choices.main
    headers = ["choice", "", "rows", "N*", "D*", "loss there", f"loss at {_point(main.N, main.D)}"]
    print_table(f"\nOther choices at {format_quantity(choices.C, 'flops')}", headers, rows, left=2)
    said = [choices.sentence]
    if choices.combined_N is not None:
        low, high = (format_quantity(n) for n in choices.combined_N)
        said.append(f"Objective, rows and range combined in {choices.combined} ways: {low} to {high}.")
    for line in (*said, *choices.notes):
        console().print(line, markup=False, soft_wrap=True)


def _point(N: float | None, D: float | None) -> str:
    from isogloss.units import format_quantity

    return f"{format_quantity(N or 0)} on {format_quantity(D or 0)}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"({low:.3f} to {high:.3f})"
