"""Bad input from the shell: exit code 2, one message that names the place, nothing printed or left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from isogloss.cli.main import run
from simulate import chinchilla

TABLE = chinchilla(4, 4).frame(noise=3e-3)
HEADER = "N,D,loss\n"
ROWS = [f"{N:.6g},{D:.6g},{loss:.6g}" for N, D, loss in TABLE.select("N", "D", "loss").rows()]
GOOD = HEADER + "\n".join(ROWS) + "\n"
QUESTION = 'budget = "1e21"\n[languages.Estonian]\n[languages.English]\n'


def with_loss(value: str, row: int = 3) -> str:
    """The good table with another loss in one data row, counted from 1."""
    rows = [f"{r.rsplit(',', 1)[0]},{value}" if i == row else r for i, r in enumerate(ROWS, start=1)]
    return HEADER + "\n".join(rows) + "\n"


def with_column(name: str, values: list[str]) -> str:
    lines = [f"{r},{values[i % len(values)]}" for i, r in enumerate(ROWS)]
    return f"N,D,loss,{name}\n" + "\n".join(lines) + "\n"


FIT = ["fit", "runs.csv", "--law", "chinchilla", "--starts", "4", "--draws", "0"]
PLAN = ["plan", "question.toml"]

TABLES: dict[str, tuple[str | bytes | None, list[str]]] = {
    "missing file": (None, ["runs.csv", "no such file"]),
    "empty file": ("", ["runs.csv", "empty"]),
    "header only": (HEADER, ["runs.csv"]),
    "not UTF-8": (GOOD.encode() + b"\xff,1,2\n", ["runs.csv", "UTF-8"]),
    "no loss": ("N,D\n1e9,2e10\n1e9,3e10\n", ["runs.csv", "loss"]),
    "negative loss": (with_loss("-2.5"), ["runs.csv, row 3", "loss", "-2.5"]),
    "zero loss": (with_loss("0"), ["runs.csv, row 3", "loss", "'0'"]),
    "NaN loss": (with_loss("NaN"), ["runs.csv, row 3", "loss", "NaN"]),
    "infinite loss": (with_loss("inf"), ["runs.csv, row 3", "loss", "inf"]),
    "text as loss": (with_loss("bad"), ["runs.csv, row 3", "loss", "'bad'"]),
    "no tokens": (GOOD.replace(",D,", ",steps,"), ["runs.csv", "tokens"]),
    "two units": (with_column("unit", ["nats/token", "bits/byte"]), ["runs.csv", "nats/token", "bits/byte"]),
    "one run only": (with_column("run_id", ["a"]), ["runs.csv", "one run only"]),
    "too few rows": (HEADER + "\n".join(ROWS[:4]) + "\n", ["runs.csv", "4 rows cannot determine 5"]),
    "all losses equal": (
        HEADER + "\n".join(f"{r.rsplit(',', 1)[0]},2.5" for r in ROWS),
        ["runs.csv", "losses equal 2.5"],
    ),
}

COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "unknown law": ([*FIT[:3], "chinchila"], ["'chinchila'", "'chinchilla'"]),
    "unknown objective": ([*FIT, "--objective", "hubber-log"], ["'hubber-log'", "'huber-log'"]),
    "unknown coefficient": ([*FIT, "--fix", "alfa=0.3"], ["'alfa'", "'alpha'"]),
    "coefficient out of bounds": ([*FIT, "--fix", "alpha=9"], ["--fix alpha", "9"]),
    "coefficient in words": ([*FIT, "--fix", "alpha=big"], ["--fix alpha", "'big'"]),
    "coefficient without value": ([*FIT, "--fix", "alpha"], ["--fix", "'alpha'"]),
    "unknown unit": ([*FIT, "--unit", "nats/tokne"], ["'nats/tokne'", "nats/token"]),
    "unknown column": ([*FIT, "--where", "lss>2"], ["'lss'", "'loss'"]),
    "condition that no row meets": ([*FIT, "--where", "D<1"], ["runs.csv", "no row is left"]),
    "mapped column": ([*FIT, "--column", "N=sizes"], ["'sizes'"]),
    "unknown target": ([*FIT, "--target", "et"], ["runs.csv", "target"]),
    "budget in tokens": ([*FIT, "--flops", "10B tokens"], ["--flops", "'10B tokens'"]),
    "negative delta": ([*FIT, "--delta", "-1"], ["delta", "-1"]),
    "delta that is no number": ([*FIT, "--delta", "nan"], ["delta", "nan"]),
    "level above one": ([*FIT, "--level", "90"], ["level"]),
    "no starts": ([*FIT, "--starts", "0"], ["starts"]),
    "negative seed": ([*FIT, "--seed", "-1"], ["seed", "-1"]),
    "starts in words": ([*FIT[:4], "--starts", "many"], ["--starts", "many"]),
    "unknown option": ([*FIT, "--objectiv", "squared"], ["--objectiv"]),
    "missing law": (FIT[:2], ["--law"]),
    "missing argument": (["fit"], ["RUNS"]),
    "unknown verb": (["plann"], ["plann", "plan"]),
    "parameter count that is not there": ([*FIT, "--params", "non_embedding"], ["params_non_embedding", "runs.csv"]),
    "predict without a fit": (["predict", "nowhere", "N=1e9"], ["nowhere", "fit.json"]),
    "predict of a question": (["predict", "question.toml", "N=1e9"], ["question.toml"]),
    "no factor": (["expand", "--languages", "some"], ["--languages", "'some'"]),
    "no languages": (["expand"], ["--languages"]),
    "unknown published law": (["laws", "chinchila"], ["'chinchila'"]),
    "unknown language": (["languages", "Qqqqqq"], ["'Qqqqqq'"]),
    "no limit": (["languages", "et", "--limit", "0"], ["limit"]),
    "lint of nothing": (["runs", "lint", "rusn.csv"], ["rusn.csv", "'runs.csv'"]),
    "plan of a folder": (["plan", "."], ["cannot be read"]),
    "negative seed of a plan": ([*PLAN, "--seed", "-1"], ["seed", "-1"]),
    "picture of another kind": ([*PLAN, "--picture", "plan.doc"], ["plan.doc", ".png"]),
    "picture in no folder": ([*PLAN, "--picture", "nowhere/plan.svg"], ["nowhere"]),
    "output over a file": ([*PLAN, "-o", "runs.csv"], ["runs.csv", "is a file"]),
    "output over other files": ([*FIT, "-o", "."], ["holds other files"]),
    "output below a file": ([*PLAN, "-o", "runs.csv/plan"], ["runs.csv"]),
}

QUESTIONS: dict[str, tuple[str, list[str]]] = {
    "unknown language": (QUESTION.replace("Estonian", "Estonain"), ["'Estonain'", "Estonian"]),
    "unknown key": (QUESTION + "wieght = 2", ["languages.English", "'wieght'", "'weight'"]),
    "unknown accelerator": (
        QUESTION.replace('"1e21"', "{gpu = 'H10', gpu_hours = 5}"),
        ["budget.gpu", "'H10'", "'H100'"],
    ),
    "budget that no model meets": (QUESTION.replace("1e21", "1e3"), ["budget", "train no model"]),
    "shares that sum to more than 1": (QUESTION + "[limits]\nmin_share = 0.7", ["sum to 1.4"]),
    "empty": ("", ["languages"]),
    "not TOML": ("budget 1e21", ["not TOML"]),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(GOOD, encoding="utf-8")
    Path("question.toml").write_text(QUESTION, encoding="utf-8")
    return tmp_path


def refusal(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The message on stderr, after checking all that a refusal must and must not do."""
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    code = run(arguments)
    captured = capsys.readouterr()
    assert code == 2, captured.out
    assert captured.out == ""
    assert captured.err.startswith("isogloss: ")
    assert "Traceback" not in captured.err
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before
    return captured.err


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["for people", "json"])
@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(case: str, json: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, says = TABLES[case]
    table = here / "runs.csv"
    if content is None:
        table.unlink()
    else:
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal([*FIT, *json], here, capsys)
    for part in says:
        assert part in message


def test_shares_that_do_not_sum_to_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{r},et,0.5,0.2" for r in ROWS]
    (here / "runs.csv").write_text("N,D,loss,target,share:et,share:en\n" + "\n".join(lines), encoding="utf-8")
    message = refusal([*FIT[:3], "family"], here, capsys)
    assert "runs.csv, row 1" in message
    assert "0.7" in message


@pytest.mark.parametrize("case", COMMANDS)
def test_bad_commands(case: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, says = COMMANDS[case]
    message = refusal(arguments, here, capsys)
    for part in says:
        assert part.casefold() in message.casefold()


@pytest.mark.parametrize("case", QUESTIONS)
def test_bad_questions(case: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, says = QUESTIONS[case]
    (here / "question.toml").write_text(text, encoding="utf-8")
    message = refusal(PLAN, here, capsys)
    for part in ("question.toml", *says):
        assert part in message


def test_an_empty_working_directory_as_output(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be swapped for the finished folder, nor may it be left with half of one."""
    empty = here / "empty"
    empty.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(empty)
        code = run(["plan", "../question.toml", "-o", "."])
    captured = capsys.readouterr()
    assert code in (0, 2), captured.err
    left = {p.name for p in empty.iterdir()}
    assert left == ({"plan.json", "plan.html"} if code == 0 else set())


def test_a_file_as_the_output_of_a_verb_that_writes_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "question.toml").write_text(QUESTION, encoding="utf-8")
    for words in (
        [*PLAN, "-o", "plan.html"],
        [*FIT, "-o", "fit.json"],
        ["runs", "show", "runs.csv", "-o", "page.html"],
    ):
        assert "is the name of a file" in refusal(words, here, capsys)


def test_bad_points_of_a_prediction(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FIT, "-o", "fit"]) == 0
    capsys.readouterr()
    cases = {
        ("N=1e9",): "needs D",
        ("N=1e9", "D=-1"): "'-1'",
        ("N=1e9", "D=much"): "'much'",
        ("N=1e9", "D"): "'D'",
        (): "points or --runs",
        ("N=1e9", "D=2e10", "--runs", "runs.csv"): "points or --runs",
        ("--runs", "nowhere.csv"): "nowhere.csv",
    }
    for points, says in cases.items():
        assert says in refusal(["predict", "fit", *points], here, capsys)


def test_a_point_has_no_column_that_the_law_does_not_know(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FIT, "-o", "fit"]) == 0
    capsys.readouterr()
    assert "'Z'" in refusal(["predict", "fit", "N=1e9", "D=2e10", "Z=3"], here, capsys)
