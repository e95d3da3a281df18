"""The examples are questions that can be answered, and say what was trained: sources, sizes, mixtures that add up."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from isogloss import languages
from isogloss.cli.main import run
from isogloss.planning.question import read_question
from isogloss.units import parse_quantity

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
QUESTIONS = sorted(path.stem for path in EXAMPLES.glob("*.toml"))
GIVEN = sorted(path.stem for path in (EXAMPLES / "given").glob("*.csv"))
OWN = {"baltic", "hundred"}  # questions of nobody in particular
SMALL = ("catalan", "swahili")
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")


def text_of(question: str) -> str:
    return (EXAMPLES / f"{question}.toml").read_text(encoding="utf-8")


def given_lines(name: str) -> tuple[list[str], dict[str, float]]:
    """The header comments of a mixture that was trained, and its share per language."""
    lines = (EXAMPLES / "given" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert all(set(row) == {"language", "share"} for row in rows)
    shares = {row["language"]: float(row["share"]) for row in rows}
    assert len(shares) == len(rows), "a language is there twice"
    return comments, shares


def trained(name: str) -> tuple[float, float] | None:
    """N, and D in tokens of the whole run, from the header; None where D is not stated."""
    stated = next(line for line in given_lines(name)[0] if line.startswith("N = "))
    sizes = re.fullmatch(r"N = ([\d.]+[MB]), D = ([\d.]+B?)(?: of ([\d.]+B))?; .*", stated)
    if sizes is None:
        assert "D not stated" in stated
        return None
    return parse_quantity(sizes[1], "parameters"), parse_quantity(sizes[3] or sizes[2], "tokens")


def test_there_are_examples() -> None:
    assert len(set(QUESTIONS) - OWN) >= 8
    assert len(GIVEN) >= 6


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_parse_and_every_language_has_text(question: str) -> None:
    asked = read_question(EXAMPLES / f"{question}.toml")
    assert asked.title
    for code, need in asked.languages.items():
        assert need.tokens or need.bytes or languages.tokens_available(code), f"{code} has no text"


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - OWN))
def test_questions_name_their_source(question: str) -> None:
    assert re.search(r"arXiv:\d{4}\.\d{5}|card[\s#]+[\w-]+/[\w.-]+", text_of(question))


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_are_in_the_readme_with_their_command(question: str) -> None:
    assert f"isogloss plan examples/{question}.toml" in README
    assert f"isogloss plan examples/{question}.toml" in text_of(question)


def test_the_readme_names_only_what_is_there() -> None:
    for target in re.findall(r"\]\(([^)\s:]+)\)", README):
        assert (EXAMPLES / target).exists(), target
    assert set(re.findall(r"examples/([\w-]+)\.toml", README)) == set(QUESTIONS)


@pytest.mark.parametrize("name", GIVEN)
def test_given_shares_are_a_mixture_of_the_questions_languages(name: str) -> None:
    shares = given_lines(name)[1]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
    assert min(shares.values()) > 0
    assert [languages.resolve(code) for code in shares] == list(shares)
    assert set(shares) <= set(read_question(EXAMPLES / f"{name}.toml").languages)
    assert f"examples/given/{name}.csv" in text_of(name)


@pytest.mark.parametrize("name", GIVEN)
def test_budgets_are_what_was_spent(name: str) -> None:
    """The question has the compute of the run whose mixture is given: 6 N D of its header."""
    sizes = trained(name)
    if sizes is None:
        pytest.skip("its D is not stated")
    N, D = sizes
    budget = read_question(EXAMPLES / f"{name}.toml").budget.C
    assert budget == pytest.approx(6 * N * D, rel=0.01)
    assert re.search(r"#   N = ", text_of(name))


@pytest.mark.parametrize("question", [q for q in QUESTIONS if "examples/given/" in text_of(q)])
def test_given_files_that_questions_name_exist(question: str) -> None:
    for name in re.findall(r"examples/given/([\w-]+)\.csv", text_of(question)):
        assert name in GIVEN or "There is no" in text_of(question)


@pytest.mark.parametrize("question", SMALL)
def test_small_plans_run(question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / f"{question}.toml"
    assert run(["plan", str(path), "--draws", "0", "-o", str(tmp_path)]) == 0, capsys.readouterr().err
    answer = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    asked = read_question(path)
    assert 6 * answer["N"] * answer["D"] == pytest.approx(asked.budget.C, rel=1e-6)
    assert set(answer["languages"]) == set(asked.languages)
    assert sum(answer["shares"].values()) == pytest.approx(1)
    assert (tmp_path / "plan.html").stat().st_size > 0
