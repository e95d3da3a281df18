"""Questions to start from, and a question as the controls of the page change it."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.planning.question import TRANSFER, Question, read_question
from isogloss.stores import is_url
from isogloss.web.found import inside
from isogloss.web.toml import to_toml

LARGEST = 1_000_000
MOST_LANGUAGES = 400
EU = (
    "bg",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "ga",
    "hr",
    "hu",
    "it",
    "lt",
    "lv",
    "mt",
    "nl",
    "pl",
    "pt",
    "ro",
    "sk",
    "sl",
    "sv",
)
INDIA = (
    "as",
    "bn",
    "brx",
    "doi",
    "gom",
    "gu",
    "hi",
    "kn",
    "kas",
    "mai",
    "ml",
    "mni",
    "mr",
    "ne",
    "or",
    "pa",
    "sa",
    "sat",
    "snd",
    "ta",
    "te",
    "ur",
)

STARTS: Mapping[str, Mapping[str, Any]] = {
    "baltic": {
        "title": "A Baltic model",
        "budget": "1e22",
        "languages": {"et": {}, "lv": {}, "lt": {}, "fi": {}, "en": {"weight": 0.5, "max_epochs": 1.0}},
    },
    "swahili": {
        "title": "A Swahili model",
        "budget": "1e21",
        "languages": {"sw": {}, "en": {"weight": 0.25}, "zu": {"weight": 0}, "rw": {"weight": 0}, "so": {"weight": 0}},
    },
    "eu24": {"title": "The official languages of the EU", "budget": "1e23", "languages": EU},
    "india22": {"title": "The scheduled languages of India", "budget": "1e23", "languages": [*INDIA, "en"]},
    "hundred": {"title": "The hundred languages of most text", "budget": "1e24", "languages": 100},
}


@dataclass(frozen=True)
class Controls:
    """What the page's controls say. `flops` None: as the question it started from has it."""

    languages: tuple[str, ...]
    flops: float | None
    max_epochs: float = 4.0
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of languages whose weight is not 1."""
    caps: Mapping[str, float] = field(default_factory=dict)
    """Of languages with an epoch cap of their own."""
    measure: str = "loss"
    aim: str = "mean"
    transfer: str = "predicted"


def start(name: str) -> dict[str, Any]:
    """A question of STARTS, its languages under canonical codes."""
    raw = copy.deepcopy(dict(STARTS[name]))
    listed = raw["languages"]
    if isinstance(listed, int):
        by_text = [e.code for e in _languages.all_languages() if e.code != "eng_Latn"]
        listed = ["eng_Latn", *by_text][:listed]
    needs = listed if isinstance(listed, dict) else {name: {} for name in listed}
    raw["languages"] = {_languages.resolve(k): dict(v) for k, v in needs.items()}
    raw["budget"] = {"flops": raw["budget"]}
    return raw


def parse(text: bytes, where: str, root: Path | None = None) -> dict[str, Any]:
    """A question file's tables under canonical codes, checked. Files that it names must lie in the served folder, in
    which `root` is the question's own; an uploaded question (None) may name none.

    Raises InputError for what `isogloss plan` would refuse, too.
    """
    if len(text) > LARGEST:
        raise InputError(f"has {len(text):,} bytes; a question has at most {LARGEST:,}", where=where)
    try:
        raw = tomllib.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=where, hint="Save it as UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not TOML: {error}", where=where) from None
    for key, place in references(raw):
        _check_reference(key, place, where, root)
    asked = read_question(copy.deepcopy(grounded(raw, root.parent if root else None)))
    if len(asked.languages) > MOST_LANGUAGES:
        raise InputError(f"{len(asked.languages)} languages; this page takes {MOST_LANGUAGES}", where=where)
    listed = raw["languages"]
    needs = listed if isinstance(listed, dict) else {name: {} for name in listed}
    raw["languages"] = {_languages.resolve(k): dict(v) for k, v in needs.items()}
    if not isinstance(raw["budget"], dict):
        raw["budget"] = {"flops": raw["budget"]}
    return raw


def references(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Files that a question names, each with its key."""
    found: list[tuple[str, Any]] = [("runs", raw.get("runs"))]
    for name, table in (("start", "runs"), ("assumptions", "transfer")):
        part = raw.get(name)
        found.append((f"{name}.{table}", part.get(table) if isinstance(part, Mapping) else None))
    listed = raw.get("languages")
    for code, need in listed.items() if isinstance(listed, Mapping) else ():
        found.append((f"languages.{code}.fit", need.get("fit") if isinstance(need, Mapping) else None))
    return [(k, v) for k, v in found if isinstance(v, str) and not (k == "assumptions.transfer" and v in TRANSFER)]


def grounded(raw: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """With the files that it names found from its folder."""
    out = copy.deepcopy(dict(raw))
    if folder is None:
        return out
    for key, place in references(out):
        *parts, last = key.split(".", 1) if not key.startswith("languages.") else ["languages", key[10:-4], "fit"]
        table = out
        for part in parts:
            table = table[part]
        table[last] = str(folder / place)
    return out


def asked(base: Mapping[str, Any], controls: Controls) -> dict[str, Any]:
    """The question as the controls have it; what they do not show stays as it was."""
    out = copy.deepcopy(dict(base))
    if controls.flops is not None and not _same_budget(base, controls.flops):
        kept = {k: v for k, v in base["budget"].items() if k in ("gpu", "utilisation", "served_tokens")}
        out["budget"] = {"flops": f"{controls.flops:.6g}", **kept}
    old, needs = base["languages"], {}
    for code in controls.languages:
        need = {k: v for k, v in old.get(code, {}).items() if k not in ("weight", "max_epochs")}
        if controls.weights.get(code, 1.0) != 1.0:
            need["weight"] = controls.weights[code]
        if code in controls.caps:
            need["max_epochs"] = controls.caps[code]
        needs[code] = need
    out["languages"] = needs
    for table, key, value, default in (
        ("limits", "max_epochs", controls.max_epochs, 4.0),
        ("objective", "measure", controls.measure, "loss"),
        ("objective", "languages", controls.aim, "mean"),
        ("assumptions", "transfer", controls.transfer, "predicted"),
    ):
        part = dict(out.get(table, {}))
        if value != default:
            part[key] = value
        else:
            part.pop(key, None)
        out[table] = part
    return {k: v for k, v in out.items() if v or k in ("budget", "languages")}


def controls_of(base: Mapping[str, Any], question: Question) -> Controls:
    """The controls as a question has them."""
    needs = question.languages
    return Controls(
        languages=tuple(needs),
        flops=flops_of(question),
        max_epochs=float(question.limits.max_epochs),
        weights={c: n.weight for c, n in needs.items() if n.weight != 1},
        caps={c: n.max_epochs for c, n in needs.items() if n.max_epochs is not None},
        measure=question.objective.measure,
        aim=question.objective.languages,
        transfer=question.assumptions.transfer
        if question.assumptions.transfer in TRANSFER
        else str(base["assumptions"]["transfer"]),
    )


def flops_of(question: Question) -> float | None:
    """None where no one number is the budget: a loss to reach, or tokens to serve."""
    budget = question.budget
    return None if budget.is_target or budget.served_tokens is not None else float(budget.C)


def text_of(question: Mapping[str, Any]) -> str:
    """The question as a TOML file."""
    return to_toml(question)


def check_languages(codes: Sequence[str]) -> None:
    if not codes:
        raise InputError("no language is chosen", hint="Choose one, or start from an example.")
    if len(codes) > MOST_LANGUAGES:
        raise InputError(f"{len(codes)} languages; this page takes {MOST_LANGUAGES}")


def _same_budget(base: Mapping[str, Any], flops: float) -> bool:
    own = {"accelerators": base["accelerators"]} if "accelerators" in base else {}
    was = flops_of(read_question({"budget": base["budget"], "languages": ["English"], **own}))
    return was is not None and abs(was / flops - 1) < 1e-6


def _check_reference(key: str, place: str, where: str, question: Path | None) -> None:
    if question is None:
        raise InputError(
            f"names a file, {place!r}",
            where=f"{where}, {key}",
            hint="An uploaded question stands alone. For your own files: isogloss serve FOLDER, or isogloss plan.",
        )
    root = question.parent
    if is_url(place) or not inside(root / place, root):
        raise InputError(f"{place!r} is not in the question's folder", where=f"{where}, {key}")
