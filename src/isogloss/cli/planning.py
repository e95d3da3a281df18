"""plan and expand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isogloss.cli.output import Json, console, number, percent, print_json, print_table, print_warnings, progress_bar

if TYPE_CHECKING:
    from isogloss.planning import Plan


def plan(
    question: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    picture: Path | None = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Answer a question file: size, tokens, mixture and epochs for a budget, with the evidence for each.

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
    seed
        Seeds the random starts of the search.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_file, check_folder
    from isogloss.planning import plan as make_plan

    folder = output or (None if json else Path(f"{question.stem}-plan"))
    if folder is not None:
        check_folder(folder, marker="plan.json")
    if picture is not None:
        check_file(picture, (".png", ".svg"))
    with progress_bar() as report:
        stages = ["gathering evidence", "searching for size and mixture", "trying other sizes"]
        answer = make_plan(question, seed=seed, progress=lambda s: report("planning", stages.index(s), len(stages)))
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
    title = f"{answer.title}: " if answer.title else ""
    out.print(
        f"{title}train {format_quantity(answer.N)} parameters on {format_quantity(answer.D)} tokens "
        f"({answer.C:.3g} FLOPs, {answer.D / answer.N:.3g} tokens per parameter)",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    out.print(f"Evidence for N, D and the shares: {answer.kind_of('N')}", markup=False)
    rows = [
        [
            f"{row['name']} ({row['language']})",
            row["evidence"],
            percent(row["share"]),
            format_quantity(row["tokens"]) if row["tokens"] >= 1 else "0",
            format_quantity(row["text"]),
            f"{row['epochs']:.2f}",
            f"{row['loss']:.4f}",
        ]
        for row in answer.summary().to_dicts()
    ]
    headers = ["language", "evidence", "share", "tokens", "text", "epochs", "loss"]
    print_table("", headers, rows, left=2)
    out.print("What binds: " + ("; ".join(answer.binds) or "no limit"), markup=False, soft_wrap=True)
    rows = [
        [
            a.name,
            _names(a.over_cap) or "-",
            number(a.objective),
            f"{a.objective / answer.objective - 1:+.2%}",
        ]
        for a in sorted(answer.alternatives, key=lambda a: a.objective)
    ]
    rows.insert(0, ["this plan", "-", number(answer.objective), ""])
    headers = ["mixture at this N and D", "repeats beyond the epoch cap", "mean loss", "against the plan"]
    print_table("\nNaive mixtures beside it", headers, rows, left=2)
    print_warnings(answer.warnings)


def _names(codes: tuple[str, ...], most: int = 4) -> str:
    return ", ".join(codes[:most]) + (f" and {len(codes) - most} more" if len(codes) > most else "")
