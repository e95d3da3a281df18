"""compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from isogloss.cli.output import Json, console, print_json, print_table, print_warnings, progress_bar
from isogloss.cli.parsing import listed_names, name_values

if TYPE_CHECKING:
    from isogloss.fitting import Comparison

Repeated = Annotated[list[str] | None, Parameter(negative=())]
# Left-out laws are named with their reasons up to so many different reasons.
REASONS = 6
# Narrower terminals get intervals to two digits.
WIDE = 110


def compare(
    runs: Path,
    *,
    laws: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    splits: str | None = None,
    share: float = 0.2,
    across: Literal["separate", "pooled", "tied"] = "separate",
    where: Repeated = None,
    target: Repeated = None,
    column: Repeated = None,
    unit: str | None = None,
    params: Literal["total", "non_embedding"] | None = None,
    source: Repeated = None,
    objective: str = "huber-log",
    delta: float | None = None,
    starts: int = 8,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    per_language: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Compare laws on a table of runs: each is fitted to a part of them and scored on rows that it never saw.

    Prints R² and median relative error by law and split, and which law to use. With -o, writes a folder:
    compare.json, compare.html, predictions.parquet.

    Parameters
    ----------
    runs
        A .csv, .tsv, .parquet or .jsonl table, one row per run (or checkpoint) and target.
    laws
        Laws with commas between, such as chinchilla,family,atlas, or your own as path/to/mylaw.py:MyLaw; by default
        all that the table has columns for. `isogloss laws` lists them.
    output
        Folder to write into.
    splits
        What is held out, with commas between: in-sample (nothing), random (runs), N, D, C (the largest), M (whole
        mixtures). By default all that the runs can give.
    share
        About how much is held out.
    across
        Whether languages are fitted one by one (separate, as in ATLAS's Table 1), pooled, or tied to one law.
    where
        Keep only rows that meet a condition, such as "use=1" or "tokens<5e20". Repeatable.
    target
        Compare on this language alone. Repeatable.
    column
        Say which column is which, such as N=my_params, or x=hours for a law's own column. Repeatable.
    unit
        Unit of the loss, such as nats/token or bits/byte, where the table does not say.
    params
        Which count of parameters N is.
    source
        A transfer language for the atlas laws (default: the three most co-sampled in what is fitted). Repeatable.
    objective
        huber-log (summed, as the field does), squared-log or squared.
    delta
        Delta of the Huber cost (default 1e-3).
    starts
        Starting points of each search.
    draws
        Draws of held-out runs behind the intervals; 0 for none.
    level
        Level of the intervals.
    seed
        Seeds the random splits, the starts and the draws.
    per_language
        Also print R² by language.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.cli.fitting import _laws_own
    from isogloss.files import check_folder
    from isogloss.fitting import compare as make_comparison
    from isogloss.fitting import get_objective
    from isogloss.laws import get_form
    from isogloss.runs import read_runs

    forms = None if laws is None else [get_form(name) for name in listed_names(laws)]
    cost = get_objective(objective, delta=delta)
    if output is not None:
        check_folder(output, marker="compare.json")
    known = tuple(c for form in forms or () for c in form.law.columns)
    own, named = _laws_own(name_values(column, "--column"), known)
    table = read_runs(runs, where=where or (), columns=named or None, unit=unit)
    with progress_bar() as report:
        answer = make_comparison(
            table,
            forms,
            splits=None if splits is None else listed_names(splits),
            targets=target,
            across=across,
            sources=source,
            objective=cost,
            params=params,
            columns=own,
            share=share,
            starts=starts,
            draws=draws,
            level=level,
            seed=seed,
            progress=report,
        )
    if output is not None:
        _write(answer, output)
    if json:
        print_json(answer.to_dict())
        return
    _print(answer, per_language)
    if output is not None:
        out = f"\nWrote {output}/ (compare.json, compare.html, predictions.parquet)."
        console().print(out, markup=False, soft_wrap=True)


def _print(answer: Comparison, per_language: bool) -> None:
    out = console()
    out.print(
        f"{len(answer.laws)} laws on {answer.rows} rows of {answer.source} "
        f"(loss in {answer.unit}; languages {answer.across})",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    out.print(answer.sentence, markup=False, soft_wrap=True)
    headers = ["law", *(s.name for s in answer.splits)]
    for title, what, show in (("R²", "r2", r2), ("Median relative error in %", "error", error)):
        rows = [
            [
                f"{law.name}\n{law.coefficients:g} fitted",
                *(_cell(answer, law.name, s.name, what, show) for s in answer.splits),
            ]
            for law in answer.laws
        ]
        level = f", with {answer.level:.0%} intervals over held-out runs" if answer.draws else ""
        # A title of the table's own would be broken to the width of a narrow table.
        out.print(f"\n{title}{level}", style="bold", markup=False, soft_wrap=True)
        print_table("", headers, rows, left=1)
    if per_language:
        _print_languages(answer)
    rows = [[s.name, s.describes, str(s.rows), str(s.runs), str(len(s.languages))] for s in answer.splits]
    print_table("\nHeld out", ["split", "what", "rows", "runs", "languages"], rows, left=2)
    for line in left_out_lines(answer):
        out.print(line, markup=False, soft_wrap=True)
    print_warnings(answer.warnings)


def _print_languages(answer: Comparison) -> None:
    names = [s.name for s in answer.splits]
    cells = {(r["law"], r["language"], r["split"]): r2(r["r2"]) for r in answer.by_language.to_dicts()}
    languages = dict.fromkeys(language for s in answer.splits for language in s.languages)
    rows = [
        [language, law.name, *(cells.get((law.name, language, s), "") for s in names)]
        for language in languages
        for law in answer.laws
    ]
    print_table("\nR² by language", ["language", "law", *names], rows, left=2)


def left_out_lines(answer: Comparison) -> list[str]:
    """What is not in the tables, a sentence each."""
    lines = [f"Split {s.name} is not given: {s.reason}." for s in answer.not_given]
    for (reason, split), languages in _by_reason(answer).items():
        lines.append(f"Not in the means of {split}: {', '.join(languages)} ({reason}).")
    reasons: dict[str, list[str]] = {}
    for law, why in answer.laws_left_out.items():
        reasons.setdefault(why, []).append(law)
    shown = list(reasons.items())
    lines += [f"Not compared: {', '.join(names)} ({why})." for why, names in shown[:REASONS]]
    rest = [name for _, names in shown[REASONS:] for name in names]
    if rest:
        lines.append(f"Nor {', '.join(rest)}: --json gives the reasons.")
    lines += [f"Rows left out: {count} ({reason})." for reason, count in answer.rows_left_out.items()]
    return lines


def _by_reason(answer: Comparison) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for split, language, reason in answer.languages_left_out:
        grouped.setdefault((reason, split), []).append(language)
    return grouped


def _cell(answer: Comparison, law: str, split: str, what: str, show: Any) -> str:
    """A score, and under it its interval."""
    score = answer.score(law, split)
    if score[what] is None:
        return "-"
    low, high = score[f"{what}_low"], score[f"{what}_high"]
    digits = 3 if console().width >= WIDE else 2
    return show(score[what], 3) + ("" if low is None else f"\n{show(low, digits)}–{show(high, digits)}")


def r2(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.0f}" if abs(value) < 1e4 else f"{value:.0e}"


def error(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{min(digits, 2)}g}" if value < 1 else f"{100 * value:.0f}"


def _write(answer: Comparison, folder: Path) -> None:
    from isogloss.report.answers import page_of

    answer.save(folder, pages={"compare.html": page_of(answer)})
