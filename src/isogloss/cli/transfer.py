"""transfer: which language helps which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from isogloss.cli.output import Json, console, print_json, progress_bar
from isogloss.cli.parsing import listed_names
from isogloss.cli.transfer_options import (
    PUBLISHED,
    Per,
    Repeated,
    Which,
    cells,
    own_matrix,
    pair_features_of,
    with_published,
)
from isogloss.cli.transfer_view import (
    print_fitted,
    print_helpers,
    print_measured,
    print_shown,
    print_suggestions,
    print_validation,
)
from isogloss.errors import InputError

if TYPE_CHECKING:
    from isogloss.transfer import TransferMatrix

transfer = App(
    name="transfer", help="Which language helps which: measured, fitted, predicted.", result_action="return_value"
)

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Flag = Annotated[bool, Parameter(negative=())]


@transfer.command
def measure(
    runs: Path,
    *,
    output: Output = None,
    where: Repeated = None,
    ignore: str = "",
    bytes_per_token: str | None = None,
    anchor: float | None = None,
    per: Per = "token",
    level: float = 0.9,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Measure transfer from runs of one language and of pairs: scores (BTS) over anchors, with intervals.

    A pair of runs is compared only where size, tokenizer, schedule, learning-rate phase and evaluation are equal; what
    is refused is listed with the reason. Writes a folder that predict, suggest, show and a plan read.

    Parameters
    ----------
    runs
        A study's folder, or a .csv, .tsv, .parquet or .jsonl table with a row per run and checkpoint.
    output
        Folder to write into; by default the table's name with "-transfer". With --json, nothing is written
        unless this is given.
    where
        Keep only rows that meet a condition, such as "lr_phase=stable". Repeatable.
    ignore
        Columns that need not agree between the runs of a pair, with commas between.
    bytes_per_token
        A column that holds the bytes per token of each row's target: scores per byte are then there too.
    anchor
        Tokens d of the target alone at which scores are printed; by default the log-midpoint of what both cover.
    per
        Print scores per token or per byte.
    level
        Level of the intervals.
    seed
        Seeds the draws behind the intervals.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_folder
    from isogloss.report import to_html
    from isogloss.report.transfer_pages import measured_page
    from isogloss.transfer.measured import measure as make
    from isogloss.transfer.source import MEASURED

    folder = output or (None if json else Path(f"{runs.stem}-transfer"))
    if folder is not None:
        check_folder(folder, marker=MEASURED)
    found = make(
        runs, where=where or (), bytes_per_token=bytes_per_token, ignore=listed_names(ignore), level=level, seed=seed
    )
    if folder is not None:
        subtitle = f"{len(found.pairs)} scores from {found.source}, loss in {found.unit}"
        page = to_html("Transfer, measured", subtitle, measured_page(found, anchor, per), found.notes)
        found.save(folder, pages={"transfer.html": page})
    if json:
        print_json(found.to_dict(anchor, per))
        return
    print_measured(found, anchor, per)
    if folder is not None:
        _wrote(f"{folder}/ (transfer.json, curves.parquet, transfer.html)")


@transfer.command
def fit(
    fits: Path,
    *,
    output: Output = None,
    measured: Path | None = None,
    alone: Flag = False,
    cell: Repeated = None,
    level: float = 0.9,
    seed: int = 0,
    json: Json = False,
) -> None:
    """All weights of an ATLAS fit, drawn to what is predicted of their pairs where the runs say little.

    Parameters
    ----------
    fits
        The folder of `isogloss fit RUNS --law atlas` for several languages.
    output
        Folder to write into: scores.csv, evidence.csv (the runs' own scores, for predict and plan), transfer.html.
    measured
        A folder of `isogloss transfer measure`: its scores are set beside the fitted ones.
    alone
        The fit's own weights, drawn to nothing.
    cell
        Which of several cells of what was measured, as in eval_set=holdout. Repeatable.
    level
        Level of the intervals.
    seed
        Seeds draws.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_folder, new_folder
    from isogloss.fitting import load_languages
    from isogloss.report import to_html
    from isogloss.report.transfer_pages import fitted_cards
    from isogloss.transfer import TransferMatrix
    from isogloss.transfer.joint import fitted
    from isogloss.transfer.measured import MeasuredTransfer
    from isogloss.transfer.prediction import predict as predicted
    from isogloss.transfer.source import EVIDENCE, write_matrix

    if output is not None:
        check_folder(output, marker=EVIDENCE)
    loaded = load_languages(fits)
    beside = MeasuredTransfer.load(measured) if measured is not None else None
    own = fitted(loaded, level=level, seed=seed)
    answer = own
    if not alone:
        codes = list(dict.fromkeys(name for pair in own.pairs for name in pair))
        with progress_bar() as report:
            report("predicting", 0, 1)
            prediction = predicted(TransferMatrix.published(), codes, level=level, seed=seed)
            answer = fitted(loaded, prediction, level=level, seed=seed)
    compared = None
    if beside is not None:
        compared = answer.compare(beside, cell=cells(cell))
    if output is not None:
        page = to_html(
            "Transfer, fitted", f"{len(answer)} weights of {fits}", fitted_cards(answer, compared), answer.notes
        )
        with new_folder(output, marker=EVIDENCE) as temporary:
            write_matrix(own.matrix(), temporary / EVIDENCE)
            answer.frame().write_csv(temporary / "scores.csv")
            (temporary / "transfer.html").write_text(page, encoding="utf-8")
    if json:
        rows = {"level": level, "weights": answer.frame().to_dicts(), "notes": list(answer.notes)}
        print_json(rows | ({"compared": compared.to_dicts()} if compared is not None else {}))
        return
    print_fitted(answer, compared)
    if output is not None:
        _wrote(f"{output}/ (scores.csv, evidence.csv, transfer.html)")


@transfer.command
def predict(
    source: str = PUBLISHED,
    *,
    languages: str | None = None,
    output: Output = None,
    text: Repeated = None,
    uriel: Flag = False,
    alone: Flag = False,
    validate: Flag = False,
    which: Which | None = None,
    level: float = 0.9,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Fill the pairs that nobody measured: scores with intervals, from script, kinship, place, grammar and text.

    Parameters
    ----------
    source
        What was measured: a folder of `isogloss transfer measure`, a table with target, source, bts (and sd), or
        "published" (ATLAS). Pairs of your own come with the published ones as evidence, unless --alone.
    languages
        Codes or names with commas between; by default those of the source.
    output
        Folder to write into: scores.csv, evidence.csv, transfer.html.
    text
        Text of a language, as in et=estonian.txt: overlap of bytes and words then counts. Repeatable.
    uriel
        Also use the distances of URIEL+, if you have installed it.
    alone
        Use the scores of the source alone, not the published ones beside them.
    validate
        Leave out whole languages, predict them from the rest, and say how well that goes.
    level
        Level of the intervals.
    seed
        Seeds the draws of the model's scales.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.files import check_folder, new_folder
    from isogloss.report import to_html
    from isogloss.report.transfer_pages import prediction_cards
    from isogloss.transfer.prediction import predict as make
    from isogloss.transfer.source import EVIDENCE, write_matrix
    from isogloss.transfer.validation import validate as judge

    if output is not None:
        check_folder(output, marker=EVIDENCE)
    own = own_matrix(source, which)
    evidence = with_published(own, source, alone)
    codes = listed_names(languages) if languages is not None else list(own.languages)
    features = pair_features_of(codes, evidence, text, uriel)
    with progress_bar() as report:
        report("predicting", 0, 1)
        found = make(evidence, codes, features=features, level=level, seed=seed)
        judged = None
        if validate:
            report("leaving languages out", 0, 1)
            judged = judge(evidence, features=features, level=level, seed=seed, with_forest=False)
    if output is not None:
        subtitle = f"{len(found.languages)} languages, {found.level:.0%} intervals"
        cards = prediction_cards(found, evidence, source=source, judged=judged)
        page = to_html("Transfer, predicted", subtitle, cards, found.notes)
        with new_folder(output, marker=EVIDENCE) as temporary:
            write_matrix(evidence, temporary / EVIDENCE)
            found.frame().write_csv(temporary / "scores.csv")
            (temporary / "transfer.html").write_text(page, encoding="utf-8")
    if json:
        print_json(found.to_dict() | ({"validation": judged.scores.to_dicts()} if judged else {}))
        return
    print_helpers(found)
    if judged is not None:
        print_validation(judged)
    if output is not None:
        _wrote(f"{output}/ (scores.csv, evidence.csv, transfer.html)")


@transfer.command
def suggest(
    source: str = PUBLISHED,
    *,
    languages: str | None = None,
    question: Path | None = None,
    count: int = 10,
    params: str = "100M",
    tokens: str = "2B",
    alone: Flag = False,
    which: Which | None = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Name the pairs to measure next: those that narrow the matrix, or a plan, most per FLOP.

    Parameters
    ----------
    source
        What was measured: a folder of `isogloss transfer measure`, a table with target, source, bts, or "published".
    languages
        Codes or names with commas between; by default those of the source, or of the question.
    question
        A question file: pairs then count by how much they move its plan's loss.
    count
        How many pairs.
    params
        Parameters of the runs that would measure a pair.
    tokens
        Tokens of the run of both languages; a target's run alone has half of them.
    alone
        Use the scores of the source alone, not the published ones beside them.
    seed
        Seeds the draws of the model's scales.
    json
        Print the whole answer as JSON and nothing else.
    """
    from isogloss.transfer.prediction import predict as make
    from isogloss.transfer.suggestion import suggest as rank
    from isogloss.units import parse_quantity

    flops = 6 * parse_quantity(params, "parameters") * parse_quantity(tokens, "tokens")
    own = own_matrix(source, which)
    evidence = with_published(own, source, alone)
    codes = listed_names(languages) if languages is not None else list(own.languages)
    purpose, what = "matrix", "the whole matrix"
    if question is not None:
        from isogloss.planning.sensitivity import transfer_importance

        if languages is not None:
            raise InputError("--question names its own languages", where="--languages", hint="Leave one of them out.")
        codes, purpose = transfer_importance(question, seed=seed)
        what = f"the plan of {question.name}"
    with progress_bar() as report:
        report("predicting", 0, 1)
        found = make(evidence, codes, seed=seed)
        rows = rank(found, purpose=purpose, cost=flops, count=count)
    if json:
        print_json({"purpose": what, "flops_per_pair": flops, "suggestions": rows.to_dicts()})
        return
    print_suggestions(rows, what, flops)


@transfer.command
def show(
    source: str = PUBLISHED,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("transfer.html"),
    picture: Path | None = None,
    order: Literal["family", "cluster", "name"] = "family",
    which: Which | None = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Show a transfer matrix as a page: heatmap, top helpers, symmetry, and tests of script and family.

    Parameters
    ----------
    source
        A folder of `isogloss transfer`, a table with target, source, bts, or "published" (ATLAS's figure C.2).
    output
        The page to write.
    picture
        Also write the heatmap to this .png or .svg file.
    order
        Languages by family, next to those of alike scores (cluster), or by name.
    seed
        Seeds permutations and draws.
    json
        Print the scores as JSON and write nothing.
    """
    from isogloss.files import check_file, write_text
    from isogloss.report import save_picture, to_html
    from isogloss.report.transfer_pages import matrix_cards
    from isogloss.transfer.source import matrix_frame

    matrix = own_matrix(source, which)
    if json:
        print_json({"source": source, "scores": matrix_frame(matrix).to_dicts()})
        return
    check_file(output, (".html",))
    if picture is not None:
        check_file(picture, (".png", ".svg"))
    with progress_bar() as report:
        report("testing script and family", 0, 1)
        cards = matrix_cards(matrix, source=source, order=order, seed=seed)
    write_text(output, to_html("Transfer between languages", _subtitle(matrix, source), cards, ()))
    if picture is not None:
        save_picture(cards[0], picture)
    print_shown(cards)
    _wrote(str(output) + (f" and {picture}" if picture else ""))


def _subtitle(matrix: TransferMatrix, source: str) -> str:
    where = "ATLAS's published matrix" if source == PUBLISHED else source
    return f"{where}: {int(matrix.present().sum()):,} scores among {len(matrix.languages)} languages"


def _wrote(what: str) -> None:
    console().print(f"\nWrote {what}.", markup=False, soft_wrap=True)
