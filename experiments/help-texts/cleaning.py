"""What is kept of a source: running text in the language that it claims to be, each segment once."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from readers import Segment

# English words that no other language of the sources has as a common word of its own.
_ENGLISH = frozenset(
    re.findall(r"\w+", "the and with this that you are from which can your when will have has then only these")
)
_WORD = re.compile(r"[^\W\d_]+")
# Scripts in which a word is one letter or few.
_DENSE = frozenset({"HAN", "JAPANESE", "HANGUL", "THAI"})
_NAMES = {"HIRAGANA": "JAPANESE", "KATAKANA": "JAPANESE", "KATAKANA-HIRAGANA": "JAPANESE", "CJK": "HAN"}


@dataclass
class Cleaned:
    """Segments kept, in order, and the bytes of each reason to drop others."""

    kept: list[Segment]
    raw_bytes: int
    script: str
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(len(s.text.encode()) for s in self.kept)

    def fraction(self, reason: str) -> float:
        return self.dropped.get(reason, 0) / max(1, self.raw_bytes)


def clean(segments: Sequence[Segment], english: Mapping[str, str] | None) -> Cleaned:
    """`english` are the English segments by id, None where the language is English itself. Dropped are, in this order:
    what is short, what is English word for word, copies of earlier segments, and what looks English."""
    texts = frozenset(english.values()) if english else frozenset()
    script = main_script(s.text for s in segments if s.text not in texts)
    least = 3 if script in _DENSE else 10
    kept: list[Segment] = []
    seen: set[str] = set()
    dropped: Counter[str] = Counter()
    raw = 0
    for segment in segments:
        letters = sum(c.isalpha() for c in segment.text)
        if letters < least:
            continue
        size = len(segment.text.encode())
        raw += size
        if english is not None and (english.get(segment.id) == segment.text or segment.text in texts):
            dropped["untranslated"] += size
        elif segment.text in seen:
            dropped["duplicate"] += size
        elif english is not None and _is_english(segment.text, script, letters):
            dropped["looks English"] += size
            seen.add(segment.text)
        else:
            seen.add(segment.text)
            kept.append(segment)
    return Cleaned(kept, raw, script, dict(dropped))


def _is_english(text: str, script: str, letters: int) -> bool:
    if script != "LATIN":
        return sum(c.isalpha() and script_of(c) == "LATIN" for c in text) > 0.6 * letters
    words = [w.lower() for w in _WORD.findall(text)]
    hits = _hits(words, _ENGLISH)
    return len(words) >= 4 and hits >= 2 and hits / len(words) >= 0.12


def _hits(words: Iterable[str], known: Collection[str]) -> int:
    return sum(w in known for w in words)


def main_script(texts: Iterable[str], enough: int = 200_000) -> str:
    counts: Counter[str] = Counter()
    total = 0
    for text in texts:
        for character in text:
            if character.isalpha():
                counts[script_of(character)] += 1
                total += 1
        if total > enough:
            break
    if not counts:
        return "NONE"
    main = counts.most_common(1)[0][0]
    return "JAPANESE" if main == "HAN" and counts["JAPANESE"] > 0.1 * total else main


@cache
def script_of(character: str) -> str:
    """The first word of a letter's Unicode name."""
    name = unicodedata.name(character, "?").split(" ")[0]
    return _NAMES.get(name, name)
