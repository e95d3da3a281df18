"""Build the packaged language table from the published inventories.

    python tools/build_languages.py FACTS_DIR

FACTS_DIR holds fineweb2_languages.csv, byte_premiums_arnett2024.csv and atlas_unique_tokens.csv.
Needs `langcodes` and `language_data`; the same inputs and versions give identical bytes.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from langcodes import Language
from langcodes.data_dicts import LANGUAGE_REPLACEMENTS, MACROLANGUAGES, NORMALIZED_MACROLANGUAGES
from langcodes.registry_parser import parse_registry

Facts = list[dict[str, str]]

OUT = Path(__file__).resolve().parents[1] / "src/isogloss/languages/data/languages.csv"
BASES = ("flores", "nllb", "bible")  # best first: professional translation, mined text, one old book

# A macrolanguage stands for its individual language with most text, except where people mean another one.
MEANT = {
    "hbs": "srp_Latn",  # CLDR reads `sh` as sr-Latn; by text it would be Bosnian
    "kur": "kmr_Latn",  # CLDR, Google and MADLAD-400 write Central Kurdish as `ckb`, Kurmanji as `ku`
    "msa": "zsm_Latn",  # ISO puts Indonesian, with ten times the text, under Malay; nobody writes it `ms`
    "que": "quy_Latn",  # FLORES's Quechua; by text it would be a Kichwa of Ecuador
    "zza": "diq_Latn",  # CLDR's Zaza, known as Dimli; by text it would be Kirmanjki
}
# The same language, under a code that no macrolanguage relation explains.
SAME = {
    "ajp_Arab": "apc_Arab",  # ISO 639-3 merged South into Levantine Arabic in 2023
    "pan_Arab": "pnb_Arab",  # CLDR's code for what ISO 639-3 calls Western Panjabi
    "tgl_Latn": "fil_Latn",  # CLDR: `tl` is `fil`, the standard register of Tagalog
}
# FineWeb2 says Hani for Chinese characters, whichever form they take.
HANI = ("Hans", "Hant")
# Other Sinitic languages in Latin letters are not what `zh-Latn` (romanised Mandarin) means.
NOT_BY_SCRIPT = {"zho_Latn"}
# English names in common use that neither the IANA registry nor CLDR lists.
COMMON_NAMES = {
    "arb": ("Modern Standard Arabic",),
    "ckb": ("Sorani", "Sorani Kurdish"),
    "cmn": ("Mandarin", "Simplified Chinese", "Traditional Chinese"),
    "ell": ("Greek",),
    "fas": ("Farsi",),
    "fil": ("Tagalog",),
    "ind": ("Bahasa Indonesia",),
    "kmr": ("Kurmanji", "Kurmanji Kurdish"),
    "nno": ("Nynorsk",),
    "nob": ("Bokmål",),
    "zsm": ("Bahasa Melayu", "Malaysian"),
}
# One spelling per family: FineWeb2's usual one, for its own strays and for the premium table's names.
FAMILIES = {
    "Atlantic-Congo": "Niger-Congo",
    "Central Sudanic": "Nilo-Saharan",
    "Constructed language": "Artificial Language",
    "Gunwinyguan": "Australian",
    "Kadu": "Nilo-Saharan",
    "Mande": "Niger-Congo",
    "Oto-Manguean": "Otomanguean",
    "Pama-Nyungan": "Australian",
    "Saharan": "Nilo-Saharan",
    "other": "Creole",  # its one language that FineWeb2 lacks is Naga Pidgin, a creole of Assamese
    "-": "",
}


@dataclass
class Row:
    code: str
    name: str
    family: str
    words: str = ""
    documents: str = ""
    utf8_bytes: str = ""
    madlad_tokens: str = ""
    premiums: list[dict[str, str]] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        return int(self.utf8_bytes or 0)


Rows = dict[str, Row]


def alpha3(subtag: str) -> str:
    """ISO 639-3 for a two-letter code; anything else as it is. (`hbs` left ISO 639-1 with `sh`.)"""
    if len(subtag) != 2:
        return subtag
    return "hbs" if subtag == "sh" else Language.make(language=subtag).to_alpha3()


def iana_names() -> dict[str, list[str]]:
    records = (r for r in parse_registry() if r["Type"] == "language" and "Subtag" in r)
    return {alpha3(r["Subtag"]): r["Description"] for r in records if ".." not in r["Subtag"]}


def retired() -> dict[str, str]:
    """Codes no longer in use, or of the older ISO 639-2/B, and the ISO 639-3 code to read for each."""
    plain = {
        old: alpha3(new)
        for old, new in LANGUAGE_REPLACEMENTS.items()
        if re.fullmatch("[a-z]{2,3}", old) and re.fullmatch("[a-z]{2,3}", new)
    }
    return {old: new for old, new in plain.items() if old != new} | {"mol": "ron"}


def macrolanguages() -> dict[str, set[str]]:
    members = defaultdict(set)
    for individual, macro in MACROLANGUAGES.items():
        members[alpha3(macro)].add(alpha3(individual))
    return members


def largest(rows: Rows, languages: set[str], script: str | None = None) -> Row | None:
    found = [r for c, r in rows.items() if c[:3] in languages and script in (None, c[4:])]
    return min(found, key=lambda r: (-r.size, r.code), default=None)


def meant_by(rows: Rows, macro: str, members: set[str], script: str | None = None) -> Row | None:
    """The row that a macrolanguage code stands for, in one script or in that with most text."""
    if f"{macro}_{script}" in NOT_BY_SCRIPT:
        return None
    if macro not in MEANT:
        return largest(rows, members, script)
    row = rows[MEANT[macro]]
    if script is None:
        return row
    return largest(rows, {row.code[:3]}, script) or largest(rows, members, script)


def home(code: str, rows: Rows, macros: dict[str, set[str]]) -> str:
    """The canonical code for a premium: FineWeb2's if it has the language, else the premium's own."""
    language, script = code.split("_")
    script = "Hani" if script in HANI else script
    here = SAME.get(code, f"{language}_{script}")
    if here in rows:
        return here
    if language in macros:
        row = meant_by(rows, language, macros[language], script)
        return row.code if row else code
    # FineWeb2 writes a few macrolanguages; CLDR says which individual language each one stands for.
    upper = f"{alpha3(NORMALIZED_MACROLANGUAGES.get(language, language))}_{script}"
    return upper if upper in rows else code


def read(path: Path) -> Facts:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fineweb2_rows(facts: Facts) -> Rows:
    rows = {}
    for fact in facts:
        family = FAMILIES.get(fact["family"], fact["family"])
        words = fact["words"].strip("-")
        rows[fact["language"]] = Row(
            fact["language"], fact["name"], family, words, fact["documents"], fact["utf8_bytes"]
        )
    return rows


def add_premiums(rows: Rows, facts: Facts, names: dict[str, list[str]]) -> None:
    macros = macrolanguages()
    homes = {fact["language"]: home(fact["language"], rows, macros) for fact in facts}
    families = {code[:3]: row.family for code, row in rows.items()}
    for fact in sorted(facts, key=lambda f: f["language"]):
        code = homes[fact["language"]]
        if code not in rows:
            family = families.get(code[:3]) or FAMILIES.get(fact["family"], fact["family"])
            rows[code] = Row(code, names[code[:3]][0], family)
        rows[code].premiums.append(fact)
        if fact["language"] != code:
            rows[code].aliases.add(fact["language"])
    for code, row in rows.items():
        # Best basis first; at the same basis the language's own code, then Hans (most of it) before Hant.
        row.premiums.sort(key=lambda f, c=code: (BASES.index(f["basis"]), f["language"] != c, f["language"]))


def add_subtag_aliases(rows: Rows) -> dict[str, Row]:
    """Every code without a script that some row answers to; the codes as added to the rows."""
    answers = {code[:3]: largest(rows, {code[:3]}) for code in rows if not code.startswith("und")}
    macros = macrolanguages()
    for individual, macro in NORMALIZED_MACROLANGUAGES.items():
        if alpha3(macro) in answers:
            answers.setdefault(alpha3(individual), answers[alpha3(macro)])
    for macro, members in sorted(macros.items()):
        answers.setdefault(macro, meant_by(rows, macro, members))
    for same, code in sorted(SAME.items()):
        answers.setdefault(same[:3], rows.get(code))
    for old, new in sorted(retired().items()):
        answers.setdefault(old, answers.get(new))
    found = {subtag: row for subtag, row in answers.items() if row}
    for language, row in list(found.items()):
        two_letters = Language.get(language).language or ""
        if len(two_letters) == 2 and alpha3(two_letters) == language:
            found[two_letters] = row
    found |= {"sh": found["hbs"]} if "hbs" in found else {}
    for subtag, row in found.items():
        if subtag != row.code[:3]:
            row.aliases.add(subtag)
    return found


def add_script_aliases(rows: Rows, subtags: dict[str, Row]) -> None:
    """`kur_Arab` is Central Kurdish although `kur` alone is Kurmanji: the script picks the language."""
    short = {alpha3(subtag): subtag for subtag in subtags if len(subtag) == 2}
    wanted = {code: rows.get(same) for code, same in SAME.items()}
    for macro, members in macrolanguages().items():
        scripts = {code[4:] for code in rows if code[:3] in members}
        wanted |= {f"{macro}_{script}": meant_by(rows, macro, members, script) for script in scripts}
    for code, row in wanted.items():
        if row is None or code in rows:
            continue
        row.aliases.add(code)
        if code[:3] in short:
            row.aliases.add(f"{short[code[:3]]}_{code[4:]}")


def add_names(subtags: dict[str, Row], names: dict[str, list[str]]) -> None:
    """English names from the IANA registry and CLDR, with and without what stands in brackets."""
    for subtag in sorted(subtags.keys() - retired().keys()):
        row = subtags[subtag]
        found = {*names.get(subtag, ()), *COMMON_NAMES.get(subtag, ()), row.name}
        shown = Language.make(language=subtag).language_name()
        if "Unknown" not in shown and shown != subtag:
            found.add(shown)
        found |= {re.sub(r" *\(.*\)", "", name) for name in found}
        row.aliases |= found - {row.name}


def add_published_tokens(subtags: dict[str, Row], facts: Facts) -> None:
    for fact in facts:
        subtags[fact["lang"]].madlad_tokens = str(int(float(fact["unique_tokens"])))


def premium_text(fact: dict[str, str]) -> str:
    return " ".join(fact[k] for k in ("language", "basis", "byte_premium", "char_premium", "bytes_per_char"))


def as_record(row: Row) -> dict[str, str]:
    assert not any(";" in alias for alias in row.aliases), row
    best = row.premiums[0] if row.premiums else defaultdict(str)
    return {
        "code": row.code,
        "name": row.name,
        "family": row.family,
        "words": row.words,
        "documents": row.documents,
        "utf8_bytes": row.utf8_bytes,
        "byte_premium": best["byte_premium"],
        "char_premium": best["char_premium"],
        "bytes_per_char": best["bytes_per_char"],
        "premium_basis": best["basis"],
        "premium_code": best["language"] if best["language"] != row.code else "",
        "other_premiums": ";".join(premium_text(fact) for fact in row.premiums[1:]),
        "madlad_tokens": row.madlad_tokens,
        "aliases": ";".join(sorted(row.aliases)),
    }


def build(folder: Path) -> list[dict[str, str]]:
    """The table's rows: most text first, then by code those that FineWeb2 does not have."""
    names = iana_names()
    rows = fineweb2_rows(read(folder / "fineweb2_languages.csv"))
    add_premiums(rows, read(folder / "byte_premiums_arnett2024.csv"), names)
    subtags = add_subtag_aliases(rows)
    add_script_aliases(rows, subtags)
    add_names(subtags, names)
    add_published_tokens(subtags, read(folder / "atlas_unique_tokens.csv"))
    return [as_record(row) for row in sorted(rows.values(), key=lambda r: (-r.size, r.code))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("facts_dir", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    records = build(args.facts_dir)
    with args.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    print(f"{len(records)} languages")


if __name__ == "__main__":
    main()
