"""study: train a sweep of small models, and get the table that fit reads."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from isogloss.cli.output import Json, console, print_json, print_table, print_warnings, progress_bar
from isogloss.cli.parsing import listed_names
from isogloss.cli.study_view import print_corpus, print_manifest, print_rehearsal, run_rows, summary, view
from isogloss.errors import InputError
from isogloss.stores import looking, url_of, working

if TYPE_CHECKING:
    from isogloss.sweeps.prepared import Prepared

study = App(
    name="study",
    help="Train a sweep of small models of your languages, and get the table that fit reads.",
    result_action="return_value",
)

Executor = Literal["inline", "local", "ray", "torchrun"]


def _in_place(work: Callable[..., None], where: Callable[[Path], AbstractContextManager[Path]]) -> Callable[..., None]:
    """A command whose folder may lie in a store: it is given a local copy."""

    @wraps(work)
    def wrapped(folder: Path, *args: Any, **kwargs: Any) -> None:
        with where(folder) as place:
            work(place, *args, **kwargs)

    return wrapped


def _writing(work: Callable[..., None]) -> Callable[..., None]:
    return _in_place(work, working)


def _reading(work: Callable[..., None]) -> Callable[..., None]:
    return _in_place(work, looking)


@study.command
@_writing
def new(folder: Path, *, languages: str, text: Path | None = None) -> None:
    """Write a commented study.toml to start from.

    Parameters
    ----------
    folder
        The study's folder; made if it is not there.
    languages
        Codes or names, separated by commas: est_Latn,fin_Latn,eng_Latn.
    text
        A folder with one file (or subfolder) of text per language, named by its code: et.txt, fin_Latn.jsonl.gz.
    """
    from isogloss.sweeps.new import new_study
    from isogloss.sweeps.study import PLACEHOLDER

    path = new_study(folder, listed_names(languages), text)
    console().print(f"Wrote {path}. Look at it, then: isogloss study dry-run {folder}", markup=False, soft_wrap=True)
    if PLACEHOLDER in path.read_text(encoding="utf-8"):
        print_warnings(["for some languages no text was found: put its path where the file says so."])


@study.command
@_writing
def dry_run(folder: Path, *, json: Json = False) -> None:
    """Print every run with its size, FLOPs, time and disk, and the total. Trains nothing.

    Reads and tokenises the text, and measures the speed of each shape for a moment.

    Parameters
    ----------
    folder
        A folder with a study.toml.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.sweeps.rehearse import rehearse

    prepared = _prepare(folder)
    found = rehearse(prepared)
    if json:
        print_json(found.to_dict())
        return
    print_corpus(prepared)
    print_rehearsal(found)


@Parameter(name="*")
@dataclass(frozen=True)
class How:
    """How the runs of a study are trained.

    Parameters
    ----------
    executor
        inline (this process), local (processes of this machine), ray (a cluster that sees the folder) or torchrun
        (all processes train each run together: for models that one GPU does not hold).
    workers
        How many processes; by default one a core, or one a GPU.
    address
        A Ray cluster's, such as auto or head:6379.
    allow_orphans
        Go on although finished runs no longer belong to study.toml.
    """

    executor: Executor = "local"
    workers: int | None = None
    address: str | None = None
    allow_orphans: Annotated[bool, Parameter(negative=())] = False


_AS_USUAL = How()


@study.command
@_writing
def run(folder: Path, *, how: How = _AS_USUAL, json: Json = False) -> None:
    """Train what is not trained yet, and write the run table. Interrupt it at any time, and run it again.

    Parameters
    ----------
    folder
        A folder with a study.toml.
    json
        Print the manifest of the table as JSON and nothing else.
    """
    _run(folder, how, json)


@study.command
@_writing
def resume(folder: Path, *, how: How = _AS_USUAL, json: Json = False) -> None:
    """Go on with a study that was begun: from the last checkpoints, trying again what failed.

    Parameters
    ----------
    folder
        A folder in which study run was begun.
    json
        Print the manifest of the table as JSON and nothing else.
    """
    from isogloss.sweeps.layout import read_jobs

    read_jobs(folder)  # an error if nothing was begun
    _run(folder, how, json)


@study.command
@_reading
def status(folder: Path, *, runs: Annotated[bool, Parameter(negative=())] = False, json: Json = False) -> None:
    """Say how far a study is. Looks only: works beside a study that is running.

    Parameters
    ----------
    folder
        A folder in which study run was begun.
    runs
        List every run, and not only those at work and those that failed.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.sweeps.layout import read_jobs
    from isogloss.sweeps.status import survey

    found = survey(folder, read_jobs(folder))
    if json:
        print_json({**asdict(found), "counts": found.counts})
        return
    console().print(summary(found), markup=False, soft_wrap=True)
    shown = found.runs if runs else [r for r in found.runs if r.state in ("running", "failed", "diverged")]
    if shown:
        print_table("", *run_rows(shown), left=3, whole=("run", "what"))
    print_warnings([f"{r.label}: {r.error}" for r in found.runs if r.error])


@study.command
@_writing
def collect(folder: Path, *, json: Json = False) -> None:
    """Write the run table from what is trained so far: runs, exposure and evals as Parquet, and manifest.json.

    Parameters
    ----------
    folder
        A folder in which study run was begun.
    json
        Print the manifest as JSON and nothing else.
    """
    from isogloss.sweeps.collect import collect as write

    manifest = write(folder)
    if json:
        print_json(manifest)
        return
    print_manifest(folder, manifest)


@study.command
@_writing
def measure(
    folder: Path,
    *,
    text: Path,
    name: str | None = None,
    bytes: Annotated[str | None, Parameter(name="--bytes")] = None,
    runs: str | None = None,
    longest: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Measure finished models on further text: another domain, or languages that the study lacks.

    Writes measured/NAME.parquet in the study's folder, a table of runs that fit and runs lint read. What was measured
    on the same text is not measured again.

    Parameters
    ----------
    folder
        A folder in which study run was begun.
    text
        A folder with one file (or subfolder) of text per language, named by its code: et.txt, fin_Latn.jsonl.gz.
    name
        What the text is called, in the table too (eval_set); by default the folder's name.
    bytes
        Most text of each language, such as 32KB; by default as much as the study holds out.
    runs
        Only these runs: ids or their beginnings, separated by commas.
    longest
        Only each run's longest budget.
    json
        Print what was measured as JSON and nothing else.
    """
    _check_training_extra()
    from isogloss.sweeps.measure import measure as write
    from isogloss.units import parse_quantity

    chosen = listed_names(runs) if runs else []
    limit = None if bytes is None else int(parse_quantity(bytes, "bytes"))
    with progress_bar() as report:
        found = write(
            folder,
            text,
            name=name,
            bytes=limit,
            runs=chosen,
            longest=longest,
            progress=lambda done, of: report("measuring models", done, of),
        )
    if json:
        print_json({**asdict(found), "table": str(found.table)})
        return
    said = f"Measured {found.models} models on text of {len(found.languages)} languages, {found.new} of them now"
    console().print(f"{said}: {found.table}", markup=False, soft_wrap=True)
    print_warnings(found.notes)


@study.command
@_reading
def export(
    folder: Path,
    run_id: str,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    tokens: int | None = None,
) -> None:
    """Write a finished model with its tokenizer as a Hugging Face folder (LlamaForCausalLM).

    Parameters
    ----------
    folder
        The study's folder.
    run_id
        The run, or the beginning of its id.
    output
        The folder to write.
    tokens
        Which of the run's budgets; by default the longest.
    """
    from isogloss.sweeps.run import export as write

    console().print(f"Wrote {write(folder, run_id, tokens, output)}/", markup=False, soft_wrap=True)


# --- running ------------------------------------------------------------------------------------------------


def _run(folder: Path, how: How, json: bool) -> None:
    from isogloss.sweeps.layout import read_jobs
    from isogloss.sweeps.run import run as train
    from isogloss.sweeps.status import survey

    if url_of(folder) and how.executor in ("ray", "torchrun"):
        hint = "Put it on a disk that they share, or use the local executor."
        raise InputError(
            f"is remote, and the processes of {how.executor} need one folder", where=str(folder), hint=hint
        )
    # A batch system's polite request is an interruption: what is claimed is given back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prepared = _prepare(folder)
    jobs = prepared.jobs
    with view(lambda: survey(folder, jobs), quiet=json) as watch:
        manifest = train(prepared, **asdict(how), watch=watch)
    if json:
        print_json(manifest)
        return
    found = survey(folder, read_jobs(folder))
    print_manifest(folder, manifest)
    bad = [r for r in found.runs if r.state in ("failed", "diverged")]
    if bad:
        print_table("", *run_rows(bad), left=3, whole=("run", "what"))
    print_warnings([f"{r.label}: {r.error}" for r in bad if r.error])


def _prepare(folder: Path) -> Prepared:
    _check_training_extra()
    from isogloss.sweeps.prepared import prepare

    with progress_bar() as report:
        return prepare(folder, progress=lambda stage, fraction: report(stage, round(100 * fraction), 100))


def _check_training_extra() -> None:
    """InputError where the machine tower's libraries are not installed."""
    import importlib.util

    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        hint = "Install them: pip install 'isogloss[train]'."
        raise InputError(f"training needs {' and '.join(missing)}", where="study", hint=hint)
