"""The documentation says what is true: links resolve, question files parse, Python runs, commands exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import app, run
from isogloss.planning.hardware import PEAK_FLOPS
from isogloss.planning.question import Assumptions, Budget, LanguageNeed, Limits, Question, read_question
from isogloss.runs.columns import COLUMNS
from isogloss.runs.read import FINISHED, UNFINISHED
from isogloss.units import LOSS_UNITS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCS = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}
CHEAP = ("expand", "laws", "languages", "runs", "fit", "predict")


@dataclass(frozen=True)
class Snippet:
    page: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def snippets(kind: str) -> list[Snippet]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if match[1] == kind:
                found.append(Snippet(page, text.count("\n", 0, match.start()) + 2, kind, match[2]))
    return found


def commands(snippet: Snippet) -> list[list[str]]:
    """The words of every command of a shell snippet, without comments, pipes and redirections."""
    lines = snippet.text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    ends = [next((i for i, w in enumerate(line) if w in ("|", ">")), len(line)) for line in words]
    return [line[:end] for line, end in zip(words, ends, strict=True) if line[:end]]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the examples and a small table of runs, as the pages assume it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    rng = np.random.default_rng(0)
    N, D = (a.ravel() for a in np.meshgrid([7e7, 1.6e8, 4e8, 1e9], [2e9, 4e9, 1.6e10, 6.4e10]))
    loss = (1.8 + 480 / N**0.347 + 2100 / D**0.367) * np.exp(rng.normal(0, 0.003, len(N)))
    ids = [f"run{i}" for i in range(len(N))]
    status = ["finished"] * len(N)
    table = pl.DataFrame({"run_id": ids, "N": N, "D": D, "loss": loss, "use": 1, "status": status})
    table.write_csv("runs.csv")
    return tmp_path


def test_there_is_something_to_test():
    assert {s.kind for kind in ("sh", "toml", "python") for s in snippets(kind)} == {"sh", "toml", "python"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("#"):
            continue
        assert (page.parent / target.split("#")[0]).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("snippet", snippets("toml"), ids=str)
@pytest.mark.usefixtures("workplace")
def test_question_files_parse(snippet):
    Path("myfit").mkdir()  # a question may name a saved fit, which must be there
    read_question(tomllib.loads(snippet.text))


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
@pytest.mark.usefixtures("workplace")
def test_python_runs(snippet):
    exec(compile(snippet.text, str(snippet), "exec", dont_inherit=True), {"__name__": "__main__"})


@pytest.mark.parametrize("snippet", snippets("sh"), ids=str)
def test_commands_exist(snippet):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for words in commands(snippet):
        if words[0] == "isogloss":
            app.parse_args(words[1:], exit_on_error=False, print_error=False)
        elif words[0] == "make":
            assert words[1] in targets
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file()
        else:
            assert words[:2] == ["pip", "install"], f"{snippet}: unknown command {shlex.join(words)}"


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.stem in {s.page.stem for s in snippets("sh")}], ids=lambda p: p.name
)
@pytest.mark.usefixtures("workplace")
def test_cheap_commands_run(page, capsys):
    """In the order of the page, since a command may read what an earlier one wrote."""
    for snippet in snippets("sh"):
        for words in commands(snippet):
            if snippet.page == page and words[0] == "isogloss" and words[1] in CHEAP:
                assert run(words[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["baltic", "hundred"])
def test_examples_are_questions(name):
    question = read_question(ROOT / "examples" / f"{name}.toml")
    assert len(question.languages) == {"baltic": 5, "hundred": 100}[name]


@pytest.mark.parametrize("table", [Question, Budget, LanguageNeed, Limits, Assumptions], ids=lambda t: t.__name__)
def test_question_keys_are_documented(table):
    text = DOCS["question-file"]
    for key in table.model_fields:
        row = re.search(rf"^(\| `{key}` \||## `\[{key}\]`)", text, re.MULTILINE)
        assert row, f"question-file.md does not document {key}"


def test_question_defaults_are_documented():
    text = DOCS["question-file"]
    for gpu in PEAK_FLOPS:
        assert gpu in text
    defaults = {
        "utilisation": Budget.model_fields["utilisation"].default,
        "weight": LanguageNeed.model_fields["weight"].default,
        "min_params": Limits.model_fields["min_params"].default,
        "max_params": Limits.model_fields["max_params"].default,
        "temperature": Assumptions.model_fields["temperature"].default,
        "vocabulary": Assumptions.model_fields["vocabulary"].default,
    }
    for key, value in defaults.items():
        row = re.search(rf"^\| `{key}` \|\s*([^|\s]*)\s*\|", text, re.MULTILINE)
        assert row
        assert float(row[1]) == value, f"the default of {key} is {value}"


def test_run_table_names_are_documented():
    text = DOCS["run-table"]
    for column in COLUMNS:
        for name in (column.name, *column.aliases):
            assert f"`{name}`" in text, f"run-table.md does not name {name}"
    for word in (*LOSS_UNITS, *FINISHED, *UNFINISHED):
        assert f"`{word}`" in text, f"run-table.md does not name {word}"


@pytest.mark.parametrize(
    "command",
    [
        "plan question.toml --json",
        "fit runs.csv --law chinchilla --draws 20 --flops 1e22 --json",
        "expand --languages 2x --json",
        "laws k-law --json",
        "languages swahili --json",
        "runs lint runs.csv --json",
    ],
)
def test_json_keys_are_documented(command, workplace, capsys):
    (workplace / "question.toml").write_text('budget = "1e20"\nlanguages = ["est", "lav"]\n', encoding="utf-8")
    assert run(shlex.split(command)) == 0
    answer = json.loads(capsys.readouterr().out)
    for listed in ("laws", "languages"):
        if isinstance(answer.get(listed), list):
            answer |= answer[listed][0]
    for key in (*answer, *answer.get("health", ())):
        assert f"`{key}`" in DOCS["json"], f"json.md does not document {key}"
