"""Languages: every published code is reachable, and names mean what people mean by them."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.languages import (
    SOURCES,
    Language,
    all_languages,
    family_of,
    get,
    resolve,
    search,
    tokens_available,
)
from isogloss.languages.table import language_from_row

ALL = all_languages(undetermined=True)
BY_CODE = {entry.code: entry for entry in ALL}


def resolved(query: str) -> str | None:
    try:
        return resolve(query)
    except InputError:
        return None


MEANS = {
    "sw": "swh_Latn",
    "swa": "swh_Latn",
    "swh": "swh_Latn",
    "swh_Latn": "swh_Latn",
    "swa_Latn": "swh_Latn",
    "swh-Latn": "swh_Latn",
    "SWH_LATN": "swh_Latn",
    " sw ": "swh_Latn",
    "Swahili": "swh_Latn",
    "kiswahili": "swh_Latn",
    "pt-BR": "por_Latn",
    "pt_BR": "por_Latn",
    "ca-valencia": "cat_Latn",
    "es-419": "spa_Latn",
    "en": "eng_Latn",
    "en-US": "eng_Latn",
    "zh": "cmn_Hani",
    "zh-Hans": "cmn_Hani",
    "zh-TW": "cmn_Hani",
    "zh-Hant-HK": "cmn_Hani",
    "zh-yue": "yue_Hani",
    "Cantonese": "yue_Hani",
    "Chinese": "cmn_Hani",
    "Mandarin": "cmn_Hani",
    "ja-Hira": "jpn_Jpan",
    "ko-Kore": "kor_Hang",
    "sr": "srp_Cyrl",
    "sr-Latn": "srp_Latn",
    "sr-ME": "srp_Latn",
    "sh": "srp_Latn",
    "sh-Cyrl": "srp_Cyrl",
    "Estonian": "ekk_Latn",
    "est": "ekk_Latn",
    "Latvian": "lvs_Latn",
    "Norwegian Bokmål": "nob_Latn",
    "norwegian bokmal": "nob_Latn",
    "no": "nob_Latn",
    "nn": "nno_Latn",
    "Persian": "fas_Arab",
    "Farsi": "fas_Arab",
    "pes": "fas_Arab",
    "Dari": "prs_Arab",
    "ar": "arb_Arab",
    "ar-EG": "arb_Arab",
    "ku": "kmr_Latn",
    "ku-Arab": "ckb_Arab",
    "ms": "zsm_Latn",
    "ms-Arab": "zsm_Arab",
    "uz": "uzn_Cyrl",
    "uz-Latn": "uzn_Latn",
    "uz-AF": "uzs_Arab",
    "az": "azj_Latn",
    "az-Arab": "azb_Arab",
    "pa-PK": "pnb_Arab",
    "sq": "als_Latn",
    "mn": "khk_Cyrl",
    "ps": "pbt_Arab",
    "om": "gaz_Latn",
    "ne": "npi_Deva",
    "or": "ory_Orya",
    "qu": "quy_Latn",
    "zza": "diq_Latn",
    "iw": "heb_Hebr",
    "in": "ind_Latn",
    "jw": "jav_Latn",
    "ji": "ydd_Hebr",
    "tl": "fil_Latn",
    "ger": "deu_Latn",
    "Mon": "khk_Cyrl",  # a code wins over a name
    "Dan": "dan_Latn",
    "Greek": "ell_Grek",
}


@pytest.mark.parametrize(("query", "code"), MEANS.items(), ids=list(MEANS))
def test_what_people_write_is_understood(query: str, code: str):
    assert resolve(query) == code


def test_counts_agree_with_the_sources():
    assert sum(entry.documents is not None for entry in ALL) == 1913
    assert sum(entry.undetermined for entry in ALL) == 43
    published = [p.code for entry in ALL for p in entry.other_premiums]
    published += [entry.premium_code for entry in ALL if entry.premium_code]
    assert len(published) == len(set(published)) == 1155
    for code in published:
        entry = get(code)
        assert code in (entry.premium_code, *(p.code for p in entry.other_premiums))


@given(st.sampled_from(ALL))
def test_a_canonical_code_is_its_own(entry: Language):
    assert resolve(entry.code) == resolve(entry.code.replace("_", "-").upper()) == entry.code
    assert entry.code == f"{entry.iso639_3}_{entry.script}"
    assert entry.script_name


@given(st.sampled_from([(e, alias) for e in ALL for alias in (*e.aliases, e.name) if not e.undetermined]))
def test_resolving_twice_changes_nothing(pair: tuple[Language, str]):
    entry, alias = pair
    code = resolved(alias)
    if code is None:
        assert "_" not in alias  # a name that several languages share
        return
    assert resolve(code) == code
    if "_" in alias:
        assert code == entry.code


@given(st.text(max_size=12) | st.from_regex(r"[a-z]{2,3}[-_][A-Za-z]{2,5}", fullmatch=True))
def test_any_text_gives_a_code_or_an_input_error(text: str):
    assert resolved(text) in {None, *BY_CODE}


@pytest.mark.parametrize(
    ("query", "hint"),
    {
        "Estonain": "Did you mean 'Estonian' (ekk_Latn)?",
        "Portugese": "Did you mean 'Portuguese' (por_Latn)?",
        "swx_Latn": "'swh_Latn' (Swahili)",
        "ekk_Cyrl": "Scripts of Standard Estonian: Latn (Latin).",
        "zh-Latn": "Scripts of Mandarin Chinese: Hani (Chinese characters).",
        "Mende": "men_Latn (Mende (Sierra Leone)), sim_Latn (Mende (Papua New Guinea))",
        "pt-bra": "Did you mean",
        "qqqqqqqqq": "isogloss.languages.search",
        "und": "und_Cyrl",
        "  ": "Give a code",
    }.items(),
)
def test_an_error_says_what_to_do(query: str, hint: str):
    with pytest.raises(InputError) as caught:
        resolve(query)
    assert hint in str(caught.value)


def test_the_better_premium_is_taken_and_the_other_kept():
    estonian = get("et")
    assert (estonian.premium_code, estonian.premium_basis) == ("est_Latn", "nllb")
    assert [(p.code, p.basis) for p in estonian.other_premiums] == [("ekk_Latn", "bible")]
    assert get("zh").premium_code == "zho_Hans"
    assert get("jpn").premium_code == "jpn_Jpan"


def test_missing_is_none_never_zero():
    english, undetermined = get("English"), get("und_Cyrl")
    assert (english.utf8_bytes, english.words, english.byte_premium) == (None, None, 1.0)
    assert (undetermined.words, undetermined.family, undetermined.byte_premium) == (None, None, None)


def test_tokens_of_a_language_with_a_premium():
    # 43,834,195,267 bytes of Estonian, 0.96779 bytes for an English byte, four English bytes to a token.
    estimate = tokens_available("ekk_Latn")
    assert estimate is not None
    assert estimate.tokens == pytest.approx(11_323_322_379, abs=1)
    assert estimate.kind == "assumed"
    assert "est_Latn" in estimate.source
    # 2,665,362,545,414 / (4 * 0.9359663917979646)
    mandarin = tokens_available("cmn_Hani")
    assert mandarin is not None
    assert mandarin.tokens == pytest.approx(7.1192795e11, rel=1e-6)


def test_tokens_of_english_are_as_published():
    estimate = tokens_available("eng_Latn", bytes_per_token=4.5)
    assert estimate is not None
    assert (estimate.tokens, estimate.kind, estimate.bytes) == (2_800_000_000_000, "published", None)
    assert "2510.22037" in estimate.source


def test_tokens_without_a_premium_borrow_from_the_script():
    cyrillic = sorted(e.byte_premium for e in all_languages() if e.script == "Cyrl" and e.byte_premium)
    assert len(cyrillic) % 2
    estimate = tokens_available("uzn_Cyrl")
    assert estimate is not None
    assert estimate.bytes_per_token == pytest.approx(4 * cyrillic[len(cyrillic) // 2])
    assert "assumed" in estimate.source
    alone = tokens_available("div_Thaa")  # no language in Thaana has a premium
    assert alone is not None
    assert "Thaa has none" in alone.source


def test_tokens_with_a_known_tokenizer():
    estimate = tokens_available("sw", bytes_per_token=4.0)
    assert estimate is not None
    assert estimate.tokens == round(3_311_669_706 / 4)
    with pytest.raises(InputError, match="must be positive"):
        tokens_available("sw", bytes_per_token=0)


def test_no_inventory_means_no_estimate():
    assert tokens_available("prs_Arab") is None


@pytest.mark.parametrize(
    ("query", "first"),
    {
        "swahili": "swh_Latn",
        "zh-Hans": "cmn_Hani",
        "Turkic": "tur_Latn",
        "Estonain": "ekk_Latn",
        "norweg": "nob_Latn",
        "Guarani": "gug_Latn",
    }.items(),
)
def test_search_finds_the_best_first(query: str, first: str):
    assert search(query)[0].code == first


def test_search_puts_more_text_first_at_equal_score():
    found = [entry.utf8_bytes or 0 for entry in search("Turkic", limit=40)]
    assert found == sorted(found, reverse=True)
    assert len(search("arabic", limit=3)) == 3
    assert search("") == []


def test_undetermined_text_stays_out_unless_asked_for():
    assert not any(entry.undetermined for entry in all_languages())
    assert not any(entry.undetermined for entry in search("und", limit=50))
    assert any(entry.undetermined for entry in search("und_Cyrl", undetermined=True))


def test_families_relate_languages():
    assert family_of("et") == family_of("fi") == "Uralic"
    assert family_of("bam") == family_of("sw")  # stray spellings are made one
    assert family_of("Basque") is None  # two isolates are not a family
    assert family_of("hat") is None


def test_sources_cite():
    assert all("arXiv" in SOURCES[key] for key in SOURCES if "premium" in key or "bytes" in key)
    assert any("1,913" in text for text in SOURCES.values())


def test_import_is_light():
    code = "import sys, isogloss.languages as l; l.resolve('sw'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "polars", "numpy", "langcodes", "language_data"} & set(done.stdout.split())


def test_tags_need_no_language_data():
    code = "import sys; sys.modules['language_data'] = None; import isogloss.languages as l; "
    code += "print(l.resolve('uz-AF'), l.resolve('zh-yue-HK'), l.resolve('pt-BR'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["uzs_Arab", "yue_Hani", "por_Latn"]


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    pytest.importorskip("language_data")  # needed to build the table, not to use it
    path = Path(__file__).parents[1] / "tools" / "build_languages.py"
    spec = importlib.util.spec_from_file_location("build_languages", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_facts(folder: Path) -> None:
    """The three published tables, read back out of the packaged one."""
    inventory = ("name", "family", "words", "documents", "utf8_bytes")
    write(
        folder / "fineweb2_languages.csv",
        (
            {"language": e.code} | {k: "-" if getattr(e, k) is None else getattr(e, k) for k in inventory}
            for e in ALL
            if e.documents is not None
        ),
    )
    premiums = [(e.premium_code, e.premium_basis, e, e) for e in ALL if e.premium_code]
    premiums += [(p.code, p.basis, p, e) for e in ALL for p in e.other_premiums]
    ratios = ("byte_premium", "char_premium", "bytes_per_char")
    write(
        folder / "byte_premiums_arnett2024.csv",
        (
            {"language": code, "family": e.family or "", "basis": basis} | {k: getattr(p, k) for k in ratios}
            for code, basis, p, e in premiums
        ),
    )
    write(
        folder / "atlas_unique_tokens.csv",
        ({"lang": e.iso639_3, "unique_tokens": e.madlad_tokens} for e in ALL if e.madlad_tokens),
    )


def test_the_facts_survive_a_round_trip(builder: ModuleType, tmp_path: Path):
    write_facts(tmp_path)
    records = builder.build(tmp_path)
    assert records == builder.build(tmp_path)
    rebuilt = [language_from_row(record) for record in records]
    # Names and aliases may follow a newer registry; the published numbers may not move.
    bare = {"name": "", "aliases": ()}
    assert [replace(entry, **bare) for entry in rebuilt] == [replace(entry, **bare) for entry in ALL]
