"""Build the packaged catalogue of published laws from the facts and from catalogue_text.toml.

    python tools/build_catalogue.py FACTS_DIR

FACTS_DIR holds laws.json and the tables that it refers to. Every coefficient is read from there; names,
ranges, notes and conflicts are in catalogue_text.toml, beside this file. Same inputs, identical bytes.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isogloss import languages

TEXT = Path(__file__).with_name("catalogue_text.toml")
OUT = Path(__file__).resolve().parents[1] / "src/isogloss/laws/data/published.json"

Record = dict[str, Any]

DEFAULTS: Record = {
    "id": "",
    "law": None,
    "name": "",
    "equation": "",
    "coefficients": {},
    "standard_errors": {},
    "constants": {},
    "held": {},
    "missing": [],
    "loss_unit": None,
    "params_counted": None,
    "data_unit": None,
    "range": "",
    "ranges": {},
    "languages": None,
    "source": "",
    "notes": "",
    "conflicts": [],
    "table": [],
}
NOT_PACKAGED = {"fact", "like"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def number_at(path: str, constants: Mapping[str, Any]) -> float:
    """The number that a path of catalogue_text.toml stands for."""
    if path.startswith("exp "):
        # Twelve digits are more than anyone published, and the same on every C library.
        return float(f"{math.exp(number_at(path[4:], constants)):.12g}")
    if " per " in path:
        # Twelve digits again: a term in units of this many to a power, in raw units.
        term, _, scale = path.partition(" per ")
        unit, _, power = scale.partition("^")
        return float(f"{number_at(term, constants) * float(unit) ** number_at(power, constants):.12g}")
    path, _, place = path.partition("#")
    value: Any = constants
    for key in path.split("."):
        value = value[key]
    if place:
        value = NUMBER.findall(value)[int(place)] if isinstance(value, str) else value[int(place)]
    return float(value)


def numbers(paths: Mapping[str, str], constants: Mapping[str, Any]) -> dict[str, float]:
    return {name: number_at(path, constants) for name, path in paths.items()}


def cell(column: str, text: str) -> float | str | None:
    if column == "lang":
        return languages.resolve(text)
    try:
        return float(text)
    except ValueError:
        return text or None


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(path: Path) -> list[Record]:
    """A table of the facts with numbers as numbers, without what the entry says once for all rows."""
    return [{k: cell(k, v) for k, v in row.items() if k not in ("source", "model")} for row in read_csv(path)]


def packaged(entry: Record, constants: Mapping[str, Any], facts: Path) -> Record:
    """One entry as the package has it, from its text and the constants of its fact."""
    unknown = set(entry) - set(DEFAULTS) - NOT_PACKAGED
    if unknown:
        raise SystemExit(f"{entry['id']}: unknown fields {sorted(unknown)}")
    record = {key: entry.get(key, default) for key, default in DEFAULTS.items()}
    record["law"] = record["law"] or None
    for field in ("coefficients", "standard_errors", "constants"):
        record[field] = numbers(record[field], constants)
    if record["languages"]:
        record["languages"] = [languages.resolve(code) for code in record["languages"]]
    if record["table"]:
        record["table"] = table(facts / record["table"])
    return record


def written_entries(text: Record, laws: Mapping[str, Record], facts: Path) -> Iterator[Record]:
    by_id: dict[str, Record] = {}
    for entry in text["entry"]:
        merged = {**by_id[entry["like"]], **entry} if "like" in entry else entry
        by_id[entry["id"]] = merged
        yield packaged(merged, laws[merged["fact"]]["constants"], facts)


def table_c1_entries(text: Record, facts: Path) -> Iterator[Record]:
    """ATLAS's Table C.1: three regimes of six languages."""
    template, regimes = text["template"]["table-c1"], text["template"]["regimes"]
    for row in read_csv(facts / "atlas_table_c1_per_language_laws.csv"):
        regime, language = row["regime"].replace("_", "-"), languages.get(row["lang"])
        entry = {
            **template,
            "id": f"atlas/table-c1/{regime}/{language.code}",
            "name": template["name"].format(language=language.name.split(" (")[0], regime=regimes[regime]),
            "coefficients": {"E": "E", "A": "exp a_lnA", "alpha": "alpha", "B": "exp b_lnB", "beta": "beta"},
            "constants": {"ln_A": "a_lnA", "ln_B": "b_lnB"},
            "languages": [language.code],
        }
        if float(row["E"]) == 0:
            entry["notes"] += " E is printed as 0, its lower bound."
        yield packaged(entry, row, facts)


def code_entries(text: Record, facts: Path) -> Iterator[Record]:
    """The laws of single programming languages."""
    template = text["template"]["code-plaw"]
    slugs = {"C#": "csharp"}
    for row in read_csv(facts / "code_language_exponents.csv"):
        language = row["language"]
        entry = {
            **template,
            "id": f"code-plaw/yang2025/{slugs.get(language, language.lower())}",
            "name": template["name"].format(language=language),
            "coefficients": {"E": "L_inf", "alpha": "alpha_N", "beta": "alpha_D"},
        }
        yield packaged(entry, row, facts)


def build(facts: Path) -> list[Record]:
    """Every entry: Chinchilla's line first as the text has it, then the tables of many rows."""
    laws = {record["id"]: record for record in json.loads((facts / "laws.json").read_text(encoding="utf-8"))}
    text = tomllib.loads(TEXT.read_text(encoding="utf-8"))
    entries = [
        *written_entries(text, laws, facts),
        *table_c1_entries(text, facts),
        *code_entries(text, facts),
    ]
    used = {e.get("fact") for e in [*text["entry"], *text["template"].values()]}
    if laws.keys() - used:
        raise SystemExit(f"no entry for {sorted(laws.keys() - used)}")
    ids = [entry["id"] for entry in entries]
    assert len(ids) == len(set(ids)), "two entries share an id"
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("facts_dir", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    entries = build(args.facts_dir)
    args.out.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(entries)} entries")


if __name__ == "__main__":
    main()
