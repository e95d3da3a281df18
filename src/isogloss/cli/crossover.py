"""crossover: scratch, continue, grow or merge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isogloss.cli.output import Json, console, number, print_json, print_table, print_warnings
from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.planning.crossover import Crossover

Repeated = Annotated[list[str] | None, Parameter(negative=())]
MARKER = "crossover.json"
# Points of a curve that are printed.
SHOWN = 5


def crossover(
    language: str | None = None,
    *,
    params: str | None = None,
    flops: str | None = None,
    checkpoint: str | None = None,
    checkpoint_params: str | None = None,
    checkpoint_tokens: str | None = None,
    share: float | None = None,
    tokenizer: str | None = None,
    runs: Path | None = None,
    where: Repeated = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    level: float = 0.9,
    draws: int | None = None,
    seed: int = 0,
    catalogue: Annotated[bool, Parameter(name="--list", negative=())] = False,
    json: Json = False,
) -> None:
    """Where to start a model: scratch, a checkpoint, growing or merging; and the budget at which that changes.

    Parameters
    ----------
    language
        The language, by name or code.
    params
        Size of the model, "2B"; by default the checkpoint's, or the best for --flops.
    flops
        Training compute, "1e22": says which way is ahead there.
    checkpoint
        A checkpoint of the catalogue (--list), or a name for your own with --checkpoint-params. With --runs, the
        checkpoint as column init names it.
    checkpoint_params
        Size of your own checkpoint.
    checkpoint_tokens
        Tokens that the checkpoint was trained on.
    share
        Share of the language in what the checkpoint was trained on, 0.02 for 2 %.
    tokenizer
        "same" if the model from scratch would have the checkpoint's tokenizer.
    runs
        A table of own runs, from scratch (column init empty) and continued: the crossing is then fitted.
    where
        Keep only rows that meet a condition, such as "lr_phase=final". Repeatable.
    output
        Folder to write crossover.json and crossover.html into.
    level
        Level of the intervals.
    draws
        Draws behind the intervals.
    seed
        Seeds the draws.
    catalogue
        List the checkpoints of the catalogue, and nothing else.
    json
        Print the whole answer as JSON and nothing else.
    """
    if catalogue:
        _list(json)
        return
    if language is None:
        raise InputError("no language", where="crossover", hint="For example: isogloss crossover Estonian --params 2B")
    from isogloss.files import check_folder
    from isogloss.planning.crossover import crossover as answer_for

    if output is not None:
        check_folder(output, marker=MARKER)
    own = {"params": checkpoint_params, "tokens": checkpoint_tokens, "mixture": share, "tokenizer": tokenizer}
    answer = answer_for(
        language,
        params=params,
        flops=flops,
        checkpoint=_checkpoint(checkpoint, own),
        runs=runs,
        where=where or (),
        level=level,
        draws=draws,
        seed=seed,
    )
    if output is not None:
        _write(answer, output)
    if json:
        print_json(answer.to_dict())
        return
    _print(answer)
    if output is not None:
        console().print(f"\nWrote {output / MARKER} and {output / 'crossover.html'}.", markup=False, soft_wrap=True)


def _checkpoint(name: str | None, own: dict[str, Any]) -> str | dict[str, Any] | None:
    """A name alone, or a name with what the user says of it."""
    given = {key: value for key, value in own.items() if value is not None}
    if not given:
        return name
    if name is None and "params" not in given:
        raise InputError(
            "the checkpoint has neither name nor size",
            where="crossover",
            hint="Give --checkpoint, or --checkpoint-params for your own.",
        )
    return {**given, "name": name} if name else given


def _list(json: bool) -> None:
    from isogloss.planning.checkpoints import checkpoints

    found = checkpoints()
    if json:
        print_json({"checkpoints": [c.to_dict() for c in found]})
        return
    from isogloss.units import format_quantity

    rows = [
        [
            c.name,
            format_quantity(c.params),
            format_quantity(c.tokens) if c.tokens else "",
            str(c.languages or ""),
            f"{c.vocab_size:,}" if c.vocab_size else "",
            str(len(c.mixture) or ""),
        ]
        for c in found
    ]
    headers = ["checkpoint", "params", "tokens", "languages", "vocabulary", "shares known"]
    print_table(f"{len(found)} checkpoints; what is not published is empty", headers, rows, left=1, whole=headers)
    console().print(
        "Sources: --list --json. Figures as the makers state them: read the card before you rely on one.", markup=False
    )


def _write(answer: Crossover, folder: Path) -> None:
    import json

    from isogloss.files import finite, new_folder
    from isogloss.report.answers import page_of

    page = page_of(answer)
    text = json.dumps(finite(answer.to_dict()), indent=1, ensure_ascii=False)
    with new_folder(folder, marker=MARKER) as temporary:
        (temporary / MARKER).write_text(text, encoding="utf-8")
        (temporary / "crossover.html").write_text(page, encoding="utf-8")


def _print(answer: Crossover) -> None:
    out = console()
    out.print(answer.recommendation, style="bold", markup=False, soft_wrap=True)
    rows = [[way.name, way.reason or _points(way.curve)] for way in answer.ways]
    print_table("\nWays to start", ["way", "expected loss against compute"], rows, left=2)
    print_table(
        "\nEvidence", ["what", "kind", "source"], [[e.quantity, e.kind, e.source] for e in answer.evidence], left=3
    )
    print_warnings(answer.warnings)


def _points(curve: Any) -> str:
    """Some points of a loss curve: loss, interval, compute."""
    last = len(curve.C) - 1
    said = []
    for i in (round(last * k / (SHOWN - 1)) for k in range(SHOWN)):
        band = "" if curve.low is None else f" ({number(float(curve.low[i]))} to {number(float(curve.high[i]))})"
        said.append(f"{number(float(curve.loss[i]))}{band} at {number(float(curve.C[i]), 2)}")
    return f"{', '.join(said)} FLOPs; {curve.unit}"
