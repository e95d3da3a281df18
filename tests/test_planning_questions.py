"""Questions that cannot be answered: each message names the file, the key and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isogloss.errors import InputError
from isogloss.planning import plan, read_question

GOOD = """
title = "A test"
[budget]
flops = "1e21"
[languages.Estonian]
[languages.English]
weight = 0.5
"""


def refusal(path: Path, text: str | bytes | None) -> str:
    """What a question file is refused with; no file at all for None."""
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        plan(path)
    return str(caught.value)


def test_the_good_question_is_good(tmp_path: Path) -> None:
    path = tmp_path / "question.toml"
    path.write_text(GOOD, encoding="utf-8")
    asked = read_question(path)
    assert list(asked.languages) == ["ekk_Latn", "eng_Latn"]
    assert asked.languages["eng_Latn"].weight == 0.5
    assert asked.budget.C == 1e21


BAD: dict[str, tuple[str | bytes | None, list[str]]] = {
    # files
    "missing file": (None, ["no such file"]),
    "empty": ("", ["languages"]),
    "not TOML": (GOOD + "[budget", ["not TOML"]),
    "not UTF-8": (GOOD.encode() + b'\ntitel = "\xff"', ["not UTF-8 at byte"]),
    "key twice": (GOOD + "[budget]\n", ["not TOML"]),
    # unknown names, with near misses
    "top-level key": ("titel = 'x'\n" + GOOD, ["'titel'", "'title'"]),
    "section": (GOOD + "[limit]\nmax_epochs = 2", ["'limit'", "'limits'"]),
    "budget key": (GOOD.replace("flops =", "flop ="), ["budget", "'flop'", "'flops'"]),
    "language key": (GOOD.replace("weight", "weigth"), ["languages.English", "'weigth'", "'weight'"]),
    "limits key": (GOOD + "[limits]\nmax_epoch = 2", ["limits", "'max_epoch'", "'max_epochs'"]),
    "assumptions key": (GOOD + "[assumptions]\ndoses = 'equal'", ["assumptions", "'doses'", "'dose'"]),
    "language": (GOOD.replace("Estonian", "Estonain"), ["languages", "'Estonain'", "Estonian"]),
    "language code": (GOOD.replace("Estonian", "ekk_Latin"), ["languages", "'ekk_Latin'", "ekk_Latn"]),
    "accelerator": (GOOD.replace('flops = "1e21"', 'gpu = "H10"\ngpu_hours = 5'), ["budget.gpu", "'H10'", "'H100'"]),
    "laws": (GOOD + "[assumptions]\nlaws = 'multi-vocab'", ["assumptions.laws", "multi-vocab-mono-train"]),
    "dose": (GOOD + "[assumptions]\ndose = 'twice'", ["assumptions.dose", "'equal'"]),
    # budgets
    "two budgets": (
        GOOD.replace("[budget]", "[budget]\ngpu = 'H100'\ngpu_hours = 10"),
        ["budget", "both flops and gpu"],
    ),
    "no budget": (GOOD.replace('flops = "1e21"', ""), ["budget", "no budget", "flops"]),
    "no budget section": (GOOD.replace('[budget]\nflops = "1e21"', ""), ["budget", "missing"]),
    "hours without accelerator": (GOOD.replace('flops = "1e21"', "gpu_hours = 10"), ["no budget"]),
    "budget in tokens": (
        GOOD.replace('"1e21"', '"10B tokens"'),
        ["budget.flops", "'10B tokens'", "FLOPs belongs here"],
    ),
    "negative budget": (GOOD.replace('"1e21"', "-1e21"), ["budget.flops", "not positive"]),
    "zero budget": (GOOD.replace('"1e21"', "0"), ["budget.flops", "not positive"]),
    "budget in words": (GOOD.replace('"1e21"', '"a lot"'), ["budget.flops", "'a lot'"]),
    "budget is not a number": (GOOD.replace('"1e21"', "nan"), ["budget.flops", "nan"]),
    "infinite budget": (GOOD.replace('"1e21"', "inf"), ["budget.flops", "not finite"]),
    "budget is a truth value": (GOOD.replace('"1e21"', "true"), ["budget.flops"]),
    "budget is a list": (GOOD.replace('[budget]\nflops = "1e21"', "budget = [1e21]"), ["budget"]),
    "budget that no model meets": (GOOD.replace('"1e21"', "1e3"), ["budget", "train no model"]),
    "budget beyond all text": (GOOD.replace('"1e21"', "1e40"), ["no model meets the budget"]),
    "utilisation above 1": (
        GOOD.replace('flops = "1e21"', "gpu = 'H100'\ngpu_hours = 5\nutilisation = 40"),
        ["budget.utilisation", "40"],
    ),
    # languages
    "no languages": ('budget = "1e21"', ["languages", "no languages"]),
    "empty languages": ('budget = "1e21"\nlanguages = []', ["languages", "no languages"]),
    "languages as text": ('budget = "1e21"\nlanguages = "Estonian"', ["languages"]),
    "a number as language": ('budget = "1e21"\nlanguages = ["et", 3]', ["languages", "3 is not a language"]),
    "nameless language": ('budget = "1e21"\nlanguages = [""]', ["languages", "empty language name"]),
    "one language twice": (GOOD + "[languages.et]\n", ["languages", "ekk_Latn is there twice", "'et'", "'Estonian'"]),
    "a need that is no table": ('budget = "1e21"\n[languages]\nEstonian = 3', ["languages.Estonian"]),
    "all weights zero": (
        GOOD.replace("[languages.Estonian]", "[languages.Estonian]\nweight = 0").replace("0.5", "0"),
        ["languages", "every language has weight 0"],
    ),
    "negative weight": (GOOD.replace("0.5", "-1"), ["languages.English.weight", "-1"]),
    "infinite weight": (GOOD.replace("0.5", "inf"), ["languages.English.weight", "inf"]),
    "weight that is no number": (GOOD.replace("0.5", "nan"), ["languages.English.weight", "nan"]),
    "share above 1": (GOOD.replace("weight = 0.5", "share = 50"), ["languages.English.share", "50"]),
    "tokens in bytes": (GOOD.replace("weight = 0.5", 'tokens = "1 GB"'), ["languages.English.tokens", "1 GB"]),
    "no text": (GOOD.replace("weight = 0.5", "tokens = 0"), ["languages.English.tokens", "not positive"]),
    "endless tokens": (
        GOOD.replace("weight = 0.5", "bytes = '1 GB'\nbytes_per_token = inf"),
        ["languages.English.bytes_per_token", "inf"],
    ),
    "zero epochs": (GOOD.replace("weight = 0.5", "max_epochs = 0"), ["languages.English.max_epochs"]),
    "a fit that is not there": (GOOD.replace("weight = 0.5", 'fit = "nowhere"'), ["languages.English.fit", "nowhere"]),
    "corpus without a name": (
        GOOD.replace("weight = 0.5", "corpora = [{ tokens = '1B' }]"),
        ["languages.English.corpora.0.name: missing", 'name = "web"'],
    ),
    "one corpus as a table": (
        GOOD.replace("weight = 0.5", "corpora = { name = 'a', tokens = '1B' }"),
        ["languages.English.corpora", "no list of tables", "[[languages.<name>.corpora]]"],
    ),
    "a target in words": (
        GOOD.replace('flops = "1e21"', 'target = { Estonian = "good" }'),
        ["budget.target.Estonian", "'good'", 'like = "English"'],
    ),
    "one phase as a table": (GOOD + "[phases]\nname = 'a'", ["phases", "no list of tables", "[[phases]]"]),
    "a phase's part misspelled": (
        GOOD + "[[phases]]\nname = 'a'\nshare = 0.5\n[[phases]]\nname = 'b'\npart = 0.5",
        ["phases.0", "unknown key 'share'"],
    ),
    "start as a number": ("start = 5\n" + GOOD, ["start", "5 is no table of keys", "gemma-3-1b"]),
    # limits
    "min shares over 1": (GOOD + "[limits]\nmin_share = 0.6", ["sum to 1.2, above 1"]),
    "max_params too small": (GOOD + "[limits]\nmax_params = '2M'", ["max_params 2M"]),
    "size in tokens": (GOOD + "[limits]\nmax_params = '2B tokens'", ["limits.max_params", "2B tokens"]),
    "epochs in words": (GOOD + "[limits]\nmax_epochs = 'few'", ["limits.max_epochs", "few"]),
    "epochs that are no number": (GOOD + "[limits]\nmax_epochs = nan", ["limits.max_epochs", "nan"]),
    "vocabulary of one": (GOOD + "[assumptions]\nvocabulary = 1", ["assumptions.vocabulary", "1"]),
    "endless decay": (GOOD + "[assumptions]\nrepetition_decay = inf", ["assumptions.repetition_decay", "inf"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_questions_name_file_and_key(case: str, tmp_path: Path) -> None:
    text, says = BAD[case]
    path = tmp_path / "question.toml"
    message = refusal(path, text)
    assert "question.toml" in message
    for part in says:
        assert part in message
    assert len(message.splitlines()) <= 3, "one message and one hint"
    assert {p.name for p in tmp_path.iterdir()} <= {"question.toml"}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "question.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert list(read_question(path).languages) == ["ekk_Latn", "eng_Latn"]


def test_a_folder_is_no_question(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_question(tmp_path)


@pytest.mark.parametrize(
    "question",
    [{}, {"budget": 1e21}, {"budget": 1e21, "languages": "et"}, {"budget": None, "languages": ["et"]}],
    ids=str,
)
def test_bad_mappings_are_refused(question: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="question"):
        plan(question)


def test_a_mapping_is_left_as_it_was() -> None:
    question = {"budget": "1e21", "languages": ["et"]}
    read_question(question)
    assert question == {"budget": "1e21", "languages": ["et"]}
