"""design: which small runs to do first, as a study that the lab runs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isogloss.cli.output import Json, console, percent, print_json, print_table, print_warnings, progress_bar
from isogloss.errors import InputError
from isogloss.stores import check_target, exists, local, working

if TYPE_CHECKING:
    from isogloss.planning.design_answer import Design

SHOWN = 20


def design(
    question: Path,
    *,
    budget: str,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    text: Path | None = None,
    largest: str | None = None,
    noise: float = 0.005,
    drift: float = 0.005,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Choose the small runs that narrow a question's plan most for their FLOPs, and write them as a study.

    Prints the runs and writes study.toml, design.json and design.html.

    Parameters
    ----------
    question
        A TOML file with the budget and the languages, such as examples/baltic.toml.
    budget
        FLOPs of all runs together, such as 1e18.
    output
        The study's folder; by default the question's name with "-study". With --json, nothing is written unless
        this is given.
    text
        A folder with one file (or subfolder) of text per language, named by its code: et.txt, fin_Latn.jsonl.gz.
    largest
        Most parameters of a run, such as 50M; by default no more than the plan's.
    noise
        Standard deviation of a loss between seeds, as a part of the loss.
    drift
        How far the law's form may be off per tenfold of parameters between a run and the plan, as a part of the loss.
    seed
        Seeds the draws of laws and transfer weights.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.planning.design import STAGES
    from isogloss.planning.design import design as choose

    folder = output or (None if json else Path(f"{question.stem}-study"))
    if folder is not None:
        _check_folder(folder, text)
    with progress_bar() as report:

        def tell(stage: str) -> None:
            report("designing", STAGES.index(stage), len(STAGES))

        answer = choose(question, budget, largest=largest, noise=noise, drift=drift, seed=seed, progress=tell)
    lacking: list[str] = []
    if folder is not None:
        with working(folder) as place:
            lacking = _write(answer, place, text)
    if json:
        print_json(answer.to_dict())
        return
    _print(answer, lacking)
    if folder is not None:
        out = console()
        out.print(f"\nWrote {folder / 'study.toml'}, design.json and design.html.", markup=False, soft_wrap=True)
        out.print(f"Next: isogloss study dry-run {folder}", markup=False, soft_wrap=True)


def _check_folder(folder: Path, text: Path | None) -> None:
    """What would be refused after the work is refused before it."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", hint="Choose another folder with -o.")
    check_target(folder, marker="study.toml")
    if (folder / "study.toml").exists() or exists(folder / "study.toml"):
        raise InputError("there is a study here already", where=str(folder), hint="Name another folder with -o.")
    if text is not None and not Path(local(text)).is_dir():
        raise InputError("no such folder", where=f"--text {text}", hint="It holds one file per language, as et.txt.")


def _write(answer: Design, folder: Path, text: Path | None) -> list[str]:
    """Languages of which no text was found."""
    from isogloss.files import write_text
    from isogloss.planning.design_study import study_toml
    from isogloss.report.answers import page_of
    from isogloss.sweeps.new import new_study
    from isogloss.sweeps.study import PLACEHOLDER

    # It finds each language's text; the runs of its file are then replaced by the design's.
    path = new_study(folder, answer.languages, text)
    languages = tomllib.loads(path.read_text(encoding="utf-8"))["languages"]
    write_text(path, study_toml(answer, languages))
    answer.save(folder / "design.json")
    write_text(folder / "design.html", page_of(answer))
    return [code for code, source in languages.items() if source.get("text") == PLACEHOLDER]


def _print(answer: Design, lacking: list[str]) -> None:
    from isogloss.units import format_quantity

    out = console()
    title = f"{answer.title}: " if answer.title else ""
    out.print(
        f"{title}{answer.count} runs for {answer.flops:.3g} FLOPs ({answer.flops / answer.plan.C:.2g} of what the plan "
        f"costs); expected regret falls from {regret(answer.before.mean)} to {regret(answer.after.mean)}",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    for line in narrowing(answer):
        out.print(line, markup=False, soft_wrap=True)
    headers = ["mixture", "seeds", "N", "tokens", "FLOPs", "if left out"]
    rows = [
        [
            mixture_in_words(answer, k),
            str(len(r.seeds)),
            format_quantity(r.run.N, digits=2),
            " ".join(format_quantity(t, digits=2) for t in r.run.tokens),
            f"{r.flops:.2g}",
            f"+{percent(r.gain)}",
        ]
        for k, r in enumerate(answer.runs[:SHOWN])
    ]
    print_table("", headers, rows, left=1, whole=headers[1:])
    out.print("If left out: how much higher the expected regret after the runs would be.", markup=False)
    more = len(answer.runs) - SHOWN
    if more > 0:
        out.print(f"... and {more} more, each of less use: study.toml and design.json hold all.", markup=False)
    absent = [f"no text was found of {', '.join(lacking)}: put its path where study.toml says so."] * bool(lacking)
    print_warnings([*answer.warnings, *absent])


def narrowing(answer: Design) -> list[str]:
    """What the runs are expected to do, and what halving the rest would cost, in sentences."""
    lines = [
        f"In 80 % of the truths drawn, the plan as it stands loses {regret(answer.before.low)} to "
        f"{regret(answer.before.high)} against the best; planned anew after the runs, {regret(answer.after.low)} to "
        f"{regret(answer.after.high)}."
    ]
    if answer.to_halve is None:
        lines.append("To halve what is left would cost more than sixteen times as much.")
    else:
        lines.append(f"To halve what is left would take a design of about {answer.to_halve:.2g} FLOPs.")
    return lines


def mixture_in_words(answer: Design, place: int) -> str:
    """The mixture of the run at `place`, by language codes."""
    run = answer.runs[place].run
    codes = list(answer.shares_of(run))
    match run.mixture.kind:
        case "skew":
            top = max(answer.shares_of(run).items(), key=lambda item: item[1])
            return f"{top[0]} {top[1]:.0%}, others even"
        case "plan":
            return "as the plan"
        case "even":
            return f"even, {len(codes)} languages"
        case "repeated":
            return f"{codes[0]}, text repeated"
        case _:
            return " + ".join(codes)


def regret(value: float) -> str:
    """In percent; what is too small to matter is not written out."""
    return "under 0.001%" if value < 1e-5 else percent(value)
