"""plan and expand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isogloss.cli.output import Json, console, number, percent, print_json, print_table, print_warnings, progress_bar

if TYPE_CHECKING:
    from isogloss.planning import Plan, Uncertainty

# Columns that a plan's tables take with their intervals.
WIDE = 118


def plan(
    question: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    picture: Path | None = None,
    draws: int = 100,
    level: float = 0.8,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Answer a question file: size, tokens, mixture and epochs for a budget, with intervals and the evidence for each.

    Prints the plan and writes plan.json and plan.html.

    Parameters
    ----------
    question
        A TOML file with the budget and the languages, such as examples/baltic.toml.
    output
        Folder to write into; by default the question's name with "-plan". With --json, nothing is written
        unless this is given.
    picture
        Also write the plan's chart to this .png or .svg file.
    draws
        Draws of laws and transfer weights that intervals are made of; 0 leaves them out.
    level
        The central part of the draws that an interval holds.
    seed
        Seeds the random starts of the search, and the draws.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_file, check_folder
    from isogloss.planning import plan as make_plan
    from isogloss.planning.plan import STAGES

    folder = output or (None if json else Path(f"{question.stem}-plan"))
    if folder is not None:
        check_folder(folder, marker="plan.json")
    if picture is not None:
        check_file(picture, (".png", ".svg"))
    with progress_bar() as report:

        def tell(stage: str) -> None:
            report("planning", STAGES.index(stage), len(STAGES))

        answer = make_plan(question, draws=draws, level=level, seed=seed, progress=tell)
    if folder is not None:
        _write(answer, folder)
    if picture is not None:
        from isogloss.report import picture_of_plan, save_picture

        save_picture(picture_of_plan(answer), picture)
    if json:
        print_json(answer.to_dict())
        return
    _print(answer)
    if folder is not None:
        console().print(f"\nWrote {folder / 'plan.json'} and {folder / 'plan.html'}.", markup=False, soft_wrap=True)


def expand(*, languages: str, json: Json = False) -> None:
    """What serving more languages takes at the same loss: factors on size, tokens and compute (K law).

    Parameters
    ----------
    languages
        How many times as many, "2x", or from how many to how many, "10->20".
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.planning.expand import expand as factors
    from isogloss.planning.expand import parse_factor

    answer = factors(parse_factor(languages))
    if json:
        print_json(answer.to_dict())
        return
    rows = [
        ["parameters N", f"x {answer.N_factor:.3g}"],
        ["tokens D, all languages", f"x {answer.D_factor:.3g}"],
        ["tokens per language", f"x {answer.D_per_language_factor:.3g}"],
        ["compute C", f"x {answer.C_factor:.3g}"],
    ]
    print_table(f"{answer.r:g} times as many languages at equal loss", ["", "factor"], rows)
    console().print(f"Published: {answer.source}", markup=False, soft_wrap=True)
    print_warnings(answer.warnings)


def _write(answer: Plan, folder: Path) -> None:
    from isogloss.files import new_folder
    from isogloss.report import plan_cards, to_html

    page = to_html(answer.title or "Plan", _subtitle(answer), plan_cards(answer), answer.warnings)
    with new_folder(folder, marker="plan.json") as temporary:
        answer.save(temporary / "plan.json")
        (temporary / "plan.html").write_text(page, encoding="utf-8")


def _subtitle(answer: Plan) -> str:
    return f"{len(answer.languages)} languages, {answer.C:.3g} training FLOPs"


def _print(answer: Plan) -> None:
    from isogloss.units import format_quantity

    out = console()
    unsure = answer.uncertainty
    title = f"{answer.title}: " if answer.title else ""
    out.print(
        f"{title}train {format_quantity(answer.N)} parameters on {format_quantity(answer.D)} tokens "
        f"({answer.C:.3g} FLOPs, {answer.D / answer.N:.3g} tokens per parameter)",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    if unsure is not None:
        out.print(_how_sure(unsure), markup=False, soft_wrap=True)
    out.print(f"Evidence for N, D and the shares: {answer.kind_of('N')}", markup=False)
    headers, rows = _language_rows(answer)
    _print_wide("", headers, rows, [3, 8] if unsure else [])
    out.print("What binds: " + ("; ".join(answer.binds) or "no limit"), markup=False, soft_wrap=True)
    headers, rows = _mixture_rows(answer)
    _print_wide("\nNaive mixtures beside it", headers, rows, [4, 5] if unsure else [])
    print_warnings(answer.warnings)


def _print_wide(title: str, headers: list[str], rows: list[list[str]], intervals: list[int]) -> None:
    """A table with two columns of text; on a narrow terminal its `intervals` follow as a table of their own."""
    if not intervals or console().width >= WIDE:
        print_table(title, headers, rows, left=2, whole=headers[2:])
        return
    plain = [i for i in range(len(headers)) if i not in intervals]
    print_table(title, [headers[i] for i in plain], [[row[i] for i in plain] for row in rows], left=2)
    also = [0, *intervals]
    print_table("", [headers[i] for i in also], [[row[i] for i in also] for row in rows])


def _how_sure(unsure: Uncertainty) -> str:
    from isogloss.units import format_quantity

    N, D, regret, flat = (
        unsure.interval(unsure.N),
        unsure.interval(unsure.D),
        unsure.interval(unsure.regret),
        unsure.flat(),
    )
    least = "or less " if flat.open_low else ""
    most = " or more" if flat.open_high else ""
    return (
        f"{unsure.level:.0%} of {unsure.count} draws have their best size between {format_quantity(N.low)} and "
        f"{format_quantity(N.high)} parameters, on {format_quantity(D.low)} to {format_quantity(D.high)} tokens.\n"
        f"Any size from {format_quantity(flat.low)} {least}to {format_quantity(flat.high)}{most} is within "
        f"{flat.within:.1%} of the least mean loss; this plan loses {regret.median:.2%} "
        f"({regret.low:.2%} to {regret.high:.2%}) against each draw's own best."
    )


def _language_rows(answer: Plan) -> tuple[list[str], list[list[str]]]:
    from isogloss.units import format_quantity

    unsure = answer.uncertainty
    headers, rows = ["language", "evidence", "share", "tokens", "text", "epochs", "loss"], []
    if unsure is not None:
        between = f"{unsure.level:.0%}"
        headers.insert(3, f"best share, {between}")
        headers.append(f"loss, {between}")
    for row in answer.summary().to_dicts():
        cells = [
            f"{row['name']} ({row['language']})",
            row["evidence"],
            percent(row["share"]),
            format_quantity(row["tokens"]) if row["tokens"] >= 1 else "0",
            format_quantity(row["text"]),
            f"{row['epochs']:.2f}",
            f"{row['loss']:.4f}",
        ]
        if unsure is not None:
            cells.insert(3, f"{percent(row['share_low'])} - {percent(row['share_high'])}")
            cells.append(f"{row['loss_low']:.3f} - {row['loss_high']:.3f}")
        rows.append(cells)
    return headers, rows


def _mixture_rows(answer: Plan) -> tuple[list[str], list[list[str]]]:
    unsure = answer.uncertainty
    headers = ["mixture at this N and D", "repeats beyond the epoch cap", "mean loss", "against the plan"]
    rows = [["this plan", "-", number(answer.objective), ""]]
    rows += [
        [a.name, _names(a.over_cap) or "-", number(a.objective), f"{a.objective / answer.objective - 1:+.2%}"]
        for a in sorted(answer.alternatives, key=lambda a: a.objective)
    ]
    if unsure is None:
        return headers, rows
    headers += [f"regret, {unsure.level:.0%}", "plan better"]
    for row in rows:
        own = row[0] == "this plan"
        regret = unsure.interval(unsure.regret if own else unsure.regret_of(row[0]))
        row.append(f"{regret.low:+.2%} to {regret.high:+.2%}")
        row.append("" if own else f"{unsure.plan_better(row[0]):.0%}")
    return headers, rows


def _names(codes: tuple[str, ...], most: int = 4) -> str:
    return ", ".join(codes[:most]) + (f" and {len(codes) - most} more" if len(codes) > most else "")
