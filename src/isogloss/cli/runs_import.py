"""runs import: runs out of a tracker or logs into a study folder, with an account of every point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isogloss.cli.output import Json, console, print_json, print_table, print_warnings, progress_bar
from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.runs.importing import ImportReport

_SHOWN = 12


def import_(
    source: str,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    mapping: Annotated[Path | None, Parameter(name="--map")] = None,
    guess: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Import runs into a study folder that fit, lint and read_runs read. Run it again for what is new since.

    Parameters
    ----------
    source
        A path or URL (s3://): W&B offline runs, an MLflow store, TensorBoard files, trainer_state.json or
        results_*.json trees, JSONL or CSV logs, a study. Or a tracker: wandb:entity/project, mlflow:http://host:5000,
        mlflow:sqlite:///mlflow.db.
    output
        The study folder; made if it is not there.
    mapping
        Which metric is which loss, and where the rest stands: a TOML file (docs/import.md). Without it that of an
        earlier import into the folder, or a guess where nothing is left open.
    guess
        Print a mapping proposed from the names that are found, for editing, and import nothing.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.runs.importing import faster_way, guess_mapping, import_runs, open_source, other_kinds

    if guess:
        opened = open_source(source)
        others = other_kinds(source)
        with progress_bar() as progress:
            found = guess_mapping(opened, progress=progress)
        if json:
            print_json(
                {"source": opened.said} | {"mapping": found.toml, "missing": found.missing, "lacking": found.lacking}
            )
        else:
            print(found.toml)
            if others:
                print(f"isogloss: {others}", file=sys.stderr)
            for what in found.missing:
                print(f"isogloss: to be filled in: {what}", file=sys.stderr)
            for what in found.lacking:
                print(f"isogloss: not found: {what}", file=sys.stderr)
        return
    if output is None:
        raise InputError("no folder to write", where="--output", hint="Give one, -o study; or --guess for a mapping.")
    if said := faster_way(source):
        print(f"isogloss: {said}", file=sys.stderr)
    with progress_bar() as progress, _told_when_interrupted(progress) as watched:
        report = import_runs(source, output, mapping, progress=watched)
    if json:
        counts = {name: getattr(report, name) for name in ("new", "changed", "known", "skipped", "guessed")}
        print_json({**report.to_dict(), "out": report.out, **counts})
    else:
        _print(report)


@contextmanager
def _told_when_interrupted(progress: Any) -> Iterator[Any]:
    last: dict[str, tuple[int, int]] = {}

    def watched(stage: str, done: int, total: int) -> None:
        last[stage] = (done, total)
        progress(stage, done, total)

    try:
        yield watched
    except KeyboardInterrupt:
        if "runs" in last:
            done, total = last["runs"]
            print(f"\nisogloss: {done} of {total} runs are read and kept; the same command goes on.", file=sys.stderr)
        raise


def _print(report: ImportReport) -> None:
    out = console()
    fresh = f"{report.new} new, {report.changed} changed, {report.known} as before"
    gone = f", {report.gone} no longer in the source" if report.gone else ""
    skipped = f"; {report.skipped} skipped by name" if report.skipped else ""
    out.print(f"{report.source}: {len(report.runs)} runs ({fresh}{gone}){skipped}", markup=False, soft_wrap=True)
    if report.guessed:
        guessed = f"The mapping is a guess, written to {report.out}/map.toml: look it over."
        out.print(guessed, markup=False, soft_wrap=True)
    used = report.kept - report.losses
    rows = [
        ("points logged", report.logged),
        ("read", report.read),
        ("kept as losses", report.losses),
        ("used for tokens, rates and errors", used),
        ("left out", report.read - report.kept),
    ]
    print_table("", ["points", ""], [[name, f"{count:,}"] for name, count in rows])
    left = report.left_out()
    if left:
        shown = [[metric, why, f"{points:,}", str(runs)] for metric, why, points, runs in left[:_SHOWN]]
        more = f" ({len(left) - _SHOWN} more lines in import.json)" if len(left) > _SHOWN else ""
        print_table(f"\nLeft out{more}", ["metric", "why", "points", "runs"], shown, left=2)
    troubles = _troubles(report)
    more = [f"{len(troubles) - _SHOWN} more troubles in import.json."] if len(troubles) > _SHOWN else []
    print_warnings([*report.notes, *troubles[:_SHOWN], *more])
    if report.lacking:
        out.print("\nWhat a law will lack", style="bold")
    for text in report.lacking:
        first, *rest = text.split("\n")
        out.print(f"  ! {first}", markup=False, soft_wrap=True, highlight=False)
        for line in rest:
            out.print(f"    {line}", markup=False, soft_wrap=True, highlight=False)
    out.print(f"\nWrote {report.out}. Next: isogloss runs lint {report.out}", markup=False, soft_wrap=True)


def _troubles(report: ImportReport) -> list[str]:
    """The same of several files or runs is said once."""
    same: dict[tuple[str, str], list[Any]] = {}
    for trouble in report.troubles:
        same.setdefault((trouble["what"], trouble["hint"]), []).append(trouble)
    out: list[str] = []
    for (what, hint), troubles in same.items():
        places = list(dict.fromkeys(trouble["where"] for trouble in troubles))
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        lost = sum(trouble["lost"] or 0 for trouble in troubles)
        said = f"{places[0]}{more}: {what}{f' ({lost} lost)' if lost else ''}."
        out.append(f"{said} {hint}" if hint else said)
    return out
