"""From whatever a user writes for a language to its canonical code."""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import cache

from isogloss.errors import InputError, suggest, unknown_name
from isogloss.languages.scripts import FILED_UNDER, SCRIPT_NAMES
from isogloss.languages.table import Language, table

# A name shared by several languages means the largest only if it has this many times the next one's text.
DOMINANCE = 2.0

_TAG = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{1,8})*", re.IGNORECASE)
# ISO 639-2 and -3 reserve these for local use.
_PRIVATE = re.compile(r"q[a-t][a-z]")
# Letters that Unicode does not decompose into a letter and its accent.
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d"})


def resolve(query: str) -> str:
    """The canonical code for a code, a BCP-47 tag or an English name; case and accents do not matter.

    ISO 639's private codes, qaa to qtz, are languages of the user's own; they need their script (`qaa_Latn`).
    Codes win over names ("mon" is Mongolian, not Mon). Without a script: that with most text in FineWeb2.
    A macrolanguage means its individual language with most text, bar a few conventions (`ku` is Kurmanji).
    A name shared by several languages means the one with most text, if at least twice the next one's.
    """
    text = query.strip()
    if not text:
        raise InputError("empty language name", hint="Give a code such as 'swh_Latn' or 'sw', or a name.")
    code = _exact(text) or _by_name(text) or _by_tag(text)
    if code is None:
        raise _unknown(text)
    return code


def get(query: str) -> Language:
    """The entry for anything that `resolve` accepts."""
    code = resolve(query)
    return table().get(code) or _private_entry(code)


@cache
def _private_entry(code: str) -> Language:
    """A code that ISO 639 leaves to its users: nothing is known of the language but its script."""
    return Language(
        code=code,
        name=f"Private language {code[:3]}",
        family=None,
        script=code[4:],
        words=None,
        documents=None,
        utf8_bytes=None,
        byte_premium=None,
        char_premium=None,
        bytes_per_char=None,
        premium_basis=None,
    )


def fold(name: str) -> str:
    """The name without case, accents and punctuation, for comparing."""
    if not name.isascii():
        parts = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
        name = "".join(c for c in parts if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


@cache
def codes() -> dict[str, str]:
    """Canonical code by each code that means it, in lower case: `swh_latn`, `swh`, `swa`, `sw`."""
    found = {code.lower(): code for code in table()}
    for entry in table().values():  # most text first, so a bare language means its largest script
        if not entry.undetermined:
            found.setdefault(entry.iso639_3, entry.code)
    for entry in table().values():
        for alias in filter(_is_code, entry.aliases):
            found.setdefault(alias.lower(), entry.code)
    return found


@cache
def names() -> dict[str, tuple[str, ...]]:
    """Canonical codes by folded English name, most text first."""
    found: dict[str, list[str]] = {}
    for entry in table().values():
        if not entry.undetermined:
            for name in names_of(entry):
                found.setdefault(fold(name), []).append(entry.code)
    return {name: tuple(dict.fromkeys(shared)) for name, shared in found.items()}


def names_of(entry: Language) -> tuple[str, ...]:
    return (entry.name, *(alias for alias in entry.aliases if not _is_code(alias)))


def _is_code(alias: str) -> bool:
    return alias[3:4] == "_" or alias[2:3] == "_" or (len(alias) <= 3 and alias.islower())


def _exact(text: str) -> str | None:
    return codes().get(text.lower().replace("-", "_"))


def _by_name(text: str) -> str | None:
    shared = names().get(fold(text), ())
    if not shared:
        return None
    first = table()[shared[0]]
    rival = next((table()[code] for code in shared if code[:3] != first.iso639_3), None)
    if rival and DOMINANCE * (rival.utf8_bytes or 0) >= (first.utf8_bytes or 0):
        listed = {code[:3]: f"{code} ({table()[code].name})" for code in reversed(shared)}
        raise InputError(
            f"the name {text!r} is shared by several languages",
            hint=f"Write one of {', '.join(reversed(listed.values()))}.",
        )
    return first.code


def _by_tag(text: str) -> str | None:
    """BCP-47: a known language, then perhaps a script, a region, variants."""
    if not _TAG.fullmatch(text):
        return None
    language, *rest = re.split("[-_]", text.lower())
    if _PRIVATE.fullmatch(language):
        return _private(language, rest)
    if text.lower() == "und":
        raise InputError("'und' names no language", hint="Undetermined text is filed by script: und_Cyrl.")
    if len(rest) == 1 and len(rest[0]) == 4 and rest[0].isalpha():
        return _with_script(language, rest[0].title()) if _scripts(language) else None
    return _by_long_tag(text) if _scripts(language) else None


def _private(language: str, rest: list[str]) -> str:
    """A private code in a script."""
    script = rest[0].title() if len(rest) == 1 else ""
    if script in SCRIPT_NAMES:
        return f"{language}_{script}"
    said = f"no script {rest[0]!r}" if rest else "no script"
    hint = f"Write one behind it, such as {language}_Latn."
    raise InputError(f"the private code {language!r} stands there with {said}", hint=hint)


def _by_long_tag(text: str) -> str | None:
    from langcodes import Language as Tag  # 20 ms, and seldom needed
    from langcodes.data_dicts import MACROLANGUAGES

    try:
        tag = Tag.get(text, normalize=False)
    except ValueError:
        return None
    language, extended = tag.language or "", next(iter(tag.extlangs or ()), None)
    if not tag.is_valid() or (extended and MACROLANGUAGES.get(extended) != language):
        return None
    language = extended or language
    if tag.script:
        return _with_script(language, tag.script)
    # The region tells the script only where the inventory has it: uz-AF is in Arabic letters, sr-ME in Latin.
    likely = tag.maximize().script if tag.territory else None
    return (_in_script(language, likely) if likely else None) or codes().get(language)


def _in_script(language: str, script: str) -> str | None:
    known = codes()
    individual = known[language][:3] if language in known else language
    tries = [(tongue, s) for s in (script, FILED_UNDER.get(script)) if s for tongue in (language, individual)]
    return next((known[key] for tongue, s in tries if (key := f"{tongue}_{s.lower()}") in known), None)


def _with_script(language: str, script: str) -> str:
    code = _in_script(language, script)
    if code is None:
        have = [f"{s} ({SCRIPT_NAMES[s]})" for s in _scripts(language)]
        called = "undetermined text" if language == "und" else get(language).short_name
        hint = f"Scripts of {called}: {', '.join(have)}."
        raise InputError(f"no entry for {called} ({language}) in script {script!r}", hint=hint)
    return code


def _scripts(language: str) -> list[str]:
    """The scripts that the table has for a language code, most text first."""
    individual = codes().get(language, language)[:3]
    return [entry.script for entry in table().values() if entry.iso639_3 == individual]


class _Shown(str):
    """A near miss that an error message quotes together with what it stands for."""

    __slots__ = ("beside", "code")

    def __new__(cls, text: str, beside: str, code: str) -> _Shown:
        shown = super().__new__(cls, text)
        shown.beside, shown.code = beside, code
        return shown

    def __repr__(self) -> str:
        return f"{super().__repr__()} ({self.beside})"


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.casefold(), other.casefold()).ratio()


def _unknown(text: str) -> InputError:
    code_like = "_" in text or len(text) <= 3
    known = _known_codes() if code_like else _known_names()
    most_text = {name: rank for rank, name in enumerate(known)}
    near = sorted(suggest(text, known, n=40), key=lambda name: (-_alike(text, name), most_text[name]))
    once: dict[str, _Shown] = {}  # a language's several names are one suggestion
    for name in near:
        if _alike(text, name) > _alike(text, near[0]) - 0.1:
            once.setdefault(known[name].code, known[name])
    see = "Codes are ISO 639 with a script, such as swh_Latn; isogloss.languages.search finds parts of names."
    return unknown_name("language", text, list(once.values())[:3] or known, see=None if once else see)


@cache
def _known_names() -> dict[str, _Shown]:
    found: dict[str, _Shown] = {}
    for entry in table().values():
        for name in () if entry.undetermined else names_of(entry):
            found.setdefault(name, _Shown(name, entry.code, entry.code))
    return found


@cache
def _known_codes() -> dict[str, _Shown]:
    found = {code: _Shown(code, entry.short_name, code) for code, entry in table().items()}
    for short, code in codes().items():
        if "_" not in short:
            found[short] = _Shown(short, f"{table()[code].short_name}, {code}", code)
    return found
