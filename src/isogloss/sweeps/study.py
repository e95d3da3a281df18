"""study.toml: which languages, text, sizes, budgets, mixtures and seeds, checked key by key. No torch here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from isogloss.errors import InputError, unknown_name
from isogloss.runs.names import canonical_name
from isogloss.units import Kind, parse_quantity

FILE = "study.toml"
# What `study new` writes for a text that it did not find.
PLACEHOLDER = "PUT A PATH HERE"


def _whole(kind: Kind) -> BeforeValidator:
    return BeforeValidator(lambda value: round(parse_quantity(value, kind)))


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


Tokens = Annotated[int, _whole("tokens")]
Bytes = Annotated[int, _whole("bytes")]
Language = Annotated[str, AfterValidator(canonical_name)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
OneOrMore = BeforeValidator(_listed)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LanguageText(_Strict):
    """Where a language's text comes from; see isogloss.training.text."""

    text: Annotated[tuple[str, ...], OneOrMore] = ()
    dataset: str | None = None
    config: str | None = None
    split: str = "train"
    documents: Literal["auto", "line", "paragraph", "file"] = "auto"
    field: str = "text"
    split_key: str | None = None
    weight_field: str | None = None
    max_bytes: Bytes | None = None
    clone_of: Language | None = None


class Tokenizer(_Strict):
    kind: str = "bytes"
    vocab_size: Annotated[int, Field(gt=256)] | None = None
    temperature: Positive = 3.33
    character_coverage: Annotated[float, Field(ge=0.98, le=1)] = 0.999995
    training_bytes: Bytes = 32_000_000


class Shape(_Strict):
    """A model's shape in full, where no rung of the ladder will do."""

    layers: Annotated[int, Field(ge=1)]
    d_model: Annotated[int, Field(ge=1)]
    d_ff: Annotated[int, Field(ge=1)]
    heads: Annotated[int, Field(ge=1)]
    d_head: Annotated[int, Field(ge=2)]
    kv_heads: Annotated[int, Field(ge=1)] | None = None


class Training(_Strict):
    """What all runs share. Lengths in tokens; `learning_rate` None goes by the model's size."""

    context_length: Annotated[int, Field(ge=8)] = 128
    batch_tokens: Tokens = 2048
    learning_rate: Positive | None = None
    warmup: Annotated[int, BeforeValidator(lambda v: v if v == 0 else round(parse_quantity(v, "tokens")))] = 50_000
    decay: Fraction = 0.2
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    clip: Positive = 1.0
    tied: bool = False


class Evaluation(_Strict):
    bytes: Annotated[Bytes, Field(ge=4000)] = 32_000
    fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    first: Tokens = 131_072
    per_doubling: Annotated[int, Field(ge=0, le=16)] = 1
    languages: Literal["all", "own"] = "all"

    def of(self, shares: Iterable[str], known: Iterable[str]) -> list[str]:
        """On which of the `known` languages a run of these `shares` is measured."""
        own = set(shares)
        return [code for code in known if self.languages == "all" or code in own]


class Machine(_Strict):
    """Where the runs compute. Nothing here changes what a run is."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    workers: Annotated[int, Field(ge=1)] | None = None
    threads: Annotated[int, Field(ge=1)] = 1
    stack: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    compile: bool = False
    checkpoint_seconds: Positive = 60.0
    keep_trunk: bool = False
    price_per_hour: Positive | None = None


Mixture = Literal[
    "monolingual", "pairs", "even", "shares", "proportional", "temperature", "unimax", "rehydrated", "dirichlet"
]
Sizes = Annotated[tuple[str | Shape, ...], BeforeValidator(lambda v: [v] if isinstance(v, str | dict) else v)]


class Runs(_Strict):
    """One block of runs: every mixture that it names, at every size, for every seed, to every budget."""

    mixture: Mixture
    name: str | None = None
    sizes: Sizes
    tokens: Annotated[tuple[Tokens, ...], OneOrMore]
    seeds: Annotated[tuple[int, ...], OneOrMore] = (0,)
    languages: tuple[Language, ...] | None = None
    pairs: tuple[tuple[Language, Language], ...] | None = None
    targets: tuple[Language, ...] | None = None
    K: Annotated[tuple[int, ...], OneOrMore] | None = None
    shares: dict[Language, float] | None = None
    T: Positive = 3.33
    max_epochs: Positive = 4.0
    count: Annotated[int, Field(ge=1)] | None = None
    concentration: Positive = 1.0
    draw: int = 0
    unique: dict[Language, Tokens] | Tokens | None = None
    init: str | None = None
    learning_rate: Positive | None = None


class Study(_Strict):
    title: str = ""
    languages: dict[str, LanguageText]
    tokenizer: Tokenizer = Tokenizer()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    machine: Machine = Machine()
    runs: tuple[Runs, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.languages)


def read_study(folder: str | Path) -> Study:
    """The study.toml of a study folder.

    Raises InputError naming the file and the key, with near misses for unknown keys, languages and names.
    """
    path = Path(folder) / FILE
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        hint = "Make one: isogloss study new FOLDER --languages est,fin --text TEXTS."
        raise InputError(f"no {FILE}", where=str(folder), hint=hint) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=str(path), hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", where=str(path)) from None
    return check_study(raw, str(path))


def check_study(raw: Mapping[str, Any], where: str) -> Study:
    """A Study from a mapping of study.toml's shape."""
    raw = dict(raw)
    raw["languages"] = _named(raw.get("languages"), f"{where}, languages")
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise _translated(error, where) from None
    _check_names(study, where)
    return study


def _named(languages: Any, where: str) -> dict[str, Any]:
    if not isinstance(languages, Mapping) or not languages:
        raise InputError("no languages", where=where, hint='Write [languages.est_Latn] and its text = "...".')
    out: dict[str, Any] = {}
    for name, text in languages.items():
        code = canonical_name(name)
        if code in out:
            raise InputError(f"{code} is there twice", where=where, hint="Keep one of them.")
        out[code] = text
    return out


def _check_names(study: Study, where: str) -> None:
    for code, text in study.languages.items():
        place = f"{where}, languages.{code}"
        sources = [s for s in ("text", "dataset", "clone_of") if getattr(text, s)]
        if len(sources) != 1:
            found = " and ".join(sources) or "neither"
            raise InputError(f"needs one of text, dataset and clone_of, has {found}", where=place)
        if text.clone_of and (text.clone_of not in study.languages or study.languages[text.clone_of].clone_of):
            raise unknown_name("original", text.clone_of, study.names, where=f"{place}.clone_of")
    names: set[str] = set()
    for i, block in enumerate(study.runs, start=1):
        place = f"{where}, runs block {i}"
        _check_keys(block, place)
        if block.name in names:
            raise InputError(f"two blocks are called {block.name!r}", where=place, hint="Rename one.")
        for code in _languages_of(block):
            if code not in study.languages:
                raise unknown_name(
                    "language", code, study.names, where=place, see="Languages of a block must be listed."
                )
        names |= {block.name} if block.name else set()
    if not study.runs:
        raise InputError("no runs", where=where, hint="Add a block [[runs]].")


# The keys that only some mixtures read.
_KEYS: dict[str, tuple[str, ...]] = {
    "pairs": ("pairs",),
    "targets": ("pairs",),
    "K": ("even",),
    "shares": ("shares",),
    "T": ("temperature",),
    "max_epochs": ("unimax",),
    "count": ("even", "dirichlet"),
    "concentration": ("dirichlet",),
    "draw": ("even", "dirichlet"),
}


def _check_keys(block: Runs, where: str) -> None:
    for key in sorted(block.model_fields_set & _KEYS.keys()):
        if block.mixture not in _KEYS[key]:
            what = f"{key} means nothing to mixture {block.mixture!r}"
            hint = f"It belongs to {' and '.join(map(repr, _KEYS[key]))}: remove it, or put it in a block of that kind."
            raise InputError(what, where=where, hint=hint)
    if block.shares and abs(sum(block.shares.values()) - 1) > 1e-6:
        raise InputError(f"the shares sum to {sum(block.shares.values()):.6g}, not to 1", where=f"{where}, shares")


def _languages_of(block: Runs) -> list[str]:
    pairs = [code for pair in block.pairs or () for code in pair]
    unique = block.unique if isinstance(block.unique, dict) else {}
    return [*(block.languages or ()), *pairs, *(block.targets or ()), *(block.shares or ()), *unique]


_OWNERS: dict[str, type[BaseModel]] = {
    "languages": LanguageText,
    "tokenizer": Tokenizer,
    "training": Training,
    "evaluation": Evaluation,
    "machine": Machine,
    "runs": Runs,
}


def _translated(error: ValidationError, where: str) -> InputError:
    """The first of pydantic's complaints, in our words: file, key, value, what to do."""
    first = error.errors()[0]
    keys = [str(k) for k in first["loc"]]
    keys = [k for k in keys if not k.startswith(("function", "tuple", "literal", "constrained"))]
    if keys[0] == "runs" and len(keys) > 1:
        keys[:2] = [f"runs block {int(keys[1]) + 1}"]
    place = f"{where}, {'.'.join(keys)}"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return InputError(cause.what, where=place, hint=cause.hint)
    if first["type"] == "extra_forbidden":
        owner = _OWNERS.get(keys[0].split(" ")[0], Study) if len(keys) > 1 else Study
        return unknown_name("key", keys[-1], owner.model_fields, where=f"{where}, {'.'.join(keys[:-1]) or 'top level'}")
    if first["type"] == "literal_error":
        known = re.findall(r"'([^']+)'", first.get("ctx", {}).get("expected", ""))
        return unknown_name(keys[-1], str(first["input"]), known, where=place)
    if first["type"] == "missing":
        return InputError("missing", where=place)
    return InputError(f"{first['msg']} (got {first['input']!r})", where=place)
