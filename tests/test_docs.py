"""The documentation says what is true: links resolve, question files parse, Python runs, commands exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import app, run
from isogloss.planning.hardware import PEAK_FLOPS
from isogloss.planning.question import (
    Assumptions,
    Budget,
    CorpusNeed,
    LanguageNeed,
    Limits,
    PhaseNeed,
    Question,
    StartFrom,
    read_question,
)
from isogloss.runs.columns import COLUMNS
from isogloss.runs.importing import read_mapping
from isogloss.runs.ladder import RUNGS, rung
from isogloss.runs.read import FINISHED, UNFINISHED
from isogloss.runs.study_table import EVALS, EXPOSURE, MANIFEST, RUNS, SCHEMA_VERSION
from isogloss.sweeps.study import (
    Evaluation,
    LanguageText,
    Machine,
    Mixture,
    Runs,
    Shape,
    Study,
    Tokenizer,
    Training,
    check_study,
    read_study,
)
from isogloss.units import LOSS_UNITS
from studies import tiny_study

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCS = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}
CHEAP = {
    ("expand", "--languages"),
    ("transfer", "measure"),
    ("laws",),
    ("languages",),
    ("runs",),
    ("fit",),
    ("predict",),
    ("study", "new"),
}


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
    _finished_study(tmp_path / "mystudy")
    _logs_of_runs(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "et.txt").write_text("Tere, maailm!\n", encoding="utf-8")
    (tmp_path / "texts" / "fin_Latn.jsonl.gz").touch()
    return tmp_path


def _logs_of_runs(folder: Path) -> None:
    """Logs of four runs, and the mapping that import.md edits."""
    (folder / "logs").mkdir()
    for i, N in enumerate((1e7, 2e7, 5e7, 1e8)):
        settings = {"model.n_params": N, "batch_size": 100 * (i + 1), "seq_len": 1000}
        rows = [{"step": s, "eval/sw/bpb": 1 + 40 / N**0.3 + 10 / s, **settings} for s in (100, 200, 300)]
        pl.DataFrame(rows).write_ndjson(folder / "logs" / f"run{i}.jsonl")
    text = '[losses]\n"eval/{language}/bpb" = "bits/byte"\n[run]\nparams_total = "model.n_params"\n'
    (folder / "map.toml").write_text(text + 'batch_tokens = "batch_size * seq_len"\n', encoding="utf-8")


def _finished_study(folder: Path) -> None:
    """The table of a study, as if it had been trained: two languages, alone and half and half."""
    folder.mkdir()
    shares = ({"ekk_Latn": 1.0}, {"fin_Latn": 1.0}, {"ekk_Latn": 0.5, "fin_Latn": 0.5})
    runs, exposure, evals = [], [], []
    for i, (mixture, N) in enumerate((m, N) for m in shares for N in (1e5, 2e5, 5e5, 1e6)):
        run = {"run_id": f"run{i}"}
        runs.append({**run, "params_total": int(N), "params_non_embedding": int(0.8 * N), "status": "finished"})
        exposure += [{**run, "language": code, "share": p, "unique_tokens": 2e6} for code, p in mixture.items()]
        for D, phase, code in (
            (D, p, c) for D in (5e5, 7e5, 1e6, 1.4e6, 2e6, 3e6) for p in ("stable", "final") for c in shares[2]
        ):
            loss = 1 + 30 / N**0.3 + 800 / (D * mixture.get(code, 0.01)) ** 0.5 + 0.3 * (phase == "stable")
            evals.append({**run, "tokens": int(D), "lr_phase": phase, "language": code, "loss": loss})
    flat = pl.DataFrame(evals).filter(pl.col("lr_phase") == "final").join(pl.DataFrame(runs), on="run_id")
    (folder / "measured").mkdir()
    flat.write_parquet(folder / "measured" / "prose.parquet")
    pl.DataFrame(runs).write_parquet(folder / RUNS)
    pl.DataFrame(exposure).write_parquet(folder / EXPOSURE)
    pl.DataFrame(evals).with_columns(unit=pl.lit("bits/byte")).write_parquet(folder / EVALS)
    (folder / MANIFEST).write_text(json.dumps({"schema_version": SCHEMA_VERSION}), encoding="utf-8")


def test_there_is_something_to_test():
    kinds = {"sh", "bash", "toml", "python"}
    assert {s.kind for kind in kinds for s in snippets(kind)} == kinds


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("#"):
            continue
        assert (page.parent / target.split("#")[0]).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("snippet", snippets("toml"), ids=str)
@pytest.mark.usefixtures("workplace")
def test_questions_and_studies_parse(snippet):
    Path("myfit").mkdir()  # a question may name a saved fit, which must be there
    raw = tomllib.loads(snippet.text)
    if "losses" in raw:
        read_mapping(raw)
    elif "runs" in raw:
        check_study(raw, str(snippet))
    elif set(raw) == {"languages"}:
        # Languages to add to a question.
        read_question({"budget": "1e20", **raw})
    else:
        read_question(raw)


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


@pytest.mark.parametrize("snippet", snippets("bash"), ids=str)
def test_batch_scripts_are_bash_and_their_commands_exist(snippet):
    subprocess.run(["bash", "-n", "-c", snippet.text], check=True)
    ours = [words[words.index("isogloss") + 1 :] for words in commands(snippet) if "isogloss" in words]
    assert ours
    for words in ours:
        app.parse_args(words, exit_on_error=False, print_error=False)


WITH_COMMANDS = [p for p in PAGES if p.stem in {s.page.stem for s in snippets("sh")}]
SLOW = {"transfer.md", "how-to-choose.md"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=pytest.mark.slow if p.name in SLOW else ()) for p in WITH_COMMANDS],
    ids=lambda p: p.name,
)
@pytest.mark.usefixtures("workplace")
def test_cheap_commands_run(page, capsys):
    """In the order of the page, since a command may read what an earlier one wrote."""
    for snippet in snippets("sh"):
        for words in commands(snippet):
            cheap = {tuple(words[1:2]), tuple(words[1:3])} & CHEAP
            if snippet.page == page and words[0] == "isogloss" and cheap:
                assert run(words[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["baltic", "hundred"])
def test_examples_are_questions(name):
    question = read_question(ROOT / "examples" / f"{name}.toml")
    assert len(question.languages) == {"baltic": 5, "hundred": 100}[name]


def test_example_study_is_made_without_a_download(tmp_path):
    script = ROOT / "examples" / "study" / "make_text.py"
    subprocess.run([sys.executable, script, tmp_path / "clones"], check=True, capture_output=True)
    assert len((tmp_path / "clones" / "eng.txt").read_bytes()) > 300_000
    assert set(read_study(tmp_path / "clones").languages) == {"eng_Latn", "eng_clone"}


@pytest.mark.parametrize(
    "table",
    [Question, Budget, LanguageNeed, CorpusNeed, PhaseNeed, Limits, StartFrom, Assumptions],
    ids=lambda t: t.__name__,
)
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


STUDY_TABLES = {
    "Top level": Study,
    "`[languages.<name>]`": LanguageText,
    "`[tokenizer]`": Tokenizer,
    "`[training]`": Training,
    "`[evaluation]`": Evaluation,
    "`[machine]`": Machine,
    "`[[runs]]`": Runs,
    "Sizes": Shape,
}


@pytest.mark.parametrize("heading", STUDY_TABLES)
def test_study_keys_and_defaults_are_documented(heading):
    section = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", DOCS["study-file"], re.MULTILINE | re.DOTALL)
    assert section, f"study-file.md has no section {heading}"
    keys = section[1][section[1].index("| key |") :]
    documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", keys, re.MULTILINE))
    fields = STUDY_TABLES[heading].model_fields
    assert set(documented) == set(fields)
    for key, cell in documented.items():
        default = fields[key].default
        if fields[key].is_required():
            assert cell == "required", key
        elif isinstance(default, bool):
            assert cell == str(default).lower(), key
        elif isinstance(default, str) and default:
            assert cell == f"`{default}`", key
        elif isinstance(default, int | float):
            assert float(cell) == default, key
        elif key == "seeds":
            assert (int(cell),) == default
        else:
            assert not re.fullmatch(r"`.*`|[\d._]+|true|false|required", cell), f"{key} has no default"


def test_mixtures_and_rungs_are_documented():
    for mixture in get_args(Mixture):
        assert re.search(rf"^\| `{mixture}` \|", DOCS["study-file"], re.MULTILINE)
    rows = re.findall(r"^\| `([\d.]+M)` \| (.*) \|$", DOCS["study-file"], re.MULTILINE)
    assert [name for name, _ in rows] == [name for name in RUNGS if not name.startswith("atlas")]
    for name, row in rows:
        small, large = rung(name, 256), rung(name, 8192)
        shape = [small.layers, small.d_model, small.d_ff, small.heads]
        counts = [small.params_non_embedding, small.params_total, large.params_total]
        assert [int(cell.replace(",", "")) for cell in row.split(" | ")] == shape + counts


def test_what_a_study_writes_is_documented(tmp_path, capsys):
    """Trains three models of 20 steps."""
    pytest.importorskip("torch")
    folder = tiny_study(tmp_path / "study")
    answers = {}
    for verb in ("dry-run", "run", "status", "collect"):
        command = ["study", verb, str(folder), *(["--executor", "inline"] if verb == "run" else []), "--json"]
        assert run(command) == 0, capsys.readouterr().err
        answers[verb] = json.loads(capsys.readouterr().out)
    assert answers["run"]["runs"] == {"finished": 3}
    for answer in answers.values():
        runs = answer["runs"][0] if isinstance(answer["runs"], list) else {}
        for key in (*answer, *runs):
            assert f"`{key}`" in DOCS["json"], f"json.md does not document {key}"
    section = DOCS["run-table"].split("## A study's folder")[1]
    for name in (RUNS, EXPOSURE, EVALS):
        for column in pl.read_parquet_schema(folder / name):
            assert f"`{column}`" in section, f"run-table.md does not document {column} of {name}"
    for key in answers["collect"]:
        assert f"`{key}`" in section, f"run-table.md does not document {key} of {MANIFEST}"


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
