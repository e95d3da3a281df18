"""The mapping in the user's words: which metric is which loss, and where the rest of the run table stands."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping as AnyMapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from isogloss.errors import InputError, unknown_name
from isogloss.runs.importing.expressions import Product
from isogloss.runs.importing.names import NamePattern
from isogloss.runs.importing.patterns import Pattern
from isogloss.runs.importing.perplexity import PERPLEXITIES, UNITS, metric_unit
from isogloss.stores import local

NUMBERS = ("params_total", "params_non_embedding", "flops_per_token", "batch_tokens", "learning_rate")
COUNTS = ("context_length", "vocab_size")
TEXTS = ("tokenizer", "seed", "schedule", "init", "shape", "corpus", "notes")

STATUSES = ("finished", "running", "killed", "failed", "diverged", "ghost")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _product(text: Any) -> str:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise InputError(f"{text!r} is neither a key nor a number", hint='For example "model.n_params".')
    return Product(str(text)).text


def _name(text: str) -> str:
    if not text.strip():
        raise InputError("is empty", hint="Fill it in, or remove the line.")
    return text


def _status(text: str) -> str:
    if text not in STATUSES:
        raise unknown_name("status", text, STATUSES)
    return text


def _code(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InputError("is no language", hint="Give a code or a name, such as swh_Latn.")
    from isogloss.languages import resolve

    return resolve(name)


Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)]
"""One name, or several of which the first that is there counts."""
Numbers = Annotated[list[Annotated[str, BeforeValidator(_product)]], BeforeValidator(_listed), Field(min_length=1)]
MetricName = Annotated[Name, AfterValidator(lambda text: Pattern(text).text)]
Code = Annotated[str, BeforeValidator(_code)]


class Loss(Strict):
    """What a metric, or all metrics of a pattern, measure."""

    unit: Annotated[str, BeforeValidator(metric_unit)]
    language: Code | None = None
    language_from: Name | None = None
    stderr: MetricName | None = None
    phase: Literal["warmup", "stable", "decay", "final"] | None = None

    @property
    def loss_unit(self) -> str:
        """The unit in evals.parquet: a perplexity becomes its logarithm."""
        return PERPLEXITIES.get(self.unit, self.unit)

    @property
    def is_perplexity(self) -> bool:
        return self.unit in PERPLEXITIES


class RunNames(Strict):
    match: Names = ["*"]
    skip: Annotated[list[Name], BeforeValidator(_listed)] = []

    def takes(self, name: str) -> bool:
        skipped = any(fnmatch.fnmatchcase(name, s) for s in self.skip)
        return not skipped and any(fnmatch.fnmatchcase(name, m) for m in self.match)


class Tokens(Strict):
    """D: a metric that counts tokens, or what a step is worth."""

    metric: Names | None = None
    scale: Numbers = ["1"]
    per_step: Numbers | None = None
    total: Numbers | None = None


class Value(Strict):
    value: str | int | float


def _texts(value: Any) -> Any:
    return value if isinstance(value, dict) else _listed(value)


TextFrom = Annotated[Value | Names, BeforeValidator(_texts)]
"""A key, several of which the first counts, or { value = "..." } for the same in every run."""


def _name_pattern(text: str) -> str:
    return NamePattern(text).text


class FromName(Strict):
    name: Annotated[Name, AfterValidator(_name_pattern)]


NumberOrName = Annotated[FromName | Numbers, BeforeValidator(_texts)]
"""A number, or { name = "pythia-{N}*" } where it stands in the run's name."""


class RunColumns(Strict):
    """Columns of runs.parquet."""

    params_total: NumberOrName | None = None
    params_non_embedding: NumberOrName | None = None
    flops_per_token: Numbers | None = None
    batch_tokens: Numbers | None = None
    learning_rate: Numbers | None = None
    context_length: Numbers | None = None
    vocab_size: Numbers | None = None
    tokenizer: TextFrom | None = None
    seed: TextFrom | None = None
    schedule: TextFrom | None = None
    init: TextFrom | None = None
    shape: TextFrom | None = None
    corpus: TextFrom | None = None
    notes: TextFrom | None = None


class MixtureKeys(Strict):
    """Columns of exposure.parquet: patterns with {language}, or a key whose value is a table of languages."""

    share: MetricName | None = None
    normalise: bool = False
    realised_share: MetricName | None = None
    tokens: MetricName | None = None
    unique_tokens: MetricName | None = None


class LearningRate(Strict):
    metric: Names


def _losses(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: v if isinstance(v, dict) else {"unit": v} for k, v in value.items()}


class Mapping(Strict):
    """What an import does with a run. See docs/import.md."""

    losses: Annotated[dict[MetricName, Loss], BeforeValidator(_losses), Field(min_length=1)]
    runs: RunNames = RunNames()
    tokens: Tokens = Tokens()
    run: RunColumns = RunColumns()
    mixture: MixtureKeys = MixtureKeys()
    learning_rate: LearningRate | None = None
    status: dict[str, Annotated[str, AfterValidator(_status)]] = {}
    languages: dict[str, Code] = {}
    extra: dict[str, TextFrom] = {}


_OWNERS: dict[str, type[BaseModel]] = {
    "losses": Loss,
    "runs": RunNames,
    "tokens": Tokens,
    "run": RunColumns,
    "mixture": MixtureKeys,
    "learning_rate": LearningRate,
    "extra": Value,
}


def read_mapping(source: str | Path | AnyMapping[str, Any] | Mapping) -> Mapping:
    """A Mapping from a TOML file, or from a mapping of the same shape.

    Raises InputError naming the file and the key, with near misses for unknown keys, units and languages.
    """
    if isinstance(source, Mapping):
        return source
    if isinstance(source, AnyMapping):
        return _check(dict(source), "mapping")
    path = Path(local(source))
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        hint = "isogloss runs import SOURCE --guess > map.toml writes one to edit."
        raise InputError("no such file", where=str(path), hint=hint) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=str(path), hint="Save it as UTF-8.") from None
    return mapping_from_text(text, str(path))


def mapping_from_text(text: str, where: str) -> Mapping:
    try:
        return _check(tomllib.loads(text), where)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", where=where) from None


def _check(raw: dict[str, Any], where: str) -> Mapping:
    if not raw.get("losses"):
        hint = 'Say which metrics are losses: [losses], then "eval/{language}/loss" = "nats/token".'
        raise InputError("maps no loss", where=f"{where}, losses", hint=hint)
    try:
        mapping = Mapping.model_validate(raw)
    except ValidationError as error:
        raise _translated(error, where) from None
    for name, loss in mapping.losses.items():
        _check_loss(name, loss, f'{where}, losses."{name}"')
    return mapping


def _check_loss(name: str, loss: Loss, where: str) -> None:
    said = [key for key in ("language", "language_from") if getattr(loss, key) is not None]
    if Pattern(name).many:
        if said:
            raise InputError(f"{said[0]} and {{language}} in the name both say the language", where=where)
    elif len(said) != 1:
        what = "says its language twice" if said else "does not say its language"
        hint = 'Write { language = "swh_Latn", unit = "nats/token" }, language_from = "data.language" for a setting, '
        raise InputError(what, where=where, hint=hint + "or put {language} where the name has it.")


def _translated(error: ValidationError, where: str) -> InputError:
    """The first of pydantic's complaints, in our words: file, key, value, what to do."""
    errors = error.errors()
    # A misspelled key is also a missing one: the misspelling says more.
    said = (e for e in errors if isinstance(e.get("ctx", {}).get("error"), InputError))
    first = next((e for e in errors if e["type"] == "extra_forbidden"), None) or next(said, errors[0])
    forms = ("function-", "list[", "Value", "FromName")
    keys = [str(k) for k in first["loc"] if not str(k).startswith(forms) and k != "[key]"]
    place = f"{where}, {'.'.join(keys)}"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return InputError(cause.what, where=place, hint=cause.hint)
    if first["type"] == "extra_forbidden":
        owner = _OWNERS.get(keys[0], Mapping) if len(keys) > 1 else Mapping
        owner = FromName if "FromName" in first["loc"] and len(keys) > 2 else owner
        return unknown_name("key", keys[-1], owner.model_fields, where=f"{where}, {'.'.join(keys[:-1]) or 'top level'}")
    if first["type"] == "missing":
        hint = f"One of {', '.join(UNITS)}." if keys[-1] == "unit" else None
        return InputError("missing", where=place, hint=hint)
    return InputError(f"{first['msg']} (got {first['input']!r})", where=place)
