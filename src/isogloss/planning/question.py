"""The question in the user's words: a TOML file or a mapping, checked key by key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from isogloss import languages as _languages
from isogloss.errors import InputError, unknown_name
from isogloss.planning.hardware import PEAK_FLOPS
from isogloss.units import Kind, parse_quantity


def _quantity(kind: Kind) -> BeforeValidator:
    """People write quantities as text, "10B tokens", and in the wrong unit at times."""
    return BeforeValidator(lambda value: parse_quantity(value, kind))


Flops = Annotated[float, _quantity("flops")]
Count = Annotated[float, _quantity("count")]
Tokens = Annotated[float, _quantity("tokens")]
Bytes = Annotated[float, _quantity("bytes")]
Parameters = Annotated[float, _quantity("parameters")]


def _known_gpu(name: str) -> str:
    by_folded = {known.casefold(): known for known in PEAK_FLOPS}
    if name.casefold() not in by_folded:
        raise unknown_name("accelerator", name, PEAK_FLOPS)
    return by_folded[name.casefold()]


Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Epochs = Positive


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(_Strict):
    """FLOPs, or accelerator-hours of a known accelerator at a utilisation."""

    flops: Flops | None = None
    gpu: Annotated[str, AfterValidator(_known_gpu)] | None = None
    gpu_hours: Count | None = None
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.4

    @property
    def C(self) -> float:
        """Training FLOPs."""
        if self.flops is not None:
            return self.flops
        assert self.gpu is not None
        assert self.gpu_hours is not None
        return PEAK_FLOPS[self.gpu] * 3600 * self.gpu_hours * self.utilisation


class LanguageNeed(_Strict):
    """What the user wants of one language, and the text there is of it."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    tokens: Tokens | None = None
    bytes: Bytes | None = None
    bytes_per_token: Positive | None = None
    max_epochs: Epochs | None = None
    min_share: Share | None = None
    max_share: Share | None = None
    share: Share | None = None
    fit: str | None = None


class Limits(_Strict):
    max_epochs: Epochs = 4.0
    min_share: Share | None = None
    min_params: Parameters = 1e6
    max_params: Parameters = 1e13


class Assumptions(_Strict):
    """Which published numbers the plan rests on where there are no runs of one's own."""

    laws: Literal["multi-vocab-mono-train", "mono-vocab-mono-train", "multi-vocab-unimax-train"] = (
        "multi-vocab-mono-train"
    )
    transfer: Literal["published", "none"] = "published"
    dose: Literal["equal", "linear"] = "equal"
    repetition_decay: Positive | None = None
    capacity: Literal["none", "k-law"] = "none"
    temperature: Positive = 3.33
    vocabulary: Annotated[int, Field(gt=1)] = 64_512


class Question(_Strict):
    """What `plan` answers. `languages` is keyed by canonical code."""

    title: str = ""
    budget: Budget
    languages: dict[str, LanguageNeed]
    limits: Limits = Limits()
    assumptions: Assumptions = Assumptions()


def read_question(source: str | Path | Mapping[str, Any] | Question) -> Question:
    """A Question from a TOML file, or from a mapping of the same shape.

    Raises InputError naming the file and the key, with near misses for unknown keys, languages and names.
    """
    if isinstance(source, Question):
        return source
    if isinstance(source, Mapping):
        return _check(dict(source), "question", Path())
    path = Path(source)
    return _check(_read_toml(path), str(path), path.parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), hint="Give a question file, such as baltic.toml.") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=str(path), hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", where=str(path)) from None


def _check(raw: dict[str, Any], where: str, folder: Path) -> Question:
    if isinstance(raw.get("budget"), str | int | float):
        raw["budget"] = {"flops": raw["budget"]}
    raw["languages"], spelled = _canonical(raw.get("languages"), where)
    try:
        question = Question.model_validate(raw)
    except ValidationError as error:
        raise _translated(error, where, spelled) from None
    _check_budget(question.budget, where)
    if not any(need.weight for need in question.languages.values()):
        raise InputError("every language has weight 0", where=f"{where}, languages", hint="Weigh at least one above 0.")
    # A fit is named relative to the question file that names it.
    located = {}
    for code, need in question.languages.items():
        if need.fit is not None:
            place = folder / need.fit
            if not place.is_dir():
                raise InputError(
                    f"no fit in {place}",
                    where=f"{where}, languages.{spelled[code]}.fit",
                    hint="Give a folder that `isogloss fit` wrote.",
                )
            need = need.model_copy(update={"fit": str(place)})
        located[code] = need
    return question.model_copy(update={"languages": located})


def _canonical(listed: Any, where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Languages under canonical codes, from a list or a table of names, and how the user spelled each."""
    place = f"{where}, languages"
    if not listed or not isinstance(listed, list | dict):
        raise InputError(
            "no languages", where=place, hint='List them, languages = ["Estonian", "lav"], or one table each.'
        )
    items = listed.items() if isinstance(listed, dict) else [(name, {}) for name in listed]
    out: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for name, need in items:
        if not isinstance(name, str):
            raise InputError(f"{name!r} is not a language", where=place, hint="Write names or codes as text.")
        try:
            code = _languages.resolve(name)
        except InputError as error:
            raise InputError(error.what, where=place, hint=error.hint) from None
        if code in out:
            raise InputError(
                f"{code} is there twice, as {spelled[code]!r} and {name!r}", where=place, hint="Keep one of them."
            )
        out[code], spelled[code] = need, name
    return out, spelled


def _check_budget(budget: Budget, where: str) -> None:
    place = f"{where}, budget"
    if budget.flops is not None and (budget.gpu or budget.gpu_hours):
        raise InputError("both flops and gpu are given", where=place, hint="Keep one of them.")
    if budget.flops is None and not (budget.gpu and budget.gpu_hours):
        raise InputError("no budget", where=place, hint='Give flops = "3e22", or gpu = "H100" with gpu_hours = 20000.')


def _translated(error: ValidationError, where: str, spelled: Mapping[str, str]) -> InputError:
    """The first of pydantic's complaints, in our words: file, key, value, what to do."""
    first = error.errors()[0]
    # A mark such as "function-before[...]" in the location is pydantic's, not the user's.
    keys = [str(k) for k in first["loc"] if not str(k).startswith(("function", "float", "str"))]
    keys = [spelled.get(k, k) for k in keys]
    place = f"{where}, {'.'.join(keys)}"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return InputError(cause.what, where=place, hint=cause.hint)
    if first["type"] == "extra_forbidden":
        owner = {
            "budget": Budget,
            "limits": Limits,
            "assumptions": Assumptions,
            "languages": LanguageNeed,
        }.get(keys[0], Question)
        known = (owner if len(keys) > 1 else Question).model_fields
        return unknown_name("key", keys[-1], known, where=f"{where}, {'.'.join(keys[:-1]) or 'top level'}")
    if first["type"] == "missing":
        return InputError("missing", where=place, hint='For example budget.flops = "3e22".')
    return InputError(f"{first['msg']} (got {first['input']!r})", where=place)
