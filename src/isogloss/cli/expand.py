"""expand: more languages, by the K law or by the planner's law for a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from isogloss.cli.output import Json, console, percent, print_json, print_table, print_warnings, progress_bar
from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.planning.expand import Expansion
    from isogloss.planning.expand_full import FullExpansion, View
    from isogloss.planning.expand_path import EqualLoss
    from isogloss.planning.expand_problem import Span
    from isogloss.planning.marginal import Marginal


def expand(
    question: Path | None = None,
    *,
    languages: str | None = None,
    at: Literal["loss", "compute"] | None = None,
    fit: Path | None = None,
    flops: str | None = None,
    add: Annotated[list[str] | None, Parameter(negative=())] = None,
    add_file: Path | None = None,
    candidates: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    draws: int = 100,
    level: float = 0.8,
    seed: int = 0,
    json: Json = False,
) -> None:
    """What serving more languages takes at equal loss, and costs at equal compute.

    With --languages by the K law, for even mixtures; with a question file by the planner's law, for its own mixture
    and text: languages added together (--add), or each candidate alone (--candidates).

    Parameters
    ----------
    question
        A question file, as `isogloss plan` reads it.
    languages
        How many times as many, "2x", or from how many to how many, "10->20".
    at
        K law: keep the loss (the default), or the compute.
    fit
        K law: a folder with an own fit of it (isogloss fit runs.csv --law k-law), for intervals.
    flops
        K law, at equal compute with --fit and "10->20": the training FLOPs at which to tell the change of the loss.
    add
        A language to add to the question, by name or code; may be repeated.
    add_file
        A TOML file with [languages.NAME] tables of languages to add, with their weight and text.
    candidates
        Languages to try one at a time: names with commas between, or those of the same family, of the same script, or
        all.
    output
        Folder to write expand.json and expand.html into.
    draws
        Draws of laws and transfer weights that intervals are made of; 0 leaves them out.
    level
        The central part of the draws that an interval holds.
    seed
        Seeds the search and the draws.
    json
        Print the whole answer as JSON and nothing else.
    """
    added = bool(add) or add_file is not None
    _refuse(question, languages, added=added, candidates=candidates, of_k_law=(at, fit, flops))
    if output is not None:
        from isogloss.files import check_folder

        check_folder(output, marker="expand.json")
    if question is None:
        assert languages is not None
        _by_k_law(languages, at or "loss", fit, flops, output, json)
        return
    if added:
        _add(question, add or [], add_file, output, draws, level, seed, json)
    else:
        assert candidates is not None
        _candidates(question, candidates, output, draws, level, seed, json)


def _refuse(
    question: Path | None,
    languages: str | None,
    *,
    added: bool,
    candidates: str | None,
    of_k_law: Sequence[object],
) -> None:
    """Options that do not go together."""
    if question is None and (added or candidates is not None):
        raise InputError(
            "no question to add languages to",
            where="--add" if added else "--candidates",
            hint="Name its file: isogloss expand question.toml --add Latgalian.",
        )
    if question is None and languages is None:
        raise InputError(
            "how many more languages?",
            where="--languages",
            hint="Say --languages 2x, or give a question: isogloss expand question.toml --add Latgalian.",
        )
    if question is None:
        return
    if languages is not None or any(option is not None for option in of_k_law):
        raise InputError(
            "--languages, --at, --fit and --flops are of the K law, which takes no question",
            where=str(question),
            hint="With a question say --add or --candidates: equal loss and equal compute are both shown.",
        )
    if added == (candidates is not None):
        raise InputError(
            "both --add and --candidates" if added else "no language to add",
            where=str(question),
            hint="Say --add Latgalian, or --candidates family (or script, all, or names).",
        )


def _by_k_law(
    languages: str,
    at: Literal["loss", "compute"],
    fit: Path | None,
    flops: str | None,
    output: Path | None,
    json: bool,
) -> None:
    from isogloss.planning.expand import expand as factors
    from isogloss.planning.expand import parse_languages
    from isogloss.units import parse_quantity

    r, K = parse_languages(languages)
    C = None if flops is None else parse_quantity(flops, "flops")
    answer = factors(r, at=at, fit=fit, K=K, C=C)
    if output is not None:
        _write(output, answer)
    if json:
        print_json(answer.to_dict())
        return
    _print_k_law(answer)
    _tell_written(output)


_FACTORS = {
    "N_factor": "parameters N",
    "D_factor": "tokens D, all languages",
    "D_per_language_factor": "tokens per language",
    "C_factor": "compute C",
    "reducible_loss_factor": "reducible loss L - E",
}


def _print_k_law(answer: Expansion) -> None:
    rows = []
    for name, words in _FACTORS.items():
        bounds = answer.intervals.get(name)
        known = bounds is not None and bounds.low != bounds.high
        between = f"{bounds.low:.3f} - {bounds.high:.3f}" if known and bounds is not None else ""
        rows.append([words, f"x {getattr(answer, name):.3g}", between])
    heads = {"rounding": "rounding of the printed digits", "none": "no interval"}
    interval = heads.get(answer.intervals_of) or f"{answer.level:.0%} of the fit's draws"
    print_table(
        f"{answer.r:g} times as many languages at equal {answer.at}", ["", "factor", interval], rows, whole=["factor"]
    )
    out = console()
    if answer.loss is not None:
        told = answer.loss
        within = f" ({told.change.low:+.2%} to {told.change.high:+.2%})" if told.change else ""
        out.print(
            f"From {told.K:g} languages at {told.C:.3g} FLOPs the loss goes from {told.before:.4f} to "
            f"{told.after:.4f}: {told.after / told.before - 1:+.2%}{within}",
            markup=False,
            soft_wrap=True,
        )
    out.print(f"{answer.kind.capitalize()}: {answer.source}", markup=False, soft_wrap=True)
    print_warnings(answer.warnings)


def _add(
    question: Path,
    names: list[str],
    file: Path | None,
    output: Path | None,
    draws: int,
    level: float,
    seed: int,
    json: bool,
) -> None:
    from isogloss.planning.expand_full import expand_question, read_additions
    from isogloss.planning.expand_problem import further_languages
    from isogloss.planning.question import read_question

    asked = read_question(question)
    needs = further_languages(asked, names, where="--add")
    if file is not None:
        more = further_languages(asked, read_additions(file, asked), where=str(file))
        twice = sorted(set(needs) & set(more))
        if twice:
            raise InputError(f"{', '.join(twice)} is named twice", where=str(file), hint="Leave it out of --add.")
        needs |= more
    with progress_bar() as report:
        stages: list[str] = []

        def tell(stage: str) -> None:
            stages.append(stage)
            report("expanding", len(stages), 4)

        answer = expand_question(asked, needs, draws=draws, level=level, seed=seed, progress=tell)
    if output is not None:
        _write(output, answer)
    if json:
        print_json(answer.to_dict())
        return
    _print_full(answer)
    _tell_written(output)


def _candidates(
    question: Path, candidates: str, output: Path | None, draws: int, level: float, seed: int, json: bool
) -> None:
    from isogloss.cli.parsing import listed_names
    from isogloss.planning.marginal import GROUPS, marginal
    from isogloss.planning.question import read_question

    asked = read_question(question)
    wanted = candidates.strip().casefold()
    chosen = wanted if wanted in GROUPS else listed_names(candidates)
    with progress_bar() as report:
        answer = marginal(asked, chosen, draws=draws, level=level, seed=seed, progress=report)
    if output is not None:
        _write(output, answer)
    if json:
        print_json(answer.to_dict())
        return
    _print_marginal(answer)
    _tell_written(output)


def _write(folder: Path, answer: Expansion | FullExpansion | Marginal) -> None:
    import json

    from isogloss.files import finite, new_folder
    from isogloss.report.answers import page_of

    page = page_of(answer)
    with new_folder(folder, marker="expand.json") as temporary:
        text = json.dumps(finite(answer.to_dict()), indent=1, ensure_ascii=False) + "\n"
        (temporary / "expand.json").write_text(text, encoding="utf-8")
        (temporary / "expand.html").write_text(page, encoding="utf-8")


def _tell_written(folder: Path | None) -> None:
    if folder is not None:
        text = f"\nWrote {folder / 'expand.json'} and {folder / 'expand.html'}."
        console().print(text, markup=False, soft_wrap=True)


def _print_full(answer: FullExpansion) -> None:
    from isogloss.languages import get
    from isogloss.units import format_quantity

    names = {code: get(code).short_name for code in answer.languages}
    out = console()
    view = answer.main
    print_table("The question's languages together", ["capacity", *_COSTS], [_costs(v) for v in answer.views])
    print_table(
        f"\nAt {answer.C:.3g} FLOPs, capacity {view.capacity}",
        ["plan", "N", "D", "languages"],
        [
            [words, format_quantity(plan.N), format_quantity(plan.D), str(len(plan.shares))]
            for words, plan in (("as asked", view.before), ("with the new ones", view.after))
        ],
    )
    headers = ["language", "share before", "after", "loss before", "after", "change"]
    rows = []
    for i, code in enumerate(answer.languages):
        old = i < len(answer.old)
        before = [percent(float(view.before.shares[i])), f"{view.before.loss[i]:.4f}"] if old else ["", ""]
        change = _signed(view.change[i]) if old else "new"
        loss = f"{view.after.loss[i]:.4f}"
        rows.append(
            [f"{names[code]} ({code})", before[0], percent(float(view.after.shares[i])), before[1], loss, change]
        )
    print_table("", headers, rows, whole=["change"])
    if answer.draws:
        out.print(f"In brackets: {answer.level:.0%} of {answer.draws} draws.", markup=False)
    print_warnings(answer.warnings)


_COSTS = ("loss, equal compute", "compute, equal loss", "value of their text")


def _costs(view: View) -> list[str]:
    return [view.capacity, _signed(view.cost), _compute(view.at_equal_loss), _signed(view.taught)]


def _print_marginal(answer: Marginal) -> None:
    from isogloss.languages import get
    from isogloss.units import format_quantity

    rows = []
    for candidate in answer.candidates:
        main, others = candidate.main, candidate.effects[1:]
        rows.append(
            [
                f"{get(candidate.language).short_name} ({candidate.language})",
                format_quantity(candidate.text),
                percent(main.share),
                _signed(main.taught),
                _signed(main.cost),
                _compute(main.at_equal_loss),
                *(_two_digits(effect.cost.value) for effect in others),
            ]
        )
    headers = ["candidate", "text", "share", "value to others", "cost elsewhere", "or compute"]
    headers += [f"cost, {effect.capacity}" for effect in answer.candidates[0].effects[1:]]
    print_table("Each candidate alone, the most valuable first", headers, rows)
    if answer.draws:
        console().print(f"In brackets: {answer.level:.0%} of {answer.draws} draws.", markup=False)
    print_warnings(answer.warnings)


def _signed(number: Span) -> str:
    if number.low is None or number.high is None:
        return _two_digits(number.value)
    return f"{_two_digits(number.value)} [{_two_digits(number.low)}, {_two_digits(number.high)}]"


def _two_digits(fraction: float) -> str:
    """Per cent with two digits: +0.74%, -0.0071%; 0% where it is less than anything that is known."""
    scaled = 100 * fraction
    return "0%" if abs(scaled) < 1e-3 else f"{scaled:+.2g}%" if abs(scaled) < 10 else f"{scaled:+.0f}%"


def _compute(found: EqualLoss) -> str:
    factor = found.factor
    if factor is None:
        return "none keeps it"
    if factor.low is None or factor.high is None:
        return f"{factor.value - 1:+.1%}"
    return f"{factor.value - 1:+.1%} [{factor.low - 1:+.1%}, {factor.high - 1:+.1%}]"
