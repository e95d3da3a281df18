"""Build the packaged tables of how languages are related: Glottolog's tree and places, Grambank's grammar.

    python tools/build_relations.py URIELPLUS_DIR

URIELPLUS_DIR is the package folder `urielplus` of the unpacked wheel urielplus 1.3.2, which holds both as CSV; none
of its own vectors or distances is taken. The same inputs give identical tables; the bytes of the compressed one also
depend on the version of liblzma.
"""

from __future__ import annotations

import argparse
import csv
import lzma
from pathlib import Path

from isogloss import languages

Facts = list[dict[str, str]]

OUT = Path(__file__).resolve().parents[1] / "src/isogloss/languages/data"
TABLES = Path("database/urielplus_csvs")

# Glottocodes of languages that the map from ISO 639-3 lacks, or leaves empty: newer codes and macrolanguages.
ADDED = {
    "fas": "west2369",  # Persian, a macrolanguage: Western Farsi
    "hyw": "homs1234",  # Western Armenian
    "kpe": "libe1247",  # Kpelle, a macrolanguage: that of Liberia
    "nah": "east2538",  # Nahuatl languages: Eastern Huasteca
    "ncq": "nort3270",  # Northern Katang
    "nwx": "newa1246",  # Middle Newar: that of the Kathmandu Valley
    "oto": "mezq1235",  # Otomian languages: Mezquital Otomi, which Grambank describes
    "sdq": "nucl1557",  # Semandang
    "srd": "camp1261",  # Sardinian, a macrolanguage: Campidanese, which Grambank describes
    "szy": "saki1247",  # Sakizaya
    "tok": "toki1239",  # Toki Pona
    "uth": "huns1239",  # ut-Hun: Hun-Saare, the nearest entry
    "xnj": "tanz1241",  # Ngoni (Tanzania)
}
# Standards and varieties whose grammar Grambank describes under the whole language.
GRAMMAR = {
    "bos": "sout1528",  # Serbian-Croatian-Bosnian
    "hrv": "sout1528",
    "srp": "sout1528",
    "fat": "akan1250",  # Akan
    "twi": "akan1250",
    "lvs": "latv1249",  # Latvian
}
VALUES = {"0": "0", "1": "1", "-1": "."}


def read(path: Path) -> Facts:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def glottocodes(tables: Path) -> dict[str, str]:
    """Glottocode by ISO 639-3 code, for the languages of isogloss's own table."""
    mapped = {row["iso_code"]: row["glottocode"] for row in read(tables / "uriel_glottocode_map.csv")} | ADDED
    return {code: mapped[code] for code in sorted({entry.iso639_3 for entry in languages.all_languages()})}


def degrees(text: str) -> str:
    """At most four decimals (11 m), in -180..180: part of the source counts longitudes from 0 to 360."""
    if not text:
        return ""
    value = float(text)
    return f"{value - 360 if value > 180 else value:.4f}".rstrip("0").rstrip(".")


def glottolog(tables: Path, codes: dict[str, str]) -> Facts:
    """One row per language: the groups from the family down, without the language itself, joined by semicolons."""
    places = {row["language_id"]: row for row in read(tables / "lang_fam_geo.csv")}
    rows = []
    for iso, code in codes.items():
        place = places[code]
        assert ";" not in place["lineage"], place
        rows.append(
            {
                "iso639_3": iso,
                "glottocode": code,
                "latitude": degrees(place["latitude"]),
                "longitude": degrees(place["longitude"]),
                "lineage": place["lineage"].replace(", ", ";"),
            }
        )
    return rows


def grambank(tables: Path, codes: dict[str, str]) -> Facts:
    """One row per language that Grambank describes; the features' names stand in the second column's header."""
    described = {row.pop("language_id"): row for row in read(tables / "grambank_data.csv")}
    rows = []
    for iso, code in codes.items():
        values = described.get(GRAMMAR.get(iso, code))
        if values:
            rows.append({"iso639_3": iso, " ".join(values): "".join(VALUES[value] for value in values.values())})
    return rows


def as_csv(rows: Facts) -> str:
    lines = [",".join(rows[0])]
    for row in rows:
        assert not any("," in value or '"' in value for value in row.values()), row
        lines.append(",".join(row.values()))
    return "\n".join(lines) + "\n"


def build(folder: Path) -> dict[str, str]:
    """The tables' text by file name, before compression."""
    tables = folder / TABLES
    codes = glottocodes(tables)
    return {
        "glottolog.csv": as_csv(glottolog(tables, codes)),
        "grambank.csv.xz": as_csv(grambank(tables, codes)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("urielplus_dir", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    for name, text in build(args.urielplus_dir).items():
        data = text.encode()
        (args.out / name).write_bytes(lzma.compress(data, preset=9) if name.endswith(".xz") else data)
        print(f"{name}: {len(text.splitlines()) - 1:,} languages, {(args.out / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
