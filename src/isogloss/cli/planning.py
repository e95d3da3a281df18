"""plan: one question, two side by side, or the user's own plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isogloss.cli.output import Json, console, print_json, progress_bar
from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.report.plan_reproduce import Reproduce


def plan(
    question: Path,
    other: Path | None = None,
    *,
    given: Path | None = None,
    params: Annotated[str | None, Parameter(name="--N")] = None,
    tokens: Annotated[str | None, Parameter(name="--D")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    picture: Path | None = None,
    draws: int = 100,
    level: float = 0.8,
    seed: int = 0,
    allow_assumed: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Answer a question file: size, tokens, mixture and epochs for a budget, with intervals and the evidence for each.

    Prints the plan and writes plan.json and plan.html. With a second question, both plans stand side by side; with
    --given, your own plan is evaluated and what would be better is told.

    Parameters
    ----------
    question
        A TOML file with the budget and the languages, such as examples/baltic.toml.
    other
        Another question, to compare its plan with the first.
    given
        Your own mixture, a CSV with the columns language and share, such as examples/given/estonian.csv.
    params
        With --given: your parameters, such as 8B; by default the plan's.
    tokens
        With --given: your training tokens, such as 35B; by default the plan's.
    output
        Folder to write into; by default the question's name with "-plan" ("-given", "-plans"). With --json, nothing is
        written unless this is given.
    picture
        Also write the plan's chart to this .png or .svg file.
    draws
        Draws of laws and transfer weights that intervals are made of; 0 leaves them out.
    level
        The central part of the draws that an interval holds.
    seed
        Seeds the random starts of the search, and the draws.
    allow_assumed
        Plan languages of whose text, law or transfer nothing is known, too, on assumptions that are marked as such.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.report.plan_reproduce import reproduce

    _refuse(other, given, params, tokens, picture)
    options: dict[str, Any] = {"draws": draws, "level": level, "seed": seed, "allow_assumed": allow_assumed}
    paths = [question, *([other] if other else [])]
    made = reproduce(paths, given=given, N=params, D=tokens, **options)
    if other is not None:
        _two(question, other, options, made, output, json)
    elif given is not None:
        _given(question, given, params, tokens, options, made, output, json)
    else:
        _one(question, options, made, output, picture, json)


def _refuse(
    other: Path | None, given: Path | None, params: str | None, tokens: str | None, picture: Path | None
) -> None:
    """Options that do not go together."""
    if other is not None and given is not None:
        raise InputError("a second question and a mixture", where="--given", hint="Give one question with --given.")
    if given is None:
        for name, value in (("--N", params), ("--D", tokens)):
            if value is not None:
                raise InputError(
                    f"{name} {value} is of your own plan",
                    where=name,
                    hint="Give its mixture too, --given mixture.csv; limits.max_params bounds the size of a plan.",
                )
    elif picture is not None:
        raise InputError("there is no picture of a given plan", where="--picture", hint="The page has charts: use -o.")
    if other is not None and picture is not None:
        raise InputError("there is no picture of two plans", where="--picture", hint="The page has charts: use -o.")


def _one(
    question: Path, options: dict[str, Any], made: Reproduce, output: Path | None, picture: Path | None, json: bool
) -> None:
    from isogloss.cli.plan_view import print_plan
    from isogloss.files import check_file
    from isogloss.planning import plan as make_plan
    from isogloss.planning import read_question
    from isogloss.planning.plan import STAGES

    folder = _folder(output, f"{question.stem}-plan", "plan.json", json)
    if picture is not None:
        check_file(picture, (".png", ".svg"))
    with _telling(STAGES) as tell:
        answer = make_plan(question, **options, progress=tell)
    found = {**answer.to_dict(), "reproduce": made.to_dict()}
    if folder is not None:
        from isogloss.planning.assumed import allowing
        from isogloss.report.plan_page import plan_page

        asked = allowing(read_question(question)) if options["allow_assumed"] else read_question(question)
        _write(folder, "plan", found, plan_page(answer, asked, made))
    if picture is not None:
        from isogloss.report import picture_of_plan, save_picture

        save_picture(picture_of_plan(answer), picture)
    _tell(found, lambda: print_plan(answer), folder, "plan", json)


def _given(
    question: Path,
    given: Path,
    params: str | None,
    tokens: str | None,
    options: dict[str, Any],
    made: Reproduce,
    output: Path | None,
    json: bool,
) -> None:
    from isogloss.cli.plan_view import print_given
    from isogloss.planning.given import STAGES, evaluate_given

    folder = _folder(output, f"{question.stem}-given", "given.json", json)
    with _telling(STAGES) as tell:
        answer = evaluate_given(question, given, N=params, D=tokens, **options, progress=tell)
    found = {**answer.to_dict(), "reproduce": made.to_dict()}
    if folder is not None:
        from isogloss.report.plan_given import given_page

        _write(folder, "given", found, given_page(answer, made))
    _tell(found, lambda: print_given(answer), folder, "given", json)


def _two(first: Path, second: Path, options: dict[str, Any], made: Reproduce, output: Path | None, json: bool) -> None:
    from isogloss.cli.plan_view import print_beside
    from isogloss.planning.beside import STAGES, beside

    folder = _folder(output, f"{first.stem}-{second.stem}-plans", "plans.json", json)
    with _telling(STAGES) as tell:
        answer = beside(first, second, **options, progress=tell)
    found = {**answer.to_dict(), "reproduce": made.to_dict()}
    if folder is not None:
        from isogloss.report.plan_beside import beside_page

        _write(folder, "plans", found, beside_page(answer, made))
    _tell(found, lambda: print_beside(answer), folder, "plans", json)


@contextmanager
def _telling(stages: Sequence[str]) -> Iterator[Callable[[str], None]]:
    with progress_bar() as report:
        yield lambda stage: report("planning", stages.index(stage), len(stages))


def _folder(output: Path | None, default: str, marker: str, json: bool) -> Path | None:
    """Where to write, None for nowhere; refused now and not after the work."""
    from isogloss.files import check_folder

    folder = output or (None if json else Path(default))
    if folder is not None:
        check_folder(folder, marker=marker)
    return folder


def _write(folder: Path, name: str, found: dict[str, Any], page: str) -> None:
    from json import dumps

    from isogloss.files import finite, new_folder

    with new_folder(folder, marker=f"{name}.json") as temporary:
        text = dumps(finite(found), indent=1, ensure_ascii=False) + "\n"
        (temporary / f"{name}.json").write_text(text, encoding="utf-8")
        (temporary / f"{name}.html").write_text(page, encoding="utf-8")


def _tell(found: dict[str, Any], show: Callable[[], None], folder: Path | None, name: str, json: bool) -> None:
    if json:
        print_json(found)
        return
    show()
    if folder is not None:
        where = f"\nWrote {folder / f'{name}.json'} and {folder / f'{name}.html'}."
        console().print(where, markup=False, soft_wrap=True)
