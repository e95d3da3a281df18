"""Which names of a table are languages."""

import pytest

from isogloss.runs.names import canonical_name, judge_names, name_notes

CODES = {"de": "deu_Latn", "en": "eng_Latn", "fr": "fra_Latn", "zh": "cmn_Hani"}


def test_tables_of_codes_are_languages():
    assert judge_names(CODES).languages == CODES


@pytest.mark.parametrize("name", ["c4", "massivetext", "arxiv", "pile_cc", "en_clone1", "wikipedia_en", "law", "code"])
def test_corpora_are_kept(name):
    assert judge_names([name]).languages == {}
    assert judge_names([name, "de"])[name] == name
    assert canonical_name(name) == name


def test_a_domain_beside_languages_stays_a_domain():
    judged = judge_names(["en", "de", "code"])
    assert judged.languages == {"en": "eng_Latn", "de": "deu_Latn"}
    assert judged.kept == ("code",)


def test_a_code_among_domains_stays_a_domain():
    judged = judge_names(["arxiv", "github", "se", "de"])
    assert judged.languages == {}
    assert judged.undecided == ("se", "de")
    assert any("se, de could be language codes" in note for note in name_notes(judged, judged.undecided))


def test_a_script_decides_anywhere():
    assert judge_names(["arxiv", "github", "zh-Hans", "deu_Latn"]).languages == {
        "zh-Hans": "cmn_Hani",
        "deu_Latn": "deu_Latn",
    }


def test_clones_and_catch_alls_do_not_vote():
    judged = judge_names(["en", "other", "total", *(f"en_clone{i}" for i in range(9))])
    assert judged.languages == {"en": "eng_Latn"}
    assert "other" not in judged.kept


def test_english_names():
    assert judge_names(["German", "swahili"]).languages == {"German": "deu_Latn", "swahili": "swh_Latn"}


def test_notes_name_what_is_used():
    judged = judge_names(["de", "fr", "c4"])
    assert name_notes(judged, ["deu_Latn", "c4"]) == [
        "names read as languages: de = deu_Latn.",
        "c4 is not a language known to isogloss: kept as it is.",
    ]
    assert name_notes(judge_names(["deu_Latn"]), ["deu_Latn"]) == []
